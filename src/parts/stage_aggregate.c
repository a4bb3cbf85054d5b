/* SPDX-License-Identifier: MIT */
/*
 * aggregate: one record for each key and window of event time. The windows are in parts/windows.c, the numbers in
 * data/kernel_aggregate.c and data/kernel_quantile.c; here are options, columns and what becomes of records.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "data/kernel_quantile.h"
#include "parts/grouping.h"
#include "parts/numeric.h"
#include "parts/parts.h"
#include "parts/pieces.h"
#include "parts/verdicts.h"
#include "parts/windows.h"

enum { VALUES_MOST = 1 << 30 };
enum { START, END, HEAD }; /* the first columns that go out */
#define SPAN_MOST 3.2e17   /* ns: ten years */

/* Statistics go on where those of a cell end. */
enum { DISTINCT = AGGREGATE_STATISTICS, QUANTILE, STATISTICS = QUANTILE + QUANTILES_MOST };

static const char *const stamps[] = {"start", "end", NULL}; /* START, END */

struct aggregate {
    struct weir_list fields, compute, by; /* options */
    int64_t every, window, gap, offset, lateness, ddof, max_values;
    const char *late;
    int stamp;

    unsigned order[STATISTICS]; /* from here on: made by open and bind. What was asked for, in order */
    const char *names[STATISTICS];
    uint32_t order_count, statistics; /* statistics: a set of 1 << … */
    double quantiles[QUANTILES_MOST];
    uint32_t quantile_count;
    struct grouping grouping;
    uint32_t columns[WINDOWS_FIELDS_MOST]; /* of the schema that comes in */
    enum weir_type key_types[GROUPING_COLUMNS_MOST];
    size_t out_next; /* of the windows that are on their way out */
    struct windows windows;
    struct weir_schema *out;
    int64_t watermark;
    uint32_t source;
    uint64_t sequence;
    uint64_t taken; /* records, of the batch at hand */
    bool bound;

    void **states; /* room for a batch */
    size_t states_capacity;
    double *scratch[WINDOWS_FIELDS_MOST];
    size_t scratch_capacity[WINDOWS_FIELDS_MOST];
    struct verdicts verdicts;
};

static const char *aggregate_key(const void *self)
{
    return grouping_key(&((const struct aggregate *)self)->by);
}

/* ---- Options --------------------------------------------------------------------------------------------------- */

static int no_statistic(struct weir_env *env, struct weir_quoted name)
{
    const char *names[AGGREGATE_STATISTICS + 2];
    memcpy(names, aggregate_statistic_names, AGGREGATE_STATISTICS * sizeof *names);
    names[AGGREGATE_STATISTICS] = "distinct";
    names[AGGREGATE_STATISTICS + 1] = "median";
    if (strcmp(name.text, "ewma") == 0)
        return weir_fail_at(env->error, -EINVAL, name.mark,
                            "%s: ewma looks back beyond any window; the stage rolling has it, for each record",
                            env->name);
    const char *nearest = error_nearest(name.text, names, AGGREGATE_STATISTICS + 2);
    return weir_fail_at(
        env->error, -EINVAL, name.mark,
        "%s: no statistic \"%s\"; %s%s%sthere are: count, sum, mean, var, stddev, min, max, first, "
        "last, delta, range, rate, slope, zscore, distinct, median, and up to %d like p90 (90 %%) and p999 (99.9 %%)",
        env->name, name.text, nearest ? "did you mean \"" : "", nearest ? nearest : "", nearest ? "\"? " : "",
        (int)QUANTILES_MOST);
}

/* The statistic of a name that is not among those known already; STATISTICS: there is none. */
static unsigned find_statistic(struct aggregate *aggregate, const char *name)
{
    double rank;
    for (unsigned s = 0; s < AGGREGATE_STATISTICS; s++)
        if (strcmp(aggregate_statistic_names[s], name) == 0)
            return s;
    if (strcmp(name, "distinct") == 0)
        return DISTINCT;
    if (!quantile_read(name, &rank) || aggregate->quantile_count == QUANTILES_MOST)
        return STATISTICS;
    aggregate->quantiles[aggregate->quantile_count] = rank;
    return QUANTILE + aggregate->quantile_count++;
}

