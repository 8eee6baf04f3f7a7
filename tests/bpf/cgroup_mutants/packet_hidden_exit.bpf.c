// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Allows at its end, but has an exit in the middle that drops. */
#include "../../../bpf/observe_cgroup.bpf.c"

SEC("cgroup_skb/egress")
int mutant(struct __sk_buff *ctx)
{
	observe_packet(ctx, 1);
	if (ctx->ifindex == 7)
		asm volatile("r0 = 0; exit" ::: "r0");
	return ALLOW;
}
