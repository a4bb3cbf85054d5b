/* SPDX-License-Identifier: MIT */
/*
 * Where a graph is cut: each plan node is given a partition, which is how records of a key are spread when they come to
 * it. Sources: not at all (any lane may have them). A keyed stage: by its key. Other stages: as what they read from, if
 * that agrees. Where a stage's own partition differs from that of what it reads, an exchange goes in between; with one
 * lane none is needed.
 */
#include "flow/graph_build.h"

#include "base/memory.h"

#include <errno.h>
#include <string.h>

static bool same_partition(struct partition a, struct partition b)
{
    return a.kind == b.kind && a.kind != PARTITION_MIXED && (a.kind != PARTITION_KEY || strcmp(a.key, b.key) == 0);
}

static const char *stage_key(struct pipeline *pipeline, uint32_t index)
{
    const struct weir_stage *stage = stage_ops(plan_node(pipeline, index)->part);
    const char *key = stage->key ? stage->key(plan_node(pipeline, index)->options) : WEIR_UNKEYED;
    if (!key && stage->on_watermark) /* behind an exchange each lane is told of times, and of the end */
        key = WEIR_KEY_OF_SOURCE;
    return key && !*key && pipeline->common_key ? pipeline->common_key : key;
}

/* A derive that gives a column a new meaning ends the partition by that column. */
static bool redefines(const struct plan_node *node, const char *key)
{
    for (const struct weir_option *option = node->part->options; option && option->type != WEIR_OPTION_END; option++) {
        if (option->type != WEIR_OPTION_MAP || !node->options)
            continue;
        const struct weir_list *list = (const void *)((const char *)node->options + option->offset);
        for (size_t i = 0; i < list->count; i++) {
            if (list->items[i].name.text && strcmp(list->items[i].name.text, key) == 0)
                return true;
            if (list->items[i].value.text && strcmp(list->items[i].value.text, key) == 0)
                return true;
        }
    }
    return false;
}

static struct partition own_partition(struct pipeline *pipeline, uint32_t index, const struct partition *partitions)
{
    const struct plan_node *node = plan_node(pipeline, index);
    if (node->part->kind == WEIR_SOURCE || node_is_async(node)) /* what comes from there goes to any lane */
        return (struct partition){PARTITION_NONE, NULL};
    if (node->part->kind == WEIR_STAGE) {
        const char *key = stage_key(pipeline, index);
        if (key)
            return (struct partition){PARTITION_KEY, key};
    }
    struct partition common = partitions[node->from[0]];
    for (uint32_t i = 1; i < node->from_count; i++)
        if (!same_partition(common, partitions[node->from[i]]))
            common.kind = PARTITION_MIXED;
    if (common.kind == PARTITION_KEY && node->part->kind == WEIR_STAGE && redefines(node, common.key))
        common.kind = PARTITION_MIXED;
    return common;
}

static struct exchange *find_exchange(struct pipeline *pipeline, uint32_t producer, const char *key)
{
    for (uint32_t i = 0; i < pipeline->exchange_count; i++)
        if (!pipeline->exchanges[i].joins && !pipeline->exchanges[i].async &&
            pipeline->exchanges[i].producers[0] == producer && strcmp(pipeline->exchanges[i].key, key) == 0)
            return &pipeline->exchanges[i];
    return NULL;
}

static struct exchange *add_exchange(const struct build *build, const char *key)
{
    struct exchange *exchange = &build->pipeline->exchanges[build->pipeline->exchange_count++];
    exchange->key = key;
    exchange->targets = build->pipeline->lane_count;
    exchange->consumers = memory_zeroed(build->count, sizeof *exchange->consumers);
    exchange->consumer_inputs = memory_zeroed(build->count, sizeof *exchange->consumer_inputs);
    exchange->producers = memory_zeroed(build->count, sizeof *exchange->producers);
    return exchange->consumers && exchange->consumer_inputs && exchange->producers ? exchange : NULL;
}

/* Ancestors: which sources' records come to a node. */
static void note_sources(const struct build *build, uint32_t to)
{
    const struct plan_node *node = plan_node(build->pipeline, to);
    uint32_t sources = build->pipeline->source_count;
    bool *mine = build->comes_from + (size_t)to * sources;
    if (node->part->kind == WEIR_SOURCE)
        mine[to] = true;
    for (uint32_t i = 0; i < node->from_count; i++)
        for (uint32_t s = 0; s < sources; s++)
            mine[s] |= build->comes_from[(size_t)node->from[i] * sources + s];
}

