/* SPDX-License-Identifier: MIT */
/*
 * Brings a column to a common scale, in one of three ways:
 *
 *   mean, stddev       (x − mean) / stddev with what the configuration says       no state
 *   min, max           (x − min) / (max − min): 0 at min, 1 at max                no state
 *   running: true      against the mean and stddev of all values of the key so far, this one included
 *
 * Where the divisor is 0 the result is null.
 */
#include <errno.h>
#include <stdio.h>

#include "data/kernel_normalize.h"
#include "parts/numeric.h"
#include "parts/parts.h"

struct normalize {
    struct weir_quoted field, by, as; /* options; numbers as lists, so that it shows whether one was given */
    struct weir_numbers mean, stddev, min, max;
    bool running;
    int64_t ddof;

    double offset, divisor; /* from here on: made by open and bind */
    uint32_t column, output;
    struct weir_schema *out;
    void **states;
    size_t states_capacity;
    double *scratch;
    size_t scratch_capacity;
};

static const char *normalize_key(const void *self)
{
    const struct normalize *normalize = self;
    if (!normalize->running)
        return WEIR_UNKEYED;
    return normalize->by.text ? normalize->by.text : WEIR_KEY_OF_SOURCE;
}

static int normalize_open(void *self, struct weir_env *env)
{
    struct normalize *normalize = self;
    bool given = normalize->mean.count || normalize->stddev.count;
    bool range = normalize->min.count || normalize->max.count;
    if (normalize->mean.count > 1 || normalize->stddev.count > 1 || normalize->min.count > 1 ||
        normalize->max.count > 1)
        return weir_fail_at(env->error, -EINVAL, env->mark, "%s: mean, stddev, min and max are one number each",
                            env->name);
    if (given + range + normalize->running != 1)
        return weir_fail_at(env->error, -EINVAL, env->mark,
                            "%s: say how, in one of three ways: mean and stddev; min and max; running: true",
                            env->name);
    if (given && (!normalize->mean.count || !normalize->stddev.count))
        return weir_fail_at(env->error, -EINVAL, env->mark, "%s: mean and stddev go together; %s is missing", env->name,
                            normalize->mean.count ? "stddev" : "mean");
    if (range && (!normalize->min.count || !normalize->max.count))
        return weir_fail_at(env->error, -EINVAL, env->mark, "%s: min and max go together; %s is missing", env->name,
                            normalize->min.count ? "max" : "min");
    if (normalize->by.text && !normalize->running)
        return weir_fail_at(env->error, -EINVAL, normalize->by.mark, "%s: 'by' needs running: true", env->name);
    if (given) {
        normalize->offset = normalize->mean.values[0];
        normalize->divisor = normalize->stddev.values[0];
        if (normalize->divisor < 0)
            return weir_fail_at(env->error, -EINVAL, env->mark, "%s: stddev is negative", env->name);
    } else if (range) {
        normalize->offset = normalize->min.values[0];
        normalize->divisor = normalize->max.values[0] - normalize->min.values[0];
        if (normalize->divisor < 0)
            return weir_fail_at(env->error, -EINVAL, env->mark, "%s: min is greater than max", env->name);
    }
    return 0;
}

static void normalize_close(void *self, struct weir_env *env)
{
    struct normalize *normalize = self;
    (void)env;
    weir_schema_release(normalize->out);
    memory_free(normalize->states);
    memory_free(normalize->scratch);
}

static int normalize_bind(void *self, struct weir_env *env, struct weir_schema *in, struct weir_schema **out)
{
    struct normalize *normalize = self;
    int error = numeric_column(env, in, normalize->field, &normalize->column);
    if (error < 0)
        return error;

    char name[WEIR_NAME_MAX + 1];
    struct weir_quoted named = normalize->as.text ? normalize->as : normalize->field;
    int length = snprintf(name, sizeof(name), normalize->as.text ? "%s" : "%s_normalized", named.text);
    int32_t there = weir_schema_find(in, name);
    if (length < 1 || length > WEIR_NAME_MAX)
        return weir_fail_at(env->error, -EINVAL, named.mark, "%s: the name of a column has 1 to %d bytes", env->name,
                            (int)WEIR_NAME_MAX);
    if (there >= 0 && (there == in->key || there == in->time))
        return weir_fail_at(
            env->error, -EINVAL, named.mark,
            "%s: column \"%s\" would be replaced, and it is the %s of the records; choose another name with as",
            env->name, name, there == in->key ? "key" : "time");
    if (there < 0 && in->count >= WEIR_FIELDS_MAX)
        return weir_fail_at(env->error, -EINVAL, named.mark, "%s: more than %d columns", env->name,
                            (int)WEIR_FIELDS_MAX);

    weir_schema_release(normalize->out);
    normalize->out = weir_schema_extend(in, &(struct weir_field){.name = name, .type = WEIR_F64}, 1);
    if (!normalize->out)
        return weir_fail(env->error, -ENOMEM, "%s: out of memory", env->name);
    normalize->output = (uint32_t)weir_schema_find(normalize->out, name);
    if (normalize->running) {
        error = weir_key_state_define(env, &(struct weir_key_options){.size = sizeof(struct normalize_running)});
        if (error < 0)
            return error;
    }
    *out = weir_schema_reference(normalize->out);
    return 0;
}

