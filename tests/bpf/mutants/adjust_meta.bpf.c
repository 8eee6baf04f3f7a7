// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Passes, after making room for metadata. */
#include "../../../bpf/observe_xdp.bpf.c"

SEC("xdp.frags")
int mutant(struct xdp_md *ctx)
{
	observe(ctx);
	bpf_xdp_adjust_meta(ctx, -4);
	return XDP_PASS;
}
