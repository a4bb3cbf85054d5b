/* SPDX-License-Identifier: MIT */
/*
 * Is there memory for a turn? It is asked before a lane takes one, never in the middle of it: a turn that waits leaves
 * its records on the edge, where the source feels it; a turn that runs out of memory would have to refuse them.
 *
 *     used (batches, blocks, what is encoded) + reserved (what the turns that run may still grow to) + this one  <=
 * share
 *
 * What a turn grows to is learned from those before it, by the bytes that lanes took from their pools. The first one is
 * guessed. The same figures tell a source how many rows its next batch may have, so that a long pipeline has small
 * batches and each lane can have one.
 *
 * When nothing that is nearer the sinks than a turn has anything to do, and no lane runs, no memory will come back by
 * itself: then the turn runs, alone. So somebody always does.
 */
#include "flow/engine.h"

#include "base/clock.h"

enum {
    SLAB_BYTES = 4096 + 256, /* the least that a part takes for a batch */
    COPIES = 4,              /* raw bytes → block, columns, derived columns, encoded: a guess */
    LINE_LEAST = 2,          /* bytes that a record takes in a block of text */
    ALLOWED_LEAST = 64,      /* rows: fewer would hardly take less memory */
    FORGET = 64,             /* what was learned of a large turn is forgotten over about so many smaller ones */
};

static uint64_t expected(const struct input *input, uint64_t bytes)
{
    if (!input->grown)
        return (uint64_t)(input->node_count + 1) * SLAB_BYTES + COPIES * bytes;
    return bytes > input->grown_from ? (uint64_t)((double)input->grown / (double)input->grown_from * (double)bytes)
                                     : input->grown;
}

/* Has nothing anything to do that would give memory back when it is done? Inputs are listed nearest the sinks first,
 * alike on every lane. At the same input, the lane whose turn is the oldest goes first: turns that are behind hold what
 * others made of the same batch. */
static bool quiet_behind(const struct pipeline *pipeline, const struct input *input, uint64_t ticket)
{
    for (uint32_t i = 0; i < pipeline->lane_count; i++) {
        const struct input *inputs = pipeline->lanes[i].inputs;
        for (uint32_t j = 0; j < input->index; j++)
            if (edge_look_next(inputs[j].edge).bytes || atomic_load(&inputs[j].halved_ticket) != UINT64_MAX)
                return false;
        if (edge_look_next(inputs[input->index].edge).ticket < ticket ||
            atomic_load(&inputs[input->index].halved_ticket) < ticket)
            return false;
    }
    for (uint32_t i = 0; i < pipeline->sink_count; i++) {
        const struct sink *sink = &pipeline->sinks[i];
        if (sink->edge && (atomic_load(&sink->holds) || edge_look_next(sink->edge).bytes))
            return false;
    }
    for (uint32_t i = 0; i < pipeline->async_count; i++) {
        const struct async_stage *stage = &pipeline->async_stages[i];
        if (atomic_load(&stage->running) || edge_look_next(stage->in).bytes)
            return false;
    }
    return true;
}

bool room_take(struct lane *lane, const struct input *input, const struct edge_next *next)
{
    struct pipeline *pipeline = lane->machine.pipeline;
    uint64_t need = expected(input, next->bytes);
    uint64_t reserved = atomic_fetch_add(&pipeline->reserved, need);
    uint64_t used = atomic_load_explicit(&pipeline->batch_budget.used, memory_order_relaxed);
    uint32_t nobody = 0;
    lane->reserved = need;
    atomic_store(&lane->wants_room, true); /* before looking, so that who gives some back in between sees it */
    bool fits = used + reserved + need <= pipeline->batch_share;
    if (fits)
        atomic_fetch_add(&pipeline->lanes_busy, 1);
    if (fits || (!atomic_load(&pipeline->lanes_busy) && quiet_behind(pipeline, input, next->ticket) &&
                 atomic_compare_exchange_strong(&pipeline->lanes_busy, &nobody, 1))) {
        atomic_store(&lane->wants_room, false);
        return true;
    }
    atomic_fetch_sub(&pipeline->reserved, need);
    lane->machine.deadline = weir_now(&lane->machine.context) + CLOCK_MILLISECOND;
    return false;
}

