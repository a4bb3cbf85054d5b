/* SPDX-License-Identifier: MIT */
/*
 * Parts for pipeline_random_test.c. Each record has a hash, to which every stage adds what it saw: so what a sink has
 * in the end tells all that the record went through, also in which order the records of its key and source came.
 */
#ifndef FLOW_PIPELINE_RANDOM_PARTS_H
#define FLOW_PIPELINE_RANDOM_PARTS_H

#include "flow/pipeline.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/memory.h"
#include "data/pool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { COLUMN_T, COLUMN_KEY, COLUMN_OTHER, COLUMN_SOURCE, COLUMN_HASH, COLUMNS };
enum { SOURCES_MOST = 3 };

static inline int64_t mix(int64_t hash, int64_t with)
{
    return (int64_t)hash_u64((uint64_t)hash * 31 + (uint64_t)with);
}

static inline struct weir_schema *record_schema(void)
{
    static const struct weir_field fields[COLUMNS] = {{.name = "t", .type = WEIR_TIME},
                                                      {.name = "key", .type = WEIR_I64},
                                                      {.name = "other", .type = WEIR_I64},
                                                      {.name = "source", .type = WEIR_I64},
                                                      {.name = "hash", .type = WEIR_I64}};
    return weir_schema_new(fields, COLUMNS, COLUMN_T, COLUMN_KEY);
}

/* ---- A source -----------------------------------------------------------------------------------------------------
 */

struct giving {
    int64_t records, keys, most_rows, pause_ns, number;
    uint64_t seed;
    struct weir_schema *schema;
    struct weir_pool *pool;
};

static int giving_open(void *self, struct weir_env *env)
{
    struct giving *giving = self;
    giving->pool = env->pool;
    giving->schema = record_schema();
    return giving->schema ? 0 : -ENOMEM;
}

static void giving_close(void *self, struct weir_env *env)
{
    (void)env;
    weir_schema_release(((struct giving *)self)->schema);
}

static struct weir_batch *giving_batch(const struct giving *giving, int64_t first, uint32_t rows, int64_t now)
{
    struct weir_batch *batch = weir_batch_new(giving->pool, giving->schema, rows);
    int64_t *columns[COLUMNS];
    for (uint32_t i = 0; batch && i < COLUMNS; i++)
        columns[i] = weir_batch_column_data(batch, i);
    for (uint32_t i = 0; batch && i < rows; i++) {
        const int64_t n = first + i;
        columns[COLUMN_T][i] = n * 1000;
        columns[COLUMN_KEY][i] = n % giving->keys;
        columns[COLUMN_OTHER][i] = n % 7;
        columns[COLUMN_SOURCE][i] = giving->number;
        columns[COLUMN_HASH][i] = mix(giving->number, n);
    }
    if (batch) {
        batch->position = (uint64_t)first;
        batch->produced = now;
    }
    return batch;
}

static int giving_run(void *self, struct weir_context *context, struct weir_emitter *out)
{
    struct giving *giving = self;
    for (int64_t n = 0; n < giving->records;) {
        int64_t rows = 1 + (int64_t)(hash_random(&giving->seed) % (uint64_t)giving->most_rows);
        if (rows > giving->records - n)
            rows = giving->records - n;
        if (giving->pause_ns && weir_sleep(context, giving->pause_ns) < 0)
            return 0;
        int error = weir_emit_batch(context, out, giving_batch(giving, n, (uint32_t)rows, weir_now(context)));
        if (error < 0)
            return error;
        n += rows;
    }
    return 0;
}

static const struct weir_source source_giving = {.part = {.kind = WEIR_SOURCE,
                                                          .name = "giving",
                                                          .size = sizeof(struct giving),
                                                          .open = giving_open,
                                                          .close = giving_close},
                                                 .run = giving_run};

/* ---- Stages --------------------------------------------------------------------------------------------------------
 */

struct work { /* the options of all stages */
    const char *by;
    int64_t of;       /* dropping: keeps what is no multiple of it */
    int64_t copies;   /* spreading */
    int64_t pause_ns; /* pausing */
    uint32_t piece;   /* rows that go out at a time */
    uint32_t number;  /* of the node */
    bool ordered;     /* numbering: the order of records counts */
    /* live: */
    uint64_t from; /* spreading: rows that have gone out */
    struct held *held;
    size_t held_count, held_capacity, held_from, held_until;
    void **states;
    uint32_t states_capacity;
};
struct held {
    uint64_t position;
    int64_t values[COLUMNS];
};

