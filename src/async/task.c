/* SPDX-License-Identifier: MIT */
/* Tasks: spawning, waiting, waking, ending. */
#include "async/runtime.h"

#include "base/memory.h"

#include <assert.h>
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

enum { IO_STREAK_MOST = 64, COLOURS = 16, CACHE_LINE = 64 };
_Static_assert(sizeof(struct fiber) > sizeof(void *) || sizeof(struct weir_task) == 4 * CACHE_LINE,
               "a task is four cache lines");

/* ---- Waiting ---- */

static void event_append(struct weir_event *event, struct weir_task *task)
{
    task->wait_next = NULL;
    task->wait_previous = event->last;
    if (event->last)
        event->last->wait_next = task;
    else
        event->first = task;
    event->last = task;
}

static void remove_waiter(struct weir_event *event, struct weir_task *task)
{
    if (task->wait_previous)
        task->wait_previous->wait_next = task->wait_next;
    else
        event->first = task->wait_next;
    if (task->wait_next)
        task->wait_next->wait_previous = task->wait_previous;
    else
        event->last = task->wait_previous;
}

/* A stack without a guard page has run into its neighbour: nothing can be trusted any more. */
static void check_stack(const struct weir_task *task)
{
    if (!task->guarded && stack_overflown(task->stack))
        abort();
}

static void suspend(struct weir_task *task)
{
    struct loop *loop = task->loop;
    struct weir_task *next = loop_take_ready(loop);
    check_stack(task);
    if (next == task)
        return;
    fiber_switch(&task->fiber, next ? &next->fiber : &loop->home);
}

static int wait_for(struct weir_task *task, struct weir_event *event, int64_t deadline)
{
    task->event = event;
    if (event)
        event_append(event, task);
    task->timed = deadline != WEIR_NEVER;
    if (task->timed)
        timers_set(&task->loop->timers, task->timer, deadline);
    task->state = TASK_WAITING;
    suspend(task);
    return task->woken_with;
}

int task_wait(struct weir_task *task, struct weir_event *event, int64_t deadline)
{
    return task_stopping(task) ? -ECANCELED : wait_for(task, event, deadline);
}

int task_wait_uncancellable(struct weir_task *task, struct weir_event *event, int64_t deadline)
{
    task->uncancellable = true;
    int result = wait_for(task, event, deadline);
    task->uncancellable = false;
    return result;
}

void task_wake(struct weir_task *task, int result)
{
    if (task->state != TASK_WAITING)
        return;
    if (task->event)
        remove_waiter(task->event, task);
    task->event = NULL;
    if (task->timed)
        timers_clear(&task->loop->timers, task->timer);
    task->woken_with = result;
    loop_push_ready(task->loop, task);
}

void task_cancel(struct weir_task *task)
{
    atomic_store_explicit(&task->cancelled, true, memory_order_relaxed);
    if (task->state == TASK_WAITING && task->shield == 0 && !task->uncancellable)
        task_wake(task, -ECANCELED);
}

static int yield(struct weir_task *task)
{
    if (task_stopping(task))
        return -ECANCELED;
    if (task->loop->only)
        return 0; /* there is nobody else */
    loop_push_ready(task->loop, task);
    suspend(task);
    return task_stopping(task) ? -ECANCELED : 0;
}

int weir_yield(struct weir_context *context)
{
    if (context->task)
        return yield(context->task);
    sched_yield();
    return weir_stopping(context) ? -ECANCELED : 0;
}

int task_sleep_until(struct weir_task *task, int64_t when)
{
    if (weir_now(&task->context) >= when)
        return yield(task); /* one that is always late must not keep the others from running */
    return task_sleep(task, when);
}

int task_sleep(struct weir_task *task, int64_t when)
{
    int result = task_wait(task, NULL, when);
    return result == -ETIMEDOUT ? 0 : result;
}

bool task_park(struct weir_task *task, int64_t deadline)
{
    return task_wait(task, &task->loop->parked, deadline) != -ETIMEDOUT;
}

