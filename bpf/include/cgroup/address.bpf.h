/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Addresses of sockets and of UDP packets in the one form that rows have: 16 bytes in
 * network order, ports in host order. It promises that a packet is read inside its bounds
 * and never written; what it says no to is counted as unreadable.
 */
#ifndef IBSR_CGROUP_ADDRESS_BPF_H
#define IBSR_CGROUP_ADDRESS_BPF_H

#include <linux/bpf.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

/* <sys/socket.h> is not for this side. */
#define AF_INET	 2
#define AF_INET6 10

#define IPV4_OFFSET_MASK 0x1fff /* RFC 791: not the first fragment */

/* Both ends of a packet, as it was sent. */
struct ends {
	__u8 src[16], dst[16];
	__u16 src_port, dst_port;
};

static __always_inline void mapped(__u8 *to, __u32 addr_be)
{
	__u32 *word = (__u32 *)to;

	word[0] = 0;
	word[1] = 0;
	word[2] = bpf_htonl(0xffff);
	word[3] = addr_be;
}

static __always_inline void four_words(__u8 *to, __u32 a, __u32 b, __u32 c, __u32 d)
{
	__u32 *word = (__u32 *)to;

	word[0] = a;
	word[1] = b;
	word[2] = c;
	word[3] = d;
}

/* The verifier wants each field of a socket loaded from a fixed offset, and a compiler that
 * sees both branches end in a load would rather choose between offsets. */
#define LAST_WORD(to, field)                                                                       \
	do {                                                                                       \
		__u32 word_ = (field);                                                             \
		barrier_var(word_);                                                                \
		(to) = word_;                                                                      \
	} while (0)

static __always_inline void socket_remote(const struct bpf_sock *sk, __u8 *addr, __u16 *port)
{
	__u32 a = 0, b = 0, c = bpf_htonl(0xffff), d;

	if (sk->family == AF_INET6) {
		a = sk->dst_ip6[0];
		b = sk->dst_ip6[1];
		c = sk->dst_ip6[2];
		LAST_WORD(d, sk->dst_ip6[3]);
	} else {
		LAST_WORD(d, sk->dst_ip4);
	}
	four_words(addr, a, b, c, d);
	*port = bpf_ntohs(sk->dst_port);
}

static __always_inline void socket_local(const struct bpf_sock *sk, __u8 *addr, __u16 *port)
{
	__u32 a = 0, b = 0, c = bpf_htonl(0xffff), d;

	if (sk->family == AF_INET6) {
		a = sk->src_ip6[0];
		b = sk->src_ip6[1];
		c = sk->src_ip6[2];
		LAST_WORD(d, sk->src_ip6[3]);
	} else {
		LAST_WORD(d, sk->src_ip4);
	}
	four_words(addr, a, b, c, d);
	*port = sk->src_port;
}

static __always_inline int udp_ports(const void *l4, const void *end, struct ends *ends)
{
	const struct udphdr *udp = l4;

	if ((const void *)(udp + 1) > end)
		return 0;
	ends->src_port = bpf_ntohs(udp->source);
	ends->dst_port = bpf_ntohs(udp->dest);
	return 1;
}

/* The packet begins with its IP header at these hooks. Options are skipped; an IPv6 header
 * between IP and UDP is a rare one, and not walked. */
static __always_inline int udp_ends(const struct __sk_buff *skb, struct ends *ends)
{
	const void *data = (const void *)(long)skb->data, *end = (const void *)(long)skb->data_end;
	const struct iphdr *v4 = data;
	const struct ipv6hdr *v6 = data;

	if ((const void *)(v4 + 1) > end)
		return 0;
	if (v4->version == 4) {
		if (v4->protocol != IPPROTO_UDP || v4->frag_off & bpf_htons(IPV4_OFFSET_MASK))
			return 0;
		mapped(ends->src, v4->saddr);
		mapped(ends->dst, v4->daddr);
		return udp_ports(data + v4->ihl * 4, end, ends);
	}
	if ((const void *)(v6 + 1) > end || v6->nexthdr != IPPROTO_UDP)
		return 0;
	__builtin_memcpy(ends->src, &v6->saddr, sizeof(ends->src));
	__builtin_memcpy(ends->dst, &v6->daddr, sizeof(ends->dst));
	return udp_ports(v6 + 1, end, ends);
}

/* Bytes of the headers that each segment of a joined packet has; 0 when they cannot be read. */
static __always_inline __u32 segment_header_bytes(const struct __sk_buff *skb)
{
	const void *data = (const void *)(long)skb->data, *end = (const void *)(long)skb->data_end;
	const struct ipv6hdr *v6 = data;
	const struct iphdr *v4 = data;
	const struct tcphdr *tcp;
	__u32 ip_bytes = sizeof(*v6);
	__u8 protocol;

	if ((const void *)(v6 + 1) > end)
		return 0;
	protocol = v6->nexthdr;
	if (v4->version == 4) {
		protocol = v4->protocol;
		ip_bytes = v4->ihl * 4;
	}
	if (protocol == IPPROTO_UDP)
		return ip_bytes + sizeof(struct udphdr);
	tcp = data + ip_bytes;
	if (protocol != IPPROTO_TCP || (const void *)(tcp + 1) > end)
		return 0;
	return ip_bytes + tcp->doff * 4;
}

#endif /* IBSR_CGROUP_ADDRESS_BPF_H */
