/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The life of a socket's state: begun at socket(2), or when the sensor first meets the
 * socket; copied by the kernel to an accepted connection and begun anew there; changed when
 * another process uses the socket. Two CPUs that begin one state write the same values.
 */
#ifndef IBSR_CGROUP_SOCKET_BPF_H
#define IBSR_CGROUP_SOCKET_BPF_H

#include "cgroup/address.bpf.h"
#include "cgroup/flows.bpf.h"
#include "cgroup/maps.bpf.h"

/* What tells a new socket from all others. */
struct identity {
	__u64 cookie, netns_cookie, cgroup_id;
	__u16 family, protocol;
};

/* An exchange is a full barrier: whoever sees the phase sees everything before it. */
static __always_inline void set_phase(struct socket *s, __u32 phase)
{
	__sync_lock_test_and_set(&s->phase, phase);
}

/* Back to the socket's own row. */
static __always_inline void forget_remote(struct socket *s)
{
	__builtin_memset(s->key.remote_addr, 0, sizeof(s->key.remote_addr));
	s->key.remote_port = 0;
	s->key.holder = 0;
	s->direction = IBSR_DIRECTION_OWN;
}

static __always_inline void begin_socket(struct socket *s, const struct identity *id)
{
	s->key.socket = id->cookie;
	s->key.protocol = id->protocol;
	s->netns_cookie = id->netns_cookie;
	s->cgroup_id = id->cgroup_id;
	s->family = id->family;
	forget_remote(s);
	set_phase(s, SOCKET_READY);
}

/* Points the state at the remote end that the kernel knows. */
static __always_inline void follow_remote(struct socket *s, const struct bpf_sock *sk,
					  __u8 direction)
{
	socket_remote(sk, s->key.remote_addr, &s->key.remote_port);
	s->key.holder = s->owner;
	s->direction = direction;
}

/* A connection that has the copy of its listener's state. */
static __always_inline int is_unborn(const struct socket *s, const struct bpf_sock *sk)
{
	return s->phase == SOCKET_LISTENS && sk->state != BPF_TCP_LISTEN;
}

static __always_inline void begin_accepted(struct socket *s, const struct bpf_sock *sk,
					   __u64 cookie)
{
	s->key.socket = cookie;
	s->steps = 0;
	s->learned = s->owner ? IBSR_LEARNED_LISTENER : IBSR_LEARNED_NOWHERE;
	follow_remote(s, sk, IBSR_DIRECTION_INCOMING);
	set_phase(s, SOCKET_READY);
}

/* From now on `owner` has the socket. What it begins is counted in rows of its own. */
static __always_inline void hold(struct socket *s, __u64 owner, __u8 learned,
				 struct ibsr_cgroup_totals *totals)
{
	if (!owner)
		return;
	if (s->owner && s->owner != owner)
		shared_add(&totals->handovers, 1);
	s->owner = owner;
	s->learned = learned;
}

static __always_inline void set_local(struct ibsr_flow *flow, const struct bpf_sock *sk)
{
	socket_local(sk, flow->local_addr, &flow->local_port);
}

#endif /* IBSR_CGROUP_SOCKET_BPF_H */
