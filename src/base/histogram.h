/* SPDX-License-Identifier: MIT */
/*
 * Log-linear (HDR) histogram of non-negative int64 values, relative error below 1/128, range up to 2^62, about 56 KiB.
 * One thread records; any thread may read a consistent-enough copy at any time (relaxed atomics). Merging is exact:
 * merged histograms equal one that recorded everything.
 */
#ifndef BASE_HISTOGRAM_H
#define BASE_HISTOGRAM_H
#include <stdatomic.h>
#include <stdint.h>

enum { HISTOGRAM_SUB_BITS = 7, HISTOGRAM_BUCKETS = (63 - HISTOGRAM_SUB_BITS) * (1 << HISTOGRAM_SUB_BITS) };

struct histogram {
    _Atomic uint64_t count;
    _Atomic int64_t sum, least, most; /* valid when count > 0; sum saturates */
    _Atomic uint64_t buckets[HISTOGRAM_BUCKETS];
};
void histogram_init(struct histogram *histogram);
void histogram_record(struct histogram *histogram, int64_t value, uint64_t times); /* negative counts as 0 */
void histogram_merge(struct histogram *into, const struct histogram *from);
/* The value at quantile q in [0, 1]: the middle of the bucket in which it lies, clamped to [least, most]; 0: empty. */
int64_t histogram_quantile(const struct histogram *histogram, double q);
double histogram_mean(const struct histogram *histogram);
double histogram_deviation(
    const struct histogram *histogram); /* standard deviation, of the buckets' middles; 0: empty */
/* The largest value that bucket `bucket` (below HISTOGRAM_BUCKETS) stands for. */
int64_t histogram_bucket_most(uint32_t bucket);
#endif
