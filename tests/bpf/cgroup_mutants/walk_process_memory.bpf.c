// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Walks on, after a store into the memory of a process. */
#include "../../../bpf/observe_cgroup.bpf.c"

SEC("iter/task_file")
int mutant(struct bpf_iter__task_file *ctx)
{
	observe_file(ctx);
	{
		int value = 1;

		bpf_probe_write_user((void *)8, &value, sizeof(value));
	}
	return 0;
}
