/* SPDX-License-Identifier: MIT */
/*
 * fill: what is not there. Nulls get the last value of their key, or one on a straight line from that to the next; and
 * where records of a key should come at an interval, those that did not come are put in.
 *
 *     came:      10 ──── null ──── (none) ──── (none) ──── 16
 *     forward:   10       10         10          10        16
 *     linear:    10       11.5       13          14.5      16
 *
 * A record that is older than the newest of its key passes as it is. Forward, nothing waits: a gap is filled when the
 * record behind it comes. Linear, nulls wait for the value behind them: parts/fill_line.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "data/symbols.h"
#include "parts/fill_gaps.h"
#include "parts/fill_line.h"
#include "parts/grouping.h"
#include "parts/numeric.h"
#include "parts/parts.h"
#include "parts/pieces.h"
#include "parts/values.h"

enum { FIELDS_MOST = LINE_FIELDS_MOST, LIMIT_MOST = 10000 };
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

struct place { /* of a record that goes out */
    uint64_t position;
    uint32_t entry;
};

struct fill {
    struct weir_list fields, by; /* options */
    int method;
    int64_t every, limit, within;

    struct grouping grouping;
    uint32_t columns[FIELDS_MOST];
    void **states;
    size_t states_capacity;
    struct gaps gaps; /* but linear */

    /* A batch that goes out in pieces: */
    struct weir_batch *made; /* its rows that have a key; forward: with filled columns */
    uint32_t next, out_next; /* of them, that is looked at next (linear); that goes out next */
    int failed;              /* so that what was settled is not again */

    struct line line; /* linear */
    struct weir_schema *schema;
    uint32_t *nulls, *passing; /* rows */
    uint32_t null_count, null_at, passing_count;
    struct kept_rows *null_rows; /* copies of the rows with a null */
    struct weir_batch *passed;   /* the rows that passed, of those that were looked at */
    uint32_t passed_next;        /* of them, that goes out next */
    size_t released_next;
    struct place *order; /* of what goes out */
    size_t nulls_capacity, passing_capacity, order_capacity;
    struct kept_row *from;
    size_t from_capacity;
    int64_t watermark;
    uint32_t source;
    uint64_t sequence, put_in, waited;
    struct weir_symbols *symbols;
};

static const char *fill_key_column(const void *self)
{
    return grouping_key(&((const struct fill *)self)->by);
}

static int fill_open(void *self, struct weir_env *env)
{
    struct fill *fill = self;
    fill->watermark = INT64_MIN;
    fill->symbols = env->symbols;
    if (fill->fields.count > FIELDS_MOST)
        return weir_fail_at(env->error, -EINVAL, env->mark, "%s: field takes at most %d columns", env->name,
                            (int)FIELDS_MOST);
    if (!fill->every && fill->method == NONE)
        return weir_fail_at(
            env->error, -EINVAL, env->mark,
            "%s: method: none is for records that are put in, and needs every: how often they should come", env->name);
    if (fill->within && fill->method != LINEAR)
        return weir_fail_at(env->error, -EINVAL, env->mark, "%s: within is for method: linear, where records wait",
                            env->name);
    if (!fill->every && !fill->fields.count)
        return weir_fail_at(env->error, -EINVAL, env->mark,
                            "%s: nothing to fill: give field: COLUMN, or every: how often records should come",
                            env->name);
    return 0;
}

/* The batch is done, or given up. */
static void end_batch(struct fill *fill, struct weir_env *env)
{
    for (; fill->null_rows && fill->null_at < fill->null_count; fill->null_at++)
        kept_rows_release(env, fill->null_rows);
    fill->null_rows = NULL;
    weir_batch_release(fill->made);
    fill->made = NULL;
}

