// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Allows, after a store into the packet. */
#include "../../../bpf/observe_cgroup.bpf.c"

SEC("cgroup_skb/egress")
int mutant(struct __sk_buff *ctx)
{
	observe_packet(ctx, 1);
	{
		void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;

		if (data + 20 <= end)
			*(__u8 *)(data + 8) = 1;
	}
	return ALLOW;
}
