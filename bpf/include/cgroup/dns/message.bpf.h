/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A DNS message (RFC 1035, 4.1) in scratch memory: its header, its question, and the hash of a
 * name. It promises to read inside the message only, whatever lengths the message claims.
 */
#ifndef IBSR_CGROUP_DNS_MESSAGE_BPF_H
#define IBSR_CGROUP_DNS_MESSAGE_BPF_H

#include <bpf/bpf_endian.h>
#include "cgroup/address.bpf.h"
#include "cgroup/dns/work.bpf.h"
#include "cgroup/hash_seed.bpf.h"
#include "hash.bpf.h"
#include "lower.bpf.h"

#define DNS_HEADER_BYTES 12
#define DNS_NAME_MAX	 255 /* with the root's zero */
#define DNS_LABEL_MAX	 63
#define DNS_LABELS_MAX	 128 /* with the root */
#define DNS_POINTER	 0xc0
#define DNS_IS_ANSWER	 0x8000
#define DNS_OPCODE	 0x7800
#define DNS_TRUNCATED	 0x0200
#define DNS_RCODE	 0x000f
#define DNS_CLASS_IN	 1
#define DNS_TYPE_A	 1
#define DNS_TYPE_CNAME	 5
#define DNS_TYPE_AAAA	 28
#define DNS_TYPE_ANY	 255

/* The mask is for the verifier. A compiler that has seen a comparison would leave it out, and
 * older kernels do not draw the same conclusion. */
static __always_inline const __u8 *place(const struct dns_work *w, __u32 at)
{
	barrier_var(at);
	return &w->msg[at & (DNS_OFFSETS - 1)];
}

static __always_inline __u32 byte_at(const struct dns_work *w, __u32 at)
{
	return *place(w, at);
}

static __always_inline __u32 two_at(const struct dns_work *w, __u32 at)
{
	const __u8 *two = place(w, at);

	return two[0] << 8 | two[1];
}

static __always_inline __u32 four_at(const struct dns_work *w, __u32 at)
{
	return two_at(w, at) << 16 | two_at(w, at + 2);
}

/* Eight bytes, and `by` words further. The kernel checks such a load for its bounds only. */
static __always_inline __u64 word_at(const struct dns_work *w, __u32 at, __u32 by)
{
	return *(volatile const __u64 *)(place(w, at) + by * 8);
}

/* The first bytes of a word in memory, none to 7 of them; the rest is zero. In two steps: 64
 * bits at once are more than a shift can do. */
static __always_inline __u64 first_bytes(__u64 word, __u32 bytes)
{
	__u32 half = (8 - (bytes & 7)) * 4;

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return word << half << half >> half >> half;
#else
	return word >> half >> half << half << half;
#endif
}

/* Whoever chooses names must not find two with one hash. The difference of two words can be
 * carried through `mix` to cancel out in the next word; times a number that nobody knows it
 * can not. */
static __always_inline __u64 hash_word(__u64 hash, __u64 word)
{
	return mix(hash, lower_case(word)) * (ibsr_seed | 1);
}

/* A label with its length. Whoever calls this has stored what it needs of `bytes` before: each
 * way out of the loop leaves another range of it. */
static __always_inline __u64 hash_label(const struct dns_work *w, __u64 hash, __u32 at, __u32 bytes)
{
	for (__u32 i = 0; i < (DNS_LABEL_MAX + 1) / 8; i++) {
		__u64 word = word_at(w, at, i);

		if (bytes < i * 8 + 8) {
			hash = hash_word(hash, first_bytes(word, bytes));
			break;
		}
		hash = hash_word(hash, word);
	}
	return hash;
}

static __always_inline __u64 name_key(__u64 hash)
{
	return hash | 1;
}

/* Copies what lies behind `headers` bytes. Returns 0, or why not. */
static __always_inline __u32 load_behind(const struct __sk_buff *skb, struct dns_work *w,
					 __u32 headers, __u32 malformed, __u32 too_long)
{
	__u32 bytes = skb->len;

	if (!headers || bytes < headers + DNS_HEADER_BYTES)
		return malformed;
	bytes -= headers;
	barrier_var(bytes);
	if (bytes > IBSR_DNS_MESSAGE_MAX)
		return too_long;
	barrier_var(bytes);
	if (bytes < DNS_HEADER_BYTES)
		return malformed;
	w->end = bytes;
	return bpf_skb_load_bytes(skb, headers, w->msg, bytes) ? malformed : 0;
}

/* The same of a datagram. */
static __always_inline __u32 load_message(const struct __sk_buff *skb, struct dns_work *w,
					  __u32 malformed, __u32 too_long)
{
	return load_behind(skb, w, segment_header_bytes(skb), malformed, too_long);
}

/* The one question. A pointer makes no sense in the first name of a message. Returns where the
 * records begin, 0 when it is malformed. */
static __always_inline __u32 read_question(struct dns_work *w)
{
	__u32 at, bytes;

	w->at = DNS_HEADER_BYTES;
	w->hash = ibsr_seed;
	w->labels = 0;
	for (int i = 0; i < DNS_LABELS_MAX; i++) {
		barrier();
		at = w->at;
		if (at >= w->end)
			return 0;
		bytes = byte_at(w, at);
		if (!bytes)
			break;
		if (bytes > DNS_LABEL_MAX || at + 1 + bytes >= w->end)
			return 0;
		w->at = at + 1 + bytes;
		w->zone_at = w->last_at;
		w->last_at = at;
		w->labels++;
		w->hash = hash_label(w, w->hash, at, 1 + bytes);
	}
	barrier();
	at = w->at + 1;
	w->wire_bytes = at - DNS_HEADER_BYTES;
	if (at > DNS_HEADER_BYTES + DNS_NAME_MAX || at + 4 > w->end)
		return 0;
	w->question.name = name_key(w->hash);
	w->question.id = two_at(w, 0);
	w->question.type = two_at(w, at);
	w->question.class = two_at(w, at + 2);
	return at + 4;
}

#endif /* IBSR_CGROUP_DNS_MESSAGE_BPF_H */
