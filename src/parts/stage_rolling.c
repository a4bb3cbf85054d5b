/* SPDX-License-Identifier: MIT */
/*
 * Statistics of the last records of each key. The numbers are worked out in data/kernel_rolling.c, where their
 * definitions are; here are options, columns and the state of each key: one kernel's state after the other, a field
 * each.
 */
#include <errno.h>
#include <stdio.h>

#include "base/units.h"
#include "data/kernel_quantile.h"
#include "data/kernel_rolling.h"
#include "data/kernel_rolling_wide.h"
#include "parts/extent.h"
#include "parts/numeric.h"
#include "parts/parts.h"

/* More than this for one key is a mistake in the configuration. */
enum { STATE_BYTES_MOST = 1 << 30 };
enum { RECORDS_USUAL = 4096 }; /* of a window of time */

static const char *const methods[] = {"incremental", "recompute", NULL};
enum { METHOD_INCREMENTAL, METHOD_RECOMPUTE };

struct rolled_field {
    uint32_t column;                           /* of the schema that comes in */
    uint32_t outputs[ROLLING_WIDE_STATISTICS]; /* columns of the schema that goes out, where asked for */
    struct rolling_kernel kernel;              /* one or the other: see rolling->wide */
    struct rolling_wide wide;
    struct rolling_column alone; /* of records without a key */
};

struct rolling {
    struct weir_list fields, compute; /* options */
    struct weir_quoted by;
    const char *window, *halflife;
    int64_t most, step, ddof;
    double alpha;
    bool lag;
    int method;
    const char *as;

    unsigned order[ROLLING_WIDE_STATISTICS]; /* from here on: made by open and bind. What was asked for, in order */
    const char *names[ROLLING_WIDE_STATISTICS];
    uint32_t order_count, statistics;
    int64_t records, span; /* the window: one of them is 0 */
    double quantiles[ROLLING_QUANTILES_MOST], half_life;
    uint32_t quantile_count;
    bool half_life_timed, wide; /* wide: needs the kernel that can do more */
    int32_t time;               /* column of event time, or -1 */
    struct rolled_field *rolled;
    uint32_t rolled_count;
    size_t state_size;
    struct weir_schema *out;
    void **states;   /* of the batch at hand, as is */
    double *scratch; /* this one */
};

static const char *rolling_key(const void *self)
{
    const struct rolling *rolling = self;
    return rolling->by.text ? rolling->by.text : WEIR_KEY_OF_SOURCE;
}

/* The statistic of a name; quantiles are numbered as they come. ROLLING_WIDE_STATISTICS: there is none. */
static unsigned find_statistic(struct rolling *rolling, const char *name)
{
    double rank;
    for (unsigned s = 0; s < ROLLING_STATISTICS; s++) {
        if (strcmp(rolling_statistic_names[s], name) == 0)
            return s;
    }
    for (unsigned s = 0; rolling_wide_names[s]; s++) {
        if (strcmp(rolling_wide_names[s], name) == 0)
            return ROLLING_RANGE + s;
    }
    if (!quantile_read(name, &rank))
        return ROLLING_WIDE_STATISTICS;
    for (uint32_t i = 0; i < rolling->order_count; i++) {
        if (strcmp(rolling->names[i], name) == 0)
            return rolling->order[i];
    }
    if (rolling->quantile_count == ROLLING_QUANTILES_MOST)
        return ROLLING_WIDE_STATISTICS;
    rolling->quantiles[rolling->quantile_count] = rank;
    return ROLLING_QUANTILE + rolling->quantile_count++;
}

static int no_statistic(struct weir_env *env, struct weir_quoted name)
{
    const char *names[ROLLING_STATISTICS + ROLLING_QUANTILE];
    uint32_t count = 0;
    for (unsigned s = 0; s < ROLLING_STATISTICS; s++)
        names[count++] = rolling_statistic_names[s];
    for (unsigned s = 0; rolling_wide_names[s]; s++)
        names[count++] = rolling_wide_names[s];
    names[count++] = "median";
    const char *nearest = error_nearest(name.text, names, count);
    return weir_fail_at(
        env->error, -EINVAL, name.mark,
        "%s: no statistic \"%s\"; %s%s%sthere are: count, sum, mean, var, stddev, min, max, first, last, "
        "delta, range, rate, slope, ewma, zscore, distinct, median, and up to %d like p90 (90 %%) and p999 (99.9 %%)",
        env->name, name.text, nearest ? "did you mean \"" : "", nearest ? nearest : "", nearest ? "\"? " : "",
        (int)ROLLING_QUANTILES_MOST);
}

