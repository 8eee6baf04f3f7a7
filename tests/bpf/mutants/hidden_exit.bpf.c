// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Passes at its end, but has an exit in the middle that drops. */
#include "../../../bpf/observe_xdp.bpf.c"

SEC("xdp.frags")
int mutant(struct xdp_md *ctx)
{
	observe(ctx);
	if (ctx->rx_queue_index == 7)
		asm volatile("r0 = 1; exit" ::: "r0");
	return XDP_PASS;
}
