/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Memory for what is too large for the stack. One buffer a CPU would not do: a program that
 * runs for a process is interrupted by timers of TCP, which send packets and so run programs
 * of the same hook on the same CPU. So there is a pool, and a slot is taken by
 * compare-and-exchange. It promises that nobody else has the slot until it is given back;
 * whoever finds none goes without and counts that.
 */
#ifndef IBSR_CGROUP_POOL_BPF_H
#define IBSR_CGROUP_POOL_BPF_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

/* On one CPU three programs can be under way at most: a process, a softirq, an interrupt.
 * 64 slots are enough for 21 CPUs at the same instant, 192 KiB. */
#define SCRATCH_SLOTS 64
#define SCRATCH_TRIES 8 /* slots that are tried: each costs a locked instruction */
#define SCRATCH_WORDS 383

struct scratch {
	__u32 is_taken;
	__u32 pad;
	__u64 word[SCRATCH_WORDS];
};

/*
 * The pool. Key: slot. Value: struct scratch. Written and read by this sensor only, by whoever
 * has taken the slot. When all are taken the program goes without. 192 KiB.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct scratch);
	__uint(max_entries, SCRATCH_SLOTS);
	__uint(map_flags, 0);
} ibsr_scratch SEC(".maps");

/* `hint` spreads those who ask at the same time. What is in a slot is somebody's leftover. */
static __always_inline struct scratch *take_scratch(__u32 hint)
{
	for (__u32 attempt = 0; attempt < SCRATCH_TRIES; attempt++) {
		__u32 slot = (hint + attempt) % SCRATCH_SLOTS;
		struct scratch *scratch = bpf_map_lookup_elem(&ibsr_scratch, &slot);

		if (scratch && !__sync_val_compare_and_swap(&scratch->is_taken, 0, 1))
			return scratch;
	}
	return NULL;
}

static __always_inline void give_back(struct scratch *scratch)
{
	__sync_lock_test_and_set(&scratch->is_taken, 0);
}

#endif /* IBSR_CGROUP_POOL_BPF_H */
