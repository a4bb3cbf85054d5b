/* SPDX-License-Identifier: MIT */
/* A source at work: what weir_emit_* do for it. All on the source's own thread. */
#include "flow/engine.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"

#include <weir/task.h>

#include <errno.h>
#include <string.h>

/* A batch should occupy a machine downstream for no longer than this: the grain of latency, and of a Ctrl-C. */
enum { GRAIN_NS = 5 * 1000 * 1000, RECORD_BYTES = 64 };
enum { SLAB_LEAST = 4096 };             /* what the smallest block really occupies */
enum { BYTES_MOST = 256 * 1024 - 256 }; /* with its header and padding a block fills a slab of the pool */
/* A source that only waits for us need not be far ahead: so much for each lane, and as much again. What waits no longer
 * than that is still in the caches. */
enum { AHEAD_BYTES = 256 * 1024 };

/* What is in flight has grown beyond what its raw bytes promised (many columns, much text): then nothing is added to
 * it. Some batch of each source may always be on its way, so this ends. */
static bool memory_tight(struct source *source)
{
    struct pipeline *pipeline = source->machine.pipeline;
    uint64_t used = atomic_load_explicit(&pipeline->batch_budget.used, memory_order_relaxed);
    return used > pipeline->batch_share / 4 * 3 && account_oldest(&source->account);
}

static bool is_behind(const struct source *other, int64_t event_time)
{
    return other->meets && !edge_done(other->edge) && !atomic_load_explicit(&other->idle, memory_order_relaxed) &&
           atomic_load_explicit(&other->event_time, memory_order_relaxed) < event_time;
}

/* Records, and open windows, that wait for another source take memory for as long as that one is behind in event time.
 * When they take much, whoever is ahead waits for the slowest, which never does. Of two that only wait for us, the one
 * that is ahead waits on the lanes in any case: it gains nothing by being far ahead. */
bool source_too_far_ahead(const struct source *source, bool on_lane)
{
    const struct pipeline *pipeline = source->machine.pipeline;
    if (!source->meets)
        return false;
    const bool tight = atomic_load_explicit(&pipeline->kept, memory_order_relaxed) > pipeline->state_budget.limit / 4;
    const bool eager = on_lane && atomic_load_explicit(&source->full_speed, memory_order_relaxed);
    const int64_t mine = atomic_load_explicit(&source->event_time, memory_order_relaxed);
    for (uint32_t i = 0; (tight || eager) && i < pipeline->source_count; i++) {
        const struct source *other = &pipeline->sources[i];
        if ((tight || atomic_load_explicit(&other->full_speed, memory_order_relaxed)) && is_behind(other, mine))
            return true;
    }
    return false;
}

/* Where all is to be produced before anything is consumed, this is when the consumers may begin. */
static void open_gate(struct pipeline *pipeline)
{
    for (uint32_t i = 0; pipeline->options.sequential && i < pipeline->machine_count; i++)
        waiter_wake(&pipeline->machines[i]->waiter);
}

/* Waits until one more batch may be in flight. */
static int wait_for_credit(struct source *source, struct weir_context *context)
{
    for (;;) {
        if (source->limit_reached || weir_stopping(context))
            return -ECANCELED;
        atomic_store(&source->wants_room, true); /* before looking, so that who gives some in between sees it */
        bool tight = memory_tight(source) || source_too_far_ahead(source, false);
        atomic_store(&source->wants_room, tight);
        if (account_credit(&source->account) && edge_credit(source->edge) && !tight)
            break;
        if (!atomic_exchange_explicit(&source->waiting, true, memory_order_relaxed))
            open_gate(source->machine.pipeline);
        int64_t until = tight ? weir_now(context) + ROOM_LOOK_AGAIN_MS * CLOCK_MILLISECOND : INT64_MAX;
        if (context == &source->machine.context)
            machine_park(&source->machine, until, true);
        else
            source->machine.timed_out = !context_park(context, until); /* a task: others of its loop go on */
    }
    if (source->machine.timed_out)
        atomic_fetch_add_explicit(&source->machine.pipeline->timed_steps, 1, memory_order_relaxed);
    source->machine.timed_out = false;
    atomic_store_explicit(&source->waiting, false, memory_order_relaxed);
    atomic_store_explicit(&source->idle, false, memory_order_relaxed);
    return 0;
}

