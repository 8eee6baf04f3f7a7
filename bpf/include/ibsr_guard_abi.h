/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the guard's program and its user space share: the tables of a policy, the query that
 * is judged, the control word, the counters and the records. Twin of guard_abi.rs and
 * guard_control.rs in ibsr-proto. Plain integers only; ports are in host order, addresses in
 * network order, IPv4 as ::ffff:a.b.c.d.
 */
#ifndef IBSR_GUARD_ABI_H
#define IBSR_GUARD_ABI_H

#include <linux/types.h>

#define IBSR_GUARD_LEAVES	 1024 /* of one policy */
#define IBSR_GUARD_WORDS	 (IBSR_GUARD_LEAVES / 64)
#define IBSR_GUARD_NAME_BYTES	 256 /* RFC 1035: at most 254 before the root */
#define IBSR_GUARD_GENERATIONS	 2   /* in use, and the one before or next */
#define IBSR_GUARD_SLOTS	 3   /* in use, next, and one to wait with */
#define IBSR_GUARD_DIMENSIONS	 7
#define IBSR_GUARD_PROTOCOL_ROWS (3 * 256)
#define IBSR_GUARD_PORT_ROWS	 (1 << 16)
#define IBSR_GUARD_DEFAULT_RULE	 0xffffffffu
#define IBSR_GUARD_STRICT_RULE	 0xfffffffeu /* what cannot be read of DNS */
#define IBSR_GUARD_COMM_BYTES	 16
#define IBSR_GUARD_ASKED	 8192	     /* questions that wait, the latest */
#define IBSR_GUARD_NAMED	 16384	     /* addresses with a name, those used last */
#define IBSR_GUARD_NAME_MIN_S	 30	     /* a name lives so long at least */
#define IBSR_GUARD_RECORD_BYTES	 (256 << 10) /* of the ring */
#define IBSR_GUARD_LEASE_S	 60	     /* longest; one that ends later is none */
#define IBSR_GUARD_PEER_S	 3600	     /* a handshake makes a peer so long */
#define IBSR_GUARD_PEERS	 65536	     /* the latest; about 6 MiB */

/* The number is the index of `miss` and the bit of `uses` in struct ibsr_guard_policy. */
enum ibsr_guard_dimension {
	IBSR_GUARD_PROTOCOL = 0,
	IBSR_GUARD_ADDRESS = 1,
	IBSR_GUARD_NAME = 2,
	IBSR_GUARD_PORT = 3,
	IBSR_GUARD_EXE = 4,
	IBSR_GUARD_USER = 5,
	IBSR_GUARD_CGROUP = 6,
};

enum ibsr_guard_direction {
	IBSR_GUARD_OUT = 0,
	IBSR_GUARD_IN = 1,
	IBSR_GUARD_BIND = 2,
};

enum ibsr_guard_action {
	IBSR_GUARD_ALLOW = 0,
	IBSR_GUARD_DENY = 1,
	IBSR_GUARD_REJECT = 2,
	IBSR_GUARD_NXDOMAIN = 3,
	IBSR_GUARD_SINKHOLE = 4,
};

/* Where something was judged. The number is the index in the counters. */
enum ibsr_guard_hook {
	IBSR_GUARD_CONNECT = 0,
	IBSR_GUARD_SENDMSG = 1,
	IBSR_GUARD_BINDING = 2,
	IBSR_GUARD_EGRESS = 3,
	IBSR_GUARD_INGRESS = 4,
	IBSR_GUARD_QUERY = 5,
	IBSR_GUARD_HOOKS = 6,
};

/* A set of leaves; bit 0 of word 0 is the most specific. */
struct ibsr_guard_class {
	__u64 word[IBSR_GUARD_WORDS];
};

struct ibsr_guard_leaf {
	__u8 sinkhole[16];
	__u32 rule;
	__u32 ttl_s;
	__u16 error; /* positive errno; 0 for allow */
	__u8 action; /* enum ibsr_guard_action */
	__u8 pad[5];
};

/* The head of one generation. */
struct ibsr_guard_policy {
	__u64 generation; /* never 0 */
	__u8 hash[32];
	__u32 miss[IBSR_GUARD_DIMENSIONS];
	__u32 uses;
	__u32 keep_established; /* packets of TCP connections that stand are exempt */
	__u32 is_strict;	/* and a rule names a domain */
};

struct ibsr_guard_addr_key {
	__u32 prefix_bits;
	__u8 addr[16];
};

/* Lower case, last byte first, '.' after each label, no root. */
struct ibsr_guard_name_key {
	__u32 prefix_bits;
	__u8 name[IBSR_GUARD_NAME_BYTES];
};

