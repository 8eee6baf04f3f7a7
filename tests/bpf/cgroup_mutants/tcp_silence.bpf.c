// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Returns what takes away the answers of others. */
#include "../../../bpf/observe_cgroup.bpf.c"

SEC("sockops")
int mutant(struct bpf_sock_ops *ctx)
{
	observe_tcp(ctx);
	return 0;
}
