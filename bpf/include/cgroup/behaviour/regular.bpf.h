/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Moments of the time between connections, in batches, and whether a batch is regular. It
 * promises that nothing overflows. Two CPUs that connect to one destination at the same instant
 * may move an interval from one batch to the next.
 */
#ifndef IBSR_CGROUP_BEHAVIOUR_REGULAR_BPF_H
#define IBSR_CGROUP_BEHAVIOUR_REGULAR_BPF_H

#include "cgroup/behaviour/maps.bpf.h"
#include "map.bpf.h"

/* Whether cv^2 = (n * squares - sum^2) / sum^2 is at most the square of the limit. Above one half
 * nothing is regular, and below it both products fit: sum < 2^25, 2^50 * 2,500 and
 * 2^48 * 10,000 are below 2^62. A race may show sums that belong to two batches; then the guards
 * say no. */
static __always_inline int is_regular(__u64 n, __u64 sum, __u64 squares)
{
	__u64 limit = ibsr_regular_cv_percent, sum_squared, spread;

	if (!sum || sum >= IBSR_BATCH_INTERVALS * (__u64)IBSR_INTERVAL_LIMIT)
		return 0;
	if (limit > IBSR_CV_PERCENT_LIMIT)
		limit = IBSR_CV_PERCENT_LIMIT;
	sum_squared = sum * sum;
	if (n * squares < sum_squared)
		return 0;
	spread = n * squares - sum_squared;
	if (spread > sum_squared / 4)
		return 0;
	return spread * 10000 <= sum_squared * limit * limit;
}

/* Number of intervals in the batch with this one, 0 when it belongs to none. */
static __always_inline __u32 join_batch(struct ibsr_behaviour *row, __u32 units)
{
	__u32 before = __sync_fetch_and_add(&row->batch_count, 1);

	if (before > IBSR_BATCH_INTERVALS)
		return 0;
	if (before == 0 || before == IBSR_BATCH_INTERVALS) {
		row->batch_sum = 0;
		row->batch_square_sum = 0;
		row->batch_min = units;
		row->batch_max = units;
		__sync_lock_test_and_set(&row->batch_count, 1);
		before = 0;
	}
	if (units < row->batch_min)
		row->batch_min = units;
	if (units > row->batch_max)
		row->batch_max = units;
	return before + 1;
}

/* Whether the batch is long enough and regular with the interval that ends now. */
static __always_inline int ends_interval(struct ibsr_behaviour *row, __u64 now_boot_ns)
{
	__u64 then = __sync_lock_test_and_set(&row->last_connect_boot_ns, now_boot_ns), units;
	__u32 count;

	if (!then || then > now_boot_ns)
		return 0;
	units = (now_boot_ns - then) >> IBSR_INTERVAL_SHIFT;
	if (units >= IBSR_INTERVAL_LIMIT) {
		shared_add(&row->intervals_long, 1);
		return 0;
	}
	shared_add(&row->intervals, 1);
	count = join_batch(row, units);
	if (!count)
		return 0;
	__sync_fetch_and_add(&row->batch_sum, units);
	__sync_fetch_and_add(&row->batch_square_sum, units * units);
	return count >= ibsr_regular_count && is_regular(count, *(volatile __u64 *)&row->batch_sum,
							 *(volatile __u64 *)&row->batch_square_sum);
}

#endif /* IBSR_CGROUP_BEHAVIOUR_REGULAR_BPF_H */
