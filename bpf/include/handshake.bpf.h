/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Completed three-way handshakes, seen from ingress alone. A SYN leaves its mark in one slot
 * of a fixed table, or at the door while its source has no entry; the first later ACK of the
 * same 4-tuple whose sequence number is the SYN's plus one takes the mark away and counts.
 *
 * It promises constant cost, that one SYN is counted as at most one handshake, and that a
 * mark lost to another connection's SYN is counted. A sender that forges both packets is
 * counted too: this is evidence of behaviour, not of existence.
 */
#ifndef IBSR_HANDSHAKE_BPF_H
#define IBSR_HANDSHAKE_BPF_H

#include "hash.bpf.h"
#include "parse.bpf.h"

/* What a SYN leaves: 31 bits of a hash of the 4-tuple, of which some pick the slot, and the
 * sequence number that the completing ACK will carry. Never 0, which is an empty slot. `seed`
 * is random for each load, so nobody can aim at a slot. */
static __always_inline __u64 pending_mark(const struct segment *s, __u64 seed, __u32 next_seq)
{
	__u64 ports = (__u64)s->src_port << 16 | s->dst_port;
	const __u64 *dst = (const __u64 *)s->dst;
	__u64 hash = mix(mix_address(s->src, seed), ports);

	hash = mix(mix(hash, dst[0]), dst[1]);
	return (hash & 0xffffffff00000000ULL) | next_seq | (1ULL << 63);
}

static __always_inline __u64 *pending_slot(void *pending, __u64 mark)
{
	__u32 index = (mark >> 32) & (IBSR_PENDING_SLOTS - 1);

	return bpf_map_lookup_elem(pending, &index);
}

/* Whether a handshake may begin with this segment. */
static __always_inline int is_first_syn(const struct segment *s)
{
	return s->syn && !s->ack && !s->rst;
}

/*
 * Keeps the mark of a SYN. An aligned 8-byte store is one store on every CPU. Two SYNs racing
 * for a slot may count one loss instead of two: harmless, the counter says how full the table
 * is, not who was lost.
 */
static __always_inline void await_ack(void *pending, struct ibsr_totals *totals, __u64 mark)
{
	__u64 *slot = pending_slot(pending, mark);
	__u64 before;

	if (!slot)
		return;
	before = *(volatile __u64 *)slot;
	if (before && (before >> 32) != (mark >> 32))
		totals->pending_lost++;
	*(volatile __u64 *)slot = mark;
}

/* Returns 1 when the segment completes a handshake: of two CPUs that see its ACK one does. */
static __always_inline __u64 handshake_step(void *pending, struct ibsr_totals *totals,
					    const struct segment *s, __u64 seed)
{
	__u64 mark, *slot;

	if (is_first_syn(s)) {
		await_ack(pending, totals, pending_mark(s, seed, s->seq + 1));
		return 0;
	}
	if (s->rst || s->syn || !s->ack)
		return 0;
	mark = pending_mark(s, seed, s->seq);
	slot = pending_slot(pending, mark);
	if (!slot || *(volatile __u64 *)slot != mark)
		return 0;
	return __sync_val_compare_and_swap(slot, mark, 0) == mark;
}

#endif /* IBSR_HANDSHAKE_BPF_H */
