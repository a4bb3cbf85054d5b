/* SPDX-License-Identifier: MIT */
/*
 * Memory for received heaps. One thread (the owner) takes and fills heaps; whoever drops the last reference to one
 * gives it back, from any thread. A heap keeps its buffers when it is given back, so a steady stream allocates nothing.
 * Payload capacities count against the pool's budget from allocation to freeing, cached ones too.
 */
#ifndef NET_SPEAD_POOL_H
#define NET_SPEAD_POOL_H
#include <weir/spead.h>

#include "base/memory.h"

enum {
    SPEAD_POOL_KEPT = 16, /* free heaps that are kept for reuse, or as many as were in use at once, if that was more */
    SPEAD_POOL_PADDING = 64,
};

/* A heap on its way through the receiver. `heap` is what the user sees. */
struct spead_live {
    struct weir_spead_heap heap;
    struct spead_live *next; /* in the list that it is in: free, given back, finished */
    struct spead_pool *pool;
    uint8_t *payload; /* heap.memory.data while it is filled: own, or a place in a chunk */
    uint8_t *own;
    uint64_t capacity;               /* of own */
    struct weir_spead_range *ranges; /* what has come behind `contiguous`, ascending, not touching */
    uint32_t range_count, range_capacity;
    uint64_t *pointers; /* each once, in order of arrival */
    uint32_t pointer_count, pointer_capacity;
    uint32_t *table; /* hashed places of pointers, +1; also scratch for sorting them */
    uint32_t table_capacity;
    struct weir_spead_value *values;
    uint32_t value_capacity;
    uint64_t contiguous; /* bytes from the beginning that have come without a gap */
    uint64_t length;     /* SPEAD_LENGTH_UNKNOWN until said */
    uint64_t highest;    /* address that a pointer has */
    /* A heap with a place in a block of heaps (spead_chunk.h): */
    struct spead_live *block;
    uint32_t place;
    /* Such a block, if chunk.heaps > 0: the heaps in it, of which it has a reference each. */
    struct weir_spead_chunk chunk;
    struct weir_spead_heap **placed;
    uint8_t *present;
    uint32_t placed_capacity, present_capacity;
};

struct spead_pool;
struct spead_pool *spead_pool_new(uint64_t memory_limit);
/* The owner's last call; the pool itself goes when its last heap has come back. */
void spead_pool_close(struct spead_pool *pool);

/* A heap with room for `bytes` of payload, one reference, everything else empty. NULL: no memory within the limit. */
struct spead_live *spead_pool_take(struct spead_pool *pool, uint64_t bytes);
/* Makes heaps with room for `bytes` ready, so that none of their memory has to be had from the system later: up to
 * `count`, or as many as the limit allows. */
void spead_pool_prepare(struct spead_pool *pool, uint32_t count, uint64_t bytes);
/* Room for more, what is there stays. False: none within the limit. Owner, while the heap is being filled. */
bool spead_pool_grow(struct spead_live *live, uint64_t bytes);
/* Bytes of payload that heaps hold now, and the most so far. Any thread. */
uint64_t spead_pool_used(const struct spead_pool *pool);
uint64_t spead_pool_peak(const struct spead_pool *pool);
/* Heaps that somebody has: neither free nor kept. Any thread. */
uint32_t spead_pool_outside(struct spead_pool *pool);

/* Makes room for `count` elements of `size` bytes in an array; false: out of memory, nothing changed. */
bool spead_array_reserve(void *array, uint32_t *capacity, uint32_t count, size_t size);

#endif
