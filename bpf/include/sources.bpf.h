/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The source tables: `proven` for addresses that have shown to be real, `unproven`, behind
 * the doorkeeper, for the rest. Whatever a flood does to `unproven`, it cannot evict from
 * `proven`.
 *
 * A source that becomes proven begins a second life there. Nothing is moved and nothing is
 * deleted: a move would race with other CPUs that count, and a deleted element is used again
 * at once. Its first life stays, is never counted in again, and ages out of `unproven`.
 *
 * It promises that each tracked packet is counted in one entry, or as unattributed, or as a
 * failed insert.
 */
#ifndef IBSR_SOURCES_BPF_H
#define IBSR_SOURCES_BPF_H

#include "door.bpf.h"
#include "handshake.bpf.h"
#include "hash.bpf.h"
#include "map.bpf.h"
#include "proof.bpf.h"
#include "unattributed.bpf.h"

#define NS_PER_SECOND_LOG2 30 /* 1.07 s: a shift instead of a division */

/* The maps and knobs of one sensor. */
struct tables {
	void *proven, *unproven, *door, *losses, *pending;
	__u64 seed;
	__u32 proof;
	__u32 insert_cap;
	__u8 admits_first;
};

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
static __always_inline int insert_source(void *table, struct ibsr_totals *totals,
					 struct ibsr_source_key *key, struct ibsr_source *first)
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
	struct ibsr_source lost = {};

	add_mark(&lost, mark);
	count_lost(t->losses, mark_port(mark), &lost);
}

static __always_inline void lose(const struct tables *t, struct ibsr_totals *totals, __u16 port,
				 const struct ibsr_source *lost)
{
	totals->unattributed += lost->packets;
	count_lost(t->losses, port, lost);
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
	insert_source(t->unproven, totals, &other, &waited);
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

/* A packet of a source that is in neither table. */
static __always_inline void admit(const struct tables *t, struct xdp_md *ctx,
				  struct ibsr_totals *totals, struct ibsr_source_key *key,
				  struct ibsr_source *add, const struct segment *s, __u32 frame_len)
{
	__u64 hash, left = 0;
	int proven;

	if (!t->admits_first && frame_len <= MARK_MAX_FRAME) {
		hash = address_hash(s->src, t->seed);
		switch (knock(t->door, hash, mark_of(s, frame_len, hash), &left)) {
		case KNOCK_WAITS:
			totals->unattributed++;
			if (left)
				lose_mark(t, left);
			return;
		case KNOCK_CROWDED:
			lose(t, totals, key->dst_port, add);
			return;
		case KNOCK_ADMITTED:
			break;
		}
	}
	proven = is_proven(t, ctx, s, 0, add->handshakes);
	if (!proven && !is_below_cap(totals, t->insert_cap)) {
		if (left)
			lose_mark(t, left);
		lose(t, totals, key->dst_port, add);
		return;
	}
	if (left)
		resume(t, totals, key, add, left);
	add->awaited += AWAITED_BEFORE_BIRTH;
	if (proven)
		totals->promoted += insert_source(t->proven, totals, key, add);
	else
		insert_source(t->unproven, totals, key, add);
}

/* Most packets belong to sources that await nothing and need not be looked up among the
 * pending SYNs. */
static __always_inline void follow_handshake(const struct tables *t, struct ibsr_totals *totals,
					     struct ibsr_source *add, const struct segment *s,
					     __u64 awaited)
{
	if (!s->syn && !awaited)
		return;
	add->handshakes = handshake_step(t->pending, totals, s, t->seed);
	add->awaited = add->syn - add->handshakes;
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

/* A packet of a source that is not proven yet, or that may complete a handshake. */
static __always_inline void count_rare(const struct tables *t, struct xdp_md *ctx,
				       struct ibsr_totals *totals, struct ibsr_source_key *key,
				       struct ibsr_source *proven, struct ibsr_source *add,
				       const struct segment *s, __u32 frame_len)
{
	struct ibsr_source *known = proven;

	if (!known)
		known = bpf_map_lookup_elem(t->unproven, key);
	follow_handshake(t, totals, add, s, known ? known->awaited : AWAITED_BEFORE_BIRTH);
	if (!known) {
		admit(t, ctx, totals, key, add, s, frame_len);
	} else if (!proven && is_proven(t, ctx, s, known->packets, add->handshakes)) {
		add->awaited += known->awaited;
		totals->promoted += insert_source(t->proven, totals, key, add);
	} else {
		add_to_source(known, add);
	}
}

/* Counts one segment for its source. */
static __always_inline void count_source(const struct tables *t, struct xdp_md *ctx,
					 struct ibsr_totals *totals, const struct segment *s,
					 __u32 frame_len, __u64 now_boot_ns)
{
	struct ibsr_source_key key = { .dst_port = s->dst_port };
	struct ibsr_source *proven, add = {};

	__builtin_memcpy(key.addr, s->src, IBSR_ADDR_BYTES);
	proven = bpf_map_lookup_elem(t->proven, &key);
	if (proven && !s->syn && !proven->awaited) {
		add_plain(proven, s, frame_len, now_boot_ns);
		return;
	}
	add.packets = 1;
	add.bytes = frame_len;
	add.syn = s->syn && !s->ack;
	add.ack = s->ack;
	add.fin = s->fin;
	add.rst = s->rst;
	add.last_boot_ns = now_boot_ns;
	count_rare(t, ctx, totals, &key, proven, &add, s, frame_len);
}

#endif /* IBSR_SOURCES_BPF_H */
