/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The walk over the answers of a message: a state machine, one small step a turn, and so many
 * steps for a whole message. It promises to end, to follow pointers backwards only, and to
 * find the addresses of the name that was asked for, or of what its CNAMEs lead to, and no
 * others. Nothing is learned here: a message that turns out to be malformed teaches nothing.
 */
#ifndef IBSR_CGROUP_DNS_WALK_BPF_H
#define IBSR_CGROUP_DNS_WALK_BPF_H

#include "cgroup/dns/message.bpf.h"

/* What the next step reads. */
enum dns_phase {
	DNS_OWNER = 0,	/* the name of a record */
	DNS_TARGET = 1, /* the name in a CNAME */
	DNS_HEADER = 2, /* type, class, TTL and length of a record */
};

#define DNS_RECORD_BYTES 10 /* of that header */

/* Each says whether the walk is over. */
#define DNS_GO_ON 0
#define DNS_OVER  1

static __always_inline int give_up(struct dns_work *w)
{
	w->outcome = OUTCOME(answer_malformed);
	return DNS_OVER;
}

static __always_inline int begin_name(struct dns_work *w, __u32 at, __u32 phase)
{
	w->walk = at;
	w->lowest = at;
	w->resume = 0;
	w->name_bytes = 0;
	w->hash = ibsr_seed;
	w->phase = phase;
	return DNS_GO_ON;
}

static __always_inline int next_record(struct dns_work *w)
{
	if (!w->records) {
		w->outcome = OUTCOME(answered);
		return DNS_OVER;
	}
	w->records--;
	return begin_name(w, w->next, DNS_OWNER);
}

static __always_inline int end_owner(struct dns_work *w, int is_wanted)
{
	w->is_wanted = is_wanted;
	w->at = w->resume;
	w->phase = DNS_HEADER;
	return DNS_GO_ON;
}

static __always_inline int end_name(struct dns_work *w, __u32 behind)
{
	if (!w->resume)
		w->resume = behind;
	if (w->phase == DNS_OWNER)
		return end_owner(w, w->hash == w->wanted);
	if (w->resume != w->next)
		return give_up(w);
	w->wanted = w->hash;
	w->wanted_at = w->target_at;
	w->chain++;
	return next_record(w);
}

/* Nearly every name is a pointer to where the wanted name stands: no need to walk that. */
static __always_inline int follow_pointer(struct dns_work *w, __u32 at)
{
	__u32 to = two_at(w, at) & 0x3fff;

	if (at + 2 > w->end || to < DNS_HEADER_BYTES || to >= w->lowest)
		return give_up(w);
	if (!w->resume)
		w->resume = at + 2;
	if (w->phase == DNS_OWNER && !w->name_bytes && to == w->wanted_at)
		return end_owner(w, 1);
	w->lowest = to;
	w->walk = to;
	return DNS_GO_ON;
}

static __always_inline int name_step(struct dns_work *w)
{
	__u32 at = w->walk, bytes;

	if (at >= w->end)
		return give_up(w);
	bytes = byte_at(w, at);
	if (!bytes)
		return end_name(w, at + 1);
	if (bytes >= DNS_POINTER)
		return follow_pointer(w, at);
	bytes++;
	if (bytes > DNS_LABEL_MAX + 1 || at + bytes > w->end)
		return give_up(w);
	w->name_bytes += bytes;
	if (w->name_bytes >= DNS_NAME_MAX)
		return give_up(w);
	w->walk = at + bytes;
	w->hash = hash_label(w, w->hash, at, bytes);
	return DNS_GO_ON;
}

static __always_inline __u32 ttl_at(const struct dns_work *w, __u32 at)
{
	__u32 ttl_s = four_at(w, at);

	/* RFC 2181, 8: with the highest bit set it is zero. */
	return ttl_s >> 31 ? 0 : ttl_s;
}

/* Four bytes of an address, in network order. */
static __always_inline __u32 part_at(const struct dns_work *w, __u32 at, __u32 by)
{
	return *(volatile const __u32 *)(place(w, at) + by * 4);
}

/* At most one for each record that is read, so there is room. */
static __always_inline int found_address(struct dns_work *w, __u32 at, __u32 ttl_s, int is_v4)
{
	struct dns_found *found;
	__u32 index = w->found_count++;

	barrier_var(index);
	found = &w->found[index & (IBSR_DNS_RECORDS - 1)];
	found->ttl_s = ttl_s;
	if (is_v4) {
		mapped((__u8 *)found->addr, part_at(w, at, 0));
	} else {
		for (int i = 0; i < 4; i++)
			found->addr[i] = part_at(w, at, i);
	}
	return next_record(w);
}

static __always_inline int header_step(struct dns_work *w)
{
	__u32 at = w->at, data = at + DNS_RECORD_BYTES, type, bytes, ttl_s;
	__u32 asked = w->question.type;

	if (data > w->end)
		return give_up(w);
	bytes = two_at(w, at + 8);
	w->next = data + bytes;
	if (w->next > w->end)
		return give_up(w);
	type = two_at(w, at);
	ttl_s = ttl_at(w, at + 4);
	if (!w->is_wanted || two_at(w, at + 2) != DNS_CLASS_IN) {
		w->foreign_count++;
		return next_record(w);
	}
	if (type == DNS_TYPE_CNAME) {
		if (ttl_s < w->chain_ttl_s)
			w->chain_ttl_s = ttl_s;
		w->target_at = data;
		return begin_name(w, data, DNS_TARGET);
	}
	if (type != asked && asked != DNS_TYPE_ANY)
		type = 0;
	if (type == DNS_TYPE_A)
		return bytes == 4 ? found_address(w, data, ttl_s, 1) : give_up(w);
	if (type == DNS_TYPE_AAAA)
		return bytes == 16 ? found_address(w, data, ttl_s, 0) : give_up(w);
	w->foreign_count++;
	return next_record(w);
}

/* Walks the records from `at`. The result is in `outcome`: from there the verifier takes it
 * for any number, and not for one for each way through the loop. */
static __always_inline void walk_answers(struct dns_work *w, __u32 at, __u32 records)
{
	w->wanted = w->hash;
	w->wanted_at = DNS_HEADER_BYTES;
	w->next = at;
	w->records = records;
	w->found_count = 0;
	w->foreign_count = 0;
	w->chain = 0;
	w->chain_ttl_s = IBSR_NAME_TTL_MAX_S;
	w->outcome = OUTCOME(answer_too_deep);
	if (next_record(w) == DNS_OVER)
		return;
	for (int i = 0; i < IBSR_DNS_STEPS; i++) {
		int is_over;

		barrier();
		if (w->phase == DNS_HEADER)
			is_over = header_step(w);
		else
			is_over = name_step(w);
		if (is_over)
			break;
	}
	barrier();
}

#endif /* IBSR_CGROUP_DNS_WALK_BPF_H */
