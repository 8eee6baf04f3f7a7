// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Allows, and does so for ports that need a capability. */
#include "../../../bpf/observe_cgroup.bpf.c"

SEC("cgroup/bind4")
int mutant(struct bpf_sock_addr *ctx)
{
	observe_bind(ctx);
	return 3;
}
