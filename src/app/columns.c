/* SPDX-License-Identifier: MIT */
#include "app/columns.h"

#include <errno.h>
#include <string.h>

#include "app/sample.h"
#include "base/error.h"
#include "base/memory.h"
#include "data/pool.h"
#include "data/symbols.h"
#include "flow/engine.h"

/* A stage's instance outside of any engine: what weir_key_state_define writes to is there, the pipeline is not. */
struct bench {
    struct weir_engine_node node;
    struct weir_env env;
    struct weir_pool *pool;
    struct weir_symbols *symbols;
};

static const struct weir_stage *stage_of(const struct weir_part *part)
{
    return (const struct weir_stage *)part; /* the head is its first member */
}

static int check_key(const struct plan_node *node, const void *self, const struct weir_schema *in,
                     struct weir_error *error)
{
    const struct weir_stage *stage = stage_of(node->part);
    const char *key = stage->key ? stage->key(self) : WEIR_UNKEYED;
    return !key || !*key || weir_schema_find(in, key) >= 0 ? 0 : plan_no_key(node, in, key, error);
}

/* One instance, opened, bound to a schema for each of its inputs (NULL: not known), closed. *ret may become NULL. */
static int bind_stage(struct bench *bench, const struct plan_node *node, struct weir_schema *const *ins, uint32_t count,
                      struct weir_schema **ret, struct weir_error *error)
{
    const struct weir_stage *stage = stage_of(node->part);
    void *self = memory_zeroed(1, node->part->size + 1);
    struct weir_schema *out = NULL;
    int code = 0;
    if (!self)
        return weir_fail(error, -ENOMEM, "out of memory");
    memcpy(self, node->options, node->part->size);
    bench->node = (struct weir_engine_node){.plan = node, .self = self};
    bench->env = (struct weir_env){
        .name = node->name,
        .lanes = 1,
        .sources = 1,
        .pool = bench->pool,
        .symbols = bench->symbols,
        .error = error,
        .mark = node->mark,
        .node = &bench->node,
    };
    for (uint32_t i = 0; i < count && !code; i++)
        code = ins[i] ? check_key(node, self, ins[i], error) : 0;
    if (!code && node->part->open)
        code = node->part->open(self, &bench->env);
    for (uint32_t i = 0; i < count && !code; i++) {
        bench->env.input = i;
        weir_schema_release(out);
        out = NULL;
        code = ins[i] ? stage->bind(self, &bench->env, ins[i], &out) : 0;
    }
    if (code < 0) {
        weir_fail(error, code, "%s: %s", node->name, strerror(-code));
        weir_schema_release(out);
    } else {
        *ret = out;
    }
    if (node->part->close)
        node->part->close(self, &bench->env);
    memory_free(self);
    return code < 0 ? code : 0;
}

/* The one schema of all that a node reads, or NULL: not known, or not the same. */
static struct weir_schema *common_schema(const struct plan_node *node, struct weir_schema *const *schemas)
{
    struct weir_schema *common = node->from_count ? schemas[node->from[0]] : NULL;
    for (uint32_t i = 1; i < node->from_count && common; i++)
        if (!schemas[node->from[i]] || !weir_schema_equal(common, schemas[node->from[i]]))
            common = NULL;
    return common;
}

/* A stage that tells its inputs apart. */
static int check_inputs(struct bench *bench, const struct plan *plan, uint32_t index, struct weir_schema **schemas,
                        struct weir_error *error)
{
    const struct plan_node *node = &plan->nodes[index];
    struct weir_schema *ins[WEIR_INPUTS_MAX], *out = NULL;
    bool known = true;
    for (uint32_t i = 0; i < node->from_count; i++) {
        ins[i] = schemas[node->from[i]];
        known = known && ins[i];
    }
    int code = bind_stage(bench, node, ins, node->from_count, &out, error);
    if (code < 0)
        return code;
    if (known)
        schemas[index] = out;
    else
        weir_schema_release(out);
    return 0;
}

/* What a stage reads may come from several; each has to suit it. What it passes on is known when they all agree. */
static int check_stage(struct bench *bench, const struct plan *plan, uint32_t index, struct weir_schema **schemas,
                       struct weir_error *error)
{
    const struct plan_node *node = &plan->nodes[index];
    bool known = true;
    if (node->side) { /* records as they came to the stage that it is a side of */
        struct weir_schema *common = common_schema(&plan->nodes[node->from[0]], schemas);
        schemas[index] = common ? weir_schema_reference(common) : NULL;
        return 0;
    }
    if (stage_of(node->part)->inputs)
        return check_inputs(bench, plan, index, schemas, error);
    for (uint32_t i = 0; i < node->from_count; i++) {
        struct weir_schema *in = schemas[node->from[i]], *out = NULL;
        int code = in ? bind_stage(bench, node, &in, 1, &out, error) : 0;
        if (code < 0)
            return code;
        known = known && out && (i == 0 || weir_schema_equal(out, schemas[index]));
        if (i == 0)
            schemas[index] = out;
        else
            weir_schema_release(out);
    }
    if (!known) {
        weir_schema_release(schemas[index]);
        schemas[index] = NULL;
    }
    return 0;
}

int columns_check(const struct plan *plan, struct weir_schema **schemas, struct weir_error *error)
{
    struct bench bench = {.pool = pool_new(NULL, 0), .symbols = symbols_new(NULL, 0)};
    int code = bench.pool && bench.symbols ? 0 : weir_fail(error, -ENOMEM, "out of memory");
    memset(schemas, 0, plan->count * sizeof *schemas);
    for (uint32_t i = 0; i < plan->count && !code; i++) {
        if (plan->nodes[i].part->kind == WEIR_SOURCE)
            code = sample_schema(&plan->nodes[i], &schemas[i], error);
        else if (plan->nodes[i].part->kind == WEIR_STAGE)
            code = check_stage(&bench, plan, i, schemas, error);
        else if (plan->nodes[i].from_count == 1 && schemas[plan->nodes[i].from[0]])
            schemas[i] = weir_schema_reference(schemas[plan->nodes[i].from[0]]);
    }
    symbols_free(bench.symbols);
    if (bench.pool)
        pool_close(bench.pool);
    return code;
}

void columns_free(const struct plan *plan, struct weir_schema **schemas)
{
    for (uint32_t i = 0; i < plan->count; i++)
        weir_schema_release(schemas[i]);
}
