/* SPDX-License-Identifier: MIT */
/*
 * A slab is a header of one cache line and the usable bytes behind it. Usable sizes are 2^k + SLACK: somebody who wants
 * 2^k bytes and a small header of his own does not get twice as much as he needs, and slabs of one class do not all
 * begin at the same place in the processor's cache.
 *
 *   owner:   take ◄── free[class] ◄── sort ◄──┐ swaps the whole stack for an empty one
 *   anybody: give ──► push ──► returned ──────┘
 *
 * Everybody gives back through the stack, the owner too: one uncontended compare-and-swap for each batch is not worth
 * knowing threads by name for (a pool may be filled by the thread that opens a part and used by the one that runs it).
 * As the stack is only ever pushed to or taken as a whole, it has no ABA problem.
 *
 * `alive` counts what keeps the pool itself in memory: its slabs, wherever they are, and the owner.
 */
#include "data/pool.h"

#include <stdatomic.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#define POOL_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POOL_ASAN 1
#endif
#endif
#ifdef POOL_ASAN
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#endif

enum {
    LINE = 64,
    SLACK = 192,
    CLASS_FIRST_BITS = 12, /* 4 KiB */
    CLASS_LAST_BITS = 24,  /* 16 MiB */
    CLASS_COUNT = CLASS_LAST_BITS - CLASS_FIRST_BITS + 1,
    CLASS_EXACT = CLASS_COUNT, /* larger: of the size asked for, never kept */
};

struct slab {
    struct weir_pool *pool;
    size_t size; /* usable */
    struct slab *next;
    uint32_t class;
    _Alignas(LINE) char data[];
};
_Static_assert(sizeof(struct slab) == LINE, "the data of a slab begins one cache line behind its start");

struct weir_pool {
    struct memory_budget *budget;
    size_t keep_bytes;
    _Atomic uint64_t taken;         /* bytes, ever; written by the owner */
    struct slab *free[CLASS_COUNT]; /* the owner's */
    _Alignas(LINE) _Atomic(struct slab *) returned;
    _Atomic size_t free_bytes; /* in free and returned */
    _Atomic uint64_t alive;
};

/* In `returned` once the owner has closed: no slab will be taken from there any more. */
static const struct slab closed_mark;

struct weir_pool *pool_new(struct memory_budget *budget, size_t keep_bytes)
{
    struct weir_pool *pool = memory_aligned(LINE, sizeof *pool);
    if (!pool) {
        return NULL;
    }
    memset(pool, 0, sizeof *pool);
    pool->budget = budget;
    pool->keep_bytes = keep_bytes;
    atomic_init(&pool->alive, 1);
    return pool;
}

static void drop_reference(struct weir_pool *pool)
{
    if (atomic_fetch_sub_explicit(&pool->alive, 1, memory_order_acq_rel) == 1) {
        memory_free(pool);
    }
}

/* Any thread. After it the pool may be gone. */
static void free_slab(struct slab *slab)
{
    struct weir_pool *pool = slab->pool;
    if (pool->budget) {
        memory_budget_give(pool->budget, sizeof *slab + slab->size);
    }
    ASAN_UNPOISON_MEMORY_REGION(slab->data, slab->size);
    memory_free(slab);
    drop_reference(pool);
}

/* Sorts what came back into the owner's lists. */
static void collect(struct weir_pool *pool)
{
    if (!atomic_load_explicit(&pool->returned, memory_order_relaxed)) {
        return;
    }
    struct slab *slab = atomic_exchange_explicit(&pool->returned, NULL, memory_order_acquire);
    while (slab) {
        struct slab *next = slab->next;
        slab->next = pool->free[slab->class];
        pool->free[slab->class] = slab;
        slab = next;
    }
}

/* Frees kept slabs, the largest first, until at most `keep` bytes are kept. */
static void trim(struct weir_pool *pool, size_t keep)
{
    for (int class = CLASS_COUNT - 1; class >= 0; class --) {
        while (pool->free[class] && atomic_load_explicit(&pool->free_bytes, memory_order_relaxed) > keep) {
            struct slab *slab = pool->free[class];
            pool->free[class] = slab->next;
            atomic_fetch_sub_explicit(&pool->free_bytes, slab->size, memory_order_relaxed);
            free_slab(slab);
        }
    }
}

void pool_close(struct weir_pool *pool)
{
    if (!pool) {
        return;
    }
    struct slab *slab = atomic_exchange_explicit(&pool->returned, (struct slab *)&closed_mark, memory_order_acq_rel);
    while (slab) {
        struct slab *next = slab->next;
        free_slab(slab);
        slab = next;
    }
    for (int class = 0; class < CLASS_COUNT; class ++) {
        while ((slab = pool->free[class])) {
            pool->free[class] = slab->next;
            free_slab(slab);
        }
    }
    drop_reference(pool);
}

