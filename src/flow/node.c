/* SPDX-License-Identifier: MIT */
/* Stages at work: binding to schemas, receiving batches, passing on what they emit. All on the lane's thread. */
#include "flow/engine.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"

#include <errno.h>
#include <string.h>

int node_open(struct weir_engine_node *node, struct machine *machine)
{
    const struct weir_part *part = node->plan->part;
    node->self = memory_zeroed(1, part->size ? part->size : 1);
    if (!node->self)
        return weir_fail(node->error, -ENOMEM, "%s: out of memory", node->plan->name);
    if (node->plan->options && part->size)
        memcpy(node->self, node->plan->options, part->size);
    node->watermark = INT64_MIN;
    node->told = true;
    for (uint32_t i = 0; i < WEIR_INPUTS_MAX; i++)
        node->key_columns[i] = -1;
    node->out.node = node;
    node->env = (struct weir_env){.name = node->plan->name,
                                  .lane = node->lane ? node->lane->index : 0,
                                  .lanes = node->pipeline->lane_count,
                                  .seed = node->pipeline->random,
                                  .sequential = node->pipeline->options.sequential,
                                  .watermark_delay = node->pipeline->watermark_delay,
                                  .sources = node->sources,
                                  .source_watermark = INT64_MIN,
                                  .pool = machine->pool,
                                  .symbols = node->pipeline->symbols,
                                  .context = &machine->context,
                                  .error = node->error,
                                  .mark = node->plan->mark,
                                  .node = node};
    node->opened = true;
    if (!part->open)
        return 0;
    int error = part->open(node->self, &node->env);
    if (error < 0)
        weir_fail(node->error, error, "%s: %s", node->plan->name, strerror(-error));
    if (error < 0 && !node->error->mark.file) /* what stands in the way is outside, what names it is in the file */
        node->error->mark = node->plan->mark;
    return error < 0 ? error : 0;
}

static void free_waiting(struct weir_engine_node *node)
{
    struct waiting *first = node->waiting;
    node->waiting = first->next;
    weir_batch_release(first->batch);
    weir_batch_release(first->replaced);
    memory_free(first);
    node->lane->waiting--;
}

void node_close(struct weir_engine_node *node)
{
    while (node->waiting)
        free_waiting(node);
    if (node->opened && node->plan->part->close)
        node->plan->part->close(node->self, &node->env);
    node->opened = false;
    keyed_free(node->keyed);
    node->keyed = NULL;
    for (uint32_t i = 0; i < WEIR_INPUTS_MAX; i++) {
        weir_schema_release(node->in[i]);
        node->in[i] = NULL;
    }
    weir_schema_release(node->out_schema);
    node->out_schema = NULL;
    memory_free(node->self);
    node->self = NULL;
}

/* ---- Binding --------------------------------------------------------------------------------------------------- */

static int resolve_key(struct weir_engine_node *node, const struct weir_schema *schema, int32_t *ret_column)
{
    const struct weir_stage *stage = stage_ops(node->plan->part);
    const char *key = stage->key ? stage->key(node->self) : WEIR_UNKEYED;
    int32_t column = -1;
    if (key && !*key) {
        column = schema->key;
    } else if (key) {
        column = weir_schema_find(schema, key);
        if (column < 0)
            return plan_no_key(node->plan, schema, key, node->error);
    }
    if (column >= 0) {
        enum weir_type type = schema->fields[column].type;
        if (type == WEIR_ARRAY)
            return weir_fail_at(node->error, -EINVAL, node->plan->mark,
                                "%s: column \"%s\" is %s, which cannot be a key", node->plan->name,
                                schema->fields[column].name, weir_type_name(type));
    }
    *ret_column = column;
    return 0;
}

static int prepare_state(struct weir_engine_node *node)
{
    if (!node->key_defined)
        return 0;
    if (node->keyed && keyed_slot_size(node->keyed) >= node->key_options.size &&
        keyed_slot_size(node->keyed) < node->key_options.size + 8)
        return 0;
    const struct memory_budget *budget = &node->pipeline->state_budget;
    if (node->key_options.size > budget->limit)
        return weir_fail_at(
            node->error, -ENOMEM, node->plan->mark,
            "%s: what it keeps for a key takes %llu MiB, and `memory: %lluMiB` leaves %llu MiB for that; "
            "give the run more with run: {memory: ...}, or let the stage keep less",
            node->plan->name, (unsigned long long)(node->key_options.size >> 20),
            (unsigned long long)node->pipeline->plan->memory >> 20, (unsigned long long)budget->limit >> 20);
    keyed_free(node->keyed);
    const uint64_t share = budget->limit / node->pipeline->plan->count / node->pipeline->lane_count;
    node->keyed = keyed_new(&node->key_options, node->self, &node->pipeline->state_budget, share,
                            node->pipeline->symbols);
    return node->keyed ? 0 : weir_fail(node->error, -ENOMEM, "%s: out of memory for keys", node->plan->name);
}

