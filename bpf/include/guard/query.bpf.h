/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * DNS over UDP, at tcx or clsact egress: the one place of the guard that can write packets. A
 * query is judged as the flow to its resolver with the name that is asked for. One that is
 * denied becomes its own answer and turns back. It promises to judge the queries of the guard's
 * own sockets only, that what it cannot read passes and is counted, that what it does not answer
 * is not changed, and that programs behind it see every packet that passes.
 */
#ifndef IBSR_GUARD_QUERY_BPF_H
#define IBSR_GUARD_QUERY_BPF_H

#include <linux/if_ether.h>
#include "guard/answer.bpf.h"
#include "guard/identity.bpf.h"
#include "guard/judge.bpf.h"

#define IPV4_MORE_FRAGMENTS 0x2000 /* RFC 791 */

/* What a packet is. */
enum query_kind {
	QUERY_NONE = 0,	 /* something else: not counted */
	QUERY_DOUBT = 1, /* to port 53, but not as a query should be */
	QUERY_WHOLE = 2,
};

static __always_inline enum query_kind find_udp(struct __sk_buff *skb, struct query_place *p,
						__u32 ip_bytes, int is_odd)
{
	struct udphdr udp;

	if (bpf_skb_load_bytes_relative(skb, p->l4, &udp, sizeof(udp), BPF_HDR_START_NET))
		return QUERY_NONE;
	if (udp.dest != bpf_htons(DNS_PORT))
		return QUERY_NONE;
	p->port_be = udp.source;
	p->bytes = bpf_ntohs(udp.len);
	/* What is left of the packet is the device's header: Ethernet's, or none. */
	p->l3 = skb->len - ip_bytes;
	if (is_odd || skb->gso_size || p->l4 + p->bytes != ip_bytes || p->bytes < sizeof(udp) ||
	    (p->l3 && p->l3 != ETH_HLEN))
		return QUERY_DOUBT;
	return QUERY_WHOLE;
}

/* An IPv6 header between IP and UDP is not walked; see the strict bits. */
static __always_inline enum query_kind find_query(struct __sk_buff *skb, struct query_place *p)
{
	struct ipv6hdr v6;
	struct iphdr v4;

	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		if (bpf_skb_load_bytes_relative(skb, 0, &v4, sizeof(v4), BPF_HDR_START_NET) ||
		    v4.protocol != IPPROTO_UDP || v4.frag_off & bpf_htons(IPV4_OFFSET_MASK))
			return QUERY_NONE;
		p->is_v4 = 1;
		p->l4 = v4.ihl * 4;
		mapped(p->client, v4.saddr);
		mapped(p->resolver, v4.daddr);
		return find_udp(skb, p, bpf_ntohs(v4.tot_len),
				v4.frag_off & bpf_htons(IPV4_MORE_FRAGMENTS));
	}
	if (skb->protocol != bpf_htons(ETH_P_IPV6) ||
	    bpf_skb_load_bytes_relative(skb, 0, &v6, sizeof(v6), BPF_HDR_START_NET) ||
	    v6.nexthdr != IPPROTO_UDP)
		return QUERY_NONE;
	p->is_v4 = 0;
	p->l4 = sizeof(v6);
	__builtin_memcpy(p->client, &v6.saddr, sizeof(p->client));
	__builtin_memcpy(p->resolver, &v6.daddr, sizeof(p->resolver));
	return find_udp(skb, p, sizeof(v6) + bpf_ntohs(v6.payload_len), 0);
}

/* A question that no other message can be taken for. */
static __always_inline int is_query(const struct __sk_buff *skb, const struct query_place *p,
				    struct asked *a)
{
	return read_asked(skb, p->l3 + p->l4 + sizeof(struct udphdr),
			  p->bytes - sizeof(struct udphdr), a) &&
	       !(ask_header(a, ASK_FLAGS) & (ASK_IS_ANSWER | ASK_OPCODE)) &&
	       ask_header(a, ASK_QUESTIONS) == 1;
}

