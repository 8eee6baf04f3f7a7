// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Allows, after moving the time at which the packet leaves. */
#include "../../../bpf/observe_cgroup.bpf.c"

SEC("cgroup_skb/egress")
int mutant(struct __sk_buff *ctx)
{
	observe_packet(ctx, 1);
	ctx->tstamp = 0;
	return ALLOW;
}
