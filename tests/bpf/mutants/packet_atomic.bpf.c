// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Passes, after an atomic addition in the frame. */
#include "../../../bpf/observe_xdp.bpf.c"

SEC("xdp.frags")
int mutant(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;

	observe(ctx);
	if (data + 14 <= end)
		__sync_fetch_and_add((__u64 *)data, 1);
	return XDP_PASS;
}
