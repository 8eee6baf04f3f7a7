/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What crosses from the cgroup sensor to user space about DNS: which name an address was
 * resolved from, the names themselves, and the outcomes of questions and answers. The twin is
 * `ibsr-proto/src/cgroup_dns_abi.rs`; conventions and version are those of ibsr_cgroup_abi.h.
 */
#ifndef IBSR_CGROUP_DNS_ABI_H
#define IBSR_CGROUP_DNS_ABI_H

#include <linux/types.h>

#define IBSR_NAME_BYTES	       128 /* of a name that are kept; RFC 1035 allows 255 */
#define IBSR_DNS_PORTS	       8
#define IBSR_DNS_RESOLVERS     16
#define IBSR_DNS_RECORDS       16   /* records of an answer that are read */
#define IBSR_DNS_STEPS	       80   /* labels, pointers, ends of names and headers of records */
#define IBSR_DNS_MESSAGE_MAX   1472 /* bytes: UDP in one frame of an Ethernet */
#define IBSR_DNS_PATIENCE_S    30   /* an answer that comes later is not believed */
#define IBSR_NAME_TTL_MIN_S    1
#define IBSR_NAME_TTL_MAX_S    86400
#define IBSR_DEFAULT_MAX_NAMES 32768

/* Which name an address was last resolved from. Its key is the address. */
struct ibsr_address_name {
	__u64 name; /* key of the text: a hash of the name that was asked for */
	__u64 learned_boot_ns;
	__u64 expiry_boot_ns; /* smallest TTL on the way, clamped */
	__u64 hits;	      /* flows that began with this name; a race may lose some */
	__u8 resolver[16];    /* who said so */
	__u16 resolver_port;
	__u8 chain; /* CNAMEs between the name and the address */
	__u8 pad[5];
};

/* A name as it is on the wire, labels behind their lengths, in lower case. Of one that is longer
 * than the array the beginning is kept. Its key is a 64-bit hash over all of it. */
struct ibsr_name_text {
	__u64 met_boot_ns;
	__u64 zone;	  /* key of the zone it is in; 0 where behaviour is not analysed */
	__u16 wire_bytes; /* of the whole name, with the root's zero */
	__u8 pad[6];
	__u8 wire[IBSR_NAME_BYTES]; /* zero behind the name */
};

/*
 * Outcomes, one instance per possible CPU, written with atomics. Datagrams that the kernel
 * joined count once. Each question and each answer has one outcome:
 *   questions = the seven below it
 *   answers   = the sixteen below it
 */
struct ibsr_dns_totals {
	__u64 questions; /* UDP to a port of DNS */
	__u64 asked;	 /* remembered, so that its answer will be believed */
	__u64 question_joined;
	__u64 question_malformed; /* or too long */
	__u64 question_count;	  /* not one question */
	__u64 question_other;	  /* an answer, or another operation than a query */
	__u64 question_no_slot;	  /* no scratch memory */
	__u64 question_no_entry;  /* no entry could be had */

	__u64 answers;	/* UDP from a port of DNS */
	__u64 answered; /* NOERROR */
	__u64 nxdomain;
	__u64 servfail;
	__u64 other_rcode;
	__u64 truncated; /* TC: the client asks again over TCP */
	__u64 answer_joined;
	__u64 unlisted; /* not from a listed resolver */
	__u64 answer_too_long;
	__u64 answer_malformed;
	__u64 answer_count;    /* not one question */
	__u64 answer_other;    /* a question, or another operation than a query */
	__u64 unasked;	       /* nobody asked this resolver that, with that id, on that socket */
	__u64 late;	       /* asked too long ago */
	__u64 repeated;	       /* answered before */
	__u64 answer_too_deep; /* more than IBSR_DNS_STEPS */
	__u64 answer_no_slot;

	__u64 learned;	      /* addresses */
	__u64 renamed;	      /* of those, known under another name before */
	__u64 learn_failed;   /* no entry could be had */
	__u64 names_inserted; /* texts */
	__u64 names_failed;
	__u64 cnames;	       /* followed */
	__u64 records_foreign; /* read, and not part of what was asked */
	__u64 records_unread;  /* behind the last that is read */
	__u64 flows_named;
	__u64 flows_expired; /* to an address whose name had expired */
};

_Static_assert(sizeof(struct ibsr_address_name) == 56, "layout");
_Static_assert(sizeof(struct ibsr_name_text) == 152, "layout");
_Static_assert(sizeof(struct ibsr_dns_totals) == 35 * 8, "layout");

#endif /* IBSR_CGROUP_DNS_ABI_H */
