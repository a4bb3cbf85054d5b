/* SPDX-License-Identifier: MIT */
#include "parts/window_values.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "data/kernel_quantile.h"

enum { CAPACITY_LEAST = 8 };

/* capacity: no less than there is. */
static bool grow(struct window_values *values, struct weir_env *env, uint32_t capacity)
{
    const size_t more = (size_t)(capacity - values->capacity) * sizeof(double);
    if (!weir_state_take(env, more))
        return false;
    double *grown = memory_resize(values->values, capacity * sizeof(double));
    if (!grown) {
        weir_state_give(env, more);
        return false;
    }
    values->values = grown;
    values->capacity = capacity;
    return true;
}

enum window_room window_values_reserve(struct window_values *values, struct weir_env *env, uint64_t more, uint32_t most,
                                       bool distinct)
{
    if (values->count + more <= values->capacity)
        return WINDOW_ROOM;
    if (distinct && values->different < values->count) {
        quantile_sort(values->values, values->count);
        values->count = values->different = quantile_distinct(values->values, values->count);
        if (values->count + more <= values->capacity / 2) /* else the next one would soon come to this too */
            return WINDOW_ROOM;
    }
    if (values->count + more > most)
        return WINDOW_ROOM_OVER_MOST;
    uint64_t wanted = values->capacity ? (uint64_t)values->capacity * 2 : CAPACITY_LEAST;
    uint64_t little = values->count + more + values->capacity / 16; /* where there is no memory for as much again */
    wanted = wanted < values->count + more ? values->count + more : wanted;
    if (grow(values, env, (uint32_t)(wanted < most ? wanted : most)) || values->count + more <= values->capacity ||
        grow(values, env, (uint32_t)(little < most ? little : most)))
        return WINDOW_ROOM;
    return WINDOW_ROOM_NO_MEMORY;
}

bool window_values_known(const struct window_values *values, double value)
{
    uint32_t low = 0, high = values->different;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (values->values[middle] < value)
            low = middle + 1;
        else
            high = middle;
    }
    return low < values->different && values->values[low] == value;
}

void window_values_add(struct window_values *values, double value)
{
    if (!isnan(value))
        values->values[values->count++] = value + 0.0; /* −0 becomes 0 */
}

void window_values_merge(struct window_values *values, struct weir_env *env, struct window_values *from)
{
    if (from->count)
        memcpy(values->values + values->count, from->values, from->count * sizeof(double));
    values->count += from->count;
    window_values_free(from, env);
}

void window_values_free(struct window_values *values, struct weir_env *env)
{
    weir_state_give(env, values->capacity * sizeof(double));
    memory_free(values->values);
    *values = (struct window_values){0};
}
