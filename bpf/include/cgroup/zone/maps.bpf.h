/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The tables and limits of the analysis of zones. It holds no code. */
#ifndef IBSR_CGROUP_ZONE_MAPS_BPF_H
#define IBSR_CGROUP_ZONE_MAPS_BPF_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "ibsr_cgroup_dns_abi.h"
#include "ibsr_cgroup_zone_abi.h"

/* Bits of the map of names, 1 to IBSR_NAME_BITMAP_BITS: n names set 512 (1 - exp(-n / 512)) of
 * them. Default 166: about 200 names of one zone in a window. Cost: none. */
const volatile __u32 ibsr_zone_name_bits = 166;

/* Bytes in front of the zone, of different names of one zone in a window: what could be said by
 * asking. Default 8 KiB. Cost: none. */
const volatile __u64 ibsr_zone_name_bytes = 8192;

/* Bits of the map of zones in which an application asked for what does not exist, 1 to
 * IBSR_ZONE_BITMAP_BITS. Default 45: about 50 zones in a window. Cost: none. */
const volatile __u32 ibsr_nxdomain_zone_bits = 45;

/* Every row begins as this one: too large for the stack beside a flow. */
static const volatile struct ibsr_zone no_zone;

/*
 * Zones of applications. Written by this sensor with atomics on any CPU; read by ibsr-reader.
 * When full the kernel evicts silently: the loss is the remainder of the totals. 264 bytes an
 * entry.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, struct ibsr_zone_key);
	__type(value, struct ibsr_zone);
	__uint(max_entries, IBSR_DEFAULT_MAX_ZONES);
	__uint(map_flags, 0);
} ibsr_zones SEC(".maps");

/*
 * The names of zones. Key: hash. Value: ibsr_cgroup_dns_abi.h. Written once for each zone; read by
 * ibsr-reader. Apart from the names of addresses: who asks for many zones must not cost flows
 * their names. 216 bytes an entry.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, __u64);
	__type(value, struct ibsr_name_text);
	__uint(max_entries, IBSR_DEFAULT_MAX_ZONES);
	__uint(map_flags, 0);
} ibsr_zone_texts SEC(".maps");

#endif /* IBSR_CGROUP_ZONE_MAPS_BPF_H */
