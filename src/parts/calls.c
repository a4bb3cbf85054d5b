/* SPDX-License-Identifier: MIT */
#include "parts/calls.h"

#include <errno.h>
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
    return 0;
}

struct job {
    struct calls *calls;
    struct weir_env *env;
    calls_call *call;
    void *argument;
    uint32_t first, count;
    int64_t started;
};

static int run_job(struct weir_context *context, void *argument)
{
    struct job *job = argument;
    enum limiter_outcome outcome = LIMITER_GOOD;
    int error = job->call(context, job->argument, job->first, job->count, &outcome);
    limiter_release(&job->calls->limiter, job->started, weir_now(context), error < 0 ? LIMITER_OTHER : outcome);
    weir_finished(job->env, job->started);
    return error;
}

int calls_run(struct calls *calls, struct weir_env *env, struct weir_context *context, const struct weir_batch *batch,
              uint32_t group, calls_call *call, void *argument)
{
    uint32_t count = (batch->count + group - 1) / group;
    struct job *jobs = memory_zeroed(count, sizeof *jobs);
    struct weir_scope scope;
    int error = 0;
    if (!jobs)
        return weir_fail(env->error, -ENOMEM, "%s: out of memory for %u calls", env->name, count);
    weir_scope_open(context, &scope);
    for (uint32_t i = 0; i < count && error >= 0; i++) {
        uint32_t first = i * group, rows = batch->count - first < group ? batch->count - first : group;
        error = limiter_acquire(context, &calls->limiter, WEIR_NEVER);
        if (error < 0)
            break;
        jobs[i] = (struct job){calls, env, call, argument, first, rows, weir_now(context)};
        weir_begun(env, batch, first, rows);
        error = weir_scope_spawn(&scope, env->name, run_job, &jobs[i]);
        if (error < 0)
            limiter_release(&calls->limiter, jobs[i].started, weir_now(context), LIMITER_OTHER);
    }
    if (error < 0)
        weir_scope_cancel(&scope);
    int joined = weir_scope_join(&scope);
    memory_free(jobs);
    return joined < 0 && (error >= 0 || error == -ECANCELED) ? joined : error;
}

void calls_report(const struct calls *calls, struct weir_facts *facts)
{
    const struct limiter *limiter = &calls->limiter;
    weir_fact(facts, limiter->options.adaptive ? "adaptive limit" : "limit", limiter->limit, "calls");
    weir_fact(facts, "calls answered", (double)limiter->good, "");
    if (limiter->overloads)
        weir_fact(facts, "calls overloaded", (double)limiter->overloads, "");
    if (limiter->others)
        weir_fact(facts, "calls failed", (double)limiter->others, "");
}
