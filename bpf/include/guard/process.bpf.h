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

	if (!counts)
		return 0;
	if (sk)
		g = bpf_sk_storage_get(&ibsr_g_sockets, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (!g)
		g = &fallback;
	own(g, trial.generation);
	if (hook == IBSR_GUARD_CONNECT) {
		g->is_connected = 1;
		g->is_established = 0;
	} else if (hook == IBSR_GUARD_BINDING) {
		g->is_bound = ctx->user_port != 0;
	}
	if (hook != IBSR_GUARD_BINDING && ctx->user_port == bpf_htons(DNS_PORT))
		g->has_asked = 1;
	if (hook == IBSR_GUARD_CONNECT)
		trial.name = keep_name(sk, addr);
	else if (hook == IBSR_GUARD_SENDMSG)
		trial.name = name_of(addr);
	g->turn++;
	__builtin_memcpy(trial.query.addr, addr, sizeof(trial.query.addr));
	trial.query.exe = g->exe;
	trial.query.uid = g->uid;
	trial.query.cgroup_id = g->cgroup_id;
	trial.socket = bpf_get_socket_cookie(ctx);
	return judge(&trial, 1, counts, &verdict);
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
