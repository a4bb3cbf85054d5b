/* SPDX-License-Identifier: MIT */
/*
 * unpack: a record for each sample of an array. Sample i gets the time of its record + i × step; all other columns are
 * repeated. A record counts as stored with its last sample.
 *
 *     ts 12:00:00  gain 3  samples [5, 6, 7]      →      ts 12:00:00.000  gain 3  index 0  samples 5
 *                                                        ts 12:00:00.001  gain 3  index 1  samples 6   …
 */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "parts/arrays.h"
#include "parts/parts.h"
#include "parts/pieces.h"

struct unpack {
    struct weir_quoted field, as, index;
    int64_t step;
    double sample_rate;
    bool iq;

    uint32_t column, elements;
    bool pairs, floats;
    double step_ns;
    struct weir_schema *in, *bare, *out; /* bare: without the array */
    uint32_t *kept;                      /* for each column of bare: the one of `in` */
    int32_t index_column, value_column, imaginary_column;
    uint64_t from; /* of all rows that a batch becomes, where the next piece begins */
};

static int unpack_open(void *self, struct weir_env *env)
{
    struct unpack *unpack = self;
    if (unpack->step > 0 && unpack->sample_rate > 0)
        return weir_fail_at(env->error, -EINVAL, env->mark, "%s: give `step` or `sample_rate`, not both", env->name);
    unpack->step_ns = unpack->sample_rate > 0 ? 1e9 / unpack->sample_rate : (double)unpack->step;
    return 0;
}

static void forget(struct unpack *unpack)
{
    weir_schema_release(unpack->in);
    weir_schema_release(unpack->bare);
    weir_schema_release(unpack->out);
    memory_free(unpack->kept);
    unpack->in = unpack->bare = unpack->out = NULL;
    unpack->kept = NULL;
}

static void unpack_close(void *self, struct weir_env *env)
{
    (void)env;
    forget(self);
}

/* The schema without the array. */
static int leave_out(struct unpack *unpack, const struct weir_schema *in)
{
    struct weir_field *fields = memory_zeroed(in->count, sizeof *fields);
    uint32_t *kept = memory_zeroed(in->count, sizeof *kept), count = 0;
    int32_t time = in->time, key = in->key, column = (int32_t)unpack->column;
    for (uint32_t i = 0; fields && kept && i < in->count; i++) {
        if (i == unpack->column)
            continue;
        kept[count] = i;
        fields[count++] = in->fields[i];
    }
    if (fields && kept)
        unpack->bare = weir_schema_new(fields, count, time > column ? time - 1 : time, key > column ? key - 1 : key);
    memory_free(fields);
    unpack->kept = kept;
    return unpack->bare ? 0 : -ENOMEM;
}

static int name_columns(struct unpack *unpack, struct weir_env *env, const struct weir_schema *in)
{
    char names[3][WEIR_NAME_MAX + 1];
    const struct weir_field *array = &in->fields[unpack->column];
    enum weir_type type = unpack->floats ? WEIR_F64 : WEIR_I64;
    struct weir_quoted none = {0};
    const char *base = unpack->as.text ? unpack->as.text : array->name;
    int error = arrays_name(env, unpack->bare, base, unpack->pairs ? "_re" : "", none, names[0]);
    if (error == 0 && unpack->pairs)
        error = arrays_name(env, unpack->bare, base, "_im", none, names[1]);
    if (error == 0)
        error = arrays_name(env, unpack->bare, "index", "", unpack->index, names[2]);
    if (error < 0)
        return error;
    struct weir_field fields[3] = {{.name = names[2], .type = WEIR_I64}, {.name = names[0], .type = type}};
    if (unpack->pairs)
        fields[2] = (struct weir_field){.name = names[1], .type = type};
    unpack->out = weir_schema_together(env, weir_schema_extend(unpack->bare, fields, unpack->pairs ? 3 : 2));
    if (!unpack->out)
        return -ENOMEM;
    unpack->index_column = weir_schema_find(unpack->out, names[2]);
    unpack->value_column = weir_schema_find(unpack->out, names[0]);
    unpack->imaginary_column = unpack->pairs ? weir_schema_find(unpack->out, names[1]) : -1;
    if (unpack->index_column == unpack->value_column || unpack->index_column == unpack->imaginary_column)
        return weir_fail_at(env->error, -EINVAL, env->mark, "%s: `index` and `as` name the same column", env->name);
    return 0;
}