static const char *work_key(const void *self)
{
    return ((const struct work *)self)->by;
}

static int work_bind(void *self, struct weir_env *env, struct weir_schema *in, struct weir_schema **out)
{
    (void)self;
    (void)env;
    *out = weir_schema_reference(in);
    return 0;
}

static void work_close(void *self, struct weir_env *env)
{
    (void)env;
    memory_free(((struct work *)self)->states);
    memory_free(((struct work *)self)->held);
}

/* The same records with room for other hashes. */
static struct weir_batch *with_hashes(struct weir_env *env, struct weir_batch *in, int64_t **ret_hashes)
{
    struct weir_batch *batch = weir_batch_derive(env->pool, in, in->schema);
    *ret_hashes = batch ? weir_batch_allocate(batch, (in->rows ? in->rows : 1) * sizeof **ret_hashes) : NULL;
    if (!*ret_hashes) {
        weir_batch_release(batch);
        return NULL;
    }
    memset(*ret_hashes, 0, in->rows * sizeof **ret_hashes);
    batch->columns[COLUMN_HASH].data = *ret_hashes;
    return batch;
}

static int dropping_process(void *self, struct weir_env *env, struct weir_batch *in, struct weir_out *out)
{
    const struct work *work = self;
    uint32_t *rows = memory_allocate(in->count * sizeof *rows), count = 0;
    for (uint32_t i = 0; rows && i < in->count; i++) {
        uint32_t row = weir_batch_row(in, i);
        if (weir_batch_position(in, row) % (uint64_t)work->of)
            rows[count++] = row;
    }
    struct weir_batch *kept = rows ? weir_filter(env, in, rows, count) : NULL;
    memory_free(rows);
    weir_out_emit(out, kept);
    return kept ? 0 : -ENOMEM;
}

static const struct weir_stage stage_dropping = {
    .part = {.kind = WEIR_STAGE, .name = "dropping", .size = sizeof(struct work)},
    .bind = work_bind,
    .process = dropping_process};

/* Copies of each record, a piece of them at a time; the last one has the account. */
static int spreading_process(void *self, struct weir_env *env, struct weir_batch *in, struct weir_out *out)
{
    struct work *work = self;
    const uint64_t copies = (uint64_t)work->copies, left = in->count * copies - work->from;
    const uint32_t count = left < work->piece ? (uint32_t)left : work->piece;
    uint32_t *rows = memory_allocate(count * sizeof *rows), *accounted = NULL;
    int64_t *hashes = NULL;
    for (uint32_t i = 0; rows && i < count; i++)
        rows[i] = weir_batch_row(in, (uint32_t)((work->from + i) / copies));
    struct weir_batch *dense = rows ? weir_batch_compact(env->pool, in, rows, count) : NULL;
    struct weir_batch *made = dense ? with_hashes(env, dense, &hashes) : NULL;
    if (made && made->receipt_row)
        accounted = weir_batch_allocate(made, count * sizeof *accounted);
    memory_free(rows);
    if (!made || (made->receipt_row && !accounted)) {
        weir_batch_release(dense);
        weir_batch_release(made);
        return weir_fail(env->error, -ENOMEM, "no memory to spread");
    }
    for (uint32_t i = 0; i < count; i++) {
        const int64_t copy = (int64_t)((work->from + i) % copies);
        hashes[i] = mix(dense->columns[COLUMN_HASH].i64[i], work->number * 1000 + copy);
        if (accounted)
            accounted[i] = copy + 1 == work->copies ? made->receipt_row[i] : UINT32_MAX;
    }
    if (accounted)
        made->receipt_row = accounted;
    weir_batch_release(dense);
    weir_out_emit(out, made);
    work->from = count < left ? work->from + count : 0;
    return work->from > 0;
}

static const struct weir_stage stage_spreading = {
    .part = {.kind = WEIR_STAGE, .name = "spreading", .size = sizeof(struct work)},
    .key = work_key,
    .bind = work_bind,
    .process = spreading_process};

