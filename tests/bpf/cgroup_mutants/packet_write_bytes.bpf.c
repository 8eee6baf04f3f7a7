// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Allows, after a store into the packet by a helper. */
#include "../../../bpf/observe_cgroup.bpf.c"

SEC("cgroup_skb/egress")
int mutant(struct __sk_buff *ctx)
{
	__u8 byte = 1;

	observe_packet(ctx, 1);
	bpf_skb_store_bytes(ctx, 8, &byte, sizeof(byte), 0);
	return ALLOW;
}
