/* SPDX-License-Identifier: MIT */
#include "data/kernel_rolling_wide.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "data/kernel_rolling_order.h"
#include "data/kernel_rolling_ranks.h"
#include "data/kernel_rolling_sums.h"

#define ASKED(statistic) (1u << (statistic))
#define ASKED_SUMS                                                                                                     \
    (ASKED(ROLLING_SUM) | ASKED(ROLLING_MEAN) | ASKED(ROLLING_VAR) | ASKED(ROLLING_STDDEV) | ASKED(ROLLING_ZSCORE))

enum { REFRESH_LAPS = 4, REFRESH_RECORDS = 1024, LINE = 64, PREFETCH = 8 };
/* So many records of a key at once, and such a share of its window, and they are put in order together. */
enum { MANY_LEAST = 64, MANY_SHARE = 4 };

/* The slope is made afresh when so little is left of Σt² about the mean. */
#define SLOPE_LOSS 1e-4L

const char *const rolling_wide_names[] = {"range", "rate", "slope", "ewma", "zscore", "distinct", NULL};

typedef long double wide_sum __attribute__((aligned(8))); /* 64 bits of digits; x86 does not mind where it lies */

struct head {
    struct rolling_head sums; /* next, full, odd are not used */
    struct rolling_infinite infinite;
    uint32_t oldest, size; /* slot of the oldest record; records in the window */
    uint32_t first, last;  /* slots of the oldest and newest value, when there is one */
    uint32_t used;         /* slots that were ever used */
    uint32_t distinct;
    uint64_t number; /* of records so far */
    int64_t newest;  /* time; INT64_MIN: none yet (number says so) */
    double ewma;     /* with ewma_known */
    int64_t ewma_time;
    uint32_t ewma_known, slope_since;
    /* Of t = time − slope_time and y = value − slope_value, finite values: */
    wide_sum t, tt, ty, y;
    double slope_value;
    int64_t slope_time;
    uint32_t heap_sizes[ROLLING_QUANTILES_MOST + 2][2];
};

struct key {
    struct head *head;
    double *ring;
    int64_t *times; /* record numbers when there is no time */
    struct order orders[ROLLING_QUANTILES_MOST + 2];
    struct order_sorted sorted; /* or orders[] */
    struct order_table table;
};

static void key_of(const struct rolling_wide *wide, void *state, struct key *key)
{
    char *base = (char *)state + wide->state_offset;
    const uint32_t room = wide->options.records;
    key->head = (struct head *)base;
    key->ring = (double *)(base + sizeof(struct head));
    key->times = (int64_t *)(base + wide->times);
    key->sorted = (struct order_sorted){(double *)(base + wide->heaps), &key->head->heap_sizes[0][0]};
    for (uint32_t i = 0; !wide->sorted && i < wide->heap_count; i++) {
        uint32_t *entries = (uint32_t *)(base + wide->heaps) + (size_t)2 * room * i;
        key->orders[i] = (struct order){.values = key->ring, .entries = entries, .where = entries + room, .room = room};
        memcpy(key->orders[i].sizes, key->head->heap_sizes[i], sizeof(key->orders[i].sizes));
    }
    if (wide->table_size)
        key->table = (struct order_table){
            .values = (double *)(base + wide->table),
            .counts = (uint32_t *)(base + wide->table + sizeof(double) * wide->table_size),
            .mask = wide->table_size - 1};
}

static inline uint32_t after(uint32_t slot, uint32_t room)
{
    return slot + 1 == room ? 0 : slot + 1;
}

static inline uint64_t values_in(const struct head *head)
{
    return (uint64_t)head->sums.finite + head->infinite.plus + head->infinite.minus;
}

/* ---- Slope --------------------------------------------------------------------------------------------------------
 */