/* The leaf that decides, NULL for none. What goes to loopback is denied for its name only, never
 * for where it goes: the rule must be another one than without the name. */
static __always_inline const struct ibsr_guard_leaf *
leaf_of_query(const struct trial *trial, const struct ibsr_guard_name_key *name, int is_lo,
	      __u64 *found)
{
	__u32 slot = trial->generation & 1, rule = 0;
	const struct ibsr_guard_leaf *leaf = NULL;

	if (is_protected(slot, trial->query.addr)) {
		*found |= CACHED_EXEMPT;
		return NULL;
	}
	if (trial->generation && is_lo && is_loopback(trial->query.addr)) {
		leaf = verdict(slot, &trial->query, NULL);
		rule = leaf ? leaf->rule : 0;
	}
	if (trial->generation)
		leaf = verdict(slot, &trial->query, name);
	if (!leaf)
		*found |= CACHED_UNJUDGED;
	else if (leaf->action == IBSR_GUARD_ALLOW)
		return leaf;
	else if (is_lo && is_loopback(trial->query.addr) && leaf->rule == rule)
		*found |= CACHED_EXEMPT;
	else
		*found |= denial(&trial->query, leaf->error);
	return leaf;
}

/* The leaf of a query that is to be answered; NULL to let it pass. */
static __always_inline const struct ibsr_guard_leaf *
judge_query(struct __sk_buff *skb, struct guarded *g, const struct query_place *p,
	    const struct ibsr_guard_name_key *name, int is_lo, struct ibsr_guard_counts *counts)
{
	struct trial trial = {
		.generation = generation_in_use(),
		.hook = IBSR_GUARD_QUERY,
		.query.port = DNS_PORT,
		.query.protocol = IPPROTO_UDP,
		.query.direction = IBSR_GUARD_OUT,
	};
	const struct ibsr_guard_leaf *leaf;
	__u64 found = 0;
	__u32 error;

	__builtin_memcpy(trial.query.addr, p->resolver, sizeof(trial.query.addr));
	trial.socket = bpf_get_socket_cookie(skb);
	identify(&trial.query, skb, g, trial.generation);
	leaf = leaf_of_query(&trial, name, is_lo, &found);
	error = carry_out_to(trial.query.addr, found, counts);
	if (leaf && found >> CACHED_ERROR_BIT & CACHED_ERROR)
		record(&trial, leaf, error != 0, 0, counts);
	return error ? leaf : NULL;
}

static __always_inline int guard_query(struct __sk_buff *skb, int is_lo)
{
	struct bpf_sock *sk = skb->sk ? bpf_sk_fullsock(skb->sk) : NULL;
	struct ibsr_guard_counts *counts = counts_of(IBSR_GUARD_QUERY);
	const struct ibsr_guard_leaf *leaf = NULL;
	struct query_place place = {};
	struct guarded *g = NULL;
	struct scratch *scratch;
	struct asked *a = NULL;
	enum query_kind kind;
	int what = VERDICT_NEXT;

	/* Only what the hooks of the cgroup have seen is the guard's. */
	if (sk && sk->protocol != IPPROTO_TCP)
		g = bpf_sk_storage_get(&ibsr_g_sockets, sk, NULL, 0);
	if (!g || !counts)
		return VERDICT_NEXT;
	kind = find_query(skb, &place);
	if (kind == QUERY_NONE)
		return VERDICT_NEXT;
	scratch = kind == QUERY_WHOLE ? take_asked(skb->hash, &a) : NULL;
	if (!scratch) {
		let_pass(CACHED_UNJUDGED, counts);
		return VERDICT_NEXT;
	}
	if (is_query(skb, &place, a))
		leaf = judge_query(skb, g, &place, &a->key, is_lo, counts);
	else
		let_pass(CACHED_UNJUDGED, counts);
	if (ibsr_may_enforce && leaf)
		what = answer(skb, &place, a, leaf, is_lo);
	give_back(scratch);
	return what;
}

#endif /* IBSR_GUARD_QUERY_BPF_H */
