/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Where a parser stands in a frame. It promises that nothing outside of the frame is read.
 * Of a frame in several buffers it sees the first: a header behind it counts as cut short.
 *
 * The cursor is an offset, not a pointer, so that one mask bounds it for the verifier
 * wherever it came from.
 */
#ifndef IBSR_CURSOR_BPF_H
#define IBSR_CURSOR_BPF_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

/* Mask over offsets. The bound is the verifier's: a packet pointer may move by less than
 * 64 KiB. The deepest chain of headers ends below 17 KiB. */
#define CURSOR_MAX 0x7fff

struct cursor {
	void *data;
	void *data_end;
	__u32 offset;	 /* of the next header */
	__u32 frame_len; /* of all fragments of the buffer, not only the first */
	__u32 l3_end;	 /* offset behind the IP datagram: what follows is padding */
};

/*
 * Two byte swaps that cancel out, after which the verifier knows nothing of the number. All
 * ways to this point then look alike to it and one visit covers them: eight extension
 * headers cost eight visits, not one for each combination of their kinds.
 */
#define forget(number)	   asm volatile("%0 = be32 %0; %0 = be32 %0" : "+r"(number))
#define forget_u64(number) asm volatile("%0 = be64 %0; %0 = be64 %0" : "+r"(number))

/* The next header when `size` bytes of it are there, or NULL; does not move. */
static __always_inline void *peek(const struct cursor *c, __u32 size)
{
	__u32 offset = c->offset & CURSOR_MAX;
	void *at = c->data + offset;

	if (at + size > c->data_end)
		return NULL;
	return at;
}

#endif /* IBSR_CURSOR_BPF_H */
