/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The tables of a policy. Each is one map in a slot of an outer map; the generation says which
 * slot. A slot is only written while no program can read it: see guard_install in user space.
 * The inner maps here are templates: their sizes are those of an empty policy.
 */
#ifndef IBSR_GUARD_TABLES_BPF_H
#define IBSR_GUARD_TABLES_BPF_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "ibsr_guard_abi.h"

/* Sizes instead of types: compilers leave the types of a map inside a map undefined. `size` is
 * that of the template; user space makes inner maps as large as the policy needs. */
#define INNER(name, kind, key_type, value_type, size, flags)                                       \
	struct name {                                                                              \
		__uint(type, kind);                                                                \
		__uint(key_size, sizeof(key_type));                                                \
		__uint(value_size, sizeof(value_type));                                            \
		__uint(max_entries, size);                                                         \
		__uint(map_flags, flags);                                                          \
	}

#define OUTER(name, inner, template)                                                               \
	INNER(inner, template);                                                                    \
	struct {                                                                                   \
		__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);                                          \
		__type(key, __u32);                                                                \
		__uint(max_entries, IBSR_GUARD_SLOTS);                                             \
		__uint(map_flags, 0);                                                              \
		__array(values, struct inner);                                                     \
	} name SEC(".maps")

/* Key: 0. Value: the head. Written by user space only, as is every table below; read by every
 * program. Never full. */
#define ONE_HEAD BPF_MAP_TYPE_ARRAY, __u32, struct ibsr_guard_policy, 1, BPF_F_INNER_MAP
OUTER(ibsr_g_policy, head_table, ONE_HEAD);

/* Key: number of a class. 128 bytes each. */
#define CLASSES BPF_MAP_TYPE_ARRAY, __u32, struct ibsr_guard_class, 1, BPF_F_INNER_MAP
OUTER(ibsr_g_classes, class_table, CLASSES);

/* Key: number of a leaf. At most 32 KiB. */
#define LEAVES BPF_MAP_TYPE_ARRAY, __u32, struct ibsr_guard_leaf, 1, BPF_F_INNER_MAP
OUTER(ibsr_g_leaves, leaf_table, LEAVES);

/* Key: direction * 256 + protocol. Value: class. 6 KiB. */
#define NUMBERS BPF_MAP_TYPE_ARRAY, __u32, __u32, 1, BPF_F_INNER_MAP
OUTER(ibsr_g_protos, protocol_table, NUMBERS);

/* Key: port. Value: class. 512 KiB where a rule names a port. */
OUTER(ibsr_g_ports, port_table, NUMBERS);

/* Key: prefix. Value: class. 100,000 prefixes are about 10 MiB. */
#define PREFIXES BPF_MAP_TYPE_LPM_TRIE, struct ibsr_guard_addr_key, __u32, 1, BPF_F_NO_PREALLOC
OUTER(ibsr_g_addrs, addr_table, PREFIXES);

/* Key: suffix. Value: class. 100,000 names are about 45 MiB. */
#define SUFFIXES BPF_MAP_TYPE_LPM_TRIE, struct ibsr_guard_name_key, __u32, 1, BPF_F_NO_PREALLOC
OUTER(ibsr_g_names, name_table, SUFFIXES);

/* Key: prefix that is never denied. Value: 1. */
OUTER(ibsr_g_protected, protected_table, PREFIXES);

/* Key: executable, user, cgroup. Value: class. */
#define EXES BPF_MAP_TYPE_HASH, struct ibsr_guard_exe_key, __u32, 1, 0
OUTER(ibsr_g_exes, exe_table, EXES);
#define USERS BPF_MAP_TYPE_HASH, __u32, __u32, 1, 0
OUTER(ibsr_g_users, user_table, USERS);
#define CGROUPS BPF_MAP_TYPE_HASH, __u64, __u32, 1, 0
OUTER(ibsr_g_cgroups, cgroup_table, CGROUPS);

/* Key: address of a resolver that is believed. Value: 1. */
#define RESOLVERS BPF_MAP_TYPE_HASH, __u8[16], __u32, 1, 0
OUTER(ibsr_g_resolvers, resolver_table, RESOLVERS);

#endif /* IBSR_GUARD_TABLES_BPF_H */
