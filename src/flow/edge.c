/* SPDX-License-Identifier: MIT */
#include "flow/edge.h"

#include "base/clock.h"
#include "base/memory.h"

#include <string.h>

/* Turns of a source on the way: its batches, whose number its account limits; as many that say it is idle; its end. */
enum { EDGE_WINDOW = 2 * ACCOUNT_WINDOW + 8 };

enum { AHEAD_MOST = 2 }; /* pieces of a part that wait while others of its turn are not as far */

struct slot {                      /* of a turn */
    uint32_t piece;                /* that comes out next */
    bool combining;                /* somebody puts it together, and will look for the next */
    struct turn *combined, **last; /* pieces whose turn is not yet the next */
    bool complete;                 /* the last one is among them */
};

struct part {           /* of a turn */
    struct turn *queue; /* pieces by their numbers */
    struct turn *held;  /* what was taken off it and has not gone out yet */
    uint32_t piece;     /* that is taken off next, and its split */
    uint32_t split;
    bool sated; /* what is held lies behind what others bring: no more is taken off yet */
    bool done;  /* all of it has gone out */
};

struct stream { /* of one source */
    struct slot *slots;
    struct part *part_memory;   /* for each slot and part */
    struct turn **taken_memory; /* for each slot what is combined at last */
    uint64_t next;              /* sequence that becomes ready next */
    uint32_t parts;
};

struct waiters {
    struct weir_waiter **items;
    uint32_t count;
};

struct edge {
    struct edge_options options;
    pthread_mutex_t lock;
    struct stream *streams;
    struct turn *first, *last; /* ready */
    _Atomic size_t limit, bytes;
    _Atomic bool blocked; /* a producer found no credit */
    bool ahead;           /* a producer has brought more pieces than others; with the lock */
    size_t peak;
    uint64_t turns, dropped, blocked_ns, taken, waited_ns;
    int64_t full_since; /* monotonic; 0: not full */
    uint32_t sources_left;
    struct waiters consumers, producers;
};

/* The parts of a slot. Slots are not prepared: those that no turn ever comes to cost no memory. */
static struct part *slot_parts(const struct stream *stream, const struct slot *slot)
{
    return stream->part_memory + (size_t)(slot - stream->slots) * stream->parts;
}

static int init_streams(struct edge *edge, const struct edge_options *options)
{
    for (uint32_t i = 0; i < options->sources; i++) {
        struct stream *stream = &edge->streams[i];
        stream->parts = options->parts[i];
        if (!stream->parts)
            continue;
        edge->sources_left++;
        if (!options->ordered)
            continue;
        stream->slots = memory_zeroed(EDGE_WINDOW, sizeof *stream->slots);
        stream->part_memory = memory_zeroed((size_t)EDGE_WINDOW * stream->parts, sizeof *stream->part_memory);
        stream->taken_memory = memory_zeroed((size_t)EDGE_WINDOW * stream->parts, sizeof(struct turn *));
        if (!stream->slots || !stream->part_memory || !stream->taken_memory)
            return -1;
    }
    return 0;
}

struct edge *edge_new(const struct edge_options *options)
{
    struct edge *edge = memory_zeroed(1, sizeof *edge);
    if (!edge)
        return NULL;
    edge->options = *options;
    edge->options.parts = NULL;
    atomic_store_explicit(&edge->limit, options->limit, memory_order_relaxed);
    pthread_mutex_init(&edge->lock, NULL);
    edge->streams = memory_zeroed(options->sources ? options->sources : 1, sizeof *edge->streams);
    if (!edge->streams || init_streams(edge, options) < 0) {
        edge_free(edge);
        return NULL;
    }
    return edge;
}

static void discard(struct turn *turn) /* and those behind it */
{
    for (struct turn *next; turn; turn = next) {
        next = turn->next;
        turn_discard_data(turn, OUTCOME_DROPPED);
        turn_free(turn);
    }
}

