/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What processes do with sockets, at the hooks that run in their context. It promises to keep
 * the state of a socket and the steps of its rows, and to change nothing for the socket.
 */
#ifndef IBSR_CGROUP_PROCESS_BPF_H
#define IBSR_CGROUP_PROCESS_BPF_H

#include "cgroup/address.bpf.h"
#include "cgroup/flows.bpf.h"
#include "cgroup/owner.bpf.h"
#include "cgroup/socket.bpf.h"

static __always_inline int is_tracked(const struct socket *s)
{
	return s->key.protocol == IPPROTO_TCP || s->key.protocol == IPPROTO_UDP;
}

static __always_inline void observe_create(struct bpf_sock *ctx)
{
	struct ibsr_cgroup_totals *totals = only_entry(&ibsr_cg_totals);
	struct socket *s =
		bpf_sk_storage_get(&ibsr_sockets, ctx, NULL, BPF_SK_STORAGE_GET_F_CREATE);

	struct identity id = { .cookie = bpf_get_socket_cookie(ctx) };

	if (!totals || !s)
		return;
	id.netns_cookie = bpf_get_netns_cookie(ctx);
	id.cgroup_id = task_cgroup_id(bpf_get_current_task_btf());
	id.family = ctx->family;
	id.protocol = ctx->protocol;
	begin_socket(s, &id);
	s->steps = IBSR_STEP_CREATED;
	if (!is_tracked(s)) {
		shared_add(&totals->created_other, 1);
		return;
	}
	shared_add(&totals->created, 1);
	hold(s, current_owner(s->owner, totals), IBSR_LEARNED_CREATE, totals);
}

/* The row is marked where there is one: a socket that nobody ever used leaves none. */
static __always_inline void observe_release(struct bpf_sock *ctx)
{
	struct ibsr_cgroup_totals *totals = only_entry(&ibsr_cg_totals);
	struct socket *s = bpf_sk_storage_get(&ibsr_sockets, ctx, NULL, 0);
	struct ibsr_flow *flow;
	__u64 now_boot_ns;

	if (!totals || !s || !is_tracked(s))
		return;
	shared_add(&totals->released, 1);
	flow = bpf_map_lookup_elem(&ibsr_flows, &s->key);
	if (!flow)
		return;
	now_boot_ns = bpf_ktime_get_boot_ns();
	flow->closed_boot_ns = now_boot_ns;
	mark(flow, IBSR_STEP_RELEASED, now_boot_ns);
	if (s->direction != IBSR_DIRECTION_OUTGOING)
		return;
	if (s->key.protocol == IPPROTO_UDP)
		note_bytes(&s->key, flow, now_boot_ns);
	else if (!(s->steps & IBSR_STEP_SYN_SENT))
		note_failure(&s->key, s->owner, 0, now_boot_ns);
}

/* The state of a socket that a process uses with an address. */
static __always_inline struct socket *used_socket(struct bpf_sock_addr *ctx, __u8 learned,
						  struct ibsr_cgroup_totals *totals)
{
	struct bpf_sock *sk = ctx->sk;
	struct socket *s;

