// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The sensor as it ships, behind the generator: its source is included, not copied, and its
 * own entry point is left unloaded.
 */
#include "generator.bpf.h"
#include "../../../bpf/observe_xdp.bpf.c"

SEC("xdp.frags")
int bench_run(struct xdp_md *ctx)
{
	pick(ctx);
	observe(ctx);
	return XDP_PASS;
}
