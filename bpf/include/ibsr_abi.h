/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The one description of what crosses from kernel to user space: keys, values,
 * enumerations, limits and map names. Plain fixed-width integers only, so that it
 * parses alone in C and its twin in `ibsr-proto/src/abi.rs` can be compared with the
 * BTF of every built object. It never holds code.
 *
 * Byte order is the host's unless a name ends in `_be`. `_boot_ns` is CLOCK_BOOTTIME.
 * All counters are cumulative and are never reset; readers take differences.
 *
 * To change it: append fields, never reorder; raise IBSR_ABI_VERSION; add a row to
 * docs/abi.md and a line to CHANGELOG.md.
 */
#ifndef IBSR_ABI_H
#define IBSR_ABI_H

#include <linux/types.h>

#define IBSR_ABI_VERSION 2
#define IBSR_META_MAGIC	 0x52534249u /* "IBSR" in memory on a little-endian machine */

#define IBSR_ADDR_BYTES	  16
#define IBSR_IFNAME_BYTES 16	/* IFNAMSIZ */
#define IBSR_PORT_COUNT	  65536 /* every 16-bit port */
#define IBSR_PORT_BYTES	  8192	/* one bit a port */

/* What is parsed at most; deeper frames fall into the class named in enum ibsr_outcome. */
#define IBSR_MAX_VLANS	  2 /* 802.1Q inside 802.1ad */
#define IBSR_MAX_IPV6_EXT 8 /* RFC 8200 names 6 kinds; none may repeat but one */

/* Default size of each of the two source tables; the loader sets the real one. 100,000
 * entries are about 15 MiB. */
#define IBSR_DEFAULT_MAX_SOURCES 100000

/* First packets that wait for the second of their source: 8 bytes each, 8 MiB. A slot lives
 * 1 s on average under a million new sources a second. */
#define IBSR_DOOR_SLOTS 524288
#define IBSR_DOOR_WAYS	2 /* slots in which one source may wait */

/* Ports whose refused packets are told apart, by their lower bits; one more cell takes the
 * ports that found theirs taken. 10 KiB a CPU. */
#define IBSR_PORT_CELLS 256

/* Pending SYNs, one 8-byte slot each: 2 MiB. At 100,000 SYN/s a slot lives 2.6 s on average. */
#define IBSR_PENDING_SLOTS 262144

/* One remote address towards one local port. */
struct ibsr_source_key {
	__u8 addr[IBSR_ADDR_BYTES]; /* network order; IPv4 as ::ffff:a.b.c.d */
	__u16 dst_port;
	__u16 pad; /* zero */
};

/* What a source did since `born_boot_ns`. */
struct ibsr_source {
	__u64 syn;	    /* SYN without ACK */
	__u64 ack;	    /* any segment with ACK */
	__u64 handshakes;   /* SYN, then the first ACK of that 4-tuple with sequence SYN + 1 */
	__u64 fin;	    /* any segment with FIN */
	__u64 rst;	    /* any segment with RST */
	__u64 packets;	    /* frames, as the driver hands them over */
	__u64 bytes;	    /* frame bytes without FCS */
	__u64 born_boot_ns; /* exact time of the insert; identifies this life of the entry */
	__u64 last_boot_ns; /* time of the last packet, at most one kernel tick old */
	__u64 awaited;	    /* private to the program: SYNs whose ACK may still come */
};

/* Ways of a set: as many sources as share a place in the set-associative table. */
#define IBSR_SET_WAYS 8

/* Ways a source of the capacity. At half full no more than a few in a million sources find both
 * sets that they may live in full. */
#define IBSR_WAYS_PER_SOURCE 2

/* A source in the set-associative table: what nearly every packet touches. */
struct ibsr_way {
	__u8 addr[IBSR_ADDR_BYTES]; /* as in struct ibsr_source_key */
	__u16 dst_port;		    /* host order */
	__u16 pad;		    /* zero */
	__u32 is_proven;	    /* 1: it has shown to be real */
	__u64 ack;		    /* segments with ACK: with the next line, all packets */
	__u64 without_ack;	    /* segments without ACK */
	__u64 bytes;		    /* frame bytes without FCS */
	__u64 last_boot_ns;	    /* time of the last packet, at most one kernel tick old */
	__u32 generation;	    /* 0: empty; odd while it is being given to another source */
	__u32 awaited;		    /* private to the program */
};

/* The rest of it. */
struct ibsr_way_rare {
	__u64 syn;
	__u64 handshakes;
	__u64 fin;
	__u64 rst;
	__u64 born_boot_ns;
};

/* A set. Thirteen lines of a cache: one for each way, five of what is rare. */
struct ibsr_set {
	struct ibsr_way way[IBSR_SET_WAYS];
	struct ibsr_way_rare rare[IBSR_SET_WAYS];
};

/*
 * Totals by outcome, one instance per possible CPU, written by softirq on that CPU only.
 *   received = passed = non_ip + malformed + fragments + other_l4 + other_port + tracked
 *   tracked  = sum of `packets` over sources + unattributed - resumed + insert_failed + evicted
 * where `evicted` is what the kernel's LRU dropped, and so can only be a remainder; the
 * set-associative table counts it.
 */
