/* SPDX-License-Identifier: MIT */
/* Parts and plans made for pipeline_test.c. */
#ifndef FLOW_PIPELINE_TEST_PARTS_H
#define FLOW_PIPELINE_TEST_PARTS_H

#include "flow/pipeline.h"

#include "base/clock.h"
#include "base/memory.h"
#include "data/pool.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- Parts ----------------------------------------------------------------------------------------------------- */

struct counting { /* source: n = 0, 1, 2 …; key = n % keys; batches of random size */
    int64_t records, keys, most_rows;
    uint64_t seed;
    int64_t pause_ns; /* between batches */
};

static uint64_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
    return *state >> 33;
}

static struct weir_batch *counting_batch(struct weir_pool *pool, struct weir_schema *schema, int64_t first,
                                         uint32_t rows, int64_t keys, int64_t now)
{
    struct weir_batch *batch = weir_batch_new(pool, schema, rows);
    if (!batch)
        return NULL;
    int64_t *time = weir_batch_column_data(batch, 0), *key = weir_batch_column_data(batch, 1);
    double *value = weir_batch_column_data(batch, 2);
    for (uint32_t i = 0; i < rows; i++) {
        int64_t n = first + i;
        time[i] = n * 1000;
        key[i] = n % keys;
        value[i] = (double)(n % 1000) / 7.0;
    }
    batch->position = (uint64_t)first;
    batch->produced = now;
    return batch;
}

struct counting_live {
    struct counting options;
    struct weir_pool *pool;
    struct weir_schema *schema;
};

static int counting_open(void *self, struct weir_env *env)
{
    struct counting_live *live = self;
    static const struct weir_field fields[] = {
        {.name = "t", .type = WEIR_TIME}, {.name = "key", .type = WEIR_I64}, {.name = "value", .type = WEIR_F64}};
    live->pool = env->pool;
    live->schema = weir_schema_new(fields, 3, 0, 1);
    return live->schema ? 0 : -ENOMEM;
}

static void counting_close(void *self, struct weir_env *env)
{
    (void)env;
    weir_schema_release(((struct counting_live *)self)->schema);
}

static int counting_run(void *self, struct weir_context *context, struct weir_emitter *out)
{
    struct counting_live *live = self;
    struct counting *options = &live->options;
    for (int64_t n = 0; n < options->records;) {
        int64_t rows = 1 + (int64_t)(next_random(&options->seed) % (uint64_t)options->most_rows);
        if (rows > options->records - n)
            rows = options->records - n;
        if (options->pause_ns && weir_sleep(context, options->pause_ns) < 0)
            return 0;
        int error = weir_emit_batch(
            context, out,
            counting_batch(live->pool, live->schema, n, (uint32_t)rows, options->keys, weir_now(context)));
        if (error < 0)
            return error;
        n += rows;
    }
    return 0;
}

static const struct weir_source source_counting = {.part = {.kind = WEIR_SOURCE,
                                                            .name = "counting",
                                                            .size = sizeof(struct counting_live),
                                                            .open = counting_open,
                                                            .close = counting_close},
                                                   .run = counting_run};

struct summing { /* keyed stage: running sum and number of the record within its key */
    const char *by;
    int64_t most_keys;
    struct summing_live {
        void **states;
        uint32_t capacity;
        int32_t value, keyed;
    } live;
};
struct summing_state {
    double sum;
    int64_t seen;
};

static const char *summing_key(const void *self)
{
    return ((const struct summing *)self)->by;
}

static int summing_bind(void *self, struct weir_env *env, struct weir_schema *in, struct weir_schema **out)
{
    struct summing *summing = self;
    char sum[32], seen[32];
    struct weir_key_options options = {.size = sizeof(struct summing_state), .most_keys = (uint64_t)summing->most_keys};
    snprintf(sum, sizeof sum, "%s_sum", env->name);
    snprintf(seen, sizeof seen, "%s_seen", env->name);
    struct weir_field fields[] = {{.name = sum, .type = WEIR_F64}, {.name = seen, .type = WEIR_I64}};
    summing->live.value = weir_schema_find(in, "value");
    *out = weir_schema_extend(in, fields, 2);
    return *out ? weir_key_state_define(env, &options) : -ENOMEM;
}

