/* SPDX-License-Identifier: MIT */
/*
 * Timers: a heap of deadlines, four children to a node (one cache line), so that hundreds of thousands stand in few
 * levels. Who may wait owns a timer, a number, for as long as it likes; setting and clearing it costs no search:
 * a timer that is set to later than its entry in the heap leaves the entry where it is, and one that is cleared too;
 * when such an entry comes to the top it is put right. A timer set to earlier gets a new entry and the old one is dead;
 * there are never more entries than twice the timers, so setting cannot fail.
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
    uint32_t next_free;
};
struct timers {
    struct timer_entry *heap;
    struct timer *timers;
    uint32_t entries, entry_capacity;
    uint32_t count, capacity, first_free; /* free timers are linked; UINT32_MAX ends the list */
    uint32_t serial;
};

enum { TIMERS_MOST = 1 << 22 };
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
/* The earliest deadline that is set, INT64_MAX: none. */
int64_t timers_next(struct timers *timers);
/* Takes the earliest timer whose deadline has come, clears it, and returns its target; NULL: none. Those of the same
 * deadline come in the order in which they were set. */
void *timers_expire(struct timers *timers, int64_t now);

#endif
