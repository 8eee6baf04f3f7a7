/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The one hash of the sensor. Multiplicative, a few instructions a word: it spreads honest
 * keys, and the seed, random for each load, keeps others from aiming at a slot. It is no
 * cryptographic hash.
 */
#ifndef IBSR_HASH_BPF_H
#define IBSR_HASH_BPF_H

#include <linux/types.h>
#include "ibsr_abi.h"

#define MIX_MULTIPLIER 0x9e3779b97f4a7c15ULL /* 2^64 / golden ratio: Knuth, TAOCP 3, 6.4 */

static __always_inline __u64 mix(__u64 hash, __u64 word)
{
	hash = (hash ^ word) * MIX_MULTIPLIER;
	return hash ^ (hash >> 32);
}

/* The beginning of each hash below: what a packet needs of several of them is computed once. */
static __always_inline __u64 mix_address(const __u8 *addr, __u64 seed)
{
	const __u64 *word = (const __u64 *)addr;

	return mix(mix(seed, word[0]), word[1]);
}

/* The last round has no word of its own: an IPv4 address stands in the upper half of its
 * word, and one round moves it to the lower half only in part. */
static __always_inline __u64 address_hash(const __u8 *addr, __u64 seed)
{
	return mix(mix_address(addr, seed), 0);
}

/* Of an address and a port. */
static __always_inline __u64 source_hash(const struct ibsr_source_key *key, __u64 seed)
{
	return mix(mix_address(key->addr, seed), 1 + (__u64)key->dst_port);
}

#endif /* IBSR_HASH_BPF_H */