static int read_statistics(struct rolling *rolling, struct weir_env *env)
{
    rolling->order_count = rolling->quantile_count = rolling->statistics = 0;
    for (size_t i = 0; i < rolling->compute.count; i++) {
        struct weir_quoted name = rolling->compute.items[i].value;
        unsigned s = find_statistic(rolling, name.text);
        if (s == ROLLING_WIDE_STATISTICS)
            return no_statistic(env, name);
        if (rolling->statistics & 1u << s)
            continue;
        rolling->statistics |= 1u << s;
        rolling->names[rolling->order_count] = name.text;
        rolling->order[rolling->order_count++] = s;
    }
    return 0;
}

/* ewma looks back beyond any window; all other statistics are of one. */
static int no_window(struct rolling *rolling, struct weir_env *env)
{
    for (uint32_t i = 0; i < rolling->order_count; i++) {
        if (rolling->order[i] != ROLLING_EWMA)
            return weir_fail_at(env->error, -EINVAL, env->mark,
                                "%s: window is missing: of how many records (10), or of how much event time (30s), is "
                                "%s wanted? Only ewma does without",
                                env->name, rolling->names[i]);
    }
    if (rolling->most)
        return weir_fail_at(env->error, -EINVAL, env->mark,
                            "%s: most is for a window of time, such as 30s, and there is no window", env->name);
    rolling->records = 1;
    return 0;
}

static int read_window(struct rolling *rolling, struct weir_env *env)
{
    if (!rolling->window)
        return no_window(rolling, env);
    if (extent_read(rolling->window, &rolling->records, &rolling->span) < 0 || rolling->records > ROLLING_WINDOW_MOST)
        return weir_fail_at(env->error, -EINVAL, env->mark,
                            "%s: window \"%s\" is neither a number of records (1 to %d), such as 10, nor a time, such "
                            "as 30s",
                            env->name, rolling->window, (int)ROLLING_WINDOW_MOST);
    if (rolling->records && rolling->most)
        return weir_fail_at(env->error, -EINVAL, env->mark,
                            "%s: most is for a window of time, such as 30s; one of %lld records has no more of them: "
                            "leave most out",
                            env->name, (long long)rolling->records);
    rolling->most = rolling->most ? rolling->most : RECORDS_USUAL;
    return 0;
}

/* What only some statistics need. */
static int check_options(struct rolling *rolling, struct weir_env *env)
{
    const bool ewma = rolling->statistics & 1u << ROLLING_EWMA;
    int64_t records = 0, span = 0;
    rolling->wide = rolling->span > 0 || rolling->statistics >= 1u << ROLLING_STATISTICS;
    if (rolling->halflife && extent_read(rolling->halflife, &records, &span) < 0)
        return weir_fail_at(env->error, -EINVAL, env->mark,
                            "%s: halflife \"%s\" is neither a number of records nor a time, such as 5m", env->name,
                            rolling->halflife);
    rolling->half_life = (double)(records + span);
    rolling->half_life_timed = span > 0;
    if (ewma && (rolling->alpha > 0) + (rolling->halflife != NULL) != 1)
        return weir_fail_at(env->error, -EINVAL, env->mark, "%s: ewma needs either alpha or halflife", env->name);
    if (!ewma && (rolling->alpha > 0 || rolling->halflife))
        return weir_fail_at(env->error, -EINVAL, env->mark, "%s: alpha and halflife are for ewma", env->name);
    if (rolling->wide && (rolling->step > 1 || rolling->method == METHOD_RECOMPUTE))
        return weir_fail_at(
            env->error, -EINVAL, env->mark,
            "%s: step and method: recompute are only for windows of records and the statistics count to "
            "delta",
            env->name);
    if (rolling->wide && rolling->records > ROLLING_WIDE_RECORDS_MOST)
        return weir_fail_at(env->error, -EINVAL, env->mark, "%s: a window of %lld records needs too much memory",
                            env->name, (long long)rolling->records);
    return 0;
}