static int unpack_bind(void *self, struct weir_env *env, struct weir_schema *in, struct weir_schema **out)
{
    struct unpack *unpack = self;
    forget(unpack);
    int error = arrays_column(env, in, unpack->field, &unpack->column);
    if (error == 0)
        error = arrays_pairs(env, &in->fields[unpack->column], unpack->iq, &unpack->pairs);
    if (error == 0 && unpack->step_ns > 0 && in->time < 0)
        error = weir_fail_at(env->error, -EINVAL, env->mark,
                             "%s: records have no time to which `step` could be added; say at the source which column "
                             "it is",
                             env->name);
    if (error < 0)
        return error;
    const struct weir_field *array = &in->fields[unpack->column];
    unpack->floats = array_is_float(array->element);
    unpack->elements = array->elements * array_numbers_each(array->element) / (unpack->pairs ? 2 : 1);
    error = leave_out(unpack, in);
    if (error == 0)
        error = name_columns(unpack, env, in);
    if (error == -ENOMEM)
        return weir_fail(env->error, -ENOMEM, "%s: out of memory", env->name);
    if (error < 0)
        return error;
    unpack->in = weir_schema_reference(in);
    *out = weir_schema_reference(unpack->out);
    return 0;
}

/* ---- Rows -------------------------------------------------------------------------------------------------------- */

/* Rows [from, from + count) of all that `in` becomes: the piece of work at hand. */
struct piece {
    const struct unpack *unpack;
    struct weir_batch *in, *bare, *made;
    uint64_t from;
    uint32_t count;
};

/* The record and the sample that row `i` of the piece is. */
static uint32_t sample_of(const struct piece *piece, uint32_t i, uint32_t *ret_row)
{
    uint64_t at = piece->from + i;
    *ret_row = weir_batch_row(piece->in, (uint32_t)(at / piece->unpack->elements));
    return (uint32_t)(at % piece->unpack->elements);
}

/* The columns that are repeated. All but the last sample of a record are made out of nothing, as far as its account
 * goes. */
static struct weir_batch *repeat(struct piece *piece, struct weir_pool *pool)
{
    uint32_t *rows = memory_allocate(piece->count * sizeof *rows), row;
    if (!rows)
        return NULL;
    for (uint32_t i = 0; i < piece->count; i++) {
        sample_of(piece, i, &row);
        rows[i] = row;
    }
    struct weir_batch *repeated = weir_batch_compact(pool, piece->bare, rows, piece->count);
    memory_free(rows);
    uint32_t *accounted = repeated && repeated->receipt_row
                              ? weir_batch_allocate(repeated, piece->count * sizeof *accounted)
                              : NULL;
    if (repeated && repeated->receipt_row && !accounted) {
        weir_batch_release(repeated);
        return NULL;
    }
    for (uint32_t i = 0; accounted && i < piece->count; i++) {
        bool last = sample_of(piece, i, &row) + 1 == piece->unpack->elements;
        accounted[i] = last ? repeated->receipt_row[i] : UINT32_MAX;
    }
    if (accounted)
        repeated->receipt_row = accounted;
    return repeated;
}

static bool put_times(const struct piece *piece)
{
    int32_t time = piece->made->schema->time;
    if (time < 0 || piece->unpack->step_ns <= 0)
        return true;
    const int64_t *from = piece->made->columns[time].i64;
    int64_t *times = weir_batch_allocate(piece->made, piece->count * sizeof *times);
    uint32_t row;
    for (uint32_t i = 0; times && i < piece->count; i++) {
        uint32_t sample = sample_of(piece, i, &row);
        bool null = from[i] == WEIR_TIME_NULL;
        times[i] = null ? WEIR_TIME_NULL : from[i] + (int64_t)(sample * piece->unpack->step_ns + 0.5);
    }
    piece->made->columns[time].data = times;
    return times != NULL;
}

static void put_value(const struct piece *piece, int32_t column, uint32_t i, struct array_number number)
{
    void *data = weir_batch_column_data(piece->made, (uint32_t)column);
    if (piece->unpack->floats)
        ((double *)data)[i] = number.kind == ARRAY_NULL ? (double)NAN : number.f;
    else
        ((int64_t *)data)[i] = number.kind == ARRAY_NULL ? WEIR_I64_NULL
                                                         : number.i; /* u64 over 2^63 become null, too */
}

static struct array_number number_of(const struct piece *piece, uint32_t row, size_t index)
{
    const struct weir_field *field = &piece->in->schema->fields[piece->unpack->column];
    struct array_number number = array_number(field->element, arrays_row(piece->in, piece->unpack->column, row), index);
    if (number.kind == ARRAY_UNSIGNED && number.u > INT64_MAX)
        number.kind = ARRAY_NULL;
    return number;
}

