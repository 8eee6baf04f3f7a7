// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Passes, after cutting off the end. */
#include "../../../bpf/observe_xdp.bpf.c"

SEC("xdp.frags")
int mutant(struct xdp_md *ctx)
{
	observe(ctx);
	bpf_xdp_adjust_tail(ctx, -4);
	return XDP_PASS;
}
