/* SPDX-License-Identifier: MIT */
#include "data/kernel_rolling.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <string.h>

#include "data/kernel_rolling_sums.h"

/* Up to this window min and max look at every value: faster than keeping suffixes, and no memory. */
enum { SCAN_MOST = 16 };
/* A refresh of a short window is spread over at least so many records. */
enum { REFRESH_RECORDS = 1024 };
/* How far ahead of the row in work the memory of a state is asked for: first its head, then the place in its ring. */
enum { PREFETCH_HEAD = 16, PREFETCH_RING = 8 };

#define ASKED(statistic) (1u << (statistic))
#define ASKED_SUMS (ASKED(ROLLING_SUM) | ASKED(ROLLING_MEAN) | ASKED(ROLLING_VAR) | ASKED(ROLLING_STDDEV))
#define ASKED_ENDS (ASKED(ROLLING_FIRST) | ASKED(ROLLING_LAST) | ASKED(ROLLING_DELTA))

const char *const rolling_statistic_names[] = {"count", "sum", "mean",  "var",  "stddev", "min",
                                               "max",   "first", "last", "delta", NULL};

/* What only some kernels need; at the end of the state, as long as needed (see rolling_kernel_init). */
struct tail {
    uint32_t plus_infinite, minus_infinite;
    /* up to here always; from here with min, max: */
    double least, most; /* of the values since the ring came round last */
    /* from here with first, last, delta, step or lag: */
    uint32_t first, last; /* slots of the oldest and newest value, when there is one */
    uint32_t since;       /* records since the window moved */
    uint32_t unused;
    double held[ROLLING_STATISTICS]; /* step and lag: the statistics as they stand */
};

/* One key's state while its rows are worked on. */
struct key {
    struct rolling_head *head;
    double *ring;
    struct tail *tail;
};

static struct key key_of(const struct rolling_kernel *kernel, void *state)
{
    char *base = (char *)state + kernel->state_offset;
    return (struct key){
        .head = (struct rolling_head *)base,
        .ring = (double *)(base + sizeof(struct rolling_head)),
        .tail = (struct tail *)(base + kernel->tail),
    };
}

static inline uint32_t records_in(const struct rolling_kernel *kernel, const struct rolling_head *head)
{
    return head->full ? kernel->options.window : head->next;
}

/* ---- Taking in a record ------------------------------------------------------------------------------------------ */

/* The record that goes or the one that comes is not a finite number, or the ring is still filling. */
static __attribute__((noinline)) void replace_slowly(struct rolling_head *head, struct tail *tail, bool sums, double *slot,
                                                     double value)
{
    if (head->full) {
        double old = *slot;
        if (isfinite(old)) {
            head->finite--;
            if (sums)
                rolling_sums_remove(head, old);
        } else if (isinf(old)) {
            *(old > 0 ? &tail->plus_infinite : &tail->minus_infinite) -= 1;
        }
    }
    if (isfinite(value)) {
        head->finite++;
        if (sums)
            rolling_sums_add(head, value);
    } else if (isinf(value)) {
        *(value > 0 ? &tail->plus_infinite : &tail->minus_infinite) += 1;
    }
    *slot = value;
}

/* Puts the value in the place of the oldest and keeps the sums right. Returns them as they stand. */
static inline __attribute__((always_inline)) struct rolling_moments
take(const struct rolling_kernel *kernel, struct rolling_head *head, double *ring, struct tail *tail, double value,
     const bool sums)
{
    const uint32_t window = kernel->options.window;
    double *slot = ring + head->next;
    if (__builtin_expect(head->finite == window && fabs(value) <= DBL_MAX, 1)) {
        if (sums)
            rolling_sums_replace(head, *slot, value);
        *slot = value;
    } else {
        struct rolling_head copy = *head; /* so that the caller's can stay in registers */
        replace_slowly(&copy, tail, sums, slot, value);
        *head = copy;
    }
    bool stale = false;
    if (++head->next == window) {
        head->next = 0;
        head->full = 1;
        stale = ++head->laps >= kernel->refresh_laps;
    }
    struct rolling_moments moments = {0, 0};
    if (sums) {
        moments = rolling_sums_moments(head);
        if (__builtin_expect(stale | rolling_moments_doubtful(head, &moments), 0)) {
            struct rolling_head copy = *head;
            rolling_sums_refresh(&copy, ring, records_in(kernel, &copy), value);
            *head = copy;
            moments = rolling_sums_moments(head);
        }
    }
    return moments;
}

