/* SPDX-License-Identifier: MIT */
/*
 * A lane: takes a turn from the input nearest the sinks that has one and whose outputs have room, runs it through the
 * tree behind that input, and submits what came out. It never waits inside.
 */
#include "flow/engine.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { STUCK_MOST_S = 10 }; /* without memory for a block although others may still give some back */

/* ---- Decoding -------------------------------------------------------------------------------------------------- */

/* How decoders tell of lines they refuse and values they cannot use; `owner` is the lane. */
static struct source *current_source(struct lane *lane)
{
    return &lane->machine.pipeline->sources[lane->current_source];
}

static void line_refused(void *owner, const struct codec_refusal *refusal)
{
    struct lane *lane = owner;
    char text[WEIR_ERROR_MAX];
    snprintf(text, sizeof text, "%s:%llu: %s%s%s; the line is refused", refusal->file ? refusal->file : "input",
             (unsigned long long)refusal->line, refusal->reason, refusal->detail[0] ? ": " : "", refusal->detail);
    const char *part = current_source(lane)->node.plan->name;
    pipeline_notice(lane->machine.pipeline, part, refusal->reason, text);
    pipeline_count(lane->machine.pipeline, part, refusal->reason, NULL, 1);
    struct source *source = current_source(lane);
    if (source->ops->refused) {
        const struct weir_refusal told = {.reason = refusal->reason,
                                          .file = refusal->file,
                                          .line = refusal->line,
                                          .text = refusal->text,
                                          .length = refusal->length,
                                          .detail = refusal->detail};
        source->ops->refused(source->node.self, &told);
    }
}

static void value_counted(void *owner, const char *what, const char *field, uint64_t number)
{
    struct lane *lane = owner;
    pipeline_count(lane->machine.pipeline, current_source(lane)->node.plan->name, what, field, number);
}

int lane_open(struct lane *lane)
{
    const struct decoder_events events = {.owner = lane, .refused = line_refused, .counted = value_counted};
    lane->decoder = decoder_new(lane->machine.pool, lane->machine.pipeline->symbols, &events);
    return lane->decoder ? 0 : -ENOMEM;
}

/* What could not be read is zeros, which the decoder refuses. -ENOMEM: nothing happened. */
static int read_block(struct lane *lane, struct weir_block *block)
{
    struct weir_memory *memory = pool_memory(lane->machine.pool, block->size);
    if (!memory)
        return -ENOMEM;
    int64_t got = block->unread->read(block->unread, block->offset, memory->data, block->size);
    if (got < (int64_t)block->size) {
        struct pipeline *pipeline = lane->machine.pipeline;
        const char *part = current_source(lane)->node.plan->name;
        char text[WEIR_ERROR_MAX];
        snprintf(text, sizeof text, "%s: %zu bytes at byte %llu could not be read: %s; the records in them are refused",
                 block->file, block->size, (unsigned long long)block->offset,
                 got < 0 ? strerror((int)-got) : "the file has become shorter meanwhile");
        pipeline_notice(pipeline, part, "file not readable", text);
        pipeline_count(pipeline, part, "file not readable", block->file, 1);
        memset((char *)memory->data + (got < 0 ? 0 : got), 0, block->size - (size_t)(got < 0 ? 0 : got));
    }
    block->unread->release(block->unread);
    block->unread = NULL;
    block->memory = memory;
    block->data = memory->data;
    return 0;
}

/* The block message becomes a data message. -ENOMEM: nothing happened, try again later. */
static int decode_block(struct lane *lane, struct turn *turn, struct message *message)
{
    struct weir_batch *batch = NULL;
    uint64_t records = 0;
    int error = message->block.unread ? read_block(lane, &message->block) : 0;
    if (error == 0)
        error = decoder_decode(lane->decoder, &message->block, &batch, &records);
    if (error < 0)
        return error;
    struct receipt *receipt = message->receipt;
    if (batch)
        source_mark_rows(current_source(lane), batch);
    error = receipt_set_records(receipt, records, batch ? batch->rows : 0);
    receipt_settle_unseen(receipt, records - (batch ? batch->rows : 0), OUTCOME_REFUSED);
    if (batch) {
        batch->source = turn->source;
        batch->sequence = turn->sequence;
        batch_set_receipt(batch, &receipt->head);
        if (error < 0) { /* no memory to tell branches apart: none gets the records */
            receipt_settle_unseen(receipt, batch->rows, OUTCOME_REFUSED);
            pipeline_count(lane->machine.pipeline, "engine", "out of memory", NULL, batch->rows);
            weir_batch_release(batch);
            batch = NULL;
        }
    } else {
        receipt_release(receipt);
    }
    message->receipt = NULL;
    codec_block_release(&message->block);
    message->kind = MESSAGE_DATA;
    message->batch = batch; /* may be NULL: run_message copes */
    return 0;
}

