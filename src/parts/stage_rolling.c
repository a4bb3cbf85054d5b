/* SPDX-License-Identifier: MIT */
/*
 * Statistics of the last records of each key. The numbers are worked out in data/kernel_rolling.c, where their
 * definitions are; here are options, columns and the state of each key: one kernel's state after the other, a field
 * each.
 */
#include <errno.h>
#include <stdio.h>

#include "data/kernel_rolling.h"
#include "parts/numeric.h"
#include "parts/parts.h"

/* More than this for one key is a mistake in the configuration. */
enum { STATE_BYTES_MOST = 1 << 30 };

static const char *const methods[] = {"incremental", "recompute", NULL};
enum { METHOD_INCREMENTAL, METHOD_RECOMPUTE };

struct rolled_field {
    uint32_t column;                      /* of the schema that comes in */
    uint32_t outputs[ROLLING_STATISTICS]; /* columns of the schema that goes out, where asked for */
    struct rolling_kernel kernel;
};

struct rolling {
    struct weir_list fields, compute; /* options */
    struct weir_quoted by;
    int64_t window, step, ddof;
    bool lag;
    int method;
    const char *as;

    enum rolling_statistic order[ROLLING_STATISTICS]; /* from here on: made by bind */
    uint32_t order_count, statistics;
    struct rolled_field *rolled;
    uint32_t rolled_count;
    struct weir_schema *out;
    void **states;
    size_t states_capacity;
    double *scratch;
    size_t scratch_capacity;
};

static const char *rolling_key(const void *self)
{
    const struct rolling *rolling = self;
    return rolling->by.text ? rolling->by.text : WEIR_KEY_OF_SOURCE;
}

static int read_statistics(struct rolling *rolling, struct weir_env *env)
{
    rolling->order_count = 0;
    rolling->statistics = 0;
    for (size_t i = 0; i < rolling->compute.count; i++) {
        struct weir_quoted name = rolling->compute.items[i].value;
        unsigned s = 0;
        while (s < ROLLING_STATISTICS && strcmp(rolling_statistic_names[s], name.text) != 0)
            s++;
        if (s == ROLLING_STATISTICS) {
            const char *nearest = error_nearest(name.text, rolling_statistic_names, ROLLING_STATISTICS);
            return weir_fail_at(
                env->error, -EINVAL, name.mark,
                "%s: no statistic \"%s\"; %s%s%sthere are: count, sum, mean, var, stddev, min, max, first, "
                "last, delta",
                env->name, name.text, nearest ? "did you mean \"" : "", nearest ? nearest : "", nearest ? "\"? " : "");
        }
        if (rolling->statistics & 1u << s)
            continue;
        rolling->statistics |= 1u << s;
        rolling->order[rolling->order_count++] = s;
    }
    return 0;
}

/* Finds the columns and makes a kernel for each; *ret_size: bytes of a key's state. */
static int bind_fields(struct rolling *rolling, struct weir_env *env, const struct weir_schema *in, size_t *ret_size)
{
    const struct rolling_options options = {
        .window = (uint32_t)rolling->window,
        .statistics = rolling->statistics,
        .ddof = (uint32_t)rolling->ddof,
        .step = (uint32_t)rolling->step,
        .lag = rolling->lag,
        .recompute = rolling->method == METHOD_RECOMPUTE,
    };
    size_t size = 0;
    for (uint32_t f = 0; f < rolling->rolled_count; f++) {
        struct rolled_field *rolled = &rolling->rolled[f];
        struct weir_quoted name = rolling->fields.items[f].value;
        int error = numeric_column(env, in, name, &rolled->column);
        if (error < 0)
            return error;
        for (uint32_t g = 0; g < f; g++) {
            if (rolling->rolled[g].column == rolled->column)
                return weir_fail_at(env->error, -EINVAL, name.mark, "%s: column \"%s\" is listed twice", env->name,
                                    name.text);
        }
        error = rolling_kernel_init(&rolled->kernel, &options, size);
        if (error < 0)
            return weir_fail_at(env->error, error, env->mark, "%s: a window of %lld records cannot be", env->name,
                                (long long)rolling->window);
        size += rolled->kernel.state_size;
    }
    if (size > STATE_BYTES_MOST)
        return weir_fail_at(env->error, -EINVAL, env->mark,
                            "%s: a window of %lld records needs %.1f GB of memory for each key; make it shorter",
                            env->name, (long long)rolling->window, (double)size / 1e9);
    *ret_size = size;
    return 0;
}

