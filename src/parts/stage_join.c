/* SPDX-License-Identifier: MIT */
/*
 * join: each record of the left input with the record of the right one that has the same key and the nearest time. What
 * is kept and which records meet is in parts/join_buffer.c; here are options, columns and what becomes of records.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "parts/grouping.h"
#include "parts/join_buffer.h"
#include "parts/numeric.h"
#include "parts/parts.h"
#include "parts/pieces.h"
#include "parts/verdicts.h"

enum { MOST_MOST = 1 << 24 };
#define SPAN_MOST 3.2e17 /* ns: ten years */

static const char *const directions[] = {"nearest", "backward", "forward", NULL};
static const char *const unmatched_choices[] = {"keep", "drop", NULL};
enum { KEEP, DROP };

struct side {
    struct weir_schema *schema;
    struct grouping grouping;
    bool wanted[WEIR_FIELDS_MAX]; /* columns of the schema that are kept */
};

struct join {
    struct weir_list on, columns; /* options */
    int64_t tolerance, lateness, most;
    int direction, unmatched;
    const char *prefix, *suffix, *late;

    struct side sides[JOIN_SIDES]; /* from here on: made by open and bind */
    struct join_buffer buffer;
    struct weir_schema *out;
    uint32_t right_count, rights[WEIR_FIELDS_MAX]; /* columns of the right that go out, behind those of the left */
    int64_t watermark;
    uint32_t source;
    uint64_t sequence;

    void **states; /* room for a batch */
    size_t states_capacity;
    struct verdicts verdicts;
    uint32_t *kept; /* rows taken in */
    size_t kept_capacity;
    struct join_entry lefts[PIECE_ROWS_MOST];                                /* on their way out */
    struct kept_row left_rows[PIECE_ROWS_MOST], right_rows[PIECE_ROWS_MOST]; /* and what they meet */
};

static const char *join_key(const void *self)
{
    return grouping_key(&((const struct join *)self)->on);
}

static int join_open(void *self, struct weir_env *env)
{
    struct join *join = self;
    (void)env;
    join->watermark = INT64_MIN;
    join->buffer = (struct join_buffer){.direction = (enum join_direction)join->direction,
                                        .tolerance = join->tolerance,
                                        .lateness = join->lateness,
                                        .most = join->most ? (uint32_t)join->most : UINT32_MAX};
    return 0;
}

static void join_close(void *self, struct weir_env *env)
{
    struct join *join = self;
    join_buffer_free(&join->buffer, env);
    for (int s = 0; s < JOIN_SIDES; s++) {
        grouping_free(&join->sides[s].grouping);
        weir_schema_release(join->sides[s].schema);
    }
    weir_schema_release(join->out);
    memory_free(join->states);
    memory_free(join->kept);
    verdicts_free(&join->verdicts);
}

/* ---- Schema ---------------------------------------------------------------------------------------------------- */

static bool is_key(const struct grouping *grouping, uint32_t column)
{
    for (uint32_t i = 0; i < grouping->count; i++)
        if (grouping->columns[i] == column)
            return true;
    return false;
}

/* Texts and symbols are compared as one; all else only with its like. */
static enum weir_type compared_as(enum weir_type type)
{
    return type == WEIR_TEXT ? WEIR_SYMBOL : type;
}

static int check_keys(const struct join *join, struct weir_env *env)
{
    const struct side *left = &join->sides[JOIN_LEFT], *right = &join->sides[JOIN_RIGHT];
    if (left->grouping.count != right->grouping.count)
        return weir_fail_at(env->error, -EINVAL, env->mark,
                            "%s: the records of one side have a key and those of the other have none; say by which "
                            "column they belong together, with on, or give both sources a key",
                            env->name);
    for (uint32_t i = 0; i < left->grouping.count; i++) {
        const struct weir_field *a = &left->schema->fields[left->grouping.columns[i]];
        const struct weir_field *b = &right->schema->fields[right->grouping.columns[i]];
        if (compared_as(a->type) != compared_as(b->type))
            return weir_fail_at(env->error, -EINVAL, env->mark,
                                "%s: \"%s\" is %s on the left and \"%s\" is %s on the right: nothing would be equal; "
                                "declare both the same, with fields at the source",
                                env->name, a->name, weir_type_name(a->type), b->name, weir_type_name(b->type));
    }
    return 0;
}

