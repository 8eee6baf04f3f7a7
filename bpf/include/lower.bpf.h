/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Eight bytes of a name at once. Nothing here reads memory.
 */
#ifndef IBSR_LOWER_BPF_H
#define IBSR_LOWER_BPF_H

#include <linux/types.h>
#include <bpf/bpf_helpers.h>

#define EACH(byte) (0x0101010101010101ULL * (byte))

/* Eight bytes at once: bit 7 of each byte tells whether it is from 'A' to 'Z'. A length is at
 * most 63 and so below 'A': labels and their lengths can go through together. */
static __always_inline __u64 lower_case(__u64 word)
{
	__u64 low = word & EACH(0x7f);
	__u64 from_a = low + EACH(0x80 - 'A'), behind_z = low + EACH(0x80 - 'Z' - 1);

	return word | (from_a & ~behind_z & ~word & EACH(0x80)) >> 2;
}

#endif /* IBSR_LOWER_BPF_H */
