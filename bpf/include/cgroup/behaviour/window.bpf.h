/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What an application did in the window under way: bytes out, failed connects, internal peers.
 * Peers are counted by linear counting (Whang et al., 1990): each sets one bit of 1,024 that a
 * seeded hash chooses. The standard error is below 3 % from 100 to 1,500 peers.
 *
 * Whoever meets a new window first empties the old one: what another CPU adds in that instant
 * may be lost to the window, not to the counters.
 */
#ifndef IBSR_CGROUP_BEHAVIOUR_WINDOW_BPF_H
#define IBSR_CGROUP_BEHAVIOUR_WINDOW_BPF_H

#include "cgroup/behaviour/maps.bpf.h"
#include "cgroup/maps.bpf.h"
#include "hash.bpf.h"
#include "map.bpf.h"

static __always_inline void begin_window(struct ibsr_app_window *app, __u64 now_boot_ns)
{
	__u64 window = now_boot_ns / ibsr_window_ns, then = app->window;

	if (window == then || __sync_val_compare_and_swap(&app->window, then, window) != then)
		return;
	app->window_bytes_out = 0;
	app->window_failed = 0;
	app->window_nxdomain_bits = 0;
	app->window_peer_bits = 0;
	for (int i = 0; i < IBSR_PEER_BITMAP_BITS / 64; i++)
		app->peer_bitmap[i] = 0;
	for (int i = 0; i < IBSR_ZONE_BITMAP_BITS / 64; i++)
		app->nxdomain_bitmap[i] = 0;
}

/* False when the application is not known; then the key is zero. */
static __always_inline int find_app(struct ibsr_app_key *app, __u64 owner_key)
{
	const struct ibsr_owner *owner = bpf_map_lookup_elem(&ibsr_owners, &owner_key);

	app->exe_inode = owner ? owner->exe_inode : 0;
	app->exe_device = owner ? owner->exe_device : 0;
	app->pad = 0;
	return app->exe_inode != 0;
}

/* With the window under way. NULL when no entry could be had. */
static __always_inline struct ibsr_app_window *
app_of(const struct ibsr_app_key *key, struct ibsr_behaviour_totals *totals, __u64 now_boot_ns)
{
	struct ibsr_app_window *app = bpf_map_lookup_elem(&ibsr_app_window, key);

	if (!app) {
		if (!bpf_map_update_elem(&ibsr_app_window, key, (void *)&no_app_window,
					 BPF_NOEXIST))
			shared_add(&totals->apps_inserted, 1);
		app = bpf_map_lookup_elem(&ibsr_app_window, key);
	}
	if (!app)
		return NULL;
	app->last_boot_ns = now_boot_ns;
	begin_window(app, now_boot_ns);
	return app;
}

static __always_inline void flag_app(struct ibsr_app_window *app, __u32 flag, __u64 now_boot_ns)
{
	if (app->flags & flag)
		return;
	__sync_fetch_and_or(&app->flags, flag);
	app->flagged_boot_ns = now_boot_ns;
}

/* The finalizer of MurmurHash3. The hash of the tables lays neighbouring addresses out evenly,
 * which is good for tables: it sets more bits than chance would, and the estimate of 200
 * neighbours is 11 % too high. */
static __always_inline __u64 scattered(__u64 hash)
{
	hash = (hash ^ hash >> 33) * 0xff51afd7ed558ccdULL;
	hash = (hash ^ hash >> 33) * 0xc4ceb9fe1a85ec53ULL;
	return hash ^ hash >> 33;
}

static __always_inline void adds_peer(struct ibsr_app_window *app, const __u8 *addr,
				      __u64 now_boot_ns)
{
	__u64 hash = scattered(address_hash(addr, ibsr_seed));
	__u64 bit = 1ULL << (hash & 63);
	__u64 *word = &app->peer_bitmap[hash >> 6 & (IBSR_PEER_BITMAP_BITS / 64 - 1)];

	if (__sync_fetch_and_or(word, bit) & bit)
		return;
	if (__sync_fetch_and_add(&app->window_peer_bits, 1) + 1 >= ibsr_internal_peer_bits)
		flag_app(app, IBSR_FLAG_MANY_INTERNAL_PEERS, now_boot_ns);
}

static __always_inline void adds_failure(struct ibsr_app_window *app, __u64 now_boot_ns)
{
	shared_add(&app->failed, 1);
	if (__sync_fetch_and_add(&app->window_failed, 1) + 1 >= ibsr_failed_connects)
		flag_app(app, IBSR_FLAG_MANY_FAILED_CONNECTS, now_boot_ns);
}

static __always_inline void adds_volume(struct ibsr_app_window *app, __u64 bytes, __u64 now_boot_ns)
{
	if (__sync_fetch_and_add(&app->window_bytes_out, bytes) + bytes >= ibsr_volume_out_bytes)
		flag_app(app, IBSR_FLAG_VOLUME_OUT, now_boot_ns);
}

#endif /* IBSR_CGROUP_BEHAVIOUR_WINDOW_BPF_H */
