/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Completed three-way handshakes, seen from ingress alone. A SYN leaves its mark in one
 * slot of a fixed table; the first later ACK of the same 4-tuple whose sequence number is
 * the SYN's plus one takes the mark away and counts.
 *
 * It promises constant cost, that one SYN is counted as at most one handshake, and that a
 * mark lost to another connection's SYN is counted. A sender that forges both packets is
 * counted too: this is evidence of behaviour, not of existence.
 */
#ifndef IBSR_HANDSHAKE_BPF_H
#define IBSR_HANDSHAKE_BPF_H

#include "hash.bpf.h"
#include "parse.bpf.h"

/* Of the 4-tuple; `seed` is random for each load, so nobody can aim at a slot. */
static __always_inline __u64 connection_hash(const struct segment *s, __u64 seed)
{
	const __u64 *src = (const __u64 *)s->src, *dst = (const __u64 *)s->dst;
	__u64 hash = mix(seed, ((__u64)s->src_port << 16) | s->dst_port);

	hash = mix(hash, src[0]);
	hash = mix(hash, src[1]);
	hash = mix(hash, dst[0]);
	return mix(hash, dst[1]);
}

/* A mark: 32 bits of hash that do not pick the slot, and the sequence number that the
 * completing ACK will carry. Never 0, which is an empty slot. */
static __always_inline __u64 pending_mark(__u64 hash, __u32 next_seq)
{
	return (hash & 0xffffffff00000000ULL) | next_seq | (1ULL << 63);
}

/*
 * Returns 1 when this segment completes a handshake. The slot is shared between CPUs: an
 * aligned 8-byte store is one store, and the compare-and-exchange lets only one of two
 * racing ACKs win. Two SYNs racing for a slot may count one loss instead of two: harmless,
 * the counter says how full the table is, not who was lost.
 */
static __always_inline __u64 handshake_step(void *pending, struct ibsr_totals *totals,
					    const struct segment *s, __u64 seed)
{
	__u64 hash, mark, *slot;
	__u32 index;

	if (s->rst || (!s->syn && !s->ack) || (s->syn && s->ack))
		return 0;
	hash = connection_hash(s, seed);
	index = hash & (IBSR_PENDING_SLOTS - 1);
	slot = bpf_map_lookup_elem(pending, &index);
	if (!slot)
		return 0;
	if (s->syn) {
		__u64 before = *(volatile __u64 *)slot;

		mark = pending_mark(hash, s->seq + 1);
		if (before && (before >> 32) != (mark >> 32))
			totals->pending_lost++;
		*(volatile __u64 *)slot = mark;
		return 0;
	}
	mark = pending_mark(hash, s->seq);
	if (*(volatile __u64 *)slot != mark)
		return 0;
	return __sync_val_compare_and_swap(slot, mark, 0) == mark;
}

#endif /* IBSR_HANDSHAKE_BPF_H */
