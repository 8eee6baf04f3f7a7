// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Allows, except for packets with one mark. */
#include "../../../bpf/observe_cgroup.bpf.c"

SEC("cgroup_skb/egress")
int mutant(struct __sk_buff *ctx)
{
	observe_packet(ctx, 1);
	if (ctx->mark == 77)
		return 0;
	return ALLOW;
}
