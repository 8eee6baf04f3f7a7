/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Takes scratch memory for each packet that leaves, fills it with a number of its own, stays a
 * while, and looks whether all of it is still its own. Whoever includes it says where the
 * memory comes from, by `probe_take` and `probe_give_back`.
 */
#ifndef SCRATCH_PROBE_BPF_H
#define SCRATCH_PROBE_BPF_H

#include "cgroup/pool.bpf.h"

#define STAY 16384 /* turns of an empty loop, some 10 us */

struct {
	__u64 runs, nested, foreign, without;
} probed;

/* How many runs are under way on each CPU. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, 1);
} probe_depth SEC(".maps");

static struct scratch *probe_take(__u32 hint);
static void probe_give_back(struct scratch *scratch);

static __always_inline int is_all(const struct scratch *scratch, __u64 number)
{
	__u64 differs = 0;

	for (int i = 0; i < SCRATCH_WORDS; i++)
		differs |= *(volatile __u64 *)&scratch->word[i] ^ number;
	return !differs;
}

static __always_inline void probe(void)
{
	__u64 number = __sync_fetch_and_add(&probed.runs, 1) + 1;
	struct scratch *scratch = probe_take(number);

	if (!scratch) {
		__sync_fetch_and_add(&probed.without, 1);
		return;
	}
	for (int i = 0; i < SCRATCH_WORDS; i++)
		*(volatile __u64 *)&scratch->word[i] = number;
	for (int i = 0; i < STAY; i++)
		barrier();
	if (!is_all(scratch, number))
		__sync_fetch_and_add(&probed.foreign, 1);
	probe_give_back(scratch);
}

SEC("cgroup_skb/egress")
int probe_egress(struct __sk_buff *skb)
{
	__u32 zero = 0;
	__u64 *depth = bpf_map_lookup_elem(&probe_depth, &zero);

	if (!depth)
		return 1;
	if (__sync_fetch_and_add(depth, 1))
		__sync_fetch_and_add(&probed.nested, 1);
	probe();
	__sync_fetch_and_add(depth, -1);
	return 1;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#endif /* SCRATCH_PROBE_BPF_H */
