// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Asks the guard's verdict from outside: the packet is a query, a flag and a name; what comes
 * back is the rule and the action. For tests; nothing attaches it.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "guard/judge.bpf.h"

#define NO_VERDICT 0xffffffffu

/* What a test writes into the packet. */
struct question {
	struct ibsr_guard_query query;
	struct ibsr_guard_name_key name;
	__u32 slot;
};

/* Too large for the stack beside the judgement. Key: 0. Written and read by one test run. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct question);
	__uint(max_entries, 1);
	__uint(map_flags, 0);
} ibsr_question SEC(".maps");

/* Action in the lowest byte, rule and one above it: a default is rule 0. */
SEC("tc")
int ibsr_probe(struct __sk_buff *skb)
{
	const __u32 zero = 0;
	struct question *q = bpf_map_lookup_elem(&ibsr_question, &zero);
	const struct ibsr_guard_leaf *leaf;

	if (!q || bpf_skb_load_bytes(skb, 0, q, sizeof(*q)))
		return NO_VERDICT;
	leaf = verdict(q->slot, &q->query, q->name.prefix_bits ? &q->name : NULL);
	return leaf ? (leaf->rule + 1) << 8 | leaf->action : NO_VERDICT;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
