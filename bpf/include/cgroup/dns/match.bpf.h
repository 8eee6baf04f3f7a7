/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A datagram as a question or as an answer to one: what of it is read before anybody believes it,
 * and what each that cannot be read counts as. It promises one outcome for each.
 */
#ifndef IBSR_CGROUP_DNS_MATCH_BPF_H
#define IBSR_CGROUP_DNS_MATCH_BPF_H

#include "cgroup/dns/message.bpf.h"
#include "cgroup/dns/walk.bpf.h"
#include "map.bpf.h"
#include "time.bpf.h"

/* How a question is read. Whoever includes this may have put a function of its own around it. */
#ifndef READ_QUESTION
#define READ_QUESTION(w) read_question(w)
#endif

/* Reads what is asked behind `headers` bytes into `question`. 0, or why not. */
static __always_inline __u32 read_query_behind(const struct __sk_buff *skb, struct dns_work *w,
					       __u32 headers)
{
	__u32 why;

	if (skb->gso_size)
		return OUTCOME(question_joined);
	why = load_behind(skb, w, headers, OUTCOME(question_malformed),
			  OUTCOME(question_malformed));
	if (why)
		return why;
	if (two_at(w, 2) & (DNS_IS_ANSWER | DNS_OPCODE))
		return OUTCOME(question_other);
	if (two_at(w, 4) != 1)
		return OUTCOME(question_count);
	return READ_QUESTION(w) ? 0 : OUTCOME(question_malformed);
}

/* The same of a datagram. */
static __always_inline __u32 read_query(const struct __sk_buff *skb, struct dns_work *w)
{
	return read_query_behind(skb, w, segment_header_bytes(skb));
}

/* Reads what was asked into `question`, and where the records begin. 0, or why not. */
static __always_inline __u32 read_answer(const struct __sk_buff *skb, struct dns_work *w,
					 __u32 *records_at)
{
	__u32 why = load_message(skb, w, OUTCOME(answer_malformed), OUTCOME(answer_too_long));

	if (why)
		return why;
	if ((two_at(w, 2) & (DNS_IS_ANSWER | DNS_OPCODE)) != DNS_IS_ANSWER)
		return OUTCOME(answer_other);
	if (two_at(w, 4) != 1)
		return OUTCOME(answer_count);
	*records_at = READ_QUESTION(w);
	return *records_at ? 0 : OUTCOME(answer_malformed);
}

/* What the resolver says of a question that waits. */
static __always_inline __u32 what_it_says(struct dns_work *w, __u32 records_at,
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

/* What an answer says to a question that waits, which is answered then. A malformed one leaves it
 * open: the client will not take it either. */
static __always_inline __u32 take_answer(struct dns_work *w, __u64 asked_boot_ns,
					 __u32 *is_answered, __u32 records_at,
					 struct ibsr_dns_totals *totals)
{
	__u32 outcome;

	if (bpf_ktime_get_boot_ns() - asked_boot_ns > IBSR_DNS_PATIENCE_S * NS_PER_S)
		return OUTCOME(late);
	if (*is_answered)
		return OUTCOME(repeated);
	outcome = what_it_says(w, records_at, totals);
	if (outcome == OUTCOME(answer_malformed) || outcome == OUTCOME(answer_too_deep))
		return outcome;
	if (__sync_lock_test_and_set(is_answered, 1))
		return OUTCOME(repeated);
	return outcome;
}

static __always_inline void count_outcome(struct ibsr_dns_totals *totals, int is_out, __u32 outcome)
{
	shared_add(is_out ? &totals->questions : &totals->answers, 1);
	barrier_var(outcome);
	if (outcome < OUTCOMES)
		shared_add((__u64 *)totals + outcome, 1);
}

#endif /* IBSR_CGROUP_DNS_MATCH_BPF_H */
