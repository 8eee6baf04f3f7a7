/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The name of the other end, for a verdict: of an address at this moment, or of a connection for
 * as long as it lasts. What comes in has none: whoever connects to us was not found by a name.
 */
#ifndef IBSR_GUARD_LEARN_NAME_BPF_H
#define IBSR_GUARD_LEARN_NAME_BPF_H

#include "guard/learn_maps.bpf.h"

/* The name of an address now; NULL when it has none any more. It may be written again while it
 * is read, when the kernel gives the entry to another address: then one verdict is about half of
 * each name, which has no rule of its own and is not kept. */
static __always_inline const struct ibsr_guard_name_key *name_of(const __u8 *addr)
{
	const struct ibsr_guard_learned *learned = bpf_map_lookup_elem(&ibsr_g_learned, addr);

	if (!learned || learned->expiry_boot_ns < bpf_ktime_get_boot_ns())
		return NULL;
	return &learned->name;
}

/* Keeps the name that a peer has when it is asked for. Without memory the connection has the name
 * of each moment. */
static __always_inline const struct ibsr_guard_name_key *keep_name(struct bpf_sock *sk,
								   const __u8 *addr)
{
	const struct ibsr_guard_name_key *name = name_of(addr);
	struct ibsr_guard_name_key *kept;

	if (!sk)
		return name;
	kept = bpf_sk_storage_get(&ibsr_g_kept, sk, NULL, name ? BPF_SK_STORAGE_GET_F_CREATE : 0);
	if (!kept)
		return name;
	if (!name) {
		kept->prefix_bits = 0;
		return NULL;
	}
	*kept = *name;
	return kept;
}

/* The name of the peer that a socket has asked for. */
static __always_inline const struct ibsr_guard_name_key *kept_name(struct bpf_sock *sk)
{
	const struct ibsr_guard_name_key *kept = bpf_sk_storage_get(&ibsr_g_kept, sk, NULL, 0);

	return kept && kept->prefix_bits ? kept : NULL;
}

/* The name that a packet asks for, which strict.bpf.h has found in it. */
static __always_inline const struct ibsr_guard_name_key *said_name(struct bpf_sock *sk)
{
	return bpf_sk_storage_get(&ibsr_g_said, sk, NULL, 0);
}

#endif /* IBSR_GUARD_LEARN_NAME_BPF_H */
