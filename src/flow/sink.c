/* SPDX-License-Identifier: MIT */
/* A sink at work: writes turns in order, commits when nothing waits, and settles what is stored. */
#include "flow/engine.h"

#include <weir/task.h>

#include "async/context.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"

#include <errno.h>
#include <string.h>

enum { RETRY_FIRST_MS = 50, RETRY_MOST_MS = 1000, RETRY_GIVE_UP_S = 10, COMMIT_BYTES = 4 << 20 };

/* On the lane that completed the turn: bytes are made in parallel, the sink's thread only writes them. */
int64_t sink_encode(void *owner, struct turn *turn)
{
    struct sink *sink = owner;
    int64_t start = weir_now(&sink->machine.context);
    for (struct message *message = turn->first; message; message = message->next) {
        if (message->kind != MESSAGE_DATA || pipeline_aborting(sink->machine.pipeline))
            continue;
        if (sink->ops->encode(sink->node.self, sink->machine.pipeline->symbols, message->batch, &message->encoded) < 0)
            message->encoded.failed = true;
        message->charged = &sink->machine.pipeline->batch_budget;
        memory_budget_charge(message->charged, message->encoded.capacity);
    }
    int64_t spent = weir_now(&sink->machine.context) - start;
    atomic_fetch_add_explicit(&sink->node.counters.busy_ns, (uint64_t)spent, memory_order_relaxed);
    return spent;
}

static void settle_stored(struct sink *sink, struct weir_batch *batch)
{
    record_latency(&sink->latency, batch, weir_now(&sink->machine.context));
    receipt_settle_all(batch, OUTCOME_STORED);
    count_up(&sink->records_stored, batch->count);
}

/* The sink has failed. */
static void refuse_all(struct sink *sink, struct weir_batch *batch)
{
    receipt_settle_all(batch, OUTCOME_REFUSED);
    weir_count(&sink->node.env, PIPELINE_NOT_STORED, NULL, batch->count);
}

static void settle_pending(struct sink *sink, bool stored)
{
    for (struct pending *pending = sink->pending, *next; pending; pending = next) {
        next = pending->next;
        if (stored)
            settle_stored(sink, pending->batch);
        else
            refuse_all(sink, pending->batch);
        weir_batch_release(pending->batch);
        memory_free(pending);
    }
    sink->pending = NULL;
    sink->pending_end = &sink->pending;
    sink->pending_rows = 0;
    room_came(sink->machine.pipeline);
    atomic_store_explicit(&sink->pending_bytes, 0, memory_order_relaxed);
}

/* True when it makes sense to try again: the cause may go away by itself or by somebody's hand. */
static bool may_pass(int error)
{
    return error == -EAGAIN || error == -EBUSY || error == -ENOSPC || error == -EDQUOT || error == -EINTR;
}

/* A part may keep batches that it has not committed. It is closed as soon as it failed, so that their receipts are
 * settled before anybody counts; unless lanes may still be encoding with it. */
static void let_go(struct sink *sink)
{
    const struct weir_part *part = sink->node.plan->part;
    if (sink->ops->encode || !sink->node.opened)
        return;
    if (part->close)
        part->close(sink->node.self, &sink->node.env);
    sink->node.opened = false;
}

static void fail_sink(struct sink *sink, int error)
{
    weir_fail(sink->node.error, error, "%s: %s", sink->node.plan->name, strerror(-error));
    sink->failed = true;
    settle_pending(sink, false);
    if (error == -EPIPE) { /* whoever read has read enough (head): the end of the run, not a failure of it */
        weir_count(&sink->node.env, "nobody reads any more", NULL, 1);
        pipeline_stop(sink->machine.pipeline);
        return;
    }
    pipeline_fail(sink->machine.pipeline, sink->node.error);
    let_go(sink);
}

