// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The sensor's parser alone: what of its cost is reading headers.
 */
#include "generator.bpf.h"
#include "parse.bpf.h"

SEC("xdp.frags")
int bench_run(struct xdp_md *ctx)
{
	struct segment s = {};
	struct cursor c = {};
	__u32 class;

	pick(ctx);
	c.data = (void *)(long)ctx->data;
	c.data_end = (void *)(long)ctx->data_end;
	c.frame_len = bpf_xdp_get_buff_len(ctx);
	class = parse_frame(&c, &s);
	/* Without a use the compiler drops what nobody reads. */
	asm volatile("" : : "r"(class), "r"(&s) : "memory");
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
