// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Passes, after telling the kernel log of every frame. */
#include "../../../bpf/observe_xdp.bpf.c"

SEC("xdp.frags")
int mutant(struct xdp_md *ctx)
{
	observe(ctx);
	bpf_printk("frame");
	return XDP_PASS;
}
