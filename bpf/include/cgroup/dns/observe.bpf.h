/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * DNS over UDP, at cgroup_skb: a question is remembered when it leaves, and an answer is
 * believed when it comes from a listed resolver that was asked exactly this, on this socket.
 * It promises one outcome in the totals for each datagram, and to give back its slot.
 */
#ifndef IBSR_CGROUP_DNS_OBSERVE_BPF_H
#define IBSR_CGROUP_DNS_OBSERVE_BPF_H

#include "cgroup/dns/learn.bpf.h"
#include "cgroup/dns/maps.bpf.h"
#include "cgroup/dns/message.bpf.h"
#include "cgroup/dns/walk.bpf.h"
#include "cgroup/maps.bpf.h"

/* The knobs are constants to the verifier, which removes what cannot happen. */
static __always_inline int is_dns_port(__u16 port)
{
	for (int i = 0; i < IBSR_DNS_PORTS; i++) {
		if (!ibsr_dns_ports[i])
			break;
		if (ibsr_dns_ports[i] == port)
			return 1;
	}
	return 0;
}

static __always_inline int is_listed(const __u8 *server)
{
	const __u64 *word = (const __u64 *)server;
	__u64 first = word[0], last = word[1];

	if (!ibsr_dns_resolver_count)
		return 1;
	for (__u32 i = 0; i < IBSR_DNS_RESOLVERS; i++) {
		if (i >= ibsr_dns_resolver_count)
			break;
		if (ibsr_dns_resolvers[i][0] == first && ibsr_dns_resolvers[i][1] == last)
			return 1;
	}
	return 0;
}

static __always_inline __u32 question_outcome(const struct __sk_buff *skb, struct dns_work *w)
{
	__u32 why;

	if (skb->gso_size)
		return OUTCOME(question_joined);
	why = load_message(skb, w, OUTCOME(question_malformed), OUTCOME(question_malformed));
	if (why)
		return why;
	if (two_at(w, 2) & (DNS_IS_ANSWER | DNS_OPCODE))
		return OUTCOME(question_other);
	if (two_at(w, 4) != 1)
		return OUTCOME(question_count);
	if (!read_question(w))
		return OUTCOME(question_malformed);
	w->asked.asked_boot_ns = bpf_ktime_get_boot_ns();
	w->asked.is_answered = 0;
	w->asked.pad = 0;
	/* One that is asked again waits again. */
	if (bpf_map_update_elem(&ibsr_dns_asked, &w->question, &w->asked, BPF_ANY))
		return OUTCOME(question_no_entry);
	return OUTCOME(asked);
}

/* What the resolver says of a question that waits. */
static __always_inline __u32 judge(struct dns_work *w, __u32 records_at,
				   struct ibsr_dns_totals *totals)
{
	__u32 flags = two_at(w, 2), rcode = flags & DNS_RCODE, records = two_at(w, 6);

	if (flags & DNS_TRUNCATED)
		return OUTCOME(truncated);
	if (rcode == 3)
		return OUTCOME(nxdomain);
	if (rcode == 2)
		return OUTCOME(servfail);
	if (rcode)
		return OUTCOME(other_rcode);
	if (records > IBSR_DNS_RECORDS) {
		shared_add(&totals->records_unread, records - IBSR_DNS_RECORDS);
		records = IBSR_DNS_RECORDS;
	}
	walk_answers(w, records_at, records);
	return w->outcome;
}

/* A malformed answer leaves the question open: the client will not take it either. */
static __always_inline __u32 matched_outcome(struct dns_work *w, __u32 records_at,
					     struct ibsr_dns_totals *totals)
{
	struct dns_asked *asked = bpf_map_lookup_elem(&ibsr_dns_asked, &w->question);
	__u32 outcome;

	if (!asked)
		return OUTCOME(unasked);
	if (bpf_ktime_get_boot_ns() - asked->asked_boot_ns > IBSR_DNS_PATIENCE_S * DNS_NS_PER_S)
		return OUTCOME(late);
	if (asked->is_answered)
		return OUTCOME(repeated);
	outcome = judge(w, records_at, totals);
	if (outcome == OUTCOME(answer_malformed) || outcome == OUTCOME(answer_too_deep))
		return outcome;
	if (__sync_lock_test_and_set(&asked->is_answered, 1))
		return OUTCOME(repeated);
	if (outcome == OUTCOME(answered))
		learn(w, totals);
	return outcome;
}

static __always_inline __u32 answer_outcome(const struct __sk_buff *skb, struct dns_work *w,
					    struct ibsr_dns_totals *totals)
{
	__u32 why, records_at;

	if (skb->gso_size)
		return OUTCOME(answer_joined);
	if (!is_listed(w->question.server))
		return OUTCOME(unlisted);
	why = load_message(skb, w, OUTCOME(answer_malformed), OUTCOME(answer_too_long));
	if (why)
		return why;
	if ((two_at(w, 2) & (DNS_IS_ANSWER | DNS_OPCODE)) != DNS_IS_ANSWER)
		return OUTCOME(answer_other);
	if (two_at(w, 4) != 1)
		return OUTCOME(answer_count);
	records_at = read_question(w);
	if (!records_at)
		return OUTCOME(answer_malformed);
	return matched_outcome(w, records_at, totals);
}

static __always_inline void count_outcome(struct ibsr_dns_totals *totals, int is_out, __u32 outcome)
{
	shared_add(is_out ? &totals->questions : &totals->answers, 1);
	barrier_var(outcome);
	if (outcome < OUTCOMES)
		shared_add((__u64 *)totals + outcome, 1);
}

/* `flow` names the socket and the server. */
static __always_inline void observe_dns(const struct __sk_buff *skb,
					const struct ibsr_flow_key *flow, int is_out)
{
	struct ibsr_dns_totals *totals = only_entry(&ibsr_dns_totals);
	struct scratch *scratch;
	struct dns_work *w;
	__u32 outcome;

	if (!totals)
		return;
	scratch = take_scratch(flow->socket);
	if (!scratch) {
		count_outcome(totals, is_out,
			      is_out ? OUTCOME(question_no_slot) : OUTCOME(answer_no_slot));
		return;
	}
	w = (struct dns_work *)scratch->word;
	w->question.socket = flow->socket;
	__builtin_memcpy(w->question.server, flow->remote_addr, sizeof(w->question.server));
	w->question.server_port = flow->remote_port;
	outcome = is_out ? question_outcome(skb, w) : answer_outcome(skb, w, totals);
	give_back(scratch);
	count_outcome(totals, is_out, outcome);
}

#endif /* IBSR_CGROUP_DNS_OBSERVE_BPF_H */
