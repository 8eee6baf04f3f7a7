/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the cgroup sensor says of DNS zones: the shape of the names that an application asks for,
 * and what it exchanges with addresses that were found by them. Rules and twin as in
 * ibsr_cgroup_abi.h; the twin is `ibsr-proto/src/cgroup_zone_abi.rs`. It never holds code.
 *
 * A zone is the last two labels of a name, or the only one. Who delegates names to others, as
 * co.uk does, is one zone here.
 */
#ifndef IBSR_CGROUP_ZONE_ABI_H
#define IBSR_CGROUP_ZONE_ABI_H

#include <linux/types.h>

/* Default sizes, of rows and of texts: some 1 MiB and 0.9 MiB. */
#define IBSR_DEFAULT_MAX_ZONES 4096

#define IBSR_ZONE_LABELS      2
#define IBSR_NAME_BITMAP_BITS 512
#define IBSR_ZONE_BITMAP_BITS 256

/* One application and one zone. */
struct ibsr_zone_key {
	__u64 exe_inode;
	__u64 zone; /* key of the text */
	__u32 exe_device;
	__u32 pad; /* zero */
};

/* `window_` is since the window began. Flags are those of behaviour. */
struct ibsr_zone {
	__u64 born_boot_ns;
	__u64 last_boot_ns;    /* the last time that anything changed */
	__u64 flagged_boot_ns; /* the last time that a flag was new; 0: never */
	__u64 questions;
	__u64 answers;	  /* NOERROR */
	__u64 nxdomain;	  /* the name does not exist */
	__u64 name_bytes; /* of the names asked for, as on the wire */
	__u64 labels;	  /* of the names asked for */
	__u64 bytes_out;  /* of connections by such a name, noted as in behaviour */
	__u64 bytes_in;
	__u64 window;		 /* boot time over the length of a window */
	__u64 window_name_bytes; /* in front of the zone, of names that set a bit */
	__u64 window_bytes_out;	 /* to what is neither internal nor near */
	__u32 window_name_bits;	 /* bits set in the map of names */
	__u32 flags;
	__u64 name_bitmap[IBSR_NAME_BITMAP_BITS / 64];
};

_Static_assert(sizeof(struct ibsr_zone_key) == 24, "layout");
_Static_assert(sizeof(struct ibsr_zone) == 176, "layout");

#endif /* IBSR_CGROUP_ZONE_ABI_H */
