// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Passes every packet, and tells TCP that there is congestion. */
#include "../../../bpf/observe_cgroup.bpf.c"

SEC("cgroup_skb/egress")
int mutant(struct __sk_buff *ctx)
{
	observe_packet(ctx, 1);
	return 3;
}
