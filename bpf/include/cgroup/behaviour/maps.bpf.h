/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The tables and limits of the analysis of behaviour. It holds no code. Limits are fixed when
 * the sensor is loaded; counters are kept whatever they are.
 */
#ifndef IBSR_CGROUP_BEHAVIOUR_MAPS_BPF_H
#define IBSR_CGROUP_BEHAVIOUR_MAPS_BPF_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "ibsr_cgroup_behaviour_abi.h"

/* 0 leaves the whole analysis out: the verifier removes it. Default: on. Cost when on: four
 * lookups a connection, five a second and flow, five a question of DNS. */
const volatile __u32 ibsr_behaviour_on = 1;

/* Coefficient of variation of a batch, in percent, up to which intervals count as regular: 0 to
 * IBSR_CV_PERCENT_LIMIT. Default 10: an even jitter of +-17 %. Cost: none. */
const volatile __u32 ibsr_regular_cv_percent = 10;

/* Intervals that a batch must have before it is judged, 2 to IBSR_BATCH_INTERVALS. Default 24:
 * what runs hourly is judged after a day. Cost: none. */
const volatile __u32 ibsr_regular_count = 24;

/* A UDP port whose intervals are measured and never flagged. Default 123: NTP polls regularly
 * (RFC 5905). 0: none. */
const volatile __u16 ibsr_regular_skip_port = 123;

/* Length of a window. Default 10 min. Effect: what the limits below are for. At least 1. */
const volatile __u64 ibsr_window_ns = 600000000000ULL;

/* Bytes that one application sends in a window to addresses that are neither internal nor near.
 * Default 1 GiB. */
const volatile __u64 ibsr_volume_out_bytes = 1ULL << 30;

/* Bits of the map of internal peers, 1 to IBSR_PEER_BITMAP_BITS: n peers set
 * 1024 (1 - exp(-n / 1024)) of them. Default 95: about 100 peers. */
const volatile __u32 ibsr_internal_peer_bits = 95;

/* Connects of one application that fail in a window. Default 100. */
const volatile __u64 ibsr_failed_connects = 100;

/* Entries that the loader put into the baseline. Default 0: there is none, and no destination
 * is flagged for being absent. */
const volatile __u32 ibsr_baseline_entries;

/* Every row begins as one of these: too large for the stack beside a flow. */
static const volatile struct ibsr_behaviour no_behaviour;
static const volatile struct ibsr_app_window no_app_window;

/*
 * Destinations of applications. Written by this sensor with atomics on any CPU; read by
 * ibsr-reader. When full the kernel evicts silently: the loss is the remainder of the totals.
 * 200 bytes an entry.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, struct ibsr_behaviour_key);
	__type(value, struct ibsr_behaviour);
	__uint(max_entries, IBSR_DEFAULT_MAX_BEHAVIOURS);
	__uint(map_flags, 0);
} ibsr_behaviour SEC(".maps");

/* Applications and their window. In the same way. 312 bytes an entry. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, struct ibsr_app_key);
	__type(value, struct ibsr_app_window);
	__uint(max_entries, IBSR_DEFAULT_MAX_APPS);
	__uint(map_flags, 0);
} ibsr_app_window SEC(".maps");

/*
 * Destinations that were there before. Key: application, port, prefix. Value: not used. Written
 * once by the loader, then frozen; read by this sensor when a destination is new. 70 bytes an
 * entry that is there.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__type(key, struct ibsr_baseline_key);
	__type(value, __u32);
	__uint(max_entries, IBSR_MAX_BASELINE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_RDONLY_PROG);
} ibsr_baseline SEC(".maps");

/* Totals. Key: 0. Value: counters of one CPU, atomics. Cannot be full. 104 bytes a CPU. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, struct ibsr_behaviour_totals);
	__uint(max_entries, 1);
	__uint(map_flags, 0);
} ibsr_bh_totals SEC(".maps");

#endif /* IBSR_CGROUP_BEHAVIOUR_MAPS_BPF_H */