void edge_free(struct edge *edge)
{
    if (!edge)
        return;
    discard(edge->first);
    for (uint32_t i = 0; edge->streams && i < edge->options.sources; i++) {
        struct stream *stream = &edge->streams[i];
        for (size_t j = 0; stream->slots && j < EDGE_WINDOW; j++) {
            discard(stream->slots[j].combined);
            for (uint32_t k = 0; k < stream->parts && stream->part_memory; k++) {
                discard(stream->part_memory[j * stream->parts + k].queue);
                discard(stream->part_memory[j * stream->parts + k].held);
            }
        }
        memory_free(stream->slots);
        memory_free(stream->part_memory);
        memory_free(stream->taken_memory);
    }
    memory_free(edge->streams);
    memory_free(edge->consumers.items);
    memory_free(edge->producers.items);
    pthread_mutex_destroy(&edge->lock);
    memory_free(edge);
}

static int add_waiter(struct waiters *waiters, struct weir_waiter *waiter)
{
    struct weir_waiter **items = memory_resize(waiters->items, (waiters->count + 1) * sizeof *items);
    if (!items)
        return -1;
    items[waiters->count++] = waiter;
    waiters->items = items;
    return 0;
}

int edge_add_consumer(struct edge *edge, struct weir_waiter *waiter)
{
    return add_waiter(&edge->consumers, waiter);
}

int edge_add_producer(struct edge *edge, struct weir_waiter *waiter)
{
    return add_waiter(&edge->producers, waiter);
}

static void wake_all(const struct waiters *waiters)
{
    for (uint32_t i = 0; i < waiters->count; i++)
        waiter_wake(waiters->items[i]);
}

/* One parked consumer is enough for one turn; when none is parked, each gets a wake that its next park will see. */
static void wake_one(const struct waiters *waiters)
{
    for (uint32_t i = 0; i < waiters->count; i++) {
        if (waiter_parked(waiters->items[i])) {
            waiter_wake(waiters->items[i]);
            return;
        }
    }
    wake_all(waiters);
}

bool edge_full(const struct edge *edge)
{
    return edge->options.policy == PLAN_BLOCK && atomic_load(&edge->bytes) >= edge->limit;
}

bool edge_credit(struct edge *edge)
{
    if (!edge_full(edge))
        return true;
    atomic_store(&edge->blocked, true); /* before looking again, so that a taker in between sees it */
    return !edge_full(edge);
}

static void note_fullness(struct edge *edge)
{
    bool full = atomic_load_explicit(&edge->bytes, memory_order_relaxed) >= edge->limit;
    if (full == (edge->full_since != 0))
        return;
    int64_t now = clock_monotonic();
    if (!full)
        edge->blocked_ns += (uint64_t)(now - edge->full_since);
    edge->full_since = full ? now : 0;
}

void edge_narrow(struct edge *edge, size_t most)
{
    size_t limit = edge->options.limit < most ? edge->options.limit : most;
    pthread_mutex_lock(&edge->lock);
    atomic_store(&edge->limit, limit);
    note_fullness(edge);
    pthread_mutex_unlock(&edge->lock);
}

static size_t data_bytes(const struct turn *turn)
{
    size_t bytes = 0;
    for (const struct message *message = turn->first; message; message = message->next) {
        if (message->kind == MESSAGE_BLOCK)
            bytes += message->block.size;
        if (message->kind == MESSAGE_DATA)
            bytes += weir_batch_bytes(message->batch) + message->shared + message->encoded.size;
    }
    return bytes;
}

/* The data of a turn moves to a ghost, to be settled outside the lock; its control messages stay where they are. */
static void drop_data(struct edge *edge, struct turn *turn, struct turn **dropped)
{
    struct turn *ghost = turn_new(turn->source, turn->sequence);
    if (!ghost)
        return; /* out of memory: nothing is dropped, the edge overshoots by this turn */
    ghost->first = turn_take_data(turn);
    edge->dropped += turn_records(ghost);
    atomic_fetch_sub(&edge->bytes, turn->bytes);
    turn->bytes = 0;
    ghost->next = *dropped;
    *dropped = ghost;
}

static void make_room(struct edge *edge, struct turn *newest, struct turn **dropped)
{
    if (edge->options.policy == PLAN_BLOCK || atomic_load(&edge->bytes) <= edge->limit)
        return;
    if (edge->options.policy == PLAN_DROP_NEWEST) {
        drop_data(edge, newest, dropped);
        return;
    }
    for (struct turn *turn = edge->first; turn && atomic_load(&edge->bytes) > edge->limit; turn = turn->next)
        if (turn->bytes && turn != newest)
            drop_data(edge, turn, dropped);
}