static void fill_close(void *self, struct weir_env *env)
{
    struct fill *fill = self;
    end_batch(fill, env);
    weir_batch_release(fill->passed);
    line_free(&fill->line, env);
    weir_schema_release(fill->schema);
    memory_free(fill->nulls);
    memory_free(fill->passing);
    memory_free(fill->order);
    memory_free(fill->from);
    grouping_free(&fill->grouping);
    memory_free(fill->states);
    gaps_free(&fill->gaps);
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

/* What waits must mean the same after a change of the schema. */
static int bind_line(struct fill *fill, struct weir_env *env, struct weir_schema *in)
{
    struct line *line = &fill->line;
    bool changed = fill->schema && line->key_values != fill->grouping.count;
    for (uint32_t f = 0; f < fill->fields.count; f++) {
        enum weir_type type = in->fields[fill->columns[f]].type;
        changed = changed || (fill->schema && line->types[f] != type);
        line->types[f] = type;
    }
    if (changed)
        return weir_fail_at(env->error, -EINVAL, env->mark,
                            "%s: the type of a field or the key of the records has changed on the way", env->name);
    line->limit = fill->limit;
    line->within = fill->within;
    line_init(line, (uint32_t)fill->fields.count, fill->grouping.count);
    weir_schema_release(fill->schema);
    fill->schema = weir_schema_reference(in);
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
    if (!error && fill->method == LINEAR)
        error = bind_line(fill, env, in);
    if (!error)
        error = weir_key_state_define(
            env,
            &(struct weir_key_options){.size = fill->method == LINEAR ? line_key_size((uint32_t)fill->fields.count)
                                                                      : sizeof(struct fill_key) +
                                                                            fill->fields.count * sizeof(struct last)});
    fill->gaps.fields = (uint32_t)fill->fields.count;
    fill->gaps.columns = fill->columns;
    fill->gaps.grouping = &fill->grouping;
    fill->gaps.every = fill->every;
    if (!error)
        *out = weir_schema_reference(in);
    return error;
}

/* ---- Records come ---------------------------------------------------------------------------------------------- */

/* How many records should have come between two times of a key; 0 too when they are too many. */
static int64_t missing_between(const struct fill *fill, struct weir_env *env, int64_t before, int64_t time)
{
    int64_t gap;
    if (!fill->every || __builtin_sub_overflow(time, before, &gap))
        return 0;
    int64_t count = gap / fill->every + (gap % fill->every >= fill->every - gap % fill->every) - 1; /* to the nearest */
    if (count > fill->limit) {
        weir_count(env, "gaps too long to fill", NULL, 1);
        return 0;
    }
    return count > 0 ? count : 0;
}

/* Notes the records that should have come between the key's newest and the selected row `index`. */
static int fill_gap(struct fill *fill, struct weir_env *env, const struct weir_batch *in, uint32_t index,
                    const struct fill_key *key, int64_t time)
{
    int64_t count = missing_between(fill, env, key->time, time);
    if (!count)
        return 0;
    uint64_t *values = gaps_add(&fill->gaps, &(struct gap){index, (uint32_t)count, key->time});
    if (!values)
        return -ENOMEM;
    fill->put_in += (uint64_t)count;
    for (uint32_t f = 0; f < fill->fields.count; f++) {
        const struct last *last = &key->lasts[f];
        values[f] = value_null_of(in->schema->fields[fill->columns[f]].type);
        if (fill->method == FORWARD && last->known)
            values[f] = last->bits;
    }
    return 0;
}

static int fill_row(struct fill *fill, struct weir_env *env, const struct weir_batch *in, uint32_t index, uint32_t row,
                    struct fill_key *key, void *const *columns)
{
    int64_t time = in->columns[in->schema->time].i64[row];
    if (time == WEIR_TIME_NULL || (key->begun && time < key->time))
        return 0;
    int error = key->begun ? fill_gap(fill, env, in, index, key, time) : 0;
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

/* What is made of other rows and those that go out beside them, in one batch. Takes over both; NULL: no memory. */
static struct weir_batch *put_together(struct weir_env *env, struct weir_batch *others, struct weir_batch *rows)
{
    struct weir_batch *both[] = {others, rows};
    struct weir_batch *merged = others && rows ? weir_batch_merge(env->pool, both, 2) : NULL;
    weir_batch_release(others);
    weir_batch_release(rows);
    return merged;
}

/* The next of the rows, with what is put in before them. 1: there are more. */
static int fill_piece(struct fill *fill, struct weir_env *env, struct weir_out *out)
{
    struct weir_batch *piece = gaps_piece(&fill->gaps, env, fill->made, pieces_rows(fill->made->schema),
                                          &fill->out_next);
    if (!piece)
        return -ENOMEM;
    weir_out_emit(out, piece);
    return fill->out_next < fill->made->count;
}

/* The rows that have a key; all but linear: with their columns filled, and with notes of what is to be put in. */
static int fill_batch(struct fill *fill, struct weir_env *env, struct weir_batch *in, struct weir_batch *keyed)
{
    void *columns[FIELDS_MOST];
    struct weir_batch *made = weir_batch_derive(env->pool, keyed->schema == in->schema ? keyed : in, in->schema);
    int error = made ? copy_columns(fill, in, made, columns) : -ENOMEM;
    if (!error && made->count != keyed->count) { /* some keys were refused */
        uint32_t *selection = weir_batch_allocate(made, keyed->count * sizeof *selection);
        error = selection ? 0 : -ENOMEM;
        for (uint32_t i = 0; !error && i < keyed->count; i++)
            selection[i] = weir_batch_row(keyed, i);
        if (!error)
            weir_batch_select(made, selection, keyed->count);
    }
    fill->next = fill->out_next = 0;
    gaps_forget(&fill->gaps);
    for (uint32_t i = 0; fill->method != LINEAR && !error && i < keyed->count; i++)
        error = fill_row(fill, env, in, i, weir_batch_row(keyed, i), fill->states[i], columns);
    if (error) {
        weir_batch_release(made);
        return error;
    }
    fill->made = made;
    return 0;
}

/* ---- Linear ---------------------------------------------------------------------------------------------------- */

static uint64_t read_values(const struct fill *fill, const struct weir_env *env, const struct weir_batch *in,
                            uint32_t row, uint64_t *values)
{
    uint64_t nulls = 0;
    for (uint32_t f = 0; f < fill->fields.count; f++) {
        const struct weir_field *field = &in->schema->fields[fill->columns[f]];
        values[f] = value_read_bits(field, in->columns[fill->columns[f]].data, row);
        nulls |= (uint64_t)value_is_null(field->type, values[f]) << f;
    }
    if (env)
        grouping_values(&fill->grouping, env, in, row, values + fill->fields.count);
    return nulls;
}

/* Copies of the rows that have a null, which may have to wait. *ret_count of them; NULL: none, or no memory. */
static struct kept_rows *copy_nulls(struct fill *fill, struct weir_env *env, const struct weir_batch *in,
                                    const struct weir_batch *made, uint32_t *ret_count)
{
    bool wanted[WEIR_FIELDS_MAX];
    uint64_t values[FIELDS_MOST];
    uint32_t count = 0;
    memset(wanted, true, sizeof wanted);
    for (uint32_t i = 0; i < made->count; i++)
        if (read_values(fill, NULL, in, weir_batch_row(made, i), values))
            fill->nulls[count++] = weir_batch_row(made, i);
    *ret_count = count;
    return count ? kept_rows_new(env, in, fill->nulls, count, wanted) : NULL;
}

/* The records that should have come between the key's newest and this one; `values` has its key. */
static int put_missing(struct fill *fill, struct weir_env *env, struct line_key *key, const struct line_entry *record,
                       const uint64_t *values)
{
    const uint32_t fields = (uint32_t)fill->fields.count, keys = fill->grouping.count;
    uint64_t missing[FIELDS_MOST + GROUPING_COLUMNS_MOST];
    int64_t count = fill->every && key->begun ? missing_between(fill, env, key->time, record->time) : 0;
    for (uint32_t f = 0; f < fields; f++)
        missing[f] = value_null_of(fill->line.types[f]);
    memcpy(missing + fields, values + fields, keys * sizeof *values);
    for (int64_t i = 1; i <= count; i++) {
        struct line_entry entry = *record;
        entry.rows = NULL;
        entry.time = key->time + i * fill->every;
        int waits = line_take(&fill->line, env, key, &entry, missing,
                              fields == 64 ? UINT64_MAX : (UINT64_C(1) << fields) - 1);
        if (waits <= 0 && (line_expire_key(&fill->line, key, waits < 0 ? INT64_MAX : INT64_MIN) < 0 ||
                           line_put(&fill->line, &entry, missing) < 0))
            return -ENOMEM;
    }
    fill->put_in += (uint64_t)count;
    return 0;
}

/* One record. 1: it waits, or goes out with those that did; 0: it passes as it is. */
static int line_row(struct fill *fill, struct weir_env *env, const struct weir_batch *in, uint32_t row,
                    struct line_key *key, struct kept_rows *rows, uint32_t kept)
{
    uint64_t values[FIELDS_MOST + GROUPING_COLUMNS_MOST];
    const int64_t time = in->columns[in->schema->time].i64[row];
    if (time == WEIR_TIME_NULL || (key->begun && time < key->time))
        return 0;
    struct line_entry record = {.rows = rows,
                                .row = kept,
                                .time = time,
                                .produced = weir_batch_produced(in, row),
                                .position = weir_batch_position(in, row)};
    uint64_t nulls = read_values(fill, env, in, row, values);
    int error = line_expire_key(&fill->line, key, weir_row_watermark(env, in, row, fill->watermark));
    if (!error)
        error = put_missing(fill, env, key, &record, values);
    if (error)
        return error;
    key->time = time;
    key->begun = true;
    if (nulls && !rows) /* no memory to wait in: neither it nor those before it */
        return line_expire_key(&fill->line, key, INT64_MAX);
    int waits = line_take(&fill->line, env, key, &record, values, nulls);
    return waits < 0 ? line_expire_key(&fill->line, key, INT64_MAX) : waits;
}

static int by_position(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    if (x->position != y->position)
        return x->position < y->position ? -1 : 1;
    return x->entry < y->entry ? -1 : x->entry > y->entry;
}

static int order_released(struct fill *fill)
{
    const size_t count = fill->line.released_count;
    int error = numeric_reserve(&fill->order, &fill->order_capacity, count, sizeof *fill->order);
    if (!error)
        error = numeric_reserve(&fill->from, &fill->from_capacity, count, sizeof *fill->from);
    for (uint32_t i = 0; i < count && !error; i++)
        fill->order[i] = (struct place){line_released(&fill->line, i)->position, i};
    if (!error && count > 1)
        qsort(fill->order, count, sizeof *fill->order, by_position);
    return error;
}

/* Time and key of those that were put in, and the fields of all. */
static void write_values(const struct fill *fill, struct weir_batch *batch, uint32_t row,
                         const struct line_entry *entry)
{
    const struct weir_field *fields = batch->schema->fields;
    const uint32_t count = (uint32_t)fill->fields.count;
    if (!entry->rows) {
        ((int64_t *)weir_batch_column_data(batch, (uint32_t)batch->schema->time))[row] = entry->time;
        for (uint32_t k = 0; k < fill->grouping.count; k++) {
            uint32_t column = fill->grouping.columns[k];
            void *data = weir_batch_column_data(batch, column);
            if (fields[column].type == WEIR_TEXT)
                ((struct weir_text *)data)[row] = symbols_text(fill->symbols, (uint32_t)entry->values[count + k]);
            else
                value_write_bits(&fields[column], data, row, entry->values[count + k]);
        }
    }
    for (uint32_t f = 0; f < count; f++)
        value_write_bits(&fields[fill->columns[f]], weir_batch_column_data(batch, fill->columns[f]), row,
                         entry->values[f]);
}

/* A batch of what goes out: `count` of them from `first` on. */
static struct weir_batch *make_released(const struct fill *fill, struct weir_env *env, uint32_t first, uint32_t count)
{
    struct weir_batch *batch = weir_batch_new(env->pool, fill->schema, count);
    uint64_t *positions = batch ? weir_batch_allocate(batch, count * sizeof *positions) : NULL;
    int64_t *produced = positions ? weir_batch_allocate(batch, count * sizeof *produced) : NULL;
    int error = produced ? 0 : -ENOMEM;
    for (uint32_t i = 0; i < count && !error; i++) {
        const struct line_entry *entry = line_released(&fill->line, fill->order[first + i].entry);
        fill->from[i] = (struct kept_row){entry->rows, entry->row};
        positions[i] = entry->position;
        produced[i] = entry->produced;
    }
    for (uint32_t c = 0; c < fill->schema->count && !error; c++)
        error = kept_rows_column(batch, c, fill->from, fill->schema, c);
    if (error) {
        weir_batch_release(batch);
        return NULL;
    }
    for (uint32_t i = 0; i < count; i++)
        write_values(fill, batch, i, line_released(&fill->line, fill->order[first + i].entry));
    batch->positions = positions;
    batch->position = positions[0];
    batch->produced_rows = produced;
    batch->produced = produced[0];
    batch->source = fill->source;
    batch->sequence = fill->sequence;
    return batch;
}

static void count_line(struct fill *fill, struct weir_env *env)
{
    weir_count(env, "values not filled", NULL, fill->line.given_up);
    weir_count(env, "records put in", NULL, fill->put_in);
    weir_count(env, "records that waited", NULL, fill->waited);
    fill->line.given_up = fill->put_in = fill->waited = 0;
}

/* Before the rows of a batch are looked at. */
static int line_batch(struct fill *fill, struct weir_env *env, struct weir_batch *in)
{
    const struct weir_batch *made = fill->made;
    fill->null_at = fill->null_count = 0;
    int error = numeric_reserve(&fill->nulls, &fill->nulls_capacity, in->count, sizeof *fill->nulls);
    if (!error)
        error = numeric_reserve(&fill->passing, &fill->passing_capacity, in->count, sizeof *fill->passing);
    if (error)
        return error;
    fill->null_rows = copy_nulls(fill, env, in, made, &fill->null_count);
    if (fill->null_count && !fill->null_rows)
        weir_notice(env, "no room to wait",
                    "there is no memory for more records to wait for a value in: their nulls stay; give the pipeline "
                    "more with run: {memory: ...}, or lower this stage's limit or within");
    fill->source = in->source;
    fill->sequence = in->sequence;
    return 0;
}

/* Looks at the next rows, until they have let go of about a piece. */
static int line_rows(struct fill *fill, struct weir_env *env, const struct weir_batch *in, uint32_t most)
{
    struct weir_batch *made = fill->made;
    const uint32_t first = fill->next;
    int error = 0;
    fill->passing_count = 0;
    for (; !error && fill->next < made->count && fill->line.released_count < most; fill->next++) {
        uint32_t row = weir_batch_row(made, fill->next), at = fill->null_at;
        bool null = at < fill->null_count && fill->nulls[at] == row;
        int waits = line_row(fill, env, in, row, fill->states[fill->next], null ? fill->null_rows : NULL, at);
        fill->null_at += null;
        error = waits < 0 ? waits : 0;
        fill->waited += waits > 0;
        if (waits <= 0)
            fill->passing[fill->passing_count++] = row;
        if (waits <= 0 && null && fill->null_rows)
            kept_rows_release(env, fill->null_rows);
    }
    if (!error)
        error = order_released(fill);
    struct weir_batch *rows = error ? NULL : pieces_cut(env, made, first, fill->next);
    fill->passed = rows ? weir_filter(env, rows, fill->passing, fill->passing_count) : NULL;
    weir_batch_release(rows);
    fill->passed_next = 0;
    fill->out_next = fill->passed ? fill->next : first; /* those that wait have been settled, too */
    return error ? error : fill->passed ? 0 : -ENOMEM;
}

static void forget_released(struct fill *fill, struct weir_env *env)
{
    line_forget_released(&fill->line, env);
    fill->released_next = 0;
    weir_batch_release(fill->passed);
    fill->passed = NULL;
}

/* Of what was let go of and put in order, the next, with the rows that passed meanwhile. */
static int emit_piece(struct fill *fill, struct weir_env *env, uint32_t most, struct weir_out *out)
{
    const size_t left = fill->line.released_count - fill->released_next;
    const uint32_t count = left < most ? (uint32_t)left : most, passed = fill->passed ? fill->passed->count : 0;
    const uint64_t until = count < left ? fill->order[fill->released_next + count].position : UINT64_MAX;
    uint32_t end = fill->passed_next;
    while (end < passed &&
           (count == left || weir_batch_position(fill->passed, weir_batch_row(fill->passed, end)) < until))
        end++;
    struct weir_batch *piece = fill->passed ? pieces_cut(env, fill->passed, fill->passed_next, end) : NULL;
    struct weir_batch *released = count ? make_released(fill, env, (uint32_t)fill->released_next, count) : NULL;
    const bool short_of_memory = (fill->passed && !piece) || (count && !released);
    if (released)
        piece = fill->passed ? put_together(env, released, piece) : released;
    if (short_of_memory || (count && !piece)) {
        weir_batch_release(released ? NULL : piece);
        return -ENOMEM;
    }
    weir_out_emit(out, piece);
    fill->released_next += count;
    fill->passed_next = end;
    if (fill->released_next == fill->line.released_count)
        forget_released(fill, env);
    return 0;
}

static int line_piece(struct fill *fill, struct weir_env *env, const struct weir_batch *in, struct weir_out *out)
{
    const uint32_t most = pieces_rows(in->schema);
    int error = 0;
    if (!fill->line.released_count) /* else some are on their way out still */
        error = line_rows(fill, env, in, most);
    if (!error)
        error = emit_piece(fill, env, most, out);
    return error ? error : fill->next < fill->made->count || fill->line.released_count;
}

static int fail_memory(struct weir_env *env, int error)
{
    return weir_fail(env->error, error, "%s: out of memory; give the pipeline more with run: {memory: ...}", env->name);
}

static int fill_on_watermark(void *self, struct weir_env *env, int64_t time_ns, struct weir_out *out)
{
    struct fill *fill = self;
    int error = 0;
    fill->watermark = time_ns;
    if (fill->method != LINEAR)
        return 0;
    if (!fill->line.released_count) {
        error = line_expire(&fill->line, time_ns);
        if (!error)
            error = order_released(fill);
    }
    if (!error)
        error = emit_piece(fill, env, pieces_rows(fill->schema), out);
    if (error)
        forget_released(fill, env);
    count_line(fill, env);
    return error ? fail_memory(env, error) : fill->line.released_count > 0;
}

static int begin_batch(struct fill *fill, struct weir_env *env, struct weir_batch *in)
{
    struct weir_batch *keyed = in;
    int error = numeric_reserve(&fill->states, &fill->states_capacity, in->count, sizeof(void *));
    if (!error)
        error = grouping_states(&fill->grouping, env, &keyed, fill->states);
    if (!error && keyed->count)
        error = fill_batch(fill, env, in, keyed);
    if (!error && fill->made && fill->method == LINEAR)
        error = line_batch(fill, env, in);
    grouping_done(&fill->grouping);
    return error;
}

static int fill_process(void *self, struct weir_env *env, struct weir_batch *in, struct weir_out *out)
{
    struct fill *fill = self;
    const bool begins = !fill->made;
    int more = begins ? begin_batch(fill, env, in) : fill->failed;
    if (!more && fill->made)
        more = fill->method == LINEAR ? line_piece(fill, env, in, out) : fill_piece(fill, env, out);
    count_line(fill, env);
    if (more > 0)
        return more;
    if (more < 0 && !fill->failed && fill->made && (!begins || fill->out_next)) {
        if (fill->passed)
            pieces_give_up(env, fill->passed, fill->passed_next);
        pieces_give_up(env, fill->made, fill->out_next);
        fill->failed = more;
        if (begins)
            return 1; /* what is settled is not to be settled by who called, as it would be after the first call */
    }
    if (more < 0)
        forget_released(fill, env);
    fill->failed = 0;
    end_batch(fill, env);
    return more < 0 ? fail_memory(env, more) : 0;
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
     .help = "forward: with the last value of the key; linear: on a line from it to the next value, for which records "
             "wait; none: nulls stay, and records are only put in"},
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
     .help = "a gap of more missing records or nulls than this is left as it is, and counted"},
    {.name = "within",
     .type = WEIR_OPTION_DURATION,
     .offset = offsetof(struct fill, within),
     .fallback = "0s",
     .least = 0,
     .most = SPAN_MOST,
     .help = "linear: a record waits at most so much event time for the next value, then its nulls stay; 0s: until the "
             "limit or the end"},
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
    .on_watermark = fill_on_watermark,
};
