/* SPDX-License-Identifier: MIT */
#include "async/timers.h"

#include "base/memory.h"

#include <errno.h>

enum { ARITY = 4, NONE = -1 };

void timers_init(struct timers *timers)
{
    *timers = (struct timers){.first_free = UINT32_MAX};
}

void timers_done(struct timers *timers)
{
    memory_free(timers->heap);
    memory_free(timers->timers);
    timers_init(timers);
}

/* Room for twice the timers in the heap, before there are that many. */
static int grow(struct timers *timers)
{
    uint32_t capacity = timers->capacity ? timers->capacity * 2 : 16;
    if (capacity > TIMERS_MOST)
        return -ENOMEM;
    struct timer *grown = memory_resize(timers->timers, capacity * sizeof *grown);
    if (!grown)
        return -ENOMEM;
    timers->timers = grown;
    if (timers->entry_capacity < 2 * capacity) {
        struct timer_entry *heap = memory_resize(timers->heap, 2 * capacity * sizeof *heap);
        if (!heap)
            return -ENOMEM;
        timers->heap = heap;
        timers->entry_capacity = 2 * capacity;
    }
    timers->capacity = capacity;
    return 0;
}

int timers_take(struct timers *timers, void *target, uint32_t *ret)
{
    uint32_t index = timers->first_free;
    if (index != UINT32_MAX) {
        timers->first_free = timers->timers[index].next_free;
    } else {
        int error = timers->count == timers->capacity ? grow(timers) : 0;
        if (error < 0)
            return error;
        index = timers->count++;
        timers->timers[index].serial = timers->serial++;
    }
    struct timer *timer = &timers->timers[index];
    timer->target = target;
    timer->wanted = timer->entered = INT64_MAX;
    *ret = index;
    return 0;
}

void timers_give(struct timers *timers, uint32_t index)
{
    struct timer *timer = &timers->timers[index];
    timer->target = NULL;
    timer->wanted = timer->entered = INT64_MAX;
    timer->serial = timers->serial++; /* its entry is dead */
    timer->next_free = timers->first_free;
    timers->first_free = index;
}

/* Serials count up: of two entries with one deadline the older comes first. */
static bool before(const struct timer_entry *a, const struct timer_entry *b)
{
    return a->deadline < b->deadline || (a->deadline == b->deadline && (int32_t)(a->serial - b->serial) < 0);
}

static void sift_up(struct timers *timers, uint32_t at, struct timer_entry entry)
{
    while (at > 0) {
        uint32_t parent = (at - 1) / ARITY;
        if (!before(&entry, &timers->heap[parent]))
            break;
        timers->heap[at] = timers->heap[parent];
        at = parent;
    }
    timers->heap[at] = entry;
}

/* The hole at `at` moves down along the smallest children, then the entry up from the bottom, where it mostly belongs.
 */
static void sift_down(struct timers *timers, uint32_t at, struct timer_entry entry)
{
    for (;;) {
        uint32_t first = at * ARITY + 1, least = first;
        if (first >= timers->entries)
            break;
        uint32_t end = first + ARITY < timers->entries ? first + ARITY : timers->entries;
        for (uint32_t child = first + 1; child < end; child++)
            if (before(&timers->heap[child], &timers->heap[least]))
                least = child;
        timers->heap[at] = timers->heap[least];
        at = least;
    }
    sift_up(timers, at, entry);
}

static bool alive(const struct timers *timers, const struct timer_entry *entry)
{
    return timers->timers[entry->timer].serial == entry->serial;
}

/* Drops the dead entries and orders the rest. */
static void compact(struct timers *timers)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < timers->entries; i++)
        if (alive(timers, &timers->heap[i]))
            timers->heap[kept++] = timers->heap[i];
    timers->entries = kept;
    for (uint32_t i = 1; i < kept; i++)
        sift_up(timers, i, timers->heap[i]);
}

static void enter(struct timers *timers, uint32_t index, int64_t deadline)
{
    struct timer *timer = &timers->timers[index];
    if (timers->entries == timers->entry_capacity)
        compact(timers); /* at most one live entry a timer, and room for twice as many */
    timer->serial = timers->serial++;
    timer->entered = deadline;
    struct timer_entry entry = {.deadline = deadline, .timer = index, .serial = timer->serial};
    sift_up(timers, timers->entries++, entry);
}

void timers_set(struct timers *timers, uint32_t index, int64_t deadline)
{
    struct timer *timer = &timers->timers[index];
    timer->wanted = deadline;
    if (deadline < timer->entered)
        enter(timers, index, deadline);
}

static void drop_top(struct timers *timers)
{
    struct timer_entry last = timers->heap[--timers->entries];
    if (timers->entries)
        sift_down(timers, 0, last);
}

/* Until the top is an entry that means what it says. */
static void settle(struct timers *timers)
{
    while (timers->entries) {
        const struct timer_entry top = timers->heap[0];
        struct timer *timer = &timers->timers[top.timer];
        if (timer->serial == top.serial && timer->wanted == top.deadline)
            return;
        drop_top(timers);
        if (timer->serial != top.serial)
            continue;
        timer->entered = INT64_MAX;
        if (timer->wanted != INT64_MAX)
            enter(timers, top.timer, timer->wanted);
    }
}

int64_t timers_next(struct timers *timers)
{
    settle(timers);
    return timers->entries ? timers->heap[0].deadline : INT64_MAX;
}

void *timers_expire(struct timers *timers, int64_t now)
{
    settle(timers);
    if (!timers->entries || timers->heap[0].deadline > now)
        return NULL;
    struct timer *timer = &timers->timers[timers->heap[0].timer];
    drop_top(timers);
    timer->wanted = timer->entered = INT64_MAX;
    return timer->target;
}
