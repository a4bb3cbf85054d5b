/* SPDX-License-Identifier: MIT */
/*
 * From a plan to edges and fan-outs.
 *
 * An edge needs to know in how many parts a turn of each source comes to it: one through every input that leads to it
 * from a source edge (one lane has the turn), one for each target lane through every exchange on the way.
 */
#include "flow/graph_build.h"

#include "base/memory.h"

#include <errno.h>
#include <string.h>

/* ---- What leads where ------------------------------------------------------------------------------------------- */

/* reach[node] for all nodes that data from `start` comes to without passing an exchange. */
static void mark_reach(const struct build *build, uint32_t start, bool *reach)
{
    reach[start] = true;
    for (uint32_t to = start + 1; to < build->count; to++) {
        const struct plan_node *node = plan_node(build->pipeline, to);
        for (uint32_t i = 0; i < node->from_count; i++)
            if (reach[node->from[i]] && !is_cut(build, node->from[i], to))
                reach[to] = true;
    }
}

enum { SHARED_LANES_MOST = 4 }; /* of a cache line of eight values two are a lane's own, then */

/* An input of lanes, before there are lanes: a source, or an exchange. */
struct entrance {
    uint32_t source; /* or UINT32_MAX */
    struct exchange *exchange;
    bool *reach;     /* plan nodes behind it */
    uint32_t *parts; /* for each source, in how many parts a turn comes in here over all lanes */
};

/* Rows of a batch may go to lanes as selections of it, when lanes are few and nobody behind works on all rows. */
static bool may_share(const struct build *build, const struct entrance *entrance)
{
    for (uint32_t i = 0; i < build->count; i++)
        if (entrance->reach[i] && is_stage(build->pipeline, i) &&
            stage_ops(plan_node(build->pipeline, i)->part)->every_row)
            return false;
    return entrance->exchange->targets <= SHARED_LANES_MOST;
}

/* Which plan node feeds the edge: an exchange's producer, or any `from` of a sink. */
static bool leads_to(const struct entrance *entrance, const uint32_t *feeders, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (entrance->reach[feeders[i]])
            return true;
    return false;
}

static int list_entrances(const struct build *build, struct entrance *entrances, uint32_t *ret_count)
{
    struct pipeline *pipeline = build->pipeline;
    uint32_t count = 0;
    for (uint32_t i = 0; i < pipeline->source_count + pipeline->exchange_count; i++) {
        struct entrance *entrance = &entrances[count++];
        *ret_count = count;
        entrance->reach = memory_zeroed(build->count, sizeof *entrance->reach);
        entrance->parts = memory_zeroed(pipeline->source_count, sizeof *entrance->parts);
        if (!entrance->reach || !entrance->parts)
            return -ENOMEM;
        if (i < pipeline->source_count) {
            entrance->source = i;
            mark_reach(build, i, entrance->reach);
            entrance->parts[i] = 1;
            continue;
        }
        entrance->source = UINT32_MAX;
        entrance->exchange = &pipeline->exchanges[i - pipeline->source_count];
        for (uint32_t j = 0; j < entrance->exchange->consumer_count; j++)
            mark_reach(build, entrance->exchange->consumers[j], entrance->reach);
        entrance->exchange->shares = may_share(build, entrance);
        /* Exchanges are listed in plan order of their consumers, so those before it are complete. */
        for (uint32_t j = 0; j < count - 1; j++) {
            if (!leads_to(&entrances[j], entrance->exchange->producers, entrance->exchange->producer_count))
                continue;
            for (uint32_t s = 0; s < pipeline->source_count; s++)
                if (entrances[j].parts[s])
                    entrance->parts[s] = entrance->exchange->targets;
            if (entrances[j].exchange && entrances[j].exchange->depth >= entrance->exchange->depth)
                entrance->exchange->depth = entrances[j].exchange->depth + 1;
        }
    }
    return 0;
}

/* ---- Edges ------------------------------------------------------------------------------------------------------ */