static int decode_turn(struct lane *lane, struct turn *turn)
{
    for (struct message *message = turn->first; message; message = message->next) {
        if (message->kind != MESSAGE_BLOCK)
            continue;
        int error = decode_block(lane, turn, message);
        if (error < 0)
            return error;
    }
    return 0;
}

/* ---- Running a turn -------------------------------------------------------------------------------------------- */

static bool lane_waits(const struct lane *lane, const struct input *input)
{
    for (uint32_t i = 0; lane->waiting && i < input->node_count; i++)
        if (node_waits(input->nodes[i], lane->current_mark))
            return true;
    return false;
}

/* In the order of the plan: where ways meet, a node is told when all in front of it were, and what they let go of at
 * this time has come. What leaves the lane has the turn's own watermark at its end. False: a node has more to emit, be
 * it at this time or of a batch that one before it let go of: it is called again in the next piece. */
static bool advance_watermark(struct lane *lane, struct input *input, int64_t time_ns)
{
    for (; input->at_node < input->node_count; input->at_node++)
        if (node_watermark(input->nodes[input->at_node], lane->current_mark, time_ns) || lane_waits(lane, input))
            return false;
    input->at_node = 0;
    return true;
}

/* By the turn's own data, then what it was told. */
static bool advance_times(struct lane *lane, struct input *input, const struct turn *turn)
{
    if (!input->at) {
        if (input->latest > INT64_MIN && !advance_watermark(lane, input, input->latest))
            return false;
        input->at = turn->first;
    }
    for (; input->at; input->at = input->at->next) {
        enum message_kind kind = input->at->kind;
        if ((kind == MESSAGE_WATERMARK || kind == MESSAGE_END) &&
            !advance_watermark(lane, input, kind == MESSAGE_END ? INT64_MAX : input->at->time))
            return false;
    }
    return true;
}

static void note_event_time(struct source *source, int64_t time_ns)
{
    int64_t before = atomic_load_explicit(&source->event_time, memory_order_relaxed);
    while (before < time_ns && !atomic_compare_exchange_weak_explicit(&source->event_time, &before, time_ns,
                                                                      memory_order_relaxed, memory_order_relaxed))
        ;
}

/* Four side by side: each maximum waits for the one before. */
static int64_t latest_of(const int64_t *times, uint32_t count)
{
    int64_t latest[4] = {INT64_MIN, INT64_MIN, INT64_MIN, INT64_MIN};
    uint32_t i = 0;
    for (; i + 4 <= count; i += 4)
        for (uint32_t k = 0; k < 4; k++)
            latest[k] = times[i + k] > latest[k] ? times[i + k] : latest[k];
    for (; i < count; i++)
        latest[0] = times[i] > latest[0] ? times[i] : latest[0];
    for (uint32_t k = 1; k < 4; k++)
        latest[0] = latest[k] > latest[0] ? latest[k] : latest[0];
    return latest[0];
}

static int64_t latest_time(const struct weir_batch *batch)
{
    int64_t latest = INT64_MIN;
    if (batch->schema->time < 0)
        return latest;
    const int64_t *times = batch->columns[batch->schema->time].i64;
    const uint32_t *selection = batch->selection;
    if (!selection)
        return latest_of(times, batch->count);
    for (uint32_t i = 0; i < batch->count; i++)
        latest = times[selection[i]] > latest ? times[selection[i]] : latest;
    return latest;
}

