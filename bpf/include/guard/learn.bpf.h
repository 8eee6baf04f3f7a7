/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which address has which name, from the answers of listed resolvers. It promises to believe an
 * answer only when this socket has asked that resolver that question with that number and was
 * not answered yet, to learn before the process has the answer, and one outcome for each
 * datagram.
 */
#ifndef IBSR_GUARD_LEARN_BPF_H
#define IBSR_GUARD_LEARN_BPF_H

#include "guard/learn_maps.bpf.h"
#include "guard/verdict.bpf.h"
#include "cgroup/dns/message.bpf.h"
#include "time.bpf.h"

/* Functions that the verifier walks once, by themselves: not again for each way in which a caller
 * got there. */
__attribute__((noinline)) int ibsr_g_question(struct dns_work *w)
{
	return w ? read_question(w) : 0;
}

#define READ_QUESTION(w) ibsr_g_question(w)
#include "cgroup/dns/match.bpf.h"

#define NAME_WORDS (sizeof(struct ibsr_guard_learned) / sizeof(__u64))

static __always_inline int is_believed(__u32 slot, const __u8 *server)
{
	return TABLE_LOOKUP(ibsr_g_resolvers, slot, server) != NULL;
}

static __always_inline void name_server(struct dns_work *w, __u64 socket, const __u8 *server)
{
	w->question.socket = socket;
	__builtin_memcpy(w->question.server, server, sizeof(w->question.server));
	w->question.server_port = DNS_PORT;
}

/* Remembers the question that was read. One that is asked again waits again. */
static __always_inline __u32 remember(struct dns_work *w)
{
	w->asked.asked_boot_ns = bpf_ktime_get_boot_ns();
	w->asked.is_answered = 0;
	w->asked.pad = 0;
	if (bpf_map_update_elem(&ibsr_g_asked, &w->question, &w->asked, BPF_ANY))
		return OUTCOME(question_no_entry);
	return OUTCOME(asked);
}

/* The name that was asked for, as policies have it: last byte first, and where the wire has a
 * length before each label a dot behind it. */
static __always_inline void reverse_name(struct dns_work *w)
{
	__u32 bytes = w->wire_bytes - 1, at;
	__u64 word;

	__builtin_memset(&w->learned, 0, sizeof(w->learned));
	w->learned.name.prefix_bits = bytes * 8;
	for (__u32 i = 0; i < IBSR_GUARD_NAME_BYTES / 8; i++) {
		if (bytes <= i * 8)
			break;
		/* The last one begins in the header, and ends before that. */
		word = __builtin_bswap64(word_at(w, DNS_HEADER_BYTES + bytes - i * 8 - 8, 0));
		word = hide_dots(lower_case(word));
		if (bytes < i * 8 + 8)
			word = first_bytes(word, bytes);
		__builtin_memcpy(&w->learned.name.name[i * 8], &word, sizeof(word));
	}
	w->walk = DNS_HEADER_BYTES;
	for (__u32 i = 0; i < DNS_LABELS_MAX; i++) {
		barrier();
		at = w->walk - DNS_HEADER_BYTES;
		bytes = w->wire_bytes - 1;
		if (at >= bytes)
			break;
		w->walk += 1 + byte_at(w, w->walk);
		at = bytes - 1 - at;
		barrier_var(at);
		w->learned.name.name[at & (IBSR_GUARD_NAME_BYTES - 1)] = '.';
	}
	barrier();
}

/* Everything but the end. */
static __always_inline int is_same_name(const struct ibsr_guard_learned *a,
					const struct ibsr_guard_learned *b)
{
	const __u64 *of_a = (const __u64 *)a, *of_b = (const __u64 *)b;
	__u64 differs = 0;

	for (__u32 i = 1; i < NAME_WORDS; i++)
		differs |= of_a[i] ^ of_b[i];
	return !differs;
}

/* A name that is confirmed is not written again: programs may be reading it. */
static __always_inline void learn_address(struct dns_work *w, const struct dns_found *found,
					  __u64 now_boot_ns, struct ibsr_dns_totals *totals)
{
	struct ibsr_guard_learned *known = bpf_map_lookup_elem(&ibsr_g_learned, found->addr);
	__u32 ttl_s = found->ttl_s;

	/* It is a day at most. */
	if (w->chain_ttl_s < ttl_s)
		ttl_s = w->chain_ttl_s;
	if (ttl_s < IBSR_GUARD_NAME_MIN_S)
		ttl_s = IBSR_GUARD_NAME_MIN_S;
	w->learned.expiry_boot_ns = now_boot_ns + ttl_s * NS_PER_S;
	if (known && is_same_name(known, &w->learned)) {
		/* Whoever was told the later end relies on it. */
		if (known->expiry_boot_ns < w->learned.expiry_boot_ns)
			known->expiry_boot_ns = w->learned.expiry_boot_ns;
		shared_add(&totals->learned, 1);
		return;
	}
	shared_add(known ? &totals->renamed : &totals->names_inserted, 1);
	if (!bpf_map_update_elem(&ibsr_g_learned, found->addr, &w->learned, BPF_ANY))
		shared_add(&totals->learned, 1);
	else
		shared_add(&totals->learn_failed, 1);
}

static __always_inline void learn(struct dns_work *w, struct ibsr_dns_totals *totals)
{
	__u64 now_boot_ns = bpf_ktime_get_boot_ns();

	shared_add(&totals->cnames, w->chain);
	shared_add(&totals->records_foreign, w->foreign_count);
	if (!w->found_count)
		return;
	reverse_name(w);
	for (__u32 i = 0; i < IBSR_DNS_RECORDS; i++) {
		barrier();
		if (i >= w->found_count)
			break;
		learn_address(w, &w->found[i], now_boot_ns, totals);
	}
}

static __always_inline __u32 matched_outcome(struct dns_work *w, __u32 records_at,
					     struct ibsr_dns_totals *totals)
{
	struct waiting *asked = bpf_map_lookup_elem(&ibsr_g_asked, &w->question);
	__u32 outcome;

	if (!asked)
		return OUTCOME(unasked);
	outcome = take_answer(w, asked->asked_boot_ns, &asked->is_answered, records_at, totals);
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
	why = read_answer(skb, w, &records_at);
	return why ? why : matched_outcome(w, records_at, totals);
}

/* Learns from a packet that comes in and passes, when it is an answer to be believed. A function
 * that the verifier walks once, by itself: not again for each way in which its caller got there. */
__attribute__((noinline)) int ibsr_g_hear(struct __sk_buff *skb, __u32 slot)
{
	struct ibsr_dns_totals *totals = only_entry(&ibsr_g_dns);
	__u32 outcome = OUTCOME(answer_no_slot);
	struct scratch *scratch;
	struct ends ends = {};

	if (!totals || !udp_ends(skb, &ends) || ends.src_port != DNS_PORT)
		return 0;
	if (!is_believed(slot, ends.src)) {
		count_outcome(totals, 0, OUTCOME(unlisted));
		return 0;
	}
	scratch = take_scratch(bpf_get_prandom_u32());
	if (scratch) {
		struct dns_work *w = (struct dns_work *)scratch->word;

		name_server(w, bpf_get_socket_cookie(skb), ends.src);
		outcome = answer_outcome(skb, w, totals);
		give_back(scratch);
	}
	count_outcome(totals, 0, outcome);
	return 0;
}

#endif /* IBSR_GUARD_LEARN_BPF_H */
