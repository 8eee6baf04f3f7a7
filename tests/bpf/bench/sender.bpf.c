// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Puts generated frames on a wire: each live frame of a test run leaves through gen_ifindex.
 */
#include "generator.bpf.h"

/* The interface that frames leave through, in the namespace of the run. */
const volatile __u32 gen_ifindex;

#define IP_CHECK_OFFSET	 24 /* of the frame, behind 14 bytes of Ethernet */
#define TCP_CHECK_OFFSET 50

/* RFC 1624: what a checksum becomes when `before` becomes `after`. */
static __always_inline void adjust(__u16 *check, __u32 before, __u32 after)
{
	__u32 sum = (__u16) ~*check;

	sum += (__u16)~before + (__u16)(~before >> 16) + (__u16)after + (after >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	*check = ~((sum & 0xffff) + (sum >> 16));
}

/* The next sender, with checksums that a receiver accepts. */
static __always_inline void pick_with_checksums(struct xdp_md *ctx)
{
	__u8 *frame = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 before, after;

	if (frame + HEADERS_BYTES > end)
		return;
	before = *(__u32 *)(frame + SADDR_OFFSET);
	pick(ctx);
	after = *(__u32 *)(frame + SADDR_OFFSET);
	adjust((__u16 *)(frame + IP_CHECK_OFFSET), before, after);
	adjust((__u16 *)(frame + TCP_CHECK_OFFSET), before, after);
}

SEC("xdp.frags")
int bench_run(struct xdp_md *ctx)
{
	pick_with_checksums(ctx);
	return bpf_redirect(gen_ifindex, 0);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
