/* SPDX-License-Identifier: MIT */
/*
 * Slabs for batches and blocks. A pool belongs to one thread, which alone takes from it; any thread may give back (a
 * lock-free stack that the owner empties). Size classes are powers of two from 4 KiB; freed slabs are kept for
 * reuse up to a limit. Slabs count against the budget from malloc to free.
 */
#ifndef DATA_POOL_H
#define DATA_POOL_H
#include <weir/batch.h>
#include "base/memory.h"

struct weir_pool;
/* keep_bytes: how much free memory the pool keeps for reuse. budget may be NULL (tests). NULL when out of memory. */
struct weir_pool *pool_new(struct memory_budget *budget, size_t keep_bytes);
/* Ends the owner's use. The pool itself is freed when its last slab comes back. */
void pool_close(struct weir_pool *pool);

void *pool_take(struct weir_pool *pool, size_t size); /* owner thread; 64-byte aligned; NULL: budget or memory gone */
uint64_t pool_taken(const struct weir_pool *pool);    /* any thread: bytes that the owner took, ever */
uint64_t pool_kept(const struct weir_pool *pool);     /* any thread: bytes that are free, and kept for reuse */
size_t pool_slab_size(const void *slab);              /* usable bytes of what pool_take returned */
void pool_give(void *slab);                           /* any thread */

/* A weir_memory of `size` usable bytes (plus 64 readable zero bytes behind) from the pool; one reference. */
struct weir_memory *pool_memory(struct weir_pool *pool, size_t size);
#endif