/* The columns that go out: those that came in and <field>_<statistic> for each. */
static int bind_outputs(struct rolling *rolling, struct weir_env *env, const struct weir_schema *in)
{
    const uint32_t count = rolling->rolled_count * rolling->order_count;
    if (count + in->count > WEIR_FIELDS_MAX)
        return weir_fail_at(env->error, -EINVAL, env->mark, "%s: %u columns are too many; %d are the limit", env->name,
                            count + in->count, (int)WEIR_FIELDS_MAX);
    struct weir_field *fields = memory_zeroed(count, sizeof(*fields));
    char(*names)[WEIR_NAME_MAX + 1] = memory_zeroed(count, sizeof(*names));
    int error = fields && names ? 0 : weir_fail(env->error, -ENOMEM, "%s: out of memory", env->name);
    for (uint32_t i = 0; !error && i < count; i++) {
        struct weir_quoted field = rolling->fields.items[i / rolling->order_count].value;
        enum rolling_statistic statistic = rolling->order[i % rolling->order_count];
        int length = snprintf(names[i], sizeof(names[i]), "%s_%s", rolling->as ? rolling->as : field.text,
                              rolling_statistic_names[statistic]);
        int32_t there = weir_schema_find(in, names[i]);
        if (length > WEIR_NAME_MAX)
            error = weir_fail_at(env->error, -EINVAL, field.mark, "%s: the name of the new column would be too long",
                                 env->name);
        else if (there >= 0 && (there == in->key || there == in->time))
            error = weir_fail_at(env->error, -EINVAL, field.mark,
                                 "%s: column \"%s\" would be replaced, and it is the %s of the records; choose another "
                                 "name with as",
                                 env->name, names[i], there == in->key ? "key" : "time");
        fields[i] = (struct weir_field){.name = names[i], .type = statistic == ROLLING_COUNT ? WEIR_I64 : WEIR_F64};
    }
    if (!error) {
        weir_schema_release(rolling->out);
        rolling->out = weir_schema_extend(in, fields, count);
        if (!rolling->out)
            error = weir_fail(env->error, -ENOMEM, "%s: out of memory", env->name);
    }
    for (uint32_t i = 0; !error && i < count; i++)
        rolling->rolled[i / rolling->order_count].outputs[rolling->order[i % rolling->order_count]] =
            (uint32_t)weir_schema_find(rolling->out, fields[i].name);
    memory_free(names);
    memory_free(fields);
    return error;
}

static int rolling_open(void *self, struct weir_env *env)
{
    struct rolling *rolling = self;
    if (rolling->as && rolling->fields.count > 1)
        return weir_fail_at(env->error, -EINVAL, env->mark,
                            "%s: as names the columns of one field; with several, leave it out", env->name);
    int error = read_statistics(rolling, env);
    if (error < 0)
        return error;
    if (rolling->order_count == 0)
        return weir_fail_at(env->error, -EINVAL, env->mark,
                            "%s: compute is empty; say what is wanted, such as [mean, stddev]", env->name);
    if (rolling->fields.count == 0)
        return weir_fail_at(env->error, -EINVAL, env->mark, "%s: field is empty; say of which column", env->name);
    rolling->rolled = memory_zeroed(rolling->fields.count, sizeof(*rolling->rolled));
    if (!rolling->rolled)
        return weir_fail(env->error, -ENOMEM, "%s: out of memory", env->name);
    rolling->rolled_count = (uint32_t)rolling->fields.count;
    return 0;
}

static void rolling_close(void *self, struct weir_env *env)
{
    struct rolling *rolling = self;
    (void)env;
    weir_schema_release(rolling->out);
    memory_free(rolling->rolled);
    memory_free(rolling->states);
    memory_free(rolling->scratch);
}

static int rolling_bind(void *self, struct weir_env *env, struct weir_schema *in, struct weir_schema **out)
{
    struct rolling *rolling = self;
    size_t size = 0;
    int error = bind_fields(rolling, env, in, &size);
    if (!error)
        error = bind_outputs(rolling, env, in);
    if (!error)
        error = weir_key_state_define(env, &(struct weir_key_options){.size = size});
    if (!error)
        *out = weir_schema_reference(rolling->out);
    return error;
}

