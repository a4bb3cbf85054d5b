/* SPDX-License-Identifier: MIT */
/*
 * An asynchronous stage at work. Its machine takes turns from the edge in front as they come and starts a task for each
 * that has data; the task calls the part for each batch, and what the call emits takes the batch's place in the turn. A
 * turn that is done goes to the edge behind, which restores the order of each source; where order does not matter,
 * turns are numbered anew as they leave, and event time goes with the oldest that is still here.
 */
#include "flow/engine.h"

#include "async/loop.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct async_turn {
    struct async_stage *stage;
    struct turn *turn;
    struct weir_out out;
    struct message *slot;    /* that brought the batch: the first thing emitted travels in it, then it is NULL */
    struct async_turn *next; /* unordered: in the line of its source */
    struct message *held;    /* unordered and done (turn is NULL): its times */
};

bool node_is_async(const struct plan_node *node)
{
    return node->part->kind == WEIR_STAGE && stage_ops(node->part)->call;
}

/* ---- Tasks in a machine ---------------------------------------------------------------------------------------- */

/* From the watchdog's thread: when it has gone on for too long, and again when it is over. */
static void told_blocked(void *owner, const char *task, int64_t held_ns, bool done)
{
    struct machine *machine = owner;
    long long held_ms = (long long)(held_ns / CLOCK_MILLISECOND);
    char text[WEIR_ERROR_MAX];
    if (done) {
        snprintf(text, sizeof text, "task \"%s\" held its loop for %lld ms in all", task, held_ms);
        pipeline_notice(machine->pipeline, machine->name, "blocked loop is over", text);
        pipeline_count(machine->pipeline, machine->name, "milliseconds of blocked loop", task, (uint64_t)held_ms);
        return;
    }
    snprintf(text, sizeof text,
             "task \"%s\" has held its loop for %lld ms without waiting through its context; everything else on the "
             "loop stands still meanwhile (use weir_sleep, weir_wait_fd or weir_offload)",
             task, held_ms);
    pipeline_notice(machine->pipeline, machine->name, "blocked loop", text);
    pipeline_count(machine->pipeline, machine->name, "blocked loop", task, 1);
}

int machine_run_tasks(struct machine *machine, int (*run)(struct weir_context *context, void *argument), void *argument)
{
    const struct loop_options options = {.outer = &machine->context,
                                         .network = machine->pipeline->options.network,
                                         .sequential = machine->pipeline->options.sequential,
                                         .blocked = told_blocked,
                                         .owner = machine};
    struct loop *loop = NULL;
    int error = loop_new(&options, &loop);
    if (error < 0)
        return error;
    error = loop_run(loop, machine->name, run, argument);
    loop_free(loop);
    return error;
}

/* ---- What a call emits ----------------------------------------------------------------------------------------- */

static void append_messages(struct turn *turn, struct message *list)
{
    if (!list)
        return;
    if (turn->last)
        turn->last->next = list;
    else
        turn->first = list;
    for (turn->last = list; turn->last->next;)
        turn->last = turn->last->next;
}

void async_turn_emit(struct async_turn *turn, struct weir_batch *batch)
{
    struct message *message = turn->slot;
    if (!batch->count) {
        weir_batch_release(batch);
        return;
    }
    turn->slot = NULL;
    if (message) /* the memory of what it was made of */
        append_messages(turn->turn, message);
    else
        message = turn_append(turn->turn, MESSAGE_DATA);
    if (message) {
        message->batch = batch;
        return;
    }
    pipeline_count(turn->stage->machine.pipeline, "engine", "out of memory", NULL, batch->count);
    receipt_settle_all(batch, OUTCOME_REFUSED);
    weir_batch_release(batch);
}

/* ---- Turns that are done ---------------------------------------------------------------------------------------- */

/* Takes a time or an end out of a turn: it must not overtake the data of turns before. */
static bool is_held(const struct message *message)
{
    return message->kind == MESSAGE_WATERMARK || message->kind == MESSAGE_END;
}

static struct message *take_held(struct turn *turn)
{
    struct message *held = NULL, **held_end = &held, *kept = NULL, **kept_end = &kept, *last = NULL;
    for (struct message *message = turn->first, *next; message; message = next) {
        next = message->next;
        message->next = NULL;
        if (is_held(message)) {
            *held_end = message;
            held_end = &message->next;
        } else {
            *kept_end = last = message;
            kept_end = &message->next;
        }
    }
    turn->first = kept;
    turn->last = last;
    return held;
}

