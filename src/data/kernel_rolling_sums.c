/* SPDX-License-Identifier: MIT */
#include "data/kernel_rolling_sums.h"

#pragma GCC diagnostic ignored "-Wpsabi" /* no vector crosses a call: all is inlined */

enum { LANES = 4, BLOCK = 256 };

static double scale_for(double magnitude)
{
    if (magnitude == 0)
        return ldexp(1, ROLLING_EXPONENT_MOST); /* whatever comes is seen: it vanishes never, at worst it overflows */
    int exponent = isinf(magnitude) ? 1024 : ilogb(magnitude);
    if (exponent > ROLLING_EXPONENT_MOST)
        exponent = ROLLING_EXPONENT_MOST;
    if (exponent < -ROLLING_EXPONENT_MOST)
        exponent = -ROLLING_EXPONENT_MOST;
    return ldexp(1, -exponent);
}

/* All finite values are equal to this one. */
static void start_at(struct rolling_head *head, double value)
{
    head->scale = scale_for(fabs(value));
    head->anchor = value * head->scale;
    head->sum = head->sum_low = head->squares = head->peak = 0;
}

void rolling_sums_add(struct rolling_head *head, double value)
{
    if (head->finite == 1) {
        start_at(head, value);
        return;
    }
    double error, deviation = rolling_difference(value * head->scale, head->anchor, &error);
    rolling_sum_add(head, deviation, error);
    rolling_squares_add(head, deviation * deviation);
}

void rolling_sums_remove(struct rolling_head *head, double old)
{
    if (head->finite == 0) {
        head->scale = head->anchor = 0;
        head->sum = head->sum_low = head->squares = head->peak = 0;
        return;
    }
    double error, deviation = rolling_difference(old * head->scale, head->anchor, &error);
    rolling_sum_add(head, -deviation, -error);
    rolling_squares_add(head, -(deviation * deviation));
}

/* An infinity comes (1) or leaves (−1). */
static void count_infinite(struct rolling_head *head, struct rolling_infinite *infinite, double value, int change)
{
    if (!infinite) {
        head->odd = (uint16_t)(head->odd + (value > 0 ? change : 256 * change));
        return;
    }
    *(value > 0 ? &infinite->plus : &infinite->minus) += (uint32_t)change;
    head->odd = infinite->plus > 0 || infinite->minus > 0;
}

void rolling_replace_slowly(struct rolling_head *head, struct rolling_infinite *infinite, bool sums, double *slot,
                            double value)
{
    if (head->full) {
        double old = *slot;
        if (isfinite(old)) {
            head->finite--;
            if (sums)
                rolling_sums_remove(head, old);
        } else if (isinf(old)) {
            count_infinite(head, infinite, old, -1);
        }
    }
    if (isfinite(value)) {
        head->finite++;
        if (sums)
            rolling_sums_add(head, value);
    } else if (isinf(value)) {
        count_infinite(head, infinite, value, 1);
    }
    *slot = value;
}

double rolling_total(const struct rolling_head *head)
{
    /* The upper 24 bits of the anchor times a count of 29 bits are exact; what is left is small. */
    uint64_t bits;
    double high;
    memcpy(&bits, &head->anchor, sizeof(bits));
    bits &= ~UINT64_C(0x1fffffff);
    memcpy(&high, &bits, sizeof(high));
    double rest = (head->anchor - high) * head->finite, error;
    double total = rolling_difference(high * head->finite, -head->sum, &error);
    return total + ((rest + error) + head->sum_low);
}

void rolling_sums_some(const struct rolling_head *head, const struct rolling_moments *moments, uint32_t ddof,
                       double *sum, double *mean, double *var, double *stddev)
{
    *sum = *mean = *var = *stddev = NAN;
    if (head->finite == 0)
        return;
    double unscale = rolling_unscale(head);
    *sum = rolling_sum(head, unscale);
    *mean = rolling_mean(head, moments, unscale);
    if (head->finite <= ddof)
        return;
    double scaled = moments->squares / ((double)head->finite - ddof);
    *var = scaled * unscale * unscale;
    *stddev = sqrt(moments->squares * (1 / ((double)head->finite - ddof))) * unscale; /* as the fast kernels do it */
}

/* ---- Refresh ------------------------------------------------------------------------------------------------------
 */

/* The finite values of the ring, a block at a time: a piece of the ring itself, or a copy where others lie between. */
struct walk {
    const double *ring;
    uint32_t records, at;
    bool dense;
    double copy[BLOCK];
};

static void walk_start(struct walk *walk, const struct rolling_head *head, const double *ring, uint32_t records)
{
    walk->ring = ring;
    walk->records = records;
    walk->at = 0;
    walk->dense = head->finite == records;
}

static uint32_t walk_next(struct walk *walk, const double **ret)
{
    uint32_t size = walk->records - walk->at < BLOCK ? walk->records - walk->at : BLOCK, found = 0;
    const double *from = walk->ring + walk->at;
    walk->at += size;
    if (walk->dense) {
        *ret = from;
        return size;
    }
    for (uint32_t i = 0; i < size; i++) {
        walk->copy[found] = from[i];
        found += fabs(from[i]) <= DBL_MAX;
    }
    *ret = walk->copy;
    return found;
}

/* Four sums side by side. */
struct lanes {
    double sum[LANES], low[LANES], squares[LANES];
};
typedef double four __attribute__((vector_size(8 * LANES)));
typedef double four_loose __attribute__((vector_size(8 * LANES), aligned(8), may_alias));

