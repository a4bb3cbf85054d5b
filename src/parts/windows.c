/* SPDX-License-Identifier: MIT */
#include "parts/windows.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

struct window_mark {
    int64_t end;
    struct window_state *state;
    uint64_t serial; /* of the pane; another one in the slot: the mark is stale */
    uint32_t slot;
};

uint32_t windows_most_open(const struct windows_options *options, int64_t delay)
{
    int64_t step = options->gap > 0 ? options->gap : options->every, span;
    if (__builtin_add_overflow(options->lateness, delay, &span) ||
        __builtin_add_overflow(span, options->gap > 0 ? options->gap : options->window, &span))
        return 0;
    return span / step + 2 > WINDOWS_OPEN_MOST ? 0 : (uint32_t)(span / step) + 2;
}

void windows_init(struct windows *windows, const struct windows_options *options)
{
    *windows = (struct windows){.options = *options};
    windows->pane_size = sizeof(struct window_pane) + options->fields * sizeof(struct aggregate_cell);
    windows->state_size = sizeof(struct window_state) + options->key_values * sizeof(uint64_t) +
                          options->most_open * windows->pane_size;
    windows->closed_size = windows->pane_size + options->key_values * sizeof(uint64_t);
}

void windows_free(struct windows *windows)
{
    memory_free(windows->heap);
    memory_free(windows->closed);
    memory_free(windows->order);
    *windows = (struct windows){0};
}

static struct window_pane *pane_at(const struct windows *windows, struct window_state *state, uint32_t slot)
{
    char *panes = (char *)(state->values + windows->options.key_values);
    return (struct window_pane *)(void *)(panes + slot * windows->pane_size);
}

/* Room for one more item at least, at least doubling. */
static int reserve(void *array, size_t *capacity, size_t count, size_t size)
{
    void *items;
    if (count <= *capacity)
        return 0;
    size_t room = *capacity ? *capacity * 2 : 64;
    room = room > count ? room : count;
    memcpy(&items, array, sizeof items);
    items = memory_resize(items, room * size);
    if (!items)
        return -ENOMEM;
    memcpy(array, &items, sizeof items);
    *capacity = room;
    return 0;
}

/* ---- The heap: marks by end ------------------------------------------------------------------------------------- */

static int push_mark(struct windows *windows, struct window_mark mark)
{
    if (reserve(&windows->heap, &windows->heap_capacity, windows->heap_count + 1, sizeof *windows->heap) < 0)
        return -ENOMEM;
    size_t at = windows->heap_count++;
    for (size_t above; at > 0 && windows->heap[above = (at - 1) / 2].end > mark.end; at = above)
        windows->heap[at] = windows->heap[above];
    windows->heap[at] = mark;
    return 0;
}

static struct window_mark pop_mark(struct windows *windows)
{
    struct window_mark first = windows->heap[0], last = windows->heap[--windows->heap_count];
    size_t at = 0, count = windows->heap_count;
    for (size_t below; (below = 2 * at + 1) < count; at = below) {
        below += below + 1 < count && windows->heap[below + 1].end < windows->heap[below].end;
        if (windows->heap[below].end >= last.end)
            break;
        windows->heap[at] = windows->heap[below];
    }
    if (count)
        windows->heap[at] = last;
    return first;
}

/* ---- Closing ---------------------------------------------------------------------------------------------------- */

static bool is_past(const struct windows *windows, int64_t end, int64_t watermark)
{
    return end + windows->options.lateness <= watermark;
}

static int close_pane(struct windows *windows, struct window_state *state, struct window_pane *pane)
{
    if (reserve(&windows->closed, &windows->closed_capacity, windows->closed_count + 1, windows->closed_size) < 0)
        return -ENOMEM;
    char *row = windows->closed + windows->closed_count++ * windows->closed_size;
    memcpy(row, pane, windows->pane_size);
    memcpy(row + windows->pane_size, state->values, windows->options.key_values * sizeof(uint64_t));
    pane->serial = 0;
    state->open--;
    return 0;
}

