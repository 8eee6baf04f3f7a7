/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Units of time. It holds no code. */
#ifndef IBSR_TIME_BPF_H
#define IBSR_TIME_BPF_H

#define NS_PER_S 1000000000ULL

#endif /* IBSR_TIME_BPF_H */
