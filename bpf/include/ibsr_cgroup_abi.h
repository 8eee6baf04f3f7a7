/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What crosses from the cgroup sensor to user space: flows, their owners, totals. Plain
 * fixed-width integers only; the twin in `ibsr-proto/src/cgroup_abi/` is compared with the
 * BTF of every built object. It never holds code.
 *
 * Byte order is the host's. `_boot_ns` is CLOCK_BOOTTIME, and 0 where it did not happen.
 * Counters are cumulative and never reset. Addresses have 16 bytes in network order, IPv4 as
 * ::ffff:a.b.c.d. `_in` is towards the socket, `_out` from it.
 *
 * To change it: append fields, never reorder; raise IBSR_CGROUP_ABI_VERSION; add a row to
 * docs/abi.md and a line to CHANGELOG.md. DNS is in ibsr_cgroup_dns_abi.h.
 */
#ifndef IBSR_CGROUP_ABI_H
#define IBSR_CGROUP_ABI_H

#include <linux/types.h>
#include "ibsr_cgroup_dns_abi.h"

#define IBSR_CGROUP_ABI_VERSION 3
#define IBSR_COMM_BYTES		16 /* TASK_COMM_LEN */
#define IBSR_CGROUP_PATH_BYTES	256

/* Default size of the tables of flows and of owners; the loader sets the real one. 100,000
 * flows are about 22 MiB, as many owners 16 MiB. */
#define IBSR_DEFAULT_MAX_FLOWS 100000

/*
 * One remote end of one socket, as long as it stays in the same hands. The socket's own row
 * has a zero remote: what it did before it had a peer, and the handshakes of a listener.
 */
struct ibsr_flow_key {
	__u64 socket; /* cookie: unique between two boots */
	__u8 remote_addr[16];
	__u16 remote_port;
	__u16 protocol; /* IPPROTO_TCP or IPPROTO_UDP */
	__u32 holder;	/* lower half of `owner` when the flow began; 0 in the own row */
};

/* How it began. */
enum ibsr_direction {
	IBSR_DIRECTION_UNKNOWN = 0,  /* older than the attachment */
	IBSR_DIRECTION_OUTGOING = 1, /* connected, or sent first */
	IBSR_DIRECTION_INCOMING = 2, /* accepted, or received first */
	IBSR_DIRECTION_OWN = 3,	     /* the socket's own row */
};

/* Where the owner was learned, the weakest first. */
enum ibsr_learned {
	IBSR_LEARNED_NOWHERE = 0,  /* no owner is known */
	IBSR_LEARNED_LISTENER = 1, /* of the listening socket, for a connection not yet taken */
	IBSR_LEARNED_SEEDED = 2,   /* whoever held the socket at the attachment */
	IBSR_LEARNED_CREATE = 3,
	IBSR_LEARNED_BIND = 4,
	IBSR_LEARNED_LISTEN = 5,
	IBSR_LEARNED_CONNECT = 6,
	IBSR_LEARNED_SEND = 7,
	IBSR_LEARNED_ACCEPT = 8, /* who asked for the peer's address, as accept(2) does */
};

/* What happened to a flow, one bit each. */
enum ibsr_step {
	IBSR_STEP_CREATED = 0x1,      /* the sensor saw socket(2) */
	IBSR_STEP_BOUND = 0x2,	      /* bind(2) succeeded */
	IBSR_STEP_LISTENED = 0x4,     /* listen(2) */
	IBSR_STEP_CONNECTED = 0x8,    /* connect(2) was called */
	IBSR_STEP_SYN_SENT = 0x10,    /* and got as far as a SYN */
	IBSR_STEP_ESTABLISHED = 0x20, /* the handshake was completed */
	IBSR_STEP_TAKEN = 0x40,	      /* accept(2) gave it to a process */
	IBSR_STEP_FAILED = 0x80,      /* closed by an error; `error` says which */
	IBSR_STEP_RELEASED = 0x100,   /* the last descriptor is gone */
	IBSR_STEP_CLOSED = 0x200,     /* the protocol is done with it */
};

