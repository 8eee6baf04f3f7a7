/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The name by which a process may have found an address, for a row that begins. */
#ifndef IBSR_CGROUP_DNS_NAME_BPF_H
#define IBSR_CGROUP_DNS_NAME_BPF_H

#include "cgroup/dns/maps.bpf.h"
#include "map.bpf.h"

/* Key of the name's text; 0 when the address was not resolved lately. The second lookup tells
 * the kernel that the text is in use. */
static __always_inline __u64 name_of(const __u8 *addr, __u64 now_boot_ns)
{
	struct ibsr_address_name *known = bpf_map_lookup_elem(&ibsr_names, addr);
	struct ibsr_dns_totals *totals;
	__u64 name;

	if (!known)
		return 0;
	totals = only_entry(&ibsr_dns_totals);
	if (!totals)
		return 0;
	if (known->expiry_boot_ns < now_boot_ns) {
		shared_add(&totals->flows_expired, 1);
		return 0;
	}
	name = known->name;
	shared_add(&known->hits, 1);
	shared_add(&totals->flows_named, 1);
	bpf_map_lookup_elem(&ibsr_name_texts, &name);
	return name;
}

#endif /* IBSR_CGROUP_DNS_NAME_BPF_H */