struct target { /* an edge that lanes write to */
    struct edge *edge;
    const uint32_t *feeders;
    uint32_t feeder_count;
    struct exchange *exchange; /* or */
    struct sink *sink;
    uint32_t lane; /* of an exchange */
};

static uint32_t edge_parts(const struct pipeline *pipeline, const struct entrance *entrances, uint32_t entrance_count,
                           const struct target *target, uint32_t *parts)
{
    uint32_t most = 0;
    for (uint32_t s = 0; s < pipeline->source_count; s++) {
        parts[s] = 0;
        for (uint32_t i = 0; i < entrance_count; i++)
            if (leads_to(&entrances[i], target->feeders, target->feeder_count))
                parts[s] += entrances[i].parts[s];
        if (parts[s] > most)
            most = parts[s];
    }
    return most;
}

/* Behind an asynchronous stage: a turn of each source comes from its machine, whole, and any lane may take it. */
static void make_async_edges(struct pipeline *pipeline, struct target *target, uint32_t *parts)
{
    struct async_stage *stage = target->exchange->async;
    for (uint32_t s = 0; s < pipeline->source_count; s++)
        parts[s] = parts[s] > 0;
    const struct edge_options options = {.from = stage->node.plan->name,
                                         .to = "lanes",
                                         .limit = pipeline->queue_bytes,
                                         .policy = PLAN_BLOCK,
                                         .sources = pipeline->source_count,
                                         .parts = parts,
                                         .ordered = true};
    stage->in = target->edge;
    stage->out = edge_new(&options);
    if (!stage->out || edge_add_consumer(stage->in, &stage->machine.waiter) < 0 ||
        edge_add_producer(stage->out, &stage->machine.waiter) < 0) {
        edge_free(target->edge);
        target->edge = stage->in = NULL;
    }
}

static int make_edge(const struct build *build, const struct entrance *entrances, uint32_t entrance_count,
                     struct target *target)
{
    struct pipeline *pipeline = build->pipeline;
    uint32_t *parts = memory_zeroed(pipeline->source_count, sizeof *parts);
    if (!parts)
        return -ENOMEM;
    edge_parts(pipeline, entrances, entrance_count, target, parts);
    const struct plan_node *from = plan_node(pipeline, target->feeders[0]);
    struct edge_options options = {.from = from->name,
                                   .limit = pipeline->queue_bytes,
                                   .policy = PLAN_BLOCK,
                                   .sources = pipeline->source_count,
                                   .parts = parts,
                                   .ordered = true};
    if (target->sink) {
        const struct plan_node *plan = target->sink->node.plan;
        options.to = plan->name;
        options.last = true;
        options.merge = graph_joins_ways(build, plan);
        options.policy = plan->when_full;
        if (plan->queue_bytes)
            options.limit = (size_t)plan->queue_bytes;
        if (target->sink->ops->encode) {
            options.complete = sink_encode;
            options.owner = target->sink;
        }
    } else {
        options.to = plan_node(pipeline, target->exchange->consumers[0])->name;
        options.merge = target->exchange->joins;
    }
    target->edge = edge_new(&options);
    if (target->edge && target->exchange && target->exchange->async)
        make_async_edges(pipeline, target, parts);
    memory_free(parts);
    if (!target->edge)
        return -ENOMEM;
    if (target->sink)
        target->sink->edge = target->edge;
    else
        target->exchange->edges[target->lane] = target->edge;
    return 0;
}

static int list_targets(struct pipeline *pipeline, struct target *targets, uint32_t *ret_count)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < pipeline->exchange_count; i++) {
        struct exchange *exchange = &pipeline->exchanges[i];
        exchange->edges = memory_zeroed(exchange->targets, sizeof(struct edge *));
        if (!exchange->edges)
            return -ENOMEM;
        for (uint32_t lane = 0; lane < exchange->targets; lane++)
            targets[count++] = (struct target){.feeders = exchange->producers,
                                               .feeder_count = exchange->producer_count,
                                               .exchange = exchange,
                                               .lane = lane};
    }
    for (uint32_t i = 0; i < pipeline->sink_count; i++) {
        struct sink *sink = &pipeline->sinks[i];
        if (!sink->ops->write)
            continue;
        targets[count++] = (struct target){
            .feeders = sink->node.plan->from, .feeder_count = sink->node.plan->from_count, .sink = sink};
    }
    *ret_count = count;
    return 0;
}

