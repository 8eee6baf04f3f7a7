/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Where DNS and flows meet the analysis of zones: a name is asked for, its answer comes, bytes
 * were exchanged with an address of that name. Different names of a window are counted by
 * linear counting as internal peers are (behaviour/window.bpf.h); the standard error is below
 * 5 % from 100 to 1,000 names.
 */
#ifndef IBSR_CGROUP_ZONE_NOTE_BPF_H
#define IBSR_CGROUP_ZONE_NOTE_BPF_H

#include "cgroup/behaviour/window.bpf.h"
#include "cgroup/dns/maps.bpf.h"
#include "cgroup/zone/maps.bpf.h"

static __always_inline void flag_zone(struct ibsr_zone *row, __u32 flag, __u64 now_boot_ns)
{
	if (row->flags & flag)
		return;
	__sync_fetch_and_or(&row->flags, flag);
	row->flagged_boot_ns = now_boot_ns;
}

/* As begin_window of applications. */
static __always_inline void begin_zone_window(struct ibsr_zone *row, __u64 now_boot_ns)
{
	__u64 window = now_boot_ns / ibsr_window_ns, then = row->window;

	if (window == then || __sync_val_compare_and_swap(&row->window, then, window) != then)
		return;
	row->window_name_bytes = 0;
	row->window_bytes_out = 0;
	row->window_name_bits = 0;
	for (int i = 0; i < IBSR_NAME_BITMAP_BITS / 64; i++)
		row->name_bitmap[i] = 0;
}

static __always_inline void set_zone_key(struct ibsr_zone_key *key, const struct ibsr_app_key *app,
					 __u64 zone)
{
	key->exe_inode = app->exe_inode;
	key->zone = zone;
	key->exe_device = app->exe_device;
	key->pad = 0;
}

/* With the window under way, made when it is not there. NULL when no entry could be had. */
static __always_inline struct ibsr_zone *
zone_of(const struct ibsr_zone_key *key, struct ibsr_behaviour_totals *totals, __u64 now_boot_ns)
{
	struct ibsr_zone *row = bpf_map_lookup_elem(&ibsr_zones, key);
	int is_mine = 0;

	if (!row) {
		is_mine = !bpf_map_update_elem(&ibsr_zones, key, (void *)&no_zone, BPF_NOEXIST);
		row = bpf_map_lookup_elem(&ibsr_zones, key);
	}
	if (!row)
		return NULL;
	if (is_mine) {
		shared_add(&totals->zones_inserted, 1);
		row->born_boot_ns = now_boot_ns;
	}
	row->last_boot_ns = now_boot_ns;
	begin_zone_window(row, now_boot_ns);
	return row;
}

/* `bytes` stand in front of the zone. */
static __always_inline void adds_name(struct ibsr_zone *row, __u64 name, __u32 bytes,
				      __u64 now_boot_ns)
{
	__u64 hash = scattered(name);
	__u64 bit = 1ULL << (hash & 63);
	__u64 *word = &row->name_bitmap[hash >> 6 & (IBSR_NAME_BITMAP_BITS / 64 - 1)];

	if (__sync_fetch_and_or(word, bit) & bit)
		return;
	if (__sync_fetch_and_add(&row->window_name_bits, 1) + 1 >= ibsr_zone_name_bits)
		flag_zone(row, IBSR_FLAG_MANY_NAMES, now_boot_ns);
	if (__sync_fetch_and_add(&row->window_name_bytes, bytes) + bytes >= ibsr_zone_name_bytes)
		flag_zone(row, IBSR_FLAG_NAME_VOLUME, now_boot_ns);
}

/* A question was sent. `w` holds it, with its zone; `app` is no application where the owner is
 * not known. */
static __always_inline void note_question(const struct dns_work *w,
					  struct ibsr_behaviour_totals *totals, __u64 now_boot_ns)
{
	struct ibsr_zone_key key;
	struct ibsr_zone *row;

	if (!w->asked.app.exe_inode) {
		shared_add(&totals->zone_no_owner, 1);
		return;
	}
	shared_add(&totals->zone_questions, 1);
	set_zone_key(&key, &w->asked.app, w->asked.zone);
	row = zone_of(&key, totals, now_boot_ns);
	if (!row) {
		shared_add(&totals->zone_lost, 1);
		return;
	}
	shared_add(&row->questions, 1);
	shared_add(&row->name_bytes, w->wire_bytes);
	shared_add(&row->labels, w->labels);
	adds_name(row, w->question.name, w->wire_bytes - w->zone_bytes, now_boot_ns);
}

static __always_inline void adds_missing(struct ibsr_app_window *app, __u64 zone, __u64 now_boot_ns)
{
	__u64 hash = scattered(zone);
	__u64 bit = 1ULL << (hash & 63);
	__u64 *word = &app->nxdomain_bitmap[hash >> 6 & (IBSR_ZONE_BITMAP_BITS / 64 - 1)];

	shared_add(&app->nxdomain, 1);
	if (__sync_fetch_and_or(word, bit) & bit)
		return;
	if (__sync_fetch_and_add(&app->window_nxdomain_bits, 1) + 1 >= ibsr_nxdomain_zone_bits)
		flag_app(app, IBSR_FLAG_MANY_NXDOMAIN_ZONES, now_boot_ns);
}

/* The first answer to a question that was noted. */
static __always_inline void note_answer(const struct dns_asked *asked, int is_nxdomain)
{
	struct ibsr_behaviour_totals *totals = only_entry(&ibsr_bh_totals);
	__u64 now_boot_ns = bpf_ktime_get_boot_ns();
	struct ibsr_app_window *app;
	struct ibsr_app_key app_key;
	struct ibsr_zone_key key;
	struct ibsr_zone *row;

	if (!ibsr_behaviour_on || !totals || !asked->app.exe_inode)
		return;
	app_key = asked->app;
	set_zone_key(&key, &app_key, asked->zone);
	row = bpf_map_lookup_elem(&ibsr_zones, &key);
	if (row) {
		row->last_boot_ns = now_boot_ns;
		shared_add(is_nxdomain ? &row->nxdomain : &row->answers, 1);
	}
	app = is_nxdomain ? app_of(&app_key, totals, now_boot_ns) : NULL;
	if (app)
		adds_missing(app, key.zone, now_boot_ns);
}

/* What a flow that has a name has exchanged since the last time. */
static __always_inline void note_zone_bytes(__u64 name, const struct ibsr_app_key *app,
					    struct ibsr_behaviour_totals *totals, __u64 out,
					    __u64 in, int is_public, __u64 now_boot_ns)
{
	const struct ibsr_name_text *text = bpf_map_lookup_elem(&ibsr_name_texts, &name);
	struct ibsr_zone *row = NULL;
	struct ibsr_zone_key key;

	if (text && text->zone) {
		set_zone_key(&key, app, text->zone);
		row = zone_of(&key, totals, now_boot_ns);
	}
	if (!row) {
		shared_add(&totals->zone_bytes_lost, out + in);
		return;
	}
	shared_add(&row->bytes_out, out);
	shared_add(&row->bytes_in, in);
	if (is_public &&
	    __sync_fetch_and_add(&row->window_bytes_out, out) + out >= ibsr_volume_out_bytes)
		flag_zone(row, IBSR_FLAG_VOLUME_OUT, now_boot_ns);
}

#endif /* IBSR_CGROUP_ZONE_NOTE_BPF_H */