static inline __attribute__((always_inline)) void add_lanes(struct lanes *lanes, const double *values, uint32_t count,
                                                            double scale, double anchor)
{
    four sum = *(const four_loose *)lanes->sum, low = *(const four_loose *)lanes->low;
    four squares = *(const four_loose *)lanes->squares;
    for (uint32_t i = 0; i < count; i += LANES) {
        four scaled = *(const four_loose *)(values + i) * scale, deviation = scaled - anchor;
        four back = deviation - scaled, error = (scaled - (deviation - back)) - (anchor + back);
        four total = sum + deviation;
        back = total - sum;
        low += ((sum - (total - back)) + (deviation - back)) + error;
        sum = total;
        squares += deviation * deviation;
    }
    *(four_loose *)lanes->sum = sum;
    *(four_loose *)lanes->low = low;
    *(four_loose *)lanes->squares = squares;
}

typedef void add_lanes_of(struct lanes *lanes, const double *values, uint32_t count, double scale, double anchor);

static void add_lanes_plain(struct lanes *lanes, const double *values, uint32_t count, double scale, double anchor)
{
    add_lanes(lanes, values, count, scale, anchor);
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static void add_lanes_avx2(struct lanes *lanes, const double *values, uint32_t count,
                                                           double scale, double anchor)
{
    add_lanes(lanes, values, count, scale, anchor);
}
#endif

static add_lanes_of *choose_add_lanes(void) /* the same operations, and so the same bits */
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2"))
        return add_lanes_avx2;
#endif
    return add_lanes_plain;
}

/* Sums with the anchor as it is. */
static void sum_up(struct rolling_head *head, struct walk *walk)
{
    struct lanes lanes = {.sum = {0}};
    const double scale = head->scale, anchor = head->anchor;
    const double *values;
    add_lanes_of *add = choose_add_lanes();
    while (walk->at < walk->records) {
        uint32_t count = walk_next(walk, &values), whole = count / LANES * LANES;
        add(&lanes, values, whole, scale, anchor);
        for (uint32_t l = 0; whole + l < count; l++) {
            double error, deviation = rolling_difference(values[whole + l] * scale, anchor, &error);
            double total = lanes.sum[l] + deviation, back = total - lanes.sum[l];
            lanes.low[l] += ((lanes.sum[l] - (total - back)) + (deviation - back)) + error;
            lanes.sum[l] = total;
            lanes.squares[l] += deviation * deviation;
        }
    }
    head->sum = lanes.sum[0];
    head->sum_low = lanes.low[0];
    for (int l = 1; l < LANES; l++)
        rolling_sum_add(head, lanes.sum[l], lanes.low[l]);
    head->squares = (lanes.squares[0] + lanes.squares[1]) + (lanes.squares[2] + lanes.squares[3]);
    head->peak = head->squares;
}

static void find_extent(struct walk *walk, double *ret_least, double *ret_most)
{
    double least[LANES], most[LANES];
    const double *values;
    for (int l = 0; l < LANES; l++) {
        least[l] = INFINITY;
        most[l] = -INFINITY;
    }
    while (walk->at < walk->records) {
        uint32_t count = walk_next(walk, &values), i = 0;
        for (; i + LANES <= count; i += LANES) {
            for (int l = 0; l < LANES; l++) {
                least[l] = values[i + l] < least[l] ? values[i + l] : least[l];
                most[l] = values[i + l] > most[l] ? values[i + l] : most[l];
            }
        }
        for (; i < count; i++) {
            least[0] = values[i] < least[0] ? values[i] : least[0];
            most[0] = values[i] > most[0] ? values[i] : most[0];
        }
    }
    for (int l = 1; l < LANES; l++) {
        least[0] = least[l] < least[0] ? least[l] : least[0];
        most[0] = most[l] > most[0] ? most[l] : most[0];
    }
    *ret_least = least[0];
    *ret_most = most[0];
}

static double nearest_to(double target, double scale, struct walk *walk)
{
    double best = 0, distance = INFINITY;
    const double *values;
    while (walk->at < walk->records) {
        uint32_t count = walk_next(walk, &values);
        for (uint32_t i = 0; i < count; i++) {
            double away = fabs(values[i] * scale - target);
            best = away < distance ? values[i] : best;
            distance = away < distance ? away : distance;
        }
    }
    return best;
}

/*
 * A good anchor is a value within a few standard deviations of the mean: then squares is not much more than the squares
 * about the mean. The newest value nearly always is one. When it is not, the value nearest to the mean is: no value
 * nearest to the mean is further from it than one standard deviation.
 */
void rolling_sums_refresh(struct rolling_head *head, const double *ring, uint32_t records, double near)
{
    struct walk walk;
    head->since = 0;
    if (head->finite == 0)
        return;
    if (fabs(near * head->scale) <= 0x1p200) { /* false for NaN too */
        head->anchor = near * head->scale;
        walk_start(&walk, head, ring, records);
        sum_up(head, &walk);
        struct rolling_moments moments = rolling_sums_moments(head);
        if (moments.squares >= 0.05 * head->squares && head->squares >= 1e-100 && head->squares <= 1e100 &&
            !rolling_sums_doubtful(head))
            return;
    }
    double least, most;
    walk_start(&walk, head, ring, records);
    find_extent(&walk, &least, &most);
    if (least == most) {
        start_at(head, least);
        return;
    }
    head->scale = scale_for(most - least);
    head->anchor = least * head->scale;
    walk_start(&walk, head, ring, records);
    sum_up(head, &walk);
    struct rolling_moments moments = rolling_sums_moments(head);
    walk_start(&walk, head, ring, records);
    head->anchor = nearest_to(head->anchor + moments.deviation, head->scale, &walk) * head->scale;
    walk_start(&walk, head, ring, records);
    sum_up(head, &walk);
}
