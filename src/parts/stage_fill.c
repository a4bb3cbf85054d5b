/* SPDX-License-Identifier: MIT */
/*
 * fill: what is not there. Nulls get the last value of their key; and where records of a key should come at an
 * interval, those that did not come are put in, with the last value or on a straight line from it to the next.
 *
 *     came:      10 ──── null ──── (none) ──── (none) ──── 16
 *     forward:   10       10         10          10        16
 *
 * A record that is older than the newest of its key passes as it is. Nothing waits: a gap is filled when the record
 * behind it comes; so the nulls of records that are there are only ever filled forward.
 */
#include <errno.h>
#include <string.h>

#include "parts/grouping.h"
#include "parts/numeric.h"
#include "parts/parts.h"
#include "parts/values.h"

enum { FIELDS_MOST = 64, LIMIT_MOST = 10000 };
#define SPAN_MOST 3.2e17 /* ns: ten years */

static const char *const methods[] = {"forward", "linear", "none", NULL};
enum { FORWARD, LINEAR, NONE };

struct last { /* of a field: the last value that was not null */
    uint64_t bits;
    int64_t time;
    bool known;
};
struct fill_key { /* state of a key */
    int64_t time; /* of its newest record */
    bool begun;
    struct last lasts[];
};

struct missing { /* a record that is put in before `row` */
    uint32_t row;
    int64_t time;
};

struct fill {
    struct weir_list fields, by; /* options */
    int method;
    int64_t every, limit;

    struct grouping grouping;
    uint32_t columns[FIELDS_MOST];
    void **states;
    size_t states_capacity;
    struct missing *missing;
    size_t missing_count, missing_capacity;
    uint64_t *values; /* a value for each missing record and field */
    size_t values_capacity;
};

static const char *fill_key_column(const void *self)
{
    return grouping_key(&((const struct fill *)self)->by);
}

static int fill_open(void *self, struct weir_env *env)
{
    const struct fill *fill = self;
    if (fill->fields.count > FIELDS_MOST)
        return weir_fail_at(env->error, -EINVAL, env->mark, "%s: field takes at most %d columns", env->name,
                            (int)FIELDS_MOST);
    if (!fill->every && fill->method != FORWARD)
        return weir_fail_at(
            env->error, -EINVAL, env->mark,
            "%s: method: %s is for records that are put in, and needs every: how often they should come", env->name,
            methods[fill->method]);
    if (!fill->every && !fill->fields.count)
        return weir_fail_at(env->error, -EINVAL, env->mark,
                            "%s: nothing to fill: give field: COLUMN, or every: how often records should come",
                            env->name);
    return 0;
}

static void fill_close(void *self, struct weir_env *env)
{
    struct fill *fill = self;
    (void)env;
    grouping_free(&fill->grouping);
    memory_free(fill->states);
    memory_free(fill->missing);
    memory_free(fill->values);
}

static int find_field(struct fill *fill, struct weir_env *env, const struct weir_schema *in, uint32_t f)
{
    struct weir_quoted name = fill->fields.items[f].value;
    if (fill->method == LINEAR)
        return numeric_column(env, in, name, &fill->columns[f]);
    int32_t index = weir_schema_find(in, name.text);
    if (index < 0)
        return numeric_unknown(env, in, name);
    enum weir_type type = in->fields[index].type;
    if (type == WEIR_TEXT || type == WEIR_ARRAY || index == in->time)
        return weir_fail_at(env->error, -EINVAL, name.mark,
                            "%s: column \"%s\" cannot be filled: it is %s; f64, i64, bool and symbol can", env->name,
                            name.text, index == in->time ? "the time of the records" : weir_type_name(type));
    fill->columns[f] = (uint32_t)index;
    return 0;
}

static int fill_bind(void *self, struct weir_env *env, struct weir_schema *in, struct weir_schema **out)
{
    struct fill *fill = self;
    if (in->time < 0)
        return weir_fail_at(env->error, -EINVAL, env->mark,
                            "%s: records are filled in order of event time, and these have none: give the source time: "
                            "COLUMN",
                            env->name);
    int error = grouping_bind(&fill->grouping, env, &fill->by, in);
    for (uint32_t f = 0; !error && f < fill->fields.count; f++)
        error = find_field(fill, env, in, f);
    if (!error)
        error = weir_key_state_define(
            env,
            &(struct weir_key_options){.size = sizeof(struct fill_key) + fill->fields.count * sizeof(struct last)});
    if (!error)
        *out = weir_schema_reference(in);
    return error;
}

