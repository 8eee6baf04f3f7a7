/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The process that runs, as the owner of a socket. Only for hooks that run in the context of
 * the process that asks: in cgroup_skb and in most callbacks of TCP, `current` is whoever was
 * interrupted. It promises that the row of an owner exists, or that its absence was counted,
 * before its key stands in a flow.
 */
#ifndef IBSR_CGROUP_OWNER_BPF_H
#define IBSR_CGROUP_OWNER_BPF_H

#include "cgroup/maps.bpf.h"
#include "cgroup/task.bpf.h"
#include "hash.bpf.h"
#include "map.bpf.h"

/* Everything that makes one owner differ from another. Never 0. */
static __always_inline __u64 owner_key(const struct task_struct *task,
				       const struct task_struct *leader, const struct cred *cred)
{
	__u64 hash = mix(ibsr_seed, leader->start_boottime);

	hash = mix(hash, (__u64)leader->tgid << 32 | cred->uid.val);
	hash = mix(hash, (__u64)cred->euid.val << 32 | (__u32)leader->self_exec_id);
	hash = mix(hash, effective_capabilities(cred));
	return mix(hash, task_cgroup_id(task)) | 1;
}

static __always_inline void describe_parent(struct ibsr_owner *owner,
					    const struct task_struct *leader)
{
	struct task_struct *parent = leader->real_parent;
	struct task_struct *head = parent ? parent->group_leader : NULL;

	if (!head)
		return;
	owner->parent_tgid = head->tgid;
	owner->parent_start_boot_ns = head->start_boottime;
	copy_comm(owner->parent_comm, head);
}

static __always_inline void describe_exe(struct ibsr_owner *owner, const struct task_struct *leader)
{
	struct inode *inode = task_exe(leader);
	struct super_block *super = inode ? inode->i_sb : NULL;

	if (!super)
		return;
	owner->exe_inode = inode->i_ino;
	owner->exe_device = super->s_dev;
}

static __always_inline void insert_owner(__u64 key, const struct task_struct *task,
					 const struct task_struct *leader, const struct cred *cred,
					 struct ibsr_cgroup_totals *totals)
{
	struct ibsr_owner owner = {
		.start_boot_ns = leader->start_boottime,
		.met_boot_ns = bpf_ktime_get_boot_ns(),
		.cgroup_id = task_cgroup_id(task),
		.capabilities = effective_capabilities(cred),
		.exec_id = leader->self_exec_id,
		.tgid = leader->tgid,
		.uid = cred->uid.val,
		.euid = cred->euid.val,
	};

	copy_comm(owner.comm, leader);
	describe_exe(&owner, leader);
	describe_parent(&owner, leader);
	if (!bpf_map_update_elem(&ibsr_owners, &key, &owner, BPF_NOEXIST))
		shared_add(&totals->owners_inserted, 1);
	else if (!bpf_map_lookup_elem(&ibsr_owners, &key))
		shared_add(&totals->owners_failed, 1);
}

/* Key of a process, 0 when it cannot be read. The row of `known` is there: it was made or
 * looked up when the socket was given to that owner. For any other owner the lookup also tells
 * the kernel that its row is in use. */
static __always_inline __u64 owner_of(const struct task_struct *task, __u64 known,
				      struct ibsr_cgroup_totals *totals)
{
	const struct task_struct *leader = task->group_leader;
	const struct cred *cred = task->cred;
	__u64 key;

	if (!leader || !cred)
		return 0;
	key = owner_key(task, leader, cred);
	if (key != known && !bpf_map_lookup_elem(&ibsr_owners, &key))
		insert_owner(key, task, leader, cred, totals);
	return key;
}

static __always_inline __u64 current_owner(__u64 known, struct ibsr_cgroup_totals *totals)
{
	return owner_of(bpf_get_current_task_btf(), known, totals);
}

#endif /* IBSR_CGROUP_OWNER_BPF_H */
