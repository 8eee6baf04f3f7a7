// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Passes, after asking for a redirect that a wrapper could return. */
#include "../../../bpf/observe_xdp.bpf.c"

SEC("xdp.frags")
int mutant(struct xdp_md *ctx)
{
	observe(ctx);
	bpf_redirect(1, 0);
	return XDP_PASS;
}