/* Makes the batch that goes out, with the columns of one field after the other. */
static int roll(struct rolling *rolling, struct weir_batch *in, struct weir_batch *made)
{
    for (uint32_t f = 0; f < rolling->rolled_count; f++) {
        const struct rolled_field *rolled = &rolling->rolled[f];
        struct rolling_rows rows = {
            .states = rolling->states,
            .selection = in->selection,
            .count = in->count,
            .values = numeric_values(in, rolled->column, rolling->scratch),
        };
        for (uint32_t i = 0; i < rolling->order_count; i++) {
            enum rolling_statistic statistic = rolling->order[i];
            rows.columns[statistic] = weir_batch_add_column(made, rolled->outputs[statistic]);
            if (!rows.columns[statistic])
                return -ENOMEM;
        }
        rolling_kernel_process(&rolled->kernel, &rows);
    }
    return 0;
}

static int rolling_process(void *self, struct weir_env *env, struct weir_batch *in, struct weir_out *out)
{
    struct rolling *rolling = self;
    if (numeric_reserve(&rolling->states, &rolling->states_capacity, in->count, sizeof(void *)) < 0 ||
        numeric_reserve(&rolling->scratch, &rolling->scratch_capacity, in->rows, sizeof(double)) < 0)
        return weir_fail(env->error, -ENOMEM, "%s: out of memory", env->name);
    int error = weir_key_states(env, &in, rolling->states);
    if (error < 0 || in->count == 0)
        return error;
    struct weir_batch *made = weir_batch_derive(env->pool, in, rolling->out);
    if (!made || roll(rolling, in, made) < 0) {
        weir_batch_release(made);
        return weir_fail(env->error, -ENOMEM, "%s: out of memory; give the pipeline more with run: {memory: ...}",
                         env->name);
    }
    weir_out_emit(out, made);
    return 0;
}

static const struct weir_option rolling_options[] = {
    {.name = "field",
     .type = WEIR_OPTION_STRINGS,
     .offset = offsetof(struct rolling, fields),
     .flags = WEIR_OPTION_REQUIRED,
     .help = "column of numbers, or a list of them"},
    {.name = "window",
     .type = WEIR_OPTION_INTEGER,
     .offset = offsetof(struct rolling, window),
     .least = 1,
     .most = ROLLING_WINDOW_MOST,
     .flags = WEIR_OPTION_REQUIRED,
     .help = "how many records of a key are looked at; fewer while there are not yet so many"},
    {.name = "compute",
     .type = WEIR_OPTION_STRINGS,
     .offset = offsetof(struct rolling, compute),
     .flags = WEIR_OPTION_REQUIRED,
     .help = "what of them: count, sum, mean, var, stddev, min, max, first, last, delta; each a column "
             "<field>_<statistic>"},
    {.name = "by",
     .type = WEIR_OPTION_COLUMN,
     .offset = offsetof(struct rolling, by),
     .help = "column whose values each have a window of their own; without it the key of the source"},
    {.name = "ddof",
     .type = WEIR_OPTION_INTEGER,
     .offset = offsetof(struct rolling, ddof),
     .fallback = "1",
     .least = 0,
     .most = 1000,
     .help = "var divides by count - ddof; 1: of a sample (as pandas), 0: of all there is (as numpy)"},
    {.name = "step",
     .type = WEIR_OPTION_INTEGER,
     .offset = offsetof(struct rolling, step),
     .fallback = "1",
     .least = 1,
     .most = ROLLING_WINDOW_MOST,
     .help = "once it is full the window moves so many records at a time, and statistics hold still in between"},
    {.name = "lag",
     .type = WEIR_OPTION_BOOL,
     .offset = offsetof(struct rolling, lag),
     .fallback = "false",
     .help = "statistics of the records before this one, null when there are none"},
    {.name = "method",
     .type = WEIR_OPTION_CHOICE,
     .offset = offsetof(struct rolling, method),
     .fallback = "incremental",
     .choices = methods,
     .help = "recompute walks over the whole window for each record: slow, for comparison"},
    {.name = "as",
     .type = WEIR_OPTION_STRING,
     .offset = offsetof(struct rolling, as),
     .help = "name the columns <as>_<statistic> instead"},
    {.type = WEIR_OPTION_END},
};

const struct weir_stage stage_rolling = {
    .part = {.kind = WEIR_STAGE,
             .name = "rolling",
             .summary = "statistics of the last records of each key: mean, stddev, min, max, ...",
             .example = "stages:\n"
                        "  - rolling: {field: value, window: 10, compute: [mean, stddev, max]}\n",
             .options = rolling_options,
             .size = sizeof(struct rolling),
             .open = rolling_open,
             .close = rolling_close},
    .key = rolling_key,
    .bind = rolling_bind,
    .process = rolling_process,
};