/* Closes what is past of one key, and finds out when to look again. */
static int close_past(struct windows *windows, struct window_state *state, int64_t watermark)
{
    int64_t earliest = INT64_MAX;
    for (uint32_t slot = 0; slot < windows->options.most_open && state->open; slot++) {
        struct window_pane *pane = pane_at(windows, state, slot);
        if (!pane->serial)
            continue;
        if (!is_past(windows, pane->end, watermark))
            earliest = pane->end < earliest ? pane->end : earliest;
        else if (close_pane(windows, state, pane) < 0)
            return -ENOMEM;
    }
    state->earliest = earliest;
    return 0;
}

int windows_close(struct windows *windows, int64_t watermark, size_t most)
{
    size_t count = 0;
    windows->until = INT64_MAX;
    for (int64_t end = INT64_MIN; windows->heap_count && is_past(windows, windows->heap[0].end, watermark);) {
        if (count >= most && windows->heap[0].end > end) {
            windows->until = end;
            return 1;
        }
        struct window_mark mark = pop_mark(windows);
        struct window_pane *pane = pane_at(windows, mark.state, mark.slot);
        if (pane->serial != mark.serial)
            continue;
        if (is_past(windows, pane->end, watermark) && pane->end == mark.end) {
            if (close_pane(windows, mark.state, pane) < 0)
                return -ENOMEM;
            end = mark.end;
            count++;
            continue;
        }
        mark.end = pane->end; /* a session that went on */
        if (push_mark(windows, mark) < 0)
            return -ENOMEM;
    }
    return 0;
}

/* ---- Adding ----------------------------------------------------------------------------------------------------- */

static int open_pane(struct windows *windows, struct window_state *state, uint32_t slot, int64_t start, int64_t end)
{
    struct window_pane *pane = pane_at(windows, state, slot);
    struct window_mark mark = {.end = end, .state = state, .serial = ++windows->serial, .slot = slot};
    if (push_mark(windows, mark) < 0)
        return -ENOMEM;
    memset(pane, 0, windows->pane_size);
    pane->start = start;
    pane->end = end;
    pane->serial = mark.serial;
    pane->position = UINT64_MAX;
    pane->produced = INT64_MIN;
    state->earliest = !state->open || end < state->earliest ? end : state->earliest;
    state->open++;
    return 0;
}

static void put_record(const struct windows *windows, struct window_pane *pane, const struct windows_record *record)
{
    pane->records++;
    pane->position = record->position < pane->position ? record->position : pane->position;
    pane->produced = record->produced > pane->produced ? record->produced : pane->produced;
    for (uint32_t f = 0; f < windows->options.fields; f++)
        aggregate_add(&pane->cells[f], record->time, record->values[f]);
}