/* ---- Lanes ----------------------------------------------------------------------------------------------------- */

static uint32_t output_of(const struct target *targets, uint32_t count, const void *exchange, const void *sink)
{
    for (uint32_t i = 0; i < count; i++)
        if (exchange ? targets[i].exchange == exchange : targets[i].sink == sink)
            return i;
    return UINT32_MAX;
}

static bool reads_from(const struct plan_node *node, uint32_t from)
{
    for (uint32_t i = 0; i < node->from_count; i++)
        if (node->from[i] == from)
            return true;
    return false;
}

static uint32_t count_readers(const struct pipeline *pipeline, uint32_t from)
{
    uint32_t readers = 0;
    for (uint32_t to = from + 1; to < pipeline->plan->count; to++)
        for (uint32_t i = 0; i < plan_node(pipeline, to)->from_count; i++)
            readers += plan_node(pipeline, to)->from[i] == from;
    return readers;
}

static int allocate_fanout(struct pipeline *pipeline, uint32_t readers, struct fanout *fanout)
{
    fanout->children = memory_zeroed(readers + 1, sizeof *fanout->children);
    fanout->sides = memory_zeroed(readers + 1, sizeof(struct weir_engine_node *));
    fanout->exchanges = memory_zeroed(pipeline->exchange_count + 1, sizeof *fanout->exchanges);
    fanout->sink_outputs = memory_zeroed(pipeline->sink_count + 1, sizeof *fanout->sink_outputs);
    fanout->null_sinks = memory_zeroed(pipeline->sink_count + 1, sizeof(struct sink *));
    return fanout->children && fanout->sides && fanout->exchanges && fanout->sink_outputs && fanout->null_sinks
               ? 0
               : -ENOMEM;
}

static void free_fanout(struct fanout *fanout)
{
    memory_free(fanout->children);
    memory_free(fanout->sides);
    memory_free(fanout->exchanges);
    memory_free(fanout->sink_outputs);
    memory_free(fanout->null_sinks);
}

static bool produces(const struct exchange *exchange, uint32_t node)
{
    for (uint32_t i = 0; i < exchange->producer_count; i++)
        if (exchange->producers[i] == node)
            return true;
    return false;
}

/* All that reads from plan node `from`, as seen on a lane. */
static int build_fanout(const struct build *build, struct lane *lane, uint32_t from, const struct target *targets,
                        uint32_t target_count, struct fanout *fanout)
{
    struct pipeline *pipeline = build->pipeline;
    int error = allocate_fanout(pipeline, count_readers(pipeline, from), fanout);
    if (error < 0)
        return error;
    fanout->from = from;
    for (uint32_t to = from + 1; to < build->count; to++) {
        const struct plan_node *node = plan_node(pipeline, to);
        if (!is_stage(pipeline, to) || is_cut(build, from, to))
            continue;
        for (uint32_t i = 0; i < node->from_count; i++)
            if (node->from[i] == from && node->side)
                fanout->sides[fanout->side_count++] = lane->nodes[to];
            else if (node->from[i] == from)
                fanout->children[fanout->child_count++] = (struct child){lane->nodes[to], input_of(node, i)};
    }
    for (uint32_t i = 0; i < pipeline->exchange_count; i++) {
        if (!produces(&pipeline->exchanges[i], from))
            continue;
        fanout->exchanges[fanout->exchange_count++] = (struct exchange_port){
            &pipeline->exchanges[i], output_of(targets, target_count, &pipeline->exchanges[i], NULL)};
    }
    for (uint32_t i = 0; i < pipeline->sink_count; i++) {
        struct sink *sink = &pipeline->sinks[i];
        if (!reads_from(sink->node.plan, from))
            continue;
        if (sink->ops->write)
            fanout->sink_outputs[fanout->sink_count++] = output_of(targets, target_count, NULL, sink);
        else
            fanout->null_sinks[fanout->null_sink_count++] = sink;
    }
    return 0;
}