static int read_statistics(struct aggregate *aggregate, struct weir_env *env)
{
    for (size_t i = 0; i < aggregate->compute.count; i++) {
        struct weir_quoted name = aggregate->compute.items[i].value;
        uint32_t known = 0;
        while (known < aggregate->order_count && strcmp(aggregate->names[known], name.text) != 0)
            known++;
        if (known < aggregate->order_count)
            continue;
        unsigned statistic = find_statistic(aggregate, name.text);
        if (statistic == STATISTICS)
            return no_statistic(env, name);
        aggregate->statistics |= 1u << statistic;
        aggregate->names[aggregate->order_count] = name.text;
        aggregate->order[aggregate->order_count++] = statistic;
    }
    if (!aggregate->order_count)
        return weir_fail_at(env->error, -EINVAL, env->mark,
                            "%s: compute is empty; say what is wanted, such as [count, mean]", env->name);
    if (!aggregate->fields.count && (aggregate->order_count > 1 || aggregate->order[0] != AGGREGATE_COUNT))
        return weir_fail_at(env->error, -EINVAL, env->mark,
                            "%s: say of which field; without one only records can be counted: compute: count",
                            env->name);
    if (aggregate->fields.count > WINDOWS_FIELDS_MOST)
        return weir_fail_at(env->error, -EINVAL, env->mark, "%s: field takes at most %d columns", env->name,
                            (int)WINDOWS_FIELDS_MOST);
    return 0;
}

static int check_windows(const struct aggregate *aggregate, struct weir_env *env)
{
    if ((aggregate->every > 0) == (aggregate->gap > 0))
        return weir_fail_at(env->error, -EINVAL, env->mark,
                            "%s: windows are given by every: 1m (one after the other), by every: 10s, window: 1m "
                            "(overlapping) or by gap: 30s (as long as records keep coming)",
                            env->name);
    if (aggregate->gap > 0 && (aggregate->window > 0 || aggregate->offset != 0))
        return weir_fail_at(env->error, -EINVAL, env->mark, "%s: gap takes neither window nor offset", env->name);
    if (aggregate->window > 0 && aggregate->window < aggregate->every)
        return weir_fail_at(env->error, -EINVAL, env->mark,
                            "%s: window is shorter than every, so that records would fall between windows; a filter "
                            "in front says that better",
                            env->name);
    return 0;
}

static int aggregate_open(void *self, struct weir_env *env)
{
    struct aggregate *aggregate = self;
    int error = read_statistics(aggregate, env);
    if (!error)
        error = check_windows(aggregate, env);
    aggregate->watermark = INT64_MIN;
    return error;
}

static void aggregate_close(void *self, struct weir_env *env)
{
    struct aggregate *aggregate = self;
    grouping_free(&aggregate->grouping);
    windows_free(&aggregate->windows, env);
    weir_schema_release(aggregate->out);
    memory_free(aggregate->states);
    for (uint32_t f = 0; f < WINDOWS_FIELDS_MOST; f++)
        memory_free(aggregate->scratch[f]);
    verdicts_free(&aggregate->verdicts);
}

/* ---- Schema ---------------------------------------------------------------------------------------------------- */

static bool is_count(unsigned statistic)
{
    return statistic == AGGREGATE_COUNT || statistic == DISTINCT;
}

