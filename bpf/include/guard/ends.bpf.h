/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Who a packet goes to and comes from, read from its headers. It promises to write nothing. */
#ifndef IBSR_GUARD_ENDS_BPF_H
#define IBSR_GUARD_ENDS_BPF_H

#include "cgroup/address.bpf.h"

/* Both ends of a packet whose socket does not say them; ports where the protocol has them and
 * the first bytes behind the IP header are here. */
static __always_inline int packet_ends(struct __sk_buff *skb, struct ends *ends, __u8 *protocol)
{
	__u8 header[40] = {};
	__u16 port[2] = {};
	__u32 l4 = 40;

	if (bpf_skb_load_bytes(skb, 0, header, 20))
		return 0;
	if (header[0] >> 4 == 4) {
		l4 = (header[0] & 0xf) * 4;
		*protocol = header[9];
		mapped(ends->src, *(__u32 *)(header + 12));
		mapped(ends->dst, *(__u32 *)(header + 16));
		/* A later fragment has no ports. */
		if ((header[6] & 0x1f) | header[7])
			return 1;
	} else {
		if (bpf_skb_load_bytes(skb, 0, header, sizeof(header)))
			return 0;
		*protocol = header[6];
		__builtin_memcpy(ends->src, header + 8, sizeof(ends->src));
		__builtin_memcpy(ends->dst, header + 24, sizeof(ends->dst));
	}
	if (*protocol != IPPROTO_TCP && *protocol != IPPROTO_UDP)
		return 1;
	if (bpf_skb_load_bytes(skb, l4, port, sizeof(port)))
		return 0;
	ends->src_port = bpf_ntohs(port[0]);
	ends->dst_port = bpf_ntohs(port[1]);
	return 1;
}

#endif /* IBSR_GUARD_ENDS_BPF_H */
