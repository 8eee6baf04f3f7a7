// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The probe with memory from the pool. All ask for the same slot first. */
#include "scratch_probe.bpf.h"

static __always_inline struct scratch *probe_take(__u32 hint)
{
	return take_scratch(0);
}

static __always_inline void probe_give_back(struct scratch *scratch)
{
	give_back(scratch);
}