/* What to do about an error: STEP_BLOCKED to try again at the deadline, else STEP_RAN with the sink failed. */
static enum step retry_or_fail(struct sink *sink, int error)
{
    int64_t now = weir_now(&sink->machine.context);
    bool retrying = sink->retry_since != 0;
    if (!may_pass(error) || (retrying && now - sink->retry_since >= RETRY_GIVE_UP_S * CLOCK_SECOND) ||
        pipeline_aborting(sink->machine.pipeline)) {
        fail_sink(sink, error);
        return STEP_RAN;
    }
    if (!retrying) {
        sink->retry_since = now;
        weir_notice(&sink->node.env, "write failed", "%s; trying again for %d s", sink->node.error->text,
                    RETRY_GIVE_UP_S);
    }
    weir_count(&sink->node.env, "write retried", NULL, 1);
    int64_t wait = (now - sink->retry_since) / 2 + RETRY_FIRST_MS * CLOCK_MILLISECOND;
    if (wait > RETRY_MOST_MS * CLOCK_MILLISECOND)
        wait = RETRY_MOST_MS * CLOCK_MILLISECOND;
    sink->retry_at = sink->machine.deadline = now + wait;
    return STEP_BLOCKED;
}

static int call_timed(struct sink *sink, int (*call)(struct sink *sink, void *argument), void *argument)
{
    struct weir_context *context = &sink->machine.context;
    int64_t start = weir_now(context), waited = context_waited(context);
    sink->node.error->code = 0;
    int error = call(sink, argument);
    if (error < 0)
        weir_fail(sink->node.error, error, "%s: %s", sink->node.plan->name, strerror(-error));
    int64_t busy = weir_now(context) - start - (context_waited(context) - waited); /* waiting is not work */
    uint64_t spent = busy > 0 ? (uint64_t)busy : 0;
    atomic_fetch_add_explicit(&sink->node.counters.busy_ns, spent, memory_order_relaxed);
    count_up(&sink->write_ns, spent);
    count_up(&sink->write_calls, 1);
    if (error >= 0)
        sink->retry_since = sink->retry_at = 0;
    return error;
}

static int call_commit(struct sink *sink, void *argument)
{
    (void)argument;
    return sink->ops->commit(sink->node.self, &sink->node.env);
}

static enum step commit(struct sink *sink)
{
    int error = call_timed(sink, call_commit, NULL);
    if (error < 0)
        return retry_or_fail(sink, error);
    settle_pending(sink, true);
    return STEP_RAN;
}

static int call_finish(struct sink *sink, void *argument)
{
    (void)argument;
    return sink->ops->finish(sink->node.self, &sink->node.env);
}

/* Everything came: commits once more, also when nothing was written, as an output may have to be empty; then completes
 * it. A run that is aborted leaves it as it is. */
static enum step finish(struct sink *sink)
{
    if (sink->failed || pipeline_aborting(sink->machine.pipeline))
        return STEP_DONE;
    if (sink->ops->commit && !sink->closing) {
        enum step step = commit(sink);
        sink->closing = step == STEP_RAN;
        return step;
    }
    int error = sink->ops->finish && !sink->finished ? call_timed(sink, call_finish, NULL) : 0;
    if (error < 0)
        return retry_or_fail(sink, error);
    sink->finished = true;
    return STEP_DONE;
}

static int call_write(struct sink *sink, void *argument)
{
    struct message *message = argument;
    if (message->encoded.failed)
        return weir_fail(sink->node.error, -ENOMEM, "%s: out of memory", sink->node.env.name);
    if (!sink->schema ||
        (sink->schema != message->batch->schema && !weir_schema_equal(sink->schema, message->batch->schema))) {
        if (sink->ops->bind) {
            int error = sink->ops->bind(sink->node.self, &sink->node.env, message->batch->schema);
            if (error < 0)
                return error;
        }
        weir_schema_release(sink->schema);
        sink->schema = weir_schema_reference(message->batch->schema);
    }
    return sink->ops->write(sink->node.self, &sink->node.env, message->batch, message->encoded.data,
                            message->encoded.size);
}

