/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the sensor keeps of an answer: the name that was asked for, and each address with it.
 * It promises that the text of a name is there, or its absence counted, before an address
 * has it.
 */
#ifndef IBSR_CGROUP_DNS_LEARN_BPF_H
#define IBSR_CGROUP_DNS_LEARN_BPF_H

#include "cgroup/dns/maps.bpf.h"
#include "cgroup/dns/message.bpf.h"
#include "map.bpf.h"
#include "time.bpf.h"

/* A name that begins at `at`, in lower case. */
static __always_inline void write_text(struct dns_work *w, __u32 at, __u32 left)
{
	w->text.wire_bytes = left;
	__builtin_memset(w->text.pad, 0, sizeof(w->text.pad));
	for (__u32 i = 0; i < IBSR_NAME_BYTES / 8; i++) {
		__u64 word = 0;

		if (left > i * 8) {
			word = lower_case(word_at(w, at, i));
			if (left < i * 8 + 8)
				word = first_bytes(word, left);
		}
		*(__u64 *)&w->text.wire[i * 8] = word;
	}
}

static __always_inline void keep_text(struct dns_work *w, __u64 zone, __u64 now_boot_ns,
				      struct ibsr_dns_totals *totals)
{
	if (bpf_map_lookup_elem(&ibsr_name_texts, &w->name.name))
		return;
	w->text.met_boot_ns = now_boot_ns;
	w->text.zone = zone;
	write_text(w, DNS_HEADER_BYTES, w->wire_bytes);
	if (!bpf_map_update_elem(&ibsr_name_texts, &w->name.name, &w->text, BPF_NOEXIST))
		shared_add(&totals->names_inserted, 1);
	else if (!bpf_map_lookup_elem(&ibsr_name_texts, &w->name.name))
		shared_add(&totals->names_failed, 1);
}

static __always_inline __u64 expiry(const struct dns_work *w, __u32 ttl_s, __u64 now_boot_ns)
{
	/* It is a day at most. */
	if (w->chain_ttl_s < ttl_s)
		ttl_s = w->chain_ttl_s;
	if (ttl_s < IBSR_NAME_TTL_MIN_S)
		ttl_s = IBSR_NAME_TTL_MIN_S;
	return now_boot_ns + ttl_s * NS_PER_S;
}

static __always_inline void learn_address(struct dns_work *w, const struct dns_found *found,
					  __u64 now_boot_ns, struct ibsr_dns_totals *totals)
{
	const struct ibsr_address_name *known = bpf_map_lookup_elem(&ibsr_names, found->addr);

	w->name.hits = 0;
	if (known && known->name == w->name.name)
		w->name.hits = known->hits;
	else if (known)
		shared_add(&totals->renamed, 1);
	w->name.expiry_boot_ns = expiry(w, found->ttl_s, now_boot_ns);
	if (!bpf_map_update_elem(&ibsr_names, found->addr, &w->name, BPF_ANY))
		shared_add(&totals->learned, 1);
	else
		shared_add(&totals->learn_failed, 1);
}

static __always_inline void learn(struct dns_work *w, __u64 zone, struct ibsr_dns_totals *totals)
{
	__u64 now_boot_ns = bpf_ktime_get_boot_ns();

	shared_add(&totals->cnames, w->chain);
	shared_add(&totals->records_foreign, w->foreign_count);
	if (!w->found_count)
		return;
	w->name.name = w->question.name;
	w->name.learned_boot_ns = now_boot_ns;
	__builtin_memcpy(w->name.resolver, w->question.server, sizeof(w->name.resolver));
	w->name.resolver_port = w->question.server_port;
	w->name.chain = w->chain;
	__builtin_memset(w->name.pad, 0, sizeof(w->name.pad));
	keep_text(w, zone, now_boot_ns, totals);
	for (__u32 i = 0; i < IBSR_DNS_RECORDS; i++) {
		barrier();
		if (i >= w->found_count)
			break;
		learn_address(w, &w->found[i], now_boot_ns, totals);
	}
}

#endif /* IBSR_CGROUP_DNS_LEARN_BPF_H */
