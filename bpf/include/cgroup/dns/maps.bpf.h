/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The maps of the part that reads DNS, its knobs, and how it uses scratch memory. It holds no
 * code that runs by itself.
 */
#ifndef IBSR_CGROUP_DNS_MAPS_BPF_H
#define IBSR_CGROUP_DNS_MAPS_BPF_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "cgroup/pool.bpf.h"
#include "ibsr_cgroup_dns_abi.h"

/* Ports of resolvers, host order; the first zero ends the list. Effect: UDP to and from them is
 * read as DNS. Default: 53. Cost: a comparison for each UDP packet and port. */
const volatile __u16 ibsr_dns_ports[IBSR_DNS_PORTS] = { 53 };

/* Addresses of resolvers, so many of them. Effect: names are learned only from these. Default:
 * none, then from whoever was asked. Cost: a comparison each, for each answer. */
const volatile __u32 ibsr_dns_resolver_count;
const volatile __u64 ibsr_dns_resolvers[IBSR_DNS_RESOLVERS][2];

/* A question that waits: who asked whom for what. */
struct dns_question {
	__u64 socket;
	__u64 name;
	__u8 server[16];
	__u16 server_port, id, type, class;
};

struct dns_asked {
	__u64 asked_boot_ns;
	__u32 is_answered; /* exchanged: the first answer wins */
	__u32 pad;
};

/*
 * Questions that wait for an answer. Key: struct dns_question. Value: struct dns_asked. Written
 * and read by this sensor only. When full the kernel evicts the oldest, whose answer then counts
 * as `unasked`. 120 bytes an entry: 960 KiB.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, struct dns_question);
	__type(value, struct dns_asked);
	__uint(max_entries, 8192);
	__uint(map_flags, 0);
} ibsr_dns_asked SEC(".maps");

/*
 * Which name an address was resolved from. Key: address. Value: ibsr_cgroup_dns_abi.h. Written
 * by this sensor, the last answer wins; read by ibsr-reader. When full the kernel evicts one
 * that was not used lately. 136 bytes an entry: 4.3 MiB.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, __u8[16]);
	__type(value, struct ibsr_address_name);
	__uint(max_entries, IBSR_DEFAULT_MAX_NAMES);
	__uint(map_flags, 0);
} ibsr_names SEC(".maps");

/*
 * The names. Key: hash. Value: ibsr_cgroup_dns_abi.h. Written once for each name; read by
 * ibsr-reader, also for rows whose address has another name by now. As large as `ibsr_names`,
 * and looked up for each flow that takes a name, so that it outlives the address. 216 bytes an
 * entry: 6.8 MiB.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, __u64);
	__type(value, struct ibsr_name_text);
	__uint(max_entries, IBSR_DEFAULT_MAX_NAMES);
	__uint(map_flags, 0);
} ibsr_name_texts SEC(".maps");

/*
 * Outcomes. Key: 0. Value: counters of one CPU. Written by this sensor with atomics; read by
 * ibsr-reader, which sums them. Cannot be full. 280 bytes a CPU.
 */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, struct ibsr_dns_totals);
	__uint(max_entries, 1);
	__uint(map_flags, 0);
} ibsr_dns_totals SEC(".maps");

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
	struct dns_asked asked;
	struct ibsr_address_name name;
	struct ibsr_name_text text;
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

#endif /* IBSR_CGROUP_DNS_MAPS_BPF_H */