static void slope_change(const struct rolling_wide *wide, struct head *head, double value, int64_t time, int sign)
{
    long double unit = wide->options.timed ? 1e-9L : 1;
    long double t = (long double)(time - head->slope_time) * unit, y = (long double)value - head->slope_value;
    head->t += sign * t;
    head->tt += sign * t * t;
    head->ty += sign * t * y;
    head->y += sign * y;
}

static void slope_refresh(const struct rolling_wide *wide, const struct key *key)
{
    struct head *head = key->head;
    head->t = head->tt = head->ty = head->y = 0;
    head->slope_since = 0;
    if (head->sums.finite == 0)
        return;
    for (uint32_t i = 0, slot = head->oldest; i < head->size; i++, slot = after(slot, wide->options.records)) {
        if (!isfinite(key->ring[slot]))
            continue;
        head->slope_time = key->times[slot];
        head->slope_value = key->ring[slot]; /* in the end the newest */
    }
    for (uint32_t i = 0, slot = head->oldest; i < head->size; i++, slot = after(slot, wide->options.records)) {
        if (isfinite(key->ring[slot]))
            slope_change(wide, head, key->ring[slot], key->times[slot], 1);
    }
}

static double slope(const struct rolling_wide *wide, const struct key *key)
{
    struct head *head = key->head;
    long double n = head->sums.finite;
    if (head->sums.finite < 2 || values_in(head) != head->sums.finite)
        return NAN;
    if (n * head->tt - head->t * head->t <= SLOPE_LOSS * n * head->tt && head->slope_since > head->size)
        slope_refresh(wide, key); /* time has moved far from where it is counted from */
    if (key->times[head->first] == key->times[head->last])
        return NAN;
    return (double)((n * head->ty - head->t * head->y) / (n * head->tt - head->t * head->t));
}

/* ---- Records come and go ------------------------------------------------------------------------------------------
 */

static void change(const struct rolling_wide *wide, struct key *key, double value, int64_t time, int sign)
{
    struct head *head = key->head;
    const uint32_t asked = wide->options.statistics;
    if (isinf(value)) {
        *(value > 0 ? &head->infinite.plus : &head->infinite.minus) += (uint32_t)sign;
    } else {
        head->sums.finite += (uint32_t)sign;
        if (asked & ASKED_SUMS)
            (sign > 0 ? rolling_sums_add : rolling_sums_remove)(&head->sums, value);
        if (asked & ASKED(ROLLING_SLOPE))
            slope_change(wide, head, value, time, sign);
    }
    if (asked & ASKED(ROLLING_DISTINCT)) {
        if (sign > 0)
            head->distinct += order_count(&key->table, value);
        else
            head->distinct -= order_uncount(&key->table, value);
    }
}

static void find_first(const struct rolling_wide *wide, struct key *key)
{
    struct head *head = key->head;
    uint32_t first = head->oldest; /* each slot is passed over once in a round */
    while (isnan(key->ring[first]))
        first = after(first, wide->options.records);
    head->first = first;
}

static void leave(const struct rolling_wide *wide, struct key *key)
{
    struct head *head = key->head;
    const uint32_t room = wide->options.records, slot = head->oldest;
    const double value = key->ring[slot];
    if (!isnan(value)) {
        if (wide->sorted && wide->heap_count)
            order_sorted_remove(&key->sorted, value);
        for (uint32_t i = 0; !wide->sorted && i < wide->heap_count; i++)
            order_remove(&key->orders[i], slot);
        change(wide, key, value, key->times[slot], -1);
        key->ring[slot] = NAN;
    }
    head->oldest = after(slot, room);
    head->size--;
    if (head->first == slot && values_in(head) > 0)
        find_first(wide, key);
}

