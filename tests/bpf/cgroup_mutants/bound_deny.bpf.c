// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Allows nothing once it is bound. */
#include "../../../bpf/observe_cgroup.bpf.c"

SEC("cgroup/post_bind4")
int mutant(struct bpf_sock *ctx)
{
	observe_release(ctx);
	return 0;
}
