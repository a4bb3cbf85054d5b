/* SPDX-License-Identifier: MIT */
/*
 * Private to the kernels: what is known of the order of the values in a ring, kept while they come and go.
 *
 * Of a window that is not long: the values in order, one array for all quantiles, min and max. The one that comes takes
 * the place of the one that goes, and what lies between the two moves by one place: two searches by halving, side by
 * side, and a move of a third of the window, which processors are good at. Up to some thousand records nothing is
 * faster.
 *
 * Of a long one, for each quantile: two heaps of slots share an array of `room` entries: the lower one holds the
 * smaller values with the largest on top and grows from the left, the upper one the larger values with the smallest on
 * top, from the right. where[] says at which entry a slot is, so that any value can leave. A quantile lies between the
 * two tops.
 */
#ifndef DATA_KERNEL_ROLLING_ORDER_H
#define DATA_KERNEL_ROLLING_ORDER_H
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct order {
    const double *values; /* by slot */
    uint32_t *entries, *where;
    uint32_t room;
    uint32_t sizes[2]; /* of the lower and the upper heap */
};

static inline uint32_t *order_entry(const struct order *order, int side, uint32_t i)
{
    return &order->entries[side ? order->room - 1 - i : i];
}

static inline void order_put(struct order *order, int side, uint32_t i, uint32_t slot)
{
    order->where[slot] = side ? order->room - 1 - i : i;
    *order_entry(order, side, i) = slot;
}

static inline double order_top(const struct order *order, int side)
{
    return order->values[*order_entry(order, side, 0)];
}

static inline bool order_above(int side, double a, double b)
{
    return side ? a < b : a > b;
}

static inline void order_up(struct order *order, int side, uint32_t i, uint32_t slot)
{
    const double value = order->values[slot];
    while (i > 0) {
        uint32_t parent = (i - 1) / 2, other = *order_entry(order, side, parent);
        if (!order_above(side, value, order->values[other]))
            break;
        order_put(order, side, i, other);
        i = parent;
    }
    order_put(order, side, i, slot);
}

static inline void order_down(struct order *order, int side, uint32_t i, uint32_t slot)
{
    const double value = order->values[slot];
    const uint32_t size = order->sizes[side];
    for (uint32_t child; (child = 2 * i + 1) < size; i = child) {
        uint32_t below = *order_entry(order, side, child);
        if (child + 1 < size) {
            uint32_t right = *order_entry(order, side, child + 1);
            bool better = order_above(side, order->values[right], order->values[below]);
            child += better;
            below = better ? right : below;
        }
        if (!order_above(side, order->values[below], value))
            break;
        order_put(order, side, i, below);
    }
    order_put(order, side, i, slot);
}

static inline void order_push(struct order *order, int side, uint32_t slot)
{
    order_up(order, side, order->sizes[side]++, slot);
}

/* Takes entry i out of a heap. */
static inline void order_take(struct order *order, int side, uint32_t i)
{
    uint32_t last = *order_entry(order, side, --order->sizes[side]);
    if (i == order->sizes[side])
        return;
    double gone = order->values[*order_entry(order, side, i)];
    if (order_above(side, order->values[last], gone))
        order_up(order, side, i, last);
    else
        order_down(order, side, i, last);
}

static inline void order_add(struct order *order, uint32_t slot)
{
    bool low = order->sizes[0] > 0 && order->values[slot] < order_top(order, 0);
    order_push(order, !low, slot);
}

/* While the slot still has its value. */
static inline void order_remove(struct order *order, uint32_t slot)
{
    uint32_t at = order->where[slot];
    int side = at >= order->sizes[0];
    order_take(order, side, side ? order->room - 1 - at : at);
}

/* The value of a slot has changed from `before`: it moves within its heap, and the tops change places if need be. */
static inline void order_change(struct order *order, uint32_t slot, double before)
{
    uint32_t at = order->where[slot];
    int side = at >= order->sizes[0];
    uint32_t i = side ? order->room - 1 - at : at;
    if (order_above(side, order->values[slot], before))
        order_up(order, side, i, slot);
    else
        order_down(order, side, i, slot);
    if (order->sizes[0] > 0 && order->sizes[1] > 0 && order_top(order, 0) > order_top(order, 1)) {
        uint32_t low = *order_entry(order, 0, 0), high = *order_entry(order, 1, 0);
        order_down(order, 0, 0, high);
        order_down(order, 1, 0, low);
    }
}

/* Between the two values next to the rank. */
static inline double order_between(double low, double high, double fraction)
{
    if (fraction == 0 || low == high)
        return low;
    double apart = high - low;
    /* Too far apart only when both are huge, of different sign, or infinite. */
    return apart <= 1.7e308 ? low + apart * fraction : low * (1 - fraction) + high * fraction;
}

/* Where `rank` of 0 … 1 lies among `count` values in order, at least one: so far from number `below` to the next. */
struct order_place {
    uint32_t below;
    double fraction;
};
static inline struct order_place order_place(double rank, uint32_t count)
{
    double place = rank * (count - 1);
    uint32_t below = (uint32_t)place;
    return (struct order_place){below, place - below};
}

/* The value there, of values in order. */
static inline double order_at(const double *values, struct order_place place)
{
    const double *low = values + place.below;
    return place.fraction == 0 ? *low : order_between(*low, low[1], place.fraction);
}

