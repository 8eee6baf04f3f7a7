/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Where flows meet the analysis of behaviour: a connection begins, fails, or has exchanged
 * bytes. Only of connections that go out. It promises that each byte of a flow is noted once
 * at most, and that a packet costs a comparison unless a second has passed.
 */
#ifndef IBSR_CGROUP_BEHAVIOUR_NOTE_BPF_H
#define IBSR_CGROUP_BEHAVIOUR_NOTE_BPF_H

#include "cgroup/behaviour/reach.bpf.h"
#include "cgroup/behaviour/regular.bpf.h"
#include "cgroup/behaviour/window.bpf.h"
#include "cgroup/maps.bpf.h"
#include "cgroup/zone/note.bpf.h"

#define NOTE_SHIFT 30 /* 1.07 s of nanoseconds */

/* Whose and to whom. */
struct contact {
	struct ibsr_behaviour_key key;
	struct ibsr_app_key app;
};

/* False when the application is not known. */
static __always_inline int find_contact(struct contact *contact, const struct ibsr_flow_key *key,
					__u64 owner_key)
{
	if (!find_app(&contact->app, owner_key))
		return 0;
	contact->key.exe_inode = contact->app.exe_inode;
	contact->key.exe_device = contact->app.exe_device;
	contact->key.remote_port = key->remote_port;
	contact->key.protocol = key->protocol;
	__builtin_memcpy(contact->key.remote_addr, key->remote_addr, sizeof(key->remote_addr));
	return 1;
}

static __always_inline void flag_row(struct ibsr_behaviour *row, __u32 flag, __u64 now_boot_ns)
{
	if (row->flags & flag)
		return;
	__sync_fetch_and_or(&row->flags, flag);
	if (flag != IBSR_FLAG_IN_BASELINE)
		row->flagged_boot_ns = now_boot_ns;
}

/* Asked once, when a destination is new to its application. */
static __always_inline void ask_baseline(struct ibsr_behaviour *row,
					 const struct ibsr_behaviour_key *key, __u64 now_boot_ns)
{
	struct ibsr_baseline_key wanted = { .prefix_bits = 8 * sizeof(*key) };

	if (!ibsr_baseline_entries)
		return;
	__builtin_memcpy((__u8 *)&wanted + sizeof(wanted.prefix_bits), key, sizeof(*key));
	flag_row(row,
		 bpf_map_lookup_elem(&ibsr_baseline, &wanted) ? IBSR_FLAG_IN_BASELINE
							      : IBSR_FLAG_NOT_IN_BASELINE,
		 now_boot_ns);
}

static __always_inline struct ibsr_behaviour *row_of(const struct ibsr_behaviour_key *key,
						     struct ibsr_behaviour_totals *totals,
						     __u64 now_boot_ns)
{
	struct ibsr_behaviour *row = bpf_map_lookup_elem(&ibsr_behaviour, key);
	int is_mine;

	if (row)
		return row;
	is_mine = !bpf_map_update_elem(&ibsr_behaviour, key, (void *)&no_behaviour, BPF_NOEXIST);
	row = bpf_map_lookup_elem(&ibsr_behaviour, key);
	if (!is_mine || !row)
		return row;
	shared_add(&totals->rows_inserted, 1);
	row->born_boot_ns = now_boot_ns;
	ask_baseline(row, key, now_boot_ns);
	return row;
}

static __always_inline int may_be_regular(const struct ibsr_behaviour *row,
					  const struct ibsr_behaviour_key *key)
{
	if (row->flags & IBSR_FLAG_IN_BASELINE || reach_of(key->remote_addr) != REACH_PUBLIC)
		return 0;
	return key->protocol != IPPROTO_UDP || key->remote_port != ibsr_regular_skip_port;
}