static int init_kernel(const struct rolling *rolling, struct rolled_field *rolled, size_t offset, size_t *ret_size)
{
    const struct rolling_options options = {
        .window = (uint32_t)rolling->records,
        .statistics = rolling->statistics,
        .ddof = (uint32_t)rolling->ddof,
        .step = (uint32_t)rolling->step,
        .lag = rolling->lag,
        .recompute = rolling->method == METHOD_RECOMPUTE,
    };
    struct rolling_wide_options wide = {
        .records = (uint32_t)(rolling->span ? rolling->most : rolling->records),
        .span = rolling->span,
        .statistics = rolling->statistics,
        .ddof = (uint32_t)rolling->ddof,
        .lag = rolling->lag,
        .timed = rolling->time >= 0,
        .alpha = rolling->alpha,
        .half_life = rolling->half_life,
        .half_life_timed = rolling->half_life_timed,
        .quantile_count = rolling->quantile_count,
    };
    memcpy(wide.quantiles, rolling->quantiles, sizeof(wide.quantiles));
    int error = rolling->wide ? rolling_wide_init(&rolled->wide, &wide, offset)
                              : rolling_kernel_init(&rolled->kernel, &options, offset);
    *ret_size = rolling->wide ? rolled->wide.state_size : rolled->kernel.state_size;
    return error;
}

/* Finds the columns and makes a kernel for each; *ret_size: bytes of a key's state. */
static int bind_fields(struct rolling *rolling, struct weir_env *env, const struct weir_schema *in, size_t *ret_size)
{
    size_t size = 0;
    const bool rate = rolling->statistics & 1u << ROLLING_RATE;
    rolling->time = in->time;
    if (in->time < 0 && (rolling->span || rate || rolling->half_life_timed))
        return weir_fail_at(env->error, -EINVAL, env->mark,
                            "%s: %s needs the time of the records; say at the source which column it is, with time",
                            env->name,
                            rolling->span ? "a window of time"
                            : rate        ? "rate"
                                          : "halflife");
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
        size_t more = 0;
        error = init_kernel(rolling, rolled, size, &more);
        if (error < 0)
            return weir_fail_at(env->error, error, env->mark, "%s: a window of %s cannot be", env->name,
                                rolling->window);
        size += more;
    }
    if (size > STATE_BYTES_MOST)
        return weir_fail_at(env->error, -EINVAL, env->mark,
                            "%s: a window of %s needs %.1f GB of memory for each key; make it %s", env->name,
                            rolling->window, (double)size / 1e9, rolling->span ? "smaller with most" : "shorter");
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
        unsigned statistic = rolling->order[i % rolling->order_count];
        int length = snprintf(names[i], sizeof(names[i]), "%s_%s", rolling->as ? rolling->as : field.text,
                              rolling->names[i % rolling->order_count]);
        int32_t there = weir_schema_find(in, names[i]);
        if (length > WEIR_NAME_MAX)
            error = weir_fail_at(env->error, -EINVAL, field.mark, "%s: the name of the new column would be too long",
                                 env->name);
        else if (there >= 0 && (there == in->key || there == in->time))
            error = weir_fail_at(env->error, -EINVAL, field.mark,
                                 "%s: column \"%s\" would be replaced, and it is the %s of the records; choose another "
                                 "name with as",
                                 env->name, names[i], there == in->key ? "key" : "time");
        fields[i] = (struct weir_field){.name = names[i],
                                        .type = statistic == ROLLING_COUNT || statistic == ROLLING_DISTINCT ? WEIR_I64
                                                                                                            : WEIR_F64};
    }
    if (!error) {
        weir_schema_release(rolling->out);
        rolling->out = weir_schema_together(env, weir_schema_extend(in, fields, count));
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
    if (!error)
        error = read_window(rolling, env);
    if (!error)
        error = check_options(rolling, env);
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
    for (uint32_t f = 0; size != rolling->state_size && f < rolling->rolled_count; f++)
        rolling->rolled[f].alone = (struct rolling_column){0}; /* its state has been dropped */
    rolling->state_size = size;
    if (!error)
        *out = weir_schema_reference(rolling->out);
    return error;
}

