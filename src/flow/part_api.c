/* SPDX-License-Identifier: MIT */
/* What weir/part.h offers to parts, but for emitting (node.c, source.c). */
#include "flow/engine.h"

#include "base/error.h"
#include "base/memory.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static struct async_stage *async_of(const struct weir_engine_node *node)
{
    return (struct async_stage *)((char *)node - offsetof(struct async_stage, node));
}

static struct sink *sink_of(struct weir_engine_node *node)
{
    return (struct sink *)((char *)node - offsetof(struct sink, node));
}

void weir_notice(struct weir_env *env, const char *kind, const char *format, ...)
{
    char text[WEIR_ERROR_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (env->node)
        pipeline_notice(env->node->pipeline, env->name, kind, text);
}

void weir_count(struct weir_env *env, const char *what, const char *field, uint64_t number)
{
    if (env->node && number)
        pipeline_count(env->node->pipeline, env->name, what, field, number);
}

void weir_begun(struct weir_env *env, const struct weir_batch *batch, uint32_t first, uint32_t count)
{
    struct weir_engine_node *node = env->node;
    struct async_stage *stage = node_is_async(node->plan) ? async_of((struct weir_engine_node *)node) : NULL;
    int64_t now = weir_now(env->context);
    if (!stage)
        return;
    atomic_store_explicit(&stage->begins, true, memory_order_relaxed);
    for (uint32_t i = first; i < first + count; i++) {
        int64_t produced = batch->produced_rows ? batch->produced_rows[weir_batch_row(batch, i)] : batch->produced;
        histogram_record(&stage->wait, now - produced, 1);
    }
}

void weir_finished(struct weir_env *env, int64_t began_ns)
{
    const struct pipeline_options *options = &env->node->pipeline->options;
    if (options->worked)
        options->worked(options->owner, env->name, true, began_ns, weir_now(env->context));
}

/* The rows of the selection that are not in `rows`, both ascending: settled as filtered. */
static int settle_rest(struct weir_batch *in, const uint32_t *rows, uint32_t count, struct weir_pool *pool)
{
    const struct receipt *receipt = in->receipt_count == 1 ? (struct receipt *)in->receipts[0] : NULL;
    if (!in->receipt_count || count == in->count)
        return 0;
    if (receipt && !receipt->marks && !in->receipt_row) { /* only the number matters */
        receipt_settle(in, NULL, in->count - count, OUTCOME_FILTERED);
        return 0;
    }
    uint32_t *rest = pool_take(pool, (in->count - count) * sizeof *rest), rest_count = 0;
    if (!rest)
        return -ENOMEM;
    for (uint32_t i = 0, kept = 0; i < in->count; i++) {
        uint32_t row = weir_batch_row(in, i);
        if (kept < count && rows[kept] == row)
            kept++;
        else if (rest_count < in->count - count)
            rest[rest_count++] = row;
    }
    receipt_settle(in, rest, rest_count, OUTCOME_FILTERED);
    pool_give(rest);
    return 0;
}

static struct weir_batch *subset(struct weir_env *env, struct weir_batch *in, const uint32_t *rows, uint32_t count)
{
    struct weir_batch *out = weir_batch_derive(env->pool, in, in->schema);
    uint32_t *selection = out ? weir_batch_allocate(out, (count ? count : 1) * sizeof *selection) : NULL;
    if (!selection) {
        weir_batch_release(out);
        return NULL;
    }
    memcpy(selection, rows, count * sizeof *selection);
    weir_batch_select(out, selection, count);
    return out;
}

struct weir_batch *weir_filter(struct weir_env *env, struct weir_batch *in, const uint32_t *rows, uint32_t count)
{
    struct weir_batch *out = subset(env, in, rows, count);
    if (out && settle_rest(in, rows, count, env->pool) < 0) {
        weir_batch_release(out);
        return NULL;
    }
    return out;
}

/* The source keeps its records that a stage refuses, but for those that the stages made themselves. */
static void tell_source(struct weir_env *env, struct weir_batch *in, const uint32_t *rows, uint32_t count,
                        const char *reason, const char *detail)
{
    struct pipeline *pipeline = env->node ? env->node->pipeline : NULL;
    bool stage = pipeline && env->node->plan && env->node->plan->part->kind == WEIR_STAGE;
    if (!stage || !in->receipt_count || in->source >= pipeline->source_count)
        return;
    const struct source *source = &pipeline->sources[in->source];
    uint32_t *told = source->ops->rows_refused ? pool_take(env->pool, count * sizeof *told) : NULL, number = 0;
    for (uint32_t i = 0; told && i < count; i++)
        if (!in->receipt_row || in->receipt_row[rows[i]] != UINT32_MAX)
            told[number++] = rows[i];
    struct weir_batch *batch = number ? subset(env, in, told, number) : NULL;
    if (batch)
        source->ops->rows_refused(source->node.self, batch, env->name, reason, detail);
    weir_batch_release(batch);
    if (told)
        pool_give(told);
}

static void refuse(struct weir_env *env, struct weir_batch *in, const uint32_t *rows, uint32_t count,
                   const char *reason, const char *detail)
{
    if (!count)
        return;
    tell_source(env, in, rows, count, reason, detail);
    if (env->node && env->node->plan && env->node->plan->part->kind == WEIR_SINK)
        sink_forget(sink_of(env->node), in, rows, count);
    receipt_settle(in, rows, count, OUTCOME_REFUSED);
    weir_count(env, reason, NULL, count);
}

void weir_refuse(struct weir_env *env, struct weir_batch *in, const uint32_t *rows, uint32_t count, const char *reason)
{
    refuse(env, in, rows, count, reason, NULL);
}

void weir_enough(struct weir_env *env, uint32_t count)
{
    env->node->enough = true;
    env->node->enough_rows = count;
}

/* Few columns are not worth a count of references that all lanes write to. */
enum { TOGETHER_LEAST = 32 };

struct weir_schema *weir_schema_together(struct weir_env *env, struct weir_schema *schema)
{
    struct pipeline *pipeline = env->node ? env->node->pipeline : NULL;
    if (!schema || schema->count < TOGETHER_LEAST || !pipeline || !pipeline->schemas)
        return schema;
    struct weir_schema **known = &pipeline->schemas[env->node->index], *before;
    pthread_mutex_lock(&pipeline->lock);
    before = *known;
    if (before && weir_schema_equal(before, schema)) {
        before = schema;
        schema = weir_schema_reference(*known);
    } else {
        *known = weir_schema_reference(schema);
    }
    pthread_mutex_unlock(&pipeline->lock);
    weir_schema_release(before);
    return schema;
}

int weir_key_state_define(struct weir_env *env, const struct weir_key_options *options)
{
    env->node->key_options = *options;
    env->node->key_defined = true;
    return 0;
}

bool weir_memory_take(struct weir_env *env, size_t bytes)
{
    struct pipeline *pipeline = env->node->pipeline;
    return !pipeline || memory_budget_take(&pipeline->state_budget, bytes);
}

void weir_memory_give(struct weir_env *env, size_t bytes)
{
    if (env->node->pipeline)
        memory_budget_give(&env->node->pipeline->state_budget, bytes);
}

bool weir_state_take(struct weir_env *env, size_t bytes)
{
    struct pipeline *pipeline = env->node->pipeline;
    if (pipeline && !memory_budget_take(&pipeline->state_budget, bytes))
        return false;
    if (pipeline)
        atomic_fetch_add_explicit(&pipeline->kept, bytes, memory_order_relaxed);
    return true;
}

void weir_state_give(struct weir_env *env, size_t bytes)
{
    struct pipeline *pipeline = env->node->pipeline;
    if (!pipeline)
        return;
    memory_budget_give(&pipeline->state_budget, bytes);
    atomic_fetch_sub_explicit(&pipeline->kept, bytes, memory_order_relaxed);
}

void *weir_scratch(struct weir_env *env, uint32_t which, size_t bytes)
{
    struct lane_scratch *scratch = &env->node->lane->scratches[which];
    if (bytes <= scratch->size && scratch->data)
        return scratch->data;
    memory_free(scratch->data);
    scratch->size = bytes > 2 * scratch->size ? bytes : 2 * scratch->size;
    scratch->data = memory_aligned(64, scratch->size ? scratch->size : 1);
    if (!scratch->data)
        scratch->size = 0; /* not twice as much the next time */
    return scratch->data;
}

/* The refused rows stand behind the `kept` others, in descending order. */
static void refuse_keys(struct weir_env *env, struct weir_batch *in, uint32_t *rows, uint32_t count)
{
    struct weir_engine_node *node = env->node;
    char detail[WEIR_ERROR_MAX];
    for (uint32_t i = 0; i < count / 2; i++) {
        uint32_t row = rows[i];
        rows[i] = rows[count - 1 - i];
        rows[count - 1 - i] = row;
    }
    snprintf(detail, sizeof detail,
             "over the limit on distinct keys: %llu fill what `memory: %lluMiB` leaves for their state; records of "
             "more are refused; give the run more with run: {memory: ...}",
             (unsigned long long)keyed_count(node->keyed), (unsigned long long)node->pipeline->plan->memory >> 20);
    refuse(env, in, rows, count, "too many keys", detail);
    weir_notice(env, "too many keys", "%s", detail);
}

int weir_key_states(struct weir_env *env, struct weir_batch **batch, void **states)
{
    struct weir_engine_node *node = env->node;
    uint32_t missing = keyed_lookup(node->keyed, *batch, node->key_columns[env->input], states);
    if (!missing)
        return 0;
    uint32_t count = (*batch)->count, kept = 0, refused = 0;
    uint32_t *rows = pool_take(env->pool, count * sizeof *rows);
    if (!rows)
        return -ENOMEM;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t row = weir_batch_row(*batch, i);
        if (states[i]) {
            states[kept] = states[i];
            rows[kept++] = row;
        } else {
            rows[count - ++refused] = row;
        }
    }
    struct weir_batch *rest = subset(env, *batch, rows, kept);
    if (rest) {
        refuse_keys(env, *batch, rows + kept, refused);
        weir_batch_release(node->replaced); /* of an earlier call: `rest` keeps it alive */
        node->replaced = *batch = rest;
    }
    pool_give(rows);
    return rest ? 0 : -ENOMEM;
}
