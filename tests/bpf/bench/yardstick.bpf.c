// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The yardstick: a plain sensor of the publicly known kind, as anyone would write it first and
 * without a handicap. One shared LRU hash by IPv4 source and port, atomic adds, the ports in
 * a map of settings, no VLAN tags, no IPv6, no extension headers, no totals.
 */
#include "generator.bpf.h"

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/tcp.h>

#define YARD_MAX_PORTS 8

struct yard_key {
	__be32 src;
	__u16 dst_port;
	__u16 pad;
};

struct yard_value {
	__u32 syn;
	__u32 ack;
	__u32 handshake_ack;
	__u32 rst;
	__u32 packets;
	__u32 pad;
	__u64 bytes;
};

/*
 * Sources. Key: address and port. Value: counters. Written by this program on any CPU, read by
 * the bench. When full the kernel evicts an entry.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, struct yard_key);
	__type(value, struct yard_value);
	__uint(max_entries, 100000);
	__uint(map_flags, 0);
} yard_src SEC(".maps");

/*
 * Selected ports. Key: position. Value: port, 0 behind the last. Written by the bench before
 * the first run, read by this program. Cannot be full.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, __u32);
	__uint(max_entries, YARD_MAX_PORTS);
	__uint(map_flags, 0);
} yard_ports SEC(".maps");

static __always_inline int port_wanted(__u16 port)
{
	for (__u32 i = 0; i < YARD_MAX_PORTS; i++) {
		__u32 key = i, *wanted = bpf_map_lookup_elem(&yard_ports, &key);

		if (!wanted || !*wanted)
			break;
		if (*wanted == port)
			return 1;
	}
	return 0;
}

static __always_inline void count(const struct yard_key *key, const struct tcphdr *tcp,
				  __u32 payload_bytes, __u32 frame_bytes)
{
	struct yard_value *known = bpf_map_lookup_elem(&yard_src, key), first = {};
	int handshake_ack = tcp->ack && !tcp->syn && !tcp->fin && !tcp->rst && !payload_bytes;

	if (!known) {
		first.syn = tcp->syn && !tcp->ack;
		first.ack = tcp->ack;
		first.handshake_ack = handshake_ack;
		first.rst = tcp->rst;
		first.packets = 1;
		first.bytes = frame_bytes;
		bpf_map_update_elem(&yard_src, key, &first, BPF_ANY);
		return;
	}
	if (tcp->syn && !tcp->ack)
		__sync_fetch_and_add(&known->syn, 1);
	if (tcp->ack)
		__sync_fetch_and_add(&known->ack, 1);
	if (handshake_ack)
		__sync_fetch_and_add(&known->handshake_ack, 1);
	if (tcp->rst)
		__sync_fetch_and_add(&known->rst, 1);
	__sync_fetch_and_add(&known->packets, 1);
	__sync_fetch_and_add(&known->bytes, frame_bytes);
}

static __always_inline void yardstick(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	struct iphdr *ip = data + sizeof(*eth);
	struct yard_key key = {};
	struct tcphdr *tcp;
	__u32 headers;

	if ((void *)(ip + 1) > end || eth->h_proto != bpf_htons(ETH_P_IP) ||
	    ip->protocol != IPPROTO_TCP || ip->ihl < 5)
		return;
	tcp = (void *)ip + ip->ihl * 4;
	if ((void *)(tcp + 1) > end)
		return;
	key.src = ip->saddr;
	key.dst_port = bpf_ntohs(tcp->dest);
	if (!port_wanted(key.dst_port))
		return;
	headers = ip->ihl * 4 + tcp->doff * 4;
	count(&key, tcp, bpf_ntohs(ip->tot_len) - headers, end - data);
}

SEC("xdp.frags")
int bench_run(struct xdp_md *ctx)
{
	pick(ctx);
	yardstick(ctx);
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
