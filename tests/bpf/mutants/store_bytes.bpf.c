// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Passes, after writing to the frame by helper. */
#include "../../../bpf/observe_xdp.bpf.c"

SEC("xdp.frags")
int mutant(struct xdp_md *ctx)
{
	__u32 zero = 0;

	observe(ctx);
	bpf_xdp_store_bytes(ctx, 0, &zero, sizeof(zero));
	return XDP_PASS;
}
