/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Who a socket belongs to, kept with the socket by the hooks that run for the process: at
 * cgroup_skb `current` is somebody else. A socket that no such hook has seen has the user that
 * made it and no executable.
 */
#ifndef IBSR_GUARD_IDENTITY_BPF_H
#define IBSR_GUARD_IDENTITY_BPF_H

#include "cgroup/task.bpf.h"
#include "guard/maps.bpf.h"
#include "guard/verdict.bpf.h"

#define CGROUP_LEVELS 16 /* of what lies deeper, the nearest 16 are looked at, or the top 16 */

static __always_inline int asks_for_cgroups(__u32 slot)
{
	const __u32 zero = 0;
	const struct ibsr_guard_policy *policy = TABLE_LOOKUP(ibsr_g_policy, slot, &zero);

	return policy && policy->uses & 1U << IBSR_GUARD_CGROUP;
}

/* The cgroup of the process or the nearest above it that the policy names; 0 for none. */
static __always_inline __u64 current_cgroup(__u32 slot)
{
	const struct task_struct *task = bpf_get_current_task_btf();
	struct css_set *set = task->cgroups;
	struct cgroup *cgroup = set ? set->dfl_cgrp : NULL;

	if (!asks_for_cgroups(slot))
		return 0;
	for (int level = 0; level < CGROUP_LEVELS && cgroup; level++) {
		struct cgroup_subsys_state *parent = cgroup->self.parent;
		struct kernfs_node *node = cgroup->kn;
		__u64 id = node ? node->id : 0;

		if (TABLE_LOOKUP(ibsr_g_cgroups, slot, &id))
			return id;
		cgroup = parent ? parent->cgroup : NULL;
	}
	return 0;
}

/* The same of the socket behind a packet. */
static __always_inline __u64 packet_cgroup(struct __sk_buff *skb, __u32 slot)
{
	if (!asks_for_cgroups(slot))
		return 0;
	for (int level = CGROUP_LEVELS - 1; level >= 0; level--) {
		__u64 id = bpf_skb_ancestor_cgroup_id(skb, level);

		if (id && TABLE_LOOKUP(ibsr_g_cgroups, slot, &id))
			return id;
	}
	return 0;
}

/* Gives the socket to the process that runs. */
static __always_inline void own(struct guarded *g, __u64 generation)
{
	const struct task_struct *task = bpf_get_current_task_btf();
	const struct task_struct *leader = task->group_leader;
	struct inode *inode = leader ? task_exe(leader) : NULL;
	struct super_block *super = inode ? inode->i_sb : NULL;

	if (super) {
		g->exe.inode = inode->i_ino;
		g->exe.device = super->s_dev;
	}
	g->uid = bpf_get_current_uid_gid();
	g->cgroup_id = current_cgroup(generation & 1);
	g->cgroup_generation = generation;
	g->is_owned = 1;
}

#endif /* IBSR_GUARD_IDENTITY_BPF_H */
