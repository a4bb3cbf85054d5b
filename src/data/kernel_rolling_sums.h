/* SPDX-License-Identifier: MIT */
/* Private to kernel_rolling*.c: the anchored, scaled, compensated sums of a window; see kernel_rolling.h for the idea. */
#ifndef DATA_KERNEL_ROLLING_SUMS_H
#define DATA_KERNEL_ROLLING_SUMS_H
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* One cache line; all zero: nothing seen yet. Sums are of the finite values in the ring. */
struct rolling_head {
    double sum, sum_low;   /* Σ(x·scale − anchor), as a double and what did not fit */
    double squares, peak;  /* Σ(x·scale − anchor)²; the largest it was since the refresh */
    double anchor, scale;  /* anchor = a value of the window · scale; scale a power of two, 0 when finite == 0 */
    uint32_t next;         /* slot of the ring that the next record takes */
    uint32_t finite;       /* finite values in the ring */
    uint32_t laps;         /* times the ring came round since the refresh */
    uint32_t full;         /* 1 once the ring was filled */
};

/* What the statistics are made of: deviation = sum / n, squares = Σ(x·scale − mean)². */
struct rolling_moments {
    double deviation, squares;
};

/* Above this the squares are too near to overflow. */
#define ROLLING_SQUARES_MOST 1e250
/* Squares that fell so far below their peak have lost too many digits. */
#define ROLLING_SQUARES_LOSS 1e-3
/* A mean so far below the anchor is worked out with more digits. */
#define ROLLING_MEAN_LOSS 0x1p-10

static inline double rolling_difference(double a, double b, double *error) /* a − b = result + error, exactly */
{
    double difference = a - b, back = difference - a;
    *error = (a - (difference - back)) - (b + back);
    return difference;
}

static inline void rolling_sum_add(struct rolling_head *head, double value, double error)
{
    double total = head->sum + value, back = total - head->sum;
    head->sum_low += ((head->sum - (total - back)) + (value - back)) + error;
    head->sum = total;
}

static inline void rolling_squares_add(struct rolling_head *head, double change)
{
    head->squares += change;
    head->peak = head->squares > head->peak ? head->squares : head->peak;
}

static inline void rolling_sums_replace(struct rolling_head *head, double old, double value)
{
    double error, scaled = value * head->scale, scaled_old = old * head->scale;
    double difference = rolling_difference(scaled, scaled_old, &error);
    rolling_sum_add(head, difference, error);
    rolling_squares_add(head, difference * ((scaled - head->anchor) + (scaled_old - head->anchor)));
}

/* 1 / scale, without a division. */
static inline double rolling_unscale(const struct rolling_head *head)
{
    uint64_t bits;
    double unscale;
    memcpy(&bits, &head->scale, sizeof(bits));
    bits = (UINT64_C(2046) << 52) - bits;
    memcpy(&unscale, &bits, sizeof(bits));
    return unscale;
}

static inline struct rolling_moments rolling_sums_moments(const struct rolling_head *head)
{
    double sum = head->sum + head->sum_low;
    double deviation = sum / head->finite;
    return (struct rolling_moments){.deviation = deviation, .squares = head->squares - sum * deviation};
}

/* True when digits were lost (or everything: NaN). Right after a refresh it is false but for rounding of the squares. */
static inline bool rolling_moments_doubtful(const struct rolling_head *head, const struct rolling_moments *moments)
{
    bool fine = (moments->squares >= head->peak * ROLLING_SQUARES_LOSS) & (head->peak <= ROLLING_SQUARES_MOST);
    return !fine & (head->finite > 0);
}

/* anchor · finite + sum with the digits of both sums, for when the two nearly cancel. */
double rolling_total(const struct rolling_head *head);

static inline double rolling_mean(const struct rolling_head *head, const struct rolling_moments *moments, double unscale)
{
    double mean = head->anchor + moments->deviation;
    if (__builtin_expect(fabs(mean) < fabs(head->anchor) * ROLLING_MEAN_LOSS, 0))
        mean = rolling_total(head) / head->finite;
    return mean * unscale;
}
static inline double rolling_sum(const struct rolling_head *head, double unscale)
{
    double shift = head->anchor * head->finite, total = shift + (head->sum + head->sum_low);
    if (__builtin_expect(fabs(total) < fabs(shift) * ROLLING_MEAN_LOSS, 0))
        total = rolling_total(head);
    return total * unscale;
}

/* All four when any number of values is finite; NaN where there are too few. */
void rolling_sums_some(const struct rolling_head *head, const struct rolling_moments *moments, uint32_t ddof, double *sum,
                       double *mean, double *var, double *stddev);

/* The caller has changed head->finite already: add: it counts the value; remove: it no longer does. */
void rolling_sums_add(struct rolling_head *head, double value);
void rolling_sums_remove(struct rolling_head *head, double old);

/* Makes the sums again from the `records` slots of the ring. `near`: the newest value, tried as anchor first. */
void rolling_sums_refresh(struct rolling_head *head, const double *ring, uint32_t records, double near);
#endif
