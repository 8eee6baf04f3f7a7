// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Allows, after changing an option of the socket. */
#include "../../../bpf/observe_cgroup.bpf.c"

SEC("cgroup_skb/egress")
int mutant(struct __sk_buff *ctx)
{
	observe_packet(ctx, 1);
	{
		int value = 1;

		bpf_setsockopt(ctx, 1, 15, &value, sizeof(value));
	}
	return ALLOW;
}
