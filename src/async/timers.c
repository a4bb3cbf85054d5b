/* SPDX-License-Identifier: MIT */
#include "async/timers.h"

#include "base/memory.h"

#include <errno.h>

#define NO_TIMER UINT32_MAX

enum { ARITY = 4, HEAP = TIMERS_RUNS, NOWHERE = -1 }; /* where the earliest stands: a run, the heap */

void timers_init(struct timers *timers)
{
    *timers = (struct timers){.first_free = NO_TIMER};
    for (int run = 0; run < TIMERS_RUNS; run++) {
        timers->heads[run] = INT64_MAX;
        timers->tails[run] = INT64_MIN;
        timers->firsts[run] = timers->lasts[run] = NO_TIMER;
    }
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
    if (index != NO_TIMER) {
        timers->first_free = timers->timers[index].next;
    } else {
        int error = timers->count == timers->capacity ? grow(timers) : 0;
        if (error < 0)
            return error;
        index = timers->count++;
        timers->timers[index].serial = timers->serial++;
        timers->timers[index].run = TIMERS_RUNS;
    }
    struct timer *timer = &timers->timers[index];
    timer->target = target;
    timer->wanted = timer->entered = INT64_MAX;
    *ret = index;
    return 0;
}

/* ---- Runs ---- */

static void leave_run(struct timers *timers, struct timer *timer)
{
    uint8_t run = timer->run;
    if (timer->previous != NO_TIMER) {
        timers->timers[timer->previous].next = timer->next;
    } else {
        timers->firsts[run] = timer->next;
        timers->heads[run] = timer->next != NO_TIMER ? timers->timers[timer->next].entered : INT64_MAX;
    }
    if (timer->next != NO_TIMER) {
        timers->timers[timer->next].previous = timer->previous;
    } else {
        timers->lasts[run] = timer->previous;
        timers->tails[run] = timer->previous != NO_TIMER ? timers->timers[timer->previous].entered : INT64_MIN;
    }
    timer->run = TIMERS_RUNS;
    timers->in_runs--;
}

/* The run whose last deadline is the latest of those that are not behind this one, so that the ends of the runs stay
 * apart, each following a series of its own; TIMERS_RUNS: all of them have gone further. */
static uint8_t run_for(const struct timers *timers, int64_t deadline)
{
    uint8_t best = TIMERS_RUNS;
    int64_t latest = INT64_MIN;
    for (uint8_t run = 0; run < TIMERS_RUNS; run++) {
        int64_t tail = timers->tails[run];
        bool fits = tail <= deadline && tail >= latest;
        latest = fits ? tail : latest;
        best = fits ? run : best;
    }
    return best;
}

static void append(struct timers *timers, uint32_t index, uint8_t run)
{
    struct timer *timer = &timers->timers[index];
    timer->run = run;
    timer->next = NO_TIMER;
    timer->previous = timers->lasts[run];
    if (timer->previous != NO_TIMER) {
        timers->timers[timer->previous].next = index;
    } else {
        timers->firsts[run] = index;
        timers->heads[run] = timer->entered;
    }
    timers->lasts[run] = index;
    timers->tails[run] = timer->entered;
    timers->in_runs++;
}

void timers_give(struct timers *timers, uint32_t index)
{
    struct timer *timer = &timers->timers[index];
    if (timer->run < TIMERS_RUNS)
        leave_run(timers, timer);
    timer->target = NULL;
    timer->wanted = timer->entered = INT64_MAX;
    timer->serial = timers->serial++; /* an entry in the heap is dead */
    timer->next = timers->first_free;
    timers->first_free = index;
}

/* ---- The heap ---- */

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

/* ---- Both ---- */

static void enter(struct timers *timers, uint32_t index, int64_t deadline)
{
    struct timer *timer = &timers->timers[index];
    if (timer->run < TIMERS_RUNS)
        leave_run(timers, timer);
    timer->serial = timers->serial++;
    timer->entered = deadline;
    uint8_t run = run_for(timers, deadline);
    if (run < TIMERS_RUNS) {
        append(timers, index, run);
        return;
    }
    if (timers->entries == timers->entry_capacity)
        compact(timers); /* at most one live entry a timer, and room for twice as many */
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

/* The earliest entry, dead or alive; NOWHERE: there is none. */
static int earliest(const struct timers *timers, struct timer_entry *ret)
{
    int where = NOWHERE;
    struct timer_entry best = {.deadline = INT64_MAX};
    for (int run = 0; run < TIMERS_RUNS; run++) {
        if (timers->firsts[run] == NO_TIMER || timers->heads[run] > best.deadline)
            continue;
        uint32_t first = timers->firsts[run];
        struct timer_entry entry = {timers->heads[run], first, timers->timers[first].serial};
        if (where == NOWHERE || before(&entry, &best)) {
            best = entry;
            where = run;
        }
    }
    if (timers->entries && (where == NOWHERE || before(&timers->heap[0], &best))) {
        best = timers->heap[0];
        where = HEAP;
    }
    *ret = best;
    return where;
}

static void take_out(struct timers *timers, int where, struct timer *timer)
{
    if (where == HEAP)
        drop_top(timers);
    else
        leave_run(timers, timer);
}

/* Until the earliest is an entry that means what it says: where it stands. */
static int settle(struct timers *timers, struct timer_entry *ret)
{
    int where;
    while ((where = earliest(timers, ret)) != NOWHERE) {
        struct timer *timer = &timers->timers[ret->timer];
        bool lives = alive(timers, ret);
        if (lives && timer->wanted == ret->deadline)
            break;
        take_out(timers, where, timer);
        if (!lives)
            continue;
        timer->entered = INT64_MAX;
        if (timer->wanted != INT64_MAX)
            enter(timers, ret->timer, timer->wanted);
    }
    return where;
}

int64_t timers_next(struct timers *timers)
{
    struct timer_entry top;
    return settle(timers, &top) == NOWHERE ? INT64_MAX : top.deadline;
}

void *timers_expire(struct timers *timers, int64_t now)
{
    struct timer_entry top;
    int where = settle(timers, &top);
    if (where == NOWHERE || top.deadline > now)
        return NULL;
    struct timer *timer = &timers->timers[top.timer];
    take_out(timers, where, timer);
    timer->wanted = timer->entered = INT64_MAX;
    return timer->target;
}