/* A flow has begun. */
static __always_inline void note_connect(const struct ibsr_flow_key *key, __u64 owner,
					 __u64 now_boot_ns)
{
	struct ibsr_behaviour_totals *totals = only_entry(&ibsr_bh_totals);
	struct ibsr_app_window *app;
	struct ibsr_behaviour *row;
	struct contact contact;

	if (!ibsr_behaviour_on || !totals)
		return;
	if (!find_contact(&contact, key, owner)) {
		shared_add(&totals->no_owner, 1);
		return;
	}
	shared_add(&totals->connects, 1);
	app = app_of(&contact.app, totals, now_boot_ns);
	if (app) {
		shared_add(&app->connects, 1);
		if (reach_of(key->remote_addr) == REACH_INTERNAL)
			adds_peer(app, contact.key.remote_addr, now_boot_ns);
	}
	row = row_of(&contact.key, totals, now_boot_ns);
	if (!row) {
		shared_add(&totals->connects_lost, 1);
		return;
	}
	row->last_boot_ns = now_boot_ns;
	shared_add(&row->connects, 1);
	if (ends_interval(row, now_boot_ns) && may_be_regular(row, &contact.key))
		flag_row(row, IBSR_FLAG_REGULAR_INTERVALS, now_boot_ns);
}

/* A connection of TCP came to nothing, after its SYN or before. */
static __always_inline void note_failure(const struct ibsr_flow_key *key, __u64 owner,
					 int had_sent_syn, __u64 now_boot_ns)
{
	struct ibsr_behaviour_totals *totals = only_entry(&ibsr_bh_totals);
	struct ibsr_app_window *app;
	struct ibsr_behaviour *row;
	struct contact contact;

	if (!ibsr_behaviour_on || !totals || !find_contact(&contact, key, owner))
		return;
	app = app_of(&contact.app, totals, now_boot_ns);
	if (app)
		adds_failure(app, now_boot_ns);
	row = bpf_map_lookup_elem(&ibsr_behaviour, &contact.key);
	if (!row)
		return;
	row->last_boot_ns = now_boot_ns;
	shared_add(had_sent_syn ? &row->failed : &row->unsent, 1);
}

/* What a counter has more than was noted of it; whoever changes `noted` adds the difference. */
static __always_inline __u64 claim(const __u64 *counter, __u64 *noted)
{
	__u64 then = *(volatile __u64 *)noted, now = *(const volatile __u64 *)counter;

	if (now <= then || __sync_val_compare_and_swap(noted, then, now) != then)
		return 0;
	return now - then;
}

/* Notes what a flow has exchanged since the last time. */
static __always_inline void note_bytes(const struct ibsr_flow_key *key, struct ibsr_flow *flow,
				       __u64 now_boot_ns)
{
	struct ibsr_behaviour_totals *totals = only_entry(&ibsr_bh_totals);
	struct ibsr_app_window *app;
	struct ibsr_behaviour *row;
	struct contact contact;
	__u64 out, in;
	int is_public;

	if (!ibsr_behaviour_on || !totals || flow->direction != IBSR_DIRECTION_OUTGOING)
		return;
	if (!find_contact(&contact, key, flow->owner))
		return;
	out = claim(&flow->bytes_out, &flow->noted_out);
	in = claim(&flow->bytes_in, &flow->noted_in);
	shared_add(&totals->bytes_out, out);
	shared_add(&totals->bytes_in, in);
	row = bpf_map_lookup_elem(&ibsr_behaviour, &contact.key);
	if (!row) {
		shared_add(&totals->bytes_lost, out + in);
	} else {
		row->last_boot_ns = now_boot_ns;
		shared_add(&row->bytes_out, out);
		shared_add(&row->bytes_in, in);
	}
	is_public = reach_of(key->remote_addr) == REACH_PUBLIC;
	if (flow->name)
		note_zone_bytes(flow->name, &contact.app, totals, out, in, is_public, now_boot_ns);
	app = out ? app_of(&contact.app, totals, now_boot_ns) : NULL;
	if (!app)
		return;
	shared_add(&app->bytes_out, out);
	if (is_public)
		adds_volume(app, out, now_boot_ns);
}

/* Whether the flow was last noted, or could have been, in an earlier second. */
static __always_inline int is_due(const struct ibsr_flow *flow, __u64 now_boot_ns)
{
	return flow->last_boot_ns >> NOTE_SHIFT != now_boot_ns >> NOTE_SHIFT;
}

#endif /* IBSR_CGROUP_BEHAVIOUR_NOTE_BPF_H */
