/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The seed of the hashes that whoever is watched could aim at. It holds a knob and no code. */
#ifndef IBSR_CGROUP_HASH_SEED_BPF_H
#define IBSR_CGROUP_HASH_SEED_BPF_H

#include <linux/types.h>

/* Effect: nobody can aim at another owner's row, or find two names with one hash. Default: user
 * space draws a random one at each load. Cost: none. */
const volatile __u64 ibsr_seed;

#endif /* IBSR_CGROUP_HASH_SEED_BPF_H */
