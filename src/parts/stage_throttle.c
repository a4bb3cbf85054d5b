/* SPDX-License-Identifier: MIT */
/*
 * throttle: lets at most so many records of a key through in any period of event time. The last `most` times that went
 * through are kept for each key; a record goes through when the oldest of them is at least a period before it.
 */
#include <errno.h>

#include "parts/parts.h"
#include "parts/sieve.h"

enum { MOST = 4096 };
#define SPAN_MOST 3.2e17 /* ns: ten years */

struct throttle_key { /* state of a key */
    uint32_t next, count;
    int64_t times[]; /* a ring */
};

struct throttle {
    int64_t most, per; /* options */
    struct weir_list by;

    struct sieve sieve;
};

static const char *throttle_key_column(const void *self)
{
    return grouping_key(&((const struct throttle *)self)->by);
}

static void throttle_close(void *self, struct weir_env *env)
{
    struct throttle *throttle = self;
    (void)env;
    sieve_free(&throttle->sieve);
}

static int throttle_bind(void *self, struct weir_env *env, struct weir_schema *in, struct weir_schema **out)
{
    struct throttle *throttle = self;
    if (in->time < 0)
        return weir_fail_at(env->error, -EINVAL, env->mark,
                            "%s: periods are of event time, and these records have none: give the source time: COLUMN",
                            env->name);
    int error = grouping_bind(&throttle->sieve.grouping, env, &throttle->by, in);
    if (!error)
        error = weir_key_state_define(
            env,
            &(struct weir_key_options){.size = sizeof(struct throttle_key) + (size_t)throttle->most * sizeof(int64_t)});
    if (!error)
        *out = weir_schema_reference(in);
    return error;
}

/* Records without a time are like any at the same moment. */
static bool passes(const struct throttle *throttle, struct throttle_key *key, int64_t time)
{
    int64_t since;
    if (key->count == throttle->most &&
        (__builtin_sub_overflow(time, key->times[key->next], &since) ? time < 0 : since < throttle->per))
        return false;
    key->times[key->next] = time;
    key->next = key->next + 1 == throttle->most ? 0 : key->next + 1;
    key->count += key->count < throttle->most;
    return true;
}

static uint32_t throttle_pick(void *self, struct weir_env *env, const struct weir_batch *in,
                              const struct weir_batch *keyed)
{
    struct throttle *throttle = self;
    const int64_t *times = in->columns[in->schema->time].i64;
    uint32_t count = 0;
    (void)env;
    for (uint32_t i = 0; i < keyed->count; i++) {
        uint32_t row = weir_batch_row(keyed, i);
        if (passes(throttle, throttle->sieve.states[i], times[row]))
            throttle->sieve.rows[count++] = row;
    }
    return count;
}

static int throttle_process(void *self, struct weir_env *env, struct weir_batch *in, struct weir_out *out)
{
    return sieve_process(&((struct throttle *)self)->sieve, env, in, out, throttle_pick, self);
}

static const struct weir_option throttle_options[] = {
    {.name = "most",
     .type = WEIR_OPTION_INTEGER,
     .offset = offsetof(struct throttle, most),
     .least = 1,
     .most = MOST,
     .fallback = "1",
     .help = "so many records of a key go through in any period"},
    {.name = "per",
     .type = WEIR_OPTION_DURATION,
     .offset = offsetof(struct throttle, per),
     .least = 1,
     .most = SPAN_MOST,
     .flags = WEIR_OPTION_REQUIRED | WEIR_OPTION_MAIN,
     .help = "the period, in event time"},
    {.name = "by",
     .type = WEIR_OPTION_STRINGS,
     .offset = offsetof(struct throttle, by),
     .help = "column, or up to 8 of them, whose values are each throttled by themselves; without it the key of the "
             "source"},
    {.type = WEIR_OPTION_END},
};

const struct weir_stage stage_throttle = {
    .part = {.kind = WEIR_STAGE,
             .name = "throttle",
             .summary = "lets at most so many records of each key through in a period of time",
             .example = "stages:\n"
                        "  - throttle: {most: 1, per: 1m}\n",
             .options = throttle_options,
             .size = sizeof(struct throttle),
             .close = throttle_close},
    .key = throttle_key_column,
    .bind = throttle_bind,
    .process = throttle_process,
};
