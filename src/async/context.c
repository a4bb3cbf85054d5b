/* SPDX-License-Identifier: MIT */
/* Waiting on a thread; a task's waits go on to task.c and descriptors.c. */
#include "async/context.h"

#include "async/runtime.h"
#include "base/clock.h"

#include <errno.h>
#include <poll.h>

int64_t context_clock_now(struct context_clock *clock)
{
    return clock->simulated ? atomic_load_explicit(&clock->now, memory_order_relaxed) : clock_monotonic();
}

int64_t weir_now(struct weir_context *context)
{
    return context_clock_now(context->clock);
}

static int64_t real_wall(struct context_clock *clock)
{
    if (!clock->simulated)
        return clock_wall();
    return CONTEXT_SIMULATED_WALL + context_clock_now(clock) - CONTEXT_SIMULATED_START +
           atomic_load_explicit(&clock->wall_set, memory_order_relaxed);
}

int64_t weir_wall_time(struct weir_context *context)
{
    struct context_clock *clock = context->clock;
    pthread_mutex_lock(&clock->lock);
    int64_t wall = real_wall(clock); /* first: whoever loses the processor here is behind, not ahead for good */
    int64_t steady = clock_steady_at(&clock->wall, wall, context_clock_now(clock));
    pthread_mutex_unlock(&clock->lock);
    return steady;
}

bool weir_stopping(struct weir_context *context)
{
    if (context->task)
        return task_stopping(context->task);
    return context->cancelled && atomic_load_explicit(context->cancelled, memory_order_acquire);
}

int64_t context_begin_wait(struct weir_context *context)
{
    int64_t now = weir_now(context);
    atomic_store_explicit(&context->waiting_since, now, memory_order_relaxed);
    return now;
}

void context_end_wait(struct weir_context *context, int64_t since)
{
    atomic_store_explicit(&context->waiting_since, 0, memory_order_relaxed);
    atomic_fetch_add_explicit(&context->waited_ns, weir_now(context) - since, memory_order_relaxed);
}

int64_t context_waited(struct weir_context *context)
{
    int64_t since = atomic_load_explicit(&context->waiting_since, memory_order_relaxed);
    int64_t waited = atomic_load_explicit(&context->waited_ns, memory_order_relaxed);
    return since ? waited + weir_now(context) - since : waited;
}

bool context_park(struct weir_context *context, int64_t deadline_ns)
{
    if (context->task)
        return task_park(context->task, deadline_ns);
    int64_t since = context_begin_wait(context);
    bool woken = waiter_park(context->waiter, deadline_ns);
    context_end_wait(context, since);
    return woken;
}

int64_t context_next_idle(struct weir_context *context)
{
    if (!context->idle)
        return INT64_MAX;
    if (weir_now(context) >= context->idle_at)
        context->idle(context);
    return context->idle_at;
}

int weir_sleep_until(struct weir_context *context, int64_t when_ns)
{
    if (context->task)
        return task_sleep_until(context->task, when_ns);
    while (weir_now(context) < when_ns) {
        if (weir_stopping(context))
            return -ECANCELED;
        int64_t idle_at = context_next_idle(context);
        context_park(context, when_ns < idle_at ? when_ns : idle_at);
    }
    return weir_stopping(context) ? -ECANCELED : 0;
}

int weir_sleep(struct weir_context *context, int64_t duration_ns)
{
    int64_t now = weir_now(context), when = duration_ns > INT64_MAX - now ? INT64_MAX : now + duration_ns;
    return context->task && when > now ? task_sleep(context->task, when) : weir_sleep_until(context, when);
}

/* polled has room for one more than count: the descriptor that says cancelled. */
static int poll_once(struct weir_context *context, struct pollfd *polled, uint32_t count, int64_t deadline_ns)
{
    int64_t left = deadline_ns == WEIR_NEVER ? INT64_MAX : deadline_ns - clock_monotonic();
    if (left <= 0)
        left = 0;
    int64_t slice = context->cancel_fd >= 0 ? CLOCK_SECOND * 60 : CLOCK_MILLISECOND * 50;
    int64_t idle_at = context_next_idle(context), until_idle = idle_at - clock_monotonic();
    if (until_idle < slice)
        slice = until_idle > 0 ? until_idle : 0;
    if (left < slice)
        slice = left;
    struct timespec timeout = {.tv_sec = slice / CLOCK_SECOND, .tv_nsec = slice % CLOCK_SECOND};
    polled[count] = (struct pollfd){.fd = context->cancel_fd, .events = POLLIN};
    int ready = ppoll(polled, context->cancel_fd >= 0 ? count + 1 : count, &timeout, NULL);
    if (ready < 0 && errno != EINTR)
        return -errno;
    if (ready > 0 && context->cancel_fd >= 0 && polled[count].revents)
        ready--;
    if (ready > 0)
        return ready;
    return left == 0 ? -ETIMEDOUT : 0;
}

int context_poll(struct weir_context *context, struct pollfd *polled, uint32_t count, int64_t deadline_ns)
{
    int64_t since = context_begin_wait(context);
    int result;
    do
        result = weir_stopping(context) ? -ECANCELED : poll_once(context, polled, count, deadline_ns);
    while (result == 0);
    context_end_wait(context, since);
    return result;
}

int weir_wait_fd(struct weir_context *context, int fd, short events, int64_t deadline_ns)
{
    struct pollfd polled[2] = {{.fd = fd, .events = events}};
    if (context->clock->simulated)
        return 0; /* real descriptors know no simulated time: they count as ready */
    int ready = context->task ? task_poll(context->task, polled, 1, deadline_ns)
                              : context_poll(context, polled, 1, deadline_ns);
    return ready > 0 ? 0 : ready;
}

void weir_burn(struct weir_context *context, int64_t duration_ns)
{
    if (context->clock->simulated) {
        atomic_fetch_add_explicit(&context->clock->now, duration_ns, memory_order_relaxed);
        return;
    }
    int64_t end = clock_monotonic() + duration_ns;
    while (clock_monotonic() < end) {
        for (volatile int i = 0; i < 50; i++) {
        }
    }
}
