/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Packets of the sockets, the backstop of what the process hooks did not see: sockets that are
 * older than the guard, raw ones, what comes in. It promises to write to no packet. A socket
 * with one peer is judged once for each generation; others packet by packet. What may be DNS is
 * looked at in any case: see strict.bpf.h and learn.bpf.h.
 *
 * The direction is that in which the flow was opened. A connection that was accepted, and what
 * comes in at a listener or at a UDP socket that asked for its port, is `in`; all else is
 * `out`, so that binding a port does not open the way out.
 */
#ifndef IBSR_GUARD_PACKET_BPF_H
#define IBSR_GUARD_PACKET_BPF_H

#include "guard/identity.bpf.h"
#include "guard/judge.bpf.h"
#include "guard/learn.bpf.h"
#include "guard/learn_name.bpf.h"
#include "guard/strict.bpf.h"

/* The query of a socket with one peer. */
static __always_inline void ask_of_socket(struct ibsr_guard_query *query, struct bpf_sock *sk,
					  const struct guarded *g)
{
	__u8 local[16];
	__u16 remote_port, local_port;

	socket_remote(sk, query->addr, &remote_port);
	socket_local(sk, local, &local_port);
	query->protocol = sk->protocol;
	/* Nobody but its own process gives a UDP socket its peer. */
	if (g->is_connected || sk->protocol == IPPROTO_UDP) {
		query->direction = IBSR_GUARD_OUT;
		query->port = remote_port;
	} else {
		query->direction = IBSR_GUARD_IN;
		query->port = local_port;
	}
}

/* The query of a packet; 0 when it cannot be read. */
static __always_inline int ask_of_packet(struct ibsr_guard_query *query, struct __sk_buff *skb,
					 int is_listener, const struct guarded *g, int is_out)
{
	int is_in = is_listener || (!is_out && g->is_bound);
	struct ends ends = {};

	if (!packet_ends(skb, &ends, &query->protocol))
		return 0;
	__builtin_memcpy(query->addr, is_out ? ends.dst : ends.src, sizeof(query->addr));
	query->direction = is_in ? IBSR_GUARD_IN : IBSR_GUARD_OUT;
	/* Of what comes in the local port, of what goes out the remote one. */
	query->port = is_in == is_out ? ends.src_port : ends.dst_port;
	return 1;
}

static __always_inline void identify(struct ibsr_guard_query *query, struct __sk_buff *skb,
				     struct guarded *g, __u64 generation)
{
	if (!g->is_owned) {
		g->uid = bpf_get_socket_uid(skb);
		g->is_owned = 1;
	}
	if (g->cgroup_generation != generation) {
		g->cgroup_id = packet_cgroup(skb, generation & 1);
		g->cgroup_generation = generation;
	}
	query->exe = g->exe;
	query->uid = g->uid;
	query->cgroup_id = g->cgroup_id;
}

/* Whether the socket talks to one peer only, which it knows. */
static __always_inline int has_one_peer(const struct bpf_sock *sk)
{
	if (sk->protocol == IPPROTO_TCP)
		return sk->state != BPF_TCP_LISTEN;
	/* The state that UDP gives to a socket with a peer. */
	return sk->protocol == IPPROTO_UDP && sk->state == BPF_TCP_ESTABLISHED;
}

/* By which name the other end was found. */
static __always_inline const struct ibsr_guard_name_key *
packet_name(const struct ibsr_guard_query *query, struct bpf_sock *sk, const struct guarded *g,
	    int is_single)
{
	if (query->direction != IBSR_GUARD_OUT)
		return NULL;
	return is_single && g->is_connected ? kept_name(sk, query->addr) : name_of(query->addr);
}

/* What is known of a packet before it is judged. */
struct sighting {
	__u16 hook; /* enum ibsr_guard_hook */
	__u8 asks;  /* enum asking */
	__u8 is_dns;
};