int node_bind(struct weir_engine_node *node, uint32_t input, struct weir_schema *schema)
{
    struct weir_schema **in = &node->in[input], *out = NULL;
    if (*in == schema)
        return 0;
    if (*in && weir_schema_equal(*in, schema)) {
        weir_schema_release(*in);
        *in = weir_schema_reference(schema);
        return 0;
    }
    node->env.input = input;
    int error = resolve_key(node, schema, &node->key_columns[input]);
    if (error >= 0)
        error = stage_ops(node->plan->part)->bind(node->self, &node->env, schema, &out);
    if (error >= 0)
        error = prepare_state(node);
    if (error < 0) {
        weir_schema_release(out);
        return weir_fail(node->error, error, "%s: %s", node->plan->name, strerror(-error));
    }
    weir_schema_release(*in);
    weir_schema_release(node->out_schema);
    *in = weir_schema_reference(schema);
    node->out_schema = out;
    node->bound = true;
    return 0;
}

/* What comes behind learns its columns before, and even without, a record: a sink can make its empty table. */
static void tell_schema(struct weir_engine_node *node, struct weir_schema *in)
{
    if (node->out_schema)
        fanout_schema(node->lane, &node->fanout, node->out_schema);
    for (uint32_t i = 0; i < node->fanout.side_count; i++)
        node_schema(node->fanout.sides[i], 0, in);
}

void node_schema(struct weir_engine_node *node, uint32_t input, struct weir_schema *schema)
{
    if (node->waiting)
        return; /* batches of another are not done yet: the next ones bring it */
    if (node_bind(node, input, schema) < 0) {
        pipeline_fail(node->pipeline, node->error);
        return;
    }
    tell_schema(node, schema);
}

/* ---- Data ------------------------------------------------------------------------------------------------------ */

static void fail_node(struct weir_engine_node *node, int error, uint64_t records)
{
    const struct memory_budget *budget = &node->pipeline->batch_budget;
    if (error == -ENOMEM &&
        node->lane->refused_before != atomic_load_explicit(&budget->refusals, memory_order_relaxed)) {
        pipeline_fail_memory(node->pipeline, node->plan->name, records);
        return;
    }
    weir_fail(node->error, error, "%s: %s", node->plan->name, strerror(-error));
    pipeline_fail(node->pipeline, node->error);
}

/* A part's time is its own and what it called: the parts behind it run inside its weir_out_emit. */
struct stopwatch {
    int64_t start;
    uint64_t outer; /* of the part that called this one: time in its children before */
};

static struct stopwatch start_watch(struct weir_engine_node *node)
{
    struct lane *lane = node->lane;
    struct stopwatch watch = {.start = weir_now(&lane->machine.context), .outer = lane->child_ns};
    lane->child_ns = 0;
    return watch;
}

static void stop_watch(struct weir_engine_node *node, const struct stopwatch *watch)
{
    struct lane *lane = node->lane;
    uint64_t spent = (uint64_t)(weir_now(&lane->machine.context) - watch->start);
    count_up(&node->counters.busy_ns, spent - lane->child_ns);
    count_up(&node->counters.total_ns, spent);
    lane->child_ns = watch->outer + spent;
}

static int rebind(struct weir_engine_node *node, uint32_t input, struct weir_schema *schema)
{
    bool same = node->in[input] && weir_schema_equal(node->in[input], schema);
    int error = node_bind(node, input, schema);
    if (error == 0 && !same)
        tell_schema(node, schema);
    return error;
}