/* The same of two heaps. */
static inline double order_quantile(struct order *order, double rank)
{
    const struct order_place place = order_place(rank, order->sizes[0] + order->sizes[1]);
    while (order->sizes[0] != place.below + 1) {
        int from = order->sizes[0] < place.below + 1;
        uint32_t slot = *order_entry(order, from, 0);
        order_take(order, from, 0);
        order_push(order, !from, slot);
    }
    const double low = order_top(order, 0);
    return place.fraction == 0 ? low : order_between(low, order_top(order, 1), place.fraction);
}

/* ---- Values in order ----------------------------------------------------------------------------------------------
 */

enum { ORDER_FEW = 32 };
enum { ORDER_SORTED_MOST = 2048 }; /* records; from about here on the move takes longer than two heaps */

struct order_sorted {
    double *values;
    uint32_t *count;
};

typedef double order_two __attribute__((vector_size(16)));
typedef double order_two_loose __attribute__((vector_size(16), aligned(8), may_alias));
typedef int64_t order_two_mask __attribute__((vector_size(16)));

/* How many of the values are less than x, and than y: by quarters, both at a time, because a step waits longer for its
 * values than it takes to compare three; the last few are all looked at. No branch depends on a value: it could not be
 * foreseen. */
static inline void order_places(const struct order_sorted *sorted, double x, double y, uint32_t *ret_x, uint32_t *ret_y)
{
    const double *a = sorted->values, *b = a;
    uint32_t left = *sorted->count;
    for (uint32_t part; left > ORDER_FEW; left -= 3 * part) {
        part = left / 4;
        uint32_t less_x = (a[part - 1] < x) + (a[2 * part - 1] < x) + (a[3 * part - 1] < x);
        uint32_t less_y = (b[part - 1] < y) + (b[2 * part - 1] < y) + (b[3 * part - 1] < y);
        a += less_x * part;
        b += less_y * part;
    }
    const order_two two_x = {x, x}, two_y = {y, y};
    order_two_mask less_x = {0, 0}, less_y = {0, 0};
    uint32_t i = 0;
    for (; i + 2 <= left; i += 2) {
        less_x -= (order_two_mask)(*(const order_two_loose *)(a + i) < two_x);
        less_y -= (order_two_mask)(*(const order_two_loose *)(b + i) < two_y);
    }
    if (i < left) {
        less_x[0] += a[i] < x;
        less_y[0] += b[i] < y;
    }
    *ret_x = (uint32_t)(a - sorted->values) + (uint32_t)(less_x[0] + less_x[1]);
    *ret_y = (uint32_t)(b - sorted->values) + (uint32_t)(less_y[0] + less_y[1]);
}

static inline void order_sorted_add(const struct order_sorted *sorted, double value)
{
    uint32_t at = 0, same;
    if (*sorted->count > 0)
        order_places(sorted, value, value, &at, &same);
    memmove(sorted->values + at + 1, sorted->values + at, (*sorted->count - at) * sizeof(double));
    sorted->values[at] = value + 0.0; /* −0 becomes 0: which of them comes first would be chance */
    ++*sorted->count;
}

/* A value that is there. */
static inline void order_sorted_remove(const struct order_sorted *sorted, double value)
{
    uint32_t at, same;
    order_places(sorted, value, value, &at, &same);
    --*sorted->count;
    memmove(sorted->values + at, sorted->values + at + 1, (*sorted->count - at) * sizeof(double));
}

static inline void order_sorted_replace(const struct order_sorted *sorted, double old, double value)
{
    uint32_t from, to;
    order_places(sorted, old, value, &from, &to);
    if (to > from) { /* the old one is among those before it */
        to--;
        memmove(sorted->values + from, sorted->values + from + 1, (to - from) * sizeof(double));
    } else {
        memmove(sorted->values + to + 1, sorted->values + to, (from - to) * sizeof(double));
    }
    sorted->values[to] = value + 0.0;
}

/* ---- Distinct values: open addressing, counts beside the values; twice as many places as the ring has -------------
 */

struct order_table {
    double *values;
    uint32_t *counts; /* 0: free */
    uint32_t mask;
};

static inline uint32_t order_home(const struct order_table *table, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    bits = (bits ^ bits >> 32) * UINT64_C(0x9e3779b97f4a7c15);
    return (uint32_t)(bits >> 32) & table->mask;
}

/* True when the value is new. */
static inline bool order_count(struct order_table *table, double value)
{
    uint32_t i = order_home(table, value + 0.0); /* −0 becomes 0 */
    while (table->counts[i] && table->values[i] != value)
        i = (i + 1) & table->mask;
    table->values[i] = value + 0.0;
    return table->counts[i]++ == 0;
}

/* True when that was the last of it. Those behind move up, so that nothing dead stays in the way. */
static inline bool order_uncount(struct order_table *table, double value)
{
    uint32_t i = order_home(table, value + 0.0);
    while (table->values[i] != value || !table->counts[i])
        i = (i + 1) & table->mask;
    if (--table->counts[i])
        return false;
    for (uint32_t next = (i + 1) & table->mask; table->counts[next]; next = (next + 1) & table->mask) {
        uint32_t home = order_home(table, table->values[next]);
        if (((next - home) & table->mask) < ((next - i) & table->mask))
            continue; /* it stands between its home and here */
        table->values[i] = table->values[next];
        table->counts[i] = table->counts[next];
        table->counts[next] = 0;
        i = next;
    }
    return true;
}
#endif
