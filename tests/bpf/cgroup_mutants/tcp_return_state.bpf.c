// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Returns a value of the connection. */
#include "../../../bpf/observe_cgroup.bpf.c"

SEC("sockops")
int mutant(struct bpf_sock_ops *ctx)
{
	observe_tcp(ctx);
	return ctx->state;
}