static int normalize_process(void *self, struct weir_env *env, struct weir_batch *in, struct weir_out *out)
{
    struct normalize *normalize = self;
    if (numeric_reserve(&normalize->scratch, &normalize->scratch_capacity, in->rows, sizeof(double)) < 0)
        return weir_fail(env->error, -ENOMEM, "%s: out of memory", env->name);
    if (normalize->running) {
        if (numeric_reserve(&normalize->states, &normalize->states_capacity, in->count, sizeof(void *)) < 0)
            return weir_fail(env->error, -ENOMEM, "%s: out of memory", env->name);
        int error = weir_key_states(env, &in, normalize->states);
        if (error < 0 || in->count == 0)
            return error;
    }
    struct weir_batch *made = weir_batch_derive(env->pool, in, normalize->out);
    double *results = made ? weir_batch_add_column(made, normalize->output) : NULL;
    if (!results) {
        weir_batch_release(made);
        return weir_fail(env->error, -ENOMEM, "%s: out of memory; give the pipeline more with run: {memory: ...}",
                         env->name);
    }
    const double *values = numeric_values(in, normalize->column, normalize->scratch);
    if (normalize->running)
        normalize_running_rows(normalize->states, in->selection, in->count, values, (uint32_t)normalize->ddof, results);
    else
        normalize_given(values, in->rows, normalize->offset, normalize->divisor, results);
    weir_out_emit(out, made);
    return 0;
}

static const struct weir_option normalize_options[] = {
    {.name = "field",
     .type = WEIR_OPTION_COLUMN,
     .offset = offsetof(struct normalize, field),
     .flags = WEIR_OPTION_REQUIRED,
     .help = "column of numbers"},
    {.name = "mean",
     .type = WEIR_OPTION_NUMBERS,
     .offset = offsetof(struct normalize, mean),
     .help = "(value - mean) / stddev, with stddev"},
    {.name = "stddev",
     .type = WEIR_OPTION_NUMBERS,
     .offset = offsetof(struct normalize, stddev),
     .help = "see mean; 0 makes the result null"},
    {.name = "min",
     .type = WEIR_OPTION_NUMBERS,
     .offset = offsetof(struct normalize, min),
     .help = "becomes 0, and max becomes 1; values outside go below and above"},
    {.name = "max", .type = WEIR_OPTION_NUMBERS, .offset = offsetof(struct normalize, max), .help = "see min"},
    {.name = "running",
     .type = WEIR_OPTION_BOOL,
     .offset = offsetof(struct normalize, running),
     .fallback = "false",
     .help = "by mean and stddev of all values of the key so far, this one included"},
    {.name = "by",
     .type = WEIR_OPTION_COLUMN,
     .offset = offsetof(struct normalize, by),
     .help = "running: column whose values each have a mean and stddev of their own; without it the key of the source"},
    {.name = "ddof",
     .type = WEIR_OPTION_INTEGER,
     .offset = offsetof(struct normalize, ddof),
     .fallback = "1",
     .least = 0,
     .most = 1000,
     .help = "running: the variance divides by count - ddof"},
    {.name = "as",
     .type = WEIR_OPTION_COLUMN,
     .offset = offsetof(struct normalize, as),
     .help = "name of the new column; without it <field>_normalized"},
    {.type = WEIR_OPTION_END},
};

const struct weir_stage stage_normalize = {
    .part = {.kind = WEIR_STAGE,
             .name = "normalize",
             .summary =
                 "brings a column to a common scale: by mean and stddev, by min and max, or by what was seen so far",
             .example = "stages:\n"
                        "  - normalize: {field: value, mean: 20, stddev: 5, as: z}\n",
             .options = normalize_options,
             .size = sizeof(struct normalize),
             .open = normalize_open,
             .close = normalize_close},
    .key = normalize_key,
    .bind = normalize_bind,
    .process = normalize_process,
};
