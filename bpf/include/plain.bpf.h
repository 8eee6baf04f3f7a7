/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The frame that nearly every frame is: Ethernet without a tag, IPv4 without options, no
 * fragment, TCP, the datagram in one buffer. All headers stand at fixed offsets, so one bound
 * covers them, for half the cost of the general walk.
 *
 * It promises to say yes only to frames that parse.bpf.h calls FRAME_TCP, with the same
 * segment and length; whatever it says no to is parsed there.
 */
#ifndef IBSR_PLAIN_BPF_H
#define IBSR_PLAIN_BPF_H

#include "parse.bpf.h"

#define IPV4_PLAIN_START 0x45 /* version 4, header of 5 words */

/* Also sets the length of the frame: asking the kernel for it costs as much as parsing. A
 * datagram that ends in the first buffer leaves nothing for a second one. */
static __always_inline int parse_plain(struct cursor *c, struct segment *s)
{
	const struct ethhdr *eth = c->data;
	const struct iphdr *ip = (const void *)(eth + 1);
	const struct tcphdr *tcp = (const void *)(ip + 1);
	__u32 total_len;

	if ((const void *)(tcp + 1) > c->data_end || eth->h_proto != bpf_htons(ETH_P_IP) ||
	    *(const __u8 *)ip != IPV4_PLAIN_START || ip->protocol != IPPROTO_TCP ||
	    (ip->frag_off & bpf_htons(IPV4_MF_OR_OFFSET)))
		return 0;
	total_len = bpf_ntohs(ip->tot_len);
	c->frame_len = c->data_end - c->data;
	if (total_len + sizeof(*eth) > c->frame_len || tcp->doff < 5 ||
	    sizeof(*ip) + tcp->doff * 4 > total_len)
		return 0;
	v4_mapped(s->src, ip->saddr);
	v4_mapped(s->dst, ip->daddr);
	take_tcp(tcp, s);
	return 1;
}

#endif /* IBSR_PLAIN_BPF_H */
