// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * A second opinion on what passes a cgroup: segments of both directions, by a
 * program that looks at nothing else.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

__u64 counted_packets;

static __always_inline void count(const struct __sk_buff *skb)
{
	__u32 segments = skb->gso_segs;

	__sync_fetch_and_add(&counted_packets, segments ? segments : 1);
}

SEC("cgroup_skb/ingress")
int count_ingress(struct __sk_buff *skb)
{
	count(skb);
	return 1;
}

SEC("cgroup_skb/egress")
int count_egress(struct __sk_buff *skb)
{
	count(skb);
	return 1;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