/* Which columns of the right go out: those that were named, or all but the key. */
static int choose_rights(struct join *join, struct weir_env *env)
{
    struct side *right = &join->sides[JOIN_RIGHT];
    join->right_count = 0;
    for (uint32_t c = 0; c < right->schema->count; c++) {
        right->wanted[c] = !join->columns.count && !is_key(&right->grouping, c);
        if (right->wanted[c])
            join->rights[join->right_count++] = c;
    }
    for (size_t i = 0; i < join->columns.count; i++) {
        struct weir_quoted name = join->columns.items[i].value;
        int32_t column = weir_schema_find(right->schema, name.text);
        if (column < 0)
            return numeric_unknown(env, right->schema, name);
        if (right->wanted[column])
            return weir_fail_at(env->error, -EINVAL, name.mark, "%s: column \"%s\" is listed twice", env->name,
                                name.text);
        right->wanted[column] = true;
        join->rights[join->right_count++] = (uint32_t)column;
    }
    return 0;
}

static bool is_taken(const struct weir_field *fields, uint32_t count, const char *name)
{
    for (uint32_t i = 0; i < count; i++)
        if (strcmp(fields[i].name, name) == 0)
            return true;
    return false;
}

static int name_right(const struct join *join, struct weir_env *env, const struct weir_field *fields, uint32_t count,
                      const char *name, char *out)
{
    const char *prefix = join->prefix ? join->prefix : "", *suffix = join->suffix ? join->suffix : "";
    int length = snprintf(out, WEIR_NAME_MAX + 1, "%s%s", prefix, name);
    if (length <= WEIR_NAME_MAX && is_taken(fields, count, out))
        length = snprintf(out, WEIR_NAME_MAX + 1, "%s%s%s", prefix, name, suffix);
    if (length > WEIR_NAME_MAX)
        return weir_fail_at(env->error, -EINVAL, env->mark, "%s: the name of a column would be too long: %s", env->name,
                            out);
    if (is_taken(fields, count, out))
        return weir_fail_at(env->error, -EINVAL, env->mark,
                            "%s: there would be two columns called \"%s\"; choose another suffix or prefix for those "
                            "of the right, or name those that you want with columns",
                            env->name, out);
    return 0;
}

/* The columns that go out: those of the left, and those of the right. */
static int bind_outputs(struct join *join, struct weir_env *env)
{
    const struct weir_schema *left = join->sides[JOIN_LEFT].schema, *right = join->sides[JOIN_RIGHT].schema;
    const uint32_t count = left->count + join->right_count;
    if (count > WEIR_FIELDS_MAX)
        return weir_fail_at(env->error, -EINVAL, env->mark, "%s: %u columns are too many; %d are the limit", env->name,
                            count, (int)WEIR_FIELDS_MAX);
    struct weir_field *fields = memory_zeroed(count, sizeof *fields);
    char(*names)[WEIR_NAME_MAX + 1] = memory_zeroed(join->right_count + 1, sizeof *names);
    int error = fields && names ? 0 : weir_fail(env->error, -ENOMEM, "%s: out of memory", env->name);
    if (!error)
        memcpy(fields, left->fields, left->count * sizeof *fields);
    for (uint32_t i = 0; i < join->right_count && !error; i++) {
        const uint32_t at = left->count + i;
        fields[at] = right->fields[join->rights[i]];
        error = name_right(join, env, fields, at, fields[at].name, names[i]);
        fields[at].name = names[i];
    }
    if (!error) {
        weir_schema_release(join->out);
        join->out = weir_schema_together(env, weir_schema_new(fields, count, left->time, left->key));
        error = join->out ? 0 : weir_fail(env->error, -ENOMEM, "%s: out of memory", env->name);
    }
    memory_free(names);
    memory_free(fields);
    return error;
}

static int join_bind(void *self, struct weir_env *env, struct weir_schema *in, struct weir_schema **out)
{
    struct join *join = self;
    struct side *side = &join->sides[env->input];
    const struct side *left = &join->sides[JOIN_LEFT], *right = &join->sides[JOIN_RIGHT];
    if (in->time < 0)
        return weir_fail_at(env->error, -EINVAL, env->mark,
                            "%s: records meet by their time, and those of the %s have none: give the source time: "
                            "COLUMN",
                            env->name, env->input == JOIN_LEFT ? "left" : "right");
    int error = grouping_bind(&side->grouping, env, &join->on, in);
    if (!error)
        error = weir_key_state_define(env, &(struct weir_key_options){.size = sizeof(struct join_key)});
    if (error)
        return error;
    weir_schema_release(side->schema);
    side->schema = weir_schema_reference(in);
    if (env->input == JOIN_LEFT)
        for (uint32_t c = 0; c < in->count; c++)
            side->wanted[c] = true;
    else
        error = choose_rights(join, env);
    if (error || !left->schema || !right->schema)
        return error;
    error = check_keys(join, env);
    if (!error)
        error = bind_outputs(join, env);
    if (!error)
        *out = weir_schema_reference(join->out);
    return error;
}

