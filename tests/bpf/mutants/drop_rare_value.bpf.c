// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Observes, and drops one frame in millions. */
#include "../../../bpf/observe_xdp.bpf.c"

SEC("xdp.frags")
int mutant(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u8 *last = data + 33;

	observe(ctx);
	if (data + 34 <= end && *last == 77)
		return XDP_DROP;
	return XDP_PASS;
}
