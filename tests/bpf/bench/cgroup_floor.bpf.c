// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The floors of the cgroup sensor, for packets: a program that does nothing, and one that
 * does one lookup, always with a hit, in a hash whose key has the size of a flow's.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct floor_key {
	__u64 word[4];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct floor_key);
	__type(value, __u64);
	__uint(max_entries, 4096);
} floor_table SEC(".maps");

static __always_inline void look_up(struct __sk_buff *skb)
{
	struct floor_key key = { .word = { 1, 2, 3, 4 } };
	__u64 *value = bpf_map_lookup_elem(&floor_table, &key);

	if (value)
		*(volatile __u64 *)value;
}

SEC("cgroup_skb/ingress")
int empty_in(struct __sk_buff *skb)
{
	return 1;
}

SEC("cgroup_skb/egress")
int empty_out(struct __sk_buff *skb)
{
	return 1;
}

SEC("cgroup_skb/ingress")
int lookup_in(struct __sk_buff *skb)
{
	look_up(skb);
	return 1;
}

SEC("cgroup_skb/egress")
int lookup_out(struct __sk_buff *skb)
{
	look_up(skb);
	return 1;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
