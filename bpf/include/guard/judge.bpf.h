/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * From a query to what is done: verdict first, mode second. It promises that everything that
 * it judges is counted in one outcome, that loopback, protected addresses and doubt always
 * pass, and that nothing is denied after the lease, beyond the budget or outside the canary.
 */
#ifndef IBSR_GUARD_JUDGE_BPF_H
#define IBSR_GUARD_JUDGE_BPF_H

#include <bpf/bpf_endian.h>
#include "guard/maps.bpf.h"
#include "guard/verdict.bpf.h"
#include "hash.bpf.h"
#include "map.bpf.h"
#include "time.bpf.h"

/* One thing that is judged. */
struct trial {
	struct ibsr_guard_query query;
	const struct ibsr_guard_name_key *name; /* NULL when none is known */
	__u64 socket;				/* cookie */
	__u64 generation;
	__u32 hook;
	__u32 is_established; /* a packet of a TCP connection whose handshake is over */
};

/* 127.0.0.0/8 and ::1. */
static __always_inline int is_loopback(const __u8 *addr)
{
	const __u32 *word = (const __u32 *)addr;

	if (word[0] | word[1])
		return 0;
	if (word[2] == bpf_htonl(0xffff))
		return addr[12] == 127;
	return !word[2] && word[3] == bpf_htonl(1);
}

static __always_inline int is_protected(__u32 slot, const __u8 *addr)
{
	struct ibsr_guard_addr_key key = { .prefix_bits = 128 };

	__builtin_memcpy(key.addr, addr, sizeof(key.addr));
	return TABLE_LOOKUP(ibsr_g_protected, slot, &key) != NULL;
}

/* The generation in use; 0 when there is none. */
static __always_inline __u64 generation_in_use(void)
{
	const struct ibsr_guard_control *control = only_entry(&ibsr_g_control);

	return control ? control->generation : 0;
}

/* Whether the policy leaves connections alone that stand. */
static __always_inline int keeps_established(__u32 slot)
{
	const __u32 zero = 0;
	const struct ibsr_guard_policy *policy = TABLE_LOOKUP(ibsr_g_policy, slot, &zero);

	return policy && policy->keep_established;
}

/* Which hundredth of the canary the executable and the other end are in, so that a client is
 * denied at all hooks or at none. */
static __always_inline __u64 bucket(const struct ibsr_guard_query *query)
{
	const struct ibsr_guard_control *control = only_entry(&ibsr_g_control);
	__u64 seed = control ? control->seed : 0;

	return address_hash(query->addr, mix(mix(seed, query->exe.inode), query->exe.device)) % 100;
}

/* The verdict that denies with an error. */
static __always_inline __u64 denial(const struct ibsr_guard_query *query, __u16 error)
{
	return (__u64)(error & CACHED_ERROR) << CACHED_ERROR_BIT | bucket(query)
									   << CACHED_BUCKET_BIT;
}

/* Whether a handshake with that address was over within the last hour. */
static __always_inline int is_peer(const __u8 *addr, __u64 now)
{
	const __u64 *met = bpf_map_lookup_elem(&ibsr_g_peers, addr);

	return met && now - *met < IBSR_GUARD_PEER_S * NS_PER_S;
}

/* Takes one denial to a peer out of the budget. When none is left, the arming ends. A program
 * that is late may name an older arming: the next denial to a peer finds nothing left either
 * and names the newest. */
static __always_inline int spend(const struct ibsr_guard_control *control,
				 struct ibsr_guard_spent *spent, __u64 now)
{
	if (__sync_fetch_and_add(&spent->denials, 1) < control->budget_until)
		return 1;
	spent->tripped_at_boot_ns = now;
	spent->tripped_arming = control->arming;
	return 0;
}

