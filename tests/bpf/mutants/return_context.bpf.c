// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Observes, and returns something of the context. */
#include "../../../bpf/observe_xdp.bpf.c"

SEC("xdp.frags")
int mutant(struct xdp_md *ctx)
{
	observe(ctx);
	return ctx->rx_queue_index;
}
