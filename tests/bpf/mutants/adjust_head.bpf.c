// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Passes, after cutting off the Ethernet header. */
#include "../../../bpf/observe_xdp.bpf.c"

SEC("xdp.frags")
int mutant(struct xdp_md *ctx)
{
	observe(ctx);
	bpf_xdp_adjust_head(ctx, 14);
	return XDP_PASS;
}
