/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One segment, one source, one count: finds the entry in the table of the sensor, or asks for
 * one. It promises that each tracked packet is counted in one entry, or as unattributed, or as
 * a failed insert.
 */
#ifndef IBSR_SOURCES_BPF_H
#define IBSR_SOURCES_BPF_H

#include "admission.bpf.h"

/* A packet of a source that is not proven yet, or that may complete a handshake. */
static __always_inline void
count_rare_in_lru(const struct tables *t, struct xdp_md *ctx, struct ibsr_totals *totals,
		  struct ibsr_source_key *key, struct ibsr_source *proven, struct ibsr_source *add,
		  const struct segment *s, __u32 frame_len, __u64 now_boot_ns)
{
	struct ibsr_source *known = proven;

	if (!known)
		known = bpf_map_lookup_elem(t->unproven, key);
	if (!known) {
		admit(t, ctx, totals, key, add, s, frame_len, now_boot_ns);
		return;
	}
	*add = increment_of(s, frame_len, now_boot_ns);
	follow_handshake(t, totals, add, s, known->awaited);
	if (!proven && is_proven(t, ctx, s, known->packets, add->handshakes)) {
		add->awaited += known->awaited;
		insert_source(t, totals, key, add, 1);
	} else {
		add_to_source(known, add);
	}
}

/* What nearly every packet is, one of a proven source that awaits nothing, costs no more than
 * finding it. */
static __always_inline void count_in_lru(const struct tables *t, struct xdp_md *ctx,
					 struct ibsr_totals *totals, struct ibsr_source_key *key,
					 struct ibsr_source *add, const struct segment *s,
					 __u32 frame_len, __u64 now_boot_ns)
{
	struct ibsr_source *proven = bpf_map_lookup_elem(t->proven, key);

	if (proven && !s->syn && !proven->awaited)
		add_plain(proven, s, frame_len, now_boot_ns);
	else
		count_rare_in_lru(t, ctx, totals, key, proven, add, s, frame_len, now_boot_ns);
}

/* The same with one table: a source that becomes proven keeps its entry and its counts. */
static __always_inline void count_rare_in_sets(const struct tables *t, struct xdp_md *ctx,
					       struct ibsr_totals *totals, const struct spot *spot,
					       struct ibsr_source *add, const struct segment *s,
					       __u32 frame_len, __u64 now_boot_ns)
{
	struct ibsr_way *known = way_of(spot);

	*add = increment_of(s, frame_len, now_boot_ns);
	follow_handshake(t, totals, add, s, known->awaited);
	if (!known->is_proven && is_proven(t, ctx, s, packets_of(known), add->handshakes))
		totals->promoted += !__sync_val_compare_and_swap(&known->is_proven, 0, 1);
	add_to_way(spot, add);
}

static __always_inline void count_in_sets(const struct tables *t, struct xdp_md *ctx,
					  struct ibsr_totals *totals, struct ibsr_source_key *key,
					  struct ibsr_source *add, const struct segment *s,
					  __u32 frame_len, __u64 now_boot_ns)
{
	const struct place at = place_of(key, t->seed, t->set_count);
	const struct spot spot = find_in_sets(&t->sets, &at, key);

	if (!spot.tags)
		totals->insert_failed++;
	else if (spot.way == NO_WAY)
		admit(t, ctx, totals, key, add, s, frame_len, now_boot_ns);
	else if (!s->syn && is_settled(way_of(&spot)))
		add_plain_to_way(&spot, s, frame_len, now_boot_ns);
	else
		count_rare_in_sets(t, ctx, totals, &spot, add, s, frame_len, now_boot_ns);
}

/* Counts one segment for its source. */
static __always_inline void count_source(const struct tables *t, struct xdp_md *ctx,
					 struct ibsr_totals *totals, const struct segment *s,
					 __u32 frame_len, __u64 now_boot_ns)
{
	struct ibsr_source_key key = { .dst_port = s->dst_port };
	struct ibsr_source add;

	__builtin_memcpy(key.addr, s->src, IBSR_ADDR_BYTES);
	if (t->kind == IBSR_TABLE_SETS)
		count_in_sets(t, ctx, totals, &key, &add, s, frame_len, now_boot_ns);
	else
		count_in_lru(t, ctx, totals, &key, &add, s, frame_len, now_boot_ns);
}

#endif /* IBSR_SOURCES_BPF_H */