/* Gives the stage what is at hand. True: it has emitted a part of it, and is to be called again. */
static bool process(struct weir_engine_node *node, const struct waiting *work)
{
    struct weir_batch *batch = work->batch;
    if (!work->begun && pipeline_aborting(node->pipeline)) {
        receipt_settle_all(batch, OUTCOME_DROPPED);
        return false;
    }
    if (node->in[work->input] != batch->schema && rebind(node, work->input, batch->schema) < 0) {
        pipeline_fail(node->pipeline, node->error);
        receipt_settle_all(batch, OUTCOME_REFUSED);
        return false;
    }
    node->env.input = work->input;
    node->env.source_watermark = node->marks[work->mark];
    if (node->env.source_watermark == WATERMARK_IDLE) /* it has begun to speak again */
        node->env.source_watermark = INT64_MIN;
    node->replaced = work->replaced;
    struct stopwatch watch = start_watch(node);
    int more = stage_ops(node->plan->part)->process(node->self, &node->env, batch, &node->out);
    stop_watch(node, &watch);
    count_up(&node->counters.calls, 1);
    if (!work->begun)
        count_up(&node->counters.records_in, batch->count);
    if (node->keyed)
        atomic_store_explicit(&node->counters.keys, keyed_count(node->keyed), memory_order_relaxed);
    if (more < 0) { /* rows that weir_key_states took out are settled already; all, if it was not the first call */
        fail_node(node, more, batch->count);
        if (!work->begun)
            receipt_settle_all(node->replaced ? node->replaced : batch, OUTCOME_REFUSED);
    }
    return more > 0;
}

static void release_replaced(struct weir_engine_node *node)
{
    weir_batch_release(node->replaced);
    node->replaced = NULL;
}

/* False: no memory to let it wait. */
static bool let_wait(struct weir_engine_node *node, const struct waiting *work)
{
    struct waiting **link = &node->waiting, *waiting = memory_zeroed(1, sizeof *waiting);
    if (!waiting)
        return false;
    while (*link)
        link = &(*link)->next;
    *waiting = *work;
    waiting->batch = weir_batch_reference(work->batch);
    *link = waiting;
    node->lane->waiting++;
    return true;
}

bool node_waits(const struct weir_engine_node *node, uint32_t mark)
{
    return node->waiting && node->waiting->mark == mark;
}

void node_continue(struct weir_engine_node *node)
{
    struct waiting *first = node->waiting;
    bool more = process(node, first);
    first->begun = true;
    first->replaced = node->replaced;
    node->replaced = NULL;
    if (!more)
        free_waiting(node);
}

/* What came by another mark goes out before anything else of this one comes: as it must, though in the middle of a
 * turn. */
static void finish_waiting(struct weir_engine_node *node, uint32_t mark)
{
    while (node->waiting && node->waiting->mark != mark)
        node_continue(node);
}

void node_receive(struct weir_engine_node *node, uint32_t input, struct weir_batch *batch)
{
    struct waiting work = {.batch = batch, .input = input, .mark = node->lane->current_mark};
    if (!batch->count)
        return;
    finish_waiting(node, work.mark);
    if (node->waiting && let_wait(node, &work))
        return;
    while (node->waiting) /* no memory to wait in */
        node_continue(node);
    while (process(node, &work)) {
        work.begun = true;
        work.replaced = node->replaced;
        node->replaced = NULL;
        if (let_wait(node, &work))
            return;
    }
    release_replaced(node);
}

static void advance_mark(struct weir_engine_node *node, uint32_t mark, int64_t time_ns)
{
    bool idle = false;
    if (time_ns <= node->marks[mark] && node->marks[mark] != WATERMARK_IDLE)
        return;
    node->marks[mark] = time_ns;
    int64_t least = INT64_MAX;
    for (uint32_t i = 0; i < node->mark_count; i++) {
        if (node->marks[i] == WATERMARK_IDLE)
            idle = true;
        else if (node->marks[i] < least)
            least = node->marks[i];
    }
    bool known = least < INT64_MAX || !idle; /* when all that have not ended are idle, time stands still */
    if (known && least > node->watermark) {
        node->watermark = least;
        node->told = false;
        if (node->keyed)
            keyed_expire(node->keyed, least);
    }
}

/* `mark` says by which input and from which source the time comes; the stage's own time is the least of all. */
bool node_watermark(struct weir_engine_node *node, uint32_t mark, int64_t time_ns)
{
    const struct weir_stage *stage = stage_ops(node->plan->part);
    advance_mark(node, mark, time_ns);
    if (node->told)
        return false;
    finish_waiting(node, mark);
    node->told = true;
    if (!stage->on_watermark || !node->bound || pipeline_aborting(node->pipeline))
        return false;
    struct stopwatch watch = start_watch(node);
    int more = stage->on_watermark(node->self, &node->env, node->watermark, &node->out);
    stop_watch(node, &watch);
    if (more < 0)
        fail_node(node, more, 0);
    node->told = more <= 0;
    return more > 0;
}

