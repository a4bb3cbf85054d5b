/* SPDX-License-Identifier: MIT */
#include "parts/calls.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

const char *const calls_order_names[] = {"key", "serial", "none", NULL};

int calls_open(struct calls *calls, struct weir_env *env, const char *concurrency, int64_t most, int order)
{
    struct limiter_options options = {.most = (uint32_t)most};
    char *end = NULL;
    long long limit = strtoll(concurrency, &end, 10);
    options.adaptive = strcmp(concurrency, "adaptive") == 0;
    if (strcmp(concurrency, "fixed") == 0)
        limit = most;
    else if (!options.adaptive && (end == concurrency || *end || limit < 1 || limit > LIMITER_MOST))
        return weir_fail(
            env->error, -EINVAL,
            "%s: `concurrency: %s` is neither a number from 1 to %d, nor `adaptive`, nor `fixed` (with `most`)",
            env->name, concurrency, LIMITER_MOST);
    if (!options.adaptive)
        options.limit = options.most = (uint32_t)limit;
    if (order == CALLS_ORDER_SERIAL) {
        options.adaptive = false;
        options.limit = options.most = 1;
    }
    limiter_init(&calls->limiter, &options);
    calls->limit = calls->limiter.limit;
    return 0;
}

void calls_publish(struct calls *calls)
{
    const struct limiter *limiter = &calls->limiter;
    atomic_store_explicit(&calls->limit, limiter->limit, memory_order_relaxed);
    atomic_store_explicit(&calls->good, limiter->good, memory_order_relaxed);
    atomic_store_explicit(&calls->overloads, limiter->overloads, memory_order_relaxed);
    atomic_store_explicit(&calls->others, limiter->others, memory_order_relaxed);
    atomic_store_explicit(&calls->grown, limiter->grown, memory_order_relaxed);
    atomic_store_explicit(&calls->shrunk, limiter->shrunk, memory_order_relaxed);
    atomic_store_explicit(&calls->waited_ns, limiter->waited_ns, memory_order_relaxed);
}

/* ---- One call ---------------------------------------------------------------------------------------------------- */

/* What one calls_run wants done; in the line until all of it is taken. */
struct calls_work {
    struct calls_work *next;
    const struct weir_batch *batch;
    void *argument;
    uint32_t count, taken, done;
    int error;
    struct weir_event moved; /* done, or its turn to lead */
};

struct job {
    struct calls *calls;
    struct weir_env *env;
    calls_call *call;
    int64_t started;
    uint32_t count;
    struct calls_piece pieces[];
};

static void end_job(struct job *job, int error)
{
    for (uint32_t i = 0; i < job->count; i++) {
        struct calls_work *work = job->pieces[i].work;
        work->done += job->pieces[i].count;
        if (error < 0 && !work->error)
            work->error = error;
        weir_event_signal(&work->moved, true);
    }
    memory_free(job);
}

static int run_job(struct weir_context *context, void *argument)
{
    struct job *job = argument;
    enum limiter_outcome outcome = LIMITER_GOOD;
    int error = job->call(context, job->pieces, job->count, &outcome);
    limiter_release(&job->calls->limiter, job->started, weir_now(context), error < 0 ? LIMITER_OTHER : outcome);
    calls_publish(job->calls);
    weir_finished(job->env, job->started);
    end_job(job, error);
    return error;
}

/* ---- The line ---------------------------------------------------------------------------------------------------- */

static void enter(struct calls *calls, struct calls_work *work)
{
    *(calls->first ? &calls->last->next : &calls->first) = work;
    calls->last = work;
}

static void leave(struct calls *calls, const struct calls_work *work)
{
    struct calls_work *before = NULL, *at = calls->first;
    for (; at && at != work; at = at->next)
        before = at;
    if (!at)
        return;
    *(before ? &before->next : &calls->first) = work->next;
    if (calls->last == work)
        calls->last = before;
}