static bool put_samples(const struct piece *piece)
{
    const struct unpack *unpack = piece->unpack;
    int64_t *indexes = weir_batch_add_column(piece->made, (uint32_t)unpack->index_column);
    if (!indexes || !weir_batch_add_column(piece->made, (uint32_t)unpack->value_column) ||
        (unpack->pairs && !weir_batch_add_column(piece->made, (uint32_t)unpack->imaginary_column)))
        return false;
    for (uint32_t i = 0; i < piece->count; i++) {
        uint32_t row, sample = sample_of(piece, i, &row);
        size_t at = unpack->pairs ? (size_t)sample * 2 : sample;
        indexes[i] = sample;
        put_value(piece, unpack->value_column, i, number_of(piece, row, at));
        if (unpack->pairs)
            put_value(piece, unpack->imaginary_column, i, number_of(piece, row, at + 1));
    }
    return true;
}

static struct weir_batch *make_piece(struct piece *piece, struct weir_pool *pool)
{
    struct weir_batch *repeated = repeat(piece, pool);
    piece->made = repeated ? weir_batch_derive(pool, repeated, piece->unpack->out) : NULL;
    weir_batch_release(repeated);
    if (piece->made && (!put_samples(piece) || !put_times(piece))) {
        weir_batch_release(piece->made);
        piece->made = NULL;
    }
    return piece->made;
}

static int unpack_process(void *self, struct weir_env *env, struct weir_batch *in, struct weir_out *out)
{
    struct unpack *unpack = self;
    const uint64_t left = (uint64_t)in->count * unpack->elements - unpack->from;
    const uint32_t most = pieces_rows(unpack->out);
    struct piece piece = {.unpack = unpack,
                          .in = in,
                          .bare = weir_batch_derive(env->pool, in, unpack->bare),
                          .from = unpack->from,
                          .count = left < most ? (uint32_t)left : most};
    struct weir_batch *made = piece.bare ? make_piece(&piece, env->pool) : NULL;
    weir_batch_release(piece.bare);
    if (!made) {
        if (unpack->from)
            pieces_give_up(env, in, (uint32_t)(unpack->from / unpack->elements));
        unpack->from = 0;
        return weir_fail(env->error, -ENOMEM,
                         "%s: out of memory for the samples of %u records; give the pipeline more with run: "
                         "{memory: ...}",
                         env->name, in->count);
    }
    weir_out_emit(out, made);
    unpack->from = piece.count < left ? unpack->from + piece.count : 0;
    return unpack->from > 0;
}

#define FIELD(member) .offset = offsetof(struct unpack, member)

/* Tables are laid out by hand: */
/* clang-format off */

static const struct weir_option unpack_options[] = {
    {.name = "field", .type = WEIR_OPTION_COLUMN, FIELD(field), .flags = WEIR_OPTION_MAIN,
     .help = "the column of arrays; without it the only one"},
    {.name = "as", .type = WEIR_OPTION_COLUMN, FIELD(as),
     .help = "name of the column of samples; without it the array's. Complex samples make two, NAME_re and NAME_im"},
    {.name = "index", .type = WEIR_OPTION_COLUMN, FIELD(index),
     .help = "name of the column with the sample's place in its array; without it index"},
    {.name = "step", .type = WEIR_OPTION_DURATION, FIELD(step), .least = 0, .most = 1e18,
     .help = "time between two samples, added to the time of the record"},
    {.name = "sample_rate", .type = WEIR_OPTION_NUMBER, FIELD(sample_rate), .least = 0, .most = 1e15,
     .help = "or how many samples a second has: 1712e6"},
    {.name = "iq", .type = WEIR_OPTION_BOOL, FIELD(iq),
     .help = "samples are pairs of numbers, real and imaginary, though their type does not say so"},
    {.type = WEIR_OPTION_END},
};

const struct weir_stage stage_unpack = {
    .part = {
        .kind = WEIR_STAGE,
        .name = "unpack",
        .summary = "a record for each sample of an array, with its own time",
        .example = "sources:\n"
                   "  digitiser: {type: adc, sample_rate: 1e6, samples: 10, count: 2}\n"
                   "stages:\n"
                   "  - unpack: {field: samples, sample_rate: 1e6}\n",
        .options = unpack_options,
        .size = sizeof(struct unpack),
        .open = unpack_open,
        .close = unpack_close,
    },
    .bind = unpack_bind,
    .process = unpack_process,
};
