/* SPDX-License-Identifier: MIT */
#include "async/runtime.h"

#include "base/clock.h"
#include "base/memory.h"

#include <errno.h>

enum {
    TIMERS_AT_ONCE = 16,
    SWITCHES_A_TURN = 64,                    /* until the loop looks at the clock */
    POLL_EVERY_NS = 100 * 1000,              /* descriptors, while tasks are ready */
    TURNS_A_VISIT = 64,                      /* simulated: until the other machines may go on */
    CANCEL_LOOK_NS = 50 * CLOCK_MILLISECOND, /* an outer context without a descriptor that says cancelled */
};

/* ---- Ready tasks ---- */

static bool any_ready(const struct loop *loop)
{
    return loop->only ? loop->only->state == TASK_READY : loop->ready_first != loop->ready_end;
}

/* The one that may run, wherever it stands in the ring. */
struct weir_task *loop_take_only(struct loop *loop)
{
    if (loop->only->state != TASK_READY)
        return NULL;
    uint32_t at = loop->ready_first;
    while (loop->ready[at & loop->ready_mask] != loop->only)
        at++;
    for (; at != loop->ready_first; at--)
        loop->ready[at & loop->ready_mask] = loop->ready[(at - 1) & loop->ready_mask];
    loop->ready_first++;
    return loop->only;
}

/* ---- Notices from other threads ---- */

void loop_notify(struct loop *loop, struct loop_notice *notice)
{
    if (!atomic_exchange(&notice->queued, true)) {
        notice->next = atomic_load_explicit(&loop->notices, memory_order_relaxed);
        while (!atomic_compare_exchange_weak(&loop->notices, &notice->next, notice)) {
        }
    }
    waiter_wake(loop->outer->waiter);
}

static void take_notices(struct loop *loop)
{
    if (!atomic_load_explicit(&loop->notices, memory_order_relaxed))
        return;
    struct loop_notice *notice = atomic_exchange(&loop->notices, NULL);
    while (notice) {
        struct loop_notice *next = notice->next;
        atomic_store(&notice->queued, false); /* from here on it may be queued again */
        weir_event_signal(&notice->event, true);
        notice = next;
    }
}

void loop_forget(struct loop *loop, struct loop_notice *notice)
{
    if (atomic_load(&notice->queued))
        take_notices(loop);
}

/* ---- The phases of a turn ---- */

static void hear_of_cancellation(struct loop *loop)
{
    if (weir_stopping(loop->outer))
        weir_scope_cancel(&loop->root);
}

/* Nothing runs between the expiry of one and this, so what it points to is still there; if it was woken meanwhile by
 * another, that is as well. */
static void fire_timer(void *target)
{
    if ((uintptr_t)target & 1)
        scope_expired((struct weir_scope *)((char *)target - 1));
    else
        task_wake(target, -ETIMEDOUT);
}

static void fire_timers(struct loop *loop)
{
    if (!timers_any(&loop->timers))
        return;
    int64_t now = context_clock_now(loop->outer->clock);
    void *targets[TIMERS_AT_ONCE];
    uint32_t count;
    do {
        for (count = 0; count < TIMERS_AT_ONCE; count++) {
            targets[count] = timers_expire(&loop->timers, now);
            if (!targets[count])
                break;
            __builtin_prefetch(targets[count], 1); /* of thousands, none is in the cache */
        }
        for (uint32_t i = 0; i < count; i++)
            fire_timer(targets[i]);
        loop->timers_fired += count;
    } while (count == TIMERS_AT_ONCE);
}

static int64_t wait_until(struct loop *loop)
{
    int64_t next = timers_next(&loop->timers), idle_at = context_next_idle(loop->outer);
    if (idle_at < next)
        next = idle_at;
    if (loop->descriptors && loop->outer->cancelled && loop->outer->cancel_fd < 0) {
        int64_t look = clock_monotonic() + CANCEL_LOOK_NS;
        next = look < next ? look : next;
    }
    return next;
}