/* Part numbers: entrances in order, and within an exchange entrance the lane's number. */
static uint32_t part_of(const struct entrance *entrances, uint32_t index, const struct target *target, uint32_t source,
                        uint32_t lane)
{
    uint32_t part = 0;
    for (uint32_t i = 0; i < index; i++)
        if (leads_to(&entrances[i], target->feeders, target->feeder_count))
            part += entrances[i].parts[source];
    return entrances[index].exchange && entrances[index].exchange->targets > 1 ? part + lane : part;
}

static int build_input(const struct build *build, struct lane *lane, const struct entrance *entrances, uint32_t index,
                       const struct target *targets, uint32_t target_count)
{
    struct pipeline *pipeline = build->pipeline;
    const struct entrance *entrance = &entrances[index];
    struct input *input = &lane->inputs[lane->input_count];
    input->index = lane->input_count++;
    input->source = entrance->source;
    input->exchange = entrance->exchange;
    atomic_store(&input->halved_ticket, UINT64_MAX);
    atomic_store(&input->stuck_ticket, UINT64_MAX);
    int error;
    if (entrance->exchange && entrance->exchange->async) {
        struct async_stage *stage = entrance->exchange->async;
        input->edge = stage->out;
        error = build_fanout(build, lane, stage->node.index, targets, target_count, &input->fanout);
    } else if (entrance->exchange) {
        input->edge = entrance->exchange->edges[lane->index];
        error = allocate_fanout(pipeline, entrance->exchange->consumer_count, &input->fanout);
        for (uint32_t i = 0; error >= 0 && i < entrance->exchange->consumer_count; i++)
            input->fanout.children[input->fanout.child_count++] = (struct child){
                lane->nodes[entrance->exchange->consumers[i]], entrance->exchange->consumer_inputs[i]};
    } else {
        input->edge = pipeline->sources[entrance->source].edge;
        error = build_fanout(build, lane, entrance->source, targets, target_count, &input->fanout);
    }
    if (error < 0)
        return error;
    input->uses = memory_zeroed(target_count + 1, sizeof *input->uses);
    input->nodes = memory_zeroed(build->count + 1, sizeof(struct weir_engine_node *));
    if (!input->uses || !input->nodes)
        return -ENOMEM;
    for (uint32_t i = 0; i < build->count; i++)
        if (entrance->reach[i] && lane->nodes[i])
            input->nodes[input->node_count++] = lane->nodes[i];
    for (uint32_t i = 0; i < target_count; i++) {
        if (!leads_to(entrance, targets[i].feeders, targets[i].feeder_count))
            continue;
        struct output_use *use = &input->uses[input->use_count++];
        use->output = i;
        use->parts = memory_zeroed(pipeline->source_count, sizeof *use->parts);
        if (!use->parts)
            return -ENOMEM;
        for (uint32_t source = 0; source < pipeline->source_count; source++)
            use->parts[source] = part_of(entrances, index, &targets[i], source, lane->index);
        error = edge_add_producer(targets[i].edge, &lane->machine.waiter);
        if (error < 0)
            return -ENOMEM;
    }
    return edge_add_consumer(input->edge, &lane->machine.waiter) < 0 ? -ENOMEM : 0;
}

/* Event time starts as unknown for every source that comes to a stage by an input, and as no matter for the others. */
static int make_marks(const struct build *build, struct lane *lane, const struct entrance *entrances, uint32_t count)
{
    uint32_t sources = build->pipeline->source_count;
    for (uint32_t n = 0; n < build->count; n++) {
        struct weir_engine_node *node = lane->nodes[n];
        if (!node)
            continue;
        node->mark_count = count * sources;
        node->marks = memory_zeroed(node->mark_count, sizeof *node->marks);
        if (!node->marks)
            return -ENOMEM;
        for (uint32_t i = 0; i < node->mark_count; i++) {
            const struct entrance *entrance = &entrances[count - 1 - i / sources]; /* inputs are in reverse order */
            bool comes = entrance->reach[n] && entrance->parts[i % sources];
            node->marks[i] = comes ? INT64_MIN : INT64_MAX;
        }
        for (uint32_t s = 0; s < sources; s++)
            node->sources += build->comes_from[(size_t)n * sources + s];
    }
    return 0;
}

