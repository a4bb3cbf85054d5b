/* SPDX-License-Identifier: MIT */
/*
 * The one primitive that waits: park until somebody wakes. One thread (or machine) parks on a waiter, any may wake it.
 * A wake before the park is not lost: the next park returns at once. Wakes do not add up.
 *
 *     consumer: while (!have_work()) waiter_park(w, deadline);      producer: add_work(); waiter_wake(w);
 *
 * On threads a waiter is a futex. In the simulated runner it is a flag that makes its machine runnable. A loop that
 * waits in epoll parks with waiter_begin_poll and waiter_end_poll: then a wake writes to its eventfd.
 */
#ifndef BASE_WAITER_H
#define BASE_WAITER_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct weir_waiter {
    _Atomic uint32_t state; /* private */
    /* Hooks of the simulated runner; NULL on threads. park is called by the parking machine, and may switch away. */
    void (*park_hook)(struct weir_waiter *waiter, int64_t deadline_ns);
    void *owner;
};
void waiter_init(struct weir_waiter *waiter);
/* Waits for a wake or until clock_monotonic() reaches deadline_ns (INT64_MAX: no deadline). True: woken. */
bool waiter_park(struct weir_waiter *waiter, int64_t deadline_ns);
void waiter_wake(struct weir_waiter *waiter);         /* any thread; cheap when nobody is parked */
bool waiter_parked(const struct weir_waiter *waiter); /* a hint: somebody is in park right now */
bool waiter_woken(const struct weir_waiter *waiter);  /* a wake is pending, which no park has taken yet */
/* The two halves of a park for one that waits for descriptors too, `event_fd` (an eventfd, blocking, at 0) among them.
 * begin: false: a wake was pending, and is taken; do not wait. After a true one, end: true: woken; the eventfd is at 0
 * again, and nobody will write to it any more. */
bool waiter_begin_poll(struct weir_waiter *waiter, int event_fd);
bool waiter_end_poll(struct weir_waiter *waiter, int event_fd);
/* Takes back a pending wake if there is one (for polling loops and the simulated runner). */
bool waiter_take(struct weir_waiter *waiter);
#endif
