// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Walks on, after a store into an open file. */
#include "../../../bpf/observe_cgroup.bpf.c"

SEC("iter/task_file")
int mutant(struct bpf_iter__task_file *ctx)
{
	observe_file(ctx);
	{
		struct file *file = ctx->file;

		if (file)
			file->f_inode = NULL;
	}
	return 0;
}
