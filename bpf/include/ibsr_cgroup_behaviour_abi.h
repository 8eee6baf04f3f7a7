/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the cgroup sensor says of behaviour: integers over connections that went out, and flags
 * that are named for what was measured. Rules and twin as in ibsr_cgroup_abi.h; the twin is
 * `ibsr-proto/src/cgroup_behaviour_abi.rs`. It never holds code.
 *
 * An application is an executable, by inode and device: all its processes are one. A connection
 * is a new row of the table of flows with direction OUTGOING.
 */
#ifndef IBSR_CGROUP_BEHAVIOUR_ABI_H
#define IBSR_CGROUP_BEHAVIOUR_ABI_H

#include <linux/types.h>
#include "ibsr_cgroup_zone_abi.h"

/* Default sizes: some 4 MiB and 1 MiB. */
#define IBSR_DEFAULT_MAX_BEHAVIOURS 20000
#define IBSR_DEFAULT_MAX_APPS	    4000
#define IBSR_MAX_BASELINE	    65536

/*
 * Intervals are whole units of 2^22 ns (4.19 ms) and shorter than 2^20 units (73 min). A batch
 * has at most 32: its sum stays below 2^25, the sum of squares below 2^45, and what is compared
 * (regular.bpf.h) below 2^62.
 */
#define IBSR_INTERVAL_SHIFT   22
#define IBSR_INTERVAL_LIMIT   (1 << 20)
#define IBSR_BATCH_INTERVALS  32
#define IBSR_CV_PERCENT_LIMIT 50 /* highest limit that the comparison can take */
#define IBSR_PEER_BITMAP_BITS 1024

struct ibsr_app_key {
	__u64 exe_inode;
	__u32 exe_device;
	__u32 pad; /* zero */
};

/* One application and one destination. */
struct ibsr_behaviour_key {
	__u64 exe_inode;
	__u32 exe_device;
	__u16 remote_port;
	__u16 protocol;
	__u8 remote_addr[16];
};

/* Key of the baseline, an LPM trie: the application and the port as they are, then a prefix of
 * the address. `prefix_bits` is 128 and the bits of the address. */
struct ibsr_baseline_key {
	__u32 prefix_bits;
	__u8 exe_inode[8]; /* as in memory */
	__u8 exe_device[4];
	__u8 remote_port[2];
	__u8 protocol[2];
	__u8 remote_addr[16];
};

/* What was measured, one bit each. They stay once they are set. */
enum ibsr_behaviour_flag {
	IBSR_FLAG_REGULAR_INTERVALS = 0x1,     /* of a destination */
	IBSR_FLAG_NOT_IN_BASELINE = 0x2,       /* of a destination */
	IBSR_FLAG_VOLUME_OUT = 0x4,	       /* of an application or a zone, in a window */
	IBSR_FLAG_MANY_INTERNAL_PEERS = 0x8,   /* of an application, in a window */
	IBSR_FLAG_MANY_FAILED_CONNECTS = 0x10, /* of an application, in a window */
	IBSR_FLAG_IN_BASELINE = 0x20, /* of a destination: no finding, it silences the first */
	IBSR_FLAG_MANY_NAMES = 0x40,  /* of a zone, in a window */
	IBSR_FLAG_NAME_VOLUME = 0x80, /* of a zone, in a window */
	IBSR_FLAG_MANY_NXDOMAIN_ZONES = 0x100, /* of an application, in a window */
};

struct ibsr_behaviour {
	__u64 born_boot_ns;
	__u64 last_boot_ns; /* the last time that anything changed */
	__u64 last_connect_boot_ns;
	__u64 flagged_boot_ns; /* the last time that a flag was new; 0: never */
	__u64 connects;
	__u64 failed;	 /* TCP: a SYN was sent, no connection came of it */
	__u64 unsent;	 /* TCP: connect(2) was refused before a SYN; known at the close */
	__u64 bytes_out; /* noted once a second and at the end of a flow */
	__u64 bytes_in;
	__u64 intervals;	/* between connections, all that were measured */
	__u64 intervals_long;	/* not measured: longer than the range */
	__u64 batch_sum;	/* of the batch under way, in units */
	__u64 batch_square_sum; /* of the batch under way */
	__u32 batch_count;
	__u32 batch_min;
	__u32 batch_max;
	__u32 flags; /* enum ibsr_behaviour_flag */
};

/* An application; `window_` is since the window began. */
struct ibsr_app_window {
	__u64 window;	       /* boot time over the length of a window */
	__u64 last_boot_ns;    /* the last time that anything changed */
	__u64 flagged_boot_ns; /* the last time that a flag was new; 0: never */
	__u64 connects;
	__u64 failed; /* and unsent */
	__u64 bytes_out;
	__u64 window_bytes_out; /* to what is neither internal nor near */
	__u64 window_failed;
	__u64 nxdomain;		/* answers that a name does not exist */
	__u32 window_peer_bits; /* bits set in the map of internal peers */
	__u32 flags;
	__u64 peer_bitmap[IBSR_PEER_BITMAP_BITS / 64];
	__u64 nxdomain_bitmap[IBSR_ZONE_BITMAP_BITS / 64];
	__u32 window_nxdomain_bits; /* bits set in the map of zones without the name */
	__u32 pad;
};

/* One instance for each possible CPU. connects = sum over rows + connects_lost + evicted. */
struct ibsr_behaviour_totals {
	__u64 connects;
	__u64 connects_lost; /* no entry could be had */
	__u64 no_owner;	     /* connections of an unknown application: in no row */
	__u64 bytes_out;     /* noted */
	__u64 bytes_in;
	__u64 bytes_lost; /* noted, but the row was evicted */
	__u64 rows_inserted;
	__u64 apps_inserted;
	__u64 zone_questions;  /* = sum over rows of zones + zone_lost + evicted */
	__u64 zone_lost;       /* no entry could be had */
	__u64 zone_no_owner;   /* questions of an unknown application: in no row */
	__u64 zone_bytes_lost; /* noted, of a name whose zone was evicted */
	__u64 zones_inserted;
};

_Static_assert(sizeof(struct ibsr_app_key) == 16, "layout");
_Static_assert(sizeof(struct ibsr_behaviour_key) == 32, "layout");
_Static_assert(sizeof(struct ibsr_baseline_key) == 36, "layout");
_Static_assert(sizeof(struct ibsr_behaviour) == 120, "layout");
_Static_assert(sizeof(struct ibsr_app_window) == 248, "layout");
_Static_assert(sizeof(struct ibsr_behaviour_totals) == 104, "layout");

#endif /* IBSR_CGROUP_BEHAVIOUR_ABI_H */
