/* SPDX-License-Identifier: MIT */
/* Simulated I/O: each record takes a time, as a call to somebody else would, and passes on as it is. */
#include <stddef.h>

#include "async/context.h"
#include "base/clock.h"
#include "base/hash.h"
#include "parts/calls.h"
#include "parts/parts.h"

struct stage_delay {
    int64_t time, spread;
    const char *concurrency;
    int64_t most;
    int order;
    bool blocking;

    struct calls calls;
    uint64_t seed;
};

static int delay_open(void *state, struct weir_env *env)
{
    struct stage_delay *self = state;
    self->seed = hash_u64(env->seed) ^ hash_bytes(env->name, __builtin_strlen(env->name));
    return calls_open(&self->calls, env, self->concurrency, self->most, self->order);
}

static int delay_bind(void *state, struct weir_env *env, struct weir_schema *in, struct weir_schema **out)
{
    (void)state;
    (void)env;
    *out = weir_schema_reference(in);
    return 0;
}

struct delay_batch {
    const struct stage_delay *self;
    const struct weir_batch *batch;
};

/* What a part must not do: sleeps without its context. Here on purpose, so that it can be seen what that costs. */
static int hold_loop(struct weir_context *context, int64_t duration)
{
    if (context->clock->simulated)
        weir_burn(context, duration);
    else
        clock_sleep_until(clock_monotonic() + duration);
    return 0;
}

static int delay_one(struct weir_context *context, const struct calls_piece *pieces, uint32_t count,
                     enum limiter_outcome *outcome)
{
    const struct delay_batch *delay = pieces->argument;
    (void)count;
    (void)outcome;
    /* Drawn by the record's place in its source, so that a run can be repeated. */
    uint64_t place = delay->batch->position + weir_batch_row(delay->batch, pieces->first);
    uint64_t bits = hash_u64(delay->self->seed + delay->batch->source * 0x51ed270bULL + place * 0x9e3779b97f4a7c15ULL);
    double drawn = (double)(bits >> 11) * 0x1p-53;
    int64_t duration = delay->self->time + (int64_t)(drawn * (double)delay->self->spread);
    return delay->self->blocking ? hold_loop(context, duration) : weir_sleep(context, duration);
}

static int delay_call(void *state, struct weir_env *env, struct weir_context *context, struct weir_batch *in,
                      struct weir_out *out)
{
    struct stage_delay *self = state;
    struct delay_batch delay = {self, in};
    int error = calls_run(&self->calls, env, context, in, in->count, 1, delay_one, &delay);
    if (error < 0)
        return error;
    weir_out_emit(out, weir_batch_reference(in));
    return 0;
}

static bool delay_unordered(const void *state)
{
    return ((const struct stage_delay *)state)->order == CALLS_ORDER_NONE;
}

static void delay_report(void *state, struct weir_facts *facts)
{
    calls_report(&((struct stage_delay *)state)->calls, facts, true);
}

static const struct weir_option delay_options[] = {
    {"time", WEIR_OPTION_DURATION, offsetof(struct stage_delay, time), NULL, 0, 0, NULL,
     WEIR_OPTION_MAIN | WEIR_OPTION_REQUIRED, "how long each record takes"},
    {"spread", WEIR_OPTION_DURATION, offsetof(struct stage_delay, spread), "0s", 0, 0, NULL, 0,
     "up to so much longer, drawn evenly"},
    {"blocking", WEIR_OPTION_BOOL, offsetof(struct stage_delay, blocking), "false", 0, 0, NULL, 0,
     "sleep without giving way to other calls, as a badly written part does: to see what it costs"},
    CALLS_OPTIONS(struct stage_delay, "100"),
    {.type = WEIR_OPTION_END},
};

const struct weir_stage stage_delay = {
    .part = {.kind = WEIR_STAGE,
             .name = "delay",
             .summary = "lets each record take a time, like a call to another program: simulated I/O",
             .example = "sources:\n"
                        "  fleet: {type: generate, keys: 10, rate: 100/s, count: 50}\n"
                        "stages:\n"
                        "  - delay: {time: 20ms, spread: 10ms, concurrency: 8}\n"
                        "sinks:\n"
                        "  out: {type: stdout, format: ndjson}\n",
             .options = delay_options,
             .size = sizeof(struct stage_delay),
             .open = delay_open,
             .report = delay_report},
    .bind = delay_bind,
    .call = delay_call,
    .unordered = delay_unordered,
};
