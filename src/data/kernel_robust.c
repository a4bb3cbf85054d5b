/* SPDX-License-Identifier: MIT */
#include "data/kernel_robust.h"

#include <math.h>
#include <string.h>

#include "data/kernel_rolling_order.h"

struct robust_head {
    uint32_t begin, count; /* of the ring: records */
    uint32_t sorted;       /* values that are not null */
    bool timed;            /* newest is known */
    int64_t newest;
};

struct key { /* where things are in a state */
    struct robust_head *head;
    double *ring, *sorted;
    int64_t *times; /* windows of time only */
};

size_t robust_state_size(const struct robust_options *options)
{
    return sizeof(struct robust_head) + (size_t)options->records * sizeof(double) * (options->span ? 3 : 2);
}

static struct key open_key(const struct robust_options *options, void *state)
{
    struct key key = {.head = state};
    key.ring = (double *)(void *)((char *)state + sizeof(struct robust_head));
    key.sorted = key.ring + options->records;
    key.times = options->span ? (int64_t *)(void *)(key.sorted + options->records) : NULL;
    return key;
}

/* ---- Order ----------------------------------------------------------------------------------------------------- */

/* How many of the values are less. */
static uint32_t place_of(const double *sorted, uint32_t count, double value)
{
    uint32_t low = 0;
    while (count > 0) {
        uint32_t half = count / 2;
        bool less = sorted[low + half] < value;
        low = less ? low + half + 1 : low;
        count = less ? count - half - 1 : half;
    }
    return low;
}

static void insert(struct key *key, double value)
{
    uint32_t count = key->head->sorted++, at = place_of(key->sorted, count, value);
    memmove(key->sorted + at + 1, key->sorted + at, (count - at) * sizeof(double));
    key->sorted[at] = value;
}

static void take_out(struct key *key, double value)
{
    uint32_t count = key->head->sorted--, at = place_of(key->sorted, count, value);
    memmove(key->sorted + at, key->sorted + at + 1, (count - at - 1) * sizeof(double));
}

/* One goes and another comes: only what lies between them moves. */
static void replace(struct key *key, double old, double new)
{
    uint32_t count = key->head->sorted, from = place_of(key->sorted, count, old);
    uint32_t to = place_of(key->sorted, count, new);
    if (to > from) {
        to--;
        memmove(key->sorted + from, key->sorted + from + 1, (to - from) * sizeof(double));
    } else {
        memmove(key->sorted + to + 1, key->sorted + to, (from - to) * sizeof(double));
    }
    key->sorted[to] = new;
}

/* ---- Median and MAD -------------------------------------------------------------------------------------------- */

/* Of `count` values in order; NaN when there is none. */
static double median_of(const double *sorted, uint32_t count)
{
    if (!count)
        return NAN;
    return order_at(sorted, order_place(0.5, count));
}

/* Distances to the median, from the middle outwards: left(i) = median − sorted[half − 1 − i], right(j) = sorted[half +
 * j] − median. Of the `rank` + 1 smallest of both, `lefts` are on the left. */
/* MAD */
static double deviation_of(const double *sorted, uint32_t count, double median)
{
    if (!count || !isfinite(median))
        return NAN;
    const uint32_t half = count / 2, rank = (count - 1) / 2, right_count = count - half;
    const double *left = sorted + half - 1, *right = sorted + half;
    uint32_t low = rank + 1 > right_count ? rank + 1 - right_count : 0, high = half < rank + 1 ? half : rank + 1;
    while (low < high) {
        uint32_t lefts = (low + high) / 2;
        if (median - left[-(int64_t)lefts] < right[rank - lefts] - median)
            low = lefts + 1;
        else
            high = lefts;
    }
    const uint32_t lefts = low, rights = rank + 1 - low;
    double last = -1;
    if (lefts > 0)
        last = median - left[1 - (int64_t)lefts];
    if (rights > 0 && right[rights - 1] - median > last)
        last = right[rights - 1] - median;
    if (count % 2)
        return last;
    double next = INFINITY; /* the one after it: both are the middle of an even number */
    if (lefts < half)
        next = median - left[-(int64_t)lefts];
    if (rights < right_count && right[rights] - median < next)
        next = right[rights] - median;
    return order_between(last, next, 0.5);
}

/* ---- Records --------------------------------------------------------------------------------------------------- */

static double score(const struct key *key, double value)
{
    double median = median_of(key->sorted, key->head->sorted);
    double divisor = ROBUST_SCALE * deviation_of(key->sorted, key->head->sorted, median);
    return divisor > 0 && divisor < INFINITY ? (value - median) / divisor : NAN;
}

static uint32_t ring_slot(const struct robust_options *options, const struct robust_head *head, uint32_t i)
{
    uint32_t slot = head->begin + i;
    return slot >= options->records ? slot - options->records : slot;
}

/* The oldest record leaves. Returns its value. */
static double leave(const struct robust_options *options, struct key *key)
{
    double value = key->ring[key->head->begin];
    key->head->begin = ring_slot(options, key->head, 1);
    key->head->count--;
    return value;
}

static void come(const struct robust_options *options, struct key *key, double value)
{
    uint32_t slot = ring_slot(options, key->head, key->head->count++);
    key->ring[slot] = value;
    if (key->times)
        key->times[slot] = key->head->newest;
}

/* Moves the key's time on, and lets go of what is too old for it. */
static void advance(const struct robust_options *options, struct key *key, int64_t time)
{
    struct robust_head *head = key->head;
    for (uint32_t i = 0; i < head->count && !head->timed && time != INT64_MIN; i++)
        key->times[ring_slot(options, head, i)] = time; /* the first time of a key: those without one get it too */
    if (time != INT64_MIN && (!head->timed || time > head->newest)) {
        head->newest = time;
        head->timed = true;
    }
    while (head->count && (uint64_t)head->newest - (uint64_t)key->times[head->begin] >= (uint64_t)options->span) {
        double gone = leave(options, key);
        if (!isnan(gone))
            take_out(key, gone);
    }
}

static void take_in(const struct robust_options *options, struct key *key, double value, uint64_t *early)
{
    double gone = NAN;
    if (key->head->count == options->records) {
        gone = leave(options, key);
        *early += options->span != 0;
    }
    if (!isnan(gone) && !isnan(value))
        replace(key, gone, value);
    else if (!isnan(gone))
        take_out(key, gone);
    else if (!isnan(value))
        insert(key, value);
    come(options, key, value);
}

void robust_process(const struct robust_options *options, struct robust_rows *rows)
{
    for (uint32_t i = 0; i < rows->count; i++) {
        uint32_t row = rows->selection ? rows->selection[i] : i;
        struct key key = open_key(options, rows->states[i]);
        double value = rows->values[row];
        if (options->span)
            advance(options, &key, rows->times[row]);
        if (options->lag)
            rows->out[row] = score(&key, value);
        take_in(options, &key, value, &rows->early);
        if (!options->lag)
            rows->out[row] = score(&key, value);
    }
}