/* What one remote end and the socket exchanged since `born_boot_ns`. */
struct ibsr_flow {
	__u64 owner;		   /* key in the table of owners; 0: not known */
	__u64 netns_cookie;	   /* 0: not known */
	__u64 cgroup_id;	   /* of the socket: where it was created; 0: not known */
	__u64 born_boot_ns;	   /* exact time of the insert; identifies this life of the entry */
	__u64 last_boot_ns;	   /* last packet or step, at most one kernel tick old */
	__u64 connect_boot_ns;	   /* last connect(2) */
	__u64 established_boot_ns; /* handshake completed */
	__u64 closed_boot_ns;	   /* last of RELEASED and CLOSED */
	__u64 packets_in;	   /* segments: what GRO and TSO join counts as many */
	__u64 bytes_in;		   /* of those segments, from the IP header on */
	__u64 packets_out;
	__u64 bytes_out;
	__u64 retransmits;   /* segments sent again; SYN-ACKs are not among them */
	__u8 local_addr[16]; /* zero as long as it is not known */
	__u16 local_port;
	__u16 error;	 /* errno of FAILED */
	__u32 steps;	 /* enum ibsr_step, all that happened */
	__u16 family;	 /* AF_INET or AF_INET6, as the socket was created */
	__u8 direction;	 /* enum ibsr_direction */
	__u8 learned;	 /* enum ibsr_learned */
	__u8 tcp_state;	 /* last of SYN_SENT, ESTABLISHED, LISTEN and CLOSE, as BPF_TCP_* */
	__u8 pad[3];	 /* zero */
	__u64 name;	 /* by which it was reached: key in the names' texts; 0: not known */
	__u64 noted_out; /* private to the program: of `bytes_out`, what behaviour has */
	__u64 noted_in;	 /* private to the program: of `bytes_in` */
};

/*
 * A process as the sensor met it. Its key is a 64-bit hash over process, credentials, cgroup
 * and executable: after exec(2), setuid(2) or a move to another cgroup it is another owner.
 */
struct ibsr_owner {
	__u64 start_boot_ns; /* of the process; with `tgid` unique between two boots */
	__u64 met_boot_ns;   /* when this row was made */
	__u64 cgroup_id;     /* of the process */
	__u64 capabilities;  /* effective ones, bit CAP_* */
	__u64 exe_inode;     /* 0 for kernel threads */
	__u64 exec_id;	     /* counts exec(2) */
	__u64 parent_start_boot_ns;
	__u32 exe_device; /* major << 20 | minor */
	__u32 tgid;	  /* as the first PID namespace numbers it */
	__u32 uid;	  /* real one, as the first user namespace numbers it */
	__u32 euid;
	__u32 parent_tgid;
	__u32 pad; /* zero */
	char comm[IBSR_COMM_BYTES];
	char parent_comm[IBSR_COMM_BYTES];
};

/*
 * Totals, one instance per possible CPU, written with atomics: programs of these hooks
 * interrupt each other on one CPU. Packets are counted as in struct ibsr_flow, so that
 *   all packets = sum of tracked_* + no_socket + no_storage + unreadable + icmp + other_l4
 *   tracked_in + tracked_out = sum of packets over flows + insert_failed + evicted
 * where `evicted` is what the kernel's LRU dropped, and so can only be a remainder. The same
 * holds for bytes with tracked_bytes_* and insert_failed_bytes.
 */
