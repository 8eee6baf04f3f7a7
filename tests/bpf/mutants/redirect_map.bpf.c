// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Passes, after asking a map where to send the frame. */
#include "../../../bpf/observe_xdp.bpf.c"

struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__type(key, __u32);
	__type(value, __u32);
	__uint(max_entries, 1);
} mutant_devices SEC(".maps");

SEC("xdp.frags")
int mutant(struct xdp_md *ctx)
{
	observe(ctx);
	bpf_redirect_map(&mutant_devices, 0, XDP_PASS);
	return XDP_PASS;
}
