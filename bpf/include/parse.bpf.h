/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * From a frame to a TCP segment: Ethernet, up to two VLAN tags, IPv4 or IPv6 with its
 * extension headers, TCP. Each step takes the cursor, moves it behind what it read and
 * says which class the frame belongs to when it can go no further.
 *
 * It promises to read inside the frame only, to terminate, and to call a frame TCP only
 * when every length on the way agreed. It never writes to the packet and touches no map.
 */
#ifndef IBSR_PARSE_BPF_H
#define IBSR_PARSE_BPF_H

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <bpf/bpf_endian.h>
#include "cursor.bpf.h"
#include "ibsr_abi.h"

#define IPV4_MF_OR_OFFSET      0x3fff /* more-fragments flag and the 13 offset bits */
#define IPV6_FRAG_MF_OR_OFFSET 0xfff9
#define BIG_FRAME_BYTES	       65535 /* a longer datagram cannot state its length in 16 bits */

/* Where parsing of a frame ended. Totals have a counter for each. */
enum frame_class {
	FRAME_TCP,
	FRAME_NON_IP,
	FRAME_MALFORMED,
	FRAME_FRAGMENT,
	FRAME_OTHER_L4,
};

/* What the sensor needs of a TCP segment; addresses in network order, the rest in host order. */
struct segment {
	__u8 src[IBSR_ADDR_BYTES];
	__u8 dst[IBSR_ADDR_BYTES];
	__u16 src_port;
	__u16 dst_port;
	__u32 seq;
	__u8 syn;
	__u8 ack;
	__u8 fin;
	__u8 rst;
};

struct vlan_tag {
	__be16 tci;
	__be16 ethertype;
};

struct ipv6_ext {
	__u8 next;
	__u8 len; /* 8-byte units behind the first, or 4-byte units minus 2 for AH */
	__be16 frag_off;
	__be32 rest;
};

static __always_inline void v4_mapped(__u8 *to, __be32 addr)
{
	__u32 *word = (__u32 *)to;

	word[0] = 0;
	word[1] = 0;
	word[2] = bpf_htonl(0xffff);
	word[3] = addr;
}

/* Ethernet and VLAN tags. Returns the ethertype in network order, or 0 when cut short:
 * 0 is a length field, never a type. */
static __always_inline __be16 parse_link(struct cursor *c)
{
	struct ethhdr *eth = peek(c, sizeof(*eth));
	__be16 ethertype;

	if (!eth)
		return 0;
	ethertype = eth->h_proto;
	c->offset += sizeof(*eth);
	for (int i = 0; i < IBSR_MAX_VLANS; i++) {
		struct vlan_tag *tag;

		if (ethertype != bpf_htons(ETH_P_8021Q) && ethertype != bpf_htons(ETH_P_8021AD))
			break;
		tag = peek(c, sizeof(*tag));
		if (!tag)
			return 0;
		ethertype = tag->ethertype;
		c->offset += sizeof(*tag);
	}
	return ethertype;
}

/* IPv4 up to its payload, which must be TCP. */
static __always_inline enum frame_class parse_ipv4(struct cursor *c, struct segment *s)
{
	struct iphdr *ip = peek(c, sizeof(*ip));
	__u32 header_len, total_len, room = c->frame_len - c->offset;

	if (!ip || ip->version != 4 || ip->ihl < 5)
		return FRAME_MALFORMED;
	header_len = ip->ihl * 4;
	total_len = bpf_ntohs(ip->tot_len);
	/* Offloads hand over datagrams beyond 64 KiB with a length of 0 (BIG TCP). */
	if (total_len == 0 && room > BIG_FRAME_BYTES)
		total_len = room;
	if (total_len < header_len || total_len > room || !peek(c, header_len))
		return FRAME_MALFORMED;
	if (ip->frag_off & bpf_htons(IPV4_MF_OR_OFFSET))
		return FRAME_FRAGMENT;
	if (ip->protocol != IPPROTO_TCP)
		return FRAME_OTHER_L4;
	v4_mapped(s->src, ip->saddr);
	v4_mapped(s->dst, ip->daddr);
	c->l3_end = c->offset + total_len;
	c->offset += header_len;
	return FRAME_TCP;
}

static __always_inline int is_ipv6_ext(__u8 kind)
{
	return kind == IPPROTO_HOPOPTS || kind == IPPROTO_ROUTING || kind == IPPROTO_FRAGMENT ||
	       kind == IPPROTO_AH || kind == IPPROTO_DSTOPTS || kind == IPPROTO_MH;
}