static int build_lane(const struct build *build, struct lane *lane, const struct entrance *entrances,
                      uint32_t entrance_count, const struct target *targets, uint32_t target_count)
{
    lane->inputs = memory_zeroed(entrance_count, sizeof *lane->inputs);
    lane->outputs = memory_zeroed(target_count + 1, sizeof *lane->outputs);
    if (!lane->inputs || !lane->outputs)
        return -ENOMEM;
    for (uint32_t i = 0; i < target_count; i++)
        lane->outputs[lane->output_count++] = (struct output){
            .edge = targets[i].edge, .sink = targets[i].sink ? targets[i].sink->node.index : UINT32_MAX};
    for (uint32_t i = 0; i < build->count; i++) {
        if (!lane->nodes[i])
            continue;
        int error = build_fanout(build, lane, i, targets, target_count, &lane->nodes[i]->fanout);
        if (error < 0)
            return error;
    }
    int error = make_marks(build, lane, entrances, entrance_count);
    if (error < 0)
        return error;
    for (uint32_t i = entrance_count; i-- > 0;) { /* exchanges come last in the list, and are nearest the sinks */
        error = build_input(build, lane, entrances, i, targets, target_count);
        if (error < 0)
            return error;
    }
    return 0;
}

bool graph_branches(const struct pipeline *pipeline)
{
    for (uint32_t from = 0; from < pipeline->plan->count; from++) {
        uint32_t readers = 0;
        for (uint32_t to = 0; to < pipeline->plan->count; to++)
            readers += reads_from(plan_node(pipeline, to), from) && !plan_node(pipeline, to)->side;
        if (readers > 1)
            return true;
    }
    return false;
}

static int make_source_edges(struct pipeline *pipeline)
{
    uint32_t *parts = memory_zeroed(pipeline->source_count, sizeof *parts);
    if (!parts)
        return -ENOMEM;
    int error = 0;
    for (uint32_t i = 0; i < pipeline->source_count && !error; i++) {
        struct source *source = &pipeline->sources[i];
        const struct plan_node *plan = source->node.plan;
        memset(parts, 0, pipeline->source_count * sizeof *parts);
        parts[i] = 1;
        struct edge_options options = {.from = plan->name,
                                       .to = "lanes",
                                       .limit = plan->queue_bytes ? (size_t)plan->queue_bytes : pipeline->queue_bytes,
                                       .policy = plan->when_full,
                                       .sources = pipeline->source_count,
                                       .parts = parts,
                                       .ordered = true};
        source->edge = edge_new(&options);
        if (!source->edge || edge_add_producer(source->edge, &source->machine.waiter) < 0)
            error = -ENOMEM;
    }
    memory_free(parts);
    return error;
}

static int build_all(struct build *build, struct entrance *entrances, struct target *targets)
{
    struct pipeline *pipeline = build->pipeline;
    uint32_t entrance_count = 0, target_count = 0;
    int error = list_entrances(build, entrances, &entrance_count);
    if (error >= 0)
        error = list_targets(pipeline, targets, &target_count);
    if (error >= 0)
        error = make_source_edges(pipeline);
    for (uint32_t i = 0; error >= 0 && i < target_count; i++)
        error = make_edge(build, entrances, entrance_count, &targets[i]);
    for (uint32_t i = 0; error >= 0 && i < pipeline->lane_count; i++)
        error = build_lane(build, &pipeline->lanes[i], entrances, entrance_count, targets, target_count);
    for (uint32_t i = 0; error >= 0 && i < pipeline->sink_count; i++) {
        struct sink *sink = &pipeline->sinks[i];
        if (sink->edge && edge_add_consumer(sink->edge, &sink->machine.waiter) < 0)
            error = -ENOMEM;
    }
    for (uint32_t i = 0; i < entrance_count; i++) {
        memory_free(entrances[i].reach);
        memory_free(entrances[i].parts);
    }
    return error;
}

