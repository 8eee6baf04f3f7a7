/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The doorkeeper: the first packet of an address waits here, and the second admits the
 * address. A spoofed flood is made of first packets, so it never reaches a source table,
 * where an insert costs several times what a packet may.
 *
 * What waits is kept whole in 8 bytes, so that it can be charged to its source later, and
 * beside it what its handshake needs: a flood of SYNs touches one cache line a packet. It
 * promises that a packet that waits is given back once or counted as lost once, whatever
 * other CPUs do, and constant cost: one cache line.
 *
 * Two slots for each address, for two steady sources that share one would keep each other
 * out for ever. The hash is seeded: 19 bits pick the slots and 26 more tell addresses apart,
 * so one pair of 2^45 is taken for one another, and then costs one misplaced packet.
 */
#ifndef IBSR_DOOR_BPF_H
#define IBSR_DOOR_BPF_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "ibsr_abi.h"
#include "parse.bpf.h"

/* A mark: 26 bits of tag, port, frame length, flags, then: */
#define MARK_ADMITTED	 (1ULL << 62) /* the address is known, nothing waits */
#define MARK_TAKEN	 (1ULL << 63) /* never 0, which is an empty slot */
#define MARK_TAG	 ((1ULL << 26) - 1)
#define MARK_PORT_SHIFT	 26
#define MARK_LEN_SHIFT	 42
#define MARK_SYN	 (1ULL << 58)
#define MARK_ACK	 (1ULL << 59)
#define MARK_FIN	 (1ULL << 60)
#define MARK_RST	 (1ULL << 61)
#define MARK_MAX_FRAME	 0xffff /* a longer frame cannot wait: it is admitted at once */
#define DOOR_BUCKETS	 (IBSR_DOOR_SLOTS / IBSR_DOOR_WAYS)
#define DOOR_TAG_SHIFT	 32 /* into the hash; its lower bits pick the bucket */
#define DOOR_VICTIM_BIT	 63
#define DOOR_MAX_RETRIES 3

struct door_slot {
	__u64 mark;
	__u64 pending; /* of a SYN, what handshake.bpf.h keeps of it; else not used */
};

struct door_bucket {
	struct door_slot slot[IBSR_DOOR_WAYS];
};

static __always_inline __u64 mark_of(const struct segment *s, __u32 frame_len, __u64 hash)
{
	__u64 mark = MARK_TAKEN | ((hash >> DOOR_TAG_SHIFT) & MARK_TAG);

	mark |= (__u64)s->dst_port << MARK_PORT_SHIFT;
	mark |= (__u64)frame_len << MARK_LEN_SHIFT;
	mark |= s->syn ? MARK_SYN : 0;
	mark |= s->ack ? MARK_ACK : 0;
	mark |= s->fin ? MARK_FIN : 0;
	mark |= s->rst ? MARK_RST : 0;
	return mark;
}

/* 1 or 0, without a branch: in a flood nobody could predict it. */
static __always_inline __u64 is_taken_by_same(__u64 mark, __u64 mine)
{
	__u64 difference = (mark ^ mine) & MARK_TAG;

	return (difference - 1) >> 63 & mark / MARK_TAKEN;
}

static __always_inline __u16 mark_port(__u64 mark)
{
	return mark >> MARK_PORT_SHIFT;
}

static __always_inline __u64 mark_length(__u64 mark)
{
	return (mark >> MARK_LEN_SHIFT) & MARK_MAX_FRAME;
}

/* Whether a waiting packet may begin a handshake. */
static __always_inline int is_waiting_syn(__u64 mark)
{
	return (mark & (MARK_SYN | MARK_ACK | MARK_RST)) == MARK_SYN;
}

/* Adds the packet of a mark to `to`. */
static __always_inline void add_mark(struct ibsr_source *to, __u64 mark)
{
	__u64 is_syn = mark / MARK_SYN & ~(mark / MARK_ACK) & 1;

	to->packets += 1;
	to->bytes += mark_length(mark);
	to->syn += is_syn;
	to->awaited += is_syn;
	to->ack += mark / MARK_ACK & 1;
	to->fin += mark / MARK_FIN & 1;
	to->rst += mark / MARK_RST & 1;
}

/* What became of a knock. */
enum knock {
	KNOCK_WAITS,	/* the packet waits */
	KNOCK_ADMITTED, /* the address is known: count the packet */
	KNOCK_CROWDED,	/* other CPUs were faster each time: the packet is lost */
};

/*
 * One packet, `mine`, of an address. `left` is what left the door: with KNOCK_ADMITTED a packet
 * of this address, to be charged to it, with KNOCK_WAITS one of another, which is lost; mark 0
 * for none.
 *
 * Each change is one compare-and-exchange: of two CPUs that want the same mark one gets it,
 * and the other looks again. `pending` follows its mark by some nanoseconds: a CPU that takes
 * the mark in between misses a handshake, and none is made up, for it names the connection.
 */
static __always_inline enum knock knock(void *door, __u64 hash, struct door_slot mine,
					struct door_slot *left)
{
	__u32 index = hash & (DOOR_BUCKETS - 1);
	struct door_bucket *bucket = bpf_map_lookup_elem(door, &index);

	left->mark = 0;
	if (!bucket)
		return KNOCK_CROWDED;
	for (int i = 0; i < DOOR_MAX_RETRIES; i++) {
		__u64 first = *(volatile __u64 *)&bucket->slot[0].mark;
		__u64 second = *(volatile __u64 *)&bucket->slot[1].mark;
		__u64 is_first = is_taken_by_same(first, mine.mark);
		__u64 is_second = is_taken_by_same(second, mine.mark) & ~is_first;
		__u64 gives_way = ~(second / MARK_TAKEN) | hash >> DOOR_VICTIM_BIT;
		__u64 at = is_second | (~is_first & first / MARK_TAKEN & gives_way);
		__u64 is_known = is_first | is_second;
		__u64 seen, put = mine.mark;
		struct door_slot *slot;

		/* The mask last: older verifiers see no bound in what comes before it. */
		barrier_var(at);
		at &= IBSR_DOOR_WAYS - 1;
		slot = &bucket->slot[at];
		seen = at ? second : first;

		if (is_known) {
			if (seen & MARK_ADMITTED)
				return KNOCK_ADMITTED;
			put = (mine.mark & MARK_TAG) | MARK_TAKEN | MARK_ADMITTED;
		}
		left->pending = *(volatile __u64 *)&slot->pending;
		if (__sync_val_compare_and_swap(&slot->mark, seen, put) != seen)
			continue;
		*(volatile __u64 *)&slot->pending = mine.pending;
		if (seen && !(seen & MARK_ADMITTED))
			left->mark = seen;
		return is_known ? KNOCK_ADMITTED : KNOCK_WAITS;
	}
	return KNOCK_CROWDED;
}

#endif /* IBSR_DOOR_BPF_H */