/* What came before of the same key and source, and in which order. */
static int numbering_bind(void *self, struct weir_env *env, struct weir_schema *in, struct weir_schema **out)
{
    const struct weir_key_options options = {.size = SOURCES_MOST * sizeof(int64_t)};
    (void)self;
    *out = weir_schema_reference(in);
    return weir_key_state_define(env, &options);
}

static int numbering_process(void *self, struct weir_env *env, struct weir_batch *in, struct weir_out *out)
{
    struct work *work = self;
    int64_t *hashes;
    if (work->states_capacity < in->count) {
        memory_free(work->states);
        work->states = memory_allocate(in->count * sizeof(void *));
        work->states_capacity = work->states ? in->count : 0;
    }
    int error = work->states ? weir_key_states(env, &in, work->states) : -ENOMEM;
    struct weir_batch *batch = error < 0 ? NULL : with_hashes(env, in, &hashes);
    if (!batch)
        return -ENOMEM;
    for (uint32_t i = 0; i < in->count; i++) {
        const uint32_t row = weir_batch_row(in, i);
        int64_t *seen = (int64_t *)work->states[i] + in->columns[COLUMN_SOURCE].i64[row];
        hashes[row] = mix(in->columns[COLUMN_HASH].i64[row], work->number);
        if (work->ordered)
            hashes[row] = *seen = mix(hashes[row], *seen);
    }
    weir_out_emit(out, batch);
    return 0;
}

static const struct weir_stage stage_numbering = {
    .part = {.kind = WEIR_STAGE, .name = "numbering", .size = sizeof(struct work), .close = work_close},
    .key = work_key,
    .bind = numbering_bind,
    .process = numbering_process};

/* Keeps all until event time has come to it; then lets go of it by position, a piece at a time. */
static int holding_process(void *self, struct weir_env *env, struct weir_batch *in, struct weir_out *out)
{
    struct work *work = self;
    if (work->held_count + in->count > work->held_capacity) {
        const size_t capacity = (work->held_count + in->count) * 2;
        struct held *held = memory_resize(work->held, capacity * sizeof *held);
        if (!held)
            return -ENOMEM;
        work->held = held;
        work->held_capacity = capacity;
    }
    for (uint32_t i = 0; i < in->count; i++) {
        const uint32_t row = weir_batch_row(in, i);
        struct held *held = &work->held[work->held_count++];
        held->position = weir_batch_position(in, row);
        for (uint32_t column = 0; column < COLUMNS; column++)
            held->values[column] = in->columns[column].i64[row];
        held->values[COLUMN_HASH] = mix(held->values[COLUMN_HASH], work->number * 1000 + env->input);
    }
    struct weir_batch *none = weir_filter(env, in, (const uint32_t[1]){0}, 0);
    weir_out_emit(out, none);
    return none ? 0 : -ENOMEM;
}

static int compare_held(const void *a, const void *b)
{
    const struct held *x = a, *y = b;
    if (x->position != y->position)
        return x->position < y->position ? -1 : 1;
    return x->values[COLUMN_HASH] < y->values[COLUMN_HASH] ? -1 : x->values[COLUMN_HASH] > y->values[COLUMN_HASH];
}

static bool emit_held(const struct work *work, struct weir_env *env, uint32_t count, struct weir_out *out)
{
    struct weir_schema *schema = record_schema();
    struct weir_batch *batch = schema ? weir_batch_new(env->pool, schema, count) : NULL;
    uint64_t *positions = batch ? weir_batch_allocate(batch, count * sizeof *positions) : NULL;
    weir_schema_release(schema);
    if (!positions) {
        weir_batch_release(batch);
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct held *held = &work->held[work->held_from + i];
        positions[i] = held->position;
        for (uint32_t column = 0; column < COLUMNS; column++)
            ((int64_t *)weir_batch_column_data(batch, column))[i] = held->values[column];
    }
    batch->positions = positions;
    batch->produced = weir_now(env->context);
    weir_out_emit(out, batch);
    return true;
}