void task_breathe(struct weir_task *task)
{
    struct loop *loop = task->loop;
    uint64_t switches = atomic_load_explicit(&loop->switches, memory_order_relaxed);
    if (loop->io_switches != switches) {
        loop->io_switches = switches;
        loop->io_streak = 0;
    }
    if (++loop->io_streak >= IO_STREAK_MOST) {
        loop->io_streak = 0;
        (void)yield(task);
    }
}

/* ---- From spawn to end ---- */

static void finish(struct weir_task *task, int result) __attribute__((noreturn));

static void run_task(void *argument)
{
    struct weir_task *task = argument;
    fiber_started();
    finish(task, task->run(&task->context, task->argument));
}

static void run_defers(struct weir_task *task)
{
    task->shield++;
    while (task->defers) {
        struct defer *defer = task->defers;
        task->defers = defer->next;
        defer->release(defer->argument);
        memory_free(defer);
    }
    task->shield--;
}

static void finish(struct weir_task *task, int result)
{
    struct loop *loop = task->loop;
    run_defers(task);
    assert(!task->scopes && "a scope was left open: its tasks would outlive it");
    if (loop->watchdog)
        watchdog_task_ends(loop->watchdog);
    check_stack(task);
    task->state = TASK_ENDED;
    loop->live--;
    if (loop->options.sequential) {
        loop->only = task->spawner;
        if (task->spawner)
            task_wake(task->spawner, 0);
    }
    if (task->scope == &loop->root)
        loop->root_result = result;
    scope_task_ended(task->scope, task, result);
    loop->free_tasks[loop->free_count++] = task;
    struct weir_task *next = loop_take_ready(loop);
    fiber_leave(&task->fiber, next ? &next->fiber : &loop->home);
}

/* Room for one more task, in the ring and among those that have ended. None stands in both, but each may be in one. */
static int make_room(struct loop *loop)
{
    if (loop->made_count < loop->task_capacity)
        return 0;
    uint32_t capacity = loop->task_capacity ? loop->task_capacity * 2 : 64;
    struct weir_task **ready = memory_allocate(capacity * sizeof *ready);
    struct weir_task **free_tasks = memory_allocate(capacity * sizeof *free_tasks);
    if (!ready || !free_tasks) {
        memory_free(ready);
        memory_free(free_tasks);
        return -ENOMEM;
    }
    uint32_t count = loop->ready_end - loop->ready_first;
    for (uint32_t i = 0; i < count; i++)
        ready[i] = loop->ready[(loop->ready_first + i) & loop->ready_mask];
    memory_free(loop->ready);
    memory_free(loop->free_tasks); /* empty: it is only asked for more when there is none */
    loop->ready = ready;
    loop->ready_mask = capacity - 1;
    loop->ready_first = 0;
    loop->ready_end = count;
    loop->free_tasks = free_tasks;
    loop->task_capacity = capacity;
    return 0;
}

/* Room for a task that never was; it counts when it is complete. */
static struct weir_task *next_place(struct loop *loop)
{
    struct task_slab *slab = loop->slabs;
    if (!slab || slab->used == TASKS_A_SLAB) {
        slab = memory_aligned(TASK_ALIGNMENT, sizeof *slab);
        if (!slab)
            return NULL;
        slab->next = loop->slabs;
        slab->used = 0;
        loop->slabs = slab;
    }
    return &slab->tasks[slab->used];
}