	if (!sk)
		return NULL;
	s = bpf_sk_storage_get(&ibsr_sockets, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (!s)
		return NULL;
	if (s->phase == SOCKET_NEW) {
		const struct identity id = {
			.cookie = bpf_get_socket_cookie(ctx),
			.netns_cookie = bpf_get_netns_cookie(ctx),
			.cgroup_id = task_cgroup_id(bpf_get_current_task_btf()),
			.family = sk->family,
			.protocol = sk->protocol,
		};

		shared_add(&totals->adopted, 1);
		begin_socket(s, &id);
	}
	if (!is_tracked(s))
		return NULL;
	hold(s, current_owner(s->owner, totals), learned, totals);
	return s;
}

static __always_inline void observe_bind(struct bpf_sock_addr *ctx)
{
	struct ibsr_cgroup_totals *totals = only_entry(&ibsr_cg_totals);

	if (totals && used_socket(ctx, IBSR_LEARNED_BIND, totals))
		shared_add(&totals->binds, 1);
}

/* Runs when bind(2) has found a port. */
static __always_inline void observe_bound(struct bpf_sock *ctx, const struct local *local)
{
	struct ibsr_cgroup_totals *totals = only_entry(&ibsr_cg_totals);
	struct socket *s = bpf_sk_storage_get(&ibsr_sockets, ctx, NULL, 0);
	struct ibsr_flow *flow;

	if (!totals || !s || !is_tracked(s))
		return;
	shared_add(&totals->bound, 1);
	s->steps |= IBSR_STEP_BOUND;
	flow = socket_flow(s, totals);
	if (!flow)
		return;
	name_local(flow, local);
	mark(flow, IBSR_STEP_BOUND, coarse_boot_ns(totals));
}

/* Nearly always the row is new, so that is tried first: it saves two lookups. */
static __always_inline void connects_flow(const struct socket *s, struct ibsr_cgroup_totals *totals)
{
	__u64 now_boot_ns = bpf_ktime_get_boot_ns();
	struct ibsr_flow begun = { .connect_boot_ns = now_boot_ns };
	struct ibsr_flow *flow;

	begin_flow(&begun, &s->key, s, IBSR_DIRECTION_OUTGOING, now_boot_ns);
	if (add_flow(&s->key, &begun, totals)) {
		note_connect(&s->key, s->owner, now_boot_ns);
		return;
	}
	flow = bpf_map_lookup_elem(&ibsr_flows, &s->key);
	if (!flow)
		return;
	flow->connect_boot_ns = now_boot_ns;
	mark(flow, IBSR_STEP_CONNECTED, now_boot_ns);
}

/* To the address that the process named: what other programs make of it shows in the row of
 * the connection that comes of it. */
static __always_inline void observe_connect(struct bpf_sock_addr *ctx, const __u8 *addr)
{
	struct ibsr_cgroup_totals *totals = only_entry(&ibsr_cg_totals);
	struct socket *s;

	if (!totals)
		return;
	s = used_socket(ctx, IBSR_LEARNED_CONNECT, totals);
	if (!s)
		return;
	shared_add(&totals->connects, 1);
	__builtin_memcpy(s->key.remote_addr, addr, sizeof(s->key.remote_addr));
	s->key.remote_port = bpf_ntohs(ctx->user_port);
	s->key.holder = s->owner;
	s->direction = IBSR_DIRECTION_OUTGOING;
	s->steps |= IBSR_STEP_CONNECTED;
	set_phase(s, SOCKET_READY);
	connects_flow(s, totals);
}

static __always_inline void observe_send(struct bpf_sock_addr *ctx)
{
	struct ibsr_cgroup_totals *totals = only_entry(&ibsr_cg_totals);

	if (totals)
		used_socket(ctx, IBSR_LEARNED_SEND, totals);
}

/* accept(2) asks for the peer's address, when the process wants it, as the process that takes
 * the connection. Whoever asks later changes nothing. */
static __always_inline void observe_peername(struct bpf_sock_addr *ctx)
{
	struct ibsr_cgroup_totals *totals = only_entry(&ibsr_cg_totals);
	struct bpf_sock *sk = ctx->sk;
	struct ibsr_flow *flow;
	struct socket *s;

	if (!totals || !sk)
		return;
	s = bpf_sk_storage_get(&ibsr_sockets, sk, NULL, 0);
	if (!s || s->phase != SOCKET_READY || s->key.protocol != IPPROTO_TCP ||
	    s->direction != IBSR_DIRECTION_INCOMING || s->steps & IBSR_STEP_TAKEN)
		return;
	s->steps |= IBSR_STEP_TAKEN;
	shared_add(&totals->taken, 1);
	hold(s, current_owner(s->owner, totals), IBSR_LEARNED_ACCEPT, totals);
	flow = socket_flow(s, totals);
	if (!flow)
		return;
	flow->owner = s->owner;
	flow->learned = s->learned;
	mark(flow, IBSR_STEP_TAKEN, coarse_boot_ns(totals));
}

#endif /* IBSR_CGROUP_PROCESS_BPF_H */
