/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Makes a query its own answer, in place (RFC 1035, 4.1). It promises a packet whose lengths and
 * checksums are right, whether or not the device was to compute them: what the device is told
 * to fill in stays as it is, because what turns back is never sent.
 */
#ifndef IBSR_GUARD_ANSWER_BPF_H
#define IBSR_GUARD_ANSWER_BPF_H

#include <linux/if_ether.h>
#include "cgroup/address.bpf.h"
#include "guard/name.bpf.h"

/* The numbers are the same in enum tcx_action_base (6.6) and for clsact. Never TCX_PASS, which
 * hides the packet from programs behind this one. */
#define VERDICT_NEXT (-1)
#define VERDICT_DROP 2

#define DNS_DESIRED	  0x0100 /* recursion; copied */
#define DNS_AVAILABLE	  0x0080 /* recursion; without it the C library asks somebody else */
#define DNS_UNCHECKED	  0x0010 /* RFC 4035, 3.2.2; copied */
#define DNS_NXDOMAIN	  3
#define DNS_IN		  1
#define DNS_A		  1
#define DNS_AAAA	  28
#define DNS_OPT		  41	 /* RFC 6891 */
#define DNS_OPT_BYTES	  11	 /* without options */
#define DNS_OPT_OK	  0x8000 /* RFC 3225: copied */
#define DNS_UDP_BYTES	  1232	 /* that may be sent to us, as resolvers say it */
#define DNS_ASKED_POINTER 0xc00c /* the name in the question */

/* Where the parts of a query are. Offsets of `l4` are from the IP header, which is at `l3`. */
struct query_place {
	__u8 client[16], resolver[16];
	__u32 l3, l4;
	__u32 bytes; /* of the datagram with its header */
	__u16 port_be;
	__u8 is_v4, pad;
};

struct dns_record {
	__u16 name_be, type_be, class_be, ttl_be[2], bytes_be;
	__u8 data[16];
};

struct dns_opt {
	__u8 root;
	__u8 type_be[2], size_be[2], code_and_version[2], flags_be[2], bytes_be[2];
};

_Static_assert(sizeof(struct dns_record) == 28, "as on the wire");
_Static_assert(sizeof(struct dns_opt) == DNS_OPT_BYTES, "as on the wire");

static __always_inline void put_two(struct asked *a, __u32 at, __u16 two)
{
	a->message[at] = two >> 8;
	a->message[at + 1] = two;
}

/* Whether the one thing behind the question is an option record, and its flags. Whatever else a
 * client adds is not answered to. */
static __always_inline int has_opt(struct asked *a, __u32 at, __u16 *flags)
{
	if (ask_header(a, ASK_ANSWERS) || ask_header(a, ASK_AUTHORITIES) ||
	    ask_header(a, ASK_ADDITIONS) != 1 || at + ASK_HEADER_BYTES + DNS_OPT_BYTES > a->end ||
	    *ask_place(a, at) || ask_two(a, at + 1) != DNS_OPT)
		return 0;
	*flags = ask_two(a, at + 7) & DNS_OPT_OK;
	return 1;
}

/* The address of a sinkhole where the question is for one of its family. Bytes that are
 * written. */
static __always_inline __u32 put_record(struct asked *a, __u32 at,
					const struct ibsr_guard_leaf *leaf)
{
	const __u32 *word = (const __u32 *)leaf->sinkhole;
	int is_v4 = !word[0] && !word[1] && word[2] == bpf_htonl(0xffff);
	struct dns_record *record = (struct dns_record *)ask_place(a, at);
	__u32 bytes = is_v4 ? 4 : 16;

	if (leaf->action != IBSR_GUARD_SINKHOLE || a->class != DNS_IN ||
	    a->type != (is_v4 ? DNS_A : DNS_AAAA))
		return 0;
	record->name_be = bpf_htons(DNS_ASKED_POINTER);
	record->type_be = bpf_htons(a->type);
	record->class_be = bpf_htons(DNS_IN);
	record->ttl_be[0] = bpf_htons(leaf->ttl_s >> 16);
	record->ttl_be[1] = bpf_htons(leaf->ttl_s & 0xffff);
	record->bytes_be = bpf_htons(bytes);
	if (is_v4)
		__builtin_memcpy(record->data, leaf->sinkhole + 12, 4);
	else
		__builtin_memcpy(record->data, leaf->sinkhole, 16);
	return sizeof(*record) - 16 + bytes;
}

static __always_inline void put_opt(struct asked *a, __u32 at, __u16 flags)
{
	struct dns_opt *opt = (struct dns_opt *)ask_place(a, at);

	__builtin_memset(opt, 0, sizeof(*opt));
	opt->type_be[1] = DNS_OPT;
	opt->size_be[0] = DNS_UDP_BYTES >> 8;
	opt->size_be[1] = DNS_UDP_BYTES & 0xff;
	opt->flags_be[0] = flags >> 8;
}

/* The answer's message, in place of the query's. Its bytes; behind them are zeros. */
static __always_inline __u32 put_message(struct asked *a, const struct ibsr_guard_leaf *leaf)
{
	__u32 at = a->name_bytes + 5, record_bytes;
	__u16 opt_flags = 0;
	int is_opt = has_opt(a, at, &opt_flags);

	record_bytes = put_record(a, at, leaf);
	at += record_bytes;
	if (is_opt) {
		put_opt(a, at, opt_flags);
		at += DNS_OPT_BYTES;
	}
	__builtin_memset(ask_place(a, at), 0, 4);
	put_two(a, 2,
		ASK_IS_ANSWER | DNS_AVAILABLE |
			(ask_header(a, ASK_FLAGS) & (DNS_DESIRED | DNS_UNCHECKED)) |
			(leaf->action == IBSR_GUARD_SINKHOLE ? 0 : DNS_NXDOMAIN));
	put_two(a, 6, record_bytes != 0);
	put_two(a, 8, 0);
	put_two(a, 10, is_opt);
	return at + ASK_HEADER_BYTES;
}

