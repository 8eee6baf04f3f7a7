/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which sources get an entry, whatever kind of table keeps them: behind the doorkeeper, below
 * a cap, proven ones at once.
 *
 * It promises that each packet that comes here is counted in one entry, or as unattributed, or
 * as a failed insert.
 */
#ifndef IBSR_ADMISSION_BPF_H
#define IBSR_ADMISSION_BPF_H

#include "door.bpf.h"
#include "handshake.bpf.h"
#include "hash.bpf.h"
#include "lru.bpf.h"
#include "proof.bpf.h"
#include "unattributed.bpf.h"
#include "ways.bpf.h"

#define NS_PER_SECOND_LOG2 30 /* 1.07 s: a shift instead of a division */

/* The maps and knobs of one sensor. */
struct tables {
	void *proven, *unproven, *door, *losses, *pending;
	struct set_maps sets;
	__u64 seed;
	__u32 kind; /* enum ibsr_table: the verifier removes the code of the other */
	__u32 set_count;
	__u32 proof;
	__u32 insert_cap;
	__u8 admits_first;
};

/* An insert makes the kernel's LRU take a lock that all CPUs share. So a flood that knocks
 * twice with each address gets no more than `cap` of them a second and CPU. */
static __always_inline int is_below_cap(struct ibsr_totals *totals, __u32 cap)
{
	__u64 second = totals->clock_boot_ns >> NS_PER_SECOND_LOG2;

	if (totals->cap_second != second) {
		totals->cap_second = second;
		totals->cap_used = 0;
	}
	return totals->cap_used++ < cap;
}

static __always_inline void lose_mark(const struct tables *t, __u64 mark)
{
	count_lost(t->losses, mark_port(mark), !!(mark & MARK_SYN), !!(mark & MARK_ACK),
		   mark_length(mark));
}

static __always_inline void lose(const struct tables *t, struct ibsr_totals *totals,
				 const struct segment *s, __u32 frame_len)
{
	totals->unattributed++;
	count_lost(t->losses, s->dst_port, s->syn, s->ack, frame_len);
}

static __always_inline void insert_source(const struct tables *t, struct ibsr_totals *totals,
					  const struct ibsr_source_key *key,
					  struct ibsr_source *first, int is_proven)
{
	int is_new;

	if (t->kind == IBSR_TABLE_SETS) {
		const struct place at = place_of(key, t->seed, t->set_count);

		is_new = insert_into_sets(&t->sets, &at, totals, key, first, is_proven);
	} else {
		is_new = insert_into_lru(is_proven ? t->proven : t->unproven, totals, key, first);
	}
	totals->promoted += is_new && is_proven;
}

/* Charges a packet that waited to its source: to `add` when it went to the same port. It is
 * resumed before it is attributed, so that no reader sees it in both. */
static __always_inline void resume(const struct tables *t, struct ibsr_totals *totals,
				   const struct ibsr_source_key *key, struct ibsr_source *add,
				   __u64 mark)
{
	struct ibsr_source_key other = *key;
	struct ibsr_source waited = { .last_boot_ns = add->last_boot_ns };

	totals->resumed++;
	if (mark_port(mark) == key->dst_port) {
		add_mark(add, mark);
		return;
	}
	other.dst_port = mark_port(mark);
	add_mark(&waited, mark);
	insert_source(t, totals, &other, &waited, 0);
}

/* What a new entry must await besides its own SYNs. Of an entry that was evicted nothing is
 * known: one ACK may come, and until it does each is looked at. */
#define AWAITED_BEFORE_BIRTH 1

/* Whether a source is known to be real. Asked only of addresses that have sent
 * a packet before, so a flood of new ones costs no socket lookups. */
static __always_inline int is_proven(const struct tables *t, struct xdp_md *ctx,
				     const struct segment *s, __u64 packets, __u64 handshakes)
{
	if (t->proof == IBSR_PROOF_HANDSHAKE)
		return handshakes;
	return is_worth_asking(s, packets) && has_connection(ctx, s);
}

/* Most packets belong to sources that await nothing and need not be looked up among the
 * pending SYNs. */
static __always_inline void follow_handshake(const struct tables *t, struct ibsr_totals *totals,
					     struct ibsr_source *add, const struct segment *s,
					     __u64 awaited)
{
	__u64 completes;

	if (!s->syn && !awaited)
		return;
	completes = handshake_step(t->pending, totals, s, t->seed);
	forget(completes);
	add->handshakes = completes;
	add->awaited = add->syn - completes;
}

/* What one segment adds. */
static __always_inline struct ibsr_source increment_of(const struct segment *s, __u32 frame_len,
						       __u64 now_boot_ns)
{
	struct ibsr_source add = {
		.syn = s->syn & !s->ack,
		.ack = s->ack,
		.fin = s->fin,
		.rst = s->rst,
		.packets = 1,
		.bytes = frame_len,
		.last_boot_ns = now_boot_ns,
	};

	return add;
}

/* What waits of a packet at the door. */
static __always_inline struct door_slot waiting_of(const struct tables *t, const struct segment *s,
						   __u32 frame_len, __u64 hash)
{
	struct door_slot mine = { .mark = mark_of(s, frame_len, hash) };

	if (is_first_syn(s))
		mine.pending = pending_mark(s, t->seed, s->seq + 1);
	return mine;
}

/* A packet of a source that has no entry. `add` is room on the stack, which is scarce. */
static __always_inline void admit(const struct tables *t, struct xdp_md *ctx,
				  struct ibsr_totals *totals, struct ibsr_source_key *key,
				  struct ibsr_source *add, const struct segment *s, __u32 frame_len,
				  __u64 now_boot_ns)
{
	enum knock outcome = KNOCK_ADMITTED;
	struct door_slot left = {};
	int proven;

	if (!t->admits_first && frame_len <= MARK_MAX_FRAME) {
		__u64 hash = address_hash(s->src, t->seed);

		outcome = knock(t->door, hash, waiting_of(t, s, frame_len, hash), &left);
	}
	switch (outcome) {
	case KNOCK_WAITS:
		totals->unattributed++;
		if (left.mark) {
			totals->pending_lost += is_waiting_syn(left.mark);
			lose_mark(t, left.mark);
		}
		return;
	case KNOCK_CROWDED:
		totals->pending_lost += is_first_syn(s);
		lose(t, totals, s, frame_len);
		return;
	case KNOCK_ADMITTED:
		break;
	}
	*add = increment_of(s, frame_len, now_boot_ns);
	if (is_waiting_syn(left.mark))
		await_ack(t->pending, totals, left.pending);
	follow_handshake(t, totals, add, s, AWAITED_BEFORE_BIRTH);
	proven = is_proven(t, ctx, s, 0, add->handshakes);
	forget(proven);
	if (!proven && !is_below_cap(totals, t->insert_cap)) {
		if (left.mark)
			lose_mark(t, left.mark);
		lose(t, totals, s, frame_len);
		return;
	}
	if (left.mark)
		resume(t, totals, key, add, left.mark);
	add->awaited += AWAITED_BEFORE_BIRTH;
	insert_source(t, totals, key, add, proven);
}

#endif /* IBSR_ADMISSION_BPF_H */
