// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Passes, after a store into a map, or on some queue into the frame. */
#include "../../../bpf/observe_xdp.bpf.c"

SEC("xdp.frags")
int mutant(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ibsr_totals *totals = only_entry(&ibsr_totals);
	volatile __u64 *to = (void *)totals;

	if (!totals || data + 14 > end)
		return XDP_PASS;
	if (ctx->rx_queue_index == 7)
		to = data;
	asm volatile("" : "+r"(to));
	*to = 1;
	return XDP_PASS;
}