/* What the checksum of UDP covers besides the message. An IPv4 address may stand here mapped:
 * 0xffff counts nothing. */
struct pseudo {
	__u8 client[16], resolver[16];
	__u32 bytes_be, protocol_be;
	struct udphdr udp;
};

static __always_inline __u16 checksum(const struct query_place *p, const struct udphdr *udp,
				      struct asked *a, __u32 bytes)
{
	struct pseudo pseudo = {
		.bytes_be = bpf_htonl(bytes + sizeof(*udp)),
		.protocol_be = bpf_htonl(IPPROTO_UDP),
		.udp = *udp,
	};
	__u32 sum, padded = (bytes + 3) & ~3U;

	__builtin_memcpy(pseudo.client, p->client, sizeof(pseudo.client));
	__builtin_memcpy(pseudo.resolver, p->resolver, sizeof(pseudo.resolver));
	sum = bpf_csum_diff(NULL, 0, (__be32 *)&pseudo, sizeof(pseudo), 0);
	barrier_var(padded);
	if (padded > ASK_ROOM)
		return 0;
	sum = bpf_csum_diff(NULL, 0, (__be32 *)a->message, padded, sum);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum & 0xffff ?: 0xffff;
}

/* An IPv4 header sums up the same with its addresses exchanged. Each returns 0, or an error. */
static __always_inline long turn_v4(struct __sk_buff *skb, const struct query_place *p,
				    __u32 ip_bytes)
{
	__u16 was_be = bpf_htons(p->l4 + p->bytes), is_be = bpf_htons(ip_bytes);
	__u32 addr[2];

	__builtin_memcpy(&addr[0], p->resolver + 12, 4);
	__builtin_memcpy(&addr[1], p->client + 12, 4);
	return bpf_skb_store_bytes(skb, p->l3 + offsetof(struct iphdr, tot_len), &is_be, 2, 0) |
	       bpf_l3_csum_replace(skb, p->l3 + offsetof(struct iphdr, check), was_be, is_be, 2) |
	       bpf_skb_store_bytes(skb, p->l3 + offsetof(struct iphdr, saddr), addr, sizeof(addr),
				   BPF_F_INVALIDATE_HASH);
}

static __always_inline long turn_v6(struct __sk_buff *skb, const struct query_place *p,
				    __u32 udp_bytes)
{
	__u16 is_be = bpf_htons(udp_bytes);

	return bpf_skb_store_bytes(skb, p->l3 + offsetof(struct ipv6hdr, payload_len), &is_be, 2,
				   0) |
	       bpf_skb_store_bytes(skb, p->l3 + offsetof(struct ipv6hdr, saddr), p->resolver, 16,
				   BPF_F_INVALIDATE_HASH) |
	       bpf_skb_store_bytes(skb, p->l3 + offsetof(struct ipv6hdr, daddr), p->client, 16, 0);
}

static __always_inline long turn_ethernet(struct __sk_buff *skb)
{
	__u8 mac[2 * ETH_ALEN];

	return bpf_skb_load_bytes(skb, 0, mac, sizeof(mac)) |
	       bpf_skb_store_bytes(skb, 0, mac + ETH_ALEN, ETH_ALEN, 0) |
	       bpf_skb_store_bytes(skb, ETH_ALEN, mac, ETH_ALEN, 0);
}

/* Writes the message. A function of its own: where registers are short Linux 6.1 forgets that the
 * length was compared. Nor does it learn from a comparison with zero, or from one that the compiler
 * made of two. */
static __attribute__((noinline)) long turn_message(struct __sk_buff *skb, __u32 at,
						   const struct asked *a, __u32 bytes)
{
	if (bytes > ASK_ROOM)
		return -1;
	barrier_var(bytes);
	if (bytes < ASK_HEADER_BYTES)
		return -1;
	return bpf_skb_store_bytes(skb, at, a->message, bytes, 0);
}

/* Answers. What a tcx program returns: where memory for the answer is short the query is
 * dropped, as it was counted denied. */
static __always_inline int answer(struct __sk_buff *skb, const struct query_place *p,
				  struct asked *a, const struct ibsr_guard_leaf *leaf, int is_lo)
{
	__u32 bytes = put_message(a, leaf), udp_bytes = bytes + sizeof(struct udphdr);
	struct udphdr udp = {
		.source = bpf_htons(DNS_PORT),
		.dest = p->port_be,
		.len = bpf_htons(udp_bytes),
	};
	__u32 udp_at = p->l3 + p->l4;
	long error;

	udp.check = checksum(p, &udp, a, bytes);
	if (bpf_skb_change_tail(skb, udp_at + udp_bytes, 0))
		return VERDICT_DROP;
	error = p->is_v4 ? turn_v4(skb, p, p->l4 + udp_bytes) : turn_v6(skb, p, udp_bytes);
	if (p->l3)
		error |= turn_ethernet(skb);
	error |= bpf_skb_store_bytes(skb, udp_at, &udp, sizeof(udp), 0);
	error |= turn_message(skb, udp_at + sizeof(udp), a, bytes);
	if (error)
		return VERDICT_DROP;
	/* What turns back on loopback itself would be dropped for its source. */
	return is_lo ? VERDICT_NEXT : bpf_redirect(skb->ifindex, BPF_F_INGRESS);
}

#endif /* IBSR_GUARD_ANSWER_BPF_H */