static void push_ready(struct edge *edge, struct turn *turn, struct turn **dropped)
{
    if (!turn->first && edge->options.last) {
        turn->next = *dropped;
        *dropped = turn;
        return;
    }
    if (edge->last)
        edge->last->next = turn;
    else
        edge->first = turn;
    edge->last = turn;
    turn->ready_ns = clock_monotonic();
    edge->turns++;
    size_t bytes = atomic_fetch_add(&edge->bytes, turn->bytes) + turn->bytes;
    make_room(edge, turn, dropped);
    if (bytes > edge->peak)
        edge->peak = bytes;
    note_fullness(edge);
}

static int64_t finish(struct edge *edge, struct turn *turn)
{
    int64_t spent = edge->options.complete ? edge->options.complete(edge->options.owner, turn) : 0;
    turn->bytes = data_bytes(turn);
    return spent;
}

static void release_ready(struct edge *edge, struct stream *stream, struct turn **dropped)
{
    for (;;) {
        struct slot *slot = &stream->slots[stream->next % EDGE_WINDOW];
        for (struct turn *turn; (turn = slot->combined);) {
            slot->combined = turn->next;
            turn->next = NULL;
            push_ready(edge, turn, dropped);
        }
        if (!slot->complete)
            return;
        slot->complete = false;
        stream->next++;
    }
}

static void add_combined(struct slot *slot, struct turn *turn)
{
    struct turn **end = slot->combined ? slot->last : &slot->combined;
    turn->next = NULL;
    *end = turn;
    slot->last = &turn->next;
    slot->complete = !turn->more;
}

/* A part's pieces by their numbers: tasks may bring them in any order, and so may lanes what they make of them. */
static void add_piece(struct turn **link, struct turn *turn)
{
    while (*link && ((*link)->piece < turn->piece || ((*link)->piece == turn->piece && (*link)->split < turn->split)))
        link = &(*link)->next;
    turn->next = *link;
    *link = turn;
}

/* ---- Pieces ----------------------------------------------------------------------------------------------------- */

static bool is_next(const struct part *part)
{
    return part->queue && part->queue->piece == part->piece && part->queue->split == part->split;
}

/* Is something of each part there, or has gone, and the next piece of one that others may have to wait for? */
static bool pieces_ready(const struct stream *stream, const struct slot *slot)
{
    const struct part *parts = slot_parts(stream, slot);
    bool ready = false;
    for (uint32_t i = 0; i < stream->parts; i++) {
        if (!parts[i].done && !parts[i].held && !is_next(&parts[i]))
            return false;
        ready |= !parts[i].done && !parts[i].sated && is_next(&parts[i]);
    }
    return ready;
}

/* Takes off the queues what is next. Returns how many parts have more behind what is held. */
static uint32_t pull_pieces(const struct stream *stream, const struct slot *slot)
{
    struct part *parts = slot_parts(stream, slot);
    uint32_t more = 0;
    for (uint32_t i = 0; i < stream->parts; i++) {
        struct part *part = &parts[i];
        if (part->done)
            continue;
        if (!part->sated && is_next(part)) {
            struct turn *piece = part->queue;
            part->queue = piece->next;
            part->split = piece->more && piece->splits ? part->split + 1 : 0;
            part->piece = !piece->more ? 0 : part->piece + !piece->splits;
            part->sated = true;
            piece->next = NULL;
            part->held = part->held ? turn_join(part->held, piece) : piece;
        }
        more += part->held->more;
    }
    return more;
}

/* How far the rows may go out that are held, when some parts have more: up to the position at which the first of those
 * parts will go on; of the parts behind that one, up to what is before it. */
struct reach {
    uint64_t until;
    uint32_t part;
};

