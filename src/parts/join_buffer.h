/* SPDX-License-Identifier: MIT */
/*
 * What a join keeps of its two inputs, for the keys of one lane, until event time has passed it.
 *
 *     left:    heap by time ──► entry ─┐                       ┌─ entry ◄── ring of the key, by time
 *                                      ├──► rows: a copy of  ◄─┤
 *     right:   heap by time ──► key ───┘    part of a batch    └─ entry
 *
 * A left record waits until event time says that all right records that could be the nearest to it have come; then it
 * takes its match and goes. A right record goes when no left record can come any more that would want it. Both are
 * decided by event time alone, and ties by where the records stood in their source: so which record meets which does
 * not depend on when either came.
 *
 *     left at t      wants right records in [t − back, t + ahead]; goes when t + ahead + lateness < watermark
 *     right at r     is wanted by left records in [r − ahead, r + back]; goes when r + back + ahead + lateness < it
 *
 * Records are copied, so that no batch of a source is held up, and their memory counts against the budget for state.
 * One thread. States of keys must stay good until join_buffer_free.
 */
#ifndef PARTS_JOIN_BUFFER_H
#define PARTS_JOIN_BUFFER_H
#include "parts/kept_rows.h"

enum join_side { JOIN_LEFT, JOIN_RIGHT, JOIN_SIDES };
enum join_direction { JOIN_NEAREST, JOIN_BACKWARD, JOIN_FORWARD };

struct join_entry {
    int64_t time;
    uint64_t position;
    uint32_t source, row;
    struct kept_rows *rows;
    struct join_key *key;
};

struct join_key { /* state of a key; begins as zeroes */
    struct join_entry *rights;
    uint32_t begin, count, capacity; /* of the ring; a power of two */
    uint32_t waiting;                /* left records */
    struct join_key *next;           /* of all that ever had a ring */
    bool listed;
    bool none; /* the key is null: its records meet nobody */
};

struct join_due; /* an entry of the heap of right records */

struct join_buffer {
    enum join_direction direction;
    int64_t tolerance, lateness;
    uint32_t most; /* records of a key that are kept of either side */
    struct join_entry *lefts;
    struct join_due *dues;
    size_t left_count, left_capacity, due_count, due_capacity;
    struct join_key *keys;
};

/* How many more records of this side a key may keep. */
uint32_t join_room(const struct join_buffer *buffer, const struct join_key *key, enum join_side side);
/* Takes over the entry with its reference. -ENOMEM: nothing was taken. */
int join_add(struct join_buffer *buffer, struct weir_env *env, enum join_side side, const struct join_entry *entry);

/* The next left record that event time has passed, in the order of time; false: none. Its reference is the caller's. */
bool join_next(struct join_buffer *buffer, int64_t watermark, struct join_entry *ret);
/* The right record that it meets, or NULL; good until join_forget. */
const struct join_entry *join_match(const struct join_buffer *buffer, const struct join_entry *left);
/* Lets go of right records that event time has passed. After all left ones that it has. */
void join_forget(struct join_buffer *buffer, struct weir_env *env, int64_t watermark);

void join_buffer_free(struct join_buffer *buffer, struct weir_env *env); /* of a zeroed one too */
#endif
