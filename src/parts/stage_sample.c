/* SPDX-License-Identifier: MIT */
/*
 * sample: every nth record of each key, counted as they come; or each record with a probability, by a hash of the seed
 * and of the record's number in its source. Either is the same in each run and for any number of lanes.
 */
#include <errno.h>

#include "base/hash.h"
#include "parts/parts.h"
#include "parts/sieve.h"

struct sample {
    int64_t every, seed; /* options */
    double probability;
    struct weir_list by;

    struct sieve sieve;
};

static const char *sample_key(const void *self)
{
    const struct sample *sample = self;
    return sample->every ? grouping_key(&sample->by) : WEIR_UNKEYED;
}

static int sample_open(void *self, struct weir_env *env)
{
    const struct sample *sample = self;
    if ((sample->every > 0) == (sample->probability > 0))
        return weir_fail_at(env->error, -EINVAL, env->mark,
                            "%s: say either every: 10, for every tenth record of a key, or probability: 0.1",
                            env->name);
    if (sample->probability > 0 && sample->by.count)
        return weir_fail_at(env->error, -EINVAL, sample->by.items[0].value.mark,
                            "%s: by goes with every; chance knows no keys", env->name);
    return 0;
}

static void sample_close(void *self, struct weir_env *env)
{
    struct sample *sample = self;
    (void)env;
    sieve_free(&sample->sieve);
}

static int sample_bind(void *self, struct weir_env *env, struct weir_schema *in, struct weir_schema **out)
{
    struct sample *sample = self;
    int error = 0;
    sample->sieve.keyless = !sample->every;
    if (sample->every)
        error = grouping_bind(&sample->sieve.grouping, env, &sample->by, in);
    if (!error && sample->every)
        error = weir_key_state_define(env, &(struct weir_key_options){.size = sizeof(uint64_t)});
    if (!error)
        *out = weir_schema_reference(in);
    return error;
}

static uint32_t take_each(struct sample *sample, const struct weir_batch *in)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < in->count; i++) {
        uint64_t *seen = sample->sieve.states[i];
        if (*seen == 0)
            sample->sieve.rows[count++] = weir_batch_row(in, i);
        *seen = *seen + 1 == (uint64_t)sample->every ? 0 : *seen + 1;
    }
    return count;
}

static uint32_t take_by_chance(struct sample *sample, const struct weir_env *env, const struct weir_batch *in)
{
    const uint64_t seed = hash_u64((sample->seed ? (uint64_t)sample->seed : env->seed) ^ hash_u64(in->source + 1));
    uint32_t count = 0;
    for (uint32_t i = 0; i < in->count; i++) {
        uint32_t row = weir_batch_row(in, i);
        double chance = (double)(hash_u64(seed ^ hash_u64(weir_batch_position(in, row) + 1)) >> 11) * 0x1p-53;
        if (chance < sample->probability)
            sample->sieve.rows[count++] = row;
    }
    return count;
}

static uint32_t sample_pick(void *self, struct weir_env *env, const struct weir_batch *in,
                            const struct weir_batch *keyed)
{
    struct sample *sample = self;
    (void)in;
    return sample->every ? take_each(sample, keyed) : take_by_chance(sample, env, keyed);
}

static int sample_process(void *self, struct weir_env *env, struct weir_batch *in, struct weir_out *out)
{
    return sieve_process(&((struct sample *)self)->sieve, env, in, out, sample_pick, self);
}

static const struct weir_option sample_options[] = {
    {.name = "every",
     .type = WEIR_OPTION_INTEGER,
     .offset = offsetof(struct sample, every),
     .least = 0,
     .most = 1e15,
     .flags = WEIR_OPTION_MAIN,
     .help = "the first of so many records of a key"},
    {.name = "probability",
     .type = WEIR_OPTION_NUMBER,
     .offset = offsetof(struct sample, probability),
     .least = 0,
     .most = 1,
     .help = "or each record with this probability, from 0 to 1"},
    {.name = "seed",
     .type = WEIR_OPTION_INTEGER,
     .offset = offsetof(struct sample, seed),
     .least = 0,
     .most = 1e15,
     .help = "another one makes another choice; without it the seed of the run"},
    {.name = "by",
     .type = WEIR_OPTION_STRINGS,
     .offset = offsetof(struct sample, by),
     .help = "column, or up to 8 of them, whose values are each counted by themselves; without it the key of the "
             "source"},
    {.type = WEIR_OPTION_END},
};

const struct weir_stage stage_sample = {
    .part = {.kind = WEIR_STAGE,
             .name = "sample",
             .summary = "keeps every nth record of each key, or each with a probability",
             .example = "stages:\n"
                        "  - sample: {every: 10}\n",
             .options = sample_options,
             .size = sizeof(struct sample),
             .open = sample_open,
             .close = sample_close},
    .key = sample_key,
    .bind = sample_bind,
    .process = sample_process,
};
