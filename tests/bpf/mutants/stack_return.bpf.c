// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Keeps its verdict on the stack, where half of it is overwritten. */
#include "../../../bpf/observe_xdp.bpf.c"

SEC("xdp.frags")
int mutant(struct xdp_md *ctx)
{
	volatile __u64 verdict = XDP_PASS;

	observe(ctx);
	*(volatile __u32 *)&verdict = ctx->rx_queue_index;
	return verdict;
}
