/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The maps of the part that reads DNS, and its knobs. It holds no code that runs by itself.
 */
#ifndef IBSR_CGROUP_DNS_MAPS_BPF_H
#define IBSR_CGROUP_DNS_MAPS_BPF_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "ibsr_cgroup_behaviour_abi.h"
#include "ibsr_cgroup_dns_abi.h"

struct dns_asked {
	__u64 asked_boot_ns;
	__u64 zone;		 /* of the name; 0 where behaviour is not analysed */
	struct ibsr_app_key app; /* who asked; zero where that is not known */
	__u32 is_answered;	 /* exchanged: the first answer wins */
	__u32 pad;
};

/* What the sensor keeps beside a message. */
#define DNS_WORK_OWN                                                                               \
	struct dns_asked asked;                                                                    \
	struct ibsr_address_name name;                                                             \
	struct ibsr_name_text text
#include "cgroup/dns/work.bpf.h"

/* Ports of resolvers, host order; the first zero ends the list. Effect: UDP to and from them is
 * read as DNS. Default: 53. Cost: a comparison for each UDP packet and port. */
const volatile __u16 ibsr_dns_ports[IBSR_DNS_PORTS] = { 53 };

/* Addresses of resolvers, so many of them. Effect: names are learned only from these. Default:
 * none, then from whoever was asked. Cost: a comparison each, for each answer. */
const volatile __u32 ibsr_dns_resolver_count;
const volatile __u64 ibsr_dns_resolvers[IBSR_DNS_RESOLVERS][2];

/*
 * Questions that wait for an answer. Key: struct dns_question. Value: struct dns_asked. Written
 * and read by this sensor only. When full the kernel evicts the oldest, whose answer then counts
 * as `unasked`. 144 bytes an entry: 1.1 MiB.
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
 * and looked up for each flow that takes a name, so that it outlives the address. 224 bytes an
 * entry: 7.0 MiB.
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

#endif /* IBSR_CGROUP_DNS_MAPS_BPF_H */
