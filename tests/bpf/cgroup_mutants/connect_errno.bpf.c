// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Allows, and has connect(2) fail all the same. */
#include "../../../bpf/observe_cgroup.bpf.c"

SEC("cgroup/connect4")
int mutant(struct bpf_sock_addr *ctx)
{
	observe_send(ctx);
	bpf_set_retval(-111);
	return ALLOW;
}
