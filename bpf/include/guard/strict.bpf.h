/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * DNS that leaves: what is asked over UDP is remembered, what is asked over TCP is put down for
 * the verdict about that segment, and what cannot be read is denied where the policy is strict. A
 * resolver would read more than the guard does out of several messages in one packet, of a
 * message in several, of a question behind a pointer. It promises to deny nothing to loopback and
 * protected addresses, and nothing that goes to another port, besides what hides its port.
 */
#ifndef IBSR_GUARD_STRICT_BPF_H
#define IBSR_GUARD_STRICT_BPF_H

#include <linux/errno.h>
#include <linux/if_ether.h>
#include "guard/ends.bpf.h"
#include "guard/judge.bpf.h"
#include "guard/learn.bpf.h"

#define TCP_LENGTH_BYTES 2U	/* RFC 1035, 4.2.2 */
#define IPV4_PIECE	 0x3fff /* RFC 791: an offset, or more to come */
#define SOCK_RAW	 3	/* <linux/net.h> is not for this side */

/* IPv6 headers that are not walked: behind them no port is read. RFC 7045, 4. */
static __always_inline int hides_port(__u8 next_header)
{
	switch (next_header) {
	case 0:	  /* hop by hop */
	case 43:  /* routing */
	case 44:  /* fragment */
	case 51:  /* authentication */
	case 60:  /* destination options */
	case 135: /* mobility */
	case 139: /* host identity */
	case 140: /* shim6 */
		return 1;
	}
	return 0;
}

/* Whether packets of this socket may be DNS. Of UDP the hooks of the process say it: a socket
 * with a peer may send elsewhere too. */
static __always_inline int may_ask(const struct bpf_sock *sk, const struct guarded *g)
{
	if (sk->type == SOCK_RAW || g->has_asked)
		return 1;
	return sk->dst_port == bpf_htons(DNS_PORT) &&
	       (sk->protocol == IPPROTO_TCP || sk->protocol == IPPROTO_UDP);
}

/* Of a segment: whether one whole message is all that it carries; a segment without any is fine.
 * Bytes before the message, 0 when it is not. */
static __always_inline __u32 tcp_message_at(const struct __sk_buff *skb, __u32 headers)
{
	__u32 bytes = skb->len - headers;
	__u8 length[TCP_LENGTH_BYTES];

	if (bpf_skb_load_bytes(skb, headers, length, sizeof(length)))
		return 0;
	if ((length[0] << 8 | length[1]) + TCP_LENGTH_BYTES != bytes)
		return 0;
	return headers + TCP_LENGTH_BYTES;
}

static __always_inline int is_unreadable(__u32 outcome)
{
	return outcome == OUTCOME(question_joined) || outcome == OUTCOME(question_malformed) ||
	       outcome == OUTCOME(question_count);
}

