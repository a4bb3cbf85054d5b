/* SPDX-License-Identifier: MIT */
#include "data/kernel_rolling.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "data/kernel_rolling_fetch.h"
#include "data/kernel_rolling_sums.h"

/* Up to this window min and max look at every value: faster than keeping suffixes, and no memory. */
enum { SCAN_MOST = 16 };
/* A column without keys: so many rows at a time; worth it from so many windows in a batch. */
enum { COLUMN_CHUNK = 256, COLUMN_WINDOWS = 4 };
/* Sums are made afresh after so many rounds of the ring, and after so many records at least: a walk over the window is
 * then a small part of the work, and rounding errors have no time to add up. */
enum { REFRESH_LAPS = 4, REFRESH_RECORDS = 1024 };
enum { ROLLING_LINE = 64, ROLLING_PADDING_SHARE = 15 }; /* one in so many bytes at most */

#define ASKED(statistic) (1u << (statistic))
#define ASKED_SUMS (ASKED(ROLLING_SUM) | ASKED(ROLLING_MEAN) | ASKED(ROLLING_VAR) | ASKED(ROLLING_STDDEV))
#define ASKED_ENDS (ASKED(ROLLING_FIRST) | ASKED(ROLLING_LAST) | ASKED(ROLLING_DELTA))

const char *const rolling_statistic_names[] = {"count", "sum",   "mean", "var",   "stddev", "min",
                                               "max",   "first", "last", "delta", NULL};

