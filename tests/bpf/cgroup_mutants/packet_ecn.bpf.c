// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Allows, after a congestion mark. */
#include "../../../bpf/observe_cgroup.bpf.c"

SEC("cgroup_skb/egress")
int mutant(struct __sk_buff *ctx)
{
	observe_packet(ctx, 1);
	bpf_skb_ecn_set_ce(ctx);
	return ALLOW;
}