/* After each record: makes the sums afresh when it is time. */
static void refresh(const struct rolling_wide *wide, const struct key *key, double value)
{
    struct head *head = key->head;
    head->slope_since++;
    if (!(wide->options.statistics & (ASKED_SUMS | ASKED(ROLLING_SLOPE))))
        return;
    bool stale = ++head->sums.since >= wide->refresh_records;
    if (stale && (wide->options.statistics & ASKED(ROLLING_SLOPE)))
        slope_refresh(wide, key);
    if (stale || ((wide->options.statistics & ASKED_SUMS) && rolling_sums_doubtful(&head->sums)))
        rolling_sums_refresh(&head->sums, key->ring, head->used, value);
}

/* A value comes into the place of the oldest, where both are numbers: cheaper than leave and enter for the heaps. */
static void replace(const struct rolling_wide *wide, struct key *key, double value, int64_t time)
{
    struct head *head = key->head;
    const uint32_t slot = head->oldest;
    const double old = key->ring[slot];
    change(wide, key, old, key->times[slot], -1);
    key->ring[slot] = value;
    key->times[slot] = time;
    if (wide->sorted && wide->heap_count)
        order_sorted_replace(&key->sorted, old, value);
    for (uint32_t i = 0; !wide->sorted && i < wide->heap_count; i++)
        order_change(&key->orders[i], slot, old);
    head->oldest = after(slot, wide->options.records);
    head->last = slot;
    if (head->first == slot)
        find_first(wide, key);
    change(wide, key, value, time, 1);
    refresh(wide, key, value);
}

static void enter(const struct rolling_wide *wide, struct key *key, double value, int64_t time)
{
    struct head *head = key->head;
    const uint32_t room = wide->options.records;
    uint32_t slot = head->oldest + head->size;
    slot = slot >= room ? slot - room : slot;
    head->used = slot >= head->used ? slot + 1 : head->used;
    head->size++;
    key->ring[slot] = value;
    key->times[slot] = time;
    if (!isnan(value)) {
        if (values_in(head) == 0) {
            head->first = slot;
            if (wide->options.statistics & ASKED(ROLLING_SLOPE)) {
                head->slope_time = time;
                head->slope_value = isfinite(value) ? value : 0;
                head->t = head->tt = head->ty = head->y = 0;
            }
        }
        head->last = slot;
        change(wide, key, value, time, 1);
        if (wide->sorted && wide->heap_count)
            order_sorted_add(&key->sorted, value);
        for (uint32_t i = 0; !wide->sorted && i < wide->heap_count; i++)
            order_add(&key->orders[i], slot);
    }
    refresh(wide, key, value);
}

static void take_ewma(const struct rolling_wide *wide, struct head *head, double value, int64_t time)
{
    const struct rolling_wide_options *options = &wide->options;
    if (!isfinite(value)) /* it would never be forgotten */
        return;
    if (!head->ewma_known) {
        head->ewma_known = 1;
        head->ewma = value;
    } else {
        double alpha = options->alpha;
        if (alpha == 0)
            alpha = -expm1(-M_LN2 * (options->half_life_timed ? (double)(time - head->ewma_time) : 1) /
                           options->half_life);
        head->ewma += alpha * (value - head->ewma);
    }
    head->ewma_time = time;
}

/* ---- Results ------------------------------------------------------------------------------------------------------
 */

static inline double quantile(const struct rolling_wide *wide, struct key *key, uint32_t heap)
{
    return wide->sorted ? order_at(key->sorted.values, order_place(wide->ranks[heap], *key->sorted.count))
                        : order_quantile(&key->orders[heap], wide->ranks[heap]);
}

static void order_results(const struct rolling_wide *wide, struct key *key, double *result)
{
    const uint32_t asked = wide->options.statistics;
    for (uint32_t q = 0; q < wide->options.quantile_count; q++)
        result[ROLLING_QUANTILE + q] = quantile(wide, key, q);
    if (asked & (ASKED(ROLLING_MIN) | ASKED(ROLLING_RANGE)))
        result[ROLLING_MIN] = quantile(wide, key, wide->least);
    if (asked & (ASKED(ROLLING_MAX) | ASKED(ROLLING_RANGE)))
        result[ROLLING_MAX] = quantile(wide, key, wide->most);
    result[ROLLING_RANGE] = result[ROLLING_MAX] - result[ROLLING_MIN];
}

