/* SPDX-License-Identifier: MIT */
#include "base/waiter.h"
#include "base/clock.h"
#include <errno.h>
#include <linux/futex.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/*
 *            park                 wake                       (wake while WOKEN: nothing)
 *   IDLE ───────────► PARKED ───────────► WOKEN
 *     ▲                  │ deadline          │ park returns, or take
 *     └──────────────────┴───────────────────┘
 *
 * POLLING is PARKED in epoll_wait, with the number of the eventfd in the state itself: the waker that takes it from
 * there writes to that eventfd, and to no other field of a waiter that may be gone by then. Whoever polls and finds
 * itself woken waits for that write, so the descriptor is not closed under the waker's hands.
 *
 * Every wake is one exchange, also when a wake is pending already: it orders what was written before the wake ahead
 * of the park that takes it. A plain look at the state first would need a fence to be right, and would cost as much.
 */
enum { IDLE, WOKEN, PARKED, POLLING, STATE_BITS = 2, STATE_MASK = 3 };
enum { HOOKED = PARKED | 1 << STATE_BITS }; /* parked by a hook: nothing to do but to say so */

void waiter_init(struct weir_waiter *waiter)
{
    atomic_init(&waiter->state, IDLE);
    waiter->park_hook = NULL;
    waiter->owner = NULL;
}

bool waiter_take(struct weir_waiter *waiter)
{
    uint32_t state = WOKEN;

    return atomic_compare_exchange_strong(&waiter->state, &state, IDLE);
}

/* 0, or ETIMEDOUT, EAGAIN (the state changed before we slept), EINTR. */
static int futex_wait(struct weir_waiter *waiter, int64_t deadline_ns)
{
    struct timespec until = {.tv_sec = deadline_ns / CLOCK_SECOND, .tv_nsec = deadline_ns % CLOCK_SECOND};
    long result = syscall(SYS_futex, &waiter->state, FUTEX_WAIT_BITSET_PRIVATE, PARKED,
                          deadline_ns == INT64_MAX ? NULL : &until, NULL, FUTEX_BITSET_MATCH_ANY);

    return result == 0 ? 0 : errno;
}

bool waiter_park(struct weir_waiter *waiter, int64_t deadline_ns)
{
    uint32_t state = IDLE;

    if (!atomic_compare_exchange_strong(&waiter->state, &state, waiter->park_hook ? HOOKED : PARKED))
        return atomic_exchange(&waiter->state, IDLE) == WOKEN;
    if (waiter->park_hook) {
        waiter->park_hook(waiter, deadline_ns);
        return atomic_exchange(&waiter->state, IDLE) == WOKEN;
    }
    if (deadline_ns < 0)
        deadline_ns = 0;
    while (atomic_load(&waiter->state) == PARKED) {
        if (futex_wait(waiter, deadline_ns) == ETIMEDOUT)
            break;
    }
    return atomic_exchange(&waiter->state, IDLE) == WOKEN; /* a wake that came with the deadline counts */
}

bool waiter_begin_poll(struct weir_waiter *waiter, int event_fd)
{
    uint32_t state = IDLE;

    if (atomic_compare_exchange_strong(&waiter->state, &state, POLLING | (uint32_t)event_fd << STATE_BITS))
        return true;
    atomic_exchange(&waiter->state, IDLE);
    return false;
}

bool waiter_end_poll(struct weir_waiter *waiter, int event_fd)
{
    eventfd_t value;

    if (atomic_exchange(&waiter->state, IDLE) != WOKEN)
        return false;
    while (eventfd_read(event_fd, &value) < 0 && errno == EINTR) {
    }
    return true;
}

void waiter_wake(struct weir_waiter *waiter)
{
    /* No look at the fields: a waiter may be gone as soon as its owner sees the wake. Waking an address on which
     * nobody waits any more does no harm. */
    uint32_t state = atomic_exchange(&waiter->state, WOKEN);

    if (state == PARKED)
        syscall(SYS_futex, &waiter->state, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    else if ((state & STATE_MASK) == POLLING)
        (void)eventfd_write((int)(state >> STATE_BITS), 1);
}

bool waiter_woken(const struct weir_waiter *waiter)
{
    return atomic_load(&waiter->state) == WOKEN;
}

bool waiter_parked(const struct weir_waiter *waiter)
{
    return atomic_load_explicit(&waiter->state, memory_order_relaxed) >= PARKED;
}