/* ---- Records come ---------------------------------------------------------------------------------------------- */

enum { LATE = VERDICT_TAKEN + 1, NO_TIME, NO_KEY, TOO_MANY, VERDICTS };
static const char *const reasons[VERDICTS] = {
    [LATE] = "late records",
    [NO_TIME] = "no time",
    [NO_KEY] = "no key",
    [TOO_MANY] = "too many records wait",
};

static bool is_null(const struct weir_batch *in, uint32_t column, uint32_t row)
{
    const struct weir_column *values = &in->columns[column];
    switch (in->schema->fields[column].type) {
    case WEIR_SYMBOL:
        return values->symbols[row] == WEIR_SYMBOL_NULL;
    case WEIR_TEXT:
        return !values->texts[row].data;
    case WEIR_BOOL:
        return values->bools[row] == WEIR_BOOL_NULL;
    case WEIR_F64:
        return isnan(values->f64[row]);
    default:
        return values->i64[row] == WEIR_I64_NULL;
    }
}

static bool has_key(const struct grouping *grouping, const struct weir_batch *in, uint32_t row)
{
    for (uint32_t i = 0; i < grouping->count; i++)
        if (is_null(in, grouping->columns[i], row))
            return false;
    return true;
}

/* A record of the left without a key meets nobody, but is one all the same; on the right it is good for nothing. */
static uint8_t judge(const struct join *join, const struct weir_env *env, const struct weir_batch *in, uint32_t row,
                     struct join_key *key)
{
    const int64_t time = in->columns[in->schema->time].i64[row];
    int64_t mark = weir_source_watermark(env, in, row);
    mark = mark > join->watermark ? mark : join->watermark;
    if (time == WEIR_TIME_NULL)
        return NO_TIME;
    if (mark > INT64_MIN + join->lateness && time < mark - join->lateness)
        return LATE;
    key->none = !has_key(&join->sides[env->input].grouping, in, row);
    if (key->none && env->input == JOIN_RIGHT)
        return NO_KEY;
    return join_room(&join->buffer, key, (enum join_side)env->input) ? VERDICT_TAKEN : TOO_MANY;
}

static void tell_too_many(const struct join *join, struct weir_env *env)
{
    weir_notice(env, reasons[TOO_MANY],
                "there is no room for more %s records to wait in until event time has passed them: they are refused; "
                "give the pipeline more with run: {memory: ...}%s, or see why event time does not go on",
                env->input == JOIN_LEFT ? "left" : "right", join->most ? ", raise this stage's most" : "");
}

/* Copies the rows that were not turned away, and notes each with its key. What there is no memory for is turned away
 * as well. */
static void keep_rows(struct join *join, struct weir_env *env, const struct weir_batch *in,
                      const struct weir_batch *keyed)
{
    const enum join_side side = (enum join_side)env->input;
    uint8_t *verdicts = join->verdicts.items;
    uint32_t count = 0, kept = 0;
    for (uint32_t i = 0; i < keyed->count; i++)
        if (verdicts[i] == VERDICT_TAKEN)
            join->kept[count++] = weir_batch_row(keyed, i);
    struct kept_rows *rows = count ? kept_rows_new(env, in, join->kept, count, join->sides[side].wanted) : NULL;
    for (uint32_t i = 0; i < keyed->count; i++) {
        if (verdicts[i] != VERDICT_TAKEN)
            continue;
        const uint32_t row = weir_batch_row(keyed, i);
        const struct join_entry entry = {.time = in->columns[in->schema->time].i64[row],
                                         .position = weir_batch_position(in, row),
                                         .source = in->source,
                                         .row = kept++,
                                         .rows = rows,
                                         .key = join->states[i]};
        if (rows && join_room(&join->buffer, entry.key, side) && join_add(&join->buffer, env, side, &entry) == 0)
            continue;
        verdicts[i] = TOO_MANY;
        if (rows)
            kept_rows_release(env, rows);
    }
}

