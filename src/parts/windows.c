/* SPDX-License-Identifier: MIT */
#include "parts/windows.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "parts/windows_together.h"

enum { CAPACITY_MOST = 1 << 24 }; /* panes of a key, when others hold event time back */

struct window_mark {
    int64_t end;
    struct window_state *state;
    uint64_t serial; /* of the pane; another one in the slot: the mark is stale */
    uint32_t slot;   /* of a session */
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
    windows->trends_at = sizeof(struct window_pane) + options->fields * sizeof(struct aggregate_cell);
    windows->values_at = windows->trends_at + options->trends * options->fields * sizeof(struct aggregate_trend);
    windows->pane_size = windows->values_at + options->values * options->fields * sizeof(struct window_values);
    windows->state_size = sizeof(struct window_state) + options->key_values * sizeof(uint64_t) +
                          options->most_open * windows->pane_size;
    windows->results_at = windows->pane_size + options->key_values * sizeof(uint64_t);
    windows->closed_size = windows->results_at +
                           options->values * options->fields * (1 + options->quantiles) * sizeof(double);
    windows->shares = options->values && !options->distinct && !options->gap && options->window > options->every;
    windows->slices = windows->shares && options->window % options->every ? 2 : 1;
}

static uint32_t capacity_of(const struct windows *windows, const struct window_state *state)
{
    return state->more ? state->capacity : windows->options.most_open;
}

static struct window_pane *pane_at(const struct windows *windows, struct window_state *state, uint32_t slot)
{
    char *panes = state->more ? state->more : (char *)(state->values + windows->options.key_values);
    return (struct window_pane *)(void *)(panes + slot * windows->pane_size);
}

