/* SPDX-License-Identifier: MIT */
/* Private to kernel_rolling*.c: the anchored, scaled, compensated sums of a window; see kernel_rolling.h for the idea.
 */
#ifndef DATA_KERNEL_ROLLING_SUMS_H
#define DATA_KERNEL_ROLLING_SUMS_H
#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* One cache line; all zero: nothing seen yet. Sums are of the finite values in the ring. */
struct rolling_head {
    double sum, sum_low;  /* Σ(x·scale − anchor), as a double and what did not fit */
    double squares, peak; /* Σ(x·scale − anchor)²; the largest it was since the refresh */
    double anchor, scale; /* anchor = a value of the window · scale; scale a power of two, 0 when finite == 0 */
    uint32_t next;        /* slot of the ring that the next record takes */
    uint32_t finite;      /* finite values in the ring */
    uint32_t since;       /* records since the refresh */
    uint16_t full;        /* 1 once the ring was filled */
    uint16_t odd;         /* not 0 while there are infinities in the ring */
};

/* The same of a short window, as it lies in memory: the numbers share eight bytes with the exponent of the scale.
 * Lowest bits first: next (8), finite (8), since (16), full (1), odd (16). */
struct rolling_compact {
    double sum, sum_low, squares, peak, anchor;
    uint64_t rest;
};
enum { ROLLING_FINITE_AT = 8, ROLLING_SINCE_AT = 16, ROLLING_FULL_AT = 32, ROLLING_ODD_AT = 33 };
#define ROLLING_SCALE_BITS (UINT64_C(0x7ff) << 52)
/* Exponents are kept so far from the ends that scale and 1 / scale are both ordinary numbers. */
enum { ROLLING_EXPONENT_MOST = 1000 };

static inline void rolling_unpack(const struct rolling_compact *compact, struct rolling_head *head)
{
    const uint64_t rest = compact->rest, scale = rest & ROLLING_SCALE_BITS;
    memcpy(head, compact, offsetof(struct rolling_compact, rest));
    memcpy(&head->scale, &scale, sizeof(scale));
    head->next = rest & 0xff;
    head->finite = rest >> ROLLING_FINITE_AT & 0xff;
    head->since = rest >> ROLLING_SINCE_AT & 0xffff;
    head->full = rest >> ROLLING_FULL_AT & 1;
    head->odd = rest >> ROLLING_ODD_AT & 0xffff;
}

static inline void rolling_pack(const struct rolling_head *head, struct rolling_compact *compact)
{
    uint64_t rest;
    memcpy(&rest, &head->scale, sizeof(rest));
    rest |= head->next | (uint64_t)head->finite << ROLLING_FINITE_AT | (uint64_t)head->since << ROLLING_SINCE_AT;
    rest |= (uint64_t)head->full << ROLLING_FULL_AT | (uint64_t)head->odd << ROLLING_ODD_AT;
    memcpy(compact, head, offsetof(struct rolling_compact, rest));
    compact->rest = rest;
}

static inline size_t rolling_head_size(bool compact)
{
    return compact ? sizeof(struct rolling_compact) : sizeof(struct rolling_head);
}

/* The head of a state: where it lies, or a copy in `space`, which rolling_close brings back. */
static inline struct rolling_head *rolling_open(bool compact, char *base, struct rolling_head *space)
{
    if (!compact)
        return (void *)base;
    rolling_unpack((void *)base, space);
    return space;
}

static inline void rolling_close(bool compact, char *base, const struct rolling_head *space)
{
    if (compact)
        rolling_pack(space, (void *)base);
}

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

/* True when digits were lost (or everything: NaN). Right after a refresh it is false but for rounding of the squares.
 * Both sides are multiplied by the count, which saves a division. */
static inline bool rolling_sums_doubtful(const struct rolling_head *head)
{
    double sum = head->sum + head->sum_low, count = head->finite;
    bool fine = (head->squares * count - sum * sum >= head->peak * count * ROLLING_SQUARES_LOSS) &
                (head->peak <= ROLLING_SQUARES_MOST);
    return !fine & (head->finite > 0);
}

