/* SPDX-License-Identifier: MIT */
/*
 * Packets → heaps: a state machine without I/O and without a clock; times are the caller's. One thread.
 *
 *     source ──► packet ──► partial heap ──► finished heaps ──► spead_heaps_take
 *                  │            │
 *                  └────────────┴─► counters of the source, by reason
 *
 * Each source (a sender's address, and the place its packets come to) has its own partial heaps, at most `max_heaps`
 * for each substream (count modulo `substreams`): a new one takes the place of the one first seen longest ago, so that
 * no sender can displace another's. Counts of heaps that are over are remembered for a while, so that a packet that
 * comes twice makes no second heap. When the memory is used up, the source that holds the most gives up its oldest
 * partial heap, unless that is the one that asks: then its new heap is not begun.
 */
#ifndef NET_SPEAD_HEAP_H
#define NET_SPEAD_HEAP_H
#include <weir/spead.h>

#include "net/spead_pool.h"
#include "wire/spead_decode.h"

enum {
    SPEAD_SOURCE_KEY_MAX = 32,         /* bytes: a sockaddr_in6, and the number of where it sends to */
    SPEAD_PLACES_MAX = 64,             /* that sources send to */
    SPEAD_SOURCE_NAME_MAX = 64,        /* "[2001:db8::1]:7148" */
    SPEAD_HEAP_POINTERS_MAX = 1 << 16, /* distinct item pointers in one heap */
    SPEAD_HEAP_RANGES_MAX = 1 << 16,   /* gaps in one heap */
    SPEAD_HEAPS_MOST = 4096,           /* of max_heaps × substreams */
    SPEAD_SOURCES_MOST = 1 << 16,
    SPEAD_HEAD_MAX = 8 + 16 * 8, /* header and pointers that are compared instead of read */
};

#define SPEAD_LENGTH_BELIEVED (UINT64_C(1) << 40) /* bytes: a longer heap nobody sends */

enum spead_stop {
    SPEAD_STOP_ANY, /* a stop item of any source ends its place; all is over when every place has ended */
    SPEAD_STOP_ALL, /* a stop item ends its source; all is over when every source has sent one, and every place had one
                     */
    SPEAD_STOP_NEVER, /* a heap like others */
};

struct spead_heaps_options {
    struct weir_spead_chunk_options chunks;
    uint32_t max_heaps, substreams, max_sources;
    uint32_t remembered;     /* counts of heaps that are over, for each source */
    uint64_t max_heap_bytes; /* payload of one */
    uint64_t memory;         /* of all payloads, those not yet released too */
    int64_t idle_ns;         /* a partial heap of which nothing came for so long is given up; 0: never */
    int64_t forget_ns;       /* a source silent for so long may count anew: what was over is forgotten; 0: never */
    bool joint;              /* the places are one stream, for stop items */
    bool in_order;           /* a packet must begin where the one before it ended */
    bool incomplete;         /* heaps that were given up are handed out too */
    bool refuse_unsized;     /* heaps whose length is not said are refused */
    enum spead_stop stop;
};

/* A sender. Owned by the assembler. */
struct spead_source {
    uint32_t number;
    char name[SPEAD_SOURCE_NAME_MAX];
    uint32_t place; /* that it sends to, from 0; whoever adds it may set it */
    bool stopped;
    int64_t last_ns;
    struct weir_spead_counters counters;
    /* Private: */
    struct spead_source *chain, *next;
    uint8_t key[SPEAD_SOURCE_KEY_MAX];
    uint32_t key_size;
    uint64_t hash;
    struct spead_live **slots; /* substreams × max_heaps, and one for heaps of a single packet */
    uint32_t *turns;           /* for each substream: the slot that a new heap takes */
    uint32_t partial;
    uint64_t partial_bytes;
    uint64_t *remembered; /* counts; a ring */
    bool *finished;       /* whether it was handed out, or given up */
    uint32_t remembered_count, remembered_at;
    /* The heap that the last packet was for, with how its next packet begins if all goes as it should. */
    struct spead_live *current;
    uint64_t expected; /* offset of its payload: where what has come of the heap ends */
    uint32_t head_size, packet_length;
    uint64_t head_offset, head_length; /* pointers without their values */
    uint8_t head[SPEAD_HEAD_MAX];
};