/* In a stage that tells them apart, and where records or windows wait for event time, which is that of the slowest. */
static void note_meeting(const struct build *build, uint32_t to)
{
    const struct plan_node *node = plan_node(build->pipeline, to);
    const uint32_t sources = build->pipeline->source_count;
    const bool *mine = build->comes_from + (size_t)to * sources;
    uint32_t count = 0;
    for (uint32_t s = 0; s < sources; s++)
        count += mine[s];
    if (node->part->kind != WEIR_STAGE ||
        !(stage_ops(node->part)->inputs || (stage_ops(node->part)->on_watermark && count > 1)))
        return;
    for (uint32_t s = 0; s < sources; s++)
        build->pipeline->sources[s].meets |= mine[s];
}

bool graph_joins_ways(const struct build *build, const struct plan_node *node)
{
    uint32_t sources = build->pipeline->source_count;
    if (node->part->kind == WEIR_STAGE && stage_ops(node->part)->inputs)
        return false; /* each is a stream of its own */
    for (uint32_t i = 0; i < node->from_count; i++)
        if (build->mixed[node->from[i]])
            return true;
    for (uint32_t s = 0; s < sources; s++) {
        uint32_t ways = 0;
        for (uint32_t i = 0; i < node->from_count; i++)
            ways += build->comes_from[(size_t)node->from[i] * sources + s];
        if (ways > 1)
            return true;
    }
    return false;
}

/* All ways to the stage end in one exchange. */
static struct exchange *cut_before(struct build *build, uint32_t to, const char *key)
{
    const struct plan_node *node = plan_node(build->pipeline, to);
    struct exchange *exchange = add_exchange(build, key);
    if (!exchange)
        return NULL;
    exchange->joins = graph_joins_ways(build, node);
    exchange->consumers[exchange->consumer_count++] = to;
    for (uint32_t i = 0; i < node->from_count; i++) {
        exchange->producers[exchange->producer_count++] = node->from[i];
        build->cut[node->from[i] * build->count + to] = true;
    }
    return exchange;
}

static int cut_async(struct build *build, uint32_t to)
{
    struct pipeline *pipeline = build->pipeline;
    struct exchange *exchange = cut_before(build, to, WEIR_KEY_OF_SOURCE);
    if (!exchange)
        return -ENOMEM;
    exchange->targets = 1;
    for (uint32_t i = 0; i < pipeline->async_count; i++)
        if (pipeline->async_stages[i].node.index == to)
            exchange->async = &pipeline->async_stages[i];
    return 0;
}

static int cut_plain(struct build *build, uint32_t to)
{
    struct pipeline *pipeline = build->pipeline;
    const struct plan_node *node = plan_node(pipeline, to);
    for (uint32_t i = 0; i < node->from_count; i++) {
        uint32_t from = node->from[i];
        if (pipeline->lane_count == 1 && !build->mixed[from])
            continue;
        if (same_partition(build->partitions[from], build->partitions[to]) && !build->mixed[from])
            continue;
        const char *key = stage_key(pipeline, to);
        struct exchange *exchange = build->mixed[from] ? NULL : find_exchange(pipeline, from, key);
        build->cut[from * build->count + to] = true;
        if (!exchange) {
            exchange = add_exchange(build, key);
            if (!exchange)
                return -ENOMEM;
            exchange->producers[exchange->producer_count++] = from;
            exchange->joins = build->mixed[from];
        }
        exchange->consumer_inputs[exchange->consumer_count] = input_of(node, i);
        exchange->consumers[exchange->consumer_count++] = to;
    }
    return 0;
}

int graph_cut(struct build *build)
{
    struct pipeline *pipeline = build->pipeline;
    uint32_t most = 1; /* one for each way into a node, and all ways into one may share one */
    int error = 0;
    for (uint32_t i = 0; i < build->count; i++)
        most += plan_node(pipeline, i)->from_count;
    pipeline->exchanges = memory_zeroed(most, sizeof *pipeline->exchanges);
    if (!pipeline->exchanges)
        return -ENOMEM;
    for (uint32_t to = 0; to < build->count && !error; to++) {
        const struct plan_node *node = plan_node(pipeline, to);
        build->partitions[to] = own_partition(pipeline, to, build->partitions);
        note_sources(build, to);
        note_meeting(build, to);
        bool joins = graph_joins_ways(build, node);
        if (node_is_async(node))
            error = cut_async(build, to);
        else if (node->part->kind != WEIR_STAGE)
            continue;
        else if (!stage_key(pipeline, to))
            build->mixed[to] = joins; /* which does not matter here, but to who comes behind */
        else if (joins)
            error = cut_before(build, to, stage_key(pipeline, to)) ? 0 : -ENOMEM;
        else
            error = cut_plain(build, to);
    }
    return error;
}
