/* SPDX-License-Identifier: MIT */
#include "base/histogram.h"
#include <math.h>
#include <stdbool.h>

/*
 * Values below 2^7 have a bucket each. Above, every power of two is cut into 2^7 buckets of equal width:
 *
 *   value   0 … 127 | 128 … 255 | 256 … 511 | 512 … 1023 | …
 *   width      1    |     1     |     2     |     4      |
 */
enum { SUB = 1 << HISTOGRAM_SUB_BITS };
#define VALUE_MAX ((INT64_C(1) << 62) - 1)

static inline uint32_t bucket_of(int64_t value)
{
    uint64_t v = (uint64_t)value;
    int shift;

    if (v < SUB)
        return (uint32_t)v;
    shift = 63 - __builtin_clzll(v) - HISTOGRAM_SUB_BITS;
    return (uint32_t)(shift + 1) * SUB + (uint32_t)((v >> shift) & (SUB - 1));
}

static int64_t bucket_width(uint32_t bucket)
{
    return bucket < 2 * SUB ? 1 : INT64_C(1) << (bucket / SUB - 1);
}

static int64_t bucket_least(uint32_t bucket)
{
    return bucket < 2 * SUB ? (int64_t)bucket : (int64_t)(SUB + bucket % SUB) * bucket_width(bucket);
}

int64_t histogram_bucket_most(uint32_t bucket)
{
    return bucket_least(bucket) + bucket_width(bucket) - 1;
}

static int64_t bucket_middle(uint32_t bucket)
{
    return bucket_least(bucket) + bucket_width(bucket) / 2;
}

static inline uint64_t get(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static inline int64_t get_signed(const _Atomic int64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

/* One thread writes: a load and a store do, and cost no locked instruction. */
static inline void add(_Atomic uint64_t *counter, uint64_t number)
{
    atomic_store_explicit(counter, get(counter) + number, memory_order_relaxed);
}

static inline void set(_Atomic int64_t *counter, int64_t value)
{
    atomic_store_explicit(counter, value, memory_order_relaxed);
}

static void add_sum(struct histogram *histogram, int64_t sum)
{
    int64_t total;

    if (__builtin_add_overflow(get_signed(&histogram->sum), sum, &total))
        total = INT64_MAX;
    set(&histogram->sum, total);
}

static void widen(struct histogram *histogram, bool first, int64_t least, int64_t most)
{
    if (first || least < get_signed(&histogram->least))
        set(&histogram->least, least);
    if (first || most > get_signed(&histogram->most))
        set(&histogram->most, most);
}

void histogram_init(struct histogram *histogram)
{
    atomic_init(&histogram->count, 0);
    atomic_init(&histogram->sum, 0);
    atomic_init(&histogram->least, 0);
    atomic_init(&histogram->most, 0);
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        atomic_init(&histogram->buckets[i], 0);
}

void histogram_record(struct histogram *histogram, int64_t value, uint64_t times)
{
    int64_t sum;

    if (times == 0)
        return;
    if (value < 0)
        value = 0;
    else if (value > VALUE_MAX)
        value = VALUE_MAX;
    add(&histogram->buckets[bucket_of(value)], times);
    if (__builtin_mul_overflow(value, times, &sum))
        sum = INT64_MAX;
    add_sum(histogram, sum);
    widen(histogram, get(&histogram->count) == 0, value, value);
    add(&histogram->count, times);
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
    /* `from` may be written meanwhile: its count is read first, then never less than that is in its buckets. What is
     * taken over as the count is what is taken over from the buckets. */
    bool empty = get(&from->count) == 0;
    uint64_t taken = 0;

    if (empty)
        return;
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        uint64_t number = get(&from->buckets[i]);

        if (number > 0)
            add(&into->buckets[i], number);
        taken += number;
    }
    add_sum(into, get_signed(&from->sum));
    widen(into, get(&into->count) == 0, get_signed(&from->least), get_signed(&from->most));
    add(&into->count, taken);
}

int64_t histogram_quantile(const struct histogram *histogram, double q)
{
    int64_t least = get_signed(&histogram->least), most = get_signed(&histogram->most);
    uint64_t total = 0, below = 0, rank;
    int64_t value = most;

    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        total += get(&histogram->buckets[i]);
    if (total == 0 || get(&histogram->count) == 0)
        return 0;
    if (!(q > 0.0))
        return least;
    if (q >= 1.0)
        return most;
    rank = (uint64_t)ceil(q * (double)total);
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        below += get(&histogram->buckets[i]);
        if (below >= rank && below > 0) {
            value = bucket_middle(i);
            break;
        }
    }
    return value < least ? least : value > most ? most : value;
}

double histogram_mean(const struct histogram *histogram)
{
    uint64_t count = get(&histogram->count);

    return count > 0 ? (double)get_signed(&histogram->sum) / (double)count : 0.0;
}

double histogram_deviation(const struct histogram *histogram)
{
    double mean = histogram_mean(histogram), squares = 0;
    uint64_t total = 0;

    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        uint64_t number = get(&histogram->buckets[i]);
        double from_mean = (double)bucket_middle(i) - mean;

        squares += (double)number * from_mean * from_mean;
        total += number;
    }
    return total > 0 ? sqrt(squares / (double)total) : 0.0;
}
