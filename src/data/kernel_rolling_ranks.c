/* SPDX-License-Identifier: MIT */
#include "data/kernel_rolling_ranks.h"

#include <stdbool.h>
#include <string.h>

#include "data/kernel_rolling_order.h"

/* An item is where a value came in time, and above it the leading bits of what it is more than the least one. */
enum { RANKS_MOST = RANKS_WINDOW_MOST + RANKS_ROWS_MOST, PLACE_BITS = 16, LEADING_BITS = 64 - PLACE_BITS };
/* Digits of the radix: narrow ones where there are few values, for then the counters are most of the work. */
enum { DIGIT_WIDE = 11, DIGIT_NARROW = 8, WIDE_FROM = 1024, DIGITS_MOST = 4, FEW = 16 };

struct work {
    uint64_t keys[RANKS_MOST], items[RANKS_MOST], other[RANKS_MOST]; /* keys: by time, ordered as the values are */
    double sorted[RANKS_MOST];
    uint16_t places[RANKS_MOST]; /* in that order, by time */
    uint64_t bits[RANKS_MOST / 64 + 2];
};

static inline uint64_t key_of(double value)
{
    uint64_t bits;
    value += 0.0; /* −0 becomes 0 */
    memcpy(&bits, &value, sizeof(bits));
    return bits ^ ((uint64_t)((int64_t)bits >> 63) | UINT64_C(1) << 63);
}

static inline double value_of(uint64_t key)
{
    double value;
    key ^= (uint64_t)((int64_t)~key >> 63) | UINT64_C(1) << 63;
    memcpy(&value, &key, sizeof(value));
    return value;
}

static inline uint32_t place_of(uint64_t item)
{
    return item & ((1u << PLACE_BITS) - 1);
}

/* ---- Putting them in order --------------------------------------------------------------------------------------- */

/* By counting (a radix sort from the last digit on): the items have `digits` digits from bit `low` on. What is sorted
 * is in items again, or in the other ones: returned. */
static uint64_t *sort_digits(uint64_t *items, uint64_t *other, uint32_t count, uint32_t low, uint32_t digits,
                             uint32_t width)
{
    uint32_t counts[DIGITS_MOST][1 << DIGIT_WIDE];
    const uint32_t size = 1u << width, mask = size - 1;
    for (uint32_t d = 0; d < digits; d++)
        memset(counts[d], 0, size * sizeof(counts[d][0]));
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t d = 0; d < digits; d++)
            counts[d][items[i] >> (low + d * width) & mask]++;
    for (uint32_t d = 0; d < digits; d++) {
        for (uint32_t i = 0, before = 0; i < size; i++) {
            uint32_t here = counts[d][i];
            counts[d][i] = before;
            before += here;
        }
        for (uint32_t i = 0; i < count; i++)
            other[counts[d][items[i] >> (low + d * width) & mask]++] = items[i];
        uint64_t *sorted = other;
        other = items;
        items = sorted;
    }
    return items;
}

static void sort_few(const uint64_t *keys, uint64_t *items, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++) {
        const uint64_t item = items[i], key = keys[place_of(item)];
        uint32_t at = i;
        for (; at > 0 && keys[place_of(items[at - 1])] > key; at--)
            items[at] = items[at - 1];
        items[at] = item;
    }
}

/* By the leading bits of what tells these items apart, some 33; those that these leave equal are taken by themselves,
 * at most once more: then all of the 64 have been looked at. */
static void sort(const uint64_t *keys, uint64_t *items, uint64_t *other, uint32_t count)
{
    if (count <= FEW) {
        sort_few(keys, items, count);
        return;
    }
    uint64_t least = UINT64_MAX, most = 0;
    for (uint32_t i = 0; i < count; i++) {
        const uint64_t key = keys[place_of(items[i])];
        least = key < least ? key : least;
        most = key > most ? key : most;
    }
    if (least == most)
        return;
    const uint32_t bits = 64 - (uint32_t)__builtin_clzll(most - least);
    const uint32_t leading = bits < LEADING_BITS ? bits : LEADING_BITS, shift = bits - leading;
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t place = place_of(items[i]);
        items[i] = (keys[place] - least) >> shift << PLACE_BITS | place;
    }
    const uint32_t width = count < WIDE_FROM ? DIGIT_NARROW : DIGIT_WIDE, wanted = count < WIDE_FROM ? 4 : 3;
    const uint32_t digits = (leading + width - 1) / width < wanted ? (leading + width - 1) / width : wanted;
    const uint32_t low = PLACE_BITS + (leading > digits * width ? leading - digits * width : 0);
    uint64_t *sorted = sort_digits(items, other, count, low, digits, width);
    if (sorted != items)
        memcpy(items, sorted, count * sizeof(*items));
    for (uint32_t i = 0, end; i < count; i = end) {
        for (end = i + 1; end < count && (items[end] ^ items[i]) >> low == 0;)
            end++;
        if (end - i > 1)
            sort(keys, items + i, other, end - i);
    }
}

