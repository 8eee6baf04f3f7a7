/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The question of a DNS message (RFC 1035, 4.1) as the key of `ibsr_g_names`. It promises to
 * read inside the message only, to write to its slot of the pool only, and to say no to what it
 * cannot read. On the wire a name is its labels with a length before each; read from its end,
 * with '.' for a length, it is the key.
 */
#ifndef IBSR_GUARD_NAME_BPF_H
#define IBSR_GUARD_NAME_BPF_H

#include <bpf/bpf_endian.h>
#include "cgroup/pool.bpf.h"
#include "ibsr_guard_abi.h"
#include "lower.bpf.h"

#define DNS_PORT 53

#define ASK_HEADER_BYTES 12
#define ASK_NAME_MAX	 254 /* without the root */
#define ASK_LABEL_MAX	 63
#define ASK_LABELS_MAX	 128 /* with the root */
#define ASK_BYTES_MAX	 320 /* that are read: a header, a question, and what a client adds */
#define ASK_ROOM	 512 /* the verifier's bound on offsets: a power of two above that */
#define ASK_SLACK	 64  /* what may be read or written behind an offset */
#define ASK_IS_ANSWER	 0x8000
#define ASK_OPCODE	 0x7800

/* What is read of one message; lies in a slot of the pool. What a loop needs from one turn to
 * the next stands here and not in registers, so that the verifier walks each turn once. */
struct asked {
	__u32 end;	  /* bytes in `message` */
	__u32 at;	  /* of the label that is next, in the name */
	__u32 name_bytes; /* of the name, without the root */
	__u16 type, class;
	__u32 pad;
	struct ibsr_guard_name_key key;
	__u32 aligned; /* so that the name in `message` begins at a word */
	__u8 message[ASK_ROOM + ASK_SLACK];
	__u8 unaligned[4];
	/* The name in lower case behind nothing but zeros, to be read backwards. */
	__u8 zeros[IBSR_GUARD_NAME_BYTES];
	__u8 text[IBSR_GUARD_NAME_BYTES];
};

_Static_assert(sizeof(struct asked) <= SCRATCH_WORDS * sizeof(__u64), "a slot is large enough");
_Static_assert((__builtin_offsetof(struct asked, message) + ASK_HEADER_BYTES) % 8 == 0, "words");
_Static_assert(__builtin_offsetof(struct asked, key.name) % 8 == 0, "words");
_Static_assert(__builtin_offsetof(struct asked, zeros) % 8 == 0, "words");
_Static_assert(__builtin_offsetof(struct asked, text) % 8 == 0, "words");

/* Fields of the header, in host order. */
enum ask_field {
	ASK_ID = 0,
	ASK_FLAGS = 1,
	ASK_QUESTIONS = 2,
	ASK_ANSWERS = 3,
	ASK_AUTHORITIES = 4,
	ASK_ADDITIONS = 5,
};

static __always_inline __u16 ask_header(const struct asked *a, enum ask_field field)
{
	return a->message[field * 2] << 8 | a->message[field * 2 + 1];
}

/* A byte behind the header. The mask is for the verifier; see cgroup/dns/message.bpf.h. */
static __always_inline __u8 *ask_place(struct asked *a, __u32 at)
{
	barrier_var(at);
	return &a->message[ASK_HEADER_BYTES + (at & (ASK_ROOM - 1))];
}

static __always_inline __u16 ask_two(struct asked *a, __u32 at)
{
	const __u8 *two = ask_place(a, at);

	return two[0] << 8 | two[1];
}

/* Eight bytes at once: a '.' inside a label is not one between labels, and becomes a byte that no
 * name in a policy has. */
static __always_inline __u64 hide_dots(__u64 word)
{
	__u64 other = word ^ EACH('.');
	__u64 dots = ~(((other & EACH(0x7f)) + EACH(0x7f)) | other | EACH(0x7f));

	return word | (dots >> 7) * 0xff;
}

static __always_inline void ask_text(struct asked *a)
{
	const volatile __u64 *from = (const volatile __u64 *)(a->message + ASK_HEADER_BYTES);
	__u32 end = a->end;

	__builtin_memset(a->zeros, 0, sizeof(a->zeros));
	for (__u32 i = 0; i < IBSR_GUARD_NAME_BYTES / 8; i++) {
		if (end <= ASK_HEADER_BYTES + i * 8)
			break;
		*(volatile __u64 *)&a->text[i * 8] = hide_dots(lower_case(from[i]));
	}
	barrier();
}

/* Finds the end of the name and puts '.' for each length. A pointer makes no sense in the first
 * name of a message. */
static __always_inline int ask_walk(struct asked *a)
{
	a->at = 0;
	for (int i = 0; i < ASK_LABELS_MAX; i++) {
		__u32 at, bytes;

		barrier();
		at = a->at;
		if (at > ASK_NAME_MAX || at + ASK_HEADER_BYTES >= a->end)
			return 0;
		bytes = *ask_place(a, at);
		if (!bytes)
			break;
		if (bytes > ASK_LABEL_MAX)
			return 0;
		a->at = at + 1 + bytes;
		barrier_var(at);
		a->text[at & (IBSR_GUARD_NAME_BYTES - 1)] = '.';
	}
	barrier();
	return 1;
}

/* The word i of the key ends in the name where the word i - 1 begins. */
static __always_inline void ask_key(struct asked *a)
{
	__u32 bytes = a->name_bytes;
	const __u8 *end;

	barrier_var(bytes);
	end = &a->zeros[bytes & (IBSR_GUARD_NAME_BYTES - 1)];
	for (__u32 i = 0; i < IBSR_GUARD_NAME_BYTES / 8; i++)
		*(volatile __u64 *)&a->key.name[i * 8] = __builtin_bswap64(
			*(const volatile __u64 *)(end + IBSR_GUARD_NAME_BYTES - 8 - i * 8));
	a->key.prefix_bits = bytes * 8;
}

/* Reads the message of `bytes` bytes that begins at `at`. Returns 1 when its first question was
 * read. Otherwise 0; the header is there all the same when `end` is not 0. */
static __always_inline int read_asked(const struct __sk_buff *skb, __u32 at, __u32 bytes,
				      struct asked *a)
{
	__u32 name_bytes;

	a->end = 0;
	barrier_var(bytes);
	if (bytes > ASK_BYTES_MAX)
		bytes = ASK_BYTES_MAX;
	barrier_var(bytes);
	if (bytes < ASK_HEADER_BYTES || bytes > ASK_BYTES_MAX)
		return 0;
	if (bpf_skb_load_bytes(skb, at, a->message, bytes))
		return 0;
	a->end = bytes;
	ask_text(a);
	if (!ask_walk(a))
		return 0;
	name_bytes = a->at;
	if (name_bytes > ASK_NAME_MAX || ASK_HEADER_BYTES + name_bytes + 5 > a->end)
		return 0;
	if (*ask_place(a, name_bytes))
		return 0;
	a->name_bytes = name_bytes;
	a->type = ask_two(a, name_bytes + 1);
	a->class = ask_two(a, name_bytes + 3);
	barrier();
	ask_key(a);
	return 1;
}

/* A slot for one message; NULL when all are taken. give_back() when it is done. */
static __always_inline struct scratch *take_asked(__u32 hint, struct asked **a)
{
	struct scratch *scratch = take_scratch(hint);

	if (scratch)
		*a = (struct asked *)scratch->word;
	return scratch;
}

#endif /* IBSR_GUARD_NAME_BPF_H */
