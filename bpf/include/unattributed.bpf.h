/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Packets that no source is charged with, by port and class. It promises that each is
 * counted in exactly one cell and that counters never fall.
 */
#ifndef IBSR_UNATTRIBUTED_BPF_H
#define IBSR_UNATTRIBUTED_BPF_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "ibsr_abi.h"
#include "map.bpf.h"

/* One packet. `map` is per CPU, and plain adds are safe: XDP runs do not nest on a CPU. */
static __always_inline void count_lost(void *map, __u16 port, int is_syn, int is_ack, __u64 bytes)
{
	struct ibsr_losses *losses = only_entry(map);
	struct ibsr_port_loss *cell;

	if (!losses)
		return;
	cell = &losses->cell[port & (IBSR_PORT_CELLS - 1)];
	if (!cell->is_used)
		cell->port = port;
	else if (cell->port != port)
		cell = &losses->cell[IBSR_PORT_CELLS];
	cell->is_used = 1;
	if (is_ack)
		cell->ack++;
	else if (is_syn)
		cell->syn++;
	else
		cell->other++;
	cell->bytes += bytes;
}

#endif /* IBSR_UNATTRIBUTED_BPF_H */
