// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Counts its verdict up in a loop, which may end at any number. */
#include "../../../bpf/observe_xdp.bpf.c"

SEC("xdp.frags")
int mutant(struct xdp_md *ctx)
{
	int verdict = 0;

	observe(ctx);
	for (int i = 0; i < 64; i++) {
		asm volatile("" : "+r"(verdict));
		if ((__u32)verdict == ctx->rx_queue_index)
			break;
		verdict++;
	}
	return verdict;
}
