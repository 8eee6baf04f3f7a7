/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Ways to touch a map that every program here shares. It promises that a map that
 * cannot be reached costs a count and nothing else, and it never decides anything
 * about a packet.
 */
#ifndef IBSR_MAP_BPF_H
#define IBSR_MAP_BPF_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

/* The single entry of a one-entry array. The verifier wants the NULL test; it cannot fail. */
static __always_inline void *only_entry(void *map)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(map, &zero);
}

/* For entries that several CPUs write. A counter that stays 0 is not touched: a locked
 * add costs about 4 ns and most packets raise three of the counters only. */
static __always_inline void shared_add(__u64 *counter, __u64 amount)
{
	if (amount)
		__sync_fetch_and_add(counter, amount);
}

#endif /* IBSR_MAP_BPF_H */
