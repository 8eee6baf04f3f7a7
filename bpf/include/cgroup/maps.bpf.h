/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The maps of the cgroup sensor, the knobs, and what it keeps with each socket. It holds no
 * code. Every program of the sensor shares these maps, and they interrupt each other on one
 * CPU: counters are atomics, and nothing is ever kept per CPU between two instructions.
 */
#ifndef IBSR_CGROUP_MAPS_BPF_H
#define IBSR_CGROUP_MAPS_BPF_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "cgroup/hash_seed.bpf.h"
#include "ibsr_cgroup_abi.h"

/* How far the state of a socket is set up. */
enum socket_phase {
	SOCKET_NEW = 0,	    /* just made: nothing else is valid */
	SOCKET_READY = 1,   /* all fields are valid */
	SOCKET_LISTENS = 2, /* also, and a connection that copies this state is a new one */
};

/* What is kept with a socket. It holds no pointer: the kernel copies it to the sockets that
 * a listener accepts. `key` is that of the connection, else of the socket's own row; packets
 * of TCP are counted there without a look at their headers. */
struct socket {
	struct ibsr_flow_key key;
	__u64 owner;
	__u64 netns_cookie;
	__u64 cgroup_id;
	__u32 steps; /* enum ibsr_step of the socket, for rows that are made later */
	__u32 phase; /* enum socket_phase, written last */
	__u16 family;
	__u8 learned;	/* enum ibsr_learned */
	__u8 direction; /* enum ibsr_direction of `key` */
};

/*
 * State of each socket. Key: socket. Value: struct socket. Written and read by this sensor
 * only: under the socket's lock, or when the socket is new; a send changes its owner, one word,
 * without the lock. Cannot be full;
 * when the kernel has no memory the packet is counted in `no_storage`. About 150 bytes a
 * socket, freed with it.
 */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__type(key, int);
	__type(value, struct socket);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
} ibsr_sockets SEC(".maps");

/*
 * What sockets exchanged with whom. Key and value: ibsr_cgroup_abi.h. Written by this sensor
 * on any CPU, atomically; read by ibsr-reader. When full the kernel evicts an entry that was
 * not used lately and says nothing: the loss is the remainder of the totals. 240 bytes an
 * entry with the kernel's header: 23 MiB at the default.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, struct ibsr_flow_key);
	__type(value, struct ibsr_flow);
	__uint(max_entries, IBSR_DEFAULT_MAX_FLOWS);
	__uint(map_flags, 0);
} ibsr_flows SEC(".maps");

/*
 * Who owns them. Key: hash (owner.bpf.h). Value: ibsr_cgroup_abi.h. Written once for each
 * owner; read by ibsr-reader. As large as the flows, and used whenever an owner makes or
 * gets a socket, so that an owner is not evicted before its flows. 168 bytes an entry.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, __u64);
	__type(value, struct ibsr_owner);
	__uint(max_entries, IBSR_DEFAULT_MAX_FLOWS);
	__uint(map_flags, 0);
} ibsr_owners SEC(".maps");

/*
 * Totals by outcome. Key: 0. Value: counters of one CPU. Written by this sensor with atomics;
 * read by ibsr-reader, which sums them. Cannot be full. 256 bytes a CPU.
 */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, struct ibsr_cgroup_totals);
	__uint(max_entries, 1);
	__uint(map_flags, 0);
} ibsr_cg_totals SEC(".maps");

/*
 * What this scope is. Key: 0. Value: struct ibsr_cg_meta. Written once by ibsr-loader before
 * the freeze; read by every reader before anything else; not used by the programs. Cannot be
 * full. 384 bytes.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct ibsr_cg_meta);
	__uint(max_entries, 1);
	__uint(map_flags, 0);
} ibsr_cg_meta SEC(".maps");

#endif /* IBSR_CGROUP_MAPS_BPF_H */
