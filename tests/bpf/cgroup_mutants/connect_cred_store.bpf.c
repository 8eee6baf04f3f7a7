// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Allows, after making the process root. */
#include "../../../bpf/observe_cgroup.bpf.c"

SEC("cgroup/connect4")
int mutant(struct bpf_sock_addr *ctx)
{
	observe_send(ctx);
	{
		struct task_struct *task = (void *)bpf_get_current_task_btf();
		struct cred *cred = (void *)task->cred;

		if (cred)
			cred->euid.val = 0;
	}
	return ALLOW;
}
