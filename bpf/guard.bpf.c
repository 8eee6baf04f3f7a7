// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The guard: judges by a policy what the sockets under one cgroup do. The only object that can
 * deny, and only when it was loaded to, is told to, and its lease has not ended. Otherwise it
 * counts and records what it would have denied. A program of the cgroup returns 1 to allow, one
 * of an interface passes packets on with TCX_NEXT.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "guard/packet.bpf.h"
#include "guard/process.bpf.h"
#include "guard/query.bpf.h"

SEC("cgroup/sock_create")
int ibsr_g_create(struct bpf_sock *ctx)
{
	guard_create(ctx);
	return 1;
}

SEC("cgroup/connect4")
int ibsr_g_connect4(struct bpf_sock_addr *ctx)
{
	return guard4(ctx, IBSR_GUARD_CONNECT, IBSR_GUARD_OUT);
}

SEC("cgroup/connect6")
int ibsr_g_connect6(struct bpf_sock_addr *ctx)
{
	return guard6(ctx, IBSR_GUARD_CONNECT, IBSR_GUARD_OUT);
}

SEC("cgroup/sendmsg4")
int ibsr_g_sendmsg4(struct bpf_sock_addr *ctx)
{
	return guard4(ctx, IBSR_GUARD_SENDMSG, IBSR_GUARD_OUT);
}

SEC("cgroup/sendmsg6")
int ibsr_g_sendmsg6(struct bpf_sock_addr *ctx)
{
	return guard6(ctx, IBSR_GUARD_SENDMSG, IBSR_GUARD_OUT);
}

SEC("cgroup/bind4")
int ibsr_g_bind4(struct bpf_sock_addr *ctx)
{
	return guard4(ctx, IBSR_GUARD_BINDING, IBSR_GUARD_BIND);
}

SEC("cgroup/bind6")
int ibsr_g_bind6(struct bpf_sock_addr *ctx)
{
	return guard6(ctx, IBSR_GUARD_BINDING, IBSR_GUARD_BIND);
}

SEC("cgroup_skb/egress")
int ibsr_g_egress(struct __sk_buff *skb)
{
	return guard_packet(skb, IBSR_GUARD_EGRESS);
}

SEC("cgroup_skb/ingress")
int ibsr_g_ingress(struct __sk_buff *skb)
{
	return guard_packet(skb, IBSR_GUARD_INGRESS);
}

SEC("tcx/egress")
int ibsr_g_query(struct __sk_buff *skb)
{
	return guard_query(skb, 0);
}

SEC("tcx/egress")
int ibsr_g_query_lo(struct __sk_buff *skb)
{
	return guard_query(skb, 1);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
