// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Passes, unless a classic packet load ends it. */
#include "../../../bpf/observe_xdp.bpf.c"

SEC("xdp.frags")
int mutant(struct xdp_md *ctx)
{
	int verdict;

	observe(ctx);
	asm volatile("r6 = %1; r0 = *(u8 *)skb[12]; %0 = r0"
		     : "=r"(verdict)
		     : "r"(ctx)
		     : "r0", "r1", "r2", "r3", "r4", "r5", "r6");
	return XDP_PASS;
}