static int64_t floor_divide(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

/* All windows that the time lies in, the newest first. */
static int add_to_windows(struct windows *windows, struct window_state *state, const struct windows_record *record)
{
    const struct windows_options *options = &windows->options;
    int64_t number = floor_divide(record->time - options->offset, options->every), most = options->most_open;
    int verdict = WINDOWS_LATE;
    for (;; number--) {
        int64_t start = number * options->every + options->offset, end = start + options->window;
        if (end <= record->time || is_past(windows, end, record->watermark))
            return verdict;
        uint32_t slot = (uint32_t)(number - floor_divide(number, most) * most);
        struct window_pane *pane = pane_at(windows, state, slot);
        if (!pane->serial && open_pane(windows, state, slot, start, end) < 0)
            return -ENOMEM;
        if (pane->start == start) {
            put_record(windows, pane, record);
            verdict = WINDOWS_TAKEN;
        } else if (verdict == WINDOWS_LATE) {
            verdict = WINDOWS_FULL;
        }
    }
}

static void unite(const struct windows *windows, struct window_pane *pane, const struct window_pane *other)
{
    pane->end = other->end > pane->end ? other->end : pane->end;
    pane->records += other->records;
    pane->position = other->position < pane->position ? other->position : pane->position;
    pane->produced = other->produced > pane->produced ? other->produced : pane->produced;
    for (uint32_t f = 0; f < windows->options.fields; f++)
        aggregate_merge(&pane->cells[f], &other->cells[f]);
}

/* The session that [start, end) belongs to, of two the earlier, which then takes in the later; NULL: none. */
static struct window_pane *find_session(const struct windows *windows, struct window_state *state, int64_t start,
                                        int64_t end, uint32_t *ret_free)
{
    struct window_pane *found = NULL;
    for (uint32_t slot = 0, seen = 0; slot < windows->options.most_open; slot++) {
        struct window_pane *pane = pane_at(windows, state, slot);
        if (!pane->serial) {
            *ret_free = *ret_free == UINT32_MAX ? slot : *ret_free;
            if (seen == state->open)
                break;
            continue;
        }
        seen++;
        if (pane->start >= end || pane->end <= start)
            continue;
        if (found) {
            struct window_pane *early = found->start < pane->start ? found : pane;
            struct window_pane *late = early == found ? pane : found;
            unite(windows, early, late);
            late->serial = 0;
            state->open--;
            seen--;
            found = early;
        } else {
            found = pane;
        }
    }
    return found;
}

static int add_to_session(struct windows *windows, struct window_state *state, const struct windows_record *record)
{
    int64_t start = record->time, end = start + windows->options.gap;
    uint32_t slot = UINT32_MAX;
    if (is_past(windows, end, record->watermark))
        return WINDOWS_LATE;
    struct window_pane *pane = find_session(windows, state, start, end, &slot);
    if (!pane && slot == UINT32_MAX)
        return WINDOWS_FULL;
    if (!pane) {
        if (open_pane(windows, state, slot, start, end) < 0)
            return -ENOMEM;
        pane = pane_at(windows, state, slot);
    }
    pane->start = start < pane->start ? start : pane->start;
    pane->end = end > pane->end ? end : pane->end;
    put_record(windows, pane, record);
    return WINDOWS_TAKEN;
}

int windows_add(struct windows *windows, struct window_state *state, const struct windows_record *record)
{
    const struct windows_options *options = &windows->options;
    const int64_t span = options->gap + options->window + options->every + options->offset + options->lateness;
    if (record->time > INT64_MAX - span || record->time < INT64_MIN + span)
        return WINDOWS_OUT_OF_RANGE;
    if (state->open && is_past(windows, state->earliest, record->watermark) &&
        close_past(windows, state, record->watermark) < 0)
        return -ENOMEM;
    return options->gap > 0 ? add_to_session(windows, state, record) : add_to_windows(windows, state, record);
}

/* ---- On the way out --------------------------------------------------------------------------------------------- */

static const char *row_at(const struct windows *windows, size_t i)
{
    return windows->closed + i * windows->closed_size;
}

static int compare_rows(const void *a, const void *b, void *owner)
{
    const struct windows *windows = owner;
    size_t places[2];
    memcpy(&places[0], a, sizeof places[0]);
    memcpy(&places[1], b, sizeof places[1]);
    const char *rows[] = {row_at(windows, places[0]), row_at(windows, places[1])};
    const struct window_pane *x = (const void *)rows[0], *y = (const void *)rows[1];
    if (x->end != y->end)
        return x->end < y->end ? -1 : 1;
    if (x->position != y->position)
        return x->position < y->position ? -1 : 1;
    if (x->start != y->start)
        return x->start < y->start ? -1 : 1;
    return memcmp(rows[0] + windows->pane_size, rows[1] + windows->pane_size,
                  windows->options.key_values * sizeof(uint64_t));
}

int windows_sort(struct windows *windows)
{
    if (reserve(&windows->order, &windows->order_capacity, windows->closed_count, sizeof *windows->order) < 0)
        return -ENOMEM;
    for (size_t i = 0; i < windows->closed_count; i++)
        windows->order[i] = i;
    if (windows->closed_count > 1)
        qsort_r(windows->order, windows->closed_count, sizeof *windows->order, compare_rows, windows);
    windows->sorted_count = windows->out_count = windows->closed_count;
    while (windows->out_count && windows_closed(windows, windows->out_count - 1)->end > windows->until)
        windows->out_count--;
    return 0;
}

/* What was put aside since they were sorted stays. */
void windows_forget_closed(struct windows *windows)
{
    size_t kept = 0;
    for (size_t i = 0; i < windows->closed_count; i++) {
        const struct window_pane *pane = (const void *)row_at(windows, i);
        if (i < windows->sorted_count && pane->end <= windows->until)
            continue;
        if (kept != i)
            memcpy(windows->closed + kept * windows->closed_size, row_at(windows, i), windows->closed_size);
        kept++;
    }
    windows->closed_count = kept;
    windows->sorted_count = windows->out_count = 0;
}