static void results(const struct rolling_wide *wide, struct key *key, double value, double *result)
{
    struct head *head = key->head;
    const uint32_t asked = wide->options.statistics;
    for (unsigned s = 0; s < ROLLING_WIDE_STATISTICS; s++)
        result[s] = NAN;
    result[ROLLING_COUNT] = (double)values_in(head);
    result[ROLLING_DISTINCT] = head->distinct;
    result[ROLLING_EWMA] = head->ewma_known ? head->ewma : NAN;
    if (values_in(head) == 0)
        return;
    if (asked & ASKED_SUMS) {
        if (values_in(head) != head->sums.finite) {
            result[ROLLING_SUM] = result[ROLLING_MEAN] = rolling_infinite_mean(head->infinite);
        } else {
            struct rolling_moments moments = rolling_sums_moments(&head->sums);
            rolling_sums_some(&head->sums, &moments, wide->options.ddof, &result[ROLLING_SUM], &result[ROLLING_MEAN],
                              &result[ROLLING_VAR], &result[ROLLING_STDDEV]);
        }
        if (isfinite(value) && result[ROLLING_STDDEV] > 0)
            result[ROLLING_ZSCORE] = (value - result[ROLLING_MEAN]) / result[ROLLING_STDDEV];
    }
    result[ROLLING_FIRST] = key->ring[head->first];
    result[ROLLING_LAST] = key->ring[head->last];
    result[ROLLING_DELTA] = result[ROLLING_LAST] - result[ROLLING_FIRST];
    int64_t apart = key->times[head->last] - key->times[head->first];
    if (apart > 0)
        result[ROLLING_RATE] = result[ROLLING_DELTA] / ((double)apart * 1e-9);
    if (asked & ASKED(ROLLING_SLOPE))
        result[ROLLING_SLOPE] = slope(wide, key);
    order_results(wide, key, result);
}

static void write_results(const struct rolling_wide *wide, const struct rolling_wide_rows *rows, uint32_t row,
                          const double *result, bool none)
{
    for (unsigned s = 0; s < ROLLING_WIDE_STATISTICS; s++) {
        if (!(wide->options.statistics & ASKED(s)))
            continue;
        if (s == ROLLING_COUNT || s == ROLLING_DISTINCT)
            ((int64_t *)rows->columns[s])[row] = none ? INT64_MIN : (int64_t)result[s];
        else
            ((double *)rows->columns[s])[row] = none ? NAN : result[s];
    }
}

/* The first time of a key: the records that came before without one get it too. */
static void date(const struct rolling_wide *wide, struct key *key, int64_t time)
{
    struct head *head = key->head;
    for (uint32_t i = 0, slot = head->oldest; i < head->size; i++, slot = after(slot, wide->options.records))
        key->times[slot] = time;
    head->newest = head->ewma_time = time;
    if (head->size > 0 && (wide->options.statistics & ASKED(ROLLING_SLOPE)))
        slope_refresh(wide, key);
}

/* The record's time as it counts: never before the newest. */
static int64_t time_of(const struct rolling_wide *wide, struct key *key, const int64_t *times, uint32_t row)
{
    struct head *head = key->head;
    if (!wide->options.timed || !times)
        return (int64_t)head->number;
    if (head->number == 0)
        head->newest = INT64_MIN;
    if (head->newest == INT64_MIN && times[row] != INT64_MIN)
        date(wide, key, times[row]);
    if (times[row] > head->newest)
        head->newest = times[row];
    return head->newest;
}

static bool too_old(int64_t time, int64_t newest, int64_t span)
{
    return (uint64_t)newest - (uint64_t)time >= (uint64_t)span; /* newest >= time: no overflow */
}

