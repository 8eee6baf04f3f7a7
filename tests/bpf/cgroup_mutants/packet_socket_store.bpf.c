// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Allows, after a store into the socket. */
#include "../../../bpf/observe_cgroup.bpf.c"

SEC("cgroup_skb/egress")
int mutant(struct __sk_buff *ctx)
{
	observe_packet(ctx, 1);
	{
		struct bpf_sock *sk = ctx->sk;

		if (sk)
			sk->mark = 1;
	}
	return ALLOW;
}