/* Takes up to `records` of what run.limit leaves. */
static uint64_t take_from_limit(struct source *source, uint64_t records)
{
    struct pipeline *pipeline = source->machine.pipeline;
    uint64_t left = atomic_load(&pipeline->read_limit_left), take;
    if (left == UINT64_MAX)
        return records;
    do {
        take = records < left ? records : left;
    } while (!atomic_compare_exchange_weak(&pipeline->read_limit_left, &left, left - take));
    if (left == take) {
        source->limit_reached = true;
        pipeline_stop(pipeline); /* the other sources need not wait for data that nobody may read */
    }
    return take;
}

static struct turn *begin_turn(struct source *source, bool announce)
{
    struct turn *turn = turn_new(source->index, source->sequence);
    if (!turn)
        return NULL;
    if (announce && source->schema_new && source->schema) {
        struct message *message = turn_append(turn, MESSAGE_SCHEMA);
        if (!message) {
            turn_free(turn);
            return NULL;
        }
        message->schema = weir_schema_reference(source->schema);
        source->schema_new = false;
    }
    return turn;
}

static void submit(struct source *source, struct turn *turn)
{
    source->sequence++;
    turn->ticket = atomic_fetch_add_explicit(&source->machine.pipeline->tickets, 1, memory_order_relaxed);
    edge_submit(source->edge, turn, 0, source->machine.pool);
}

static void watch_for_silence(struct source *source)
{
    int64_t timeout = source->node.plan->idle_timeout;
    if (timeout)
        source->machine.context.idle_at = weir_now(&source->machine.context) + timeout;
}

/* Nothing came for the idle timeout. Said once; the next batch takes it back by its own watermark. */
void source_idle(struct weir_context *context)
{
    struct source *source = context->owner;
    context->idle_at = INT64_MAX;
    if (!account_credit(&source->account) || edge_full(source->edge) ||
        atomic_load_explicit(&source->waiting, memory_order_relaxed))
        return; /* held back from behind: that is not silence */
    struct turn *turn = begin_turn(source, false);
    struct message *message = turn ? turn_append(turn, MESSAGE_WATERMARK) : NULL;
    if (!message) {
        turn_free(turn);
        return;
    }
    message->time = WATERMARK_IDLE;
    submit(source, turn);
    atomic_store_explicit(&source->idle, true, memory_order_relaxed);
    room_came(source->machine.pipeline); /* who is ahead of it waits no longer */
}

static int out_of_memory(struct source *source)
{
    return weir_fail(source->node.error, -ENOMEM, "%s: out of memory", source->node.plan->name);
}

int weir_emit_schema(struct weir_context *context, struct weir_emitter *out, struct weir_schema *schema)
{
    struct source *source = out->source;
    if (source->schema && weir_schema_equal(source->schema, schema))
        return 0;
    int error = wait_for_credit(source, context);
    if (error < 0)
        return error;
    weir_schema_release(source->schema);
    source->schema = weir_schema_reference(schema);
    source->schema_new = true;
    struct turn *turn = begin_turn(source, true);
    if (!turn)
        return out_of_memory(source);
    turn->receipt = receipt_new(&source->account, weir_now(&source->machine.context), 0);
    if (!turn->receipt) {
        turn_free(turn);
        return out_of_memory(source);
    }
    submit(source, turn);
    return 0;
}

static int trim_to_limit(struct source *source, struct weir_batch *batch)
{
    uint64_t count = take_from_limit(source, batch->count);
    if (count == batch->count)
        return 0;
    uint32_t *rows = weir_batch_allocate(batch, (count ? count : 1) * sizeof *rows);
    if (!rows)
        return -ENOMEM;
    for (uint32_t i = 0; i < count; i++)
        rows[i] = weir_batch_row(batch, i);
    weir_batch_select(batch, rows, (uint32_t)count);
    return 0;
}

/* Rows that the source selected away (or the limit) were never records. */
static int account_for(struct source *source, struct weir_batch *batch)
{
    struct receipt *receipt = receipt_new(
        &source->account, batch->produced_rows ? batch->produced_rows[0] : batch->produced, weir_batch_bytes(batch));
    if (!receipt)
        return -ENOMEM;
    batch_set_receipt(batch, &receipt->head);
    int error = receipt_set_records(receipt, batch->count, batch->rows);
    if (error < 0)
        receipt_settle_unseen(receipt, batch->count, OUTCOME_REFUSED);
    return error;
}

/* After each batch or block. */
static void grow_ramp(struct source *source)
{
    watch_for_silence(source);
    if (source->ramp_rows < SOURCE_ROWS_MOST)
        source->ramp_rows *= 2;
}

