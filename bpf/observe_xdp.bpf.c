// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The XDP sensor. Counts TCP per (source address, destination port) on one interface and
 * always returns XDP_PASS: the entry point has one exit, and the loader proves that on the
 * instructions before it loads them. It reads packets, never writes them, and what it
 * cannot count it passes.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "ibsr_abi.h"
#include "map.bpf.h"
#include "parse.bpf.h"
#include "plain.bpf.h"
#include "sources.bpf.h"

/*
 * Selected destination ports: bit port%8 of byte port/8. Effect: TCP to any other port is
 * counted as `other_port` and costs no table access. Default: all ports. Cost: one load,
 * whatever the selection.
 */
const volatile __u8 ibsr_dst_ports[IBSR_PORT_BYTES];

/* Seed of the hash that picks pending slots. Effect: nobody can aim at a slot. Default: the
 * loader draws a random one at each load. Cost: none. */
const volatile __u64 ibsr_seed;

/* What makes a source proven, enum ibsr_proof. Effect: which sources a flood cannot evict.
 * Default: an established connection of this host. Cost: a socket lookup for the first packets
 * of a source, nothing later. */
const volatile __u32 ibsr_proof = IBSR_PROOF_SOCKET;

/* 1: every source gets an entry with its first packet. Effect: sources of a single packet are
 * listed, and a flood of them is inserted too, up to the cap. Default: 0. Cost: an insert a
 * new source, several hundred nanoseconds. */
const volatile __u8 ibsr_admits_first;

/* Inserts of unproven sources a CPU and second (1.07 s). Effect: the rest is counted as
 * unattributed. Default: 20,000, about 1.5 % of a CPU. Cost: none. */
const volatile __u32 ibsr_insert_cap = 20000;

/* How sources are kept, enum ibsr_table. Effect: which of the tables below are used. Default:
 * the loader chooses; of an object that nobody set, the kernel's LRU. Cost: see
 * docs/performance-sensor.md. */
const volatile __u32 ibsr_table = IBSR_TABLE_LRU;

/* Sets of `ibsr_sets` and `ibsr_tags`. Effect: as many are used. Default: what the map has. Cost:
 * none. */
const volatile __u32 ibsr_set_count = 1;

/*
 * Sources with a proof. Key: address and destination port. Value: counters since birth.
 * Written by this program on any CPU, atomically; read by ibsr-reader. When full the kernel
 * evicts an entry that was not used lately and says nothing: the loss is the remainder of the
 * totals. 152 bytes an entry with the kernel's header: 15 MiB at the default.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, struct ibsr_source_key);
	__type(value, struct ibsr_source);
	__uint(max_entries, IBSR_DEFAULT_MAX_SOURCES);
	__uint(map_flags, 0);
} ibsr_proven SEC(".maps");

/*
 * Sources without one, of the same form and size. A source that becomes proven begins a new
 * life in `ibsr_proven`; its old one stays here until it is evicted.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, struct ibsr_source_key);
	__type(value, struct ibsr_source);
	__uint(max_entries, IBSR_DEFAULT_MAX_SOURCES);
	__uint(map_flags, 0);
} ibsr_unproven SEC(".maps");

/*
 * Sources of both kinds, in the place of the two tables above. Key: set. Value: eight ways.
 * Written by this program on any CPU, atomically (sets.bpf.h); mapped by ibsr-reader. When both
 * sets of a source are full it evicts another or is refused, and either is counted. 104 bytes
 * a way, twice as many ways as the capacity: 20 MiB at the default, else 4 KiB.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct ibsr_set);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
} ibsr_sets SEC(".maps");

/*
 * What stands apart of the sets. Key: set. Value: struct set_tags. Written and read by this
 * program only, on any CPU, under the lock in it. As long as `ibsr_sets`. 16 bytes a set: 0.4
 * MiB at the default.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct set_tags);
	__uint(max_entries, 1);
	__uint(map_flags, 0);
} ibsr_tags SEC(".maps");

/*
 * First packets that wait for the second of their source. Key: bucket. Value: two marks
 * (door.bpf.h). Written and read by this program only, on any CPU, by compare-and-exchange.
 * When two waiting sources meet a third the loss is counted. 8 MiB.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct door_bucket);
	__uint(max_entries, DOOR_BUCKETS);
	__uint(map_flags, BPF_F_MMAPABLE);
} ibsr_door SEC(".maps");

/*
 * What no source is charged with, by port. Key: 0. Value: cells of one CPU. Written by
 * this program in softirq with plain adds; read by ibsr-reader, which sums them. Cannot be
 * full: the last cell takes the ports without one. 10 KiB a CPU.
 */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, struct ibsr_losses);
	__uint(max_entries, 1);
	__uint(map_flags, 0);
} ibsr_losses SEC(".maps");

