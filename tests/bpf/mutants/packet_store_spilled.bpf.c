// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Passes, after a store through a packet pointer that was kept on the stack. */
#include "../../../bpf/observe_xdp.bpf.c"

SEC("xdp.frags")
int mutant(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	void *volatile kept = data;

	bpf_jiffies64();
	data = kept;
	if (data + 14 <= end)
		*(volatile __u8 *)data = 0;
	observe(ctx);
	return XDP_PASS;
}
