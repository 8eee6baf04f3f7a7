/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The kernel's LRU tables: `proven` for addresses that have shown to be real, `unproven` for
 * the rest. Whatever a flood does to `unproven`, it cannot evict from `proven`.
 *
 * A source that becomes proven begins a second life there. Nothing is moved and nothing is
 * deleted: a move would race with other CPUs that count, and a deleted element is used again
 * at once. Its first life stays, is never counted in again, and ages out of `unproven`.
 */
#ifndef IBSR_LRU_BPF_H
#define IBSR_LRU_BPF_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "ibsr_abi.h"
#include "map.bpf.h"
#include "parse.bpf.h"

static __always_inline void add_to_source(struct ibsr_source *to, const struct ibsr_source *add)
{
	shared_add(&to->packets, add->packets);
	shared_add(&to->bytes, add->bytes);
	shared_add(&to->ack, add->ack);
	shared_add(&to->syn, add->syn);
	shared_add(&to->handshakes, add->handshakes);
	shared_add(&to->fin, add->fin);
	shared_add(&to->rst, add->rst);
	shared_add(&to->awaited, add->awaited);
	/* Two CPUs may store out of order: the difference is below one tick, and readers
	 * list a source again when it was used within a tick of the last sweep. */
	if (to->last_boot_ns != add->last_boot_ns)
		to->last_boot_ns = add->last_boot_ns;
}

/* A new entry. BPF_NOEXIST: with BPF_ANY a CPU that lost the race would wipe what the winner
 * counted. Returns 1 when there was none before. */
static __always_inline int insert_into_lru(void *table, struct ibsr_totals *totals,
					   const struct ibsr_source_key *key,
					   struct ibsr_source *first)
{
	struct ibsr_source *raced;

	first->born_boot_ns = bpf_ktime_get_boot_ns();
	if (!bpf_map_update_elem(table, key, first, BPF_NOEXIST)) {
		totals->inserted++;
		return 1;
	}
	raced = bpf_map_lookup_elem(table, key);
	if (raced)
		add_to_source(raced, first);
	else
		totals->insert_failed += first->packets;
	return 0;
}

/* What nearly every packet is: one of a proven source that awaits nothing. The same as
 * add_to_source, without building what to add. */
static __always_inline void add_plain(struct ibsr_source *to, const struct segment *s,
				      __u32 frame_len, __u64 now_boot_ns)
{
	__sync_fetch_and_add(&to->packets, 1);
	__sync_fetch_and_add(&to->bytes, frame_len);
	shared_add(&to->ack, s->ack);
	shared_add(&to->fin, s->fin);
	shared_add(&to->rst, s->rst);
	if (to->last_boot_ns != now_boot_ns)
		to->last_boot_ns = now_boot_ns;
}

#endif /* IBSR_LRU_BPF_H */