static uint64_t run_message(struct lane *lane, struct input *input, struct message *message)
{
    switch (message->kind) {
    case MESSAGE_DATA: {
        struct weir_batch *batch = message->batch;
        if (!batch)
            return 0;
        uint64_t records = batch->count;
        if (input->source != UINT32_MAX) {
            int64_t time_ns = latest_time(batch);
            int64_t delay = current_source(lane)->node.plan->watermark_delay;
            if (time_ns > INT64_MIN + delay && time_ns - delay > input->latest)
                input->latest = time_ns - delay;
        }
        fanout_data(lane, &input->fanout, batch);
        message->batch = NULL;
        weir_batch_release(batch);
        return records;
    }
    case MESSAGE_SCHEMA:
        fanout_schema(lane, &input->fanout, message->schema);
        return 0;
    case MESSAGE_WATERMARK:
    case MESSAGE_END:
    case MESSAGE_BLOCK:
        return 0;
    }
    return 0;
}

/* Watermarks and ends go to every output, behind the data. */
static void pass_control(struct lane *lane, const struct input *input, const struct turn *turn, int64_t latest)
{
    for (uint32_t i = 0; i < input->use_count; i++) {
        struct turn *pending = lane->outputs[input->uses[i].output].pending;
        struct message *copy;
        if (latest > INT64_MIN && (copy = turn_append(pending, MESSAGE_WATERMARK)))
            copy->time = latest;
        for (const struct message *message = turn->first; message; message = message->next) {
            if (message->kind == MESSAGE_WATERMARK && (copy = turn_append(pending, MESSAGE_WATERMARK)))
                copy->time = message->time;
            if (message->kind == MESSAGE_END)
                turn_append_reserved(pending, MESSAGE_END);
        }
    }
}

static int open_pending(struct lane *lane, const struct input *input, const struct turn *turn)
{
    bool ends = turn_has(turn, MESSAGE_END);
    for (uint32_t i = 0; i < input->use_count; i++) {
        struct output *output = &lane->outputs[input->uses[i].output];
        if (!output->pending)
            output->pending = turn_new(turn->source, turn->sequence);
        if (!output->pending)
            return -ENOMEM;
        if (ends && turn_reserve(output->pending) < 0)
            return -ENOMEM;
        if (!output->pending->receipt)
            output->pending->receipt = receipt_hold(turn->receipt);
        output->pending->source = turn->source;
        output->pending->sequence = turn->sequence;
        output->pending->ticket = turn->ticket;
        output->pending->grain = turn->grain;
        output->pending->piece = turn->piece;
        output->pending->split = input->splits;
        output->pending->more = turn->more;
        output->pending->splits = false;
        output->pending->until = turn->until;
    }
    return 0;
}

static void count_cost(struct pipeline *pipeline, int64_t busy_ns, uint64_t records)
{
    if (!records)
        return;
    uint64_t now = (uint64_t)busy_ns * 256 / records;
    uint64_t old = atomic_load_explicit(&pipeline->cost_ns_256, memory_order_relaxed);
    atomic_store_explicit(&pipeline->cost_ns_256, old ? old - old / 8 + now / 8 : now, memory_order_relaxed);
}

/* Not for others to give room: somebody outside may give the system some. */
static enum step wait_for_memory(struct lane *lane)
{
    const struct pipeline *pipeline = lane->machine.pipeline;
    lane->outside = lane->refused_before == atomic_load(&pipeline->batch_budget.refusals);
    lane->machine.deadline = weir_now(&lane->machine.context) + CLOCK_MILLISECOND;
    atomic_store(&lane->wants_room, !lane->outside);
    return STEP_BLOCKED;
}

/* The turn stays with its input. What was made ready for it goes, as others may come before it. */
static enum step stuck(struct lane *lane, struct input *input, struct turn *turn)
{
    for (uint32_t i = 0; i < input->use_count; i++) {
        struct output *output = &lane->outputs[input->uses[i].output];
        turn_free(output->pending);
        output->pending = NULL;
    }
    input->stuck = turn;
    atomic_store(&input->stuck_ticket, turn->ticket);
    return wait_for_memory(lane);
}

/* A block that found no memory although nobody else had any to give back never will. */
static bool hopeless(struct lane *lane, const struct input *input, const struct turn *turn)
{
    const struct pipeline *pipeline = lane->machine.pipeline;
    int64_t now = weir_now(&lane->machine.context);
    if (!lane->stuck_since)
        lane->stuck_since = now;
    if (now - lane->stuck_since >= STUCK_MOST_S * CLOCK_SECOND)
        return true;
    return lane->refused_before != atomic_load(&pipeline->batch_budget.refusals) &&
           (lane->seized || room_alone(lane, input, turn));
}