/* If all sources declare the same key, "the key of the source" has that name. */
static const char *find_common_key(const struct pipeline *pipeline)
{
    const char *key = plan_node(pipeline, 0)->key;
    for (uint32_t i = 1; key && i < pipeline->source_count; i++) {
        const char *other = plan_node(pipeline, i)->key;
        if (!other || strcmp(key, other) != 0)
            key = NULL;
    }
    return key;
}

int graph_build(struct pipeline *pipeline)
{
    struct build build = {.pipeline = pipeline, .count = pipeline->plan->count};
    struct entrance *entrances = NULL;
    struct target *targets = NULL;
    pipeline->common_key = find_common_key(pipeline);
    build.partitions = memory_zeroed(build.count, sizeof *build.partitions);
    build.cut = memory_zeroed((size_t)build.count * build.count, sizeof *build.cut);
    build.comes_from = memory_zeroed((size_t)build.count * pipeline->source_count, sizeof *build.comes_from);
    build.mixed = memory_zeroed(build.count, sizeof *build.mixed);
    int error = build.partitions && build.cut && build.comes_from && build.mixed ? graph_cut(&build) : -ENOMEM;
    if (error >= 0) {
        entrances = memory_zeroed(pipeline->source_count + pipeline->exchange_count, sizeof *entrances);
        targets = memory_zeroed(pipeline->exchange_count * pipeline->lane_count + pipeline->sink_count + 1,
                                sizeof *targets);
        error = entrances && targets ? build_all(&build, entrances, targets) : -ENOMEM;
    }
    memory_free(entrances);
    memory_free(targets);
    memory_free(build.partitions);
    memory_free(build.cut);
    memory_free(build.comes_from);
    memory_free(build.mixed);
    return error;
}

void graph_destroy(struct pipeline *pipeline)
{
    for (uint32_t i = 0; i < pipeline->source_count && pipeline->sources; i++)
        edge_free(pipeline->sources[i].edge);
    for (uint32_t i = 0; i < pipeline->sink_count && pipeline->sinks; i++)
        edge_free(pipeline->sinks[i].edge);
    for (uint32_t i = 0; i < pipeline->async_count && pipeline->async_stages; i++)
        edge_free(pipeline->async_stages[i].out);
    for (uint32_t i = 0; i < pipeline->exchange_count; i++) {
        struct exchange *exchange = &pipeline->exchanges[i];
        for (uint32_t lane = 0; exchange->edges && lane < exchange->targets; lane++)
            edge_free(exchange->edges[lane]);
        memory_free(exchange->edges);
        memory_free(exchange->consumers);
        memory_free(exchange->consumer_inputs);
        memory_free(exchange->producers);
    }
    memory_free(pipeline->exchanges);
    for (uint32_t i = 0; i < pipeline->lane_count && pipeline->lanes; i++) {
        struct lane *lane = &pipeline->lanes[i];
        for (uint32_t j = 0; j < lane->output_count; j++)
            turn_free(lane->outputs[j].pending);
        for (uint32_t j = 0; j < lane->input_count; j++) {
            struct input *input = &lane->inputs[j];
            free_fanout(&input->fanout);
            for (uint32_t k = 0; k < input->use_count; k++)
                memory_free(input->uses[k].parts);
            memory_free(input->uses);
            memory_free(input->nodes);
        }
        for (uint32_t j = 0; lane->nodes && j < pipeline->plan->count; j++)
            if (lane->nodes[j]) {
                free_fanout(&lane->nodes[j]->fanout);
                memory_free(lane->nodes[j]->marks);
            }
        memory_free(lane->inputs);
        memory_free(lane->outputs);
    }
}
