/* SPDX-License-Identifier: MIT */
#include "parts/window_slices.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"

enum { CAPACITY_FIRST = 4, VALUES_MOST = UINT32_MAX };

struct slice {
    int64_t number;
    uint64_t records;
    struct window_values fields[];
};

static size_t slice_size(uint32_t fields)
{
    return sizeof(struct slice) + fields * sizeof(struct window_values);
}

static struct slice *slice_at(const struct window_slices *slices, uint32_t fields, uint32_t i)
{
    return (struct slice *)(void *)(slices->items + i * slice_size(fields));
}

/* How many slices lie before `number`. Most records are of the newest slices. */
static uint32_t count_before(const struct window_slices *slices, uint32_t fields, int64_t number)
{
    uint32_t low = 0, high = slices->count;
    if (high && slice_at(slices, fields, high - 1)->number < number)
        return high;
    if (high && slice_at(slices, fields, high - 1)->number == number)
        return high - 1;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (slice_at(slices, fields, middle)->number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct slice *find(const struct window_slices *slices, uint32_t fields, int64_t number)
{
    const uint32_t i = count_before(slices, fields, number);
    struct slice *slice = i < slices->count ? slice_at(slices, fields, i) : NULL;
    return slice && slice->number == number ? slice : NULL;
}

static bool grow(struct window_slices *slices, struct weir_env *env, uint32_t fields)
{
    const uint32_t capacity = slices->capacity ? 2 * slices->capacity : CAPACITY_FIRST;
    const size_t more = (capacity - slices->capacity) * slice_size(fields);
    if (!weir_state_take(env, more))
        return false;
    char *items = memory_resize(slices->items, capacity * slice_size(fields));
    if (!items) {
        weir_state_give(env, more);
        return false;
    }
    slices->items = items;
    slices->capacity = capacity;
    return true;
}

/* The slice of that number, which is made if there is none; NULL: no memory. */
static struct slice *obtain(struct window_slices *slices, struct weir_env *env, uint32_t fields, int64_t number)
{
    struct slice *slice = find(slices, fields, number);
    if (slice)
        return slice;
    if (slices->count == slices->capacity && !grow(slices, env, fields))
        return NULL;
    const uint32_t at = count_before(slices, fields, number);
    slice = slice_at(slices, fields, at);
    memmove(slice_at(slices, fields, at + 1), slice, (slices->count++ - at) * slice_size(fields));
    memset(slice, 0, slice_size(fields));
    slice->number = number;
    return slice;
}

bool window_slices_reserve(struct window_slices *slices, struct weir_env *env, uint32_t fields, int64_t number,
                           const double *values)
{
    struct slice *slice = NULL;
    for (uint32_t f = 0; f < fields; f++) {
        if (isnan(values[f]))
            continue;
        slice = slice ? slice : obtain(slices, env, fields, number);
        if (!slice || window_values_reserve(&slice->fields[f], env, 1, VALUES_MOST, false) != WINDOW_ROOM)
            return false;
    }
    return true;
}

void window_slices_add(struct window_slices *slices, uint32_t fields, int64_t number, const double *values)
{
    struct slice *slice = find(slices, fields, number);
    if (!slice) /* they are all null */
        return;
    slice->records++;
    slices->records++;
    for (uint32_t f = 0; f < fields; f++)
        window_values_add(&slice->fields[f], values[f]);
}

uint64_t window_slices_gather(const struct window_slices *slices, uint32_t fields, uint32_t field, int64_t first,
                              int64_t end, double *out)
{
    uint64_t count = 0;
    for (uint32_t i = count_before(slices, fields, first); i < slices->count; i++) {
        const struct slice *slice = slice_at(slices, fields, i);
        const struct window_values *values = &slice->fields[field];
        if (slice->number >= end)
            break;
        if (out && values->count)
            memcpy(out + count, values->values, values->count * sizeof *out);
        count += values->count;
    }
    return count;
}

void window_slices_drop(struct window_slices *slices, struct weir_env *env, uint32_t fields, int64_t first)
{
    uint32_t gone = 0;
    for (; gone < slices->count && slice_at(slices, fields, gone)->number < first; gone++) {
        slices->records -= slice_at(slices, fields, gone)->records;
        for (uint32_t f = 0; f < fields; f++)
            window_values_free(&slice_at(slices, fields, gone)->fields[f], env);
    }
    slices->count -= gone;
    if (gone)
        memmove(slices->items, slice_at(slices, fields, gone), slices->count * slice_size(fields));
}

void window_slices_free(struct window_slices *slices, struct weir_env *env, uint32_t fields)
{
    window_slices_drop(slices, env, fields, INT64_MAX);
    weir_state_give(env, slices->capacity * slice_size(fields));
    memory_free(slices->items);
    *slices = (struct window_slices){0};
}
