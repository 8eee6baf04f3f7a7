/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How far away an address is, by its prefix alone. */
#ifndef IBSR_CGROUP_BEHAVIOUR_REACH_BPF_H
#define IBSR_CGROUP_BEHAVIOUR_REACH_BPF_H

#include <linux/types.h>
#include <bpf/bpf_endian.h>

enum reach {
	REACH_PUBLIC,
	REACH_INTERNAL, /* RFC 1918, RFC 4193 */
	REACH_NEAR,	/* this host, this link, several at once */
};

static __always_inline enum reach reach_of_v4(__u32 addr)
{
	__u32 first = addr >> 24;

	if (first == 10 || addr >> 20 == 0xac1 || addr >> 16 == 0xc0a8)
		return REACH_INTERNAL;
	if (first == 0 || first == 127 || first >= 224 || addr >> 16 == 0xa9fe)
		return REACH_NEAR;
	return REACH_PUBLIC;
}

static __always_inline enum reach reach_of(const __u8 *addr)
{
	const __u32 *word = (const __u32 *)addr;
	__u32 first = bpf_ntohl(word[0]);

	if (!first && !word[1] && word[2] == bpf_htonl(0xffff))
		return reach_of_v4(bpf_ntohl(word[3]));
	if (first >> 25 == 0x7e) /* fc00::/7 */
		return REACH_INTERNAL;
	if (first >> 22 == 0x3fa || first >> 24 == 0xff || (!first && !word[1] && !word[2]))
		return REACH_NEAR;
	return REACH_PUBLIC;
}

#endif /* IBSR_CGROUP_BEHAVIOUR_REACH_BPF_H */