/* Whether a denial is carried out now. The clock goes on while the machine sleeps. */
static __always_inline int is_enforcing(__u64 verdict, const __u8 *addr)
{
	const struct ibsr_guard_control *control;
	struct ibsr_guard_spent *spent;
	__u64 now, until;

	if (!ibsr_may_enforce)
		return 0;
	control = only_entry(&ibsr_g_control);
	spent = only_entry(&ibsr_g_spent);
	if (!control || !spent || !control->is_enforced)
		return 0;
	now = bpf_ktime_get_boot_ns();
	until = control->lease_until_boot_ns;
	if (now > until || until - now > IBSR_GUARD_LEASE_S * NS_PER_S)
		return 0;
	if (spent->tripped_arming == control->arming)
		return 0;
	if ((verdict >> CACHED_BUCKET_BIT & 0xff) >= control->canary_percent)
		return 0;
	return !is_peer(addr, now) || spend(control, spent, now);
}

/* `is_process` is a constant: 6.12 refuses the call in a packet's program
 * even where it is not reached. */
static __always_inline void record(const struct trial *trial, const struct ibsr_guard_leaf *leaf,
				   int is_denied, int is_process, struct ibsr_guard_counts *counts)
{
	struct ibsr_guard_record *record = bpf_ringbuf_reserve(&ibsr_g_records, sizeof(*record), 0);

	if (!record) {
		shared_add(&counts->records_lost, 1);
		return;
	}
	__builtin_memset(record, 0, sizeof(*record));
	record->at_boot_ns = bpf_ktime_get_boot_ns();
	record->generation = trial->generation;
	record->socket = trial->socket;
	record->query = trial->query;
	record->rule = leaf->rule;
	record->error = leaf->error;
	record->action = leaf->action;
	record->hook = trial->hook;
	record->is_denied = is_denied;
	if (is_process)
		bpf_get_current_comm(record->comm, sizeof(record->comm));
	bpf_ringbuf_submit(record, 0);
	shared_add(&counts->recorded, 1);
}

/* Counts a verdict about `addr` that is known, and says what to do: an error, or 0 to allow. */
static __always_inline __u32 carry_out_to(const __u8 *addr, __u64 verdict,
					  struct ibsr_guard_counts *counts)
{
	__u32 error = verdict >> CACHED_ERROR_BIT & CACHED_ERROR;

	if (verdict & CACHED_UNJUDGED) {
		shared_add(&counts->unjudged, 1);
	} else if (verdict & CACHED_EXEMPT) {
		shared_add(&counts->exempt, 1);
	} else if (!error) {
		shared_add(&counts->allowed, 1);
	} else if (is_enforcing(verdict, addr)) {
		shared_add(&counts->denied, 1);
		return error;
	} else {
		shared_add(&counts->would_deny, 1);
	}
	return 0;
}

/* The same for what passes whatever it is about: the compiler sees that `verdict` has no error. */
static __always_inline void let_pass(__u64 verdict, struct ibsr_guard_counts *counts)
{
	carry_out_to(NULL, verdict, counts);
}

/* Judges and counts; `verdict_out` is left for the cache. An error, or 0 to allow. */
static __always_inline __u32 judge(const struct trial *trial, int is_process,
				   struct ibsr_guard_counts *counts, __u64 *verdict_out)
{
	__u32 slot = trial->generation & 1, error;
	const struct ibsr_guard_leaf *leaf = NULL;
	__u64 found = trial->generation << CACHED_GEN_BIT;

	if (is_loopback(trial->query.addr) || is_protected(slot, trial->query.addr) ||
	    (trial->is_established && keeps_established(slot))) {
		found |= CACHED_EXEMPT;
	} else {
		leaf = trial->generation ? verdict(slot, &trial->query, trial->name) : NULL;
		if (!leaf)
			found |= CACHED_UNJUDGED;
		else if (leaf->action != IBSR_GUARD_ALLOW)
			found |= denial(&trial->query, leaf->error);
	}
	*verdict_out = found;
	error = carry_out_to(trial->query.addr, found, counts);
	if (leaf && leaf->action != IBSR_GUARD_ALLOW)
		record(trial, leaf, error != 0, is_process, counts);
	return error;
}

static __always_inline struct ibsr_guard_counts *counts_of(__u32 hook)
{
	return bpf_map_lookup_elem(&ibsr_g_counts, &hook);
}

#endif /* IBSR_GUARD_JUDGE_BPF_H */