static void fail_block(struct lane *lane, struct turn *turn)
{
    struct pipeline *pipeline = lane->machine.pipeline;
    for (const struct message *message = turn->first; message; message = message->next) {
        if (message->kind != MESSAGE_BLOCK)
            continue;
        char place[WEIR_ERROR_MAX / 2];
        snprintf(place, sizeof place, "%s:%llu", message->block.file ? message->block.file : "input",
                 (unsigned long long)message->block.line);
        pipeline_fail_memory(pipeline, place, codec_block_records(&message->block));
        break;
    }
    turn_discard_data(turn, OUTCOME_DROPPED);
}

static void count_decoding(struct lane *lane, const struct turn *turn, int64_t spent)
{
    struct node_counters *counters = &lane->ends[turn->source];
    atomic_fetch_add_explicit(&current_source(lane)->node.counters.busy_ns, (uint64_t)spent, memory_order_relaxed);
    count_up(&counters->calls, 1);
    count_up(&counters->busy_ns, (uint64_t)spent);
    for (const struct message *message = turn->first; message; message = message->next)
        if (message->kind == MESSAGE_DATA && message->batch)
            count_up(&counters->records_in, message->batch->rows);
}

/* Whoever brings the last part of a turn to a sink's edge encodes it there. */
static void submit_output(struct lane *lane, struct output *output, uint32_t part)
{
    struct turn *pending = output->pending;
    output->pending = NULL;
    int64_t start = weir_now(&lane->machine.context);
    int64_t encoded = edge_submit(output->edge, pending, part, lane->machine.pool);
    int64_t spent = weir_now(&lane->machine.context) - start;
    count_up(&lane->hand_over.calls, 1);
    count_up(&lane->hand_over.busy_ns, (uint64_t)(spent - encoded));
    if (encoded > 0 && output->sink != UINT32_MAX) {
        count_up(&lane->ends[output->sink].calls, 1);
        count_up(&lane->ends[output->sink].busy_ns, (uint64_t)encoded);
    }
}

static void submit_outputs(struct lane *lane, const struct input *input)
{
    for (uint32_t i = 0; i < input->use_count; i++) {
        struct output *output = &lane->outputs[input->uses[i].output];
        submit_output(lane, output, input->uses[i].parts[output->pending->source]);
    }
}

/* The data of a turn, which is decoded. Returns the number of records. */
static uint64_t run_data(struct lane *lane, struct input *input, struct turn *turn)
{
    uint64_t records = 0;
    input->latest = INT64_MIN;
    input->at = NULL;
    input->at_node = 0;
    for (struct message *message = turn->first; message; message = message->next)
        records += run_message(lane, input, message);
    if (input->latest > INT64_MIN)
        note_event_time(current_source(lane), input->latest);
    return records;
}

/* Goes on with a batch that a node has not emitted all of: the one nearest the sinks. True: that is not the last. */
static bool continue_nodes(struct lane *lane, const struct input *input)
{
    for (uint32_t i = input->node_count; lane->waiting && i-- > 0;)
        if (node_waits(input->nodes[i], lane->current_mark)) {
            node_continue(input->nodes[i]);
            break;
        }
    return lane_waits(lane, input);
}

/* What comes of the turn later has this position, or later ones. */
static uint64_t find_until(const struct lane *lane, const struct input *input, const struct turn *turn)
{
    uint64_t until = turn->more ? turn->until : UINT64_MAX;
    bool waits = false;
    for (uint32_t i = 0; lane->waiting && i < input->node_count; i++) {
        const struct weir_engine_node *node = input->nodes[i];
        if (!node_waits(node, lane->current_mark))
            continue;
        until = node->emitted_until < until ? node->emitted_until : until;
        waits = true;
    }
    if (!waits && input->nodes[input->at_node]->emitted_until < until)
        until = input->nodes[input->at_node]->emitted_until;
    return until;
}

/* What there is so far goes out, and the turn waits for room for more. */
static enum step halve(struct lane *lane, struct input *input, struct turn *turn)
{
    const uint64_t until = find_until(lane, input, turn);
    for (uint32_t i = 0; i < input->use_count; i++) {
        struct turn *pending = lane->outputs[input->uses[i].output].pending;
        pending->more = pending->splits = true;
        pending->until = until;
    }
    submit_outputs(lane, input);
    input->splits++;
    input->halved = turn;
    atomic_store(&input->halved_ticket, turn->ticket);
    return STEP_RAN;
}