/* Null in the place of a sum or mean that has no value: nothing in the window, or infinities in it. */
static double infinite_or_null(const struct tail *tail)
{
    if (tail->plus_infinite > 0 && tail->minus_infinite == 0)
        return INFINITY;
    if (tail->minus_infinite > 0 && tail->plus_infinite == 0)
        return -INFINITY;
    return NAN;
}

/* ---- Kernels for sums alone: no step, no lag --------------------------------------------------------------------- */

static inline __attribute__((always_inline)) void
write_sums(const struct rolling_kernel *kernel, const struct rolling_head *head, const struct tail *tail,
           struct rolling_moments moments, const struct rolling_rows *rows, uint32_t row, const uint32_t asked)
{
    double sum, mean, var, stddev;
    if (__builtin_expect(head->finite == records_in(kernel, head), 1)) {
        double divisor = (double)head->finite - kernel->options.ddof;
        double unscale = rolling_unscale(head);
        sum = rolling_sum(head, unscale);
        mean = rolling_mean(head, &moments, unscale);
        double scaled = divisor > 0 ? moments.squares / divisor : NAN;
        var = scaled * unscale * unscale;
        stddev = sqrt(scaled) * unscale;
    } else {
        rolling_sums_some(head, &moments, kernel->options.ddof, &sum, &mean, &var, &stddev);
        if (tail->plus_infinite | tail->minus_infinite) {
            sum = mean = infinite_or_null(tail);
            var = stddev = NAN;
        }
    }
    if (asked & ASKED(ROLLING_COUNT))
        ((int64_t *)rows->columns[ROLLING_COUNT])[row] =
            (int64_t)head->finite + tail->plus_infinite + tail->minus_infinite;
    if (asked & ASKED(ROLLING_SUM))
        ((double *)rows->columns[ROLLING_SUM])[row] = sum;
    if (asked & ASKED(ROLLING_MEAN))
        ((double *)rows->columns[ROLLING_MEAN])[row] = mean;
    if (asked & ASKED(ROLLING_VAR))
        ((double *)rows->columns[ROLLING_VAR])[row] = var;
    if (asked & ASKED(ROLLING_STDDEV))
        ((double *)rows->columns[ROLLING_STDDEV])[row] = stddev;
}

/* Whether it pays to fetch ahead: a guess. */
static bool scattered(const struct rolling_rows *rows)
{
    return rows->count > 2 && (rows->states[0] != rows->states[rows->count / 2] || rows->states[0] != rows->states[1]);
}

static inline void prefetch(const struct rolling_kernel *kernel, const struct rolling_rows *rows, uint32_t i)
{
    if (i + PREFETCH_HEAD < rows->count)
        __builtin_prefetch((char *)rows->states[i + PREFETCH_HEAD] + kernel->state_offset, 1);
    if (i + PREFETCH_RING < rows->count) {
        struct key key = key_of(kernel, rows->states[i + PREFETCH_RING]);
        __builtin_prefetch((char *)(key.head + 1) - 1, 1); /* a head seldom begins where a cache line does */
        __builtin_prefetch(key.ring + key.head->next, 1);
    }
}

