/* SPDX-License-Identifier: MIT */
/*
 * What travels on edges. A turn is everything that one batch of a source became on its way to one place: its messages
 * in order, and the source's number for it. Every segment that takes a turn submits one turn, perhaps an empty one, to
 * each of its outputs; so whoever stands behind several lanes knows when it has all of a batch, and can keep the order.
 */
#ifndef FLOW_MESSAGE_H
#define FLOW_MESSAGE_H

#include "base/buffer.h"
#include "base/memory.h"
#include "flow/receipt.h"

#include <weir/part.h>

enum message_kind {
    MESSAGE_BLOCK,     /* bytes to be decoded, with their receipt */
    MESSAGE_DATA,      /* a batch */
    MESSAGE_SCHEMA,    /* batches from now on look like this */
    MESSAGE_WATERMARK, /* no record older than `time` will come from this source; WATERMARK_IDLE: do not wait for it */
    MESSAGE_END,       /* the source has ended */
};

/* A source that has been silent for its idle timeout is left out of what event time is the least of, until it speaks.
 */
#define WATERMARK_IDLE (INT64_MAX - 1)

struct message {
    enum message_kind kind;
    struct message *next;
    union {
        struct weir_batch *batch;
        struct weir_schema *schema;
        struct weir_block block;
        int64_t time;
    };
    uint32_t gone; /* DATA: of the selected rows, the first so many have gone out already */
    uint32_t way;  /* DATA: plan index of what emitted it; of two records with one position the lower comes first */
    size_t shared; /* DATA: bytes; its part of what it shares with messages to other lanes */
    struct receipt *receipt;       /* BLOCK */
    struct weir_buffer encoded;    /* DATA on its way to a sink that encodes */
    struct memory_budget *charged; /* with its capacity; or NULL */
};

struct turn {
    struct turn *next;
    uint32_t source;
    uint64_t sequence;
    struct message *first, *last;
    uint32_t piece;   /* of what a turn became where that was too much for one: from 0 */
    uint32_t split;   /* of what a piece became where that was too much, until a new edge numbers all anew: from 0 */
    bool more;        /* another piece comes: of this source, with this sequence, by the same part */
    bool splits;      /* and it has the same number, with the next `split` */
    uint64_t until;   /* more: what comes then has this position or later ones */
    uint64_t ticket;  /* of the source's batch: those of all sources are numbered as they set out; for room.c */
    uint32_t grain;   /* rows of the source's batch, as far as it knew: for room.c; 0: none */
    size_t bytes;     /* what it holds, for the limits of edges */
    int64_t ready_ns; /* when it could be taken from its edge; monotonic */
    /* A reference: the account of the source keeps the turn's place until all that came of it is gone, also where
     * none of its records went. So no more turns of a source are under way than edges have places. May be NULL. */
    struct receipt *receipt;
    struct message *reserved; /* for the end, which must not be lost when memory is */
};

struct turn *turn_new(uint32_t source, uint64_t sequence); /* NULL: out of memory */
void turn_free(struct turn *turn); /* and its messages, whose batches must have been settled; NULL is allowed */
/* Appends a zeroed message; NULL when out of memory. */
struct message *turn_append(struct turn *turn, enum message_kind kind);
/* Sets aside the memory of one message, for turn_append_reserved, which then cannot fail. -ENOMEM. */
int turn_reserve(struct turn *turn);
void turn_append_reserved(struct turn *turn, enum message_kind kind);
bool turn_has(const struct turn *turn, enum message_kind kind);

/* Settles every record in the turn's data as `outcome` and takes the data out; control messages stay. Returns the
 * number of records. A block that was never decoded has its lines counted. */
uint64_t turn_discard_data(struct turn *turn, enum outcome outcome);
uint64_t turn_records(const struct turn *turn);

/* Takes the DATA and BLOCK messages out, in order; the caller owns the list. */
struct message *turn_take_data(struct turn *turn);

/* Takes out what only the last piece of a turn has to tell: times and the end. */
void turn_drop_control(struct turn *turn);

/* For pieces of a part. Puts what `next` has behind what `turn` has; takes over both. */
struct turn *turn_join(struct turn *turn, struct turn *next);
/* Moves the rows that come before position `until` to the end of `front`, and those that have it too if `at` says so.
 */
void turn_move_front(struct turn *turn, struct turn *front, uint64_t until, bool at, struct weir_pool *pool);
/* Forgets the rows that turn_move_front took. `pool`: the calling thread's. */
void turn_leave_gone(struct turn *turn, struct weir_pool *pool);

/* Makes one turn of its parts, which it takes over: batches are put in the order of position, those of one schema as
 * one batch, those of several piece by piece; of records with the same position the one of the lower way comes first.
 * Control messages (the same in every part) are kept once. `pool`: the calling thread's. */
struct turn *turn_combine(struct turn **parts, uint32_t count, struct weir_pool *pool);

void message_free(struct message *message);

#endif
