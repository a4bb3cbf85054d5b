/* SPDX-License-Identifier: MIT */
/*
 * Chunks: heaps of one length that are received into their places in a large block, by count or by an item of theirs.
 *
 *     index = (count − first) ÷ step        block = index ÷ heaps        place = index mod heaps
 *
 *     block 7   │ heap │ heap │      │ heap │     oldest: handed out when it is full, or when block 9 begins
 *     block 8   │ heap │      │      │      │     newest, with a window of 2
 *
 * Part of the state machine of spead_heap.h: no I/O, no clock, its thread.
 */
#ifndef NET_SPEAD_CHUNK_H
#define NET_SPEAD_CHUNK_H
#include "net/spead_heap.h"

enum { SPEAD_CHUNK_HEAPS_MOST = 1 << 20, SPEAD_CHUNK_WINDOW_MOST = 64 };

struct spead_chunks; /* NULL in the functions below: there are none */
/* -ENOMEM; *ret is NULL when the options ask for none. */
int spead_chunks_new(const struct weir_spead_chunk_options *options, struct spead_chunks **ret);
void spead_chunks_free(struct spead_chunks *chunks);

enum spead_place_answer {
    SPEAD_PLACE_NONE,      /* the heap comes by itself: of another length, or without the item */
    SPEAD_PLACE_TAKEN,     /* *ret is the heap, its payload the place */
    SPEAD_PLACE_LATE,      /* its block was handed out already */
    SPEAD_PLACE_DUPLICATE, /* there is a heap at its place */
    SPEAD_PLACE_NO_MEMORY,
};
enum spead_place_answer spead_chunks_place(struct spead_heaps *heaps, const struct spead_packet_view *packet,
                                           int64_t now_ns, struct spead_live **ret);
/* A placed heap has ended: it is whole and finished, and stays; or its place is free again. */
void spead_chunks_settle(struct spead_heaps *heaps, struct spead_live *live, bool whole);
/* Hands out all blocks, whatever is missing. */
void spead_chunks_flush(struct spead_heaps *heaps);
/* The same when nothing came for the idle time. Returns when to look again. */
int64_t spead_chunks_idle(struct spead_heaps *heaps, int64_t now_ns);
#endif
