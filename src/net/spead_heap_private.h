/* SPDX-License-Identifier: MIT */
/* Private to spead_heap*.c: what the assembler is made of. */
#ifndef NET_SPEAD_HEAP_PRIVATE_H
#define NET_SPEAD_HEAP_PRIVATE_H
#include "net/spead_heap.h"

enum { SOURCE_BUCKETS = 4096 };

struct spead_heaps {
    struct spead_heaps_options options;
    struct spead_pool *pool;
    struct spead_chunks *chunks; /* NULL: none */
    struct spead_source *buckets[SOURCE_BUCKETS];
    struct spead_source *first, *last; /* in order of first sight */
    struct spead_source *latest;       /* found last */
    uint32_t slots;                    /* of a source, without the one for single packets */
    uint32_t sources, numbers;
    struct weir_spead_counters gone; /* of sources that made room, and of packets without one */
    struct spead_live *finished, **finished_end;
    int64_t idle_next;
    uint64_t too_large_bytes, no_memory_bytes; /* the longest heap that was refused */
    uint32_t places;
    uint64_t stopped_places; /* a bit for each */
    bool stopped;
};

/* Why a heap ends. */
enum ending { ENDING_COMPLETE, ENDING_EVICTED, ENDING_FLUSHED, ENDING_IDLE, ENDING_MEMORY, ENDING_DISCARDED };

/* Takes the heap out of its source and hands it out or drops it, counted. */
void spead_live_end(struct spead_heaps *heaps, struct spead_source *source, uint32_t slot, enum ending ending);
/* A finished heap, or a block of them, for spead_heaps_take. */
void spead_heaps_hand_out(struct spead_heaps *heaps, struct spead_live *live);

/* ---- One heap: spead_live.c ------------------------------------------------------------------------------------- */

/* Adds the pointers of a packet that are not there yet. False: out of memory or over the limit. */
bool spead_live_add_pointers(struct spead_live *live, const struct spead_packet_view *packet);
enum range_answer { RANGE_NEW, RANGE_DUPLICATE, RANGE_OVERLAP, RANGE_TOO_MANY };
/* Notes that [begin, end) has come; not empty. */
enum range_answer spead_live_add_range(struct spead_live *live, uint64_t begin, uint64_t end);
/* Fills in what the user sees: items, and zeros where nothing came. False: out of memory. */
bool spead_live_finish(struct spead_live *live);

#endif