/* The columns that go out: the window, the key, and <field>_<statistic> for each. */
static int bind_outputs(struct aggregate *aggregate, struct weir_env *env, const struct weir_schema *in)
{
    const uint32_t keys = aggregate->grouping.count, first = HEAD + keys;
    const uint32_t made = aggregate->fields.count ? (uint32_t)aggregate->fields.count * aggregate->order_count : 1;
    const uint32_t count = first + made;
    if (count > WEIR_FIELDS_MAX)
        return weir_fail_at(env->error, -EINVAL, env->mark, "%s: %u columns are too many; %d are the limit", env->name,
                            count, (int)WEIR_FIELDS_MAX);
    struct weir_field *fields = memory_zeroed(count, sizeof(*fields));
    char(*names)[2 * WEIR_NAME_MAX] = memory_zeroed(made, sizeof(*names));
    int error = fields && names ? 0 : weir_fail(env->error, -ENOMEM, "%s: out of memory", env->name);
    if (!error) {
        fields[START] = (struct weir_field){.name = "window_start", .type = WEIR_TIME};
        fields[END] = (struct weir_field){.name = "window_end", .type = WEIR_TIME};
    }
    for (uint32_t i = 0; !error && i < keys; i++)
        fields[HEAD + i] = grouping_field(&aggregate->grouping, in, i);
    for (uint32_t i = 0; !error && i < made; i++) {
        unsigned statistic = aggregate->order[i % aggregate->order_count];
        const char *field = aggregate->fields.count ? aggregate->fields.items[i / aggregate->order_count].value.text
                                                    : NULL;
        int length = snprintf(names[i], sizeof(names[i]), "%s%s%s", field ? field : "", field ? "_" : "",
                              aggregate->names[i % aggregate->order_count]);
        if (length > WEIR_NAME_MAX)
            error = weir_fail_at(env->error, -EINVAL, env->mark, "%s: the name of a new column would be too long: %s",
                                 env->name, names[i]);
        fields[first + i] = (struct weir_field){.name = names[i], .type = is_count(statistic) ? WEIR_I64 : WEIR_F64};
    }
    for (uint32_t i = 0; !error && i < count; i++)
        for (uint32_t j = 0; !error && j < i; j++)
            if (strcmp(fields[i].name, fields[j].name) == 0)
                error = weir_fail_at(env->error, -EINVAL, env->mark,
                                     "%s: two columns that go out would be called \"%s\"; rename one with select "
                                     "before",
                                     env->name, fields[i].name);
    if (!error) {
        weir_schema_release(aggregate->out);
        aggregate->out = weir_schema_together(env, weir_schema_new(fields, count, aggregate->stamp, keys ? HEAD : -1));
        if (!aggregate->out)
            error = weir_fail(env->error, -ENOMEM, "%s: out of memory", env->name);
    }
    memory_free(names);
    memory_free(fields);
    return error;
}

static int bind_windows(struct aggregate *aggregate, struct weir_env *env)
{
    struct windows_options options = {
        .every = aggregate->every,
        .window = aggregate->window > 0 ? aggregate->window : aggregate->every,
        .offset = aggregate->offset,
        .gap = aggregate->gap,
        .lateness = aggregate->lateness,
        .fields = (uint32_t)aggregate->fields.count,
        .key_values = aggregate->grouping.count,
        .trends = aggregate->statistics & 1u << AGGREGATE_SLOPE,
        .values = aggregate->statistics >= 1u << DISTINCT,
        .distinct = aggregate->statistics < 1u << QUANTILE,
        .most_values = (uint32_t)aggregate->max_values,
        .quantiles = aggregate->quantile_count,
    };
    memcpy(options.ranks, aggregate->quantiles, sizeof options.ranks);
    options.most_open = windows_most_open(&options, env->watermark_delay);
    if (!options.most_open)
        return weir_fail_at(env->error, -EINVAL, env->mark,
                            "%s: more than %d windows of a key could be open at a time: that is how many fit into "
                            "window + allowed_lateness + the source's watermark; make one of them shorter or every "
                            "longer",
                            env->name, (int)WINDOWS_OPEN_MOST);
    windows_init(&aggregate->windows, &options);
    return 0;
}