struct ibsr_totals {
	__u64 received;
	__u64 passed;
	__u64 non_ip;	     /* ARP, third VLAN tag, PPPoE, MPLS, ... */
	__u64 malformed;     /* a header that is cut short or contradicts itself */
	__u64 fragments;     /* any fragment but an atomic one; never read as TCP */
	__u64 other_l4;	     /* not TCP, or TCP behind more than IBSR_MAX_IPV6_EXT headers */
	__u64 other_port;    /* TCP to a port that is not selected */
	__u64 tracked;	     /* TCP to a selected port */
	__u64 tracked_bytes; /* their frame bytes */
	__u64 insert_failed; /* tracked, but no entry could be had */
	__u64 unattributed;  /* tracked, but not counted for its source when it came */
	__u64 inserted;	     /* entries made */
	__u64 pending_lost;  /* SYNs whose slot was taken by another connection's SYN */
	__u64 clock_tick;    /* private to the program: kernel tick of `clock_boot_ns` */
	__u64 clock_boot_ns; /* private to the program: boot clock at that tick */
	__u64 resumed;	     /* of `unattributed`: counted when the source's next packet came */
	__u64 promoted;	     /* sources that were proven, with a new entry or in theirs */
	__u64 cap_second;    /* private to the program: second that `cap_used` belongs to */
	__u64 cap_used;	     /* private to the program: unproven entries made in it */
	__u64 evicted;	     /* packets of evicted entries, where the table can tell; else 0 */
};

/* Packets of one port that no source will ever be charged with. */
struct ibsr_port_loss {
	__u32 port;    /* host order */
	__u32 is_used; /* 0: nobody's yet */
	__u64 syn;     /* packets with SYN and without ACK */
	__u64 ack;     /* packets with ACK */
	__u64 other;   /* packets with neither */
	__u64 bytes;   /* their frame bytes without FCS */
};

/*
 * All of them, one instance per possible CPU. Cell `port % IBSR_PORT_CELLS` belongs to the
 * first port that needs it; cell IBSR_PORT_CELLS to all others. Sum of packets over cells =
 * unattributed - resumed - packets still waiting.
 */
struct ibsr_losses {
	struct ibsr_port_loss cell[IBSR_PORT_CELLS + 1];
};

/* How strongly the maps are bound to the program (field `evidence` of struct ibsr_meta). */
enum ibsr_evidence {
	IBSR_EVIDENCE_PLAIN = 0,     /* user space with rights could have written the maps */
	IBSR_EVIDENCE_FROZEN = 1,    /* no user space could, since load */
	IBSR_EVIDENCE_EXCLUSIVE = 2, /* and no other program could */
};

/* What makes a source proven: an address that its sender cannot have made up. */
enum ibsr_proof {
	IBSR_PROOF_SOCKET = 1,	  /* an established connection of this host */
	IBSR_PROOF_HANDSHAKE = 2, /* a handshake as seen from ingress; whoever sends both its
				   * packets can forge it */
};

/* How sources are kept (field `table` of struct ibsr_meta). */
enum ibsr_table {
	IBSR_TABLE_LRU = 1,  /* two LRU hashes of the kernel, proven and unproven */
	IBSR_TABLE_SETS = 2, /* one set-associative table, for mapping */
};

/* Which sensor filled the scope. */
enum ibsr_sensor {
	IBSR_SENSOR_XDP = 1,
	IBSR_SENSOR_CGROUP = 2,
};

/* How an XDP program is attached. */
enum ibsr_xdp_mode {
	IBSR_XDP_NATIVE = 1,
	IBSR_XDP_GENERIC = 2,
};

/* One entry, written by the loader before the pins appear, then frozen. */
struct ibsr_meta {
	__u32 magic;
	__u32 abi_version;
	__u64 abi_hash;		 /* over the field tables of abi.rs */
	__u64 epoch;		 /* random for each new set of maps */
	__u64 attached_boot_ns;	 /* start of the epoch */
	__u8 boot_id[16];	 /* /proc/sys/kernel/random/boot_id */
	__u8 program_sha256[32]; /* over the instructions that were proven and loaded */
	__u32 sensor;		 /* enum ibsr_sensor */
	__u32 evidence;		 /* enum ibsr_evidence */
	__u32 xdp_mode;		 /* enum ibsr_xdp_mode; 0 for other sensors */
	__u32 ifindex;		 /* 0 for other sensors */
	__u32 ncpu;		 /* possible CPUs: the stride of per-CPU maps */
	__u32 max_sources;
	char ifname[IBSR_IFNAME_BYTES];
	__u8 dst_ports[IBSR_PORT_BYTES]; /* bit port%8 of byte port/8 */
	__u32 proof;			 /* enum ibsr_proof; 0 for other sensors */
	__u32 admits_first;		 /* 1: no packet waits for a second one */
	__u32 table;			 /* enum ibsr_table; 0 for other sensors */
	__u32 pad;			 /* zero */
};

#ifdef __cplusplus
#define IBSR_ASSERT(cond) static_assert(cond, #cond)
#else
#define IBSR_ASSERT(cond) _Static_assert(cond, #cond)
#endif

IBSR_ASSERT(sizeof(struct ibsr_source_key) == 20);
IBSR_ASSERT(sizeof(struct ibsr_source) == 80);
IBSR_ASSERT(sizeof(struct ibsr_way) == 64);
IBSR_ASSERT(sizeof(struct ibsr_set) == IBSR_SET_WAYS * (64 + 40));
IBSR_ASSERT(sizeof(struct ibsr_totals) == 160);
IBSR_ASSERT(sizeof(struct ibsr_port_loss) == 40);
IBSR_ASSERT(sizeof(struct ibsr_losses) == 40 * (IBSR_PORT_CELLS + 1));
IBSR_ASSERT(sizeof(struct ibsr_meta) == 136 + IBSR_PORT_BYTES);
IBSR_ASSERT(IBSR_PORT_COUNT == IBSR_PORT_BYTES * 8);

#endif /* IBSR_ABI_H */
