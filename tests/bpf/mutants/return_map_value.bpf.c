// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Observes, and lets a map decide. */
#include "../../../bpf/observe_xdp.bpf.c"

SEC("xdp.frags")
int mutant(struct xdp_md *ctx)
{
	struct ibsr_totals *totals = only_entry(&ibsr_totals);

	observe(ctx);
	return totals ? (int)totals->pending_lost : XDP_PASS;
}