/* Of UDP the first of them is the state of a socket with a peer. */
#define PAST_HANDSHAKE                                                                             \
	(1U << BPF_TCP_ESTABLISHED | 1U << BPF_TCP_FIN_WAIT1 | 1U << BPF_TCP_FIN_WAIT2 |           \
	 1U << BPF_TCP_CLOSE_WAIT | 1U << BPF_TCP_LAST_ACK | 1U << BPF_TCP_CLOSING)

static __always_inline int is_past_handshake(const struct bpf_sock *sk)
{
	__u32 state = sk->state;

	return state <= BPF_TCP_CLOSING && PAST_HANDSHAKE >> state & 1;
}

/* Notes the first packet of a connection that stands: its other end is a peer, and what was
 * decided about the SYN is decided anew. */
static __always_inline void note_established(struct bpf_sock *sk, struct guarded *g)
{
	__u8 remote[16];
	__u16 port;
	__u64 now;

	if (g->is_established || sk->protocol != IPPROTO_TCP || !is_past_handshake(sk))
		return;
	now = bpf_ktime_get_boot_ns();
	socket_remote(sk, remote, &port);
	bpf_map_update_elem(&ibsr_g_peers, remote, &now, BPF_ANY);
	g->is_established = 1;
	g->turn++;
}

/* What is accepted begins as a copy of its listener: forgets the peer that this one may have asked
 * for before it listened. */
static __always_inline void note_listener(struct guarded *g)
{
	g->is_connected = 0;
	g->is_established = 0;
	g->cached = 0;
}

/* Of which policy, and of which of the peers that the socket has had, a verdict is. */
static __always_inline __u64 issue(const struct guarded *g, __u64 generation)
{
	return (__u64)(__u32)generation << CACHED_GEN_BIT | (__u64)g->turn << CACHED_TURN_BIT;
}

static __always_inline int is_issue(__u64 cached, __u64 issue)
{
	return cached >> CACHED_TURN_BIT == issue >> CACHED_TURN_BIT;
}

/* Whether the policy in use lets packets of the socket pass and no DNS is expected in them.
 * Nearly every packet is of such a socket: this is all that it costs. */
static __always_inline int is_settled(const struct bpf_sock *sk, const struct guarded *g,
				      __u64 cached, __u64 generation)
{
	return cached & CACHED_SETTLED && is_issue(cached, issue(g, generation)) &&
	       is_past_handshake(sk);
}

/* A verdict that is known, about the one peer of a socket. */
static __always_inline __u32 carry_out_cached(struct bpf_sock *sk, __u64 verdict,
					      struct ibsr_guard_counts *counts)
{
	__u8 remote[16] = {};
	__u16 port;

	/* Only a denial asks for it. */
	if (verdict >> CACHED_ERROR_BIT & CACHED_ERROR)
		socket_remote(sk, remote, &port);
	return carry_out_to(remote, verdict, counts);
}

/* What to keep of a verdict about a socket with one peer. What changed meanwhile is told by the
 * issue, which is older. */
static __always_inline __u64 settle(const struct bpf_sock *sk, __u64 verdict, __u64 issue,
				    int is_dns)
{
	if (!is_dns && !(verdict >> CACHED_ERROR_BIT & CACHED_ERROR) && is_past_handshake(sk))
		verdict |= CACHED_SETTLED;
	return verdict | issue;
}

/* Denies a packet of which DNS cannot be read. An error, or 0 to allow. This and the next have
 * frames of their own: what reads DNS needs the room at another time. */
static __attribute__((noinline)) __u32 deny_hidden(struct __sk_buff *skb, struct guarded *g,
						   struct ibsr_guard_counts *counts)
{
	struct trial trial = { .generation = generation_in_use(), .hook = IBSR_GUARD_EGRESS };

	trial.socket = bpf_get_socket_cookie(skb);
	identify(&trial.query, skb, g, trial.generation);
	return deny_strictly(skb, &trial, g, counts);
}