void room_came(struct pipeline *pipeline)
{
    for (uint32_t i = 0; i < pipeline->lane_count; i++)
        if (atomic_load(&pipeline->lanes[i].wants_room))
            waiter_wake(&pipeline->lanes[i].machine.waiter);
}

void room_give(struct lane *lane)
{
    struct pipeline *pipeline = lane->machine.pipeline;
    atomic_fetch_sub(&pipeline->reserved, lane->reserved);
    atomic_fetch_sub(&pipeline->lanes_busy, 1);
    room_came(pipeline);
}

bool room_alone(const struct lane *lane, const struct input *input, const struct turn *turn)
{
    const struct pipeline *pipeline = lane->machine.pipeline;
    return atomic_load(&pipeline->lanes_busy) == 1 && quiet_behind(pipeline, input, turn->ticket);
}

uint32_t room_rows_at_first(const struct pipeline *pipeline)
{
    return pipeline->plan->batch > 0 ? (uint32_t)pipeline->plan->batch : ALLOWED_LEAST;
}

/* A lane's part of the share, when all have a turn: half is for what runs, and half for what waits on edges. */
static uint64_t part_of_lane(const struct pipeline *pipeline)
{
    return pipeline->batch_share / 2 / pipeline->lane_count;
}

uint64_t room_rows_of(const struct pipeline *pipeline, const struct weir_schema *schema, size_t size)
{
    uint64_t part = part_of_lane(pipeline), width = sizeof(uint64_t);
    for (uint32_t i = 0; schema && i < schema->count; i++)
        width += weir_field_width(&schema->fields[i]);
    if (size / LINE_LEAST < part / width)
        return UINT64_MAX;
    return part / width > ALLOWED_LEAST ? part / width : ALLOWED_LEAST;
}

static void allow_rows(struct pipeline *pipeline, struct source *source, uint32_t grain, uint64_t grown)
{
    uint64_t part = part_of_lane(pipeline);
    uint32_t most = pipeline->plan->batch > 0 ? (uint32_t)pipeline->plan->batch : SOURCE_ROWS_MOST;
    uint32_t least = most < ALLOWED_LEAST ? most : ALLOWED_LEAST;
    uint32_t before = atomic_load_explicit(&source->allowed_rows, memory_order_relaxed);
    uint64_t rows = grown / 2 > part / grain ? (uint64_t)((double)grain * (double)part / (double)grown) : 2ull * grain;
    if (rows > 2ull * grain)
        rows = 2ull * grain;
    if (grown <= part && rows < before)
        return; /* it was a small one */
    if (rows > most)
        rows = most;
    if (rows < least)
        rows = least;
    if (rows != before)
        atomic_store_explicit(&source->allowed_rows, (uint32_t)rows, memory_order_relaxed);
}

void room_learn(struct lane *lane, struct input *input, const struct turn *turn, uint64_t grown)
{
    struct pipeline *pipeline = lane->machine.pipeline;
    if (!turn->bytes)
        return;
    if (!grown) { /* its records went on as they came: that is learned for the source, and nothing of the input */
        if (turn->grain)
            allow_rows(pipeline, &pipeline->sources[turn->source], turn->grain, grown);
        return;
    }
    if (!input->grown || grown >= expected(input, turn->bytes)) {
        input->grown = grown;
        input->grown_from = turn->bytes;
    } else if (input->grown > grown) {
        input->grown -= (input->grown - grown) / FORGET;
    }
    if (turn->grain)
        allow_rows(pipeline, &pipeline->sources[turn->source], turn->grain, grown);
}
