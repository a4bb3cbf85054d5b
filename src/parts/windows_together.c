/* SPDX-License-Identifier: MIT */
#include "parts/windows_together.h"

#include <math.h>

#include "base/memory.h"

enum { SCRATCH_LEAST = 64 };

/* The slices that a window is made of: [*ret_first, *ret_end). */
static void slices_of(const struct windows *windows, int64_t start, int64_t *ret_first, int64_t *ret_end)
{
    const struct windows_options *options = &windows->options;
    const int64_t number = (start - options->offset) / options->every;
    *ret_first = number * windows->slices;
    *ret_end = (number + options->window / options->every) * windows->slices + (windows->slices == 2);
}

int64_t windows_slice(const struct windows *windows, int64_t number, int64_t time)
{
    const struct windows_options *options = &windows->options;
    const int64_t into = time - options->offset - number * options->every;
    return windows->slices == 1 ? number : 2 * number + (into >= options->window % options->every);
}

void windows_drop_slices(const struct windows *windows, struct weir_env *env, struct window_state *state, int64_t start)
{
    int64_t first, end;
    if (!windows->shares)
        return;
    slices_of(windows, start, &first, &end);
    if (state->open)
        window_slices_drop(&state->slices, env, windows->options.fields, first);
    else
        window_slices_free(&state->slices, env, windows->options.fields);
}

static uint64_t gather(const struct windows *windows, const struct window_state *state, const struct window_pane *pane,
                       uint32_t field, double *out)
{
    int64_t first, end;
    slices_of(windows, pane->start, &first, &end);
    return window_slices_gather(&state->slices, windows->options.fields, field, first, end, out);
}

bool windows_have_values(const struct windows *windows, const struct window_state *state,
                         const struct window_pane *pane)
{
    for (uint32_t f = 0; f < windows->options.fields; f++)
        if (gather(windows, state, pane, f, NULL))
            return true;
    return false;
}

/* The pane takes a copy of its values, as it is not to have what comes to the slices from now on. False: no memory. */
static bool take_own(const struct windows *windows, struct weir_env *env, const struct window_state *state,
                     struct window_pane *pane)
{
    const struct windows_options *options = &windows->options;
    for (uint32_t f = 0; f < options->fields; f++) {
        struct window_values *values = windows_values(windows, pane, f), own = {0};
        const uint64_t count = gather(windows, state, pane, f, NULL);
        if (window_values_reserve(&own, env, count, options->most_values, false) != WINDOW_ROOM) {
            for (; f-- > 0;) { /* as they were: the counts alone */
                values = windows_values(windows, pane, f);
                const uint32_t kept = values->count;
                window_values_free(values, env);
                values->count = kept;
            }
            return false;
        }
        own.count = (uint32_t)gather(windows, state, pane, f, own.values);
        *values = own;
    }
    pane->own = true;
    return true;
}

bool windows_reserve_scratch(struct windows *windows, struct weir_env *env, uint32_t count)
{
    if (count <= windows->scratch_capacity)
        return true;
    const uint32_t capacity = count < SCRATCH_LEAST ? SCRATCH_LEAST : count + count / 4;
    const size_t more = (capacity - windows->scratch_capacity) * sizeof *windows->scratch;
    if (!weir_state_take(env, more))
        return false;
    double *scratch = memory_resize(windows->scratch, capacity * sizeof *scratch);
    if (!scratch) {
        weir_state_give(env, more);
        return false;
    }
    windows->scratch = scratch;
    windows->scratch_capacity = capacity;
    return true;
}

void windows_free_scratch(struct windows *windows, struct weir_env *env)
{
    weir_state_give(env, windows->scratch_capacity * sizeof *windows->scratch);
    memory_free(windows->scratch);
    windows->scratch = NULL;
    windows->scratch_capacity = 0;
}

bool windows_room_together(struct windows *windows, struct weir_env *env, const struct window_state *state,
                           struct window_pane *pane, const struct windows_record *record)
{
    const struct windows_options *options = &windows->options;
    for (uint32_t f = 0; f < options->fields; f++) {
        const struct window_values *values = windows_values(windows, pane, f);
        if (isnan(record->values[f]))
            continue;
        if (values->count == options->most_values) /* it is full, and the others are not */
            return take_own(windows, env, state, pane);
        if (!windows_reserve_scratch(windows, env, values->count + 1))
            return false;
    }
    return true;
}

void windows_work_out(const struct windows *windows, const struct window_state *state, const struct window_pane *pane,
                      double *results)
{
    const struct windows_options *options = &windows->options;
    for (uint32_t f = 0; f < options->fields; f++, results += 1 + options->quantiles) {
        const struct window_values *kept = windows_values(windows, pane, f);
        double *values = pane->own ? kept->values : windows->scratch;
        if (!pane->own)
            (void)gather(windows, state, pane, f, values);
        quantile_sort(values, kept->count);
        for (uint32_t q = 0; q < options->quantiles; q++)
            results[1 + q] = quantile_at(values, kept->count, options->ranks[q]);
        results[0] = quantile_distinct(values, kept->count);
    }
}
