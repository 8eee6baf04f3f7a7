/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Picks the sender of each packet inside the program under test: one test run repeats one
 * frame, and user space that changed it in between would be all that is measured. Writes the
 * IPv4 source address, and from a schedule also the source port and the TCP flags, of an
 * untagged IPv4 frame without options. Checksums go stale: no parser here checks them.
 *
 * It promises to do the same work in every program of a row, so that the program which only
 * picks is what the others are measured against. For benches only: no sensor writes packets.
 */
#ifndef IBSR_BENCH_GENERATOR_BPF_H
#define IBSR_BENCH_GENERATOR_BPF_H

#include <linux/bpf.h>
#include <linux/types.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

#define SADDR_OFFSET  26 /* of the frame, behind 14 bytes of Ethernet */
#define SPORT_OFFSET  34
#define FLAGS_OFFSET  47
#define HEADERS_BYTES 54

#define FLAG_SYN 0x02
#define FLAG_ACK 0x10

/* Where senders come from. */
enum gen_kind {
	GEN_FRAME = 0,	  /* the frame as it is */
	GEN_UNIFORM = 1,  /* one of gen_sources, each as likely */
	GEN_NEW = 2,	  /* never the same twice in 268 million packets */
	GEN_SCHEDULE = 3, /* what gen_schedule says, word by word */
};

/* A word of the schedule: whose packet it is, which one, and the client or address number. */
#define WORD_CLIENT	 (1u << 31) /* a steady client, else the flood */
#define WORD_ACK	 (1u << 30) /* an ACK, else a SYN */
#define WORD_UNCONNECTED (1u << 29) /* from a port on which the client has no connection */
#define WORD_NUMBER	 ((1u << 28) - 1)

/* Which kind; the verifier removes the code of all others. */
const volatile __u32 gen_kind;

/* Distinct senders of GEN_UNIFORM. */
const volatile __u32 gen_sources;

/* Words of the schedule minus 1; a power of two minus 1. */
const volatile __u32 gen_schedule_mask;

struct gen_client {
	__be32 addr;
	__be16 port;
	__u16 pad;
};

/* Packets so far. One CPU runs it, so a plain add is exact. */
__u64 gen_at;

/* State of the xorshift; never 0. */
__u64 gen_random = 0x9e3779b97f4a7c15ULL;

/*
 * Who sends when. Key: half a position. Value: two words, for an array rounds its values up
 * to 8 bytes. Written by the bench between two runs, read by this program in order and from
 * the start again. Cannot be full.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, __u32[2]);
	__uint(max_entries, 1);
	__uint(map_flags, 0);
} gen_schedule SEC(".maps");

/*
 * The steady clients. Key: number. Value: their end of a real connection. Written by the
 * bench before the first run. Cannot be full.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct gen_client);
	__uint(max_entries, 1);
	__uint(map_flags, 0);
} gen_clients SEC(".maps");

static __always_inline __u32 gen_next_random(void)
{
	__u64 x = gen_random;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	gen_random = x;
	return x >> 32;
}

/* Distinct for each number below 2^28, in no order that a hash could profit from, and outside
 * of 127.0.0.0/8, where the steady clients live: an odd factor only permutes the residues. */
static __always_inline __be32 gen_address(__u32 number)
{
	return bpf_htonl(0x10000000 | (number * 0x9e3779b1u & WORD_NUMBER));
}

static __always_inline void gen_follow_schedule(__u8 *frame)
{
	__u32 position = gen_at & gen_schedule_mask, number, word;
	__u32 slot = position >> 1;
	struct gen_client *client;
	__u32 *words;

	words = bpf_map_lookup_elem(&gen_schedule, &slot);
	if (!words)
		return;
	word = words[position & 1];
	number = word & WORD_NUMBER;
	frame[FLAGS_OFFSET] = word & WORD_ACK ? FLAG_ACK : FLAG_SYN;
	if (!(word & WORD_CLIENT)) {
		*(__be32 *)(frame + SADDR_OFFSET) = gen_address(number);
		*(__be16 *)(frame + SPORT_OFFSET) = word >> 7;
		return;
	}
	client = bpf_map_lookup_elem(&gen_clients, &number);
	if (!client)
		return;
	*(__be32 *)(frame + SADDR_OFFSET) = client->addr;
	*(__be16 *)(frame + SPORT_OFFSET) = client->port ^ !!(word & WORD_UNCONNECTED);
}

/* Writes the next sender into the frame; leaves a frame alone that is too short. */
static __always_inline void pick(struct xdp_md *ctx)
{
	__u8 *frame = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;

	if (gen_kind == GEN_FRAME || frame + HEADERS_BYTES > end)
		return;
	if (gen_kind == GEN_UNIFORM) {
		__u32 number = ((__u64)gen_next_random() * gen_sources) >> 32;

		*(__be32 *)(frame + SADDR_OFFSET) = gen_address(number);
	} else if (gen_kind == GEN_NEW) {
		*(__be32 *)(frame + SADDR_OFFSET) = gen_address(gen_at);
	} else {
		gen_follow_schedule(frame);
	}
	gen_at++;
}

#endif /* IBSR_BENCH_GENERATOR_BPF_H */
