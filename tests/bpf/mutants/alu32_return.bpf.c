// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Passes, minus one bit of the interface number. */
#include "../../../bpf/observe_xdp.bpf.c"

SEC("xdp.frags")
int mutant(struct xdp_md *ctx)
{
	__u32 verdict = XDP_PASS;

	observe(ctx);
	asm volatile("" : "+r"(verdict));
	return verdict - (ctx->ingress_ifindex >> 31);
}
