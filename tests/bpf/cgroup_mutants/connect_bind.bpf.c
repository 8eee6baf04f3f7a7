// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Allows, after choosing the local address. */
#include "../../../bpf/observe_cgroup.bpf.c"

struct sockaddr;

SEC("cgroup/connect4")
int mutant(struct bpf_sock_addr *ctx)
{
	observe_send(ctx);
	{
		struct {
			__u16 family, port;
			__u32 addr, zero[2];
		} at = { .family = 2 };

		bpf_bind(ctx, (struct sockaddr *)&at, sizeof(at));
	}
	return ALLOW;
}
