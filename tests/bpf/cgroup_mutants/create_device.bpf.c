// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Allows, after binding the socket to an interface. */
#include "../../../bpf/observe_cgroup.bpf.c"

SEC("cgroup/sock_create")
int mutant(struct bpf_sock *ctx)
{
	observe_create(ctx);
	ctx->bound_dev_if = 1;
	return ALLOW;
}
