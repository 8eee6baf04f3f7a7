// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The floor of every comparison: an XDP program that does nothing.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("xdp.frags")
int empty(struct xdp_md *ctx)
{
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
