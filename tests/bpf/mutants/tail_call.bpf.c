// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Passes, unless somebody put another program into a map. */
#include "../../../bpf/observe_xdp.bpf.c"

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__type(key, __u32);
	__type(value, __u32);
	__uint(max_entries, 1);
} mutant_programs SEC(".maps");

SEC("xdp.frags")
int mutant(struct xdp_md *ctx)
{
	observe(ctx);
	bpf_tail_call(ctx, &mutant_programs, 0);
	return XDP_PASS;
}