/* The name that an address was found by, the one that was asked for. Its key is the address. */
struct ibsr_guard_learned {
	__u64 expiry_boot_ns; /* the end of the shortest time to live on the way, within bounds */
	struct ibsr_guard_name_key name;
	__u32 pad;
};

struct ibsr_guard_exe_key {
	__u64 inode;
	__u32 device;
	__u32 pad;
};

struct ibsr_guard_query {
	__u8 addr[16];
	struct ibsr_guard_exe_key exe;
	__u64 cgroup_id;
	__u32 uid;
	__u16 port;
	__u8 protocol;
	__u8 direction; /* enum ibsr_guard_direction */
};

/* What user space tells the program. Written whole, read without a lock: what makes it deny
 * (is_enforced, a lease) is written in a second step, after all else stands. Zero denies
 * nothing. */
struct ibsr_guard_control {
	__u64 generation;	   /* of the policy in use; its slot is its lowest bit */
	__u64 lease_until_boot_ns; /* nothing is denied later, or when it is too far ahead */
	__u64 arming;		   /* grows with each arming; 0 for none */
	__u64 budget_until;	   /* nothing is denied to a peer when as many were, ever */
	__u32 is_enforced;	   /* 0: everything is allowed and counted */
	__u32 canary_percent;	   /* share of the pairs of executable and peer, 0 to 100 */
	__u32 seed; /* of that share; the same for as long as the guard is attached */
	__u32 pad;
};

/* What denials to peers have cost, by the program alone. */
struct ibsr_guard_spent {
	__u64 denials;	      /* to peers of the last hour, over all armings */
	__u64 tripped_arming; /* the arming that the program itself has ended */
	__u64 tripped_at_boot_ns;
};

/* What the guard was armed with, for who renews the lease; no program reads it. */
struct ibsr_guard_evidence {
	__u8 manifest_sha256[32];
	__u8 key_id[8];
	__u64 expires_unix_s;
	__u64 expires_boot_ns;
	__u64 budget_denials; /* of this arming */
	__u64 armed_at_boot_ns;
};

/* What a generation judges by, for who reads the records; no program reads it. */
struct ibsr_guard_generation {
	__u64 number;	     /* 0: nobody said it */
	__u64 since_boot_ns; /* in use, at every hook */
	__u64 cgroup_id;     /* that the guard is attached to */
	__u8 policy_sha256[32];
	__u8 identities_sha256[32];
	__u8 object_sha256[32];
};

/* Of one hook, one CPU. What is judged is in one of the first five. */
struct ibsr_guard_counts {
	__u64 exempt;	  /* loopback, protected, established, no socket of ours */
	__u64 allowed;	  /* by the policy */
	__u64 would_deny; /* the policy denies, the guard did not */
	__u64 denied;
	__u64 unjudged; /* no policy, or something that could not be read: allowed */
	__u64 recorded;
	__u64 records_lost; /* the ring was full */
};

/* One denial, or what would have been one; of packets the first of each socket and policy. */
struct ibsr_guard_record {
	__u64 at_boot_ns;
	__u64 generation;
	__u64 socket; /* cookie */
	struct ibsr_guard_query query;
	__u32 rule;
	__u16 error;
	__u8 action; /* enum ibsr_guard_action */
	__u8 hook;   /* enum ibsr_guard_hook */
	__u8 is_denied;
	__u8 pad[7];
	__u8 comm[IBSR_GUARD_COMM_BYTES];
};

_Static_assert(sizeof(struct ibsr_guard_class) == 128, "ABI");
_Static_assert(sizeof(struct ibsr_guard_leaf) == 32, "ABI");
_Static_assert(sizeof(struct ibsr_guard_policy) == 80, "ABI");
_Static_assert(sizeof(struct ibsr_guard_addr_key) == 20, "ABI");
_Static_assert(sizeof(struct ibsr_guard_name_key) == 260, "ABI");
_Static_assert(sizeof(struct ibsr_guard_learned) == 272, "ABI");
_Static_assert(sizeof(struct ibsr_guard_exe_key) == 16, "ABI");
_Static_assert(sizeof(struct ibsr_guard_query) == 48, "ABI");
_Static_assert(sizeof(struct ibsr_guard_control) == 48, "ABI");
_Static_assert(sizeof(struct ibsr_guard_spent) == 24, "ABI");
_Static_assert(sizeof(struct ibsr_guard_evidence) == 72, "ABI");
_Static_assert(sizeof(struct ibsr_guard_generation) == 120, "ABI");
_Static_assert(sizeof(struct ibsr_guard_counts) == 56, "ABI");
_Static_assert(sizeof(struct ibsr_guard_record) == 104, "ABI");

#endif /* IBSR_GUARD_ABI_H */