void weir_out_emit(struct weir_out *out, struct weir_batch *batch)
{
    struct weir_engine_node *node = out->node;
    if (!batch)
        return;
    count_up(&node->counters.records_out, batch->count);
    if (batch->count)
        node->emitted_until = weir_batch_position(batch, weir_batch_row(batch, batch->count - 1));
    if (out->turn) {
        async_turn_emit(out->turn, batch);
        return;
    }
    if (batch->count)
        fanout_data(node->lane, &node->fanout, batch);
    weir_batch_release(batch);
}

bool weir_out_side(const struct weir_out *out)
{
    return out->node->fanout.side_count > 0;
}

void weir_out_emit_side(struct weir_out *out, struct weir_batch *batch)
{
    struct fanout *fanout = &out->node->fanout;
    for (uint32_t i = 0; batch && i < fanout->side_count; i++)
        node_receive(fanout->sides[i], 0, batch);
    weir_batch_release(batch);
}

/* ---- Fan-out --------------------------------------------------------------------------------------------------- */

void record_latency(struct histogram *histogram, const struct weir_batch *batch, int64_t now)
{
    if (!batch->produced_rows) {
        histogram_record(histogram, now - batch->produced, batch->count);
        return;
    }
    for (uint32_t i = 0; i < batch->count; i++)
        histogram_record(histogram, now - batch->produced_rows[weir_batch_row(batch, i)], 1);
}

int64_t observe_stored(struct pipeline *pipeline, uint32_t sink, uint32_t lane, const struct weir_batch *batch)
{
    int64_t start = pipeline_now(pipeline);
    pipeline->options.stored(pipeline->options.observer, sink, lane, batch, pipeline->symbols);
    return pipeline_now(pipeline) - start;
}

static void store_here(struct lane *lane, struct sink *sink, struct weir_batch *batch)
{
    struct node_counters *counters = &lane->ends[sink->node.index];
    int64_t start = weir_now(&lane->machine.context), observed = 0;
    if (lane->machine.pipeline->options.stored)
        observed = observe_stored(lane->machine.pipeline, sink->node.index, lane->index, batch);
    record_latency(&lane->latency, batch, weir_now(&lane->machine.context));
    receipt_settle_all(batch, OUTCOME_STORED);
    count_up(&lane->records_stored, batch->count);
    atomic_fetch_add_explicit(&sink->node.counters.records_in, batch->count, memory_order_relaxed);
    atomic_fetch_add_explicit(&sink->node.counters.calls, 1, memory_order_relaxed);
    int64_t spent = weir_now(&lane->machine.context) - start;
    count_up(&lane->observed_ns, (uint64_t)observed);
    count_up(&counters->calls, 1);
    count_up(&counters->records_in, batch->count);
    count_up(&counters->busy_ns, (uint64_t)(spent - observed));
    lane->child_ns += (uint64_t)spent;
}

void fanout_data(struct lane *lane, struct fanout *fanout, struct weir_batch *batch)
{
    for (uint32_t i = 0; i < fanout->child_count; i++)
        node_receive(fanout->children[i].node, fanout->children[i].input, batch);
    for (uint32_t i = 0; i < fanout->exchange_count; i++)
        lane_scatter(lane, &fanout->exchanges[i], fanout->from, batch);
    for (uint32_t i = 0; i < fanout->sink_count; i++)
        lane_append(lane, fanout->sink_outputs[i], fanout->from, batch, 0);
    for (uint32_t i = 0; i < fanout->null_sink_count; i++)
        store_here(lane, fanout->null_sinks[i], batch);
}

static void append_schema(struct lane *lane, uint32_t output, struct weir_schema *schema)
{
    struct message *message = turn_append(lane->outputs[output].pending, MESSAGE_SCHEMA);
    if (message)
        message->schema = weir_schema_reference(schema); /* else: the batches bring it */
}

void fanout_schema(struct lane *lane, struct fanout *fanout, struct weir_schema *schema)
{
    for (uint32_t i = 0; i < fanout->child_count; i++)
        node_schema(fanout->children[i].node, fanout->children[i].input, schema);
    for (uint32_t i = 0; i < fanout->exchange_count; i++)
        for (uint32_t target = 0; target < fanout->exchanges[i].exchange->targets; target++)
            append_schema(lane, fanout->exchanges[i].first_output + target, schema);
    for (uint32_t i = 0; i < fanout->sink_count; i++)
        append_schema(lane, fanout->sink_outputs[i], schema);
}
