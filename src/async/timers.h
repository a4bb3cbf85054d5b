/* SPDX-License-Identifier: MIT */
/*
 * Timers. Most programs wait for few different lengths of time (a period, a timeout), so that most deadlines come in
 * ascending order, in a few series: these stand in runs, lists to whose end a deadline is appended when it is not
 * before the last one there, as in patience sorting. What fits no run stands in a heap, four children to a node (one
 * cache line). So a timer of the usual kind costs no search, with hundreds of thousands of them as with ten.
 *
 * Who may wait owns a timer, a number, for as long as it likes. One that is set to later than its entry leaves the
 * entry where it is, and one that is cleared too; when such an entry comes to the top it is put right. A timer set to
 * earlier leaves its run, or its entry in the heap is dead: there are never more entries than twice the timers, so
 * setting cannot fail.
 */
#ifndef ASYNC_TIMERS_H
#define ASYNC_TIMERS_H

#include <stdbool.h>
#include <stdint.h>

struct timer_entry {
    int64_t deadline;
    uint32_t timer, serial; /* dead when the timer's serial is another */
};
struct timer {
    void *target;
    int64_t wanted;  /* INT64_MAX: not set */
    int64_t entered; /* deadline of its live entry; INT64_MAX: it has none */
    uint32_t serial;
    uint32_t next, previous; /* in its run; next: among those that are free */
    uint8_t run;             /* TIMERS_RUNS: it is in none */
};
enum { TIMERS_RUNS = 8, TIMERS_MOST = 1 << 22 };
struct timers {
    struct timer_entry *heap;
    struct timer *timers;
    int64_t heads[TIMERS_RUNS], tails[TIMERS_RUNS]; /* deadlines; of one that is empty INT64_MAX and INT64_MIN */
    uint32_t firsts[TIMERS_RUNS], lasts[TIMERS_RUNS];
    uint32_t in_runs;
    uint32_t entries, entry_capacity;     /* of the heap */
    uint32_t count, capacity, first_free; /* free timers are linked; UINT32_MAX ends the list */
    uint32_t serial;
};

void timers_init(struct timers *timers);
void timers_done(struct timers *timers);
/* A new one for target. -ENOMEM. */
int timers_take(struct timers *timers, void *target, uint32_t *ret);
void timers_give(struct timers *timers, uint32_t timer);
void timers_set(struct timers *timers, uint32_t timer, int64_t deadline);
static inline void timers_clear(struct timers *timers, uint32_t timer)
{
    timers->timers[timer].wanted = INT64_MAX;
}
/* False: none is set. True: perhaps. */
static inline bool timers_any(const struct timers *timers)
{
    return timers->in_runs || timers->entries;
}
/* The earliest deadline that is set, INT64_MAX: none. */
int64_t timers_next(struct timers *timers);
/* Takes the earliest timer whose deadline has come, clears it, and returns its target; NULL: none. Those of the same
 * deadline come in the order in which they were set. */
void *timers_expire(struct timers *timers, int64_t now);

#endif