static enum step run_turn(struct lane *lane, struct input *input, struct turn *turn)
{
    struct pipeline *pipeline = lane->machine.pipeline;
    int64_t start = weir_now(&lane->machine.context);
    uint64_t records = 0, taken = pool_taken(lane->machine.pool);
    bool begins = input->halved != turn;
    lane->current_source = turn->source;
    lane->current_mark = input->index * pipeline->source_count + turn->source;
    lane->child_ns = 0;
    if (open_pending(lane, input, turn) < 0)
        return begins ? stuck(lane, input, turn) : wait_for_memory(lane);
    if (begins && pipeline_aborting(pipeline)) {
        turn_discard_data(turn, OUTCOME_DROPPED);
    } else if (begins && decode_turn(lane, turn) < 0) {
        if (!hopeless(lane, input, turn))
            return stuck(lane, input, turn);
        fail_block(lane, turn);
    }
    lane->stuck_since = 0;
    if (begins && input->source != UINT32_MAX)
        count_decoding(lane, turn, weir_now(&lane->machine.context) - start);
    if (begins)
        records = run_data(lane, input, turn);
    if ((begins ? lane_waits(lane, input) : continue_nodes(lane, input)) || !advance_times(lane, input, turn)) {
        room_learn(lane, input, turn, pool_taken(lane->machine.pool) - taken);
        return halve(lane, input, turn);
    }
    pass_control(lane, input, turn, input->latest);
    submit_outputs(lane, input);
    room_learn(lane, input, turn, pool_taken(lane->machine.pool) - taken);
    input->halved = NULL;
    input->splits = 0;
    atomic_store(&input->halved_ticket, UINT64_MAX);
    turn_free(turn);
    count_cost(pipeline, weir_now(&lane->machine.context) - start, records);
    return STEP_RAN;
}

static enum step run_measured(struct lane *lane, struct input *input, struct turn *turn)
{
    struct pipeline *pipeline = lane->machine.pipeline;
    lane->refused_before = atomic_load_explicit(&pipeline->batch_budget.refusals, memory_order_relaxed);
    enum step step = run_turn(lane, input, turn);
    room_give(lane);
    return step;
}

/* Of a turn in pieces, other lanes are to bring theirs too before there are many of this one. */
static bool is_ahead(struct lane *lane, struct input *input)
{
    const struct turn *turn = input->halved;
    bool ahead = false;
    for (uint32_t i = 0; turn && i < input->use_count && !ahead; i++) {
        const struct output_use *use = &input->uses[i];
        ahead = edge_ahead(lane->outputs[use->output].edge, turn->source, turn->sequence, use->parts[turn->source]);
    }
    return ahead;
}

static bool source_waits(struct lane *lane, const struct input *input)
{
    const struct pipeline *pipeline = lane->machine.pipeline;
    if (input->source == UINT32_MAX || input->halved || !source_too_far_ahead(&pipeline->sources[input->source], true))
        return false;
    atomic_store(&lane->wants_room, true); /* then again: a turn of the other that ends in between sees it */
    if (!source_too_far_ahead(&pipeline->sources[input->source], true))
        return false;
    const int64_t until = weir_now(&lane->machine.context) + ROOM_LOOK_AGAIN_MS * CLOCK_MILLISECOND;
    if (lane->machine.deadline > until)
        lane->machine.deadline = until;
    return true;
}

static bool has_credit(struct lane *lane, struct input *input)
{
    if (source_waits(lane, input))
        return false;
    for (uint32_t i = 0; i < input->use_count; i++)
        if (!edge_credit(lane->outputs[input->uses[i].output].edge))
            return false;
    return !is_ahead(lane, input);
}

static bool shares_nodes(const struct input *a, const struct input *b)
{
    for (uint32_t i = 0, j = 0; i < a->node_count && j < b->node_count;) {
        if (a->nodes[i] == b->nodes[j])
            return true;
        if (a->nodes[i]->index < b->nodes[j]->index)
            i++;
        else
            j++;
    }
    return false;
}

