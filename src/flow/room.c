/* SPDX-License-Identifier: MIT */
/*
 * Is there memory for a turn? It is asked before a lane takes one, never in the middle of it: a turn that waits leaves
 * its records on the edge, where the source feels it; a turn that runs out of memory would have to refuse them.
 *
 *     used (batches, blocks, what is encoded) + what the turns that run may still take + this one  <=  share
 *
 * What a lane's pool keeps for reuse is in `used` already, and comes first; so does what a turn that runs has taken.
 *
 * What a turn grows to is learned from those before it of about its size, by the bytes that lanes took from their
 * pools: a small one says little of a large one, as each part takes a slab at least. One larger than any before is
 * taken to grow in proportion, which is more than it will; the first is guessed. The same figures tell a source how
 * many rows its next batch may have, so that a long pipeline has small batches and each lane can have one.
 *
 * When nothing that is nearer the sinks than a turn has anything to do, and no lane runs, no memory will come back by
 * itself: then the turn runs, alone. So somebody always does.
 *
 * Turns between two pieces wait for each other's room, for edges whose order wants an older piece first, and for the
 * stages that they share, and with several sources these may form a ring. Whoever is the last to come to rest sees that
 * nothing moves any more, and the oldest of these turns goes on with one piece, whatever it waits for.
 */
#include "flow/engine.h"

#include "base/clock.h"

enum {
    SLAB_BYTES = 4096 + 256, /* the least that a part takes for a batch */
    COPIES = 4,              /* raw bytes → block, columns, derived columns, encoded: a guess */
    ROW_BYTES = 256,         /* what a record of 64 bytes then is */
    COLUMN_BYTES = 16,       /* and what each part may add to it */
    LINE_LEAST = 2,          /* bytes that a record takes in a block of text */
    ALLOWED_LEAST = 64,      /* rows: fewer would hardly take less memory */
    /* Likewise a net: nothing has moved for so long, and a turn between two pieces goes on. */
    QUIET_MOST_MS = 1000,
    FORGET = 64, /* what was learned of a large turn is forgotten over about so many smaller ones */
};

/* Turns of one size are those with so many bits in their number of bytes. */
static uint32_t size_of(uint64_t bytes)
{
    uint32_t size = bytes ? 64 - (uint32_t)__builtin_clzll(bytes) : 0;
    return size < ROOM_SIZES ? size : ROOM_SIZES - 1;
}

static uint64_t expected(const struct input *input, uint64_t bytes)
{
    uint32_t size = size_of(bytes);
    if (input->grown[size])
        return input->grown[size];
    for (uint32_t i = size; i-- > 0;)
        if (input->grown[i])
            return (uint64_t)((double)input->grown[i] * (double)bytes / (double)(i ? 1ull << (i - 1) : 1));
    for (uint32_t i = size + 1; i < ROOM_SIZES; i++)
        if (input->grown[i])
            return input->grown[i];
    return (uint64_t)(input->node_count + 1) * SLAB_BYTES + COPIES * bytes;
}

static uint64_t less_kept(const struct lane *lane, uint64_t bytes)
{
    uint64_t kept = pool_kept(lane->machine.pool);
    return bytes > kept ? bytes - kept : 0;
}

/* Of new memory, by turns that run on other lanes. */
static uint64_t still_to_take(const struct pipeline *pipeline, const struct lane *but)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < pipeline->lane_count; i++) {
        const struct lane *lane = &pipeline->lanes[i];
        uint64_t until = atomic_load(&lane->takes_until), taken = pool_taken(lane->machine.pool);
        if (lane != but && until > taken)
            bytes += less_kept(lane, until - taken);
    }
    return bytes;
}

static bool sinks_quiet(const struct pipeline *pipeline)
{
    for (uint32_t i = 0; i < pipeline->sink_count; i++) {
        const struct sink *sink = &pipeline->sinks[i];
        if (sink->edge && (atomic_load(&sink->holds) || edge_look_next(sink->edge).bytes))
            return false;
    }
    return true;
}

/* Has an asynchronous stage anything to do whose results would come nearer the sinks than this input? */
static bool calls_quiet(const struct pipeline *pipeline, const struct input *input)
{
    for (uint32_t i = 0; i < input->index; i++) {
        const struct exchange *exchange = pipeline->lanes[0].inputs[i].exchange;
        const struct async_stage *stage = exchange ? exchange->async : NULL;
        if (stage && (atomic_load(&stage->running) || edge_look_next(stage->in).bytes))
            return false;
    }
    return true;
}

/* A source that is ahead in event time has nothing to do before the one that it waits for went on. */
static bool has_work(const struct pipeline *pipeline, const struct input *input)
{
    return edge_look_next(input->edge).bytes &&
           (input->source == UINT32_MAX || !source_too_far_ahead(&pipeline->sources[input->source], true));
}

/* Has nothing anything to do that would give memory back when it is done? Inputs are listed nearest the sinks first,
 * alike on every lane. At the same input, the lane whose turn is the oldest goes first: turns that are behind hold what
 * others made of the same batch. Its turn is the one between two pieces, if there is such a one: of several sources an
 * older one may have come behind it. On a lane that has such a one at any input only those count: what waits on its
 * edges may have to wait for them. */