/* What states hold must mean the same after a change of the schema. */
static int check_keys(struct aggregate *aggregate, struct weir_env *env, const struct weir_schema *in)
{
    for (uint32_t i = 0; i < aggregate->grouping.count; i++) {
        enum weir_type type = in->fields[aggregate->grouping.columns[i]].type;
        if (aggregate->bound && (type != aggregate->key_types[i]))
            return weir_fail_at(env->error, -EINVAL, env->mark, "%s: the type of column \"%s\" has changed on the way",
                                env->name, in->fields[aggregate->grouping.columns[i]].name);
        aggregate->key_types[i] = type;
    }
    if (aggregate->bound && aggregate->windows.options.key_values != aggregate->grouping.count)
        return weir_fail_at(env->error, -EINVAL, env->mark, "%s: the key of the records has changed on the way",
                            env->name);
    return 0;
}

static int aggregate_bind(void *self, struct weir_env *env, struct weir_schema *in, struct weir_schema **out)
{
    struct aggregate *aggregate = self;
    if (in->time < 0)
        return weir_fail_at(env->error, -EINVAL, env->mark,
                            "%s: windows are of event time, and these records have none: give the source time: COLUMN",
                            env->name);
    int error = grouping_bind(&aggregate->grouping, env, &aggregate->by, in);
    for (size_t f = 0; !error && f < aggregate->fields.count; f++)
        error = numeric_column(env, in, aggregate->fields.items[f].value, &aggregate->columns[f]);
    if (!error)
        error = check_keys(aggregate, env, in);
    if (!error)
        error = bind_outputs(aggregate, env, in);
    if (!error && !aggregate->bound)
        error = bind_windows(aggregate, env);
    if (!error)
        error = weir_key_state_define(env, &(struct weir_key_options){.size = aggregate->windows.state_size});
    if (error)
        return error;
    aggregate->bound = true;
    *out = weir_schema_reference(aggregate->out);
    return 0;
}

/* ---- Records come ---------------------------------------------------------------------------------------------- */

enum { NO_TIME = WINDOWS_OUT_OF_RANGE + 1, VERDICTS };
static const char *const reasons[VERDICTS] = {
    [WINDOWS_LATE] = "late records",
    [WINDOWS_FULL] = "too many open windows",
    [WINDOWS_OVER_MOST] = "too many values in a window",
    [WINDOWS_NO_MEMORY] = "no memory for values of windows",
    [WINDOWS_OUT_OF_RANGE] = "time out of range",
    [NO_TIME] = "no time",
};

static void tell_no_room(const struct aggregate *aggregate, struct weir_env *env, int verdict)
{
    if (verdict == WINDOWS_OVER_MOST)
        weir_notice(env, reasons[verdict],
                    "a window has %lld values of a field, and no room for more: records that belong there are refused; "
                    "raise max_values, make the windows shorter, or leave out quantiles and distinct",
                    (long long)aggregate->max_values);
    else if (verdict == WINDOWS_NO_MEMORY)
        weir_notice(
            env, reasons[verdict],
            "there is no memory to keep more values of windows in, for quantiles or distinct: their records are "
            "refused; give the pipeline more with run: {memory: ...}, or make the windows shorter");
    else if (verdict == WINDOWS_FULL)
        weir_notice(
            env, reasons[verdict],
            "there is no memory for more open windows: they wait for the source that is furthest behind in event time, "
            "and records of others are refused; give a source that may be silent an `idle`, or the pipeline more with "
            "run: {memory: ...}");
}

static int take_in(struct aggregate *aggregate, struct weir_env *env, const struct weir_batch *in,
                   const struct weir_batch *keyed)
{
    const double *values[WINDOWS_FIELDS_MOST];
    double record_values[WINDOWS_FIELDS_MOST];
    const int64_t *times = in->columns[in->schema->time].i64;
    for (uint32_t f = 0; f < aggregate->fields.count; f++)
        values[f] = numeric_values(in, aggregate->columns[f], aggregate->scratch[f]);
    for (uint32_t i = 0; i < keyed->count; i++) {
        uint32_t row = weir_batch_row(keyed, i);
        struct window_state *state = aggregate->states[i];
        struct windows_record record = {
            .time = times[row],
            .watermark = weir_row_watermark(env, in, row, aggregate->watermark),
            .position = weir_batch_position(in, row),
            .produced = weir_batch_produced(in, row),
            .values = record_values,
        };
        if (record.time == WEIR_TIME_NULL) {
            aggregate->verdicts.items[i] = NO_TIME;
            continue;
        }
        if (!state->begun) {
            grouping_values(&aggregate->grouping, env, in, row, state->values);
            state->begun = true;
        }
        for (uint32_t f = 0; f < aggregate->fields.count; f++)
            record_values[f] = values[f][row];
        int verdict = windows_add(&aggregate->windows, env, state, &record);
        if (verdict < 0)
            return verdict;
        tell_no_room(aggregate, env, verdict);
        aggregate->verdicts.items[i] = (uint8_t)verdict;
        aggregate->taken += verdict == WINDOWS_TAKEN;
    }
    return 0;
}

