/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Sockets that are older than the attachment: the loader has the kernel walk all open files
 * once, after the other programs are attached. It promises to touch only sockets under the
 * cgroup, and only those of which no owner is known yet. A socket that several processes hold
 * is taken for that of the first one that the walk meets.
 */
#ifndef IBSR_CGROUP_SEED_BPF_H
#define IBSR_CGROUP_SEED_BPF_H

#include "cgroup/address.bpf.h"
#include "cgroup/flows.bpf.h"
#include "cgroup/owner.bpf.h"
#include "cgroup/socket.bpf.h"

/* Id of the cgroup of the attachment. Effect: which sockets are seeded. Default: none, the
 * loader sets it. Cost: none. */
const volatile __u64 ibsr_cgroup_id;

/* Cgroups between a socket's and the one of the attachment that are looked at. */
#define MAX_CGROUP_DEPTH 16

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct bpf_iter__task_file {
	struct task_struct *task;
	struct file *file;
};

struct net {
	__u64 net_cookie;
};

struct sock_common___seed {
	unsigned short skc_family;
	unsigned char skc_state;
	__u32 skc_daddr, skc_rcv_saddr;
	__be16 skc_dport;
	__u16 skc_num;
	struct {
		struct {
			__u32 u6_addr32[4];
		} in6_u;
	} skc_v6_daddr, skc_v6_rcv_saddr;
	struct {
		struct net *net;
	} skc_net;
};

struct sock___seed {
	struct sock_common___seed __sk_common;
	__u16 sk_protocol;
	struct {
		struct cgroup *cgroup;
	} sk_cgrp_data;
};

struct socket___seed {
	struct sock___seed *sk;
};

#pragma clang attribute pop

static __always_inline int is_under_cgroup(const struct cgroup *cgroup)
{
	const struct cgroup_subsys_state *css;

	for (int depth = 0; depth < MAX_CGROUP_DEPTH; depth++) {
		struct kernfs_node *node = cgroup ? cgroup->kn : NULL;

		if (!node)
			return 0;
		if (node->id == ibsr_cgroup_id)
			return 1;
		css = cgroup->self.parent;
		cgroup = css ? css->cgroup : NULL;
	}
	return 0;
}

static __always_inline void copy_v6(__u8 *to, const __u32 *from)
{
	four_words(to, from[0], from[1], from[2], from[3]);
}

static __always_inline void seed_ends(struct socket *s, struct local *local,
				      const struct sock_common___seed *common)
{
	if (common->skc_family == AF_INET6) {
		copy_v6(s->key.remote_addr, common->skc_v6_daddr.in6_u.u6_addr32);
		copy_v6(local->addr, common->skc_v6_rcv_saddr.in6_u.u6_addr32);
	} else {
		mapped(s->key.remote_addr, common->skc_daddr);
		mapped(local->addr, common->skc_rcv_saddr);
	}
	s->key.remote_port = bpf_ntohs(common->skc_dport);
	local->port = common->skc_num;
	s->key.holder = s->owner;
	s->direction = IBSR_DIRECTION_UNKNOWN;
}

static __always_inline void begin_seeded(struct socket *s, const struct sock___seed *sk,
					 struct ibsr_cgroup_totals *totals, __u64 cookie)
{
	const struct sock_common___seed *common = &sk->__sk_common;
	struct net *net = common->skc_net.net;
	struct cgroup *cgroup = sk->sk_cgrp_data.cgroup;
	struct kernfs_node *node = cgroup ? cgroup->kn : NULL;
	const struct identity id = {
		.cookie = cookie,
		.netns_cookie = net ? net->net_cookie : 0,
		.cgroup_id = node ? node->id : 0,
		.family = common->skc_family,
		.protocol = sk->sk_protocol,
	};
	struct local local = {};
	struct ibsr_flow *flow;
	__u8 state = common->skc_state;

	shared_add(&totals->adopted, 1);
	begin_socket(s, &id);
	seed_ends(s, &local, common);
	if (!common->skc_dport)
		forget_remote(s);
	if (sk->sk_protocol == IPPROTO_TCP && state == BPF_TCP_LISTEN)
		set_phase(s, SOCKET_LISTENS);
	if (!local.port)
		return;
	flow = socket_flow(s, totals);
	if (!flow)
		return;
	name_local(flow, &local);
	if (sk->sk_protocol == IPPROTO_TCP)
		flow->tcp_state = state;
}

/* Whoever has the socket open owns it, also in a row that a packet has begun. */
static __always_inline void seed_owner(struct socket *s, const struct task_struct *task,
				       struct ibsr_cgroup_totals *totals)
{
	__u64 owner = owner_of(task, 0, totals);
	struct ibsr_flow *flow;

	s->owner = owner;
	s->learned = owner ? IBSR_LEARNED_SEEDED : IBSR_LEARNED_NOWHERE;
	if (s->phase == SOCKET_NEW)
		return;
	flow = bpf_map_lookup_elem(&ibsr_flows, &s->key);
	if (!flow || flow->owner)
		return;
	flow->owner = owner;
	flow->learned = s->learned;
}

static __always_inline void observe_file(struct bpf_iter__task_file *ctx)
{
	struct ibsr_cgroup_totals *totals = only_entry(&ibsr_cg_totals);
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct socket___seed *sock;
	struct sock___seed *sk;
	struct socket *s;
	__u16 family;

	if (!totals || !task || !file)
		return;
	sock = (void *)bpf_sock_from_file(file);
	sk = sock ? sock->sk : NULL;
	if (!sk)
		return;
	family = sk->__sk_common.skc_family;
	if ((family != AF_INET && family != AF_INET6) || !is_under_cgroup(sk->sk_cgrp_data.cgroup))
		return;
	s = bpf_sk_storage_get(&ibsr_sockets, (void *)sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (!s || s->owner)
		return;
	seed_owner(s, task, totals);
	if (s->owner)
		shared_add(&totals->seeded, 1);
	if (s->phase == SOCKET_NEW)
		begin_seeded(s, sk, totals, bpf_get_socket_cookie((void *)sk));
}

#endif /* IBSR_CGROUP_SEED_BPF_H */