static int summing_process(void *self, struct weir_env *env, struct weir_batch *in, struct weir_out *out)
{
    struct summing *summing = self;
    if (summing->live.capacity < in->count) {
        memory_free(summing->live.states);
        summing->live.states = memory_allocate(in->count * sizeof(void *));
        summing->live.capacity = summing->live.states ? in->count : 0;
        if (!summing->live.states)
            return -ENOMEM;
    }
    int error = weir_key_states(env, &in, summing->live.states);
    if (error < 0)
        return error;
    struct weir_schema *schema = NULL;
    char sum_name[32];
    struct weir_field fields[2] = {{.name = sum_name, .type = WEIR_F64}};
    char seen_name[32];
    snprintf(sum_name, sizeof sum_name, "%s_sum", env->name);
    snprintf(seen_name, sizeof seen_name, "%s_seen", env->name);
    fields[1] = (struct weir_field){.name = seen_name, .type = WEIR_I64};
    schema = weir_schema_extend(in->schema, fields, 2);
    struct weir_batch *batch = schema ? weir_batch_derive(env->pool, in, schema) : NULL;
    double *sums = batch ? weir_batch_add_column(batch, (uint32_t)weir_schema_find(schema, sum_name)) : NULL;
    int64_t *seen = batch ? weir_batch_add_column(batch, (uint32_t)weir_schema_find(schema, seen_name)) : NULL;
    weir_schema_release(schema);
    if (!sums || !seen) {
        weir_batch_release(batch);
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < in->count; i++) {
        struct summing_state *state = summing->live.states[i];
        uint32_t row = weir_batch_row(in, i);
        state->sum += in->columns[summing->live.value].f64[row];
        sums[row] = state->sum;
        seen[row] = state->seen++;
    }
    weir_out_emit(out, batch);
    return 0;
}

static void summing_close(void *self, struct weir_env *env)
{
    (void)env;
    memory_free(((struct summing *)self)->live.states);
}

static const struct weir_stage stage_summing = {
    .part = {.kind = WEIR_STAGE, .name = "summing", .size = sizeof(struct summing), .close = summing_close},
    .key = summing_key,
    .bind = summing_bind,
    .process = summing_process};

struct sieve { /* keeps rows whose position is no multiple of `of`; fails at batch `fail_at` */
    int64_t of, fail_at, batches, cost_ns;
};

static int sieve_bind(void *self, struct weir_env *env, struct weir_schema *in, struct weir_schema **out)
{
    (void)self;
    (void)env;
    *out = weir_schema_reference(in);
    return 0;
}

static int sieve_process(void *self, struct weir_env *env, struct weir_batch *in, struct weir_out *out)
{
    struct sieve *sieve = self;
    uint32_t *rows = memory_allocate(in->count * sizeof *rows), count = 0;
    if (!rows)
        return -ENOMEM;
    if (sieve->cost_ns)
        weir_burn(env->context, sieve->cost_ns * in->count);
    if (sieve->fail_at && ++sieve->batches == sieve->fail_at) {
        memory_free(rows);
        return weir_fail(env->error, -EIO, "the sieve broke");
    }
    for (uint32_t i = 0; i < in->count; i++) {
        uint32_t row = weir_batch_row(in, i);
        if (!sieve->of || weir_batch_position(in, row) % (uint64_t)sieve->of)
            rows[count++] = row;
    }
    struct weir_batch *kept = weir_filter(env, in, rows, count);
    memory_free(rows);
    weir_out_emit(out, kept);
    return kept ? 0 : -ENOMEM;
}

/* Tells how event time comes to it, on each lane: the newest, and the newest while the slow source was still to come.
 */
struct clocking {
    int64_t *latest, *before_end;
};