static int make_room(struct aggregate *aggregate, const struct weir_batch *in)
{
    int error = numeric_reserve(&aggregate->states, &aggregate->states_capacity, in->count, sizeof(void *));
    for (uint32_t f = 0; !error && f < aggregate->fields.count; f++)
        if (in->schema->fields[aggregate->columns[f]].type == WEIR_I64)
            error = numeric_reserve(&aggregate->scratch[f], &aggregate->scratch_capacity[f], in->rows, sizeof(double));
    return error ? error : verdicts_reserve(&aggregate->verdicts, in->count);
}

static int aggregate_process(void *self, struct weir_env *env, struct weir_batch *in, struct weir_out *out)
{
    struct aggregate *aggregate = self;
    struct weir_batch *keyed = in;
    aggregate->taken = 0;
    if (make_room(aggregate, in) < 0)
        return weir_fail(env->error, -ENOMEM, "%s: out of memory", env->name);
    int error = grouping_states(&aggregate->grouping, env, &keyed, aggregate->states);
    if (error >= 0 && keyed->count)
        error = take_in(aggregate, env, in, keyed);
    if (error >= 0 && keyed->count)
        error = verdicts_settle(&aggregate->verdicts, env, in, keyed, reasons, VERDICTS, WINDOWS_LATE, out);
    weir_count(env, "records aggregated", NULL, aggregate->taken);
    if (aggregate->windows.missing)
        weir_count(env, "records missing in one of their windows", NULL, aggregate->windows.missing);
    aggregate->windows.missing = 0;
    aggregate->source = in->source;
    aggregate->sequence = in->sequence;
    grouping_done(&aggregate->grouping);
    return error < 0 ? weir_fail(env->error, error, "%s: out of memory; give the pipeline more with run: {memory: ...}",
                                 env->name)
                     : 0;
}

/* ---- Windows go out -------------------------------------------------------------------------------------------- */

/* For whoever merges what lanes sent: by the end of the window, and by its first record, as on one lane. Ends are a
 * multiple of `every` apart, which leaves bits for the record; sessions have none. */
static uint64_t position_of(const struct aggregate *aggregate, const struct window_pane *pane)
{
    uint64_t end = (uint64_t)pane->end ^ UINT64_C(1) << 63;
    if (aggregate->every <= 1)
        return end;
    uint64_t every = (uint64_t)aggregate->every;
    int bits = __builtin_clzll(UINT64_MAX / every);
    uint64_t most = (UINT64_C(1) << bits) - 1;
    return end / every << bits | (pane->position < most ? pane->position : most);
}

/* What is asked for, of one field in a window. */
static void work_out(const struct aggregate *aggregate, size_t which, uint32_t field, double *results)
{
    const struct windows *windows = &aggregate->windows;
    const struct window_pane *pane = windows_closed(windows, which);
    for (uint32_t s = 0; s < aggregate->order_count; s++)
        if (aggregate->order[s] < AGGREGATE_STATISTICS)
            results[aggregate->order[s]] = aggregate_result(&pane->cells[field], aggregate->order[s],
                                                            (uint32_t)aggregate->ddof);
    if (windows->options.trends)
        results[AGGREGATE_SLOPE] = aggregate_slope(windows_trend(windows, pane, field));
    if (windows->options.values) /* distinct, then the quantiles */
        memcpy(&results[DISTINCT], windows_results(windows, which, field),
               (1 + aggregate->quantile_count) * sizeof *results);
}