static int64_t floor_divide(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

static uint32_t pane_slot(const struct windows *windows, struct window_state *state, const struct window_pane *pane)
{
    return (uint32_t)((size_t)((const char *)pane - (const char *)pane_at(windows, state, 0)) / windows->pane_size);
}

/* The number of a window that begins at `start`. */
static int64_t number_of(const struct windows *windows, int64_t start)
{
    return (start - windows->options.offset) / windows->options.every;
}

/* The slot that a window would be in if it were the only one. */
static uint32_t slot_of(const struct windows *windows, const struct window_state *state, int64_t number)
{
    const int64_t most = windows->options.most_open;
    if (!state->more)
        return (uint32_t)(number - floor_divide(number, most) * most);
    return (uint32_t)((uint64_t)number * UINT64_C(0x9e3779b97f4a7c15) >> (64 - __builtin_ctz(state->capacity)));
}

/* The open pane of a window, or NULL. */
static struct window_pane *find_window(const struct windows *windows, struct window_state *state, int64_t number)
{
    const int64_t start = number * windows->options.every + windows->options.offset;
    const uint32_t capacity = capacity_of(windows, state);
    uint32_t slot = slot_of(windows, state, number);
    for (uint32_t i = 0; i <= state->reach; i++, slot = slot + 1 < capacity ? slot + 1 : 0) {
        struct window_pane *pane = pane_at(windows, state, slot);
        if (pane->serial && pane->start == start)
            return pane;
    }
    return NULL;
}

/* The free pane for a window that has none; not all are open. */
static struct window_pane *free_pane(const struct windows *windows, struct window_state *state, int64_t number)
{
    const uint32_t capacity = capacity_of(windows, state);
    uint32_t slot = slot_of(windows, state, number), away = 0;
    struct window_pane *pane = pane_at(windows, state, slot);
    for (; pane->serial; pane = pane_at(windows, state, slot), away++)
        slot = slot + 1 < capacity ? slot + 1 : 0;
    state->reach = away > state->reach ? away : state->reach;
    return pane;
}

/* The pane of a mark; NULL: it is closed already, or went up in another. */
static struct window_pane *marked_pane(const struct windows *windows, const struct window_mark *mark)
{
    struct window_pane *pane = NULL;
    if (!windows->options.gap)
        pane = find_window(windows, mark->state, number_of(windows, mark->end - windows->options.window));
    else if (mark->slot < capacity_of(windows, mark->state))
        pane = pane_at(windows, mark->state, mark->slot);
    return pane && pane->serial == mark->serial ? pane : NULL;
}

static void free_values(const struct windows *windows, struct weir_env *env, struct window_pane *pane)
{
    for (uint32_t f = 0; windows->options.values && f < windows->options.fields; f++)
        window_values_free(windows_values(windows, pane, f), env);
}

void windows_free(struct windows *windows, struct weir_env *env)
{
    for (size_t i = 0; windows->options.values && i < windows->heap_count; i++) { /* each open pane has a mark */
        struct window_pane *pane = marked_pane(windows, &windows->heap[i]);
        if (pane)
            free_values(windows, env, pane);
        window_slices_free(&windows->heap[i].state->slices, env, windows->options.fields);
    }
    windows_free_scratch(windows, env);
    for (size_t i = 0; i < windows->grown_count; i++) {
        weir_state_give(env, windows->grown[i]->capacity * windows->pane_size);
        memory_free(windows->grown[i]->more);
        windows->grown[i]->more = NULL;
    }
    memory_free(windows->grown);
    memory_free(windows->heap);
    memory_free(windows->closed);
    memory_free(windows->order);
    *windows = (struct windows){0};
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

/* ---- More panes than a key has of itself ------------------------------------------------------------------------ */

/* Windows find their new slots; sessions stay in theirs. */
static void move_panes(const struct windows *windows, struct window_state *state, struct window_state *from)
{
    for (uint32_t slot = 0, left = from->open; left; slot++) {
        const struct window_pane *pane = pane_at(windows, from, slot);
        if (!pane->serial)
            continue;
        struct window_pane *to = windows->options.gap ? pane_at(windows, state, slot)
                                                      : free_pane(windows, state, number_of(windows, pane->start));
        memcpy(to, pane, windows->pane_size);
        left--;
    }
}

/* Other panes for a key, more than are open. False: there is no memory. */
static bool resize(struct windows *windows, struct weir_env *env, struct window_state *state, uint32_t capacity)
{
    const size_t size = capacity * windows->pane_size;
    if (capacity > CAPACITY_MOST)
        return false;
    if (!state->more &&
        reserve(&windows->grown, &windows->grown_capacity, windows->grown_count + 1, sizeof(struct window_state *)) < 0)
        return false;
    if (!weir_state_take(env, size))
        return false;
    char *more = memory_zeroed(capacity, windows->pane_size);
    if (!more) {
        weir_state_give(env, size);
        return false;
    }
    struct window_state *from = state, before = *state; /* without the panes behind it */
    if (state->more)
        from = &before;
    else
        windows->grown[state->place = (uint32_t)windows->grown_count++] = state;
    struct window_state *grown = &(struct window_state){.more = more, .capacity = capacity};
    move_panes(windows, grown, from);
    if (before.more)
        weir_state_give(env, before.capacity * windows->pane_size);
    memory_free(before.more);
    state->more = more;
    state->capacity = capacity;
    state->reach = grown->reach;
    return true;
}

/* Before one more pane is opened, for the window of that number or for a session. Of panes that were asked for, a
 * quarter is free, so that windows are near their slots. */
static bool have_pane(struct windows *windows, struct weir_env *env, struct window_state *state, int64_t number)
{
    const uint32_t capacity = capacity_of(windows, state);
    bool room = state->open < capacity;
    if (state->more)
        room = state->open < capacity / 4 * 3;
    else if (!windows->options.gap)
        room = !pane_at(windows, state, slot_of(windows, state, number))->serial;
    if (room)
        return true;
    uint32_t wanted = 16;
    while (wanted / 4 * 3 <= state->open)
        wanted *= 2;
    return resize(windows, env, state, wanted);
}

/* After panes were closed: gives back what is not needed. */
static void settle(struct windows *windows, struct weir_env *env, struct window_state *state)
{
    if (!state->open)
        state->reach = state->latest = 0;
    if (!state->more)
        return;
    if (state->open) {
        if (!windows->options.gap && state->capacity >= 64 && state->open == state->capacity / 8)
            (void)resize(windows, env, state, state->capacity / 2);
        return;
    }
    struct window_state *last = windows->grown[--windows->grown_count];
    windows->grown[last->place = state->place] = last;
    weir_state_give(env, state->capacity * windows->pane_size);
    memory_free(state->more);
    state->more = NULL;
    memset(pane_at(windows, state, 0), 0, windows->options.most_open * windows->pane_size);
}

/* ---- Closing ---------------------------------------------------------------------------------------------------- */

static bool is_past(const struct windows *windows, int64_t end, int64_t watermark)
{
    return end + windows->options.lateness <= watermark;
}

static int reserve_closed(struct windows *windows, size_t more)
{
    return reserve(&windows->closed, &windows->closed_capacity, windows->closed_count + more, windows->closed_size);
}

/* There is room for the row. */
static void close_pane(struct windows *windows, struct weir_env *env, struct window_state *state,
                       struct window_pane *pane)
{
    char *row = windows->closed + windows->closed_count++ * windows->closed_size;
    if (windows->options.values)
        windows_work_out(windows, state, pane, (double *)(void *)(row + windows->results_at));
    free_values(windows, env, pane);
    memcpy(row, pane, windows->pane_size);
    memcpy(row + windows->pane_size, state->values, windows->options.key_values * sizeof(uint64_t));
    pane->serial = 0;
    state->open--;
}

/* Window by window from the earliest on; false: there are more in between than there are panes. */
static bool close_in_turn(struct windows *windows, struct weir_env *env, struct window_state *state, int64_t watermark)
{
    const struct windows_options *options = &windows->options;
    if (options->gap)
        return false;
    const int64_t first = number_of(windows, state->earliest - options->window);
    const int64_t last = floor_divide(watermark - options->lateness - options->window - options->offset,
                                      options->every);
    const int64_t until = last + 1;
    if ((uint64_t)until - (uint64_t)first > capacity_of(windows, state))
        return false;
    for (int64_t number = first; number < until; number++) {
        struct window_pane *pane = find_window(windows, state, number);
        if (pane)
            close_pane(windows, env, state, pane);
    }
    state->earliest = until * options->every + options->offset + options->window;
    return true;
}

/* Closes what is past of one key, and finds out when to look again. */
static int close_past(struct windows *windows, struct weir_env *env, struct window_state *state, int64_t watermark)
{
    int64_t earliest = INT64_MAX;
    if (reserve_closed(windows, state->open) < 0)
        return -ENOMEM;
    bool done = close_in_turn(windows, env, state, watermark);
    for (uint32_t slot = 0, left = done ? 0 : state->open; left; slot++) {
        struct window_pane *pane = pane_at(windows, state, slot);
        if (!pane->serial)
            continue;
        left--;
        if (is_past(windows, pane->end, watermark))
            close_pane(windows, env, state, pane);
        else
            earliest = pane->end < earliest ? pane->end : earliest;
    }
    state->earliest = done ? state->earliest : earliest;
    windows_drop_slices(windows, env, state, state->open ? state->earliest - windows->options.window : 0);
    settle(windows, env, state);
    return 0;
}

int windows_close(struct windows *windows, struct weir_env *env, int64_t watermark, size_t most)
{
    size_t count = 0;
    windows->until = INT64_MAX;
    for (int64_t end = INT64_MIN; windows->heap_count && is_past(windows, windows->heap[0].end, watermark);) {
        if (count >= most && windows->heap[0].end > end) {
            windows->until = end;
            return 1;
        }
        if (reserve_closed(windows, 1) < 0)
            return -ENOMEM;
        struct window_mark mark = pop_mark(windows);
        struct window_pane *pane = marked_pane(windows, &mark);
        if (!pane)
            continue;
        if (is_past(windows, pane->end, watermark) && pane->end == mark.end) {
            close_pane(windows, env, mark.state, pane);
            windows_drop_slices(windows, env, mark.state, pane->start + windows->options.every); /* its earliest went */
            settle(windows, env, mark.state);
            end = mark.end;
            count++;
            continue;
        }
        mark.end = pane->end; /* a session that went on */
        if (push_mark(windows, mark) < 0)
            return -ENOMEM;
    }
    if (!windows->heap_count)
        windows_free_scratch(windows, env);
    return 0;
}

/* ---- Adding ----------------------------------------------------------------------------------------------------- */

/* For a record that is to be let in. */
static void open_pane(struct windows *windows, struct window_state *state, struct window_pane *pane, int64_t start,
                      int64_t end)
{
    memset(pane, 0, windows->pane_size);
    pane->start = start;
    pane->end = end;
    pane->serial = ++windows->serial;
    pane->position = UINT64_MAX;
    pane->produced = INT64_MIN;
    pane->own = !windows->shares || windows_have_values(windows, state, pane); /* it begins with none */
    state->earliest = !state->open || end < state->earliest ? end : state->earliest;
    state->open++;
}

/* Whether the values of a record, and those of another pane if there is one, have room in this one. */
static int make_room(const struct windows *windows, struct weir_env *env, struct window_pane *pane,
                     const struct window_pane *other, const struct windows_record *record)
{
    static const int verdicts[] = {WINDOWS_TAKEN, WINDOWS_OVER_MOST, WINDOWS_NO_MEMORY};
    const struct windows_options *options = &windows->options;
    for (uint32_t f = 0; options->values && pane->own && f < options->fields; f++) {
        struct window_values *values = windows_values(windows, pane, f);
        const double value = record->values[f];
        uint64_t more = !isnan(value) && !(options->distinct && window_values_known(values, value));
        more += other ? windows_values(windows, other, f)->count : 0;
        enum window_room room = more ? window_values_reserve(values, env, more, options->most_values, options->distinct)
                                     : WINDOW_ROOM;
        if (room != WINDOW_ROOM)
            return verdicts[room];
    }
    return WINDOWS_TAKEN;
}

static int mark_pane(struct windows *windows, struct window_state *state, const struct window_pane *pane)
{
    return push_mark(windows, (struct window_mark){.end = pane->end,
                                                   .state = state,
                                                   .serial = pane->serial,
                                                   .slot = pane_slot(windows, state, pane)});
}

/* Makes room as make_room does. A pane that was opened for the record has a mark from then on; without room it is
 * closed again, and leaves nothing in the heap. A verdict, or -ENOMEM. */
static int let_in(struct windows *windows, struct weir_env *env, struct window_state *state, struct window_pane *pane,
                  const struct window_pane *other, const struct windows_record *record)
{
    int verdict = make_room(windows, env, pane, other, record);
    if (pane->records)
        return verdict;
    if (verdict == WINDOWS_TAKEN)
        verdict = mark_pane(windows, state, pane) < 0 ? -ENOMEM : WINDOWS_TAKEN;
    if (verdict != WINDOWS_TAKEN) {
        free_values(windows, env, pane);
        pane->serial = 0;
        state->open--;
        settle(windows, env, state);
    }
    return verdict;
}

/* There is room. */
static void put_record(const struct windows *windows, struct window_pane *pane, const struct windows_record *record)
{
    const struct windows_options *options = &windows->options;
    pane->records++;
    pane->position = record->position < pane->position ? record->position : pane->position;
    pane->produced = record->produced > pane->produced ? record->produced : pane->produced;
    for (uint32_t f = 0; f < options->fields; f++)
        aggregate_add(&pane->cells[f], record->time, record->values[f]);
    for (uint32_t f = 0; options->trends && f < options->fields; f++)
        aggregate_trend_add(windows_trend(windows, pane, f), &pane->cells[f], record->time, record->values[f]);
    for (uint32_t f = 0; options->values && f < options->fields; f++) {
        struct window_values *values = windows_values(windows, pane, f);
        if (!pane->own)
            values->count += !isnan(record->values[f]);
        else if (!(options->distinct && window_values_known(values, record->values[f])))
            window_values_add(values, record->values[f]);
    }
}

/* Into a window that the time lies in. A verdict, or -ENOMEM. */
static int add_to_window(struct windows *windows, struct weir_env *env, struct window_state *state, int64_t number,
                         const struct windows_record *record, bool *ret_shared)
{
    const struct windows_options *options = &windows->options;
    struct window_pane *pane = find_window(windows, state, number);
    if (!pane) {
        const int64_t start = number * options->every + options->offset;
        if (!have_pane(windows, env, state, number))
            return WINDOWS_FULL;
        pane = free_pane(windows, state, number);
        open_pane(windows, state, pane, start, start + options->window);
    }
    int verdict = let_in(windows, env, state, pane, NULL, record);
    if (verdict == WINDOWS_TAKEN) {
        put_record(windows, pane, record);
        *ret_shared |= !pane->own;
    }
    return verdict;
}

/* Room for a record's values where windows keep them together, from window `number` down. A verdict. */
static int share_values(struct windows *windows, struct weir_env *env, struct window_state *state, int64_t number,
                        const struct windows_record *record)
{
    const struct windows_options *options = &windows->options;
    const int64_t slice = windows_slice(windows, number, record->time);
    if (!windows_reserve_scratch(windows, env, 1) ||
        !window_slices_reserve(&state->slices, env, options->fields, slice, record->values))
        return WINDOWS_NO_MEMORY;
    const uint64_t all = state->slices.records + 1; /* no window has more */
    if (all <= options->most_values && windows_reserve_scratch(windows, env, (uint32_t)all))
        return WINDOWS_TAKEN;
    for (;; number--) {
        const int64_t end = number * options->every + options->offset + options->window;
        if (end <= record->time || is_past(windows, end, record->watermark))
            return WINDOWS_TAKEN;
        struct window_pane *pane = find_window(windows, state, number);
        if (pane && !pane->own && !windows_room_together(windows, env, state, pane, record))
            return WINDOWS_NO_MEMORY;
    }
}

/* All windows that the time lies in, the newest first. */
static int add_to_windows(struct windows *windows, struct weir_env *env, struct window_state *state,
                          const struct windows_record *record)
{
    const struct windows_options *options = &windows->options;
    const int64_t newest = floor_divide(record->time - options->offset, options->every);
    const int64_t newest_end = newest * options->every + options->offset + options->window;
    uint64_t taken = 0, missing = 0;
    bool shared = false;
    int verdict = WINDOWS_LATE;
    if (is_past(windows, newest_end, record->watermark))
        return WINDOWS_LATE;
    int room = windows->shares ? share_values(windows, env, state, newest, record) : WINDOWS_TAKEN, here = 0;
    for (int64_t number = newest; room == WINDOWS_TAKEN; number--) {
        int64_t end = number * options->every + options->offset + options->window;
        if (end <= record->time || is_past(windows, end, record->watermark))
            break;
        here = add_to_window(windows, env, state, number, record, &shared);
        if (here < 0)
            break;
        taken += here == WINDOWS_TAKEN;
        missing += here != WINDOWS_TAKEN;
        verdict = here == WINDOWS_TAKEN || verdict == WINDOWS_LATE ? here : verdict;
    }
    if (shared && here >= 0)
        window_slices_add(&state->slices, options->fields, windows_slice(windows, newest, record->time),
                          record->values);
    if (!state->open)
        window_slices_free(&state->slices, env, options->fields);
    if (here < 0)
        return here;
    if (taken)
        windows->missing += missing;
    return taken ? WINDOWS_TAKEN : room != WINDOWS_TAKEN ? room : verdict;
}

/* There is room. */
static void unite(const struct windows *windows, struct weir_env *env, struct window_pane *pane,
                  struct window_pane *other)
{
    const struct windows_options *options = &windows->options;
    pane->end = other->end > pane->end ? other->end : pane->end;
    pane->records += other->records;
    pane->position = other->position < pane->position ? other->position : pane->position;
    pane->produced = other->produced > pane->produced ? other->produced : pane->produced;
    for (uint32_t f = 0; f < options->fields; f++) {
        if (options->trends)
            aggregate_trend_merge(windows_trend(windows, pane, f), &pane->cells[f], windows_trend(windows, other, f),
                                  &other->cells[f]);
        aggregate_merge(&pane->cells[f], &other->cells[f]);
        if (options->values)
            window_values_merge(windows_values(windows, pane, f), env, windows_values(windows, other, f));
    }
}

/* The sessions that [start, end) touches, the earlier first: at most two, since each is as long as it at least. Returns
 * how many. Where time goes on, it is the latest one or none. */
static uint32_t find_sessions(const struct windows *windows, struct window_state *state, int64_t start, int64_t end,
                              struct window_pane *found[2])
{
    uint32_t count = 0;
    struct window_pane *latest = pane_at(windows, state, state->latest);
    if (state->open && start >= latest->start) {
        found[0] = latest;
        return start < latest->end;
    }
    for (uint32_t slot = 0, left = state->open; left; slot++) {
        struct window_pane *pane = pane_at(windows, state, slot);
        left -= pane->serial != 0;
        if (pane->serial && pane->start < end && pane->end > start && count < 2)
            found[count++] = pane;
    }
    if (count == 2 && found[1]->start < found[0]->start) {
        struct window_pane *early = found[1];
        found[1] = found[0];
        found[0] = early;
    }
    return count;
}

/* Not all are open. */
static struct window_pane *open_session(struct windows *windows, struct window_state *state, int64_t start, int64_t end)
{
    const uint32_t capacity = capacity_of(windows, state);
    uint32_t slot = state->latest < capacity ? state->latest : 0;
    while (pane_at(windows, state, slot)->serial)
        slot = slot + 1 < capacity ? slot + 1 : 0;
    struct window_pane *pane = pane_at(windows, state, slot);
    open_pane(windows, state, pane, start, end);
    return pane;
}

static int add_to_session(struct windows *windows, struct weir_env *env, struct window_state *state,
                          const struct windows_record *record)
{
    int64_t start = record->time, end = start + windows->options.gap;
    struct window_pane *found[2] = {NULL, NULL};
    if (is_past(windows, end, record->watermark))
        return WINDOWS_LATE;
    const uint32_t count = find_sessions(windows, state, start, end, found);
    if (!count && !have_pane(windows, env, state, 0))
        return WINDOWS_FULL;
    struct window_pane *pane = count ? found[0] : open_session(windows, state, start, end);
    struct window_pane *other = count == 2 ? found[1] : NULL;
    int verdict = let_in(windows, env, state, pane, other, record);
    if (verdict != WINDOWS_TAKEN)
        return verdict;
    if (other) {
        unite(windows, env, pane, other);
        other->serial = 0;
        state->open--;
    }
    pane->start = start < pane->start ? start : pane->start;
    pane->end = end > pane->end ? end : pane->end;
    put_record(windows, pane, record);
    struct window_pane *latest = pane_at(windows, state, state->latest);
    if (!latest->serial || pane->end >= latest->end)
        state->latest = pane_slot(windows, state, pane);
    return WINDOWS_TAKEN;
}

int windows_add(struct windows *windows, struct weir_env *env, struct window_state *state,
                const struct windows_record *record)
{
    const struct windows_options *options = &windows->options;
    const int64_t span = options->gap + options->window + options->every + options->offset + options->lateness;
    if (record->time > INT64_MAX - span || record->time < INT64_MIN + span)
        return WINDOWS_OUT_OF_RANGE;
    if (state->open && is_past(windows, state->earliest, record->watermark) &&
        close_past(windows, env, state, record->watermark) < 0)
        return -ENOMEM;
    return options->gap > 0 ? add_to_session(windows, env, state, record) : add_to_windows(windows, env, state, record);
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