static uint32_t class_of(size_t size)
{
    if (size <= ((size_t)1 << CLASS_FIRST_BITS) + SLACK) {
        return 0;
    }
    if (size > ((size_t)1 << CLASS_LAST_BITS) + SLACK) {
        return CLASS_EXACT;
    }
    return 64 - CLASS_FIRST_BITS - (uint32_t)__builtin_clzll(size - SLACK - 1);
}

static struct slab *new_slab(struct weir_pool *pool, size_t size, uint32_t class)
{
    size_t whole = sizeof(struct slab) + size;
    /* A miss says that what is kept is of the wrong size: make room for one of the right size to be kept later. */
    if (class != CLASS_EXACT && size <= pool->keep_bytes) {
        trim(pool, pool->keep_bytes - size);
    }
    if (pool->budget) {
        uint64_t used = atomic_load_explicit(&pool->budget->used, memory_order_relaxed);
        if (used + whole > pool->budget->limit) { /* what is kept would be better used for this */
            trim(pool, 0);
        }
        if (!memory_budget_take(pool->budget, whole)) {
            return NULL;
        }
    }
    struct slab *slab = memory_aligned(LINE, whole);
    if (!slab) {
        if (pool->budget) {
            memory_budget_give(pool->budget, whole);
        }
        return NULL;
    }
    slab->pool = pool;
    slab->size = size;
    slab->next = NULL;
    slab->class = class;
    atomic_fetch_add_explicit(&pool->alive, 1, memory_order_relaxed);
    return slab;
}

static void note_taken(struct weir_pool *pool, const struct slab *slab)
{
    uint64_t before = atomic_load_explicit(&pool->taken, memory_order_relaxed);
    atomic_store_explicit(&pool->taken, before + slab->size, memory_order_relaxed);
}

void *pool_take(struct weir_pool *pool, size_t size)
{
    if (size > SIZE_MAX / 2) {
        return NULL;
    }
    uint32_t class = class_of(size);
    size_t usable = class == CLASS_EXACT ? (size + LINE - 1) & ~(size_t)(LINE - 1)
                                         : ((size_t)1 << (class + CLASS_FIRST_BITS)) + SLACK;
    collect(pool);
    if (class != CLASS_EXACT && pool->free[class]) {
        struct slab *slab = pool->free[class];
        pool->free[class] = slab->next;
        atomic_fetch_sub_explicit(&pool->free_bytes, slab->size, memory_order_relaxed);
        ASAN_UNPOISON_MEMORY_REGION(slab->data, slab->size);
        note_taken(pool, slab);
        return slab->data;
    }
    struct slab *slab = new_slab(pool, usable, class);
    if (!slab) {
        return NULL;
    }
    note_taken(pool, slab);
    return slab->data;
}

uint64_t pool_taken(const struct weir_pool *pool)
{
    return atomic_load_explicit(&pool->taken, memory_order_relaxed);
}

uint64_t pool_kept(const struct weir_pool *pool)
{
    return atomic_load_explicit(&pool->free_bytes, memory_order_relaxed);
}

static struct slab *slab_of(const void *data)
{
    return (struct slab *)((char *)data - sizeof(struct slab));
}

size_t pool_slab_size(const void *data)
{
    return slab_of(data)->size;
}

void pool_give(void *data)
{
    if (!data) {
        return;
    }
    struct slab *slab = slab_of(data);
    struct weir_pool *pool = slab->pool;
    if (slab->class == CLASS_EXACT) {
        free_slab(slab);
        return;
    }
    size_t kept = atomic_fetch_add_explicit(&pool->free_bytes, slab->size, memory_order_relaxed);
    struct slab *head = atomic_load_explicit(&pool->returned, memory_order_relaxed);
    if (kept + slab->size > pool->keep_bytes || head == &closed_mark) {
        atomic_fetch_sub_explicit(&pool->free_bytes, slab->size, memory_order_relaxed);
        free_slab(slab);
        return;
    }
    ASAN_POISON_MEMORY_REGION(slab->data, slab->size);
    do {
        if (head == &closed_mark) {
            free_slab(slab);
            return;
        }
        slab->next = head;
    } while (!atomic_compare_exchange_weak_explicit(&pool->returned, &head, slab, memory_order_release,
                                                    memory_order_relaxed));
    /* From here on the slab, and with it the pool, may be gone. */
}

static void give_memory(struct weir_memory *memory)
{
    pool_give(memory->owner);
}

struct weir_memory *pool_memory(struct weir_pool *pool, size_t size)
{
    enum { HEAD = (sizeof(struct weir_memory) + LINE - 1) / LINE * LINE, TAIL = 64 };
    if (size > SIZE_MAX / 2) {
        return NULL;
    }
    struct weir_memory *memory = pool_take(pool, HEAD + size + TAIL);
    if (!memory) {
        return NULL;
    }
    atomic_init(&memory->references, 1);
    memory->data = (char *)memory + HEAD;
    memory->size = size;
    memory->release = give_memory;
    memory->owner = memory;
    memset((char *)memory->data + size, 0, TAIL);
    return memory;
}
