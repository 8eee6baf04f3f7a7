/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What TCP tells of a connection at sock_ops. It promises to leave every answer to the kernel
 * and to other programs: of the callbacks that TCP can make it only asks for more, and never
 * takes one away.
 */
#ifndef IBSR_CGROUP_TCP_BPF_H
#define IBSR_CGROUP_TCP_BPF_H

#include "cgroup/address.bpf.h"
#include "cgroup/flows.bpf.h"
#include "cgroup/owner.bpf.h"
#include "cgroup/socket.bpf.h"

/* Retransmits, and every change of state. */
#define CALLBACKS (BPF_SOCK_OPS_RETRANS_CB_FLAG | BPF_SOCK_OPS_STATE_CB_FLAG)

/* Callbacks that others asked for stay. */
static __always_inline void ask_for_callbacks(struct bpf_sock_ops *ctx)
{
	int wanted = ctx->bpf_sock_ops_cb_flags | CALLBACKS;

	if (wanted != (int)ctx->bpf_sock_ops_cb_flags)
		bpf_sock_ops_cb_flags_set(ctx, wanted);
}

/* Runs in the process that listens. */
static __always_inline void listens(struct socket *s, struct bpf_sock *sk,
				    struct ibsr_cgroup_totals *totals)
{
	struct ibsr_flow *flow;

	shared_add(&totals->listens, 1);
	s->steps |= IBSR_STEP_LISTENED;
	hold(s, current_owner(s->owner, totals), IBSR_LEARNED_LISTEN, totals);
	flow = socket_flow(s, totals);
	if (flow) {
		set_local(flow, sk);
		flow->owner = s->owner;
		flow->learned = s->learned;
		flow->tcp_state = BPF_TCP_LISTEN;
		mark(flow, IBSR_STEP_LISTENED, coarse_boot_ns(totals));
	}
	set_phase(s, SOCKET_LISTENS);
}

/* Runs in the process that connects, when its first SYN is about to be sent. */
static __always_inline void sends_syn(struct socket *s, struct bpf_sock *sk,
				      struct ibsr_cgroup_totals *totals)
{
	struct ibsr_flow *flow;

	shared_add(&totals->syn_sent, 1);
	s->steps |= IBSR_STEP_SYN_SENT;
	follow_remote(s, sk, IBSR_DIRECTION_OUTGOING);
	flow = socket_flow(s, totals);
	if (!flow)
		return;
	set_local(flow, sk);
	flow->tcp_state = BPF_TCP_SYN_SENT;
	mark(flow, IBSR_STEP_SYN_SENT, coarse_boot_ns(totals));
}

/* A connection that came in begins here, as a rule: one insert then says all. */
static __always_inline int is_accepted(const struct socket *s, const struct bpf_sock *sk,
				       __u64 now_boot_ns, struct ibsr_cgroup_totals *totals)
{
	struct ibsr_flow flow = {
		.established_boot_ns = now_boot_ns,
		.tcp_state = BPF_TCP_ESTABLISHED,
	};

	begin_flow(&flow, &s->key, s, IBSR_DIRECTION_INCOMING, now_boot_ns);
	set_local(&flow, sk);
	return add_flow(&s->key, &flow, totals);
}

static __always_inline void is_established(struct socket *s, struct bpf_sock *sk,
					   struct ibsr_cgroup_totals *totals)
{
	__u64 now_boot_ns = bpf_ktime_get_boot_ns();
	struct ibsr_flow *flow;

	s->steps |= IBSR_STEP_ESTABLISHED;
	if (s->direction == IBSR_DIRECTION_INCOMING) {
		shared_add(&totals->accepted, 1);
		if (is_accepted(s, sk, now_boot_ns, totals))
			return;
	} else {
		shared_add(&totals->established, 1);
	}
	flow = socket_flow(s, totals);
	if (!flow)
		return;
	set_local(flow, sk);
	flow->tcp_state = BPF_TCP_ESTABLISHED;
	flow->established_boot_ns = now_boot_ns;
	mark(flow, IBSR_STEP_ESTABLISHED, now_boot_ns);
}

/* The error that the process will be told, or was. */
static __always_inline __u16 socket_error(struct bpf_sock *sk)
{
	const struct sock *full = (const struct sock *)bpf_skc_to_tcp_sock(sk);

	return full ? full->sk_err : 0;
}

