/* SPDX-License-Identifier: MIT */
/*
 * Brings a column to a common scale, in one of these ways:
 *
 *   mean, stddev       (x − mean) / stddev with what the configuration says       no state
 *   min, max           (x − min) / (max − min): 0 at min, 1 at max                no state
 *   running: true      against the mean and stddev of all values of the key so far, this one included
 *   method: robust     (x − median) / (1.4826 · MAD): with median and mad as the configuration says, or those of the
 *                      last records of the key (window)
 *
 * Where the divisor is 0 the result is null.
 */
#include <errno.h>
#include <stdio.h>

#include "data/kernel_normalize.h"
#include "data/kernel_robust.h"
#include "parts/extent.h"
#include "parts/numeric.h"
#include "parts/parts.h"

enum { RECORDS_USUAL = 4096 }; /* of a window of time */

static const char *const methods[] = {"standard", "robust", NULL};
enum { STANDARD, ROBUST };

struct normalize {
    struct weir_quoted field, by, as; /* options; numbers as lists, so that it shows whether one was given */
    struct weir_numbers mean, stddev, min, max, median, mad;
    const char *window;
    bool running, lag;
    int64_t ddof, most;
    int method;

    double offset, divisor; /* from here on: made by open and bind */
    uint32_t column, output;
    struct weir_schema *out;
    struct robust_options robust;
    int32_t time;
    void **states; /* of the batch at hand */
};

static const char *normalize_key(const void *self)
{
    const struct normalize *normalize = self;
    if (!normalize->running && !normalize->window)
        return WEIR_UNKEYED;
    return normalize->by.text ? normalize->by.text : WEIR_KEY_OF_SOURCE;
}

static int one_each(const struct normalize *normalize, struct weir_env *env)
{
    const struct weir_numbers *numbers[] = {&normalize->mean, &normalize->stddev, &normalize->min,
                                            &normalize->max,  &normalize->median, &normalize->mad};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (numbers[i]->count > 1)
            return weir_fail_at(env->error, -EINVAL, env->mark,
                                "%s: mean, stddev, min, max, median and mad are one number each", env->name);
    return 0;
}

/* Two numbers that go together: the offset, and what is divided by. */
static int pair(struct normalize *normalize, struct weir_env *env, const struct weir_numbers *first, const char *a,
                const struct weir_numbers *second, const char *b)
{
    if (!first->count || !second->count)
        return weir_fail_at(env->error, -EINVAL, env->mark, "%s: %s and %s go together; %s is missing", env->name, a, b,
                            first->count ? b : a);
    normalize->offset = first->values[0];
    normalize->divisor = second->values[0];
    return 0;
}

static int open_robust(struct normalize *normalize, struct weir_env *env)
{
    bool given = normalize->median.count || normalize->mad.count;
    int64_t records, span;
    if (normalize->mean.count || normalize->stddev.count || normalize->min.count || normalize->max.count ||
        normalize->running || given == (normalize->window != NULL))
        return weir_fail_at(env->error, -EINVAL, env->mark,
                            "%s: method: robust goes with either window (10 records, or 30s) or with median and mad",
                            env->name);
    if (given) {
        int error = pair(normalize, env, &normalize->median, "median", &normalize->mad, "mad");
        normalize->divisor *= ROBUST_SCALE;
        return error                    ? error
               : normalize->divisor < 0 ? weir_fail_at(env->error, -EINVAL, env->mark, "%s: mad is negative", env->name)
                                        : 0;
    }
    if (extent_read(normalize->window, &records, &span) < 0 || records > ROBUST_RECORDS_MOST)
        return weir_fail_at(env->error, -EINVAL, env->mark,
                            "%s: window \"%s\" is neither a number of records (1 to %d), such as 10, nor a time, such "
                            "as 30s",
                            env->name, normalize->window, (int)ROBUST_RECORDS_MOST);
    if (records && normalize->most)
        return weir_fail_at(env->error, -EINVAL, env->mark,
                            "%s: most is for a window of time, such as 30s; one of %lld records has no more of them: "
                            "leave most out",
                            env->name, (long long)records);
    normalize->most = normalize->most ? normalize->most : RECORDS_USUAL;
    normalize->robust = (struct robust_options){
        .records = (uint32_t)(span ? normalize->most : records), .span = span, .lag = normalize->lag};
    return 0;
}

static int open_standard(struct normalize *normalize, struct weir_env *env)
{
    bool given = normalize->mean.count || normalize->stddev.count;
    bool range = normalize->min.count || normalize->max.count;
    int error = 0;
    if (normalize->median.count || normalize->mad.count)
        return weir_fail_at(env->error, -EINVAL, env->mark, "%s: median and mad need method: robust", env->name);
    if (normalize->window)
        return weir_fail_at(env->error, -EINVAL, env->mark,
                            "%s: window needs method: robust; by mean and stddev of a window is rolling with compute: "
                            "zscore",
                            env->name);
    if (given + range + normalize->running != 1)
        return weir_fail_at(env->error, -EINVAL, env->mark,
                            "%s: say how, in one of these ways: mean and stddev; min and max; running: true; method: "
                            "robust",
                            env->name);
    if (given)
        error = pair(normalize, env, &normalize->mean, "mean", &normalize->stddev, "stddev");
    if (range)
        error = pair(normalize, env, &normalize->min, "min", &normalize->max, "max");
    if (range && !error)
        normalize->divisor -= normalize->offset;
    if (!error && normalize->divisor < 0)
        error = weir_fail_at(env->error, -EINVAL, env->mark,
                             given ? "%s: stddev is negative" : "%s: min is greater than max", env->name);
    return error;
}