/* Rows of one key that follow each other are worked on with the head in registers. */
static inline __attribute__((always_inline)) void sums_process(const struct rolling_kernel *kernel,
                                                               const struct rolling_rows *rows, const uint32_t asked)
{
    const bool fetch_ahead = scattered(rows);
    for (uint32_t i = 0; i < rows->count;) {
        void *state = rows->states[i];
        struct key key = key_of(kernel, state);
        struct rolling_head head = *key.head;
        do {
            if (fetch_ahead)
                prefetch(kernel, rows, i);
            uint32_t row = rows->selection ? rows->selection[i] : i;
            struct rolling_moments moments = take(kernel, &head, key.ring, key.tail, rows->values[row], true);
            write_sums(kernel, &head, key.tail, moments, rows, row, asked);
        } while (++i < rows->count && rows->states[i] == state);
        *key.head = head;
    }
}

static void process_mean(const struct rolling_kernel *kernel, const struct rolling_rows *rows)
{
    sums_process(kernel, rows, ASKED(ROLLING_MEAN));
}

static void process_mean_stddev(const struct rolling_kernel *kernel, const struct rolling_rows *rows)
{
    sums_process(kernel, rows, ASKED(ROLLING_MEAN) | ASKED(ROLLING_STDDEV));
}

static void process_sums(const struct rolling_kernel *kernel, const struct rolling_rows *rows)
{
    sums_process(kernel, rows, kernel->options.statistics);
}

/* ---- Min and max ------------------------------------------------------------------------------------------------- */

static inline double lesser(double a, double b, const int sign) /* NaN in a is passed over; sign -1: greater */
{
    return sign > 0 ? (a < b ? a : b) : (a > b ? a : b);
}

static inline double scan(const double *values, uint32_t count, const int sign)
{
    double best = sign * INFINITY;
    for (uint32_t i = 0; i < count; i++)
        best = lesser(values[i], best, sign);
    return best;
}

/*
 * Long windows. The ring is cut where it wraps: slots before `next` are newer, one value (`since`) stands for them; the
 * older ones from `next` on have their suffixes: suffix[i] is the extreme of slots i … window − 1 of the last round.
 * Two comparisons for a record, and one more when the ring comes round and the suffixes are made afresh.
 * Called when `value` is in its slot and before `next` moves on.
 */
static inline double extreme(const struct rolling_head *head, uint32_t window, const double *ring, double *suffix,
                             double *since, double value, const int sign)
{
    uint32_t slot = head->next;
    double recent = lesser(value, slot == 0 ? sign * INFINITY : *since, sign);
    *since = recent;
    if (slot + 1 < window)
        return head->full ? lesser(suffix[slot + 1], recent, sign) : recent;
    double best = sign * INFINITY;
    for (uint32_t i = window; i-- > 0;)
        suffix[i] = best = lesser(ring[i], best, sign);
    return recent;
}

struct extremes {
    double least, most; /* +inf, −inf: there may be no value at all */
};

static inline __attribute__((always_inline)) struct extremes
take_extremes(const struct rolling_kernel *kernel, struct rolling_head *head, const struct key *key, double value,
              const uint32_t asked)
{
    const uint32_t window = kernel->options.window;
    struct extremes extremes = {INFINITY, -INFINITY};
    if (window <= SCAN_MOST) {
        uint32_t count = head->full || head->next + 1 == window ? window : head->next + 1;
        if (asked & ASKED(ROLLING_MIN))
            extremes.least = scan(key->ring, count, 1);
        if (asked & ASKED(ROLLING_MAX))
            extremes.most = scan(key->ring, count, -1);
        return extremes;
    }
    char *base = (char *)key->head;
    if (asked & ASKED(ROLLING_MIN))
        extremes.least = extreme(head, window, key->ring, (double *)(base + kernel->suffix_min), &key->tail->least, value, 1);
    if (asked & ASKED(ROLLING_MAX))
        extremes.most = extreme(head, window, key->ring, (double *)(base + kernel->suffix_max), &key->tail->most, value, -1);
    return extremes;
}