static void take(const struct rolling_wide *wide, struct key *key, struct rolling_wide_rows *rows, uint32_t row)
{
    struct head *head = key->head;
    const double value = rows->values[row];
    const int64_t time = time_of(wide, key, rows->times, row), span = wide->options.span;
    double result[ROLLING_WIDE_STATISTICS];
    while (span && head->size > 0 && too_old(key->times[head->oldest], time, span))
        leave(wide, key);
    if (wide->options.lag) {
        results(wide, key, value, result);
        write_results(wide, rows, row, result, head->number == 0);
    }
    const bool full = head->size == wide->options.records;
    rows->early += full && span != 0;
    if (full && !isnan(value) && !isnan(key->ring[head->oldest])) {
        replace(wide, key, value, time);
    } else {
        if (full)
            leave(wide, key);
        enter(wide, key, value, time);
    }
    if (wide->options.statistics & ASKED(ROLLING_EWMA))
        take_ewma(wide, head, value, time);
    head->number++;
    if (!wide->options.lag) {
        results(wide, key, value, result);
        write_results(wide, rows, row, result, false);
    }
    for (uint32_t i = 0; !wide->sorted && i < wide->heap_count; i++)
        memcpy(head->heap_sizes[i], key->orders[i].sizes, sizeof(key->orders[i].sizes));
}

/* What is usual where only quantiles are asked for: a number takes the place of another. False: nothing is done. */
static inline bool take_in_order(const struct rolling_wide *wide, struct key *key, struct rolling_wide_rows *rows,
                                 uint32_t row)
{
    struct head *head = key->head;
    const double value = rows->values[row];
    double *slot = &key->ring[head->oldest];
    if (!(head->sums.finite == wide->options.records && fabs(value) <= DBL_MAX))
        return false;
    order_sorted_replace(&key->sorted, *slot, value);
    *slot = value;
    head->oldest = after(head->oldest, wide->options.records);
    head->number++;
    for (uint32_t q = 0; q < wide->options.quantile_count; q++)
        ((double *)rows->columns[ROLLING_QUANTILE + q])[row] = order_at(
            key->sorted.values, order_place(wide->ranks[q], wide->options.records));
    return true;
}

/* How many rows from `begin` on are of the same key and finite numbers. */
static uint32_t finite_rows(const struct rolling_wide_rows *rows, uint32_t begin)
{
    const uint32_t most = rows->count - begin < RANKS_ROWS_MOST ? rows->count - begin : RANKS_ROWS_MOST;
    uint32_t count = 0;
    while (count < most && rows->states[begin + count] == rows->states[begin] &&
           fabs(rows->values[rows->selection ? rows->selection[begin + count] : begin + count]) <= DBL_MAX)
        count++;
    return count;
}

/* Many rows at once, where they are of one key and its window is full. Returns how many; 0: there are too few. *rest:
 * from which row on it is worth trying. */
static uint32_t take_many(const struct rolling_wide *wide, struct key *key, struct rolling_wide_rows *rows,
                          uint32_t begin, uint32_t *rest)
{
    struct head *head = key->head;
    const uint32_t window = wide->options.records;
    if (begin < *rest || head->sums.finite != window || rows->count - begin < wide->many)
        return 0;
    const uint32_t count = finite_rows(rows, begin);
    if (count < wide->many) {
        *rest = begin + count;
        return 0;
    }
    rolling_ranks_process(&(struct ranks_rows){
        .ring = key->ring,
        .window = window,
        .oldest = head->oldest,
        .values = rows->values,
        .selection = rows->selection,
        .begin = begin,
        .count = count,
        .quantile_count = wide->options.quantile_count,
        .quantiles = wide->ranks,
        .columns = rows->columns + ROLLING_QUANTILE,
        .sorted = key->sorted.values,
    });
    for (uint32_t i = count > window ? count - window : 0; i < count; i++)
        key->ring[(head->oldest + i) % window] = rows->values[rows->selection ? rows->selection[begin + i] : begin + i];
    head->oldest = (head->oldest + count) % window;
    head->number += count;
    return count;
}

