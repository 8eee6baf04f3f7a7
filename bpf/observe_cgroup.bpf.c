// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The cgroup sensor. Records what the sockets under one cgroup do, who owns them, and what
 * they exchange with whom. Every program at a hook returns 1, which allows there, and has
 * one exit; the loader proves that on the instructions before it loads them. For TCP's
 * callbacks 1 leaves the answer to the kernel and to other programs.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "ibsr_cgroup_abi.h"
#include "cgroup/maps.bpf.h"
#include "cgroup/packet.bpf.h"
#include "cgroup/process.bpf.h"
#include "cgroup/seed.bpf.h"
#include "cgroup/tcp.bpf.h"

#define ALLOW 1

SEC("cgroup_skb/ingress")
int ibsr_ingress(struct __sk_buff *skb)
{
	observe_packet(skb, 0);
	return ALLOW;
}

SEC("cgroup_skb/egress")
int ibsr_egress(struct __sk_buff *skb)
{
	observe_packet(skb, 1);
	return ALLOW;
}

SEC("cgroup/sock_create")
int ibsr_create(struct bpf_sock *ctx)
{
	observe_create(ctx);
	return ALLOW;
}

SEC("cgroup/sock_release")
int ibsr_release(struct bpf_sock *ctx)
{
	observe_release(ctx);
	return ALLOW;
}

SEC("cgroup/bind4")
int ibsr_bind4(struct bpf_sock_addr *ctx)
{
	observe_bind(ctx);
	return ALLOW;
}

SEC("cgroup/bind6")
int ibsr_bind6(struct bpf_sock_addr *ctx)
{
	observe_bind(ctx);
	return ALLOW;
}

SEC("cgroup/post_bind4")
int ibsr_bound4(struct bpf_sock *ctx)
{
	struct local local = { .port = ctx->src_port };

	mapped(local.addr, ctx->src_ip4);
	observe_bound(ctx, &local);
	return ALLOW;
}

SEC("cgroup/post_bind6")
int ibsr_bound6(struct bpf_sock *ctx)
{
	struct local local = { .port = ctx->src_port };

	four_words(local.addr, ctx->src_ip6[0], ctx->src_ip6[1], ctx->src_ip6[2], ctx->src_ip6[3]);
	observe_bound(ctx, &local);
	return ALLOW;
}

SEC("cgroup/connect4")
int ibsr_connect4(struct bpf_sock_addr *ctx)
{
	__u8 addr[16];

	mapped(addr, ctx->user_ip4);
	observe_connect(ctx, addr);
	return ALLOW;
}

SEC("cgroup/connect6")
int ibsr_connect6(struct bpf_sock_addr *ctx)
{
	__u8 addr[16];

	four_words(addr, ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2], ctx->user_ip6[3]);
	observe_connect(ctx, addr);
	return ALLOW;
}

SEC("cgroup/sendmsg4")
int ibsr_sendmsg4(struct bpf_sock_addr *ctx)
{
	observe_send(ctx);
	return ALLOW;
}

SEC("cgroup/sendmsg6")
int ibsr_sendmsg6(struct bpf_sock_addr *ctx)
{
	observe_send(ctx);
	return ALLOW;
}

SEC("cgroup/getpeername4")
int ibsr_peername4(struct bpf_sock_addr *ctx)
{
	observe_peername(ctx);
	return ALLOW;
}

SEC("cgroup/getpeername6")
int ibsr_peername6(struct bpf_sock_addr *ctx)
{
	observe_peername(ctx);
	return ALLOW;
}

SEC("sockops")
int ibsr_tcp(struct bpf_sock_ops *ctx)
{
	observe_tcp(ctx);
	return ALLOW;
}

/* Run once by the loader; 0 goes on with the next file. */
SEC("iter/task_file")
int ibsr_adopt(struct bpf_iter__task_file *ctx)
{
	observe_file(ctx);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
