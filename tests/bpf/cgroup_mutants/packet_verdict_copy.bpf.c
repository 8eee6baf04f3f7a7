// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Has the packet say what to return, by a copy over the verdict. */
#include "../../../bpf/observe_cgroup.bpf.c"

SEC("cgroup_skb/ingress")
int mutant(struct __sk_buff *ctx)
{
	int verdict = ALLOW;

	observe_packet(ctx, 0);
	bpf_skb_load_bytes(ctx, 0, &verdict, sizeof(verdict));
	return verdict;
}
