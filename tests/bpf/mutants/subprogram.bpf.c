// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Lets a function decide that is not inlined. */
#include "../../../bpf/observe_xdp.bpf.c"

static __attribute__((noinline)) int verdict(struct xdp_md *ctx)
{
	return ctx->rx_queue_index == 7 ? XDP_DROP : XDP_PASS;
}

SEC("xdp.frags")
int mutant(struct xdp_md *ctx)
{
	observe(ctx);
	return verdict(ctx);
}