/*
 * Totals by outcome. Key: 0. Value: counters of one CPU. Written by this program in softirq
 * with plain adds: XDP runs do not nest on a CPU; read by ibsr-reader, which sums them.
 * Cannot be full. 160 bytes a CPU.
 */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, struct ibsr_totals);
	__uint(max_entries, 1);
	__uint(map_flags, 0);
} ibsr_totals SEC(".maps");

/*
 * SYNs that wait for their ACK. Key: slot. Value: mark (handshake.bpf.h). Written and read
 * by this program only. When two connections meet in a slot the later SYN stays and the
 * loss is counted. 2 MiB.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, IBSR_PENDING_SLOTS);
	__uint(map_flags, 0);
} ibsr_pending SEC(".maps");

/*
 * What this scope is. Key: 0. Value: struct ibsr_meta. Written once by ibsr-loader before
 * the freeze; read by every reader before anything else; not used by the program. Cannot be
 * full. 8.1 KiB.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct ibsr_meta);
	__uint(max_entries, 1);
	__uint(map_flags, 0);
} ibsr_meta SEC(".maps");

static __always_inline int port_selected(__u16 port)
{
	__u32 byte = port >> 3;

	/* Verifiers before 6.13 forget that a swapped 16-bit number has 16 bits. */
	barrier_var(byte);
	return ibsr_dst_ports[byte & (IBSR_PORT_BYTES - 1)] & (1 << (port & 7));
}

/* The boot clock, read at most once a kernel tick and CPU: an exact read on every packet
 * costs more than parsing it. Never ahead of the real clock, at most one tick behind. */
static __always_inline __u64 coarse_boot_ns(struct ibsr_totals *totals)
{
	__u64 tick = bpf_jiffies64();

	if (tick != totals->clock_tick) {
		totals->clock_tick = tick;
		totals->clock_boot_ns = bpf_ktime_get_boot_ns();
	}
	return totals->clock_boot_ns;
}

/* Totals are counted before the source, so that no sweep can see more packets in sources
 * than in totals that it reads afterwards. */
static __always_inline void track(struct xdp_md *ctx, struct ibsr_totals *totals,
				  const struct segment *s, __u32 frame_len)
{
	const struct tables tables = {
		.proven = &ibsr_proven,
		.unproven = &ibsr_unproven,
		.sets = { .tags = &ibsr_tags, .sets = &ibsr_sets },
		.door = &ibsr_door,
		.losses = &ibsr_losses,
		.pending = &ibsr_pending,
		.seed = ibsr_seed,
		.kind = ibsr_table,
		.set_count = ibsr_set_count,
		.proof = ibsr_proof,
		.insert_cap = ibsr_insert_cap,
		.admits_first = ibsr_admits_first,
	};
	totals->tracked++;
	totals->tracked_bytes += frame_len;
	count_source(&tables, ctx, totals, s, frame_len, coarse_boot_ns(totals));
}

static __always_inline void count_frame(struct xdp_md *ctx, struct ibsr_totals *totals)
{
	struct cursor c = {
		.data = (void *)(long)ctx->data,
		.data_end = (void *)(long)ctx->data_end,
	};
	enum frame_class class = FRAME_TCP;
	struct segment s = {};

	if (!parse_plain(&c, ctx, &s)) {
		c.frame_len = bpf_xdp_get_buff_len(ctx);
		class = parse_frame(&c, &s);
	}
	switch (class) {
	case FRAME_TCP:
		if (port_selected(s.dst_port))
			track(ctx, totals, &s, c.frame_len);
		else
			totals->other_port++;
		break;
	case FRAME_NON_IP:
		totals->non_ip++;
		break;
	case FRAME_MALFORMED:
		totals->malformed++;
		break;
	case FRAME_FRAGMENT:
		totals->fragments++;
		break;
	case FRAME_OTHER_L4:
		totals->other_l4++;
		break;
	}
}

static __always_inline void observe(struct xdp_md *ctx)
{
	struct ibsr_totals *totals = only_entry(&ibsr_totals);

	if (!totals)
		return;
	totals->received++;
	count_frame(ctx, totals);
	totals->passed++;
}

SEC("xdp.frags")
int ibsr_observe(struct xdp_md *ctx)
{
	observe(ctx);
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
