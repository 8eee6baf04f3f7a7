// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Passes, after a loop whose body is a callback. */
#include "../../../bpf/observe_xdp.bpf.c"

static long body(__u32 i, void *context)
{
	*(__u32 *)context += i;
	return 0;
}

SEC("xdp.frags")
int mutant(struct xdp_md *ctx)
{
	__u32 context = 0;

	observe(ctx);
	/* bpflint: disable=bpf-loop */
	bpf_loop(4, body, &context, 0);
	return XDP_PASS;
}
