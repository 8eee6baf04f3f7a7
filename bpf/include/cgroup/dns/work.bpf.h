/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How one DNS message lies in scratch memory while it is read, and the numbers of what can become
 * of it. Whoever includes this has defined DNS_WORK_OWN, the fields of its own, first. It holds no
 * code.
 */
#ifndef IBSR_CGROUP_DNS_WORK_BPF_H
#define IBSR_CGROUP_DNS_WORK_BPF_H

#include <linux/bpf.h>
#include "cgroup/pool.bpf.h"
#include "ibsr_cgroup_dns_abi.h"

/* A question that waits: who asked whom for what. */
struct dns_question {
	__u64 socket;
	__u64 name;
	__u8 server[16];
	__u16 server_port, id, type, class;
};

/* The verifier's bound on offsets in a message: a power of two above its longest. A label is
 * read in whole words, so up to 64 bytes behind an offset must exist. */
#define DNS_OFFSETS 2048
#define DNS_SLACK   64

/* An address that an answer gave. */
struct dns_found {
	__u32 addr[4];
	__u32 ttl_s, pad;
};

/* What lies in a slot of the pool as long as one datagram is read. All that a loop needs from
 * one turn to the next stands here and not in registers: what comes from memory looks the same
 * to the verifier in every turn, so it walks each turn once. */
struct dns_work {
	struct dns_question question;
	DNS_WORK_OWN;
	struct dns_found found[IBSR_DNS_RECORDS];
	__u64 hash;	  /* of the name that is walked, so far */
	__u64 wanted;	  /* hash of the name that records must have */
	__u32 wanted_at;  /* where that name is */
	__u32 end;	  /* bytes of the message */
	__u32 at;	  /* of the record's header, or of the question's name */
	__u32 next;	  /* record */
	__u32 walk;	  /* where the name goes on */
	__u32 lowest;	  /* a pointer must point below */
	__u32 resume;	  /* behind the name; 0: not known yet */
	__u32 name_bytes; /* of the name that is walked */
	__u32 wire_bytes; /* of the name that was asked for */
	__u32 labels;	  /* of the same */
	__u32 last_at;	  /* the last label so far */
	__u32 zone_at;	  /* the one before it */
	__u32 zone_bytes; /* of the zone */
	__u32 target_at;  /* of the CNAME that is walked */
	__u32 phase;	  /* enum dns_phase */
	__u32 is_wanted;  /* the record has the name that is wanted */
	__u32 records;	  /* still to read */
	__u32 found_count;
	__u32 foreign_count;
	__u32 chain_ttl_s; /* smallest of the CNAMEs */
	__u32 chain;	   /* CNAMEs */
	__u32 outcome;
	__u8 msg[DNS_OFFSETS + DNS_SLACK];
};

_Static_assert(sizeof(struct dns_work) <= SCRATCH_WORDS * sizeof(__u64), "a slot is large enough");

/* An outcome is the place of its counter. */
#define OUTCOME(field) (__builtin_offsetof(struct ibsr_dns_totals, field) / sizeof(__u64))
#define OUTCOMES       (sizeof(struct ibsr_dns_totals) / sizeof(__u64))

#endif /* IBSR_CGROUP_DNS_WORK_BPF_H */