static bool quiet_behind(const struct pipeline *pipeline, const struct input *input, uint64_t ticket)
{
    for (uint32_t i = 0; i < pipeline->lane_count; i++) {
        const struct input *inputs = pipeline->lanes[i].inputs;
        bool halves = false;
        for (uint32_t j = 0; j < pipeline->lanes[i].input_count; j++) {
            const uint64_t halved = atomic_load(&inputs[j].halved_ticket), stuck = atomic_load(&inputs[j].stuck_ticket);
            const uint64_t mine = halved < stuck ? halved : stuck;
            halves |= halved != UINT64_MAX;
            if ((j < input->index && mine != UINT64_MAX) || (j == input->index && mine < ticket))
                return false;
        }
        for (uint32_t j = 0; !halves && j < input->index; j++)
            if (has_work(pipeline, &inputs[j]))
                return false;
        if (!halves && edge_look_next(inputs[input->index].edge).ticket < ticket)
            return false;
    }
    return sinks_quiet(pipeline) && calls_quiet(pipeline, input);
}

bool room_take(struct lane *lane, const struct input *input, const struct edge_next *next)
{
    struct pipeline *pipeline = lane->machine.pipeline;
    uint64_t need = expected(input, next->bytes);
    uint32_t nobody = 0;
    /* Both before looking: so that of two lanes that ask at once one sees the other, and who gives some back in between
     * sees that it is wanted. */
    atomic_store(&lane->takes_until, pool_taken(lane->machine.pool) + need);
    atomic_store(&lane->wants_room, true);
    uint64_t others = still_to_take(pipeline, lane);
    uint64_t used = atomic_load_explicit(&pipeline->batch_budget.used, memory_order_relaxed);
    bool fits = used + others + less_kept(lane, need) <= pipeline->batch_share;
    if (fits)
        atomic_fetch_add(&pipeline->lanes_busy, 1);
    if (fits || (!atomic_load(&pipeline->lanes_busy) && quiet_behind(pipeline, input, next->ticket) &&
                 atomic_compare_exchange_strong(&pipeline->lanes_busy, &nobody, 1))) {
        atomic_store(&lane->wants_room, false);
        atomic_fetch_add_explicit(&pipeline->rooms_taken, 1, memory_order_relaxed);
        return true;
    }
    atomic_store(&lane->takes_until, 0);
    lane->machine.deadline = weir_now(&lane->machine.context) + ROOM_LOOK_AGAIN_MS * CLOCK_MILLISECOND;
    return false;
}

/* ---- When all wait for each other ------------------------------------------------------------------------------- */

/* Will nothing ever move by itself? Sources do not count: what they bring comes behind what is here. What is on its
 * way from one to another is a wake that nobody has taken yet. */
static bool all_rest(const struct pipeline *pipeline)
{
    if (atomic_load(&pipeline->lanes_busy) || !sinks_quiet(pipeline))
        return false;
    for (uint32_t i = 0; i < pipeline->async_count; i++) {
        const struct async_stage *stage = &pipeline->async_stages[i];
        if (atomic_load(&stage->running) || (edge_look_next(stage->in).bytes && !edge_full(stage->out)))
            return false;
    }
    for (uint32_t i = 0; i < pipeline->lane_count; i++) {
        const struct lane *lane = &pipeline->lanes[i];
        const enum rest rest = atomic_load(&lane->rest);
        if (rest == REST_NOT || (rest != REST_ENDED && waiter_woken(&lane->machine.waiter)))
            return false;
    }
    return true;
}

/* The oldest turn that a lane is at, between two pieces or without memory; UINT64_MAX: there is none. */
static uint64_t oldest_turn(const struct lane *lane, bool stuck)
{
    uint64_t oldest = UINT64_MAX;
    for (uint32_t i = 0; i < lane->input_count; i++) {
        const struct input *input = &lane->inputs[i];
        const uint64_t ticket = atomic_load(stuck ? &input->stuck_ticket : &input->halved_ticket);
        oldest = ticket < oldest ? ticket : oldest;
    }
    return oldest;
}

/* The oldest piece is most likely what the others wait for. */
static struct lane *oldest_lane(struct pipeline *pipeline)
{
    uint64_t oldest = UINT64_MAX;
    struct lane *found = NULL;
    for (int stuck = 0; !found && stuck < 2; stuck++)
        for (uint32_t i = 0; i < pipeline->lane_count; i++) {
            const uint64_t ticket = oldest_turn(&pipeline->lanes[i], stuck > 0);
            found = ticket < oldest ? &pipeline->lanes[i] : found;
            oldest = ticket < oldest ? ticket : oldest;
        }
    return found;
}

/* Should the lane have missed that all rest: nothing has moved for long. */
static bool rests_long(struct lane *lane)
{
    struct pipeline *pipeline = lane->machine.pipeline;
    const int64_t now = weir_now(&lane->machine.context);
    const uint64_t taken = atomic_load_explicit(&pipeline->rooms_taken, memory_order_relaxed);
    if (taken != lane->seen_taken || atomic_load(&pipeline->lanes_busy) || !sinks_quiet(pipeline))
        lane->quiet_since = now;
    lane->seen_taken = taken;
    const int64_t until = lane->quiet_since + QUIET_MOST_MS * CLOCK_MILLISECOND;
    if (now < until && lane->machine.deadline > until)
        lane->machine.deadline = until;
    return now >= until;
}

