// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Passes, after a store into the context. */
#include "../../../bpf/observe_xdp.bpf.c"

SEC("xdp.frags")
int mutant(struct xdp_md *ctx)
{
	observe(ctx);
	ctx->rx_queue_index = 0;
	return XDP_PASS;
}