static inline __attribute__((always_inline)) void extreme_process(const struct rolling_kernel *kernel,
                                                                  const struct rolling_rows *rows, const uint32_t asked)
{
    const uint32_t window = kernel->options.window;
    const bool fetch_ahead = scattered(rows);
    for (uint32_t i = 0; i < rows->count;) {
        void *state = rows->states[i];
        struct key key = key_of(kernel, state);
        struct rolling_head head = *key.head;
        do {
            if (fetch_ahead)
                prefetch(kernel, rows, i);
            uint32_t row = rows->selection ? rows->selection[i] : i;
            double value = rows->values[row];
            double *slot = key.ring + head.next;
            if (__builtin_expect(head.finite == window && fabs(value) <= DBL_MAX, 1)) {
                *slot = value;
            } else {
                struct rolling_head copy = head;
                replace_slowly(&copy, key.tail, false, slot, value);
                head = copy;
            }
            struct extremes extremes = take_extremes(kernel, &head, &key, value, asked);
            bool none = head.finite == 0 && !(key.tail->plus_infinite | key.tail->minus_infinite);
            if (++head.next == window) {
                head.next = 0;
                head.full = 1;
            }
            if (asked & ASKED(ROLLING_MIN))
                ((double *)rows->columns[ROLLING_MIN])[row] = none ? NAN : extremes.least;
            if (asked & ASKED(ROLLING_MAX))
                ((double *)rows->columns[ROLLING_MAX])[row] = none ? NAN : extremes.most;
        } while (++i < rows->count && rows->states[i] == state);
        *key.head = head;
    }
}

static void process_min(const struct rolling_kernel *kernel, const struct rolling_rows *rows)
{
    extreme_process(kernel, rows, ASKED(ROLLING_MIN));
}

static void process_max(const struct rolling_kernel *kernel, const struct rolling_rows *rows)
{
    extreme_process(kernel, rows, ASKED(ROLLING_MAX));
}

static void process_min_max(const struct rolling_kernel *kernel, const struct rolling_rows *rows)
{
    extreme_process(kernel, rows, ASKED(ROLLING_MIN) | ASKED(ROLLING_MAX));
}

/* ---- Everything together ------------------------------------------------------------------------------------------ */

/* Finds the oldest and newest value again. `left`: the value that was in the slot (NaN: none); next still points there. */
static void take_ends(struct rolling_head *head, const struct key *key, uint32_t window, double left, double value)
{
    struct tail *tail = key->tail;
    uint32_t slot = head->next, values = head->finite + tail->plus_infinite + tail->minus_infinite;
    if (values == 0)
        return;
    if (!isnan(value))
        tail->last = slot;
    if (values == 1 && !isnan(value)) {
        tail->first = slot;
    } else if (!isnan(left) && tail->first == slot) {
        uint32_t first = slot; /* each slot is passed over once in a round: O(1) for a record */
        do {
            first = first + 1 == window ? 0 : first + 1;
        } while (isnan(key->ring[first]));
        tail->first = first;
    }
}

static void set_ends(double result[ROLLING_STATISTICS], double first, double last)
{
    result[ROLLING_FIRST] = first;
    result[ROLLING_LAST] = last;
    result[ROLLING_DELTA] = last - first;
}

