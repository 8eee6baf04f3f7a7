// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The floor: what picks senders and does nothing else. With GEN_FRAME it is the empty program.
 */
#include "generator.bpf.h"

SEC("xdp.frags")
int bench_run(struct xdp_md *ctx)
{
	pick(ctx);
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