static void resume_parked(struct loop *loop, bool woken)
{
    if (woken)
        weir_event_signal(&loop->parked, true);
}

static void wait_or_poll(struct loop *loop)
{
    bool idle = !any_ready(loop);
    if (loop->descriptors) {
        int64_t now = clock_monotonic();
        if (idle || now - loop->polled_at >= POLL_EVERY_NS) {
            loop->polls++;
            resume_parked(loop, descriptors_poll(loop->descriptors, idle, idle ? wait_until(loop) : 0));
            loop->polled_at = idle ? clock_monotonic() : now;
        }
    } else if (idle || ++loop->polls % TURNS_A_VISIT == 0) {
        int64_t deadline = idle ? wait_until(loop) : weir_now(loop->outer);
        loop->waiting = true;
        bool woken = context_park(loop->outer, deadline);
        loop->waiting = false;
        resume_parked(loop, woken);
    }
    resume_parked(loop, loop->parked.first && waiter_take(loop->outer->waiter));
}

static void run_ready(struct loop *loop)
{
    loop->budget = SWITCHES_A_TURN;
    struct weir_task *task = loop_take_ready(loop);
    if (task)
        fiber_switch(&loop->home, &task->fiber);
    loop->budget = 0; /* whatever is made ready at home waits for the next turn */
}

int loop_run(struct loop *loop, const char *name, weir_task_run *run, void *argument)
{
    loop->root = (struct weir_scope){.owner = loop->outer, .deadline = WEIR_NEVER};
    fiber_adopt(&loop->home);
    int error = task_spawn(loop, &loop->root, name, run, argument);
    if (error < 0)
        return error;
    while (loop->live > 0) {
        hear_of_cancellation(loop);
        take_notices(loop);
        fire_timers(loop);
        wait_or_poll(loop);
        run_ready(loop);
    }
    return loop->root_result;
}

/* ---- A loop's life ---- */

int loop_new(const struct loop_options *options, struct loop **ret)
{
    if (options->outer->task || options->stack_size > LOOP_STACK_MOST)
        return -EINVAL; /* a loop in a task would hold up the outer one */
    struct loop *loop = memory_zeroed(1, sizeof *loop);
    if (!loop)
        return -ENOMEM;
    loop->options = *options;
    loop->outer = options->outer;
    if (!loop->options.tasks_most)
        loop->options.tasks_most = LOOP_TASKS_MOST;
    if (!loop->options.stack_size)
        loop->options.stack_size = LOOP_STACK;
    if (!loop->options.blocked_ns)
        loop->options.blocked_ns = 100 * CLOCK_MILLISECOND;
    timers_init(&loop->timers);
    stacks_init(&loop->stacks, loop->options.stack_size * FIBER_STACK_FACTOR);
    int error = 0;
    if (!loop->outer->clock->simulated)
        error = descriptors_new(loop, &loop->descriptors);
    if (error == 0 && options->blocked && !loop->outer->clock->simulated)
        error = watchdog_new(loop, &loop->watchdog);
    if (error < 0) {
        loop_free(loop);
        return error;
    }
    *ret = loop;
    return 0;
}

void loop_free(struct loop *loop)
{
    if (!loop)
        return;
    watchdog_free(loop->watchdog);
    offload_free(loop->offload);
    take_notices(loop);
    resolver_free(loop->resolver);
    descriptors_free(loop->descriptors);
    task_free_all(loop);
    stacks_done(&loop->stacks);
    timers_done(&loop->timers);
    memory_free(loop->ready);
    memory_free(loop->free_tasks);
    memory_free(loop);
}

void loop_count(const struct loop *loop, struct loop_counters *ret)
{
    *ret = (struct loop_counters){
        .spawned = loop->spawned,
        .switches = atomic_load_explicit(&loop->switches, memory_order_relaxed),
        .polls = loop->polls,
        .timers_fired = loop->timers_fired,
        .live = loop->live,
        .live_most = loop->live_most,
    };
    if (loop->watchdog)
        watchdog_count(loop->watchdog, ret);
}