struct ibsr_cgroup_totals {
	__u64 tracked_in; /* TCP and UDP */
	__u64 tracked_out;
	__u64 tracked_bytes_in;
	__u64 tracked_bytes_out;
	__u64 insert_failed; /* tracked, but no entry could be had */
	__u64 insert_failed_bytes;
	__u64 no_socket;  /* packets without a full socket */
	__u64 no_storage; /* the kernel had no memory for the socket's state */
	__u64 unreadable; /* UDP whose headers could not be read */
	__u64 icmp;	  /* ICMP and ICMPv6 sockets */
	__u64 other_l4;	  /* raw, SCTP and all other sockets */
	__u64 flows_inserted;
	__u64 owners_inserted;
	__u64 owners_failed;  /* no entry could be had */
	__u64 created;	      /* TCP and UDP sockets, by socket(2) */
	__u64 created_other;  /* IP sockets of other protocols */
	__u64 adopted;	      /* sockets met later: older than the attachment, or the kernel's */
	__u64 released;	      /* TCP and UDP sockets whose last descriptor is gone */
	__u64 binds;	      /* bind(2), successful or not */
	__u64 bound;	      /* of those, successful */
	__u64 listens;	      /* listen(2) */
	__u64 connects;	      /* connect(2), TCP and UDP */
	__u64 syn_sent;	      /* of those, TCP that got as far as a SYN */
	__u64 established;    /* of those, completed */
	__u64 connect_failed; /* of `syn_sent`, given up or refused */
	__u64 accepted;	      /* connections that came in and were completed */
	__u64 taken;	      /* of those, with a process that asked for the peer's address */
	__u64 handovers;      /* sockets used by another owner than before */
	__u64 retransmits;    /* TCP segments */
	__u64 clock_tick;     /* private to the program: kernel tick of `clock_boot_ns` */
	__u64 clock_boot_ns;  /* private to the program: boot clock at that tick */
	__u64 seeded;	      /* sockets that got their owner from the walk over open files */
};

/* What a kernel has no program for, one bit each. */
enum ibsr_missing {
	IBSR_MISSING_SEED = 0x1,     /* the walk over open files */
	IBSR_MISSING_PEERNAME = 0x2, /* asking for the peer's address, as accept(2) does */
};

/* One entry, written by the loader before the pins appear, then frozen. Up to `evidence` it is
 * laid out as struct ibsr_meta. */
struct ibsr_cg_meta {
	__u32 magic; /* IBSR_META_MAGIC */
	__u32 abi_version;
	__u64 abi_hash;		 /* over the field tables of the twin */
	__u64 epoch;		 /* random for each new set of maps */
	__u64 attached_boot_ns;	 /* start of the epoch */
	__u8 boot_id[16];	 /* /proc/sys/kernel/random/boot_id */
	__u8 program_sha256[32]; /* over the digests of all programs, proven and loaded */
	__u32 sensor;		 /* enum ibsr_sensor: IBSR_SENSOR_CGROUP */
	__u32 evidence;		 /* enum ibsr_evidence */
	__u32 missing;		 /* enum ibsr_missing */
	__u32 max_flows;
	__u32 ncpu; /* possible CPUs: the stride of per-CPU maps */
	__u32 max_owners;
	__u64 cgroup_id;  /* inode of its directory */
	__u64 seed;	  /* private to the loader: of the owners' hash */
	__u64 state_hash; /* private to the loader: layout of a socket's state */
	__u64 window_ns;  /* length of a window, and the limits of behaviour */
	__u64 volume_out_bytes;
	__u64 failed_connects;
	__u64 zone_name_bytes;
	__u64 baseline_hash; /* of the destinations that were given; 0: none */
	__u32 regular_cv_percent;
	__u32 regular_count;
	__u32 internal_peer_bits;
	__u32 zone_name_bits;
	__u32 nxdomain_zone_bits;
	__u32 baseline_entries;
	__u32 max_names;
	__u32 resolver_count; /* 0: names are learned from whoever was asked */
	__u16 dns_ports[IBSR_DNS_PORTS];
	__u8 resolvers[16 * IBSR_DNS_RESOLVERS];
	char path[IBSR_CGROUP_PATH_BYTES]; /* below the mount point; cut, zero-padded */
};

#ifdef __cplusplus
#define IBSR_CGROUP_ASSERT(cond) static_assert(cond, #cond)
#else
#define IBSR_CGROUP_ASSERT(cond) _Static_assert(cond, #cond)
#endif

IBSR_CGROUP_ASSERT(sizeof(struct ibsr_flow_key) == 32);
IBSR_CGROUP_ASSERT(sizeof(struct ibsr_flow) == 160);
IBSR_CGROUP_ASSERT(sizeof(struct ibsr_owner) == 112);
IBSR_CGROUP_ASSERT(sizeof(struct ibsr_cgroup_totals) == 32 * 8);
IBSR_CGROUP_ASSERT(sizeof(struct ibsr_cg_meta) == 472 + IBSR_CGROUP_PATH_BYTES);

#endif /* IBSR_CGROUP_ABI_H */