static struct reach find_reach(const struct part *parts, uint32_t count)
{
    struct reach reach = {UINT64_MAX, UINT32_MAX};
    for (uint32_t i = 0; i < count; i++)
        if (!parts[i].done && parts[i].held->more && (reach.part == UINT32_MAX || parts[i].held->until < reach.until))
            reach = (struct reach){parts[i].held->until, i};
    return reach;
}

/* The next piece of what the parts hold, or NULL: nothing can go out yet. */
static struct turn *combine_front(const struct stream *stream, struct slot *slot, struct weir_pool *pool)
{
    struct part *parts = slot_parts(stream, slot);
    const struct reach reach = find_reach(parts, stream->parts);
    struct turn *model = parts[reach.part].held, *front = turn_new(model->source, model->sequence);
    if (front) {
        front->receipt = receipt_hold(model->receipt);
        front->ticket = model->ticket;
        front->grain = model->grain;
        front->until = reach.until;
        front->more = true;
    }
    for (uint32_t i = 0; i < stream->parts; i++) {
        struct part *part = &parts[i];
        if (part->done)
            continue;
        if (front)
            turn_move_front(part->held, front, reach.until, i <= reach.part, pool);
        part->sated = part->held->more && (part->held->until > reach.until || (!front && i != reach.part));
        if (part->held->more)
            continue;
        part->done = !turn_has(part->held, MESSAGE_DATA);
        part->sated = !part->done;
        if (part->done) { /* its times are those of the parts that have more */
            turn_free(part->held);
            part->held = NULL;
        }
    }
    if (!front || !front->first) {
        turn_free(front);
        return NULL;
    }
    return turn_combine(&front, 1, pool);
}

/* All that is left of a turn. */
static struct turn *combine_rest(const struct stream *stream, struct slot *slot, struct weir_pool *pool)
{
    struct part *parts = slot_parts(stream, slot);
    struct turn **taken = stream->taken_memory + (size_t)(slot - stream->slots) * stream->parts;
    uint32_t count = 0;
    for (uint32_t i = 0; i < stream->parts; i++) {
        if (parts[i].held)
            taken[count++] = parts[i].held;
        parts[i].held = NULL;
        parts[i].piece = parts[i].split = 0;
        parts[i].sated = parts[i].done = false;
    }
    for (uint32_t i = 0; i < count; i++)
        turn_leave_gone(taken[i], pool);
    return turn_combine(taken, count, pool);
}

/* Called with the lock, which is let go meanwhile. What is taken off may be what somebody who was ahead waits for. */
static int64_t collect(struct edge *edge, struct stream *stream, struct slot *slot, struct weir_pool *pool,
                       struct turn **dropped, bool *ret_taken)
{
    const bool combine = stream->parts > 1 || edge->options.merge;
    int64_t spent = 0;
    while (!slot->combining && pieces_ready(stream, slot)) {
        const bool last = pull_pieces(stream, slot) == 0;
        struct part *parts = slot_parts(stream, slot);
        struct turn *turn = NULL;
        slot->combining = *ret_taken = true;
        pthread_mutex_unlock(&edge->lock);
        if (!combine) {
            turn = parts[0].held;
            parts[0].held = NULL;
            parts[0].sated = false;
        } else {
            turn = last ? combine_rest(stream, slot, pool) : combine_front(stream, slot, pool);
        }
        if (turn) {
            turn->piece = slot->piece;
            turn->split = 0;
            turn->more = !last;
            turn->splits = false;
            spent += finish(edge, turn);
        }
        pthread_mutex_lock(&edge->lock);
        slot->combining = false;
        if (turn) {
            slot->piece = last ? 0 : slot->piece + 1;
            add_combined(slot, turn);
            release_ready(edge, stream, dropped);
        }
        if (last)
            break;
    }
    return spent;
}

bool edge_ahead(struct edge *edge, uint32_t source, uint64_t sequence, uint32_t part)
{
    const struct stream *stream = &edge->streams[source];
    uint32_t count = 0;
    if (!edge->options.ordered || stream->parts < 2)
        return false;
    pthread_mutex_lock(&edge->lock);
    const struct part *parts = slot_parts(stream, &stream->slots[sequence % EDGE_WINDOW]);
    for (const struct turn *turn = parts[part].queue; turn && count < AHEAD_MOST; turn = turn->next)
        count++;
    edge->ahead |= count == AHEAD_MOST;
    pthread_mutex_unlock(&edge->lock);
    return count == AHEAD_MOST;
}

