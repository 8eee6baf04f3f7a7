// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * An observer small enough that the verifier takes thousands of mutations of it in seconds:
 * context, packet, stack, map values, a spilled packet pointer and an atomic operation.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, __u64[2]);
	__uint(max_entries, 4);
} small_counts SEC(".maps");

SEC("xdp")
int small_observer(struct xdp_md *ctx)
{
	__u8 *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u8 *volatile spilled;
	__u64 *count;
	__u32 key;

	if (data + 34 > end)
		return XDP_PASS;
	spilled = data;
	key = data[33] & 3;
	count = bpf_map_lookup_elem(&small_counts, &key);
	if (!count)
		return XDP_PASS;
	__sync_fetch_and_add(&count[0], 1);
	data = spilled;
	end = (void *)(long)ctx->data_end;
	if (data + 34 <= end) {
		*(__u8 *)&count[1] = data[0];
		*((__u16 *)&count[1] + 1) = *(__u16 *)&data[12];
		*((__u32 *)&count[1] + 1) = *(__u32 *)&data[26];
	}
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
