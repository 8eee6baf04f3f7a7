/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The kernel's own structs, as far as the sensor reads them, and what differs between
 * kernels. Fields are found by name when the object is loaded (CO-RE). It promises to read
 * and never to hold a reference; what cannot be read is 0.
 *
 * Pointers are tested although most cannot be NULL: kernels whose BTF marks RCU pointers
 * refuse to follow an untested one.
 */
#ifndef IBSR_CGROUP_TASK_BPF_H
#define IBSR_CGROUP_TASK_BPF_H

#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include "ibsr_cgroup_abi.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct kernfs_node {
	__u64 id;
};

struct cgroup;

struct cgroup_subsys_state {
	struct cgroup *cgroup;
	struct cgroup_subsys_state *parent;
};

struct cgroup {
	struct cgroup_subsys_state self;
	struct kernfs_node *kn;
};

struct css_set {
	struct cgroup *dfl_cgrp;
};

struct super_block {
	__u32 s_dev;
};

struct inode {
	unsigned long i_ino;
	struct super_block *i_sb;
};

struct file {
	struct inode *f_inode;
};

struct mm_struct {
	struct file *exe_file;
};

typedef struct {
	__u32 val;
} kuid_t;

typedef struct {
	__u32 half[2];
} kernel_cap_t;

struct cred {
	kuid_t uid;
	kuid_t euid;
	kernel_cap_t cap_effective;
};

struct task_struct {
	int tgid;
	__u64 start_boottime;
	__u64 self_exec_id;
	char comm[IBSR_COMM_BYTES];
	struct task_struct *group_leader;
	struct task_struct *real_parent;
	struct mm_struct *mm;
	const struct cred *cred;
	struct css_set *cgroups;
};

struct sock {
	int sk_err;
};

#pragma clang attribute pop

/* Two words before f122a08b197d ("capability: just use a 'u64' instead of a 'u32[2]' array",
 * 6.3), one since: read by halves it is the same on little-endian machines, and needs no
 * branch that the proof would have to follow on kernels where it cannot be taken. */
static __always_inline __u64 effective_capabilities(const struct cred *cred)
{
	const __u32 *half = (const void *)&cred->cap_effective;

	return half[0] | (__u64)half[1] << 32;
}

/* In the cgroup v2 hierarchy. */
static __always_inline __u64 task_cgroup_id(const struct task_struct *task)
{
	struct css_set *set = task->cgroups;
	struct cgroup *cgroup = set ? set->dfl_cgrp : NULL;
	struct kernfs_node *node = cgroup ? cgroup->kn : NULL;

	return node ? node->id : 0;
}

/* The inode that a process executes. Kernel threads have none. */
static __always_inline struct inode *task_exe(const struct task_struct *task)
{
	struct mm_struct *mm = task->mm;
	struct file *exe = mm ? mm->exe_file : NULL;

	return exe ? exe->f_inode : NULL;
}

static __always_inline void copy_comm(char *to, const struct task_struct *task)
{
	for (int i = 0; i < IBSR_COMM_BYTES; i++)
		to[i] = task->comm[i];
}

#endif /* IBSR_CGROUP_TASK_BPF_H */