int64_t edge_submit(struct edge *edge, struct turn *turn, uint32_t part, struct weir_pool *pool)
{
    struct stream *stream = &edge->streams[turn->source];
    struct turn *dropped = NULL;
    int64_t spent = 0;
    bool taken = false; /* off the queues of parts: those who were ahead of others may look again */
    bool whole = !edge->options.ordered ||
                 (stream->parts == 1 && !edge->options.merge && !turn->more && !turn->piece && !turn->split);
    if (whole)
        spent = finish(edge, turn);
    pthread_mutex_lock(&edge->lock);
    if (!edge->options.ordered) {
        push_ready(edge, turn, &dropped);
    } else {
        struct slot *slot = &stream->slots[turn->sequence % EDGE_WINDOW];
        if (whole) {
            add_combined(slot, turn);
            release_ready(edge, stream, &dropped);
        } else {
            add_piece(&slot_parts(stream, slot)[part].queue, turn);
            spent = collect(edge, stream, slot, pool, &dropped, &taken);
        }
    }
    const bool wake = taken && edge->ahead;
    edge->ahead = edge->ahead && !wake;
    bool ready = edge->first != NULL;
    pthread_mutex_unlock(&edge->lock);
    if (ready)
        wake_one(&edge->consumers);
    if (wake)
        wake_all(&edge->producers);
    discard(dropped);
    return spent;
}

struct turn *edge_take(struct edge *edge)
{
    pthread_mutex_lock(&edge->lock);
    struct turn *turn = edge->first;
    if (turn) {
        edge->first = turn->next;
        if (!edge->first)
            edge->last = NULL;
        turn->next = NULL;
        atomic_fetch_sub(&edge->bytes, turn->bytes);
        note_fullness(edge);
        edge->taken++;
        edge->waited_ns += (uint64_t)(clock_monotonic() - turn->ready_ns);
        if (turn_has(turn, MESSAGE_END))
            edge->sources_left--;
    }
    bool over = !edge->sources_left && !edge->first;
    bool more = edge->first != NULL;
    pthread_mutex_unlock(&edge->lock);
    if (turn && (over || (more && edge->consumers.count > 1)))
        wake_all(&edge->consumers);
    if (turn && atomic_load(&edge->bytes) < edge->limit && atomic_exchange(&edge->blocked, false))
        wake_all(&edge->producers);
    return turn;
}

struct edge_next edge_look_next(struct edge *edge)
{
    struct edge_next next = {0, UINT64_MAX};
    pthread_mutex_lock(&edge->lock);
    if (edge->first)
        next = (struct edge_next){edge->first->bytes ? edge->first->bytes : 1, edge->first->ticket};
    pthread_mutex_unlock(&edge->lock);
    return next;
}

bool edge_done(struct edge *edge)
{
    pthread_mutex_lock(&edge->lock);
    bool done = !edge->sources_left && !edge->first;
    pthread_mutex_unlock(&edge->lock);
    return done;
}

bool edge_wanted(struct edge *edge)
{
    if (atomic_load_explicit(&edge->bytes, memory_order_relaxed))
        return false;
    for (uint32_t i = 0; i < edge->consumers.count; i++)
        if (waiter_parked(edge->consumers.items[i]))
            return true;
    return false;
}

void edge_look(struct edge *edge, struct edge_view *view)
{
    pthread_mutex_lock(&edge->lock);
    *view = (struct edge_view){.from = edge->options.from,
                               .to = edge->options.to,
                               .bytes = atomic_load(&edge->bytes),
                               .limit = edge->limit,
                               .peak = edge->peak,
                               .turns = edge->turns,
                               .dropped = edge->dropped,
                               .blocked_ns = edge->blocked_ns,
                               .taken = edge->taken,
                               .waited_ns = edge->waited_ns};
    view->full = view->bytes >= view->limit;
    if (edge->full_since)
        view->blocked_ns += (uint64_t)(clock_monotonic() - edge->full_since);
    pthread_mutex_unlock(&edge->lock);
}
