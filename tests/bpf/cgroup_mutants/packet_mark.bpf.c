// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Allows, after changing the mark that routing may look at. */
#include "../../../bpf/observe_cgroup.bpf.c"

SEC("cgroup_skb/egress")
int mutant(struct __sk_buff *ctx)
{
	observe_packet(ctx, 1);
	ctx->mark = 7;
	return ALLOW;
}