struct spead_heaps;
/* NULL: out of memory. Options are limited to what the names above allow. */
struct spead_heaps *spead_heaps_new(const struct spead_heaps_options *options);
/* Heaps that were taken live on until they are released. */
void spead_heaps_free(struct spead_heaps *heaps);

/* How many places there are that stop items may end; SPEAD_PLACES_MAX + 1: nobody knows. 1 unless said otherwise. */
void spead_heaps_set_places(struct spead_heaps *heaps, uint32_t places);

/* The source with this key (addresses, as bytes), or NULL. */
struct spead_source *spead_heaps_find(struct spead_heaps *heaps, const void *key, size_t key_size);
/* A source with a key that is new; `name` is copied. NULL: there are too many senders already and each has partial
 * heaps; the packet is counted. */
struct spead_source *spead_heaps_add(struct spead_heaps *heaps, const void *key, size_t key_size, const char *name,
                                     int64_t now_ns);

/* Takes one packet; data is not needed afterwards. */
void spead_heaps_packet(struct spead_heaps *heaps, struct spead_source *source, const void *data, size_t size,
                        int64_t now_ns);
/* Where the payload of a source's next packets belongs, if they continue its current heap: whoever receives may put it
 * there at once. What lies at `payload` is not part of the heap until spead_heaps_placed says so. */
struct spead_place {
    uint8_t *payload;
    uint64_t left;         /* bytes of the heap that are still to come, from `payload` on */
    uint32_t head, length; /* of the packet before: bytes before its payload, bytes of payload */
};
/* False: nothing can be said of the next packet. Valid until the next call that takes a packet. */
bool spead_heaps_place(const struct spead_source *source, struct spead_place *ret);
/* Takes a packet whose head (as many bytes as the place said) was received into `head` and whose payload already into
 * `payload`. False: it is not the packet that belongs there, nothing has changed. */
bool spead_heaps_placed(struct spead_heaps *heaps, struct spead_source *source, const void *head,
                        const uint8_t *payload, uint64_t length, int64_t now_ns);
/* Counts one that cannot even be looked at. */
static inline void spead_source_count(struct spead_source *source, enum weir_spead_counter counter, uint64_t number)
{
    source->counters.of[counter] += number;
}

/* A heap that was taken and then dropped because nobody wanted it in time: it counts as shed instead. */
void spead_heaps_count_shed(struct spead_heaps *heaps, const struct weir_spead_heap *heap);

/* The longest heap that was refused because it is too long, and for want of memory; 0: none. */
void spead_heaps_refused(const struct spead_heaps *heaps, uint64_t *ret_too_large, uint64_t *ret_no_memory);

/* The next finished heap (the caller's reference), oldest first, or NULL. */
struct weir_spead_heap *spead_heaps_take(struct spead_heaps *heaps);
/* Is there one? */
bool spead_heaps_finished(const struct spead_heaps *heaps);

/* Gives up partial heaps that were idle for too long. Returns when to call it again, INT64_MAX: not needed. */
int64_t spead_heaps_idle(struct spead_heaps *heaps, int64_t now_ns);
/* The stream has ended: gives up all partial heaps. */
void spead_heaps_flush(struct spead_heaps *heaps);
/* A stop item has ended it all. */
bool spead_heaps_stopped(const struct spead_heaps *heaps);

/* How many sources have made room for others: while that stays the same, all pointers to sources stay valid. */
uint32_t spead_heaps_gone(const struct spead_heaps *heaps);
uint32_t spead_heaps_source_count(const struct spead_heaps *heaps);
/* The sources, in the order in which they were first seen. Of those that made room for others the totals keep the
 * counters. */
const struct spead_source *spead_heaps_first_source(const struct spead_heaps *heaps); /* then ->next */
void spead_heaps_totals(const struct spead_heaps *heaps, struct weir_spead_counters *ret);
struct spead_pool *spead_heaps_pool(struct spead_heaps *heaps);

#endif