void rolling_wide_process(const struct rolling_wide *wide, struct rolling_wide_rows *rows)
{
    struct key key;
    uint32_t many_from = wide->many ? 0 : UINT32_MAX;
    for (uint32_t i = 0; i < rows->count; i++) {
        if (i + PREFETCH < rows->count)
            __builtin_prefetch((char *)rows->states[i + PREFETCH] + wide->state_offset, 1);
        if (i == 0 || rows->states[i] != rows->states[i - 1])
            key_of(wide, rows->states[i], &key);
        uint32_t many = take_many(wide, &key, rows, i, &many_from);
        if (many) {
            i += many - 1;
            continue;
        }
        uint32_t row = rows->selection ? rows->selection[i] : i;
        if (!wide->quantiles_only || !take_in_order(wide, &key, rows, row))
            take(wide, &key, rows, row);
    }
}

int rolling_wide_init(struct rolling_wide *wide, const struct rolling_wide_options *options, size_t state_offset)
{
    const uint32_t asked = options->statistics, records = options->records;
    const bool rate = asked & ASKED(ROLLING_RATE), ewma = asked & ASKED(ROLLING_EWMA);
    if (records < 1 || records > ROLLING_WIDE_RECORDS_MOST || asked == 0 || state_offset % 8 != 0 ||
        options->span < 0 || options->quantile_count > ROLLING_QUANTILES_MOST ||
        asked >> ROLLING_QUANTILE != (1u << options->quantile_count) - 1)
        return -EINVAL;
    if (!options->timed && (options->span || rate || (ewma && options->half_life_timed)))
        return -EINVAL;
    if (ewma && !(options->alpha > 0 && options->alpha <= 1) && !(options->alpha == 0 && options->half_life > 0))
        return -EINVAL;
    *wide = (struct rolling_wide){.options = *options, .state_offset = state_offset};
    memcpy(wide->ranks, options->quantiles, sizeof(options->quantiles));
    wide->heap_count = options->quantile_count;
    wide->least = wide->most = wide->heap_count;
    if (asked & (ASKED(ROLLING_MIN) | ASKED(ROLLING_RANGE)))
        wide->ranks[wide->least = wide->heap_count++] = 0;
    if (asked & (ASKED(ROLLING_MAX) | ASKED(ROLLING_RANGE)))
        wide->ranks[wide->most = wide->heap_count++] = 1;
    size_t end = sizeof(struct head) + sizeof(double) * records;
    wide->times = end;
    end += sizeof(int64_t) * records;
    wide->heaps = end;
    wide->sorted = records <= ORDER_SORTED_MOST && !options->heaps;
    wide->quantiles_only = wide->sorted && !options->span && !options->lag && !(asked & (ASKED(ROLLING_QUANTILE) - 1));
    if (wide->quantiles_only && !options->one_by_one)
        wide->many = records / MANY_SHARE < MANY_LEAST ? MANY_LEAST : records / MANY_SHARE;
    if (wide->sorted)
        end += wide->heap_count ? sizeof(double) * records : 0;
    else
        end += (size_t)2 * sizeof(uint32_t) * records * wide->heap_count;
    if (asked & ASKED(ROLLING_DISTINCT)) {
        wide->table_size = 2;
        while (wide->table_size < 2 * records)
            wide->table_size *= 2;
        wide->table = end;
        end += (sizeof(double) + sizeof(uint32_t)) * wide->table_size;
    }
    wide->state_size = (end + LINE - 1) / LINE * LINE;
    wide->refresh_records = records * REFRESH_LAPS < REFRESH_RECORDS ? REFRESH_RECORDS : records * REFRESH_LAPS;
    return 0;
}