/* Judges a packet, and keeps the verdict when it is about the one peer of a socket. An error, or
 * 0 to allow. */
static __attribute__((noinline)) __u32 judge_packet(struct __sk_buff *skb, struct bpf_sock *sk,
						    struct guarded *g,
						    struct ibsr_guard_counts *counts,
						    const struct sighting *seen)
{
	struct trial trial = { .generation = generation_in_use(), .hook = seen->hook };
	__u64 as_of = issue(g, trial.generation), verdict = 0;
	int is_single = has_one_peer(sk);
	__u32 error;

	if (is_single) {
		ask_of_socket(&trial.query, sk, g);
	} else if (!ask_of_packet(&trial.query, skb,
				  sk->state == BPF_TCP_LISTEN && sk->protocol == IPPROTO_TCP, g,
				  seen->hook == IBSR_GUARD_EGRESS)) {
		let_pass(CACHED_UNJUDGED, counts);
		return 0;
	}
	/* What is asked over a connection that stands is judged all the same. */
	trial.is_established = g->is_established && seen->asks != ASKS_NAME;
	trial.socket = bpf_get_socket_cookie(skb);
	identify(&trial.query, skb, g, trial.generation);
	trial.name = seen->asks == ASKS_NAME ? said_name(sk)
					     : packet_name(&trial.query, sk, g, is_single);
	error = judge(&trial, 0, counts, &verdict);
	if (is_single && seen->asks != ASKS_NAME)
		g->cached = settle(sk, verdict, as_of, seen->is_dns);
	return error;
}

/* All that a packet can need. 1 to pass, 0 to drop. A function of its own, so that what settled
 * packets run stays small. */
static __attribute__((noinline)) int weigh_packet(struct __sk_buff *skb, struct bpf_sock *sk,
						  struct guarded *g,
						  struct ibsr_guard_counts *counts, __u32 hook)
{
	struct sighting seen = { .hook = hook, .is_dns = may_ask(sk, g) };
	__u64 generation = generation_in_use();
	int is_single = has_one_peer(sk);
	__u32 error;

	if (is_single)
		note_established(sk, g);
	else if (sk->protocol == IPPROTO_TCP)
		note_listener(g);
	if (hook == IBSR_GUARD_EGRESS && seen.is_dns)
		seen.asks = ibsr_g_ask(skb, generation & 1);
	if (seen.asks == ASKS_HIDDEN)
		error = deny_hidden(skb, g, counts);
	else if (is_single && seen.asks != ASKS_NAME && g->cached &&
		 is_issue(g->cached, issue(g, generation)))
		error = carry_out_cached(sk, g->cached, counts);
	else
		error = judge_packet(skb, sk, g, counts, &seen);
	if (ibsr_may_enforce && error)
		return 0;
	if (hook == IBSR_GUARD_INGRESS && seen.is_dns)
		ibsr_g_hear(skb, generation & 1);
	return 1;
}

/* 1 to pass, 0 to drop. */
static __always_inline int guard_packet(struct __sk_buff *skb, __u32 hook)
{
	struct ibsr_guard_counts *counts = counts_of(hook);
	struct bpf_sock *sk = skb->sk;
	struct guarded *g;
	__u64 cached;

	if (!counts)
		return 1;
	/* There is none for a socket that is only half there: it was judged by its listener, or
	 * ends. */
	g = sk ? bpf_sk_storage_get(&ibsr_g_sockets, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE) : NULL;
	cached = g ? g->cached : 0;
	if (g && is_settled(sk, g, cached, generation_in_use())) {
		let_pass(cached & (CACHED_EXEMPT | CACHED_UNJUDGED), counts);
		return 1;
	}
	sk = g ? bpf_sk_fullsock(sk) : NULL;
	if (!sk) {
		let_pass(CACHED_EXEMPT, counts);
		return 1;
	}
	return weigh_packet(skb, sk, g, counts, hook);
}

#endif /* IBSR_GUARD_PACKET_BPF_H */
