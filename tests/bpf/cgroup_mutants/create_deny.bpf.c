// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Allows, except for raw sockets. */
#include "../../../bpf/observe_cgroup.bpf.c"

SEC("cgroup/sock_create")
int mutant(struct bpf_sock *ctx)
{
	observe_create(ctx);
	if (ctx->type == 3)
		return 0;
	return ALLOW;
}
