/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One packet of one socket, at cgroup_skb. It promises that each packet is counted in one
 * outcome of the totals, and a tracked one in one flow or as a failed insert. It reads the
 * headers of UDP and of joined packets: the remote end of TCP is that of its socket.
 */
#ifndef IBSR_CGROUP_PACKET_BPF_H
#define IBSR_CGROUP_PACKET_BPF_H

#include "cgroup/address.bpf.h"
#include "cgroup/dns/observe.bpf.h"
#include "cgroup/flows.bpf.h"
#include "cgroup/socket.bpf.h"

/* Begins the state of a socket that socket(2) did not show: one that is older than the
 * attachment, a connection that was just accepted, or one that the kernel made. `current`
 * says nothing here, so it has no owner but its listener's. NULL when it is no full socket
 * or the kernel has no memory; then the packet was counted. */
static __always_inline struct socket *meet_socket(struct __sk_buff *skb, struct bpf_sock *sk,
						  struct ibsr_cgroup_totals *totals, __u32 packets)
{
	struct bpf_sock *full = bpf_sk_fullsock(sk);
	struct socket *s;

	if (!full) {
		shared_add(&totals->no_socket, packets);
		return NULL;
	}
	s = bpf_sk_storage_get(&ibsr_sockets, full, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (!s) {
		shared_add(&totals->no_storage, packets);
		return NULL;
	}
	if (s->phase == SOCKET_NEW) {
		const struct identity id = {
			.cookie = bpf_get_socket_cookie(skb),
			.cgroup_id = bpf_sk_cgroup_id(full),
			.family = full->family,
			.protocol = full->protocol,
		};

		shared_add(&totals->adopted, 1);
		begin_socket(s, &id);
		if (full->protocol != IPPROTO_TCP)
			return s;
		if (full->state == BPF_TCP_LISTEN)
			set_phase(s, SOCKET_LISTENS);
		else
			follow_remote(s, full, IBSR_DIRECTION_UNKNOWN);
	} else if (is_unborn(s, full)) {
		begin_accepted(s, full, bpf_get_socket_cookie(skb));
	}
	return s;
}

static __always_inline void count_tcp(const struct socket *s, struct ibsr_cgroup_totals *totals,
				      int is_out, __u32 packets, __u32 bytes)
{
	count_totals(totals, is_out, packets, bytes);
	count_flow(&s->key, socket_flow(s, totals), totals, is_out, packets, bytes);
}

static __always_inline void set_ends(struct ibsr_flow_key *key, struct local *local,
				     const struct ends *ends, int is_out)
{
	const __u8 *remote_addr = is_out ? ends->dst : ends->src;
	const __u8 *local_addr = is_out ? ends->src : ends->dst;

	__builtin_memcpy(key->remote_addr, remote_addr, sizeof(key->remote_addr));
	__builtin_memcpy(local->addr, local_addr, sizeof(local->addr));
	key->remote_port = is_out ? ends->dst_port : ends->src_port;
	local->port = is_out ? ends->src_port : ends->dst_port;
}

/* A UDP socket may talk to many, so each packet says to whom. The row of a connected one is
 * older than its local address. */
static __always_inline void count_udp(const struct __sk_buff *skb, const struct socket *s,
				      struct ibsr_cgroup_totals *totals, int is_out, __u32 packets,
				      __u32 bytes)
{
	__u8 direction = is_out ? IBSR_DIRECTION_OUTGOING : IBSR_DIRECTION_INCOMING;
	struct ibsr_flow_key key = {
		.socket = s->key.socket,
		.protocol = IPPROTO_UDP,
		.holder = s->owner,
	};
	struct local local = {};
	struct ibsr_flow *flow;
	struct ends ends = {};

	if (!udp_ends(skb, &ends)) {
		shared_add(&totals->unreadable, packets);
		return;
	}
	set_ends(&key, &local, &ends, is_out);
	count_totals(totals, is_out, packets, bytes);
	flow = bpf_map_lookup_elem(&ibsr_flows, &key);
	if (!flow) {
		flow = insert_flow(&key, s, direction, &local, totals);
		if (is_out && flow)
			note_connect(&key, s->owner, flow->born_boot_ns);
	} else if (!flow->local_port) {
		name_local(flow, &local);
	}
	count_flow(&key, flow, totals, is_out, packets, bytes);
	if (is_dns_port(key.remote_port))
		observe_dns(skb, &key, s->owner, is_out);
}

/* A segment for each that GRO joined or TSO will split, and its headers: so both ends of a
 * connection say the same. Most packets are one. */
static __always_inline void observe_packet(struct __sk_buff *skb, int is_out)
{
	struct ibsr_cgroup_totals *totals = only_entry(&ibsr_cg_totals);
	__u32 segments = skb->gso_segs, packets = segments ? segments : 1, bytes = skb->len;
	struct bpf_sock *sk = skb->sk;
	struct socket *s;

	if (!totals)
		return;
	if (!sk) {
		shared_add(&totals->no_socket, packets);
		return;
	}
	s = bpf_sk_storage_get(&ibsr_sockets, sk, NULL, 0);
	if (!s || s->phase != SOCKET_READY) {
		s = meet_socket(skb, sk, totals, packets);
		if (!s)
			return;
	}
	if (packets > 1)
		bytes += (packets - 1) * segment_header_bytes(skb);
	switch (s->key.protocol) {
	case IPPROTO_TCP:
		count_tcp(s, totals, is_out, packets, bytes);
		break;
	case IPPROTO_UDP:
		count_udp(skb, s, totals, is_out, packets, bytes);
		break;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		shared_add(&totals->icmp, packets);
		break;
	default:
		shared_add(&totals->other_l4, packets);
		break;
	}
}

#endif /* IBSR_CGROUP_PACKET_BPF_H */
