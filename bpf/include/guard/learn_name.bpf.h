/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The name of the other end, for a verdict: of an address at this moment, or of a connection for
 * as long as it lasts. What comes in has none: whoever connects to us was not found by a name.
 */
#ifndef IBSR_GUARD_LEARN_NAME_BPF_H
#define IBSR_GUARD_LEARN_NAME_BPF_H

#include "guard/learn_maps.bpf.h"

/* The name of an address now; NULL when it has none any more. It may be written again while it
 * is read, when the kernel gives the entry to another address: then what is read is half of each
 * name, which has no rule of its own. */
static __always_inline const struct ibsr_guard_name_key *name_of(const __u8 *addr)
{
	const struct ibsr_guard_learned *learned = bpf_map_lookup_elem(&ibsr_g_learned, addr);

	if (!learned || learned->expiry_boot_ns < bpf_ktime_get_boot_ns())
		return NULL;
	return &learned->name;
}

static __always_inline int is_same_address(const __u8 *a, const __u8 *b)
{
	const __u32 *of_a = (const __u32 *)a, *of_b = (const __u32 *)b;

	return of_a[0] == of_b[0] && of_a[1] == of_b[1] && of_a[2] == of_b[2] && of_a[3] == of_b[3];
}

/* Keeps the name that a peer has when it is asked for; NULL for none, as without memory. */
static __always_inline void keep_name(struct bpf_sock *sk, const __u8 *addr,
				      const struct ibsr_guard_name_key *name)
{
	struct kept *kept;

	if (!sk)
		return;
	kept = bpf_sk_storage_get(&ibsr_g_kept, sk, NULL, name ? BPF_SK_STORAGE_GET_F_CREATE : 0);
	if (!kept)
		return;
	__builtin_memcpy(kept->addr, addr, sizeof(kept->addr));
	if (name)
		kept->name = *name;
	else
		kept->name.prefix_bits = 0;
}

/* The name of the peer that a socket has. Where the kernel failed to give it the peer that it
 * asked for last, the peer before has the name of the moment. */
static __always_inline const struct ibsr_guard_name_key *kept_name(struct bpf_sock *sk,
								   const __u8 *addr)
{
	const struct kept *kept = bpf_sk_storage_get(&ibsr_g_kept, sk, NULL, 0);

	if (!kept)
		return NULL;
	if (!is_same_address(kept->addr, addr))
		return name_of(addr);
	return kept->name.prefix_bits ? &kept->name : NULL;
}

/* The name that a packet asks for, which strict.bpf.h has found in it. */
static __always_inline const struct ibsr_guard_name_key *said_name(struct bpf_sock *sk)
{
	return bpf_sk_storage_get(&ibsr_g_said, sk, NULL, 0);
}

#endif /* IBSR_GUARD_LEARN_NAME_BPF_H */