/* Takes in one record and leaves the statistics in result[]; those not asked for are undefined. */
static void take_all(const struct rolling_kernel *kernel, const struct key *key, double value,
                     double result[ROLLING_STATISTICS])
{
    const uint32_t asked = kernel->options.statistics;
    struct rolling_head *head = key->head;
    struct tail *tail = key->tail;
    struct rolling_head before = *head;
    double left = head->full ? key->ring[head->next] : NAN;
    struct rolling_moments moments = take(kernel, head, key->ring, tail, value, (asked & ASKED_SUMS) != 0);
    uint64_t values = (uint64_t)head->finite + tail->plus_infinite + tail->minus_infinite;

    before.finite = head->finite; /* min, max and the ends look at the slot just written as the one in work */
    struct extremes extremes = take_extremes(kernel, &before, key, value, asked);
    if (asked & ASKED_ENDS)
        take_ends(&before, key, kernel->options.window, left, value);
    result[ROLLING_COUNT] = (double)values;
    rolling_sums_some(head, &moments, kernel->options.ddof, &result[ROLLING_SUM], &result[ROLLING_MEAN],
                      &result[ROLLING_VAR], &result[ROLLING_STDDEV]);
    if (tail->plus_infinite | tail->minus_infinite) {
        result[ROLLING_SUM] = result[ROLLING_MEAN] = infinite_or_null(tail);
        result[ROLLING_VAR] = result[ROLLING_STDDEV] = NAN;
    }
    result[ROLLING_MIN] = values ? extremes.least : NAN;
    result[ROLLING_MAX] = values ? extremes.most : NAN;
    set_ends(result, NAN, NAN);
    if (values && (asked & ASKED_ENDS))
        set_ends(result, key->ring[tail->first], key->ring[tail->last]);
}

/* The same by walking over the window: nothing is remembered but the values themselves. */
static void recompute_all(const struct rolling_kernel *kernel, const struct rolling_head *head, const double *ring,
                          double result[ROLLING_STATISTICS])
{
    const uint32_t window = kernel->options.window, records = records_in(kernel, head);
    uint32_t oldest = head->full ? head->next : 0, values = 0;
    long double sum = 0, squares = 0;
    double least = INFINITY, most = -INFINITY;
    set_ends(result, NAN, NAN);
    for (uint32_t i = 0, slot = oldest; i < records; i++, slot = slot + 1 == window ? 0 : slot + 1) {
        double value = ring[slot];
        if (isnan(value))
            continue;
        set_ends(result, values++ ? result[ROLLING_FIRST] : value, value);
        sum += value;
        least = lesser(value, least, 1);
        most = lesser(value, most, -1);
    }
    long double mean = sum / values; /* 0 / 0 is NaN: null */
    for (uint32_t i = 0; i < records; i++) {
        if (!isnan(ring[i]))
            squares += (ring[i] - mean) * (ring[i] - mean); /* long double: no square overflows */
    }
    long double var = values > kernel->options.ddof ? squares / (values - kernel->options.ddof) : (long double)NAN;
    result[ROLLING_COUNT] = values;
    result[ROLLING_SUM] = values ? (double)sum : NAN;
    result[ROLLING_MEAN] = (double)mean;
    result[ROLLING_VAR] = isfinite((double)mean) || isfinite(sum) ? (double)var : NAN;
    result[ROLLING_STDDEV] = isfinite((double)mean) || isfinite(sum) ? (double)sqrtl(var) : NAN;
    result[ROLLING_MIN] = values ? least : NAN;
    result[ROLLING_MAX] = values ? most : NAN;
}

static void write_all(const struct rolling_kernel *kernel, const struct rolling_rows *rows, uint32_t row,
                      const double result[ROLLING_STATISTICS])
{
    for (unsigned s = 0; s < ROLLING_STATISTICS; s++) {
        if (!(kernel->options.statistics & ASKED(s)))
            continue;
        if (s == ROLLING_COUNT)
            ((int64_t *)rows->columns[s])[row] = isnan(result[s]) ? INT64_MIN : (int64_t)result[s];
        else
            ((double *)rows->columns[s])[row] = result[s];
    }
}