/* Is the turn of another input between two pieces, at stages that this one leads to as well? They are done with that
 * one first; unless it waits for room behind them, which this one may have to make. Of two such turns the one nearer
 * the sinks goes first, if it can. */
static bool must_wait(struct lane *lane, const struct input *input)
{
    for (uint32_t i = 0; i < lane->input_count; i++) {
        struct input *other = &lane->inputs[i];
        if (other == input || !other->halved || !shares_nodes(other, input))
            continue;
        if (input->halved ? other->index < input->index && has_credit(lane, other)
                          : !input->exchange || input->index > other->index || has_credit(lane, other))
            return true;
    }
    return false;
}

/* In a sequential run nothing is consumed before all was produced, unless a source cannot go on before. */
static bool gate_closed(struct pipeline *pipeline)
{
    if (!pipeline->options.sequential || pipeline_aborting(pipeline) || !atomic_load(&pipeline->sources_left))
        return false;
    for (uint32_t i = 0; i < pipeline->source_count; i++)
        if (atomic_load(&pipeline->sources[i].waiting))
            return false;
    return true;
}

static bool is_closed(const struct lane *lane, const struct input *input)
{
    return input->source != UINT32_MAX && gate_closed(lane->machine.pipeline);
}

/* The turn that the input is at, or would take; bytes 0: none. */
static struct edge_next next_turn(const struct input *input)
{
    const struct turn *mine = input->halved ? input->halved : input->stuck;
    return mine ? (struct edge_next){mine->bytes ? mine->bytes : 1, mine->ticket} : edge_look_next(input->edge);
}

/* NULL: another lane was faster. */
static struct turn *take_turn(struct input *input)
{
    struct turn *turn = input->halved ? input->halved : input->stuck;
    if (!turn)
        return edge_take(input->edge);
    input->stuck = NULL;
    atomic_store(&input->stuck_ticket, UINT64_MAX);
    return turn;
}

/* What is nearest the sinks goes first: it may be what the others wait for. STEP_DONE: nothing more will come. */
static enum step run_first(struct lane *lane)
{
    const bool aborting = pipeline_aborting(lane->machine.pipeline);
    bool blocked = false, open = false;
    for (uint32_t i = 0; i < lane->input_count; i++) {
        struct input *input = &lane->inputs[i];
        if ((!aborting && !has_credit(lane, input)) || must_wait(lane, input)) {
            blocked = open = true;
            continue;
        }
        if (is_closed(lane, input)) {
            open = true;
            continue;
        }
        const struct edge_next next = next_turn(input);
        if (!next.bytes) {
            open |= !edge_done(input->edge);
            continue;
        }
        open = true;
        if (!room_take(lane, input, &next)) {
            blocked = true;
            continue;
        }
        struct turn *turn = take_turn(input);
        if (turn)
            return run_measured(lane, input, turn);
        room_give(lane);
    }
    return !open ? STEP_DONE : blocked ? STEP_BLOCKED : STEP_IDLE;
}

/* All waits, and this lane is to go on: with the turn between two pieces, or without memory, that is nearest the sinks.
 */
static enum step run_seized(struct lane *lane)
{
    struct input *input = NULL;
    for (uint32_t i = 0; i < lane->input_count && !(input && input->halved); i++)
        if (lane->inputs[i].halved || (!input && lane->inputs[i].stuck))
            input = &lane->inputs[i];
    lane->seized = true;
    const enum step step = run_measured(lane, input, take_turn(input));
    lane->seized = false;
    return step;
}

static enum step go_on(struct lane *lane)
{
    lane->machine.deadline = INT64_MAX;
    enum step step = run_first(lane);
    if (step == STEP_RAN)
        return step;
    const enum rest rest = lane->outside ? REST_NOT : step == STEP_DONE ? REST_ENDED : REST_YES;
    return room_seize(lane, rest) ? run_seized(lane) : step;
}

enum step lane_step(struct machine *machine)
{
    struct lane *lane = (struct lane *)machine;
    atomic_store(&lane->rest, REST_NOT);
    lane->outside = false;
    const enum step step = go_on(lane);
    if (step == STEP_RAN && machine->timed_out)
        atomic_fetch_add_explicit(&machine->pipeline->timed_steps, 1, memory_order_relaxed);
    machine->timed_out = false;
    return step;
}