static int clocking_process(void *self, struct weir_env *env, struct weir_batch *in, struct weir_out *out)
{
    (void)self;
    (void)env;
    weir_out_emit(out, weir_batch_reference(in));
    return 0;
}

static int clocking_watermark(void *self, struct weir_env *env, int64_t time_ns, struct weir_out *out)
{
    struct clocking *clocking = self;
    (void)out;
    assert_true(time_ns > clocking->latest[env->lane]);
    clocking->latest[env->lane] = time_ns;
    if (time_ns != INT64_MAX)
        clocking->before_end[env->lane] = time_ns;
    return 0;
}

static const struct weir_stage stage_clocking = {
    .part = {.kind = WEIR_STAGE, .name = "clocking", .size = sizeof(struct clocking)},
    .bind = sieve_bind,
    .process = clocking_process,
    .on_watermark = clocking_watermark};

static const struct weir_stage stage_sieve = {
    .part = {.kind = WEIR_STAGE, .name = "sieve", .size = sizeof(struct sieve)},
    .bind = sieve_bind,
    .process = sieve_process};

struct row {
    uint64_t position;
    int64_t key;
    double last; /* value of the last column, as double */
    double sum;
};
struct collection {
    struct row *rows;
    size_t count, capacity;
    bool in_order;
    uint64_t last_position;
};
struct collecting { /* sink */
    struct collection *into;
    int64_t pause_ns, fail_at, writes, busy_at;
};

static double number_at(const struct weir_batch *batch, uint32_t column, uint32_t row)
{
    return batch->schema->fields[column].type == WEIR_F64 ? batch->columns[column].f64[row]
                                                          : (double)batch->columns[column].i64[row];
}

static int collecting_write(void *self, struct weir_env *env, struct weir_batch *in, const char *bytes, size_t size)
{
    struct collecting *sink = self;
    struct collection *into = sink->into;
    (void)bytes;
    (void)size;
    sink->writes++;
    if (sink->pause_ns)
        (void)weir_sleep(env->context, sink->pause_ns);
    if (sink->fail_at == sink->writes)
        return weir_fail(env->error, -EIO, "the disk is gone");
    if (sink->busy_at == sink->writes)
        return weir_fail(env->error, -EBUSY, "busy");
    if (into->count + in->count > into->capacity) {
        size_t capacity = (into->count + in->count) * 2;
        struct row *rows = memory_resize(into->rows, capacity * sizeof *rows);
        if (!rows)
            return -ENOMEM;
        into->rows = rows;
        into->capacity = capacity;
    }
    int32_t sum = weir_schema_find(in->schema, "summing_sum");
    for (uint32_t i = 0; i < in->count; i++) {
        uint32_t row = weir_batch_row(in, i);
        struct row *to = &into->rows[into->count++];
        to->position = weir_batch_position(in, row);
        to->key = in->columns[1].i64[row];
        to->last = number_at(in, in->schema->count - 1, row);
        to->sum = sum >= 0 ? in->columns[sum].f64[row] : 0;
        if (into->last_position > to->position)
            into->in_order = false;
        into->last_position = to->position;
    }
    return 0;
}

static const struct weir_sink sink_collecting = {
    .part = {.kind = WEIR_SINK, .name = "collecting", .size = sizeof(struct collecting)},
    .write = collecting_write,
    .keep_order = true};

static int committing_commit(void *self, struct weir_env *env)
{
    (void)self;
    (void)env;
    return 0;
}
static const struct weir_sink sink_committing = {
    .part = {.kind = WEIR_SINK, .name = "committing", .size = sizeof(struct collecting)},
    .write = collecting_write,
    .commit = committing_commit,
    .commit_rows = 100};
static const struct weir_sink sink_nothing = {.part = {.kind = WEIR_SINK, .name = "nothing"}};

/* ---- Plans ----------------------------------------------------------------------------------------------------- */

