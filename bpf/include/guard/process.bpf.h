/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What processes ask for: a peer, a port, a message. It promises that a denial is an errno at
 * once, and that it never changes the address that was asked for.
 */
#ifndef IBSR_GUARD_PROCESS_BPF_H
#define IBSR_GUARD_PROCESS_BPF_H

#include "cgroup/address.bpf.h"
#include "guard/identity.bpf.h"
#include "guard/judge.bpf.h"
#include "guard/learn_name.bpf.h"

static __always_inline void guard_create(struct bpf_sock *ctx)
{
	struct guarded *g =
		bpf_sk_storage_get(&ibsr_g_sockets, ctx, NULL, BPF_SK_STORAGE_GET_F_CREATE);

	if (g)
		own(g, generation_in_use());
}

/* Whether it is the address that stands for this machine itself when it is asked for as a peer. */
static __always_inline int is_unspecified(const __u8 *addr)
{
	const __u32 *word = (const __u32 *)addr;

	if (word[0] | word[1] | word[3])
		return 0;
	return !word[2] || word[2] == bpf_htonl(0xffff);
}

/* What the socket is from now on, when it was allowed to ask. The turn comes last: a packet that
 * meets half of this keeps a verdict that is of the turn before. */
static __always_inline void note_allowed(struct guarded *g, struct bpf_sock *sk,
					 const struct trial *trial)
{
	if (trial->hook == IBSR_GUARD_CONNECT) {
		g->is_connected = 1;
		g->is_established = 0;
		keep_name(sk, trial->query.addr, trial->name);
	} else if (trial->hook == IBSR_GUARD_BINDING) {
		g->is_bound = trial->query.port != 0;
	}
	if (trial->hook != IBSR_GUARD_BINDING && trial->query.port == DNS_PORT)
		g->has_asked = 1;
	g->turn++;
}

/* Judges what is asked with an address. An error, or 0 to allow. */
static __always_inline __u32 guard_address(struct bpf_sock_addr *ctx, const __u8 *addr, __u32 hook,
					   __u8 direction)
{
	struct ibsr_guard_counts *counts = counts_of(hook);
	struct trial trial = {
		.generation = generation_in_use(),
		.hook = hook,
		.query.port = bpf_ntohs(ctx->user_port),
		.query.protocol = ctx->protocol,
		.query.direction = direction,
	};
	struct bpf_sock *sk = ctx->sk;
	struct guarded fallback = {}, *g = NULL;
	__u64 verdict;
	__u32 error;

	if (!counts)
		return 0;
	if (sk)
		g = bpf_sk_storage_get(&ibsr_g_sockets, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (!g)
		g = &fallback;
	own(g, trial.generation);
	__builtin_memcpy(trial.query.addr, addr, sizeof(trial.query.addr));
	if (hook != IBSR_GUARD_BINDING) {
		if (is_unspecified(addr))
			mapped(trial.query.addr, bpf_htonl(INADDR_LOOPBACK));
		trial.name = name_of(trial.query.addr);
	}
	trial.query.exe = g->exe;
	trial.query.uid = g->uid;
	trial.query.cgroup_id = g->cgroup_id;
	trial.socket = bpf_get_socket_cookie(ctx);
	error = judge(&trial, 1, counts, &verdict);
	if (!error)
		note_allowed(g, sk, &trial);
	return error;
}

/* bpf_set_retval() with its argument as wide as a register: 7.3 wants to see that it is an
 * error, and the negative number of an int is none before it is widened. */
static long (*const set_retval)(long retval) = (void *)BPF_FUNC_set_retval;

/* What the hook returns: 1 allows; with 0 the call fails with the error of the rule. */
static __always_inline int refuse(__u64 error)
{
	if (!ibsr_may_enforce || !error)
		return 1;
	if (error <= CACHED_ERROR)
		set_retval(-(long)error);
	return 0;
}

static __always_inline int guard4(struct bpf_sock_addr *ctx, __u32 hook, __u8 direction)
{
	__u8 addr[16];

	mapped(addr, ctx->user_ip4);
	return refuse(guard_address(ctx, addr, hook, direction));
}

static __always_inline int guard6(struct bpf_sock_addr *ctx, __u32 hook, __u8 direction)
{
	__u8 addr[16];

	four_words(addr, ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2], ctx->user_ip6[3]);
	return refuse(guard_address(ctx, addr, hook, direction));
}

#endif /* IBSR_GUARD_PROCESS_BPF_H */
