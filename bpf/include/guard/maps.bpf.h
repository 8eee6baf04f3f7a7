/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the guard keeps beside its tables: the control word, the counters, the records, and
 * what it knows of each socket.
 */
#ifndef IBSR_GUARD_MAPS_BPF_H
#define IBSR_GUARD_MAPS_BPF_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "ibsr_guard_abi.h"

/*
 * Whether this load can deny at all. Default 0: every path that denies is cut away by the
 * verifier, and what is left is a rehearsal. Set by user space before it loads the object.
 */
const volatile __u32 ibsr_may_enforce = 0;

/* Key: 0. Value: struct ibsr_guard_control. Written by user space; read by every program. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct ibsr_guard_control);
	__uint(max_entries, 1);
	__uint(map_flags, 0);
} ibsr_g_control SEC(".maps");

/* Key: 0. Value: struct ibsr_guard_spent. Written by the programs only: user space freezes it.
 * Read by both. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct ibsr_guard_spent);
	__uint(max_entries, 1);
	__uint(map_flags, 0);
} ibsr_g_spent SEC(".maps");

/* Key: 0. Value: struct ibsr_guard_evidence. Written and read by user space. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct ibsr_guard_evidence);
	__uint(max_entries, 1);
	__uint(map_flags, 0);
} ibsr_g_evidence SEC(".maps");

/* Key: lowest bit of a generation. Value: struct ibsr_guard_generation. Written and read by user
 * space. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct ibsr_guard_generation);
	__uint(max_entries, IBSR_GUARD_GENERATIONS);
	__uint(map_flags, 0);
} ibsr_g_generation SEC(".maps");

/* Key: address of the other end. Value: boot time at which a connection with it was first seen
 * past its handshake. Written and read by the programs. When it is full the oldest go. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(key_size, 16);
	__uint(value_size, sizeof(__u64));
	__uint(max_entries, IBSR_GUARD_PEERS);
	__uint(map_flags, 0);
} ibsr_g_peers SEC(".maps");

/* Key: enum ibsr_guard_hook. Value: struct ibsr_guard_counts, one a CPU. Written by the
 * programs, with atomic adds: ingress interrupts egress. Read by user space. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, struct ibsr_guard_counts);
	__uint(max_entries, IBSR_GUARD_HOOKS);
	__uint(map_flags, 0);
} ibsr_g_counts SEC(".maps");

/* Records of denials. When it is full they are counted and lost. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, IBSR_GUARD_RECORD_BYTES);
} ibsr_g_records SEC(".maps");

/* What is known of a socket. */
struct guarded {
	struct ibsr_guard_exe_key exe;
	__u64 cgroup_id; /* as of `cgroup_generation` */
	__u64 cgroup_generation;
	/* Verdict of the only peer, the bits below. One word, so that no reader sees half of it. */
	__u64 cached;
	__u32 uid;
	__u8 is_owned;
	__u8 is_connected;   /* it asked for its peer itself */
	__u8 is_bound;	     /* it asked for its port itself */
	__u8 is_established; /* of TCP: its handshake is over */
	__u32 strict_noted;  /* generation whose strictness it has met */
	__u8 has_asked;	     /* it asked for port 53 */
	__u8 turn;	     /* another one each time its process asks for something */
	__u8 pad[2];
};

/* A verdict. What is kept of it says which generation and turn it is of: a packet that was judged
 * while its socket got another peer leaves one that nobody takes for the new peer's. */
#define CACHED_EXEMPT	  1
#define CACHED_UNJUDGED	  2
#define CACHED_SETTLED	  4 /* nothing else is to be found out about a packet */
#define CACHED_ERROR_BIT  4
#define CACHED_ERROR	  0xfff /* MAX_ERRNO of <linux/err.h> */
#define CACHED_BUCKET_BIT 16	/* 0 to 99 */
#define CACHED_TURN_BIT	  24
#define CACHED_GEN_BIT	  32

/*
 * Key: socket. Value: struct guarded. Written and read by the programs only. An accepted
 * socket begins with what is known of its listener. Freed with the socket.
 */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__type(key, int);
	__type(value, struct guarded);
	__uint(max_entries, 0);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
} ibsr_g_sockets SEC(".maps");

#endif /* IBSR_GUARD_MAPS_BPF_H */