static void roll_wide(const struct rolling *rolling, struct weir_env *env, const struct weir_batch *in, uint32_t field,
                      const double *values, void *const *columns)
{
    struct rolling_wide_rows rows = {
        .states = rolling->states,
        .selection = in->selection,
        .count = in->count,
        .values = values,
        .times = rolling->time >= 0 ? in->columns[rolling->time].i64 : NULL,
    };
    memcpy(rows.columns, columns, sizeof(rows.columns));
    rolling_wide_process(&rolling->rolled[field].wide, &rows);
    if (rows.early)
        weir_count(env, "records over most", rolling->fields.items[field].value.text, rows.early);
}

/* Fills the batch that goes out, with the columns of one field after the other. */
static int roll(struct rolling *rolling, struct weir_env *env, struct weir_batch *in, struct weir_batch *made)
{
    const bool keyed = rolling_key(rolling)[0] != '\0' || in->schema->key >= 0;
    for (uint32_t f = 0; f < rolling->rolled_count; f++) {
        struct rolled_field *rolled = &rolling->rolled[f];
        const double *values = numeric_values(in, rolled->column, rolling->scratch);
        void *columns[ROLLING_WIDE_STATISTICS] = {NULL};
        for (uint32_t i = 0; i < rolling->order_count; i++) {
            unsigned statistic = rolling->order[i];
            columns[statistic] = weir_batch_add_column(made, rolled->outputs[statistic]);
            if (!columns[statistic])
                return -ENOMEM;
        }
        if (rolling->wide) {
            roll_wide(rolling, env, in, f, values, columns);
            continue;
        }
        struct rolling_rows rows = {.states = rolling->states,
                                    .selection = in->selection,
                                    .count = in->count,
                                    .values = values,
                                    .column = keyed ? NULL : &rolled->alone};
        memcpy(rows.columns, columns, sizeof(rows.columns));
        rolling_kernel_process(&rolled->kernel, &rows);
    }
    return 0;
}

static int rolling_process(void *self, struct weir_env *env, struct weir_batch *in, struct weir_out *out)
{
    struct rolling *rolling = self;
    rolling->states = weir_scratch(env, 0, in->count * sizeof *rolling->states);
    rolling->scratch = weir_scratch(env, 1, in->rows * sizeof *rolling->scratch);
    if (!rolling->states || !rolling->scratch)
        return weir_fail(env->error, -ENOMEM, "%s: out of memory", env->name);
    int error = weir_key_states(env, &in, rolling->states);
    if (error < 0 || in->count == 0)
        return error;
    struct weir_batch *made = weir_batch_derive(env->pool, in, rolling->out);
    if (!made || roll(rolling, env, in, made) < 0) {
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
     .type = WEIR_OPTION_STRING,
     .offset = offsetof(struct rolling, window),
     .help = "how many records of a key are looked at (10), or how much event time (30s); ewma alone needs none"},
    {.name = "most",
     .type = WEIR_OPTION_INTEGER,
     .offset = offsetof(struct rolling, most),
     .least = 1,
     .most = ROLLING_WIDE_RECORDS_MOST,
     .help = "a window of time: at most so many records of a key (4096 unless told), for which memory is set aside; "
             "when there are more "
             "the oldest leaves early and is counted"},
    {.name = "compute",
     .type = WEIR_OPTION_STRINGS,
     .offset = offsetof(struct rolling, compute),
     .flags = WEIR_OPTION_REQUIRED,
     .help = "what of them: count, sum, mean, var, stddev, min, max, first, last, delta, range, rate (delta per "
             "second), slope (least squares), ewma, zscore (usually with lag), distinct, median, p90 and such; each a "
             "column <field>_<statistic>"},
    {.name = "alpha",
     .type = WEIR_OPTION_NUMBER,
     .offset = offsetof(struct rolling, alpha),
     .fallback = "0",
     .least = 0,
     .most = 1,
     .help = "ewma: the weight of the newest value"},
    {.name = "halflife",
     .type = WEIR_OPTION_STRING,
     .offset = offsetof(struct rolling, halflife),
     .help = "ewma: after so many records (10), or so much event time (5m), a value weighs half"},
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