static int join_process(void *self, struct weir_env *env, struct weir_batch *in, struct weir_out *out)
{
    struct join *join = self;
    struct side *side = &join->sides[env->input];
    struct weir_batch *keyed = in;
    if (numeric_reserve(&join->states, &join->states_capacity, in->count, sizeof(void *)) < 0 ||
        numeric_reserve(&join->kept, &join->kept_capacity, in->count, sizeof(uint32_t)) < 0 ||
        verdicts_reserve(&join->verdicts, in->count) < 0)
        return weir_fail(env->error, -ENOMEM, "%s: out of memory", env->name);
    int error = grouping_states(&side->grouping, env, &keyed, join->states);
    for (uint32_t i = 0; i < keyed->count && error >= 0; i++)
        join->verdicts.items[i] = judge(join, env, in, weir_batch_row(keyed, i), join->states[i]);
    if (error >= 0 && keyed->count) {
        keep_rows(join, env, in, keyed);
        uint64_t counts[VERDICTS] = {0};
        for (uint32_t i = 0; i < keyed->count; i++)
            counts[join->verdicts.items[i]]++;
        if (counts[TOO_MANY])
            tell_too_many(join, env);
        weir_count(env, "records joined", env->input == JOIN_LEFT ? "left" : "right", counts[VERDICT_TAKEN]);
        error = verdicts_settle(&join->verdicts, env, in, keyed, reasons, VERDICTS, LATE, out);
    }
    join->source = in->source;
    join->sequence = in->sequence;
    grouping_done(&side->grouping);
    return error < 0 ? weir_fail(env->error, error, "%s: out of memory; give the pipeline more with run: {memory: ...}",
                                 env->name)
                     : 0;
}

/* ---- Records go out -------------------------------------------------------------------------------------------- */

/* By time, for whoever merges what lanes sent. */
static uint64_t position_of(int64_t time)
{
    return (uint64_t)time ^ UINT64_C(1) << 63;
}

static struct weir_batch *make_batch(const struct join *join, struct weir_env *env, uint32_t rows)
{
    const struct weir_schema *left = join->sides[JOIN_LEFT].schema, *right = join->sides[JOIN_RIGHT].schema;
    struct weir_batch *batch = weir_batch_new(env->pool, join->out, rows);
    uint64_t *positions = batch ? weir_batch_allocate(batch, rows * sizeof *positions) : NULL;
    int64_t *produced = positions ? weir_batch_allocate(batch, rows * sizeof *produced) : NULL;
    int error = produced ? 0 : -ENOMEM;
    for (uint32_t c = 0; c < left->count && !error; c++)
        error = kept_rows_column(batch, c, join->left_rows, left, c);
    for (uint32_t c = left->count; c < join->out->count && !error; c++)
        error = kept_rows_column(batch, c, join->right_rows, right, join->rights[c - left->count]);
    if (error) {
        weir_batch_release(batch);
        return NULL;
    }
    for (uint32_t row = 0; row < rows; row++) {
        positions[row] = position_of(join->lefts[row].time);
        produced[row] = join->lefts[row].rows->produced[join->lefts[row].row];
    }
    batch->positions = positions;
    batch->position = positions[0];
    batch->produced_rows = produced;
    batch->produced = produced[0];
    batch->source = join->source;
    batch->sequence = join->sequence;
    return batch;
}

/* The left records that event time has passed, up to `most` that go out. Returns how many do. */
static uint32_t take_left(struct join *join, struct weir_env *env, int64_t time_ns, uint32_t most)
{
    struct join_entry left;
    uint32_t rows = 0;
    uint64_t unmatched = 0;
    while (rows < most && join_next(&join->buffer, time_ns, &left)) {
        const struct join_entry *match = join_match(&join->buffer, &left);
        unmatched += !match;
        if (!match && join->unmatched == DROP) {
            kept_rows_release(env, left.rows);
            continue;
        }
        join->lefts[rows] = left;
        join->left_rows[rows] = (struct kept_row){left.rows, left.row};
        join->right_rows[rows++] = match ? (struct kept_row){match->rows, match->row} : (struct kept_row){NULL, 0};
    }
    weir_count(env, "records unmatched", NULL, unmatched);
    return rows;
}

/* No record ever came from the right: what goes out is the left. */
static void bind_without_right(struct join *join)
{
    join->right_count = 0;
    weir_schema_release(join->out);
    join->out = weir_schema_reference(join->sides[JOIN_LEFT].schema);
}