/* Takes up to `group` things off the front. */
static struct job *take_job(const struct job *like, uint32_t group, int64_t now)
{
    struct calls *calls = like->calls;
    uint32_t count = 0, taken = 0;
    for (struct calls_work *work = calls->first; work && taken < group; work = work->next, count++)
        taken += work->count - work->taken < group - taken ? work->count - work->taken : group - taken;
    struct job *job = memory_zeroed(1, sizeof *job + count * sizeof *job->pieces);
    if (!job)
        return NULL;
    *job = (struct job){.calls = calls, .env = like->env, .call = like->call, .started = now, .count = count};
    for (uint32_t i = 0; i < count; i++) {
        struct calls_work *work = calls->first;
        uint32_t rest = work->count - work->taken, size = rest < group ? rest : group;
        job->pieces[i] = (struct calls_piece){work->argument, work->taken, size, work};
        if (work->batch)
            weir_begun(like->env, work->batch, work->taken, size);
        work->taken += size;
        group -= size;
        if (work->taken == work->count)
            leave(calls, work);
    }
    return job;
}

/* Makes calls until all of `work` is under way; what has come behind it goes along. */
static int lead(const struct job *like, uint32_t group, struct calls_work *work, struct weir_scope *scope,
                struct weir_context *context)
{
    struct limiter *limiter = &like->calls->limiter;
    int error = 0;
    while (error >= 0 && work->taken < work->count) {
        error = limiter_acquire(context, limiter, WEIR_NEVER);
        if (error < 0)
            break;
        struct job *job = take_job(like, group, weir_now(context));
        error = job ? weir_scope_spawn(scope, like->env->name, run_job, job) : -ENOMEM;
        if (error < 0) {
            limiter_release(limiter, weir_now(context), weir_now(context), LIMITER_OTHER);
            if (job)
                end_job(job, error);
        }
    }
    return error;
}

int calls_run(struct calls *calls, struct weir_env *env, struct weir_context *context, const struct weir_batch *batch,
              uint32_t count, uint32_t group, calls_call *call, void *argument)
{
    const struct job like = {.calls = calls, .env = env, .call = call};
    struct calls_work work = {.batch = batch, .argument = argument, .count = count};
    struct weir_scope scope;
    int error = 0;
    enter(calls, &work);
    weir_scope_open(context, &scope);
    while (error >= 0 && work.taken < count) {
        if (calls->led) {
            error = weir_event_wait(context, &work.moved, WEIR_NEVER);
            continue;
        }
        calls->led = true;
        error = lead(&like, group, &work, &scope, context);
        calls->led = false;
        if (error < 0)
            leave(calls, &work);
        if (calls->first)
            weir_event_signal(&calls->first->moved, true);
    }
    leave(calls, &work);
    if (error < 0)
        weir_scope_cancel(&scope);
    int joined = weir_scope_join(&scope);
    weir_shield(context, true); /* calls that others make for us hold on to `work`, and end as we do */
    while (work.done < work.taken)
        (void)weir_event_wait(context, &work.moved, WEIR_NEVER);
    weir_shield(context, false);
    if (error >= 0 || error == -ECANCELED)
        error = joined < 0 ? joined : error;
    return error < 0 && work.error >= 0 ? error : work.error;
}

void calls_report(struct calls *calls, struct weir_facts *facts, bool answers)
{
    weir_fact(facts, calls->limiter.options.adaptive ? "adaptive limit" : "limit", calls->limit, "calls");
    if (calls->limiter.options.adaptive) {
        weir_fact(facts, "limit grown", (double)calls->grown, "");
        weir_fact(facts, "limit shrunk", (double)calls->shrunk, "");
    }
    if (calls->waited_ns > 0)
        weir_fact(facts, "waited for the limit", (double)calls->waited_ns * 1e-9, "s");
    if (answers)
        weir_fact(facts, "calls answered", (double)calls->good, "");
    if (calls->overloads)
        weir_fact(facts, "calls overloaded", (double)calls->overloads, "");
    if (answers && calls->others)
        weir_fact(facts, "calls failed", (double)calls->others, "");
}
