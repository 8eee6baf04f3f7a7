// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Keeps the answers of others, after changing an option of the socket. */
#include "../../../bpf/observe_cgroup.bpf.c"

SEC("sockops")
int mutant(struct bpf_sock_ops *ctx)
{
	observe_tcp(ctx);
	{
		char name[] = "reno";

		bpf_setsockopt(ctx, 6, 13, name, sizeof(name));
	}
	return ALLOW;
}
