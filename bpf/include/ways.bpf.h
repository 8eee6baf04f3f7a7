/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Giving the ways of the set-associative table to sources.
 *
 * It promises: what a source had counted when it is evicted is added to `evicted`, to the
 * packet; a source without a proof never evicts a proven one that sent something within the
 * last minute; a reader of the mapped table can tell when a way changed hands under it; and
 * nobody waits for long: the lock of a set is tried for a bounded number of times, and who
 * does not get it counts the packet as a failed insert.
 */
#ifndef IBSR_WAYS_BPF_H
#define IBSR_WAYS_BPF_H

#include "sets.bpf.h"

/* More than another CPU needs to give a way to a source: a contended try takes longer. */
#define LOCK_TRIES 32

/* What a source is worth falls with the square of its silence, in units of 2^26 ns, 67 ms: a
 * flood that goes on to other addresses soon leaves nothing of worth behind. The shift leaves
 * room for fractions; counts of 2^43 packets do not occur. */
#define SILENCE_LOG2 26
#define WORTH_SHIFT  20
/* A proven source that was heard within this gives way to a proven one only: 2^36 ns, 69 s. */
#define PROTECTED_LOG2	36
#define WORTH_PROTECTED (1ULL << 63)

#define exchange(at, value) __sync_lock_test_and_set(at, value)

static __always_inline int take_lock(struct set_tags *set)
{
#pragma clang loop unroll(disable)
	for (int i = 0; i < LOCK_TRIES; i++) {
		if (!*(volatile __u32 *)&set->lock &&
		    !__sync_val_compare_and_swap(&set->lock, 0, 1))
			return 1;
		/* A pause: reading the clock takes about as long as a line of the cache. */
		bpf_ktime_get_boot_ns();
	}
	return 0;
}

static __always_inline void drop_lock(struct set_tags *set)
{
	exchange(&set->lock, 0);
}

/* Without a branch: each would double what the verifier has to look at, eight times over. */
static __always_inline __u64 worth(const struct ibsr_way *way, __u64 now_boot_ns)
{
	__s64 since_ns = now_boot_ns - way->last_boot_ns;
	__u64 silence_ns = since_ns & ~(since_ns >> 63); /* another CPU may be a tick ahead */
	__u64 silence = silence_ns >> SILENCE_LOG2;
	__u64 is_recent = ((silence_ns >> PROTECTED_LOG2) - 1) >> 63;
	__u64 is_protected = is_recent & way->is_proven;

	return (packets_of(way) << WORTH_SHIFT) / (1 + silence * silence) | is_protected << 63;
}

/* The way of a full set that is given away first, or NO_WAY when none may be. */
static __always_inline __u32 least_worth(const struct ibsr_set *set, __u64 now_boot_ns,
					 int is_proven)
{
	__u64 least = ~0ULL; /* its lowest bits say which way it is */

	for (__u32 i = 0; i < IBSR_SET_WAYS; i++) {
		__u64 of_way = (worth(&set->way[i], now_boot_ns) & ~(__u64)WAY_MASK) | i;

		if (of_way < least)
			least = of_way;
		forget_u64(least);
	}
	return is_proven || least < WORTH_PROTECTED ? least & WAY_MASK : NO_WAY;
}

/*
 * The caller holds the lock. Counters are exchanged, so that a CPU that still counts for the
 * source before is either in what is evicted or in what follows. The tag comes last: until
 * then nobody finds the newcomer.
 */
static __always_inline void give_way(struct ibsr_totals *totals, const struct spot *spot, __u8 tag,
				     const struct ibsr_source_key *key,
				     const struct ibsr_source *first, int is_proven)
{
	struct ibsr_way *way = way_of(spot);
	struct ibsr_way_rare *rare = rare_of(spot);
	__u32 shift = (spot->way & WAY_MASK) * 8;
	__u32 generation = way->generation;

	exchange(&way->generation, generation + 1);
	totals->evicted += exchange(&way->ack, first->ack);
	totals->evicted += exchange(&way->without_ack, first->packets - first->ack);
	exchange(&way->bytes, first->bytes);
	exchange(&way->awaited, (__u32)first->awaited);
	exchange(&rare->syn, first->syn);
	exchange(&rare->handshakes, first->handshakes);
	exchange(&rare->fin, first->fin);
	exchange(&rare->rst, first->rst);
	__builtin_memcpy(way->addr, key->addr, IBSR_ADDR_BYTES);
	way->dst_port = key->dst_port;
	way->is_proven = is_proven;
	way->last_boot_ns = first->last_boot_ns;
	rare->born_boot_ns = bpf_ktime_get_boot_ns();
	exchange(&way->generation, generation + 2);
	spot->tags->tags = (spot->tags->tags & ~(0xffULL << shift)) | ((__u64)tag << shift);
}

/* The caller holds the locks of both sets. Returns 1 for a new entry. */
static __always_inline int settle(struct ibsr_totals *totals, struct spot *spot, __u8 tag,
				  const struct ibsr_source_key *key,
				  const struct ibsr_source *first, int is_proven)
{
	if (spot->way != NO_WAY) {
		add_to_way(spot, first);
		return 0;
	}
	spot->way = is_full(spot->tags) ? least_worth(spot->set, first->last_boot_ns, is_proven)
					: lowest_byte(~spot->tags->tags & EACH_TAKEN);
	if (spot->way == NO_WAY) {
		totals->insert_failed += first->packets;
		return 0;
	}
	give_way(totals, spot, tag, key, first, is_proven);
	totals->inserted++;
	return 1;
}

/* Counts `first` in a new entry, or in the one that another CPU made meanwhile. Returns 1 for a
 * new one. The home is locked first, so two CPUs with one source meet there. */
static __always_inline int insert_into_sets(const struct set_maps *maps, const struct place *at,
					    struct ibsr_totals *totals,
					    const struct ibsr_source_key *key,
					    const struct ibsr_source *first, int is_proven)
{
	struct set_tags *home = bpf_map_lookup_elem(maps->tags, &at->home), *other = NULL;
	__u32 index = at->home;
	struct spot spot;
	int is_new = 0;

	if (!home || !take_lock(home)) {
		totals->insert_failed += first->packets;
		return 0;
	}
	spot = find_in(maps, at->home, at->tag, key);
	if (spot.way == NO_WAY && is_full(home)) {
		other = bpf_map_lookup_elem(maps->tags, &at->other);
		if (other && !take_lock(other))
			other = NULL;
	}
	if (other) {
		const struct spot there = find_in(maps, at->other, at->tag, key);

		if (there.way != NO_WAY || !is_full(other)) {
			spot = there;
			index = at->other;
		}
	}
	spot.set = bpf_map_lookup_elem(maps->sets, &index);
	if (spot.set && spot.tags)
		is_new = settle(totals, &spot, at->tag, key, first, is_proven);
	else
		totals->insert_failed += first->packets;
	if (other)
		drop_lock(other);
	drop_lock(home);
	return is_new;
}

#endif /* IBSR_WAYS_BPF_H */