/* Where order does not matter a turn leaves as soon as it is done, with the next number of its source; its times stay
 * in line, until all turns that came before it have left. As many turns leave as came. */
static void leave_unordered(struct async_stage *stage, struct async_turn *item)
{
    struct turn *turn = item->turn;
    uint32_t source = turn->source;
    bool is_front = stage->lines[source].first == item;
    item->held = take_held(turn);
    item->turn = NULL;
    while (is_front && stage->lines[source].first && !stage->lines[source].first->turn) {
        struct async_turn *front = stage->lines[source].first;
        stage->lines[source].first = front->next;
        append_messages(turn, front->held);
        memory_free(front);
    }
    if (!stage->lines[source].first)
        stage->lines[source].last = NULL;
    turn->sequence = stage->lines[source].sequence++;
    turn->piece = 0; /* each is a turn of its own now */
    turn->more = false;
    edge_submit(stage->out, turn, 0, stage->machine.pool);
}

static void leave(struct async_stage *stage, struct async_turn *item)
{
    if (stage->unordered) {
        leave_unordered(stage, item);
        return;
    }
    edge_submit(stage->out, item->turn, 0, stage->machine.pool);
    memory_free(item);
}

/* ---- Calls ----------------------------------------------------------------------------------------------------- */

static int call_batch(struct async_stage *stage, struct weir_context *context, struct async_turn *turn,
                      struct weir_batch *batch)
{
    struct weir_engine_node *node = &stage->node;
    count_up(&node->counters.calls, 1);
    count_up(&node->counters.records_in, batch->count);
    int error = stage->ops->call(node->self, &node->env, context, batch, &turn->out);
    if (error == -ECANCELED && pipeline_aborting(stage->machine.pipeline)) {
        receipt_settle_all(batch, OUTCOME_DROPPED);
        return error;
    }
    if (error < 0) {
        weir_fail(node->error, error, "%s: %s", node->plan->name, strerror(-error));
        pipeline_fail(node->pipeline, node->error);
        receipt_settle_all(batch, OUTCOME_REFUSED);
    }
    return error;
}

/* The turn's messages are put together again one by one, so that results stand where their batch stood. */
static int run_turn(struct weir_context *context, void *argument)
{
    struct async_turn *turn = argument;
    struct async_stage *stage = turn->stage;
    struct message *message = turn->turn->first, *next;
    turn->turn->first = turn->turn->last = NULL;
    for (; message; message = next) {
        next = message->next;
        message->next = NULL;
        if (message->kind != MESSAGE_DATA) {
            append_messages(turn->turn, message);
            continue;
        }
        struct weir_batch *batch = message->batch;
        message->batch = NULL;
        turn->slot = message;
        (void)call_batch(stage, context, turn, batch);
        weir_batch_release(batch);
        if (turn->slot)
            message_free(message);
        turn->slot = NULL;
    }
    leave(stage, turn);
    stage->running--;
    room_came(stage->machine.pipeline);
    waiter_wake(&stage->machine.waiter);
    return 0;
}

static struct weir_schema *first_schema(const struct turn *turn, const struct weir_schema *than)
{
    for (const struct message *message = turn->first; message; message = message->next) {
        struct weir_schema *schema = message->kind == MESSAGE_SCHEMA ? message->schema
                                     : message->kind == MESSAGE_DATA ? message->batch->schema
                                                                     : NULL;
        if (schema && schema != than && !(than && weir_schema_equal(schema, than)))
            return schema;
    }
    return NULL;
}

static void wait_for_running(struct async_stage *stage, struct weir_scope *scope)
{
    while (stage->running > 0) {
        if (pipeline_aborting(stage->machine.pipeline))
            weir_scope_cancel(scope);
        context_park(scope->owner, INT64_MAX);
    }
}

/* A new schema: the calls under way end first. Turns hold batches of one schema; the message of a schema goes on as the
 * schema that the stage makes of it. */
