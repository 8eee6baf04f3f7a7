/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The frame that nearly every frame is: Ethernet without a tag, IPv4 without options, no
 * fragment, TCP. All headers stand at fixed offsets in the first buffer, so one bound
 * covers them, for half the cost of the general walk.
 *
 * It promises to say yes only to frames that parse.bpf.h calls FRAME_TCP, with the same
 * segment and length; whatever it says no to is parsed there.
 */
#ifndef IBSR_PLAIN_BPF_H
#define IBSR_PLAIN_BPF_H

#include "parse.bpf.h"

#define IPV4_PLAIN_START 0x45 /* version 4, header of 5 words */

/* No driver begins a second buffer before the first holds this much. */
#define FIRST_BUFFER_BYTES 1024

/* Of all buffers. To ask the kernel costs as much as parsing, so only where there may be a
 * second one: padding may lie in it although the datagram ends in the first. */
static __always_inline __u32 frame_length(const struct cursor *c, struct xdp_md *ctx)
{
	__u32 first = c->data_end - c->data;

	return first < FIRST_BUFFER_BYTES ? first : (__u32)bpf_xdp_get_buff_len(ctx);
}

/* Also sets the length of the frame. */
static __always_inline int parse_plain(struct cursor *c, struct xdp_md *ctx, struct segment *s)
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
	c->frame_len = frame_length(c, ctx);
	if (total_len + sizeof(*eth) > c->frame_len || tcp->doff < 5 ||
	    sizeof(*ip) + tcp->doff * 4 > total_len)
		return 0;
	v4_mapped(s->src, ip->saddr);
	v4_mapped(s->dst, ip->daddr);
	take_tcp(tcp, s);
	return 1;
}

#endif /* IBSR_PLAIN_BPF_H */