static void write_row(const struct aggregate *aggregate, struct weir_batch *batch, uint32_t row, size_t which)
{
    const struct window_pane *pane = windows_closed(&aggregate->windows, which);
    const uint64_t *values = windows_closed_values(&aggregate->windows, which);
    uint32_t column = HEAD;
    ((int64_t *)weir_batch_column_data(batch, START))[row] = pane->start;
    ((int64_t *)weir_batch_column_data(batch, END))[row] = pane->end;
    for (uint32_t i = 0; i < aggregate->grouping.count; i++, column++)
        grouping_put(&aggregate->out->fields[column], weir_batch_column_data(batch, column), row, values[i]);
    if (!aggregate->fields.count)
        ((int64_t *)weir_batch_column_data(batch, column))[row] = pane->records;
    for (uint32_t f = 0; f < aggregate->fields.count; f++) {
        double results[STATISTICS];
        work_out(aggregate, which, f, results);
        for (uint32_t s = 0; s < aggregate->order_count; s++, column++) {
            void *data = weir_batch_column_data(batch, column);
            if (is_count(aggregate->order[s]))
                ((int64_t *)data)[row] = (int64_t)results[aggregate->order[s]];
            else
                ((double *)data)[row] = results[aggregate->order[s]];
        }
    }
}

static struct weir_batch *make_batch(const struct aggregate *aggregate, struct weir_env *env, size_t first,
                                     uint32_t rows)
{
    struct weir_batch *batch = weir_batch_new(env->pool, aggregate->out, rows);
    uint64_t *positions = batch ? weir_batch_allocate(batch, rows * sizeof(*positions)) : NULL;
    int64_t *produced = positions ? weir_batch_allocate(batch, rows * sizeof(*produced)) : NULL;
    if (!produced) {
        weir_batch_release(batch);
        return NULL;
    }
    for (uint32_t row = 0; row < rows; row++) {
        const struct window_pane *pane = windows_closed(&aggregate->windows, first + row);
        write_row(aggregate, batch, row, first + row);
        positions[row] = position_of(aggregate, pane);
        produced[row] = pane->produced;
    }
    batch->positions = positions;
    batch->position = positions[0];
    batch->produced_rows = produced;
    batch->produced = produced[0];
    batch->source = aggregate->source;
    batch->sequence = aggregate->sequence;
    return batch;
}

static int aggregate_on_watermark(void *self, struct weir_env *env, int64_t time_ns, struct weir_out *out)
{
    struct aggregate *aggregate = self;
    struct windows *windows = &aggregate->windows;
    const uint32_t most = pieces_rows(aggregate->out);
    aggregate->watermark = time_ns;
    int error = 0;
    if (aggregate->out_next == windows->out_count) { /* else some are on their way out still */
        aggregate->out_next = 0;
        error = windows_close(windows, env, time_ns, most);
        if (error >= 0)
            error = windows_sort(windows);
    }
    size_t left = error < 0 ? 0 : windows->out_count - aggregate->out_next;
    uint32_t rows = left < most ? (uint32_t)left : most;
    struct weir_batch *batch = rows ? make_batch(aggregate, env, aggregate->out_next, rows) : NULL;
    if (rows && !batch)
        error = -ENOMEM;
    weir_out_emit(out, batch);
    aggregate->out_next += rows;
    bool more = aggregate->out_next < windows->out_count || windows->until < INT64_MAX;
    if (aggregate->out_next == windows->out_count) {
        windows_forget_closed(windows);
        aggregate->out_next = 0;
    }
    if (error < 0)
        return weir_fail(env->error, error, "%s: out of memory; give the pipeline more with run: {memory: ...}",
                         env->name);
    return more;
}

