// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Allows, after changing the answer. */
#include "../../../bpf/observe_cgroup.bpf.c"

SEC("cgroup/getpeername4")
int mutant(struct bpf_sock_addr *ctx)
{
	observe_peername(ctx);
	ctx->user_ip4 = 0;
	return ALLOW;
}
