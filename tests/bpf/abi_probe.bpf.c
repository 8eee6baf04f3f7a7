// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Makes what only the preprocessor or no program sees of the ABI headers visible in BTF: the
 * constants, and the enumerations whose values travel as plain numbers.
 */
#include <linux/bpf.h>
#include "ibsr_abi.h"
#include "ibsr_cgroup_abi.h"
#include "ibsr_cgroup_behaviour_abi.h"
#include "ibsr_cgroup_dns_abi.h"
#include "ibsr_guard_abi.h"

enum abi_constants {
	PROBE_ABI_VERSION = IBSR_ABI_VERSION,
	PROBE_META_MAGIC = IBSR_META_MAGIC,
	PROBE_PORT_BYTES = IBSR_PORT_BYTES,
	PROBE_PORT_COUNT = IBSR_PORT_COUNT,
	PROBE_MAX_VLANS = IBSR_MAX_VLANS,
	PROBE_MAX_IPV6_EXT = IBSR_MAX_IPV6_EXT,
	PROBE_DEFAULT_MAX_SOURCES = IBSR_DEFAULT_MAX_SOURCES,
	PROBE_PENDING_SLOTS = IBSR_PENDING_SLOTS,
	PROBE_DOOR_SLOTS = IBSR_DOOR_SLOTS,
	PROBE_PORT_CELLS = IBSR_PORT_CELLS,
	PROBE_SET_WAYS = IBSR_SET_WAYS,
	PROBE_WAYS_PER_SOURCE = IBSR_WAYS_PER_SOURCE,
	PROBE_CGROUP_ABI_VERSION = IBSR_CGROUP_ABI_VERSION,
	PROBE_DEFAULT_MAX_FLOWS = IBSR_DEFAULT_MAX_FLOWS,
	PROBE_MAX_BEHAVIOURS = IBSR_DEFAULT_MAX_BEHAVIOURS,
	PROBE_MAX_APPS = IBSR_DEFAULT_MAX_APPS,
	PROBE_MAX_BASELINE = IBSR_MAX_BASELINE,
	PROBE_INTERVAL_SHIFT = IBSR_INTERVAL_SHIFT,
	PROBE_INTERVAL_LIMIT = IBSR_INTERVAL_LIMIT,
	PROBE_BATCH_INTERVALS = IBSR_BATCH_INTERVALS,
	PROBE_CV_PERCENT_LIMIT = IBSR_CV_PERCENT_LIMIT,
	PROBE_PEER_BITMAP_BITS = IBSR_PEER_BITMAP_BITS,
	PROBE_COMM_BYTES = IBSR_COMM_BYTES,
	PROBE_CGROUP_PATH_BYTES = IBSR_CGROUP_PATH_BYTES,
	PROBE_NAME_BYTES = IBSR_NAME_BYTES,
	PROBE_DNS_PORTS = IBSR_DNS_PORTS,
	PROBE_DNS_RESOLVERS = IBSR_DNS_RESOLVERS,
	PROBE_DNS_RECORDS = IBSR_DNS_RECORDS,
	PROBE_DNS_STEPS = IBSR_DNS_STEPS,
	PROBE_DNS_MESSAGE_MAX = IBSR_DNS_MESSAGE_MAX,
	PROBE_DNS_PATIENCE_S = IBSR_DNS_PATIENCE_S,
	PROBE_NAME_TTL_MIN_S = IBSR_NAME_TTL_MIN_S,
	PROBE_NAME_TTL_MAX_S = IBSR_NAME_TTL_MAX_S,
	PROBE_DEFAULT_MAX_NAMES = IBSR_DEFAULT_MAX_NAMES,
	PROBE_DEFAULT_MAX_ZONES = IBSR_DEFAULT_MAX_ZONES,
	PROBE_ZONE_LABELS = IBSR_ZONE_LABELS,
	PROBE_NAME_BITMAP_BITS = IBSR_NAME_BITMAP_BITS,
	PROBE_ZONE_BITMAP_BITS = IBSR_ZONE_BITMAP_BITS,
	PROBE_GUARD_LEAVES = IBSR_GUARD_LEAVES,
	PROBE_GUARD_NAME_BYTES = IBSR_GUARD_NAME_BYTES,
	PROBE_GUARD_SLOTS = IBSR_GUARD_SLOTS,
	PROBE_GUARD_DIMENSIONS = IBSR_GUARD_DIMENSIONS,
	PROBE_GUARD_PROTOCOL_ROWS = IBSR_GUARD_PROTOCOL_ROWS,
	PROBE_GUARD_PORT_ROWS = IBSR_GUARD_PORT_ROWS,
	PROBE_GUARD_LEASE_S = IBSR_GUARD_LEASE_S,
	PROBE_GUARD_PEER_S = IBSR_GUARD_PEER_S,
	PROBE_GUARD_GENERATIONS = IBSR_GUARD_GENERATIONS,
	PROBE_GUARD_PEERS = IBSR_GUARD_PEERS,
};

enum abi_constants probe_constants;
enum ibsr_behaviour_flag probe_behaviour_flag;
enum ibsr_direction probe_direction;
enum ibsr_evidence probe_evidence;
enum ibsr_learned probe_learned;
enum ibsr_missing probe_missing;
enum ibsr_proof probe_proof;
enum ibsr_sensor probe_sensor;
enum ibsr_table probe_table;
enum ibsr_step probe_step;
enum ibsr_xdp_mode probe_xdp_mode;

/* Of the guard the maps inside of maps have sizes and no types. */
enum ibsr_guard_action probe_guard_action;
struct ibsr_guard_class probe_guard_class;
struct ibsr_guard_leaf probe_guard_leaf;
struct ibsr_guard_policy probe_guard_policy;
struct ibsr_guard_addr_key probe_guard_addr_key;
struct ibsr_guard_name_key probe_guard_name_key;
struct ibsr_guard_learned probe_guard_learned;
struct ibsr_guard_control probe_guard_control;
struct ibsr_guard_spent probe_guard_spent;
struct ibsr_guard_evidence probe_guard_evidence;
struct ibsr_guard_generation probe_guard_generation;
struct ibsr_guard_counts probe_guard_counts;
struct ibsr_guard_record probe_guard_record;