/* On the line from (a_time, a) to (b_time, b); integers to the nearest. */
static uint64_t on_line(enum weir_type type, const struct last *a, int64_t b_time, uint64_t b, int64_t time)
{
    double part = (double)(time - a->time) / (double)(b_time - a->time), from, to, value;
    uint64_t bits;
    if (type == WEIR_I64) {
        int64_t whole = llround((1 - part) * (double)(int64_t)a->bits + part * (double)(int64_t)b);
        memcpy(&bits, &whole, sizeof bits);
        return bits;
    }
    memcpy(&from, &a->bits, sizeof from);
    memcpy(&to, &b, sizeof to);
    value = (1 - part) * from + part * to;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* ---- Records come ---------------------------------------------------------------------------------------------- */

/* Notes the records that should have come between the key's newest and `row`. */
static int fill_gap(struct fill *fill, struct weir_env *env, const struct weir_batch *in, uint32_t row,
                    const struct fill_key *key, int64_t time)
{
    const size_t fields = fill->fields.count;
    int64_t gap, count;
    if (!fill->every || __builtin_sub_overflow(time, key->time, &gap))
        return 0;
    count = gap / fill->every + (gap % fill->every >= fill->every - gap % fill->every) - 1; /* to the nearest */
    if (count <= 0)
        return 0;
    if (count > fill->limit) {
        weir_count(env, "gaps too long to fill", NULL, 1);
        return 0;
    }
    size_t needed = fill->missing_count + (size_t)count;
    if ((needed > fill->missing_capacity &&
         numeric_reserve(&fill->missing, &fill->missing_capacity, 2 * needed, sizeof *fill->missing) < 0) ||
        (needed * fields > fill->values_capacity &&
         numeric_reserve(&fill->values, &fill->values_capacity, 2 * needed * fields, sizeof *fill->values) < 0))
        return -ENOMEM;
    for (int64_t i = 1; i <= count; i++) {
        int64_t when = key->time + i * fill->every;
        uint64_t *values = fill->values + fill->missing_count * fields;
        fill->missing[fill->missing_count++] = (struct missing){row, when};
        for (uint32_t f = 0; f < fields; f++) {
            const struct weir_field *field = &in->schema->fields[fill->columns[f]];
            const struct last *last = &key->lasts[f];
            uint64_t next = value_read_bits(field, in->columns[fill->columns[f]].data, row);
            values[f] = value_null_of(field->type);
            if (fill->method == FORWARD && last->known)
                values[f] = last->bits;
            if (fill->method == LINEAR && last->known && !value_is_null(field->type, next))
                values[f] = on_line(field->type, last, time, next, when);
        }
    }
    return 0;
}

static int fill_row(struct fill *fill, struct weir_env *env, const struct weir_batch *in, uint32_t row,
                    struct fill_key *key, void *const *columns)
{
    int64_t time = in->columns[in->schema->time].i64[row];
    if (time == WEIR_TIME_NULL || (key->begun && time < key->time))
        return 0;
    int error = key->begun ? fill_gap(fill, env, in, row, key, time) : 0;
    for (uint32_t f = 0; !error && f < fill->fields.count; f++) {
        const struct weir_field *field = &in->schema->fields[fill->columns[f]];
        uint64_t bits = value_read_bits(field, in->columns[fill->columns[f]].data, row);
        struct last *last = &key->lasts[f];
        if (!value_is_null(field->type, bits))
            *last = (struct last){bits, time, true};
        else if (columns[f] && last->known)
            value_write_bits(field, columns[f], row, last->bits);
    }
    key->time = time;
    key->begun = true;
    return error;
}

/* Copies of the columns that are filled forward, to be written into. */
static int copy_columns(const struct fill *fill, const struct weir_batch *in, struct weir_batch *made, void **columns)
{
    for (uint32_t f = 0; f < fill->fields.count; f++) {
        columns[f] = NULL;
        if (fill->method != FORWARD)
            continue;
        columns[f] = weir_batch_add_column(made, fill->columns[f]);
        if (!columns[f])
            return -ENOMEM;
        memcpy(columns[f], in->columns[fill->columns[f]].data,
               in->rows * weir_field_width(&in->schema->fields[fill->columns[f]]));
    }
    return 0;
}

/* The records that are put in: time, key, the fields; all else is null. */
static struct weir_batch *make_missing(const struct fill *fill, struct weir_env *env, const struct weir_batch *in)
{
    const uint32_t count = (uint32_t)fill->missing_count, fields = (uint32_t)fill->fields.count;
    struct weir_batch *made = weir_batch_new(env->pool, in->schema, count);
    uint64_t *positions = made ? weir_batch_allocate(made, count * sizeof *positions) : NULL;
    if (!positions) {
        weir_batch_release(made);
        return NULL;
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct missing *missing = &fill->missing[i];
        for (uint32_t c = 0; c < in->schema->count; c++)
            value_set_null(&in->schema->fields[c], weir_batch_column_data(made, c), i);
        for (uint32_t f = 0; f < fields; f++)
            value_write_bits(&in->schema->fields[fill->columns[f]], weir_batch_column_data(made, fill->columns[f]), i,
                             fill->values[(size_t)i * fields + f]);
        for (uint32_t k = 0; k < fill->grouping.count; k++) {
            uint32_t column = fill->grouping.columns[k];
            size_t width = weir_field_width(&in->schema->fields[column]);
            memcpy((char *)weir_batch_column_data(made, column) + i * width,
                   (const char *)in->columns[column].data + missing->row * width, width);
        }
        ((int64_t *)weir_batch_column_data(made, (uint32_t)in->schema->time))[i] = missing->time;
        positions[i] = weir_batch_position(in, missing->row);
    }
    made->positions = positions;
    made->position = positions[0];
    made->source = in->source;
    made->sequence = in->sequence;
    made->produced = weir_batch_produced(in, fill->missing[0].row);
    return made;
}

static int fill_batch(struct fill *fill, struct weir_env *env, struct weir_batch *in, struct weir_batch *keyed,
                      struct weir_out *out)
{
    void *columns[FIELDS_MOST];
    struct weir_batch *made = weir_batch_derive(env->pool, keyed->schema == in->schema ? keyed : in, in->schema);
    int error = made ? copy_columns(fill, in, made, columns) : -ENOMEM;
    fill->missing_count = 0;
    for (uint32_t i = 0; !error && i < keyed->count; i++)
        error = fill_row(fill, env, in, weir_batch_row(keyed, i), fill->states[i], columns);
    if (!error && made->count != keyed->count) { /* some keys were refused */
        uint32_t *selection = weir_batch_allocate(made, keyed->count * sizeof *selection);
        error = selection ? 0 : -ENOMEM;
        for (uint32_t i = 0; !error && i < keyed->count; i++)
            selection[i] = weir_batch_row(keyed, i);
        if (!error)
            weir_batch_select(made, selection, keyed->count);
    }
    if (!error && fill->missing_count) {
        struct weir_batch *missing = make_missing(fill, env, in), *both[] = {missing, made};
        struct weir_batch *merged = missing ? weir_batch_merge(env->pool, both, 2) : NULL;
        weir_batch_release(missing);
        weir_batch_release(made);
        made = merged;
        error = made ? 0 : -ENOMEM;
        weir_count(env, "records put in", NULL, fill->missing_count);
    }
    if (error)
        weir_batch_release(made);
    else
        weir_out_emit(out, made);
    return error;
}

static int fill_process(void *self, struct weir_env *env, struct weir_batch *in, struct weir_out *out)
{
    struct fill *fill = self;
    struct weir_batch *keyed = in;
    if (numeric_reserve(&fill->states, &fill->states_capacity, in->count, sizeof(void *)) < 0)
        return weir_fail(env->error, -ENOMEM, "%s: out of memory", env->name);
    int error = grouping_states(&fill->grouping, env, &keyed, fill->states);
    if (!error && keyed->count)
        error = fill_batch(fill, env, in, keyed, out);
    grouping_done(&fill->grouping);
    return error < 0 ? weir_fail(env->error, error, "%s: out of memory; give the pipeline more with run: {memory: ...}",
                                 env->name)
                     : 0;
}

static const struct weir_option fill_options[] = {
    {.name = "field",
     .type = WEIR_OPTION_STRINGS,
     .offset = offsetof(struct fill, fields),
     .flags = WEIR_OPTION_MAIN,
     .help = "column, or a list of them, whose nulls are filled; f64, i64, bool or symbol"},
    {.name = "method",
     .type = WEIR_OPTION_CHOICE,
     .offset = offsetof(struct fill, method),
     .fallback = "forward",
     .choices = methods,
     .help = "forward: with the last value of the key; linear: records that are put in get values on a line between "
             "their neighbours, and nulls stay; none: nulls stay"},
    {.name = "every",
     .type = WEIR_OPTION_DURATION,
     .offset = offsetof(struct fill, every),
     .least = 0,
     .most = SPAN_MOST,
     .help = "how often a record of each key should come: those that did not are put in"},
    {.name = "limit",
     .type = WEIR_OPTION_INTEGER,
     .offset = offsetof(struct fill, limit),
     .fallback = "100",
     .least = 1,
     .most = LIMIT_MOST,
     .help = "a gap of more missing records than this is left as it is, and counted"},
    {.name = "by",
     .type = WEIR_OPTION_STRINGS,
     .offset = offsetof(struct fill, by),
     .help =
         "column, or up to 8 of them, whose values are each filled by themselves; without it the key of the source"},
    {.type = WEIR_OPTION_END},
};

const struct weir_stage stage_fill = {
    .part = {.kind = WEIR_STAGE,
             .name = "fill",
             .summary = "fills nulls with the last value, and puts in records that did not come",
             .example = "stages:\n"
                        "  - fill: {field: value, every: 5m, method: linear}\n",
             .options = fill_options,
             .size = sizeof(struct fill),
             .open = fill_open,
             .close = fill_close},
    .key = fill_key_column,
    .bind = fill_bind,
    .process = fill_process,
};