/* A task and its stack, from those that have ended or new. */
static struct weir_task *obtain(struct loop *loop)
{
    struct weir_task *task;
    if (loop->free_count) {
        if (loop->free_count > 4)
            __builtin_prefetch(loop->free_tasks[loop->free_count - 5], 1);
        return loop->free_tasks[--loop->free_count];
    }
    uint32_t timer;
    struct stack stack;
    task = next_place(loop);
    if (!task || timers_take(&loop->timers, task, &timer) < 0)
        return NULL;
    if (make_room(loop) < 0 || stacks_cut(&loop->stacks, &stack) < 0) {
        timers_give(&loop->timers, timer);
        return NULL;
    }
    loop->slabs->used++;
    *task = (struct weir_task){
        .loop = loop,
        .guarded = stack.guarded,
        .stack = stack.bottom,
        /* Stacks that begin at one offset in their page would compete for the same sets of the caches. */
        .stack_size = (uint32_t)(stack.size - timer % COLOURS * CACHE_LINE),
        .timer = timer,
        .context = {.task = task, .clock = loop->outer->clock, .waiter = loop->outer->waiter, .cancel_fd = -1},
    };
    loop->made_count++;
    return task;
}

void task_prepare(struct weir_task *task)
{
    task->fresh = false;
    fiber_prepare(&task->fiber, task->stack, task->stack_size, run_task, task);
}

static void copy_name(char *out, const char *name)
{
    size_t length = name ? strlen(name) : 0;
    if (length >= TASK_NAME)
        length = TASK_NAME - 1;
    if (length)
        memcpy(out, name, length);
    out[length] = '\0';
}

int task_spawn(struct loop *loop, struct weir_scope *scope, const char *name, weir_task_run *run, void *argument)
{
    if (loop->live >= loop->options.tasks_most)
        return -EAGAIN;
    struct weir_task *task = obtain(loop);
    if (!task)
        return -ENOMEM;
    atomic_store_explicit(&task->cancelled, false, memory_order_relaxed);
    task->uncancellable = task->timed = false;
    task->woken_with = 0;
    task->shield = 0;
    task->event = NULL;
    task->scopes = NULL;
    task->defers = NULL;
    task->run = run;
    task->argument = argument;
    task->spawner = loop->only;
    copy_name(task->name, name);
    task->fresh = true;
    fiber_expect(&task->fiber, task->stack, task->stack_size);
    task->scope = scope;
    task->scope_next = NULL;
    task->scope_previous = scope->last;
    if (scope->last)
        scope->last->scope_next = task;
    else
        scope->first = task;
    scope->last = task;
    scope->live++;
    loop->spawned++;
    if (++loop->live > loop->live_most)
        loop->live_most = loop->live;
    if (loop->options.sequential)
        loop->only = task;
    loop_push_ready(loop, task);
    if (task->spawner)
        (void)task_wait_uncancellable(task->spawner, NULL, WEIR_NEVER);
    return 0;
}

void task_free_all(struct loop *loop)
{
    while (loop->slabs) {
        struct task_slab *slab = loop->slabs;
        loop->slabs = slab->next;
        for (uint32_t i = 0; i < slab->used; i++)
            fiber_release(&slab->tasks[i].fiber);
        memory_free(slab);
    }
    loop->free_count = 0;
}

/* ---- The rest of what a task is asked ---- */

bool weir_in_task(struct weir_context *context)
{
    return context->task != NULL;
}

const char *weir_task_name(struct weir_context *context)
{
    return context->task ? context->task->name : "thread";
}

int weir_defer(struct weir_context *context, void (*release)(void *argument), void *argument)
{
    struct defer *defer = context->task ? memory_allocate(sizeof *defer) : NULL;
    if (!defer) {
        release(argument);
        return context->task ? -ENOMEM : -ENOTSUP;
    }
    *defer = (struct defer){.next = context->task->defers, .release = release, .argument = argument};
    context->task->defers = defer;
    return 0;
}

void weir_shield(struct weir_context *context, bool on)
{
    if (!context->task)
        return;
    assert(on || context->task->shield > 0);
    context->task->shield += on ? 1 : (uint32_t)-1;
}

/* ---- Events ---- */

int weir_event_wait(struct weir_context *context, struct weir_event *event, int64_t deadline_ns)
{
    return context->task ? task_wait(context->task, event, deadline_ns) : -ENOTSUP;
}

void weir_event_signal(struct weir_event *event, bool all)
{
    do {
        if (!event->first)
            return;
        task_wake(event->first, 0);
    } while (all);
}