/* A record comes: brings the statistics in held[] up to date, if this record moves the window. */
static void advance(const struct rolling_kernel *kernel, const struct key *key, double value, double *held)
{
    struct rolling_head *head = key->head;
    bool was_full = head->full, hold = false;
    if (was_full && kernel->options.step > 1) {
        hold = ++key->tail->since < kernel->options.step;
        if (!hold)
            key->tail->since = 0;
    }
    double result[ROLLING_STATISTICS];
    if (kernel->options.recompute) {
        key->ring[head->next] = value;
        if (++head->next == kernel->options.window) {
            head->next = 0;
            head->full = 1;
        }
        if (!hold)
            recompute_all(kernel, head, key->ring, result);
    } else {
        take_all(kernel, key, value, result);
    }
    if (!hold)
        memcpy(held, result, sizeof(result));
}

static void process_any(const struct rolling_kernel *kernel, const struct rolling_rows *rows)
{
    const bool keeps = kernel->options.lag || kernel->options.step > 1;
    double scratch[ROLLING_STATISTICS], nulls[ROLLING_STATISTICS];
    for (unsigned s = 0; s < ROLLING_STATISTICS; s++)
        nulls[s] = NAN;
    for (uint32_t i = 0; i < rows->count; i++) {
        prefetch(kernel, rows, i);
        uint32_t row = rows->selection ? rows->selection[i] : i;
        struct key key = key_of(kernel, rows->states[i]);
        double *held = keeps ? key.tail->held : scratch;
        if (kernel->options.lag)
            write_all(kernel, rows, row, key.head->full || key.head->next > 0 ? held : nulls);
        advance(kernel, &key, rows->values[row], held);
        if (!kernel->options.lag)
            write_all(kernel, rows, row, held);
    }
}

/* ---- Choosing ----------------------------------------------------------------------------------------------------- */

int rolling_kernel_init(struct rolling_kernel *kernel, const struct rolling_options *options, size_t state_offset)
{
    const uint32_t asked = options->statistics;
    if (options->window < 1 || options->window > ROLLING_WINDOW_MOST || state_offset % 8 != 0 || asked == 0 ||
        asked >= ASKED(ROLLING_STATISTICS))
        return -EINVAL;
    *kernel = (struct rolling_kernel){.options = *options, .state_offset = state_offset};
    bool keeps = options->lag || options->step > 1;
    size_t ring = sizeof(double) * options->window, end = sizeof(struct rolling_head) + ring;
    bool suffixes = options->window > SCAN_MOST && !options->recompute;
    if (suffixes && (asked & ASKED(ROLLING_MIN))) {
        kernel->suffix_min = end;
        end += ring;
    }
    if (suffixes && (asked & ASKED(ROLLING_MAX))) {
        kernel->suffix_max = end;
        end += ring;
    }
    kernel->tail = end;
    if (keeps)
        end += sizeof(struct tail);
    else if (asked & ASKED_ENDS)
        end += offsetof(struct tail, since);
    else if (kernel->suffix_min || kernel->suffix_max)
        end += offsetof(struct tail, first);
    else
        end += offsetof(struct tail, least);
    kernel->state_size = end;
    kernel->refresh_laps = (REFRESH_RECORDS + options->window - 1) / options->window;

    if (keeps || options->recompute || (asked & ASKED_ENDS))
        kernel->process = process_any;
    else if (asked == ASKED(ROLLING_MEAN))
        kernel->process = process_mean;
    else if (asked == (ASKED(ROLLING_MEAN) | ASKED(ROLLING_STDDEV)))
        kernel->process = process_mean_stddev;
    else if (!(asked & (ASKED(ROLLING_MIN) | ASKED(ROLLING_MAX))))
        kernel->process = process_sums;
    else if (asked == ASKED(ROLLING_MIN))
        kernel->process = process_min;
    else if (asked == ASKED(ROLLING_MAX))
        kernel->process = process_max;
    else if (asked == (ASKED(ROLLING_MIN) | ASKED(ROLLING_MAX)))
        kernel->process = process_min_max;
    else
        kernel->process = process_any;
    return 0;
}

void rolling_kernel_process(const struct rolling_kernel *kernel, const struct rolling_rows *rows)
{
    kernel->process(kernel, rows);
}
