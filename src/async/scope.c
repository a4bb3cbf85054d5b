/* SPDX-License-Identifier: MIT */
/*
 * Scopes. Why a scope's tasks were cancelled is kept in `result`: the first failure, -ETIMEDOUT for its deadline; a
 * scope that its owner cancelled has none, and that its tasks then end with -ECANCELED is no failure.
 */
#include "async/runtime.h"

#include <assert.h>
#include <errno.h>

enum { NO_TIMER = 0 }; /* timers are kept as their number plus one */
enum { WAITS_FOR_NOTHING, WAITS_FOR_ALL, WAITS_FOR_FEW };

void weir_scope_open(struct weir_context *context, struct weir_scope *scope)
{
    *scope = (struct weir_scope){.owner = context, .deadline = WEIR_NEVER};
    if (context->task) {
        scope->outer = context->task->scopes;
        context->task->scopes = scope;
    }
}

void scope_expired(struct weir_scope *scope)
{
    if (scope->live == 0 || scope->cancelled)
        return;
    if (!scope->result)
        scope->result = -ETIMEDOUT;
    weir_scope_cancel(scope);
}

void weir_scope_deadline(struct weir_scope *scope, int64_t deadline_ns)
{
    struct weir_task *owner = scope->owner->task;
    scope->deadline = deadline_ns;
    if (!owner)
        return;
    struct timers *timers = &owner->loop->timers;
    uint32_t timer;
    if (scope->timer == NO_TIMER) {
        if (timers_take(timers, scope_as_target(scope), &timer) < 0) { /* nobody would watch */
            scope->result = -ENOMEM;
            weir_scope_cancel(scope);
            return;
        }
        scope->timer = timer + 1;
    }
    timers_set(timers, scope->timer - 1, deadline_ns);
}

int weir_scope_spawn(struct weir_scope *scope, const char *name, weir_task_run *run, void *argument)
{
    struct weir_task *owner = scope->owner->task;
    if (!owner)
        return -ENOTSUP;
    if (!scope->cancelled && task_stopping(owner))
        weir_scope_cancel(scope);
    if (scope->cancelled)
        return -ECANCELED;
    return task_spawn(owner->loop, scope, name, run, argument);
}

void weir_scope_cancel(struct weir_scope *scope)
{
    if (scope->cancelled)
        return;
    scope->cancelled = true;
    for (struct weir_task *task = scope->first; task; task = task->scope_next)
        task_cancel(task);
}

void scope_task_ended(struct weir_scope *scope, struct weir_task *task, int result)
{
    if (task->scope_previous)
        task->scope_previous->scope_next = task->scope_next;
    else
        scope->first = task->scope_next;
    if (task->scope_next)
        task->scope_next->scope_previous = task->scope_previous;
    else
        scope->last = task->scope_previous;
    scope->live--;
    if (!scope->finished && !scope->cancelled) {
        scope->finished = true;
        scope->winner = result;
    }
    bool failed = result < 0 && !(result == -ECANCELED && scope->cancelled);
    if (failed && !scope->result)
        scope->result = result;
    if (failed || (scope->race && scope->finished))
        weir_scope_cancel(scope);
    if (scope->waiting && (scope->live <= scope->wake_below || (scope->waiting == WAITS_FOR_FEW && scope->result)))
        task_wake(scope->owner->task, 0);
}

/* Until none lives; the owner's cancellation becomes theirs. */
static void collect(struct weir_scope *scope)
{
    struct weir_task *owner = scope->owner->task;
    while (scope->live > 0) {
        if (task_stopping(owner))
            weir_scope_cancel(scope);
        scope->waiting = WAITS_FOR_ALL;
        scope->wake_below = 0;
        if (scope->cancelled)
            (void)task_wait_uncancellable(owner, NULL, WEIR_NEVER);
        else
            (void)task_wait(owner, NULL, WEIR_NEVER);
        scope->waiting = WAITS_FOR_NOTHING;
    }
}

static void leave(struct weir_scope *scope)
{
    struct weir_task *owner = scope->owner->task;
    if (!owner)
        return;
    if (scope->timer != NO_TIMER)
        timers_give(&owner->loop->timers, scope->timer - 1);
    scope->timer = NO_TIMER;
    struct weir_scope **at = &owner->scopes;
    while (*at && *at != scope)
        at = &(*at)->outer;
    if (*at)
        *at = scope->outer;
}

static bool owner_stopping(const struct weir_scope *scope)
{
    return weir_stopping(scope->owner);
}

int weir_scope_join(struct weir_scope *scope)
{
    if (scope->owner->task)
        collect(scope);
    leave(scope);
    return owner_stopping(scope) ? -ECANCELED : scope->result;
}

int weir_scope_race(struct weir_scope *scope)
{
    if (!scope->finished && scope->live == 0) {
        leave(scope);
        return owner_stopping(scope) ? -ECANCELED : scope->result ? scope->result : -ECHILD;
    }
    scope->race = true;
    if (scope->finished)
        weir_scope_cancel(scope);
    collect(scope);
    leave(scope);
    if (scope->finished)
        return scope->winner;
    return scope->result && !owner_stopping(scope) ? scope->result : -ECANCELED;
}

void weir_scope_close(struct weir_scope *scope)
{
    weir_scope_cancel(scope);
    if (scope->owner->task)
        collect(scope);
    leave(scope);
}

uint32_t weir_scope_live(const struct weir_scope *scope)
{
    return scope->live;
}

int weir_scope_wait_below(struct weir_scope *scope, uint32_t most, int64_t deadline_ns)
{
    while (scope->live > most && !scope->result) {
        scope->waiting = WAITS_FOR_FEW;
        scope->wake_below = most;
        int result = task_wait(scope->owner->task, NULL, deadline_ns);
        scope->waiting = WAITS_FOR_NOTHING;
        if (result < 0)
            return result;
    }
    return owner_stopping(scope) ? -ECANCELED : scope->result;
}

int weir_with_deadline(struct weir_context *context, int64_t deadline_ns, weir_task_run *run, void *argument)
{
    struct weir_scope scope;
    if (!context->task)
        return -ENOTSUP;
    weir_scope_open(context, &scope);
    weir_scope_deadline(&scope, deadline_ns);
    int error = weir_scope_spawn(&scope, context->task->name, run, argument);
    int result = weir_scope_join(&scope);
    return error < 0 ? error : result;
}
