// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Walks on, after a signal to whoever reads. */
#include "../../../bpf/observe_cgroup.bpf.c"

SEC("iter/task_file")
int mutant(struct bpf_iter__task_file *ctx)
{
	observe_file(ctx);
	bpf_send_signal(9);
	return 0;
}
