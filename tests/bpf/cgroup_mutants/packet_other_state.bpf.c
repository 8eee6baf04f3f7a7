// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Allows, after taking away the state of the socket. */
#include "../../../bpf/observe_cgroup.bpf.c"

SEC("cgroup_skb/egress")
int mutant(struct __sk_buff *ctx)
{
	observe_packet(ctx, 1);
	if (ctx->sk)
		bpf_sk_storage_delete(&ibsr_sockets, ctx->sk);
	return ALLOW;
}
