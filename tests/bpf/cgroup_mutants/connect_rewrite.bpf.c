// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Allows, after changing where to. */
#include "../../../bpf/observe_cgroup.bpf.c"

SEC("cgroup/connect4")
int mutant(struct bpf_sock_addr *ctx)
{
	observe_send(ctx);
	ctx->user_port = 77;
	return ALLOW;
}