/* The end. What lies between an established connection and its end takes several changes, and
 * each would cost two lookups. */
static __always_inline void closes(struct bpf_sock_ops *ctx, struct socket *s, struct bpf_sock *sk,
				   struct ibsr_cgroup_totals *totals)
{
	int had_sent_syn = ctx->args[0] == BPF_TCP_SYN_SENT;
	__u64 now_boot_ns = bpf_ktime_get_boot_ns();
	struct ibsr_flow *flow;
	__u16 error;

	if (had_sent_syn)
		shared_add(&totals->connect_failed, 1);
	error = socket_error(sk);
	flow = socket_flow(s, totals);
	if (!flow)
		return;
	flow->tcp_state = BPF_TCP_CLOSE;
	flow->closed_boot_ns = now_boot_ns;
	if (error || had_sent_syn) {
		flow->error = error;
		mark(flow, IBSR_STEP_FAILED, now_boot_ns);
	}
	mark(flow, IBSR_STEP_CLOSED, now_boot_ns);
	note_bytes(&s->key, flow, now_boot_ns);
	if (had_sent_syn)
		note_failure(&s->key, s->owner, 1, now_boot_ns);
}

static __always_inline void counts_retransmit(struct bpf_sock_ops *ctx, const struct socket *s,
					      struct ibsr_cgroup_totals *totals)
{
	struct ibsr_flow *flow;

	/* Arguments: sequence number, segments, error. */
	if (ctx->args[2])
		return;
	shared_add(&totals->retransmits, ctx->args[1]);
	flow = socket_flow(s, totals);
	if (flow)
		shared_add(&flow->retransmits, ctx->args[1]);
}

static __always_inline struct socket *tcp_socket(struct bpf_sock_ops *ctx, struct bpf_sock *sk,
						 struct ibsr_cgroup_totals *totals)
{
	struct socket *s = bpf_sk_storage_get(&ibsr_sockets, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);

	if (!s)
		return NULL;
	if (s->phase == SOCKET_NEW) {
		const struct identity id = {
			.cookie = bpf_get_socket_cookie(ctx),
			.netns_cookie = bpf_get_netns_cookie(ctx),
			.family = sk->family,
			.protocol = IPPROTO_TCP,
		};

		shared_add(&totals->adopted, 1);
		begin_socket(s, &id);
		if (sk->state != BPF_TCP_LISTEN)
			follow_remote(s, sk, IBSR_DIRECTION_UNKNOWN);
	} else if (is_unborn(s, sk)) {
		begin_accepted(s, sk, bpf_get_socket_cookie(ctx));
	}
	return s;
}

static __always_inline void observe_tcp(struct bpf_sock_ops *ctx)
{
	struct ibsr_cgroup_totals *totals = only_entry(&ibsr_cg_totals);
	struct bpf_sock *sk;
	struct socket *s;

	switch (ctx->op) {
	case BPF_SOCK_OPS_TCP_LISTEN_CB:
	case BPF_SOCK_OPS_TCP_CONNECT_CB:
	case BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB:
	case BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB:
	case BPF_SOCK_OPS_RETRANS_CB:
		break;
	case BPF_SOCK_OPS_STATE_CB:
		if (ctx->args[1] != BPF_TCP_CLOSE)
			return;
		break;
	default:
		return;
	}
	sk = ctx->sk;
	if (!totals || !sk)
		return;
	s = tcp_socket(ctx, sk, totals);
	if (!s)
		return;
	switch (ctx->op) {
	case BPF_SOCK_OPS_TCP_LISTEN_CB:
		listens(s, sk, totals);
		break;
	case BPF_SOCK_OPS_TCP_CONNECT_CB:
		sends_syn(s, sk, totals);
		ask_for_callbacks(ctx);
		break;
	case BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB:
	case BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB:
		is_established(s, sk, totals);
		ask_for_callbacks(ctx);
		break;
	case BPF_SOCK_OPS_STATE_CB:
		closes(ctx, s, sk, totals);
		break;
	case BPF_SOCK_OPS_RETRANS_CB:
		counts_retransmit(ctx, s, totals);
		break;
	}
}

#endif /* IBSR_CGROUP_TCP_BPF_H */