static int join_on_watermark(void *self, struct weir_env *env, int64_t time_ns, struct weir_out *out)
{
    struct join *join = self;
    join->watermark = time_ns;
    if (join->buffer.left_count && !join->sides[JOIN_RIGHT].schema) {
        if (time_ns != INT64_MAX)
            return 0; /* what goes out cannot be said yet */
        bind_without_right(join);
    }
    const uint32_t most = join->out ? pieces_rows(join->out) : PIECE_ROWS_MOST;
    const uint32_t rows = take_left(join, env, time_ns, most);
    struct weir_batch *batch = rows ? make_batch(join, env, rows) : NULL;
    for (uint32_t row = 0; row < rows; row++)
        kept_rows_release(env, join->lefts[row].rows);
    if (rows && !batch)
        return weir_fail(env->error, -ENOMEM, "%s: out of memory; give the pipeline more with run: {memory: ...}",
                         env->name);
    weir_out_emit(out, batch);
    if (rows == most)
        return 1; /* there may be more */
    join_forget(&join->buffer, env, time_ns);
    return 0;
}

static const struct weir_option join_options[] = {
    {.name = "on",
     .type = WEIR_OPTION_STRINGS,
     .offset = offsetof(struct join, on),
     .help = "column, or up to 8 of them, that are equal in records that belong together; without it the keys of the "
             "sources"},
    {.name = "tolerance",
     .type = WEIR_OPTION_DURATION,
     .offset = offsetof(struct join, tolerance),
     .flags = WEIR_OPTION_REQUIRED,
     .least = 0,
     .most = SPAN_MOST,
     .help = "how far apart in event time two records may be; a left record waits for as long"},
    {.name = "direction",
     .type = WEIR_OPTION_CHOICE,
     .offset = offsetof(struct join, direction),
     .fallback = "nearest",
     .choices = directions,
     .help = "nearest: the right record that is nearest in time, of two the earlier; backward: the last one that is "
             "not later; forward: the first one that is not earlier"},
    {.name = "columns",
     .type = WEIR_OPTION_STRINGS,
     .offset = offsetof(struct join, columns),
     .help = "columns of the right that are wanted; without it all but the key"},
    {.name = "suffix",
     .type = WEIR_OPTION_STRING,
     .offset = offsetof(struct join, suffix),
     .fallback = "_right",
     .help = "put behind the names of columns of the right that the left has too"},
    {.name = "prefix",
     .type = WEIR_OPTION_STRING,
     .offset = offsetof(struct join, prefix),
     .help = "put before the names of all columns of the right"},
    {.name = "unmatched",
     .type = WEIR_OPTION_CHOICE,
     .offset = offsetof(struct join, unmatched),
     .fallback = "keep",
     .choices = unmatched_choices,
     .help = "left records that meet nobody go out with nulls, or not at all"},
    {.name = "allowed_lateness",
     .type = WEIR_OPTION_DURATION,
     .offset = offsetof(struct join, lateness),
     .least = 0,
     .most = SPAN_MOST,
     .help = "wait so much longer for late records, beyond the source's watermark"},
    {.name = "late",
     .type = WEIR_OPTION_STRING,
     .offset = offsetof(struct join, late),
     .flags = WEIR_OPTION_SIDE,
     .help = "a name for the late records of both sides, which others can read from: as they came, instead of refused"},
    {.name = "most",
     .type = WEIR_OPTION_INTEGER,
     .offset = offsetof(struct join, most),
     .fallback = "0",
     .least = 0,
     .most = MOST_MOST,
     .help =
         "at most so many records of a key wait on each side, and more are refused and counted; 0: as many as there "
         "is memory for"},
    {.type = WEIR_OPTION_END},
};

const struct weir_stage stage_join = {
    .part = {.kind = WEIR_STAGE,
             .name = "join",
             .summary = "each record of one input with that of another which has the same key and the nearest time",
             .example = "sources:\n"
                        "  vibration: {type: generate, keys: 10, rate: 1000/s}\n"
                        "  power: {type: generate, keys: 10, rate: 100/s}\n"
                        "stages:\n"
                        "  - join: {from: [vibration, power], tolerance: 1s, columns: value}\n"
                        "sinks:\n"
                        "  out: stdout\n",
             .options = join_options,
             .size = sizeof(struct join),
             .open = join_open,
             .close = join_close},
    .inputs = JOIN_SIDES,
    .key = join_key,
    .bind = join_bind,
    .process = join_process,
    .on_watermark = join_on_watermark,
};