/* Puts down what a message over TCP asks for. Without memory it is judged without a name. */
static __always_inline void put_down(struct __sk_buff *skb, struct dns_work *w)
{
	struct bpf_sock *sk = skb->sk ? bpf_sk_fullsock(skb->sk) : NULL;
	struct ibsr_guard_name_key *said;

	if (!sk)
		return;
	reverse_name(w);
	said = bpf_sk_storage_get(&ibsr_g_said, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (said)
		*said = w->learned.name;
}

/* Reads a message to port 53: remembers a question to a resolver that is believed, puts down what
 * is asked over TCP. What became of it: nothing yet when that was put down. */
static __always_inline __u32 read_question_out(struct __sk_buff *skb, __u32 slot,
					       const struct ends *ends, int is_tcp)
{
	struct ibsr_dns_totals *totals = only_entry(&ibsr_g_dns);
	int is_kept = !is_tcp && is_believed(slot, ends->dst);
	__u32 headers = segment_header_bytes(skb), outcome = OUTCOME(question_no_slot);
	struct scratch *scratch;

	if (!totals)
		return outcome;
	if (is_tcp) {
		if (headers && skb->len == headers)
			return OUTCOME(question_other); /* no data */
		if (headers)
			headers = tcp_message_at(skb, headers);
	}
	scratch = take_scratch(bpf_get_prandom_u32());
	if (scratch) {
		struct dns_work *w = (struct dns_work *)scratch->word;

		outcome = read_query_behind(skb, w, headers);
		if (!outcome && is_tcp) {
			put_down(skb, w);
		} else if (!outcome) {
			name_server(w, bpf_get_socket_cookie(skb), ends->dst);
			outcome = is_kept ? remember(w) : OUTCOME(asked);
		}
		give_back(scratch);
	}
	if (is_kept)
		count_outcome(totals, 1, outcome);
	return outcome;
}

/* What a packet that leaves is, as far as DNS is concerned. */
enum asking {
	ASKS_NOTHING = 0,
	ASKS_HIDDEN = 1, /* it cannot be read */
	ASKS_NAME = 2,	 /* what it asks for is put down */
};

static __always_inline int asking(struct __sk_buff *skb, __u32 slot, const struct ends *ends,
				  __u8 protocol)
{
	__u32 outcome;
	__u16 piece_be;

	if (skb->protocol == bpf_htons(ETH_P_IPV6)) {
		if (hides_port(protocol))
			return ASKS_HIDDEN;
	} else if (bpf_skb_load_bytes(skb, __builtin_offsetof(struct iphdr, frag_off), &piece_be,
				      sizeof(piece_be))) {
		return ASKS_NOTHING;
	} else if (piece_be & bpf_htons(IPV4_PIECE)) {
		/* Without the first piece, the one with the port, the others are nothing. */
		return ends->dst_port == DNS_PORT ? ASKS_HIDDEN : ASKS_NOTHING;
	}
	if (ends->dst_port != DNS_PORT || (protocol != IPPROTO_TCP && protocol != IPPROTO_UDP))
		return ASKS_NOTHING;
	outcome = read_question_out(skb, slot, ends, protocol == IPPROTO_TCP);
	if (is_unreadable(outcome))
		return ASKS_HIDDEN;
	return outcome ? ASKS_NOTHING : ASKS_NAME;
}

static __always_inline int is_strict(__u32 slot, const __u8 *addr)
{
	const __u32 zero = 0;
	const struct ibsr_guard_policy *policy = TABLE_LOOKUP(ibsr_g_policy, slot, &zero);

	return policy && policy->is_strict && !is_loopback(addr) && !is_protected(slot, addr);
}

/* Reads what leaves and may be DNS. An enum asking; hidden only where strictness denies that. A
 * function that the verifier walks once, by itself: not again for each way in which its caller
 * got there. */
__attribute__((noinline)) int ibsr_g_ask(struct __sk_buff *skb, __u32 slot)
{
	struct ends ends = {};
	__u8 protocol = 0;
	int asks;

	if (!packet_ends(skb, &ends, &protocol))
		return ASKS_NOTHING;
	asks = asking(skb, slot, &ends, protocol);
	if (asks == ASKS_HIDDEN && !is_strict(slot, ends.dst))
		return ASKS_NOTHING;
	return asks;
}

/* Counts what strictness denies, and records the first of each socket and policy. An error, or 0
 * to allow. */
static __always_inline __u32 deny_strictly(struct __sk_buff *skb, struct trial *trial,
					   struct guarded *g, struct ibsr_guard_counts *counts)
{
	const struct ibsr_guard_leaf leaf = {
		.rule = IBSR_GUARD_STRICT_RULE,
		.error = EPERM,
		.action = IBSR_GUARD_DENY,
	};
	struct ends ends = {};
	__u32 error;

	if (packet_ends(skb, &ends, &trial->query.protocol))
		__builtin_memcpy(trial->query.addr, ends.dst, sizeof(ends.dst));
	trial->query.direction = IBSR_GUARD_OUT;
	trial->query.port = ends.dst_port;
	error = carry_out_to(ends.dst, denial(&trial->query, EPERM), counts);
	if (g->strict_noted != (__u32)trial->generation) {
		g->strict_noted = trial->generation;
		record(trial, &leaf, error != 0, 0, counts);
	}
	return error;
}

#endif /* IBSR_GUARD_STRICT_BPF_H */