void source_mark_rows(const struct source *source, struct weir_batch *batch)
{
    if (!source->machine.pipeline->row_watermarks || batch->schema->time < 0)
        return;
    const int64_t *times = batch->columns[batch->schema->time].i64, delay = source->node.plan->watermark_delay;
    int64_t *marks = weir_batch_allocate(batch, (batch->rows ? batch->rows : 1) * sizeof *marks), latest = INT64_MIN;
    if (!marks)
        return; /* then the watermark of the turn has to do */
    for (uint32_t row = 0; row < batch->rows; row++) {
        if (times[row] > INT64_MIN + delay && times[row] - delay > latest)
            latest = times[row] - delay;
        marks[row] = latest;
    }
    batch->watermarks = marks;
}

/* There is credit. Takes over the reference; does not wait. */
static int emit_now(struct source *source, struct weir_batch *batch)
{
    struct turn *turn = NULL;
    if (!source->schema || !weir_schema_equal(source->schema, batch->schema)) {
        weir_schema_release(source->schema);
        source->schema = weir_schema_reference(batch->schema);
        source->schema_new = true;
    }
    int error = trim_to_limit(source, batch);
    source_mark_rows(source, batch);
    if (error >= 0 && batch->count == 0) {
        weir_batch_release(batch);
        return -ECANCELED;
    }
    batch->source = source->index;
    batch->sequence = source->sequence;
    if (error >= 0)
        turn = begin_turn(source, true);
    struct message *message = turn ? turn_append(turn, MESSAGE_DATA) : NULL;
    if (!message || account_for(source, batch) < 0) {
        if (message)
            message->batch = NULL, message->kind = MESSAGE_WATERMARK;
        turn_free(turn);
        weir_batch_release(batch);
        return out_of_memory(source);
    }
    message->batch = batch;
    turn->grain = batch->rows;
    turn->receipt = receipt_hold((struct receipt *)batch->receipts[0]);
    count_up(&source->emitted, batch->count);
    grow_ramp(source);
    submit(source, turn);
    return 0;
}

int weir_emit_batch(struct weir_context *context, struct weir_emitter *out, struct weir_batch *batch)
{
    struct source *source = out->source;
    if (!batch)
        return out_of_memory(source);
    if (!batch->count) { /* no records, nothing to account for */
        weir_batch_release(batch);
        return source->limit_reached || weir_stopping(context) ? -ECANCELED : 0;
    }
    int error = wait_for_credit(source, context);
    if (error < 0) {
        weir_batch_release(batch);
        return error;
    }
    return emit_now(source, batch);
}

static int set_text(struct weir_batch *batch, uint32_t column, const char *text)
{
    size_t length = text ? strlen(text) : 0;
    char *copy = text ? weir_batch_allocate(batch, length + 1) : NULL;
    if (text && !copy)
        return -ENOMEM;
    if (text)
        memcpy(copy, text, length);
    *(struct weir_text *)weir_batch_column_data(batch, column) = (struct weir_text){copy, (uint32_t)length};
    return 0;
}

/* One that there is no room for is null, and counted. */
static int set_symbol(struct source *source, uint32_t *to, const char *text)
{
    *to = text ? symbols_intern(source->machine.pipeline->symbols, text, strlen(text)) : WEIR_SYMBOL_NULL;
    if (*to == SYMBOLS_FULL) {
        *to = WEIR_SYMBOL_NULL;
        pipeline_count(source->machine.pipeline, source->node.plan->name, "no room for another symbol", NULL, 1);
    }
    return 0;
}

static int set_value(struct source *source, struct weir_batch *batch, uint32_t column, union weir_value value)
{
    void *to = weir_batch_column_data(batch, column);
    switch (batch->schema->fields[column].type) {
    case WEIR_F64:
        *(double *)to = value.f64;
        return 0;
    case WEIR_TIME:
    case WEIR_I64:
        *(int64_t *)to = value.i64;
        return 0;
    case WEIR_BOOL:
        *(uint8_t *)to = value.truth;
        return 0;
    case WEIR_SYMBOL:
        return set_symbol(source, to, value.text);
    case WEIR_TEXT:
        return set_text(batch, column, value.text);
    default:
        return -EINVAL;
    }
}