/* ---- Going over the records -------------------------------------------------------------------------------------- */

/* The next bit that is set above one, or below it. There is one. */
static inline uint32_t next_above(const uint64_t *bits, uint32_t at)
{
    uint32_t word = at / 64;
    uint64_t rest = bits[word] & ((UINT64_MAX - 1) << at % 64);
    while (__builtin_expect(!rest, 0))
        rest = bits[++word];
    return word * 64 + (uint32_t)__builtin_ctzll(rest);
}

static inline uint32_t next_below(const uint64_t *bits, uint32_t at)
{
    uint32_t word = at / 64;
    uint64_t rest = bits[word] & ~(UINT64_MAX << at % 64);
    while (__builtin_expect(!rest, 0))
        rest = bits[--word];
    return word * 64 + 63 - (uint32_t)__builtin_clzll(rest);
}

static uint32_t find_bit(const uint64_t *bits, uint32_t number)
{
    uint32_t word = 0;
    for (uint32_t in; (in = (uint32_t)__builtin_popcountll(bits[word])) <= number; word++)
        number -= in;
    uint64_t rest = bits[word];
    for (; number > 0; number--)
        rest &= rest - 1;
    return word * 64 + (uint32_t)__builtin_ctzll(rest);
}

/* A record takes the place of another: the quantile at bit `at` moves to the next one if one has gone from below it, or
 * itself, and the other come above, or the other way round. No branch depends on that: it could not be foreseen. */
static inline uint32_t move(uint64_t *bits, uint32_t at, uint32_t gone, uint32_t come)
{
    bits[gone / 64] &= ~(UINT64_C(1) << gone % 64);
    bits[come / 64] |= UINT64_C(1) << come % 64;
    const bool up = (gone <= at) & (come > at), down = (gone >= at) & (come < at);
    const uint64_t word = bits[at / 64], above = word & ((UINT64_MAX - 1) << at % 64);
    const uint64_t below = word & ~(UINT64_MAX << at % 64);
    if (__builtin_expect((up & !above) | (down & !below), 0))
        return up ? next_above(bits, at) : next_below(bits, at);
    const uint32_t higher = at / 64 * 64 + (uint32_t)__builtin_ctzll(above | UINT64_C(1) << 63);
    const uint32_t lower = at / 64 * 64 + 63 - (uint32_t)__builtin_clzll(below | 1);
    at = up ? higher : at;
    return down ? lower : at;
}

static inline uint32_t row_of(const struct ranks_rows *rows, uint32_t i)
{
    return rows->selection ? rows->selection[rows->begin + i] : rows->begin + i;
}

static void walk(struct work *work, const struct ranks_rows *rows, double quantile, double *column)
{
    const struct order_place place = order_place(quantile, rows->window);
    memset(work->bits, 0, sizeof(work->bits));
    for (uint32_t i = 0; i < rows->window; i++)
        work->bits[work->places[i] / 64] |= UINT64_C(1) << work->places[i] % 64;
    const uint16_t *gone = work->places, *come = work->places + rows->window;
    uint32_t at = find_bit(work->bits, place.below);
    for (uint32_t i = 0; i < rows->count; i++) {
        at = move(work->bits, at, gone[i], come[i]);
        const double low = work->sorted[at];
        column[row_of(rows, i)] = place.fraction == 0
                                      ? low
                                      : order_between(low, work->sorted[next_above(work->bits, at)], place.fraction);
    }
}

void rolling_ranks_process(const struct ranks_rows *rows)
{
    struct work work; /* large: not cleared */
    const uint32_t window = rows->window, total = window + rows->count;
    uint32_t slot = rows->oldest;
    for (uint32_t i = 0; i < window; i++) {
        work.keys[i] = key_of(rows->ring[slot]);
        slot = slot + 1 == window ? 0 : slot + 1;
    }
    for (uint32_t i = 0; i < rows->count; i++)
        work.keys[window + i] = key_of(rows->values[row_of(rows, i)]);
    for (uint32_t i = 0; i < total; i++)
        work.items[i] = i;
    sort(work.keys, work.items, work.other, total);
    uint32_t last = 0;
    for (uint32_t i = 0; i < total; i++) {
        const uint32_t place = place_of(work.items[i]);
        work.places[place] = (uint16_t)i;
        work.sorted[i] = value_of(work.keys[place]);
    }
    for (uint32_t q = 0; q < rows->quantile_count; q++)
        walk(&work, rows, rows->quantiles[q], rows->columns[q]);
    for (uint32_t i = 0; last < window; i++) { /* the last window is what came last */
        rows->sorted[last] = work.sorted[i];
        last += place_of(work.items[i]) >= rows->count;
    }
}
