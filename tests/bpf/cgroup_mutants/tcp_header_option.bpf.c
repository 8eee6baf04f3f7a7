// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Keeps the answers of others, after reserving room in the header. */
#include "../../../bpf/observe_cgroup.bpf.c"

SEC("sockops")
int mutant(struct bpf_sock_ops *ctx)
{
	observe_tcp(ctx);
	bpf_reserve_hdr_opt(ctx, 4, 0);
	return ALLOW;
}