int weir_emit_record(struct weir_context *context, struct weir_emitter *out, struct weir_schema *schema,
                     const union weir_value *values)
{
    struct source *source = out->source;
    int error = wait_for_credit(source, context); /* before its place in the order is known */
    if (error < 0)
        return error;
    struct weir_batch *batch = weir_batch_new(source->machine.pool, schema, 1);
    for (uint32_t i = 0; batch && i < schema->count && error == 0; i++)
        error = set_value(source, batch, i, values[i]);
    if (!batch || error < 0) {
        weir_batch_release(batch);
        return error == -EINVAL
                   ? weir_fail(source->node.error, error, "%s: weir_emit_record has no arrays", source->node.plan->name)
                   : out_of_memory(source);
    }
    batch->position = atomic_load_explicit(&source->emitted, memory_order_relaxed);
    batch->produced = weir_now(context);
    return emit_now(source, batch);
}

/* Cuts the block behind the last record that the limit allows. */
static void trim_block(struct source *source, struct weir_block *block)
{
    if (atomic_load(&source->machine.pipeline->read_limit_left) == UINT64_MAX)
        return;
    uint64_t records = codec_block_records(block), allowed = take_from_limit(source, records);
    if (allowed < records)
        codec_block_trim(block, allowed);
}

/* Takes the block over. */
static int emit_block(struct weir_context *context, struct source *source, struct weir_block block)
{
    int error = wait_for_credit(source, context);
    if (error >= 0) {
        trim_block(source, &block);
        if (!block.size)
            error = -ECANCELED;
    }
    if (error < 0) {
        codec_block_release(&block);
        return error;
    }
    struct turn *turn = begin_turn(source, true);
    struct message *message = turn ? turn_append(turn, MESSAGE_BLOCK) : NULL;
    struct receipt *receipt = message ? receipt_new(&source->account, block.produced,
                                                    block.size < SLAB_LEAST ? SLAB_LEAST : block.size)
                                      : NULL;
    if (!receipt) {
        if (message)
            message->kind = MESSAGE_WATERMARK;
        turn_free(turn);
        codec_block_release(&block);
        return out_of_memory(source);
    }
    message->block = block;
    turn->grain = (uint32_t)(block.size / RECORD_BYTES + 1);
    message->receipt = receipt;
    turn->receipt = receipt_hold(receipt);
    grow_ramp(source);
    submit(source, turn);
    return 0;
}

/* Short lines make many rows of all columns: they go in pieces. */
int weir_emit_block(struct weir_context *context, struct weir_emitter *out, const struct weir_block *block)
{
    struct weir_block piece = *block, rest;
    uint64_t rows = room_rows_of(out->source->machine.pipeline, codec_layout_schema(block->layout), block->size);
    int error = 0;
    while (error >= 0 && rows < UINT64_MAX && codec_block_split(&piece, rows, &rest)) {
        error = emit_block(context, out->source, piece);
        piece = rest;
    }
    if (error >= 0)
        return emit_block(context, out->source, piece);
    codec_block_release(&piece);
    return error;
}

bool weir_emit_wanted(struct weir_emitter *out)
{
    return edge_wanted(out->source->edge);
}

/* As many rows as keep a machine busy for the grain, by what records have cost so far; it doubles from a small start,
 * so that the first batches of a slow pipeline are not large ones. */
uint32_t weir_emit_rows(struct weir_emitter *out)
{
    struct source *source = out->source;
    struct pipeline *pipeline = source->machine.pipeline;
    uint32_t allowed = atomic_load_explicit(&source->allowed_rows, memory_order_relaxed);
    if (pipeline->plan->batch > 0)
        return allowed;
    uint64_t cost = atomic_load_explicit(&pipeline->cost_ns_256, memory_order_relaxed);
    uint64_t rows = cost ? (uint64_t)GRAIN_NS * 256 / cost : SOURCE_ROWS_MOST;
    if (rows > source->ramp_rows)
        rows = source->ramp_rows;
    if (rows > allowed)
        rows = allowed;
    if (rows > pipeline->grain_bytes / RECORD_BYTES)
        rows = pipeline->grain_bytes / RECORD_BYTES;
    return rows ? (uint32_t)rows : 1;
}

size_t weir_emit_bytes(struct weir_emitter *out)
{
    size_t bytes = (size_t)weir_emit_rows(out) * RECORD_BYTES;
    if (out->source->machine.pipeline->plan->batch > 0)
        return bytes;
    if (bytes >= (size_t)SOURCE_ROWS_MOST * RECORD_BYTES || bytes > BYTES_MOST)
        bytes = BYTES_MOST;
    return bytes;
}

int64_t weir_emit_linger(struct weir_emitter *out)
{
    return out->source->machine.pipeline->plan->linger;
}

