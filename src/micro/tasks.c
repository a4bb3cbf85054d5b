/* SPDX-License-Identifier: MIT */
/* Tasks, channels and timers: what waiting costs when it is not for anything. */
#include <errno.h>

#include "async/loop.h"
#include "async/simulated.h"
#include "async/timers.h"
#include "base/memory.h"
#include "micro/micro.h"
#include "micro/records.h"

enum { SWITCHES = 1000, TASKS = 100, ITEMS = 1000, SLEEPERS = 1000, TIMERS = 10000, CHANNEL = 64 };

struct task_work {
    weir_task_run *root;
    struct simulated simulated; /* timer.sleep */
    struct context_clock clock; /* all others: real time */
    struct weir_waiter waiter;
    _Atomic bool cancelled;
    struct weir_context context;
    struct loop *loop;
    uint64_t calls;
    struct weir_channel *channel;
};

static void close_tasks(void *state)
{
    struct task_work *work = state;
    loop_free(work->loop);
    memory_free(work);
}

static int open_loop(struct task_work *work, struct weir_context *outer, void **ret)
{
    const struct loop_options options = {.outer = outer};
    int error = loop_new(&options, &work->loop);
    if (error) {
        memory_free(work);
        return error;
    }
    *ret = work;
    return 0;
}

struct root {
    weir_task_run *run;
};

static int open_tasks(const struct microbench *bench, void **ret)
{
    struct task_work *work = memory_zeroed(1, sizeof *work);
    if (!work)
        return -ENOMEM;
    work->root = ((const struct root *)bench->settings)->run;
    waiter_init(&work->waiter);
    work->context = (struct weir_context){
        .clock = &work->clock, .waiter = &work->waiter, .cancelled = &work->cancelled, .cancel_fd = -1};
    return open_loop(work, &work->context, ret);
}

static int open_simulated(const struct microbench *bench, void **ret)
{
    struct task_work *work = memory_zeroed(1, sizeof *work);
    if (!work)
        return -ENOMEM;
    work->root = ((const struct root *)bench->settings)->run;
    simulated_init(&work->simulated);
    return open_loop(work, &work->simulated.context, ret);
}

static int run_tasks(void *state, uint64_t calls)
{
    struct task_work *work = state;
    work->calls = calls;
    return loop_run(work->loop, "bench", work->root, work);
}

/* ---- Switching --------------------------------------------------------------------------------------------------- */

static int yield_often(struct weir_context *context, void *argument)
{
    const struct task_work *work = argument;
    int error = 0;
    for (uint64_t i = 0; i < work->calls * SWITCHES / 2 && !error; i++)
        error = weir_yield(context);
    return error;
}

static int run_two(struct weir_context *context, void *argument)
{
    struct weir_scope scope;
    weir_scope_open(context, &scope);
    int error = weir_scope_spawn(&scope, "one", yield_often, argument);
    if (!error)
        error = weir_scope_spawn(&scope, "other", yield_often, argument);
    int joined = weir_scope_join(&scope);
    return error ? error : joined;
}

static int do_nothing(struct weir_context *context, void *argument)
{
    (void)context;
    (void)argument;
    return 0;
}

static int spawn_many(struct weir_context *context, void *argument)
{
    const struct task_work *work = argument;
    int error = 0;
    for (uint64_t i = 0; i < work->calls && !error; i++) {
        struct weir_scope scope;
        weir_scope_open(context, &scope);
        for (int k = 0; k < TASKS && !error; k++)
            error = weir_scope_spawn(&scope, "task", do_nothing, NULL);
        int joined = weir_scope_join(&scope);
        error = error ? error : joined;
    }
    return error;
}

/* ---- Channels ---------------------------------------------------------------------------------------------------- */

static int send_all(struct weir_context *context, void *argument)
{
    const struct task_work *work = argument;
    int error = 0;
    for (uint64_t i = 0; i < work->calls * ITEMS && !error; i++)
        error = weir_channel_send(context, work->channel, &i, WEIR_NEVER);
    weir_channel_close(work->channel);
    return error;
}

static int receive_all(struct weir_context *context, void *argument)
{
    const struct task_work *work = argument;
    uint64_t item, expected = 0;
    int error;
    while ((error = weir_channel_receive(context, work->channel, &item, WEIR_NEVER)) == 0) {
        if (item != expected++)
            return -EIO;
    }
    return error == -EPIPE && expected == work->calls * ITEMS ? 0 : error == -EPIPE ? -EIO : error;
}

