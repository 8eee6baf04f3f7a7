/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The zone of a question that was read, and its text. It promises that the text is there, or
 * gone from the table, before a row has it.
 */
#ifndef IBSR_CGROUP_DNS_ZONE_BPF_H
#define IBSR_CGROUP_DNS_ZONE_BPF_H

#include "cgroup/dns/learn.bpf.h"
#include "cgroup/zone/note.bpf.h"

/* Hashes the zone into `asked.zone` and writes it down in `text`. The root is the zone of
 * itself. */
static __always_inline void read_zone(struct dns_work *w)
{
	__u32 left, at = w->labels < IBSR_ZONE_LABELS ? DNS_HEADER_BYTES : w->zone_at;
	__u64 hash = ibsr_seed;

	w->zone_bytes = w->wire_bytes - (at - DNS_HEADER_BYTES);
	barrier();
	left = w->zone_bytes;
	write_text(w, at, left);
	for (__u32 i = 0; i < IBSR_NAME_BYTES / 8; i++) {
		if (left <= i * 8)
			break;
		hash = hash_word(hash, *(volatile __u64 *)&w->text.wire[i * 8]);
	}
	w->asked.zone = name_key(hash);
}

static __always_inline void keep_zone_text(struct dns_work *w, __u64 now_boot_ns)
{
	if (bpf_map_lookup_elem(&ibsr_zone_texts, &w->asked.zone))
		return;
	w->text.met_boot_ns = now_boot_ns;
	w->text.zone = w->asked.zone;
	bpf_map_update_elem(&ibsr_zone_texts, &w->asked.zone, &w->text, BPF_NOEXIST);
}

#endif /* IBSR_CGROUP_DNS_ZONE_BPF_H */