static bool seize(struct lane *lane)
{
    struct pipeline *pipeline = lane->machine.pipeline;
    lane->quiet_since = weir_now(&lane->machine.context);
    atomic_store(&lane->rest, REST_NOT);
    atomic_store(&lane->wants_room, false);
    atomic_fetch_add(&pipeline->lanes_busy, 1);
    atomic_fetch_add_explicit(&pipeline->rooms_taken, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&pipeline->forced, 1, memory_order_relaxed);
    return true;
}

bool room_seize(struct lane *lane, enum rest rest)
{
    struct pipeline *pipeline = lane->machine.pipeline;
    const bool granted = atomic_exchange(&lane->granted, false);
    const bool holds = oldest_turn(lane, false) != UINT64_MAX || oldest_turn(lane, true) != UINT64_MAX;
    if (holds && (granted || pipeline_aborting(pipeline) || rests_long(lane)))
        return seize(lane);
    if (holds && !lane->outside)
        atomic_store(&lane->wants_room, true); /* to look again when a sink or a call has become quiet */
    atomic_store(&lane->rest, rest);           /* both before looking: the last that comes to rest sees all */
    struct lane *oldest = all_rest(pipeline) ? oldest_lane(pipeline) : NULL;
    if (oldest == lane)
        return seize(lane);
    if (oldest) {
        atomic_store(&oldest->granted, true);
        waiter_wake(&oldest->machine.waiter);
    }
    return false;
}

/* ---- Who waits for room ------------------------------------------------------------------------------------------ */

static void wake_for_room(struct pipeline *pipeline, const struct lane *but)
{
    for (uint32_t i = 0; i < pipeline->lane_count; i++)
        if (&pipeline->lanes[i] != but && atomic_load(&pipeline->lanes[i].wants_room))
            waiter_wake(&pipeline->lanes[i].machine.waiter);
    for (uint32_t i = 0; i < pipeline->source_count; i++)
        if (atomic_load(&pipeline->sources[i].wants_room))
            waiter_wake(&pipeline->sources[i].machine.waiter);
}

void room_came(struct pipeline *pipeline)
{
    wake_for_room(pipeline, NULL);
}

void room_give(struct lane *lane)
{
    struct pipeline *pipeline = lane->machine.pipeline;
    atomic_store(&lane->takes_until, 0);
    atomic_fetch_sub(&pipeline->lanes_busy, 1);
    wake_for_room(pipeline, lane);
}

bool room_alone(const struct lane *lane, const struct input *input, const struct turn *turn)
{
    const struct pipeline *pipeline = lane->machine.pipeline;
    return atomic_load(&pipeline->lanes_busy) == 1 && quiet_behind(pipeline, input, turn->ticket);
}

/* A lane's part of the share, when all have a turn: half is for what runs, and half for what waits on edges. */
static uint64_t part_of_lane(const struct pipeline *pipeline)
{
    return pipeline->batch_share / 2 / pipeline->lane_count;
}

/* A quarter of what would fit by a guess at what a record grows to; from then on by what is seen. */
uint32_t room_rows_at_first(const struct pipeline *pipeline)
{
    uint64_t row = ROW_BYTES + (uint64_t)pipeline->plan->count * COLUMN_BYTES;
    uint64_t rows = part_of_lane(pipeline) / 4 / row;
    if (pipeline->plan->batch > 0)
        return (uint32_t)pipeline->plan->batch;
    return (uint32_t)(rows < ALLOWED_LEAST ? ALLOWED_LEAST : rows < SOURCE_ROWS_MOST ? rows : SOURCE_ROWS_MOST);
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

/* A batch of twice as many rows takes at most twice the memory: so a small one that fits lets larger ones come. */
static void allow_rows(struct pipeline *pipeline, struct source *source, uint32_t grain, uint64_t grown)
{
    uint64_t part = part_of_lane(pipeline);
    uint32_t most = pipeline->plan->batch > 0 ? (uint32_t)pipeline->plan->batch : SOURCE_ROWS_MOST;
    uint32_t least = most < ALLOWED_LEAST ? most : ALLOWED_LEAST;
    uint32_t before = atomic_load_explicit(&source->allowed_rows, memory_order_relaxed);
    double fit = (double)grain * (double)part / (double)(grown ? grown : 1);
    uint64_t rows = fit < 2.0 * before ? (uint64_t)fit : 2ull * before;
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
    if (turn->grain)
        allow_rows(pipeline, &pipeline->sources[turn->source], turn->grain, grown);
    if (!grown)
        return; /* its records went on as they came: that is learned for the source, and nothing of the input */
    uint64_t *before = &input->grown[size_of(turn->bytes)];
    if (*before > grown)
        *before -= (*before - grown) / FORGET;
    else
        *before = grown;
}