enum { NODES = 12 };
struct rig {
    struct plan plan;
    struct plan_node nodes[NODES];
    uint32_t from[NODES][4];
    struct counting counting[3];
    struct summing summing[3];
    struct sieve sieve[3];
    struct collecting collecting[3];
    struct collection collections[3];
};

static uint32_t add(struct rig *rig, const struct weir_part *part, const char *name, void *options, int from, int from2)
{
    uint32_t index = rig->plan.count++;
    struct plan_node *node = &rig->nodes[index];
    node->name = (char *)name;
    node->part = part;
    node->options = options;
    node->from = rig->from[index];
    if (from >= 0)
        node->from[node->from_count++] = (uint32_t)from;
    if (from2 >= 0)
        node->from[node->from_count++] = (uint32_t)from2;
    return index;
}

static void rig_init(struct rig *rig, uint32_t lanes)
{
    memset(rig, 0, sizeof *rig);
    rig->plan = (struct plan){.nodes = rig->nodes, .lanes = lanes, .memory = 64 << 20, .linger = 1000000, .seed = 1};
    for (int i = 0; i < 3; i++) {
        rig->counting[i] = (struct counting){.records = 20000, .keys = 37, .most_rows = 500, .seed = (uint64_t)i + 9};
        rig->collections[i].in_order = true;
        rig->collecting[i].into = &rig->collections[i];
    }
}

static void rig_free(struct rig *rig)
{
    for (int i = 0; i < 3; i++)
        memory_free(rig->collections[i].rows);
}

static struct pipeline_snapshot *run(struct rig *rig, bool simulated, uint64_t seed, int expect)
{
    struct pipeline_options options = {.simulated = simulated, .seed = seed};
    struct pipeline *pipeline = NULL;
    struct weir_error error = {0};
    struct pipeline_snapshot *snapshot = NULL;
    assert_int_equal(pipeline_open(&rig->plan, &options, &pipeline, &error), 0);
    assert_int_equal(pipeline_start(pipeline), 0);
    assert_int_equal(pipeline_wait(pipeline, INT64_MAX), 1);
    assert_int_equal(pipeline_result(pipeline, &error), expect);
    assert_int_equal(pipeline_snapshot(pipeline, &snapshot), 0);
    assert_int_equal(snapshot->records_in, snapshot->records_stored + snapshot->records_refused +
                                               snapshot->records_filtered + snapshot->records_dropped);
    assert_int_equal(snapshot->unaccounted, 0);
    assert_int_equal(snapshot->in_flight_bytes, 0);
    assert_int_equal(snapshot->lag_ns, 0);
    snapshot->counters = (memory_free(snapshot->counters), NULL); /* its strings go with the pipeline */
    pipeline_close(pipeline);
    return snapshot;
}

__attribute__((unused)) static int by_sum(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    if (x->position != y->position)
        return x->position < y->position ? -1 : 1;
    return x->sum < y->sum ? -1 : x->sum > y->sum;
}

static int by_position(const void *a, const void *b)
{
    uint64_t x = ((const struct row *)a)->position, y = ((const struct row *)b)->position;
    return x < y ? -1 : x > y;
}

/* What the sum by key must be, row by row, computed one record after the other. */
__attribute__((unused)) static void check_sums(struct collection *collection, int64_t records, int64_t keys,
                                               int64_t sieve_of)
{
    double *sums = memory_zeroed((size_t)keys, sizeof *sums);
    size_t at = 0;
    assert_non_null(sums);
    qsort(collection->rows, collection->count, sizeof *collection->rows, by_position);
    for (int64_t n = 0; n < records; n++) {
        if (sieve_of && n % sieve_of == 0)
            continue;
        assert_true(at < collection->count);
        const struct row *row = &collection->rows[at++];
        sums[n % keys] += (double)(n % 1000) / 7.0;
        assert_int_equal(row->position, n);
        assert_int_equal(row->key, n % keys);
        assert_true(memcmp(&row->sum, &sums[n % keys], sizeof(double)) == 0);
    }
    assert_int_equal(at, collection->count);
    memory_free(sums);
}

#endif