/* What only some kernels need; at the end of the state, as long as needed (see rolling_kernel_init). */
struct tail {
    struct rolling_infinite infinite;
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

static inline __attribute__((always_inline)) struct extremes take_extremes(const struct rolling_kernel *kernel,
                                                                           struct rolling_head *head,
                                                                           const struct key *key, double value,
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
        extremes.least = extreme(head, window, key->ring, (double *)(base + kernel->suffix_min), &key->tail->least,
                                 value, 1);
    if (asked & ASKED(ROLLING_MAX))
        extremes.most = extreme(head, window, key->ring, (double *)(base + kernel->suffix_max), &key->tail->most, value,
                                -1);
    return extremes;
}

static inline __attribute__((always_inline)) void extreme_process(const struct rolling_kernel *kernel,
                                                                  const struct rolling_rows *rows, const uint32_t asked)
{
    const uint32_t window = kernel->options.window;
    const bool fetch_ahead = rolling_scattered(rows);
    for (uint32_t i = 0; i < rows->count; i++) {
        struct key key = key_of(kernel, rows->states[i]);
        struct rolling_head *head = key.head;
        if (fetch_ahead)
            rolling_prefetch(kernel, rows, i);
        uint32_t row = rows->selection ? rows->selection[i] : i;
        double value = rows->values[row];
        double *slot = key.ring + head->next;
        if (__builtin_expect(head->finite == window && fabs(value) <= DBL_MAX, 1))
            *slot = value;
        else
            rolling_replace_slowly(head, &key.tail->infinite, false, slot, value);
        struct extremes extremes = take_extremes(kernel, head, &key, value, asked);
        bool none = head->finite == 0 && !head->odd;
        if (++head->next == window) {
            head->next = 0;
            head->full = 1;
        }
        if (asked & ASKED(ROLLING_MIN))
            ((double *)rows->columns[ROLLING_MIN])[row] = none ? NAN : extremes.least;
        if (asked & ASKED(ROLLING_MAX))
            ((double *)rows->columns[ROLLING_MAX])[row] = none ? NAN : extremes.most;
    }
}

/* The extreme of `window` values that end at each of `count`: of two of them, then of four and so on, side by side. The
 * window − 1 values before the first are there. */
static inline void extremes_of_column(const double *values, uint32_t count, uint32_t window, double *out,
                                      const int sign)
{
    double best[COLUMN_CHUNK + SCAN_MOST];
    for (uint32_t begin = 0, size; begin < count; begin += size) {
        size = count - begin < COLUMN_CHUNK ? count - begin : COLUMN_CHUNK;
        const uint32_t end = size + window - 1;
        memcpy(best, values + begin + 1 - window, end * sizeof(double));
        for (uint32_t width = 1, step; width < window; width += step) {
            step = width < window - width ? width : window - width;
            for (uint32_t i = 0; i < end - step; i++) /* best[i]: of `width` values from i on */
                best[i] = lesser(best[i + step], best[i], sign);
        }
        memcpy(out + begin, best, size * sizeof(double));
    }
}

/* A column without keys, of finite numbers: the batch itself has the windows of all rows but the first few. */
static inline __attribute__((always_inline)) void extreme_or_column(const struct rolling_kernel *kernel,
                                                                    const struct rolling_rows *rows,
                                                                    enum rolling_statistic statistic, const int sign)
{
    const uint32_t window = kernel->options.window;
    uint32_t odd = !rows->column || rows->selection || window > SCAN_MOST || rows->count < COLUMN_WINDOWS * window;
    for (uint32_t i = 0; !odd && i < rows->count; i += COLUMN_CHUNK) {
        uint32_t size = rows->count - i < COLUMN_CHUNK ? rows->count - i : COLUMN_CHUNK;
        for (uint32_t k = i; k < i + size; k++)
            odd |= !(fabs(rows->values[k]) <= DBL_MAX);
    }
    if (odd) {
        extreme_process(kernel, rows, ASKED(statistic));
        return;
    }
    struct rolling_rows first = *rows;
    first.count = window;
    extreme_process(kernel, &first, ASKED(statistic));
    extremes_of_column(rows->values + window, rows->count - window, window, (double *)rows->columns[statistic] + window,
                       sign);
    struct key key = key_of(kernel, rows->states[0]);
    key.head->next = 0;
    memcpy(key.ring, rows->values + rows->count - window, window * sizeof(double));
}

static void process_min(const struct rolling_kernel *kernel, const struct rolling_rows *rows)
{
    extreme_or_column(kernel, rows, ROLLING_MIN, 1);
}

static void process_max(const struct rolling_kernel *kernel, const struct rolling_rows *rows)
{
    extreme_or_column(kernel, rows, ROLLING_MAX, -1);
}

static void process_min_max(const struct rolling_kernel *kernel, const struct rolling_rows *rows)
{
    extreme_process(kernel, rows, ASKED(ROLLING_MIN) | ASKED(ROLLING_MAX));
}

/* ---- Everything together ------------------------------------------------------------------------------------------
 */

/* Finds the oldest and newest value again. `left`: the value that was in the slot (NaN: none); next still points there.
 */
static void take_ends(struct rolling_head *head, const struct key *key, uint32_t window, double left, double value)
{
    struct tail *tail = key->tail;
    uint32_t slot = head->next, values = head->finite + tail->infinite.plus + tail->infinite.minus;
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
    if (asked & ASKED_SUMS) {
        rolling_take(head, key->ring, kernel->options.window, kernel->refresh_records, &tail->infinite, value);
    } else {
        rolling_replace_slowly(head, &tail->infinite, false, key->ring + head->next, value);
        if (++head->next == kernel->options.window) {
            head->next = 0;
            head->full = 1;
        }
    }
    struct rolling_moments moments = rolling_sums_moments(head);
    uint64_t values = (uint64_t)head->finite + tail->infinite.plus + tail->infinite.minus;

    before.finite = head->finite; /* min, max and the ends look at the slot just written as the one in work */
    struct extremes extremes = take_extremes(kernel, &before, key, value, asked);
    if (asked & ASKED_ENDS)
        take_ends(&before, key, kernel->options.window, left, value);
    result[ROLLING_COUNT] = (double)values;
    rolling_sums_some(head, &moments, kernel->options.ddof, &result[ROLLING_SUM], &result[ROLLING_MEAN],
                      &result[ROLLING_VAR], &result[ROLLING_STDDEV]);
    if (head->odd) {
        result[ROLLING_SUM] = result[ROLLING_MEAN] = rolling_infinite_mean(tail->infinite);
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
        rolling_prefetch(kernel, rows, i);
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

/* ---- Choosing -----------------------------------------------------------------------------------------------------
 */

int rolling_kernel_init(struct rolling_kernel *kernel, const struct rolling_options *options, size_t state_offset)
{
    const uint32_t asked = options->statistics;
    if (options->window < 1 || options->window > ROLLING_WINDOW_MOST || state_offset % 8 != 0 || asked == 0 ||
        asked >= ASKED(ROLLING_STATISTICS))
        return -EINVAL;
    *kernel = (struct rolling_kernel){.options = *options, .state_offset = state_offset};
    const bool keeps = options->lag || options->step > 1;
    const bool slow = keeps || options->recompute || (asked & ASKED_ENDS);
    const bool sums_only = !slow && !(asked & (ASKED(ROLLING_MIN) | ASKED(ROLLING_MAX)));
    kernel->compact = sums_only && options->window <= ROLLING_ODD_MOST;
    size_t ring = sizeof(double) * options->window, end = rolling_head_size(kernel->compact) + ring;
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
    else if (kernel->compact)
        kernel->tail = 0; /* none: the head has room for it */
    else
        end += offsetof(struct tail, least);
    /* Whole cache lines, so that no head lies across two, where that adds little to the bytes. */
    kernel->state_size = (end + ROLLING_LINE - 1) / ROLLING_LINE * ROLLING_LINE;
    if ((kernel->state_size - end) * ROLLING_PADDING_SHARE > end)
        kernel->state_size = end;
    kernel->refresh_records = REFRESH_LAPS * options->window;
    if (kernel->refresh_records < REFRESH_RECORDS)
        kernel->refresh_records = REFRESH_RECORDS;

    if (slow)
        kernel->process = process_any;
    else if (sums_only) {
        kernel->process = rolling_moments_choose(asked);
        kernel->column_work = rolling_column_choose(options);
    } else if (asked == ASKED(ROLLING_MIN))
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
    if (rows->column && kernel->column_work)
        rolling_column_process(kernel, rows);
    else
        kernel->process(kernel, rows);
}