static int bind_turn(struct async_stage *stage, struct weir_scope *scope, struct turn *turn)
{
    struct weir_schema *schema = first_schema(turn, stage->node.in[0]);
    if (schema) {
        wait_for_running(stage, scope);
        weir_shield(scope->owner, false);
        int error = node_bind(&stage->node, 0, schema);
        weir_shield(scope->owner, true);
        if (error < 0) {
            pipeline_fail(stage->machine.pipeline, stage->node.error);
            return -EINVAL;
        }
    }
    for (struct message *message = turn->first; message; message = message->next) {
        if (message->kind != MESSAGE_SCHEMA || !stage->node.out_schema)
            continue;
        weir_schema_release(message->schema);
        message->schema = weir_schema_reference(stage->node.out_schema);
    }
    return 0;
}

/* ---- The machine ------------------------------------------------------------------------------------------------ */

static void take_in(struct async_stage *stage, struct weir_scope *scope, struct async_turn *item)
{
    uint32_t source = item->turn->source;
    struct pipeline *pipeline = stage->machine.pipeline;
    if (stage->unordered) {
        struct async_line *line = &stage->lines[source];
        if (line->last)
            line->last->next = item;
        else
            line->first = item;
        line->last = item;
    }
    bool data = !pipeline_aborting(pipeline) && turn_has(item->turn, MESSAGE_DATA);
    if (data || turn_has(item->turn, MESSAGE_SCHEMA))
        data = bind_turn(stage, scope, item->turn) >= 0 && data;
    if (data) {
        stage->running++;
        if (weir_scope_spawn(scope, stage->node.plan->name, run_turn, item) >= 0)
            return;
        stage->running--;
        if (!pipeline_aborting(pipeline)) {
            struct weir_error error = {0};
            weir_fail(&error, -ENOMEM, "%s: out of memory for a task", stage->node.plan->name);
            pipeline_fail(pipeline, &error);
        }
    }
    turn_discard_data(item->turn, OUTCOME_DROPPED);
    leave(stage, item);
    room_came(pipeline);
}

static struct async_turn *wrap(struct async_stage *stage, struct weir_context *context, struct turn *turn)
{
    struct async_turn *item;
    while (!(item = memory_zeroed(1, sizeof *item)))
        context_park(context, weir_now(context) + CLOCK_MILLISECOND);
    *item = (struct async_turn){.stage = stage, .turn = turn, .out = {.node = &stage->node, .turn = item}};
    return item;
}

/* Shielded: when the pipeline is aborted its calls are cancelled, but it goes on taking turns until the end has come
 * through, and waits for them meanwhile like everybody else. */
static int run_stage(struct weir_context *context, void *argument)
{
    struct async_stage *stage = argument;
    struct pipeline *pipeline = stage->machine.pipeline;
    struct weir_scope scope;
    stage->node.env.context = context;
    weir_scope_open(context, &scope);
    weir_shield(context, true);
    for (;;) {
        if (pipeline_aborting(pipeline))
            weir_scope_cancel(&scope);
        bool room = stage->running < ASYNC_TURNS_MOST && edge_credit(stage->out);
        struct turn *turn = room || pipeline_aborting(pipeline) ? edge_take(stage->in) : NULL;
        if (turn) {
            take_in(stage, &scope, wrap(stage, context, turn));
            continue;
        }
        if (edge_done(stage->in))
            break;
        context_park(context, INT64_MAX);
    }
    wait_for_running(stage, &scope);
    weir_scope_close(&scope);
    weir_shield(context, false);
    if (stage->ops->end_task)
        stage->ops->end_task(stage->node.self, &stage->node.env);
    return 0;
}

enum step async_stage_step(struct machine *machine)
{
    struct async_stage *stage = (struct async_stage *)machine;
    int error = machine_run_tasks(machine, run_stage, stage);
    if (error < 0) { /* no loop: what comes is dropped, so that everybody ends */
        weir_fail(stage->node.error, error, "%s: cannot start its loop: %s", stage->node.plan->name, strerror(-error));
        pipeline_fail(machine->pipeline, stage->node.error);
        while (!edge_done(stage->in)) {
            struct turn *turn = edge_take(stage->in);
            if (turn) {
                turn_discard_data(turn, OUTCOME_DROPPED);
                edge_submit(stage->out, turn, 0, machine->pool);
            } else {
                context_park(&machine->context, INT64_MAX);
            }
        }
    }
    return STEP_DONE;
}
