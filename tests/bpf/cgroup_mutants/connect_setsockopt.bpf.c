// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Allows, after changing an option of the socket. */
#include "../../../bpf/observe_cgroup.bpf.c"

SEC("cgroup/connect4")
int mutant(struct bpf_sock_addr *ctx)
{
	observe_send(ctx);
	{
		int value = 1;

		bpf_setsockopt(ctx, 1, 9, &value, sizeof(value));
	}
	return ALLOW;
}
