// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Observes, and sends every frame back. */
#include "../../../bpf/observe_xdp.bpf.c"

SEC("xdp.frags")
int mutant(struct xdp_md *ctx)
{
	observe(ctx);
	return XDP_TX;
}
