// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Puts generated frames on a wire: each live frame of a test run leaves through gen_ifindex.
 */
#include "generator.bpf.h"

/* The interface that frames leave through, in the namespace of the run. */
const volatile __u32 gen_ifindex;

SEC("xdp.frags")
int bench_run(struct xdp_md *ctx)
{
	pick(ctx);
	return bpf_redirect(gen_ifindex, 0);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