static int normalize_open(void *self, struct weir_env *env)
{
    struct normalize *normalize = self;
    int error = one_each(normalize, env);
    if (error)
        return error;
    if (normalize->by.text && !normalize->running && !normalize->window)
        return weir_fail_at(env->error, -EINVAL, normalize->by.mark, "%s: 'by' needs running: true or a window",
                            env->name);
    return normalize->method == ROBUST ? open_robust(normalize, env) : open_standard(normalize, env);
}

static void normalize_close(void *self, struct weir_env *env)
{
    struct normalize *normalize = self;
    (void)env;
    weir_schema_release(normalize->out);
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
    normalize->out = weir_schema_together(
        env, weir_schema_extend(in, &(struct weir_field){.name = name, .type = WEIR_F64}, 1));
    if (!normalize->out)
        return weir_fail(env->error, -ENOMEM, "%s: out of memory", env->name);
    normalize->output = (uint32_t)weir_schema_find(normalize->out, name);
    if (normalize->running) {
        error = weir_key_state_define(env, &(struct weir_key_options){.size = sizeof(struct normalize_running)});
        if (error < 0)
            return error;
    }
    normalize->time = in->time;
    if (normalize->robust.span && in->time < 0)
        return weir_fail_at(env->error, -EINVAL, env->mark,
                            "%s: a window of time needs the time of the records; say at the source which column it is, "
                            "with time",
                            env->name);
    if (normalize->window) {
        error = weir_key_state_define(env, &(struct weir_key_options){.size = robust_state_size(&normalize->robust)});
        if (error < 0)
            return error;
    }
    *out = weir_schema_reference(normalize->out);
    return 0;
}

static void process_robust(const struct normalize *normalize, struct weir_env *env, const struct weir_batch *in,
                           const double *values, double *results)
{
    struct robust_rows rows = {.states = normalize->states,
                               .selection = in->selection,
                               .count = in->count,
                               .values = values,
                               .times = normalize->time >= 0 ? in->columns[normalize->time].i64 : NULL,
                               .out = results};
    robust_process(&normalize->robust, &rows);
    if (rows.early)
        weir_count(env, "records over most", normalize->field.text, rows.early);
}

static int normalize_process(void *self, struct weir_env *env, struct weir_batch *in, struct weir_out *out)
{
    struct normalize *normalize = self;
    normalize->states = weir_scratch(env, 0, in->count * sizeof *normalize->states);
    double *scratch = weir_scratch(env, 1, in->rows * sizeof *scratch);
    if (!normalize->states || !scratch)
        return weir_fail(env->error, -ENOMEM, "%s: out of memory", env->name);
    if (normalize->running || normalize->window) {
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
    const double *values = numeric_values(in, normalize->column, scratch);
    if (normalize->window)
        process_robust(normalize, env, in, values, results);
    else if (normalize->running)
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
    {.name = "method",
     .type = WEIR_OPTION_CHOICE,
     .offset = offsetof(struct normalize, method),
     .fallback = "standard",
     .choices = methods,
     .help = "robust: (value - median) / (1.4826 * MAD), which outliers do not move; with window, or median and mad"},
    {.name = "window",
     .type = WEIR_OPTION_STRING,
     .offset = offsetof(struct normalize, window),
     .help = "robust: by the last so many records of the key (100), or so much event time (30s), this one included"},
    {.name = "median",
     .type = WEIR_OPTION_NUMBERS,
     .offset = offsetof(struct normalize, median),
     .help = "robust, with mad: (value - median) / (1.4826 * mad)"},
    {.name = "mad",
     .type = WEIR_OPTION_NUMBERS,
     .offset = offsetof(struct normalize, mad),
     .help = "see median; the median distance to the median"},
    {.name = "lag",
     .type = WEIR_OPTION_BOOL,
     .offset = offsetof(struct normalize, lag),
     .fallback = "false",
     .help = "window: by the records before this one"},
    {.name = "most",
     .type = WEIR_OPTION_INTEGER,
     .offset = offsetof(struct normalize, most),
     .least = 1,
     .most = ROBUST_RECORDS_MOST,
     .help = "a window of time: at most so many records of a key (4096 unless told), for which memory is set aside; "
             "when there are more "
             "the oldest leaves early and is counted"},
    {.name = "by",
     .type = WEIR_OPTION_COLUMN,
     .offset = offsetof(struct normalize, by),
     .help = "running, window: column whose values each are looked at by themselves; without it the key of the "
             "source"},
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
             .summary = "brings a column to a common scale: by mean and stddev, min and max, what was seen so far, or "
                        "median and MAD",
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