static int pass_through(struct weir_context *context, void *argument)
{
    struct task_work *work = argument;
    struct weir_scope scope;
    work->channel = weir_channel_new(sizeof(uint64_t), CHANNEL);
    if (!work->channel)
        return -ENOMEM;
    weir_scope_open(context, &scope);
    int error = weir_scope_spawn(&scope, "sender", send_all, work);
    if (!error)
        error = weir_scope_spawn(&scope, "receiver", receive_all, work);
    if (error)
        weir_scope_cancel(&scope);
    int joined = weir_scope_join(&scope);
    weir_channel_free(work->channel);
    return error ? error : joined;
}

/* ---- Time -------------------------------------------------------------------------------------------------------- */

struct sleeper {
    const struct task_work *work;
    uint64_t random;
};

static int sleep_often(struct weir_context *context, void *argument)
{
    struct sleeper *sleeper = argument;
    int error = 0;
    for (uint64_t i = 0; i < sleeper->work->calls && !error; i++)
        error = weir_sleep(context, (int64_t)(1 + micro_random(&sleeper->random) % 1000000));
    return error;
}

static int run_sleepers(struct weir_context *context, void *argument)
{
    struct sleeper *sleepers = memory_zeroed(SLEEPERS, sizeof *sleepers);
    struct weir_scope scope;
    int error = sleepers ? 0 : -ENOMEM;
    weir_scope_open(context, &scope);
    for (uint32_t i = 0; i < SLEEPERS && !error; i++) {
        sleepers[i] = (struct sleeper){argument, i};
        error = weir_scope_spawn(&scope, "sleeper", sleep_often, &sleepers[i]);
    }
    int joined = weir_scope_join(&scope);
    memory_free(sleepers);
    return error ? error : joined;
}

struct timer_work {
    struct timers timers;
    uint32_t numbers[TIMERS]; /* the target of a timer is its place here */
    int64_t now;
    uint64_t random;
};

static void close_timers(void *state)
{
    struct timer_work *work = state;
    timers_done(&work->timers);
    memory_free(work);
}

static int open_timers(const struct microbench *bench, void **ret)
{
    struct timer_work *work = memory_zeroed(1, sizeof *work);
    int error = work ? 0 : -ENOMEM;
    (void)bench;
    if (error)
        return error;
    timers_init(&work->timers);
    for (uint32_t i = 0; i < TIMERS && !error; i++) {
        error = timers_take(&work->timers, &work->numbers[i], &work->numbers[i]);
        if (!error)
            timers_set(&work->timers, work->numbers[i], (int64_t)(micro_random(&work->random) % 1000000));
    }
    if (error) {
        close_timers(work);
        return error;
    }
    *ret = work;
    return 0;
}

/* The earliest fires and is set anew, with 10,000 that wait. */
static int run_timers(void *state, uint64_t calls)
{
    struct timer_work *work = state;
    for (uint64_t i = 0; i < calls; i++) {
        work->now = timers_next(&work->timers);
        const uint32_t *number = timers_expire(&work->timers, work->now);
        if (!number)
            return -EIO;
        timers_set(&work->timers, *number, work->now + (int64_t)(micro_random(&work->random) % 1000000));
    }
    return 0;
}

#define TASKS_OF(title, words, what, number, opens, function)                                                          \
    {                                                                                                                  \
        .name = title, .summary = words, .item = what, .items = number, .settings = &(const struct root){function},    \
        .open = opens, .run = run_tasks, .close = close_tasks                                                          \
    }

const struct microbench micro_tasks[] = {
    TASKS_OF("task.switch", "from one task to another", "switch", SWITCHES, open_tasks, run_two),
    TASKS_OF("task.spawn", "a task that begins, ends and is collected", "task", TASKS, open_tasks, spawn_many),
    TASKS_OF("task.channel", "an item through a channel between two tasks", "item", ITEMS, open_tasks, pass_through),
    {.name = "timer.set",
     .summary = "the earliest of 10,000 timers fires and is set anew",
     .item = "timer",
     .items = 1,
     .open = open_timers,
     .run = run_timers,
     .close = close_timers},
    TASKS_OF("timer.sleep", "a task of 1,000 sleeps and goes on (simulated clock)", "sleep", SLEEPERS, open_simulated,
             run_sleepers),
    {.name = NULL},
};