void weir_emit_offered(struct weir_emitter *out, double records_per_second)
{
    atomic_store_explicit(&out->source->offered, records_per_second, memory_order_relaxed);
}

void weir_emit_unhurried(struct weir_emitter *out, bool full_speed)
{
    struct source *source = out->source;
    const struct plan_node *plan = source->node.plan;
    size_t ahead = (size_t)AHEAD_BYTES * (source->machine.pipeline->lane_count + 1);
    atomic_store_explicit(&source->full_speed, full_speed, memory_order_relaxed);
    if (!plan->queue_bytes && plan->when_full == PLAN_BLOCK)
        edge_narrow(source->edge, full_speed ? ahead : SIZE_MAX);
}

void weir_emit_late_by(struct weir_emitter *out, int64_t ns, uint64_t records)
{
    histogram_record(&out->source->late_by, ns, records);
}

void weir_emit_fetch(struct weir_emitter *out, int64_t ns, uint64_t records)
{
    const struct pipeline_options *options = &out->source->machine.pipeline->options;
    int64_t now = weir_now(&out->source->machine.context);
    if (options->worked)
        options->worked(options->owner, out->source->node.plan->name, false, now - ns, now);
    histogram_record(&out->source->fetch, ns, records);
}

/* ---- The machine ----------------------------------------------------------------------------------------------- */

static void send_end(struct source *source)
{
    struct turn *turn = begin_turn(source, false);
    if (!turn || !turn_append(turn, MESSAGE_END)) {
        /* Without an end nobody behind would finish: the last resort is to wait for memory. */
        turn_free(turn);
        while (!(turn = turn_new(source->index, source->sequence)) || !turn_append(turn, MESSAGE_END)) {
            turn_free(turn);
            (void)context_park(&source->machine.context, weir_now(&source->machine.context) + CLOCK_MILLISECOND);
        }
    }
    submit(source, turn);
}

/* Beside a source that is a task: its waits are not the machine's, so somebody else looks for silence. */
static int watch_task(struct weir_context *context, void *argument)
{
    struct source *source = argument;
    int error = 0;
    while (error >= 0) {
        int64_t idle_at = source->machine.context.idle_at, now = weir_now(context);
        if (idle_at <= now)
            source_idle(&source->machine.context);
        else
            error = weir_sleep_until(context, idle_at < now + CLOCK_SECOND ? idle_at : now + CLOCK_SECOND);
    }
    return 0;
}

static int source_task(struct weir_context *context, void *argument)
{
    struct source *source = argument;
    struct weir_emitter out = {.source = source};
    struct weir_scope scope;
    weir_scope_open(context, &scope);
    int error = source->node.plan->idle_timeout ? weir_scope_spawn(&scope, "idle watch", watch_task, source) : 0;
    if (error >= 0)
        error = source->ops->run(source->node.self, context, &out);
    weir_scope_close(&scope);
    return error;
}

/* In a sequential run sources come one after the other; unless the one before waits for this one. */
static void wait_for_others(struct source *source)
{
    struct pipeline *pipeline = source->machine.pipeline;
    struct weir_context *context = &source->machine.context;
    for (uint32_t i = 0; i < source->index && pipeline->options.sequential; i++) {
        const struct source *before = &pipeline->sources[i];
        while (!atomic_load(&before->ended) && !weir_stopping(context) &&
               !(atomic_load(&before->waiting) && source_too_far_ahead(before, false)))
            context_park(context, before->meets ? weir_now(context) + CLOCK_MILLISECOND : INT64_MAX);
    }
}

enum step source_step(struct machine *machine)
{
    struct source *source = (struct source *)machine;
    struct weir_emitter out = {.source = source};
    source->node.error->code = 0;
    watch_for_silence(source);
    wait_for_others(source);
    int error = source->ops->tasks ? machine_run_tasks(machine, source_task, source)
                                   : source->ops->run(source->node.self, &machine->context, &out);
    atomic_store(&source->ended, true);
    atomic_fetch_sub(&machine->pipeline->sources_left, 1);
    open_gate(machine->pipeline);
    room_came(machine->pipeline);
    atomic_store_explicit(&source->waiting, false, memory_order_relaxed);
    if (error < 0 && error != -ECANCELED) {
        weir_fail(source->node.error, error, "%s: %s", source->node.plan->name, strerror(-error));
        pipeline_fail(machine->pipeline, source->node.error);
    }
    send_end(source);
    return STEP_DONE;
}