static void hold_until_commit(struct sink *sink, struct weir_batch *batch)
{
    struct pending *pending = memory_zeroed(1, sizeof *pending);
    if (!pending) { /* cannot wait for the commit: counted as stored now */
        settle_stored(sink, batch);
        return;
    }
    if (!sink->pending)
        sink->pending_since = weir_now(&sink->machine.context);
    pending->batch = weir_batch_reference(batch);
    pending->written = batch;
    *sink->pending_end = pending;
    sink->pending_end = &pending->next;
    sink->pending_rows += batch->count;
    count_up(&sink->pending_bytes, weir_batch_bytes(batch));
}

void sink_forget(struct sink *sink, const struct weir_batch *batch, const uint32_t *rows, uint32_t count)
{
    struct pending *pending = sink->pending;
    uint32_t kept = 0;
    while (pending && pending->written != batch)
        pending = pending->next;
    if (!pending)
        return;
    struct weir_batch *rest = weir_batch_derive(sink->machine.pool, pending->batch, batch->schema);
    uint32_t *selection = rest ? weir_batch_allocate(rest, (pending->batch->count + 1) * sizeof *selection) : NULL;
    if (!selection) {
        weir_batch_release(rest);
        pipeline_count(sink->machine.pipeline, "engine", "out of memory", NULL, count);
        return;
    }
    for (uint32_t i = 0, refused = 0; i < pending->batch->count; i++) {
        uint32_t row = weir_batch_row(pending->batch, i);
        while (refused < count && rows[refused] < row)
            refused++;
        if (refused == count || rows[refused] != row)
            selection[kept++] = row;
    }
    weir_batch_select(rest, selection, kept);
    weir_batch_release(pending->batch);
    pending->batch = rest;
}

/* The sink wants no more than the first records of this batch. */
static void settle_enough(struct sink *sink, struct weir_batch *batch)
{
    uint32_t kept = sink->node.enough_rows, *rows = pool_take(sink->machine.pool, (batch->count + 1) * sizeof *rows);
    for (uint32_t i = 0; rows && i < batch->count; i++)
        rows[i] = weir_batch_row(batch, i);
    if (rows && kept < batch->count) {
        receipt_settle(batch, rows + kept, batch->count - kept, OUTCOME_DROPPED);
        receipt_settle(batch, rows, kept, OUTCOME_STORED);
        count_up(&sink->records_stored, kept);
    } else {
        settle_stored(sink, batch);
    }
    if (rows)
        pool_give(rows);
    pipeline_stop(sink->machine.pipeline);
}

static enum step write_batch(struct sink *sink, struct message *message)
{
    struct weir_batch *batch = message->batch;
    if (!sink->retry_at)
        record_latency(&sink->wait, batch, weir_now(&sink->machine.context));
    if (sink->failed || sink->node.enough || pipeline_aborting(sink->machine.pipeline)) {
        if (sink->failed)
            refuse_all(sink, batch);
        else
            receipt_settle_all(batch, OUTCOME_DROPPED);
        return STEP_RAN;
    }
    int64_t began = weir_now(&sink->machine.context);
    int error = call_timed(sink, call_write, message);
    if (error >= 0)
        weir_finished(&sink->node.env, began);
    if (error < 0) {
        enum step step = retry_or_fail(sink, error);
        if (step == STEP_RAN)
            refuse_all(sink, batch);
        return step;
    }
    count_up(&sink->node.counters.calls, 1);
    count_up(&sink->node.counters.records_in, batch->count);
    if (sink->machine.pipeline->options.stored)
        count_up(&sink->observed_ns,
                 (uint64_t)observe_stored(sink->machine.pipeline, sink->node.index, UINT32_MAX, batch));
    if (sink->node.enough)
        settle_enough(sink, batch);
    else if (sink->ops->commit)
        hold_until_commit(sink, batch);
    else
        settle_stored(sink, batch);
    return STEP_RAN;
}