/* anchor · finite + sum with the digits of both sums, for when the two nearly cancel. */
double rolling_total(const struct rolling_head *head);

static inline double rolling_mean(const struct rolling_head *head, const struct rolling_moments *moments,
                                  double unscale)
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
void rolling_sums_some(const struct rolling_head *head, const struct rolling_moments *moments, uint32_t ddof,
                       double *sum, double *mean, double *var, double *stddev);

/* How many infinities are in the ring: kept apart, so that the sums stay finite. NULL stands for those of a short
 * window, for which `odd` has room: plus, and 256 times minus. */
struct rolling_infinite {
    uint32_t plus, minus;
};
enum { ROLLING_ODD_MOST = 255 }; /* the longest window that is short; next and finite have room for it too */

static inline struct rolling_infinite rolling_infinite_of(const struct rolling_head *head,
                                                          const struct rolling_infinite *infinite)
{
    return infinite ? *infinite : (struct rolling_infinite){head->odd % 256, head->odd / 256};
}

/* The value in the place of a sum or mean when there are infinities in the window; NaN when there are none. */
static inline double rolling_infinite_mean(struct rolling_infinite infinite)
{
    if (infinite.plus > 0 && infinite.minus == 0)
        return INFINITY;
    return infinite.minus > 0 && infinite.plus == 0 ? -INFINITY : NAN;
}

/* Puts the value into the slot when this one, or the one that was there, is not a finite number or the ring is still
 * filling. Without `sums` only the counts are kept. */
void rolling_replace_slowly(struct rolling_head *head, struct rolling_infinite *infinite, bool sums, double *slot,
                            double value);

/* Takes in one record: puts it in the place of the oldest, keeps the sums right, refreshes them when it is time. */
static inline void rolling_take(struct rolling_head *head, double *ring, uint32_t window, uint32_t refresh_records,
                                struct rolling_infinite *infinite, double value);

/* The caller has changed head->finite already: add: it counts the value; remove: it no longer does. */
void rolling_sums_add(struct rolling_head *head, double value);
void rolling_sums_remove(struct rolling_head *head, double old);

/* Makes the sums again from the `records` slots of the ring. `near`: the newest value, tried as anchor first. */
void rolling_sums_refresh(struct rolling_head *head, const double *ring, uint32_t records, double near);

static inline void rolling_take(struct rolling_head *head, double *ring, uint32_t window, uint32_t refresh_records,
                                struct rolling_infinite *infinite, double value)
{
    double *slot = ring + head->next;
    if (__builtin_expect(head->finite == window && fabs(value) <= DBL_MAX, 1)) {
        rolling_sums_replace(head, *slot, value);
        *slot = value;
    } else {
        rolling_replace_slowly(head, infinite, true, slot, value);
    }
    if (++head->next == window) {
        head->next = 0;
        head->full = 1;
    }
    bool stale = ++head->since >= refresh_records;
    if (__builtin_expect(stale | rolling_sums_doubtful(head), 0))
        rolling_sums_refresh(head, ring, head->full ? window : head->next, value);
}

/* ---- kernel_rolling_moments.c: the kernels for sums alone; rows of states as kernel_rolling.h has them -------------
 */

struct rolling_kernel;
struct rolling_rows;
typedef void rolling_process(const struct rolling_kernel *kernel, const struct rolling_rows *rows);
/* The fastest on this machine for count, sum, mean, var and stddev, in any combination. */
rolling_process *rolling_moments_choose(uint32_t statistics);

/* ---- kernel_rolling_column.c: the same statistics of a column without keys ------------------------------------------
 */

struct rolling_options;
struct rolling_work;
typedef bool rolling_column_work(struct rolling_work *work, uint32_t whole, uint32_t padded, uint32_t asked);
/* The fastest for these options; NULL: there is none. */
rolling_column_work *rolling_column_choose(const struct rolling_options *options);
rolling_process rolling_column_process; /* rows with a column, of a kernel that has a column_work */
#endif
