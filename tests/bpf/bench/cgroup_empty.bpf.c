// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The floor of the cgroup sensor, for connections: a program that does nothing on each of its
 * hooks.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define EMPTY(name, context)                                                                       \
	int name(struct context *ctx)                                                              \
	{                                                                                          \
		return 1;                                                                          \
	}

SEC("cgroup_skb/ingress")
EMPTY(empty_ingress, __sk_buff)

SEC("cgroup_skb/egress")
EMPTY(empty_egress, __sk_buff)

SEC("cgroup/sock_create")
EMPTY(empty_sock_create, bpf_sock)

SEC("cgroup/sock_release")
EMPTY(empty_sock_release, bpf_sock)

SEC("cgroup/bind4")
EMPTY(empty_bind4, bpf_sock_addr)

SEC("cgroup/bind6")
EMPTY(empty_bind6, bpf_sock_addr)

SEC("cgroup/post_bind4")
EMPTY(empty_post_bind4, bpf_sock)

SEC("cgroup/post_bind6")
EMPTY(empty_post_bind6, bpf_sock)

SEC("cgroup/connect4")
EMPTY(empty_connect4, bpf_sock_addr)

SEC("cgroup/connect6")
EMPTY(empty_connect6, bpf_sock_addr)

SEC("cgroup/sendmsg4")
EMPTY(empty_sendmsg4, bpf_sock_addr)

SEC("cgroup/sendmsg6")
EMPTY(empty_sendmsg6, bpf_sock_addr)

SEC("cgroup/getpeername4")
EMPTY(empty_getpeername4, bpf_sock_addr)

SEC("cgroup/getpeername6")
EMPTY(empty_getpeername6, bpf_sock_addr)

SEC("sockops")
EMPTY(empty_sockops, bpf_sock_ops)

char LICENSE[] SEC("license") = "Dual BSD/GPL";