/* Those whose time has come, in front, by position. */
static void sort_held(struct work *work, int64_t time_ns)
{
    size_t ready = 0;
    for (size_t i = 0; i < work->held_count; i++) {
        if (work->held[i].values[COLUMN_T] > time_ns)
            continue;
        struct held mine = work->held[i];
        work->held[i] = work->held[ready];
        work->held[ready++] = mine;
    }
    if (ready)
        qsort(work->held, ready, sizeof *work->held, compare_held);
    work->held_from = 0;
    work->held_until = ready;
}

static int holding_watermark(void *self, struct weir_env *env, int64_t time_ns, struct weir_out *out)
{
    struct work *work = self;
    if (work->held_from == work->held_until)
        sort_held(work, time_ns);
    const size_t left = work->held_until - work->held_from;
    const uint32_t count = left < work->piece ? (uint32_t)left : work->piece;
    if (count && !emit_held(work, env, count, out))
        return weir_fail(env->error, -ENOMEM, "no memory to let go");
    work->held_from += count;
    if (work->held_from < work->held_until)
        return 1;
    work->held_count -= work->held_until;
    if (work->held_count)
        memmove(work->held, work->held + work->held_until, work->held_count * sizeof *work->held);
    work->held_from = work->held_until = 0;
    return 0;
}

static const struct weir_stage stage_holding = {
    .part = {.kind = WEIR_STAGE, .name = "holding", .size = sizeof(struct work), .close = work_close},
    .key = work_key,
    .bind = work_bind,
    .process = holding_process,
    .on_watermark = holding_watermark};
static const struct weir_stage stage_meeting = {
    .part = {.kind = WEIR_STAGE, .name = "meeting", .size = sizeof(struct work), .close = work_close},
    .inputs = 2,
    .key = work_key,
    .bind = work_bind,
    .process = holding_process,
    .on_watermark = holding_watermark};

static int pausing_call(void *self, struct weir_env *env, struct weir_context *context, struct weir_batch *in,
                        struct weir_out *out)
{
    const struct work *work = self;
    (void)env;
    if (work->pause_ns && weir_sleep(context, work->pause_ns) < 0)
        return -ECANCELED;
    weir_out_emit(out, weir_batch_reference(in));
    return 0;
}

static const struct weir_stage stage_pausing = {
    .part = {.kind = WEIR_STAGE, .name = "pausing", .size = sizeof(struct work)},
    .bind = work_bind,
    .call = pausing_call};

/* ---- A sink --------------------------------------------------------------------------------------------------------
 */

struct taken {
    uint64_t position;
    int64_t values[COLUMNS];
};
struct taking_into {
    struct taken *rows;
    size_t count, capacity;
};
struct taking {
    struct taking_into *into;
    int64_t pause_ns;
};

static int taking_write(void *self, struct weir_env *env, struct weir_batch *in, const char *bytes, size_t size)
{
    const struct taking *taking = self;
    struct taking_into *into = taking->into;
    (void)bytes;
    (void)size;
    if (taking->pause_ns)
        (void)weir_sleep(env->context, taking->pause_ns);
    if (into->count + in->count > into->capacity) {
        const size_t capacity = (into->count + in->count) * 2;
        struct taken *rows = memory_resize(into->rows, capacity * sizeof *rows);
        if (!rows)
            return -ENOMEM;
        into->rows = rows;
        into->capacity = capacity;
    }
    for (uint32_t i = 0; i < in->count; i++) {
        const uint32_t row = weir_batch_row(in, i);
        struct taken *taken = &into->rows[into->count++];
        taken->position = weir_batch_position(in, row);
        for (uint32_t column = 0; column < COLUMNS; column++)
            taken->values[column] = in->columns[column].i64[row];
    }
    return 0;
}

static int taking_commit(void *self, struct weir_env *env)
{
    (void)self;
    (void)env;
    return 0;
}

static const struct weir_sink sink_taking = {
    .part = {.kind = WEIR_SINK, .name = "taking", .size = sizeof(struct taking)},
    .write = taking_write,
    .keep_order = true};
static const struct weir_sink sink_keeping = {
    .part = {.kind = WEIR_SINK, .name = "keeping", .size = sizeof(struct taking)},
    .write = taking_write,
    .commit = taking_commit,
    .commit_rows = 500};

#endif
