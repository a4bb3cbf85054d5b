/* SPDX-License-Identifier: MIT */
/*
 * An edge: a bounded queue of turns between machines.
 *
 *     lane 0 ──► part 0 of turn 7 ─┐  collect   ┌───────────┐ in order   ┌───────┐
 *     lane 1 ──► part 1 of turn 7 ─┴──────────► │ combine   │ ─────────► │ ready │ ──► the consumer takes
 *                                               └───────────┘            └───────┘
 *
 * Producers submit the parts of a turn in any order; turns of one source become ready in the order of the source.
 * Whoever brings the last part combines them (outside the lock, on its own thread). The limit in bytes is asked
 * before a producer starts on a turn and may be overshot by what is being worked on at that moment, one turn each.
 *
 * What came of a turn may be too much to be handed in at once: then each part comes in pieces of its own (turn->more),
 * in the order of position. They are merged as they come: what lies before all that is still to come goes out, in
 * pieces again; the rest is held until then. The last piece has the times and the end.
 *
 * When full: `block` gives no credit; `drop_newest` settles the data of what comes as dropped; `drop_oldest` that of
 * what has waited longest. Control messages are never dropped.
 */
#ifndef FLOW_EDGE_H
#define FLOW_EDGE_H

#include "flow/message.h"
#include "flow/plan.h"

struct edge;

struct edge_options {
    const char *from, *to; /* for views and messages; live as long as the edge */
    size_t limit;          /* bytes */
    enum plan_policy policy;
    uint32_t sources;      /* of the pipeline */
    const uint32_t *parts; /* for each source, in how many parts a turn comes; 0: not at all. Copied */
    bool last;             /* the consumer is a sink: empty turns, which only keep the order for others, end here */
    bool merge;            /* several batches of one turn are merged by position, also when it comes in one part */
    bool ordered;          /* false: turns become ready as they come, whatever their number (parts must be 1) */
    /* Called by the thread that brought the last part, before the turn becomes ready: for the sink's encoding. Returns
     * the time that took, ns. May be NULL. */
    int64_t (*complete)(void *owner, struct turn *turn);
    void *owner;
};

struct edge *edge_new(const struct edge_options *options); /* NULL: out of memory */
void edge_free(struct edge *edge);                         /* what is left in it is settled as dropped */

/* Before machines run: who is woken when a turn is ready, and when credit comes back. -ENOMEM. */
int edge_add_consumer(struct edge *edge, struct weir_waiter *waiter);
int edge_add_producer(struct edge *edge, struct weir_waiter *waiter);

/* From now on it is full at `most` bytes, or its own limit if that is less. The producer's thread. */
void edge_narrow(struct edge *edge, size_t most);

/* True when there is room. False: the caller is noted as blocked and its waiter woken later. Any producer. */
bool edge_credit(struct edge *edge);
/* True: this part of a turn has brought more pieces than can go out before others have brought theirs; noted as above.
 */
bool edge_ahead(struct edge *edge, uint32_t source, uint64_t sequence, uint32_t part);
bool edge_full(const struct edge *edge); /* as edge_credit, without noting anything */

/* Hands in part `part` of a turn; takes it over. `pool`: the calling thread's, for combining. Returns the time that
 * `complete` took, if this call made it; else 0. */
int64_t edge_submit(struct edge *edge, struct turn *turn, uint32_t part, struct weir_pool *pool);

/* The next ready turn, or NULL. The consumer then owns it. */
struct turn *edge_take(struct edge *edge);
/* What edge_take would give now. */
struct edge_next {
    size_t bytes; /* at least 1; 0: nothing */
    uint64_t ticket;
};
struct edge_next edge_look_next(struct edge *edge);
/* All sources have ended and everything was taken. */
bool edge_done(struct edge *edge);
/* Nothing waits and a consumer is parked: data would be welcome. */
bool edge_wanted(struct edge *edge);

struct edge_view {
    const char *from, *to;
    uint64_t bytes, limit, peak, turns, dropped, blocked_ns;
    uint64_t taken, waited_ns; /* turns that were taken, and how long they had been ready, together */
    bool full;
};
void edge_look(struct edge *edge, struct edge_view *view);

#endif
