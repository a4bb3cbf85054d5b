/* SPDX-License-Identifier: MIT */
/* Private to graph.c and graph_cut.c: a graph while it is made of a plan. */
#ifndef FLOW_GRAPH_BUILD_H
#define FLOW_GRAPH_BUILD_H
#include "flow/engine.h"

enum partition_kind { PARTITION_NONE, PARTITION_KEY, PARTITION_MIXED };
struct partition {
    enum partition_kind kind;
    const char *key;
};

struct build {
    struct pipeline *pipeline;
    struct partition *partitions;
    bool *cut;        /* count × count: [from * count + to]: an exchange lies between */
    bool *mixed;      /* of a node: what it emits is not in the order of its source, as ways meet before it */
    bool *comes_from; /* count × sources: records of the source come to the node */
    uint32_t count;
};

static inline const struct plan_node *plan_node(const struct pipeline *pipeline, uint32_t index)
{
    return &pipeline->plan->nodes[index];
}

static inline bool is_stage(const struct pipeline *pipeline, uint32_t index)
{
    return plan_node(pipeline, index)->part->kind == WEIR_STAGE;
}

static inline bool is_cut(const struct build *build, uint32_t from, uint32_t to)
{
    return build->cut[from * build->count + to];
}

/* Which of a node's inputs its i-th `from` is. */
static inline uint32_t input_of(const struct plan_node *node, uint32_t i)
{
    return node->part->kind == WEIR_STAGE && stage_ops(node->part)->inputs ? i : 0;
}

/* Do records of one source come to the node by more than one way, or out of order? Then they are put in order. */
bool graph_joins_ways(const struct build *build, const struct plan_node *node);

/* Decides how each node is spread over lanes, where exchanges go, and which sources' records come where. -ENOMEM. */
int graph_cut(struct build *build);

#endif
