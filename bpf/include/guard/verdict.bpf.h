/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the policy says to one query: twin of verdict.rs in ibsr-proto, and the one place that
 * judges, for every hook. One lookup for each dimension gives the leaves that it allows; the
 * first leaf that all of them allow is the verdict. It promises at most 21 lookups, to write
 * nothing, and to find no leaf rather than a wrong one when a table is missing.
 */
#ifndef IBSR_GUARD_VERDICT_BPF_H
#define IBSR_GUARD_VERDICT_BPF_H

#include "guard/tables.bpf.h"

#define ALL_LEAVES (~0ULL)

/* A value of the table in one slot; NULL when either is not there. */
#define TABLE_LOOKUP(outer, slot, key)                                                             \
	({                                                                                         \
		__u32 slot_ = (slot);                                                              \
		void *inner_ = bpf_map_lookup_elem(&(outer), &slot_);                              \
		inner_ ? bpf_map_lookup_elem(inner_, (key)) : NULL;                                \
	})

/* What is being found out. */
struct judgement {
	__u32 slot;
	__u32 is_broken; /* a class was not there */
	__u64 left[IBSR_GUARD_WORDS];
};

static __always_inline void keep_class(struct judgement *j, __u32 number)
{
	const struct ibsr_guard_class *class = TABLE_LOOKUP(ibsr_g_classes, j->slot, &number);

	if (!class) {
		j->is_broken = 1;
		return;
	}
	for (int i = 0; i < IBSR_GUARD_WORDS; i++)
		j->left[i] &= class->word[i];
}

/* Keeps what the table allows for the key, or what it allows for a key that it does not have.
 * A dimension that no rule asks about is not looked up: all leaves allow it. */
#define KEEP(j, policy, dimension, outer, key)                                                     \
	do {                                                                                       \
		if ((policy)->uses & 1U << (dimension)) {                                          \
			const __u32 *found_ = TABLE_LOOKUP(outer, (j)->slot, key);                 \
                                                                                                   \
			keep_class(j, found_ ? *found_ : (policy)->miss[dimension]);               \
		}                                                                                  \
	} while (0)

/* The lowest bit that is set in a word that is not 0. */
static __always_inline __u32 lowest_bit(__u64 word)
{
	__u32 bit = 0;

	for (__u32 half = 32; half; half /= 2) {
		if (!(word & ((1ULL << half) - 1))) {
			word >>= half;
			bit += half;
		}
	}
	return bit;
}

static __always_inline const struct ibsr_guard_leaf *first_leaf(const struct judgement *j)
{
	__u32 leaf = IBSR_GUARD_LEAVES;

	for (int i = IBSR_GUARD_WORDS - 1; i >= 0; i--) {
		if (j->left[i])
			leaf = i * 64;
	}
	/* Only the word that decides is looked into, so the loop stays without branches. */
	for (int i = 0; i < IBSR_GUARD_WORDS; i++) {
		if (leaf == (__u32)i * 64) {
			leaf += lowest_bit(j->left[i]);
			break;
		}
	}
	return TABLE_LOOKUP(ibsr_g_leaves, j->slot, &leaf);
}

/* The leaf that decides; NULL when there is no policy or it is broken, which allows. `name` is
 * NULL when none is known. */
static __always_inline const struct ibsr_guard_leaf *
verdict(__u32 slot, const struct ibsr_guard_query *query, const struct ibsr_guard_name_key *name)
{
	const __u32 zero = 0;
	const struct ibsr_guard_policy *policy = TABLE_LOOKUP(ibsr_g_policy, slot, &zero);
	__u32 row = (__u32)query->direction << 8 | query->protocol, port = query->port;
	struct ibsr_guard_addr_key addr = { .prefix_bits = 128 };
	struct judgement j = { .slot = slot };

	if (!policy)
		return NULL;
	for (int i = 0; i < IBSR_GUARD_WORDS; i++)
		j.left[i] = ALL_LEAVES;
	__builtin_memcpy(addr.addr, query->addr, sizeof(addr.addr));
	KEEP(&j, policy, IBSR_GUARD_PROTOCOL, ibsr_g_protos, &row);
	KEEP(&j, policy, IBSR_GUARD_ADDRESS, ibsr_g_addrs, &addr);
	if (name)
		KEEP(&j, policy, IBSR_GUARD_NAME, ibsr_g_names, name);
	else if (policy->uses & 1U << IBSR_GUARD_NAME)
		keep_class(&j, policy->miss[IBSR_GUARD_NAME]);
	KEEP(&j, policy, IBSR_GUARD_PORT, ibsr_g_ports, &port);
	KEEP(&j, policy, IBSR_GUARD_EXE, ibsr_g_exes, &query->exe);
	KEEP(&j, policy, IBSR_GUARD_USER, ibsr_g_users, &query->uid);
	KEEP(&j, policy, IBSR_GUARD_CGROUP, ibsr_g_cgroups, &query->cgroup_id);
	return j.is_broken ? NULL : first_leaf(&j);
}

#endif /* IBSR_GUARD_VERDICT_BPF_H */
