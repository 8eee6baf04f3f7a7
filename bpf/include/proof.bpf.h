/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Whether the address of a segment is real. No count of its own packets can show that; a
 * connection of this host that got beyond its handshake does, for the peer has answered
 * there. It promises to hold no reference when it returns, and never says yes for a SYN.
 */
#ifndef IBSR_PROOF_BPF_H
#define IBSR_PROOF_BPF_H

#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include "ibsr_abi.h"
#include "parse.bpf.h"

/* States that only a peer that answered can reach. SYN_SENT, SYN_RECV, NEW_SYN_RECV, LISTEN
 * and CLOSE are not among them. */
#define ANSWERED_STATES                                                                            \
	((1 << BPF_TCP_ESTABLISHED) | (1 << BPF_TCP_FIN_WAIT1) | (1 << BPF_TCP_FIN_WAIT2) |        \
	 (1 << BPF_TCP_TIME_WAIT) | (1 << BPF_TCP_CLOSE_WAIT) | (1 << BPF_TCP_LAST_ACK) |          \
	 (1 << BPF_TCP_CLOSING))
#define MAX_STATE 31

/* An unproven source is asked about at each of its first packets, then whenever their number
 * is a power of two: one that never gets a connection costs next to nothing. */
#define ASK_ALWAYS_BELOW 16

static __always_inline int is_v4(const __u8 *addr)
{
	const __u32 *word = (const __u32 *)addr;

	return !word[0] && !word[1] && word[2] == bpf_htonl(0xffff);
}

static __always_inline int has_answered(struct bpf_sock *sk)
{
	__u32 state;

	if (!sk)
		return 0;
	state = sk->state;
	bpf_sk_release(sk);
	return state <= MAX_STATE && ((1U << state) & ANSWERED_STATES);
}

static __always_inline int has_connection(struct xdp_md *ctx, const struct segment *s)
{
	struct bpf_sock_tuple tuple = {};

	if (is_v4(s->src)) {
		tuple.ipv4.saddr = ((const __u32 *)s->src)[3];
		tuple.ipv4.daddr = ((const __u32 *)s->dst)[3];
		tuple.ipv4.sport = bpf_htons(s->src_port);
		tuple.ipv4.dport = bpf_htons(s->dst_port);
		return has_answered(bpf_skc_lookup_tcp(ctx, &tuple, sizeof(tuple.ipv4),
						       BPF_F_CURRENT_NETNS, 0));
	}
	__builtin_memcpy(tuple.ipv6.saddr, s->src, IBSR_ADDR_BYTES);
	__builtin_memcpy(tuple.ipv6.daddr, s->dst, IBSR_ADDR_BYTES);
	tuple.ipv6.sport = bpf_htons(s->src_port);
	tuple.ipv6.dport = bpf_htons(s->dst_port);
	return has_answered(
		bpf_skc_lookup_tcp(ctx, &tuple, sizeof(tuple.ipv6), BPF_F_CURRENT_NETNS, 0));
}

/* `packets` is what the source has sent so far; 0 when it has no entry. */
static __always_inline int is_worth_asking(const struct segment *s, __u64 packets)
{
	if (!s->ack || s->syn || s->rst)
		return 0;
	return packets < ASK_ALWAYS_BELOW || !(packets & (packets - 1));
}

#endif /* IBSR_PROOF_BPF_H */
