/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the guard knows of names: which address has which, which question waits for its answer,
 * and by which name a connection was made. It holds no code.
 */
#ifndef IBSR_GUARD_LEARN_MAPS_BPF_H
#define IBSR_GUARD_LEARN_MAPS_BPF_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "guard/name.bpf.h"
#include "ibsr_guard_abi.h"

struct waiting {
	__u64 asked_boot_ns;
	__u32 is_answered; /* exchanged: the first answer wins */
	__u32 pad;
};

/* What the guard keeps beside a message. */
#define DNS_WORK_OWN                                                                               \
	struct waiting asked;                                                                      \
	struct ibsr_guard_learned learned
#include "cgroup/dns/work.bpf.h"

/* Key: address. Value: struct ibsr_guard_learned. Written by the programs, the last answer
 * wins; read by them. When full the kernel evicts one that was not used lately, whose address
 * has no name then. 336 bytes an entry: 5.3 MiB. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, __u8[16]);
	__type(value, struct ibsr_guard_learned);
	__uint(max_entries, IBSR_GUARD_NAMED);
	__uint(map_flags, 0);
} ibsr_g_learned SEC(".maps");

/* Key: struct dns_question. Value: struct waiting. Written and read by the programs. When full the
 * kernel evicts the oldest, whose answer then counts as `unasked`. 104 bytes an entry: 832 KiB. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, struct dns_question);
	__type(value, struct waiting);
	__uint(max_entries, IBSR_GUARD_ASKED);
	__uint(map_flags, 0);
} ibsr_g_asked SEC(".maps");

/* The name that an address had when it was asked for; no bits when it had none. */
struct kept {
	__u8 addr[16];
	struct ibsr_guard_name_key name;
	__u32 pad;
};

/* Key: socket. Value: its peer and the name of that. Written by connect, read by the packets.
 * Only for sockets one of whose peers had a name, and freed with them. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__type(key, int);
	__type(value, struct kept);
	__uint(max_entries, 0);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} ibsr_g_kept SEC(".maps");

/* Key: socket. Value: the name that its last message over TCP to port 53 asks for. Written and
 * read for one packet. Only for sockets that send such, and freed with them. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__type(key, int);
	__type(value, struct ibsr_guard_name_key);
	__uint(max_entries, 0);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} ibsr_g_said SEC(".maps");

/* Outcomes of questions to listed resolvers and of every answer. Key: 0. Value: counters of one
 * CPU, of ibsr_cgroup_dns_abi.h. Written by the programs with atomic adds; read by user space.
 * 280 bytes a CPU. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, struct ibsr_dns_totals);
	__uint(max_entries, 1);
	__uint(map_flags, 0);
} ibsr_g_dns SEC(".maps");

#endif /* IBSR_GUARD_LEARN_MAPS_BPF_H */
