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
#include "cgroup/dns/match.bpf.h"
#include "cgroup/dns/zone.bpf.h"
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

/* With its zone and who asked, for the analysis of zones. */
static __always_inline __u32 remember(struct dns_work *w, __u64 owner)
{
	struct ibsr_behaviour_totals *totals = only_entry(&ibsr_bh_totals);

	w->asked.asked_boot_ns = bpf_ktime_get_boot_ns();
	w->asked.is_answered = 0;
	w->asked.pad = 0;
	w->asked.zone = 0;
	w->asked.app.exe_inode = 0;
	w->asked.app.exe_device = 0;
	w->asked.app.pad = 0;
	if (ibsr_behaviour_on && totals) {
		find_app(&w->asked.app, owner);
		read_zone(w);
		keep_zone_text(w, w->asked.asked_boot_ns);
		note_question(w, totals, w->asked.asked_boot_ns);
	}
	/* One that is asked again waits again. */
	if (bpf_map_update_elem(&ibsr_dns_asked, &w->question, &w->asked, BPF_ANY))
		return OUTCOME(question_no_entry);
	return OUTCOME(asked);
}

static __always_inline __u32 question_outcome(const struct __sk_buff *skb, struct dns_work *w,
					      __u64 owner)
{
	__u32 why = read_query(skb, w);

	return why ? why : remember(w, owner);
}

static __always_inline __u32 matched_outcome(struct dns_work *w, __u32 records_at,
					     struct ibsr_dns_totals *totals)
{
	struct dns_asked *asked = bpf_map_lookup_elem(&ibsr_dns_asked, &w->question);
	__u32 outcome;

	if (!asked)
		return OUTCOME(unasked);
	outcome = take_answer(w, asked->asked_boot_ns, &asked->is_answered, records_at, totals);
	if (outcome == OUTCOME(answered))
		learn(w, asked->zone, totals);
	if (outcome == OUTCOME(answered) || outcome == OUTCOME(nxdomain))
		note_answer(asked, outcome == OUTCOME(nxdomain));
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
	why = read_answer(skb, w, &records_at);
	if (why)
		return why;
	return matched_outcome(w, records_at, totals);
}

/* `flow` names the socket and the server, `owner` who has it. */
static __always_inline void observe_dns(const struct __sk_buff *skb,
					const struct ibsr_flow_key *flow, __u64 owner, int is_out)
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
	outcome = is_out ? question_outcome(skb, w, owner) : answer_outcome(skb, w, totals);
	give_back(scratch);
	count_outcome(totals, is_out, outcome);
}

#endif /* IBSR_CGROUP_DNS_OBSERVE_BPF_H */