static void early_bind(struct sink *sink, struct weir_schema *schema)
{
    if (!sink->ops->bind || sink->failed || (sink->schema && weir_schema_equal(sink->schema, schema)))
        return;
    int error = sink->ops->bind(sink->node.self, &sink->node.env, schema);
    if (error < 0 && !may_pass(error)) {
        fail_sink(sink, error);
        return;
    }
    if (error < 0) {
        sink->node.error->code = 0; /* the first batch binds again, with retries */
        return;
    }
    weir_schema_release(sink->schema);
    sink->schema = weir_schema_reference(schema);
}

/* Messages are taken off the turn one by one, so that a write to be tried again finds its place. */
static enum step run_current(struct sink *sink)
{
    struct turn *turn = sink->current;
    while (turn->first) {
        struct message *message = turn->first;
        if (message->kind == MESSAGE_DATA) {
            enum step step = write_batch(sink, message);
            if (step == STEP_BLOCKED)
                return step;
        } else if (message->kind == MESSAGE_SCHEMA) {
            early_bind(sink, message->schema);
        }
        turn->first = message->next;
        message_free(message);
    }
    turn_free(turn);
    sink->current = NULL;
    room_came(sink->machine.pipeline);
    return STEP_RAN;
}

static bool commit_due(struct sink *sink)
{
    if (!sink->pending)
        return false;
    uint64_t rows = sink->ops->commit_rows ? sink->ops->commit_rows : 50000;
    int64_t ns = sink->ops->commit_ns ? sink->ops->commit_ns : CLOCK_SECOND;
    return sink->pending_rows >= rows || sink->pending_bytes >= COMMIT_BYTES ||
           weir_now(&sink->machine.context) - sink->pending_since >= ns;
}

static enum step step_sink(struct machine *machine)
{
    struct sink *sink = (struct sink *)machine;
    machine->deadline = INT64_MAX;
    if (sink->retry_at && weir_now(&machine->context) < sink->retry_at && !pipeline_aborting(machine->pipeline)) {
        machine->deadline = sink->retry_at;
        return STEP_BLOCKED;
    }
    if (sink->pending && pipeline_aborting(machine->pipeline))
        return commit(sink); /* what was written is kept */
    if (sink->current) {
        enum step step = run_current(sink);
        if (step != STEP_RAN)
            return step;
    }
    if (commit_due(sink))
        return commit(sink);
    atomic_store(&sink->holds, true); /* before it is off the edge */
    sink->current = edge_take(sink->edge);
    if (sink->current)
        return run_current(sink);
    if (sink->pending)
        return commit(sink);
    if (atomic_exchange(&sink->holds, false))
        room_came(machine->pipeline); /* nobody waits for this sink any more */
    return edge_done(sink->edge) ? finish(sink) : STEP_IDLE;
}

/* A sink that is a task: the machine's steps, one after the other, on its own loop. Waiting for what comes next is
 * shielded: an aborted run cancels what it writes, but the sink waits for the end like everybody else. */
static int sink_task(struct weir_context *context, void *argument)
{
    struct machine *machine = argument;
    struct sink *sink = (struct sink *)machine;
    enum step step;
    sink->node.env.context = context;
    while ((step = step_sink(machine)) != STEP_DONE) {
        if (step == STEP_RAN)
            continue;
        weir_shield(context, true);
        context_park(context, machine->deadline);
        weir_shield(context, false);
    }
    if (sink->ops->end_task)
        sink->ops->end_task(sink->node.self, &sink->node.env);
    sink->node.env.context = &machine->context;
    return 0;
}

enum step sink_step(struct machine *machine)
{
    struct sink *sink = (struct sink *)machine;
    if (!sink->ops->tasks)
        return step_sink(machine);
    int error = machine_run_tasks(machine, sink_task, machine);
    if (error < 0) {
        weir_fail(sink->node.error, error, "%s: cannot start its loop: %s", sink->node.plan->name, strerror(-error));
        fail_sink(sink, error);
        enum step step;
        while ((step = step_sink(machine)) != STEP_DONE)
            if (step != STEP_RAN)
                context_park(&machine->context, machine->deadline);
    }
    return STEP_DONE;
}
