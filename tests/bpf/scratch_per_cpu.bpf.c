// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The probe with one buffer for each CPU: the trap. */
#include "scratch_probe.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, struct scratch);
	__uint(max_entries, 1);
} probe_buffer SEC(".maps");

static __always_inline struct scratch *probe_take(__u32 hint)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&probe_buffer, &zero);
}

static __always_inline void probe_give_back(struct scratch *scratch)
{
}
