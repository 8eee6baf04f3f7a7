/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The table of flows: how a row is found, made, counted and marked. It promises that each
 * tracked packet is counted in one row, or as a failed insert.
 */
#ifndef IBSR_CGROUP_FLOWS_BPF_H
#define IBSR_CGROUP_FLOWS_BPF_H

#include "cgroup/behaviour/note.bpf.h"
#include "cgroup/dns/name.bpf.h"
#include "cgroup/maps.bpf.h"
#include "map.bpf.h"

/* Local end of a flow. */
struct local {
	__u8 addr[16];
	__u16 port;
};

/* The boot clock, read about once a kernel tick and CPU. Programs on one CPU interrupt each
 * other, so the time is written before the tick that vouches for it: the worst that a race
 * can do is a time that is as old as the interruption was long. */
static __always_inline __u64 coarse_boot_ns(struct ibsr_cgroup_totals *totals)
{
	__u64 tick = bpf_jiffies64(), now_boot_ns = totals->clock_boot_ns;

	if (tick == totals->clock_tick)
		return now_boot_ns;
	now_boot_ns = bpf_ktime_get_boot_ns();
	*(volatile __u64 *)&totals->clock_boot_ns = now_boot_ns;
	*(volatile __u64 *)&totals->clock_tick = tick;
	return now_boot_ns;
}

/* The port last: it says that the address is there. */
static __always_inline void name_local(struct ibsr_flow *flow, const struct local *local)
{
	__builtin_memcpy(flow->local_addr, local->addr, sizeof(flow->local_addr));
	flow->local_port = local->port;
}

static __always_inline void begin_flow(struct ibsr_flow *flow, const struct ibsr_flow_key *key,
				       const struct socket *s, __u8 direction, __u64 now_boot_ns)
{
	flow->owner = s->owner;
	flow->netns_cookie = s->netns_cookie;
	flow->cgroup_id = s->cgroup_id;
	flow->born_boot_ns = now_boot_ns;
	flow->last_boot_ns = now_boot_ns;
	flow->steps = s->steps;
	flow->family = s->family;
	flow->direction = direction;
	flow->learned = s->learned;
	if (direction == IBSR_DIRECTION_OUTGOING)
		flow->name = name_of(key->remote_addr, now_boot_ns);
}

/* True when the row is new. BPF_NOEXIST: with BPF_ANY a CPU that lost the race would wipe what
 * the winner counted. */
static __always_inline int add_flow(const struct ibsr_flow_key *key, const struct ibsr_flow *flow,
				    struct ibsr_cgroup_totals *totals)
{
	if (bpf_map_update_elem(&ibsr_flows, key, flow, BPF_NOEXIST))
		return 0;
	shared_add(&totals->flows_inserted, 1);
	return 1;
}

static __always_inline struct ibsr_flow *insert_flow(const struct ibsr_flow_key *key,
						     const struct socket *s, __u8 direction,
						     const struct local *local,
						     struct ibsr_cgroup_totals *totals)
{
	struct ibsr_flow flow = {};

	begin_flow(&flow, key, s, direction, bpf_ktime_get_boot_ns());
	if (local)
		name_local(&flow, local);
	add_flow(key, &flow, totals);
	return bpf_map_lookup_elem(&ibsr_flows, key);
}

/* The row of the socket's connection, or its own; made when it is not there. NULL when no
 * entry could be had. */
static __always_inline struct ibsr_flow *socket_flow(const struct socket *s,
						     struct ibsr_cgroup_totals *totals)
{
	struct ibsr_flow *flow = bpf_map_lookup_elem(&ibsr_flows, &s->key);

	return flow ? flow : insert_flow(&s->key, s, s->direction, NULL, totals);
}

static __always_inline void mark(struct ibsr_flow *flow, __u32 step, __u64 now_boot_ns)
{
	__sync_fetch_and_or(&flow->steps, step);
	flow->last_boot_ns = now_boot_ns;
}

/* Counted in the totals first, so that no sweep can see more packets in flows than in totals
 * that it reads afterwards. */
static __always_inline void count_totals(struct ibsr_cgroup_totals *totals, int is_out,
					 __u32 packets, __u32 bytes)
{
	if (is_out) {
		__sync_fetch_and_add(&totals->tracked_out, packets);
		__sync_fetch_and_add(&totals->tracked_bytes_out, bytes);
	} else {
		__sync_fetch_and_add(&totals->tracked_in, packets);
		__sync_fetch_and_add(&totals->tracked_bytes_in, bytes);
	}
}

/* A row that is older than this second also says to behaviour what it has by now. */
static __always_inline void count_flow(const struct ibsr_flow_key *key, struct ibsr_flow *flow,
				       struct ibsr_cgroup_totals *totals, int is_out, __u32 packets,
				       __u32 bytes)
{
	__u64 now_boot_ns = coarse_boot_ns(totals);

	if (!flow) {
		shared_add(&totals->insert_failed, packets);
		shared_add(&totals->insert_failed_bytes, bytes);
		return;
	}
	if (is_out) {
		__sync_fetch_and_add(&flow->packets_out, packets);
		__sync_fetch_and_add(&flow->bytes_out, bytes);
	} else {
		__sync_fetch_and_add(&flow->packets_in, packets);
		__sync_fetch_and_add(&flow->bytes_in, bytes);
	}
	if (flow->last_boot_ns == now_boot_ns)
		return;
	if (is_due(flow, now_boot_ns))
		note_bytes(key, flow, now_boot_ns);
	flow->last_boot_ns = now_boot_ns;
}

#endif /* IBSR_CGROUP_FLOWS_BPF_H */
