/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The set-associative table: an array of sets of eight ways. A source lives in one of two
 * sets that its hash picks: in its home, or, when that was full, in the other. Eight bits of
 * the hash of each source stand apart, eight ways in one word: so few bytes that they stay in
 * a near cache, where a source that is in no set costs nothing more. A known source costs one
 * line of counters beside, and no call.
 *
 * It promises that a source is found by every CPU once it has a way, and that no packet is
 * counted twice or lost, whatever other CPUs do: counters are raised with atomic adds and
 * without a lock. A CPU that found a source just before it was evicted may add its packet to
 * the one that took its place: the kernel's LRU tables have the same race.
 *
 * Nothing here gives a way to a source: see ways.bpf.h.
 */
#ifndef IBSR_SETS_BPF_H
#define IBSR_SETS_BPF_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "hash.bpf.h"
#include "ibsr_abi.h"
#include "map.bpf.h"
#include "parse.bpf.h"

#define WAY_MASK   (IBSR_SET_WAYS - 1)
#define NO_WAY	   IBSR_SET_WAYS
#define EACH_BYTE  0x0101010101010101ULL
#define TAG_TAKEN  0x80 /* the other bits are of the hash; 0: the way is empty */
#define EACH_TAKEN (EACH_BYTE * TAG_TAKEN)

/* What stands apart of a set. */
struct set_tags {
	__u64 tags; /* byte i, from the least significant one, of way i */
	__u32 lock; /* who gives a way away holds it */
	__u32 pad;
};

/* The two maps of the table, of equal length. */
struct set_maps {
	void *tags;
	void *sets;
};

/* Where a source may be. */
struct place {
	__u32 home;
	__u32 other;
	__u8 tag;
};

/* A way of a set. Where `way` is NO_WAY there is none, and `set` may be NULL. */
struct spot {
	struct set_tags *tags;
	struct ibsr_set *set;
	__u32 way;
};

static __always_inline struct place place_of(const struct ibsr_source_key *key, __u64 seed,
					     __u32 set_count)
{
	__u64 hash = source_hash(key, seed);
	struct place at = { .tag = TAG_TAKEN | hash };

	/* A multiplication maps 32 bits to any number of sets, where a mask needs a power of
	 * two. */
	at.home = ((hash >> 32) * set_count) >> 32;
	at.other = ((__u64)(__u32)hash * set_count) >> 32;
	if (at.other == at.home)
		at.other = at.home ? at.home - 1 : set_count - 1;
	return at;
}

static __always_inline int is_full(const struct set_tags *set)
{
	return (set->tags & EACH_TAKEN) == EACH_TAKEN;
}

/* The number of the lowest byte of which bit 7 is set in `bits`, which has no others. */
static __always_inline __u32 lowest_byte(__u64 bits)
{
	return ((((bits & -bits) - 1) & EACH_BYTE) * EACH_BYTE >> 56) - 1;
}

static __always_inline int is_of(const struct ibsr_way *way, const struct ibsr_source_key *key)
{
	const __u64 *a = (const __u64 *)way->addr, *b = (const __u64 *)key->addr;

	return a[0] == b[0] && a[1] == b[1] && way->dst_port == key->dst_port;
}

/*
 * The ways that may be of a source: bit 7 of the byte of each. All eight tags are compared at
 * once: a byte of `differs` is zero where the tag is equal. The lowest such byte is the true
 * one, higher ones may follow from a borrow: those, and a source that happens to have the same
 * tag, cost a look.
 */
static __always_inline __u64 equal_tags(const struct set_tags *set, __u8 tag)
{
	__u64 differs = set->tags ^ (EACH_BYTE * tag);

	return (differs - EACH_BYTE) & ~differs & EACH_TAKEN;
}

/* Looks for a source in the set number `at`. */
static __always_inline struct spot find_in(const struct set_maps *maps, __u32 at, __u8 tag,
					   const struct ibsr_source_key *key)
{
	struct spot spot = { .tags = bpf_map_lookup_elem(maps->tags, &at), .way = NO_WAY };
	__u64 equal;
	__u32 way;

	if (!spot.tags)
		return spot;
	equal = equal_tags(spot.tags, tag);
	if (!equal)
		return spot;
	spot.set = bpf_map_lookup_elem(maps->sets, &at);
	if (!spot.set)
		return spot;
	for (int i = 0; i < IBSR_SET_WAYS && equal; i++) {
		way = lowest_byte(equal);
		forget(way);
		if (is_of(&spot.set->way[way & WAY_MASK], key)) {
			spot.way = way & WAY_MASK;
			break;
		}
		equal &= equal - 1;
	}
	return spot;
}

static __always_inline struct spot find_in_sets(const struct set_maps *maps, const struct place *at,
						const struct ibsr_source_key *key)
{
	const struct spot home = find_in(maps, at->home, at->tag, key);

	if (!home.tags || home.way != NO_WAY || !is_full(home.tags))
		return home;
	return find_in(maps, at->other, at->tag, key);
}

static __always_inline struct ibsr_way *way_of(const struct spot *spot)
{
	return &spot->set->way[spot->way & WAY_MASK];
}

static __always_inline struct ibsr_way_rare *rare_of(const struct spot *spot)
{
	return &spot->set->rare[spot->way & WAY_MASK];
}

static __always_inline void add_to_way(const struct spot *spot, const struct ibsr_source *add)
{
	struct ibsr_way *way = way_of(spot);
	struct ibsr_way_rare *rare = rare_of(spot);

	shared_add(&way->ack, add->ack);
	shared_add(&way->without_ack, add->packets - add->ack);
	shared_add(&way->bytes, add->bytes);
	if (add->awaited)
		__sync_fetch_and_add(&way->awaited, (__u32)add->awaited);
	shared_add(&rare->syn, add->syn);
	shared_add(&rare->handshakes, add->handshakes);
	shared_add(&rare->fin, add->fin);
	shared_add(&rare->rst, add->rst);
	if (way->last_boot_ns != add->last_boot_ns)
		way->last_boot_ns = add->last_boot_ns;
}

static __always_inline __u64 packets_of(const struct ibsr_way *way)
{
	return way->ack + way->without_ack;
}

/* Proven, and no ACK of a handshake is awaited. */
static __always_inline int is_settled(const struct ibsr_way *way)
{
	return way->is_proven && !way->awaited;
}

/* A packet of a settled source. Two atomic adds: packets are counted in two parts of which
 * each takes one. */
static __always_inline void add_plain_to_way(const struct spot *spot, const struct segment *s,
					     __u32 frame_len, __u64 now_boot_ns)
{
	struct ibsr_way *way = way_of(spot);
	struct ibsr_way_rare *rare = rare_of(spot);

	if (s->ack)
		__sync_fetch_and_add(&way->ack, 1);
	else
		__sync_fetch_and_add(&way->without_ack, 1);
	__sync_fetch_and_add(&way->bytes, frame_len);
	shared_add(&rare->fin, s->fin);
	shared_add(&rare->rst, s->rst);
	if (way->last_boot_ns != now_boot_ns)
		way->last_boot_ns = now_boot_ns;
}

#endif /* IBSR_SETS_BPF_H */