static const struct weir_option aggregate_options[] = {
    {.name = "field",
     .type = WEIR_OPTION_STRINGS,
     .offset = offsetof(struct aggregate, fields),
     .help = "column of numbers, or a list of them; may be left out where only records are counted"},
    {.name = "compute",
     .type = WEIR_OPTION_STRINGS,
     .offset = offsetof(struct aggregate, compute),
     .flags = WEIR_OPTION_REQUIRED,
     .help = "what of them: count, sum, mean, var, stddev, min, max, first, last, delta, range, rate (delta "
             "per second), slope (least squares), zscore (of the last value), distinct, median, p90 and such; each a "
             "column <field>_<statistic>"},
    {.name = "max_values",
     .type = WEIR_OPTION_INTEGER,
     .offset = offsetof(struct aggregate, max_values),
     .fallback = "10000000",
     .least = 1,
     .most = VALUES_MOST,
     .help = "median, p90 and such, distinct: at most so many values of a field are kept in a window (8 bytes each; "
             "for distinct alone, different ones); a record with one more is refused and counted"},
    {.name = "every",
     .type = WEIR_OPTION_DURATION,
     .offset = offsetof(struct aggregate, every),
     .least = 0,
     .most = SPAN_MOST,
     .help = "a window begins at each multiple of this, counted from 1970, and, without window, is as long"},
    {.name = "window",
     .type = WEIR_OPTION_DURATION,
     .offset = offsetof(struct aggregate, window),
     .least = 0,
     .most = SPAN_MOST,
     .help = "length of a window, where windows overlap: longer than every"},
    {.name = "gap",
     .type = WEIR_OPTION_DURATION,
     .offset = offsetof(struct aggregate, gap),
     .least = 0,
     .most = SPAN_MOST,
     .help = "windows are sessions instead: one lasts until no record has come for so long"},
    {.name = "offset",
     .type = WEIR_OPTION_DURATION,
     .offset = offsetof(struct aggregate, offset),
     .least = 0,
     .most = SPAN_MOST,
     .help = "windows begin so much later than at multiples of every: 6h for days that begin at six"},
    {.name = "by",
     .type = WEIR_OPTION_STRINGS,
     .offset = offsetof(struct aggregate, by),
     .help = "column, or up to 8 of them, whose values each have windows of their own; without it the key of the "
             "source"},
    {.name = "allowed_lateness",
     .type = WEIR_OPTION_DURATION,
     .offset = offsetof(struct aggregate, lateness),
     .least = 0,
     .most = SPAN_MOST,
     .help = "windows wait so much longer for late records, beyond the source's watermark"},
    {.name = "late",
     .type = WEIR_OPTION_STRING,
     .offset = offsetof(struct aggregate, late),
     .flags = WEIR_OPTION_SIDE,
     .help = "a name for the late records, which others can read from: as they came, instead of refused"},
    {.name = "stamp",
     .type = WEIR_OPTION_CHOICE,
     .offset = offsetof(struct aggregate, stamp),
     .fallback = "start",
     .choices = stamps,
     .help = "which end of the window is the event time of what goes out: start, so that minutes can be made into "
             "hours; end, which is when it is known"},
    {.name = "ddof",
     .type = WEIR_OPTION_INTEGER,
     .offset = offsetof(struct aggregate, ddof),
     .fallback = "1",
     .least = 0,
     .most = 1000,
     .help = "var divides by count - ddof; 1: of a sample (as pandas), 0: of all there is (as numpy)"},
    {.type = WEIR_OPTION_END},
};

const struct weir_stage stage_aggregate = {
    .part = {.kind = WEIR_STAGE,
             .name = "aggregate",
             .summary = "one record for each key and window of time: tumbling, hopping or session windows",
             .example = "stages:\n"
                        "  - aggregate: {field: value, every: 1m, compute: [count, mean, max]}\n",
             .options = aggregate_options,
             .size = sizeof(struct aggregate),
             .open = aggregate_open,
             .close = aggregate_close},
    .key = aggregate_key,
    .bind = aggregate_bind,
    .process = aggregate_process,
    .on_watermark = aggregate_on_watermark,
};
