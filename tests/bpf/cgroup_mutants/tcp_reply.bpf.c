// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Keeps the answers of others, after one of its own. */
#include "../../../bpf/observe_cgroup.bpf.c"

SEC("sockops")
int mutant(struct bpf_sock_ops *ctx)
{
	observe_tcp(ctx);
	ctx->reply = 1;
	return ALLOW;
}