/* Steps over one extension header. Returns FRAME_TCP when the walk may go on. */
static __always_inline enum frame_class skip_ipv6_ext(struct cursor *c, __u8 *next)
{
	struct ipv6_ext *ext;
	__u32 units, shift = 3; /* of AH 2: it counts in 4 bytes, the others in 8 */

	/* First, for what is no extension need not be as long as one. */
	if (!is_ipv6_ext(*next))
		return FRAME_OTHER_L4;
	ext = peek(c, sizeof(*ext));
	if (!ext || c->offset + sizeof(*ext) > c->l3_end)
		return FRAME_MALFORMED;
	units = ext->len;
	if (*next == IPPROTO_FRAGMENT) {
		if (ext->frag_off & bpf_htons(IPV6_FRAG_MF_OR_OFFSET))
			return FRAME_FRAGMENT;
		units = 0;
	} else if (*next == IPPROTO_AH) {
		/* Its fixed part is 12 bytes (RFC 4302), which is a length of 1. */
		if (!units)
			return FRAME_MALFORMED;
		shift = 2;
	}
	*next = ext->next;
	c->offset += (units << shift) + sizeof(*ext);
	if (c->offset > c->l3_end)
		return FRAME_MALFORMED;
	forget(c->offset);
	return FRAME_TCP;
}

/* IPv6 and its extension headers up to the payload, which must be TCP. */
static __always_inline enum frame_class parse_ipv6(struct cursor *c, struct segment *s)
{
	struct ipv6hdr *ip = peek(c, sizeof(*ip));
	__u32 payload_len, room = c->frame_len - c->offset;
	__u8 next;

	if (!ip || ip->version != 6)
		return FRAME_MALFORMED;
	payload_len = bpf_ntohs(ip->payload_len);
	next = ip->nexthdr;
	/* 0 announces a jumbogram (RFC 2675) in the hop-by-hop header: take the frame's word.
	 * In a frame that could have stated its length it is a lie. */
	if (payload_len == 0 && next == IPPROTO_HOPOPTS && room > BIG_FRAME_BYTES)
		payload_len = room - sizeof(*ip);
	if (payload_len + sizeof(*ip) > room)
		return FRAME_MALFORMED;
	__builtin_memcpy(s->src, &ip->saddr, IBSR_ADDR_BYTES);
	__builtin_memcpy(s->dst, &ip->daddr, IBSR_ADDR_BYTES);
	c->offset += sizeof(*ip);
	c->l3_end = c->offset + payload_len;
	forget(c->l3_end);
	for (int i = 0; i < IBSR_MAX_IPV6_EXT; i++) {
		enum frame_class class;

		if (next == IPPROTO_TCP)
			return FRAME_TCP;
		class = skip_ipv6_ext(c, &next);
		if (class != FRAME_TCP)
			return class;
	}
	return next == IPPROTO_TCP ? FRAME_TCP : FRAME_OTHER_L4;
}

static __always_inline void take_tcp(const struct tcphdr *tcp, struct segment *s)
{
	s->src_port = bpf_ntohs(tcp->source);
	s->dst_port = bpf_ntohs(tcp->dest);
	s->seq = bpf_ntohl(tcp->seq);
	s->syn = tcp->syn;
	s->ack = tcp->ack;
	s->fin = tcp->fin;
	s->rst = tcp->rst;
}

static __always_inline enum frame_class parse_tcp(struct cursor *c, struct segment *s)
{
	struct tcphdr *tcp = peek(c, sizeof(*tcp));
	__u32 header_len;

	if (!tcp || tcp->doff < 5)
		return FRAME_MALFORMED;
	header_len = tcp->doff * 4;
	if (c->offset + header_len > c->l3_end)
		return FRAME_MALFORMED;
	take_tcp(tcp, s);
	return FRAME_TCP;
}

/* The whole way. `s` is filled only when the answer is FRAME_TCP. */
static __always_inline enum frame_class parse_frame(struct cursor *c, struct segment *s)
{
	enum frame_class class;
	__be16 ethertype = parse_link(c);

	if (ethertype == bpf_htons(ETH_P_IP))
		class = parse_ipv4(c, s);
	else if (ethertype == bpf_htons(ETH_P_IPV6))
		class = parse_ipv6(c, s);
	else
		return ethertype ? FRAME_NON_IP : FRAME_MALFORMED;
	return class == FRAME_TCP ? parse_tcp(c, s) : class;
}

#endif /* IBSR_PARSE_BPF_H */
