// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Passes, after a call of a kernel function. */
#include "../../../bpf/observe_xdp.bpf.c"

extern int bpf_xdp_metadata_rx_timestamp(const struct xdp_md *ctx, __u64 *stamp) __ksym;

SEC("xdp.frags")
int mutant(struct xdp_md *ctx)
{
	__u64 stamp = 0;

	observe(ctx);
	bpf_xdp_metadata_rx_timestamp(ctx, &stamp);
	return XDP_PASS;
}
