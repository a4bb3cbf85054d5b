/* SPDX-License-Identifier: MIT */
#include "net/spead_pool.h"

#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

#define HUGE_PAGE (UINT64_C(2) << 20)

struct spead_pool {
    struct memory_budget budget;
    struct spead_live *free; /* owner's: the last given back first, its memory is the warmest */
    uint32_t free_count;
    pthread_mutex_t lock; /* for the rest */
    struct spead_live *returned;
    uint32_t outside, outside_most;
    bool closed;
};

struct spead_pool *spead_pool_new(uint64_t memory_limit)
{
    struct spead_pool *pool = memory_zeroed(1, sizeof *pool);
    if (!pool)
        return NULL;
    pool->budget.limit = memory_limit;
    pthread_mutex_init(&pool->lock, NULL);
    return pool;
}

static void free_live(struct spead_live *live)
{
    memory_budget_give(&live->pool->budget, live->capacity);
    memory_free(live->own);
    memory_free(live->ranges);
    memory_free(live->pointers);
    memory_free(live->table);
    memory_free(live->values);
    memory_free(live->placed);
    memory_free(live->present);
    memory_free(live);
}

static void free_list(struct spead_live *list)
{
    while (list) {
        struct spead_live *next = list->next;
        free_live(list);
        list = next;
    }
}

static void destroy(struct spead_pool *pool)
{
    free_list(pool->free);
    free_list(pool->returned);
    pthread_mutex_destroy(&pool->lock);
    memory_free(pool);
}

void spead_pool_close(struct spead_pool *pool)
{
    if (!pool)
        return;
    pthread_mutex_lock(&pool->lock);
    pool->closed = true;
    bool last = pool->outside == 0;
    pthread_mutex_unlock(&pool->lock);
    if (last)
        destroy(pool);
}

/* The release function of a heap's memory. */
static void give_back(struct weir_memory *memory)
{
    struct spead_live *live = memory->owner;
    struct spead_pool *pool = live->pool;
    for (uint32_t i = 0; i < live->chunk.heaps; i++) {
        if (live->placed[i])
            weir_memory_release(&live->placed[i]->memory);
    }
    live->chunk.heaps = 0;
    pthread_mutex_lock(&pool->lock);
    live->next = pool->returned;
    pool->returned = live;
    pool->outside--;
    bool last = pool->closed && pool->outside == 0;
    pthread_mutex_unlock(&pool->lock);
    if (last)
        destroy(pool);
}

/* Moves what came back to the free list, which keeps only so many. */
static void collect(struct spead_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    struct spead_live *returned = pool->returned;
    pool->returned = NULL;
    uint32_t kept = pool->outside_most > SPEAD_POOL_KEPT ? pool->outside_most : SPEAD_POOL_KEPT;
    pthread_mutex_unlock(&pool->lock);
    while (returned) {
        struct spead_live *live = returned;
        returned = live->next;
        if (pool->free_count >= kept) {
            free_live(live);
        } else {
            live->next = pool->free;
            pool->free = live;
            pool->free_count++;
        }
    }
}

/* Own memory of at least `bytes`; large ones are asked to be huge pages, which spares most misses of the TLB. */
static bool allocate(struct spead_live *live, uint64_t bytes, uint64_t keep)
{
    bool large = bytes >= HUGE_PAGE;
    uint64_t alignment = large ? HUGE_PAGE : 64;
    uint64_t unit = large ? 4096 : 64; /* not a huge page: of a heap of 4 MiB a third would be for nothing */
    uint64_t capacity = (bytes + SPEAD_POOL_PADDING + unit - 1) / unit * unit;
    if (!memory_budget_take(&live->pool->budget, capacity))
        return false;
    uint8_t *own = memory_aligned(alignment, capacity);
    if (!own) {
        memory_budget_give(&live->pool->budget, capacity);
        return false;
    }
    if (large)
        madvise(own, capacity, MADV_HUGEPAGE);
    if (keep > 0)
        memcpy(own, live->own, keep);
    memory_budget_give(&live->pool->budget, live->capacity);
    memory_free(live->own);
    live->own = own;
    live->capacity = capacity;
    return true;
}

static bool fits(const struct spead_live *live, uint64_t bytes)
{
    uint64_t wanted = bytes + SPEAD_POOL_PADDING;
    return live->capacity >= wanted && live->capacity / 4 <= wanted + (64 << 10);
}

/* Unlinks a free heap: one whose memory fits if there is one, else any. */
static struct spead_live *pick(struct spead_pool *pool, uint64_t bytes)
{
    struct spead_live **link = &pool->free;
    while (*link && !fits(*link, bytes))
        link = &(*link)->next;
    if (!*link)
        link = &pool->free;
    struct spead_live *live = *link;
    if (live) {
        *link = live->next;
        pool->free_count--;
    }
    return live;
}

/* Gives memory of other free heaps away, for the sake of one that is needed. */
static bool squeeze(struct spead_pool *pool)
{
    bool squeezed = pool->free != NULL;
    free_list(pool->free);
    pool->free = NULL;
    pool->free_count = 0;
    return squeezed;
}

struct spead_live *spead_pool_take(struct spead_pool *pool, uint64_t bytes)
{
    collect(pool);
    struct spead_live *live = pick(pool, bytes);
    if (!live && (live = memory_zeroed(1, sizeof *live)))
        live->pool = pool;
    if (!live)
        return NULL;
    if (!fits(live, bytes)) { /* what it has goes first: two of them may not fit into the budget */
        memory_budget_give(&pool->budget, live->capacity);
        memory_free(live->own);
        live->own = NULL;
        live->capacity = 0;
        if (!allocate(live, bytes, 0) && (!squeeze(pool) || !allocate(live, bytes, 0))) {
            free_live(live);
            return NULL;
        }
    }
    live->heap = (struct weir_spead_heap){.memory = {.references = 1, .release = give_back, .owner = live}};
    live->payload = live->own;
    live->next = live->block = NULL;
    live->range_count = live->pointer_count = 0;
    live->contiguous = live->highest = live->length = 0;
    pthread_mutex_lock(&pool->lock);
    pool->outside++;
    if (pool->outside > pool->outside_most)
        pool->outside_most = pool->outside;
    pthread_mutex_unlock(&pool->lock);
    return live;
}

void spead_pool_prepare(struct spead_pool *pool, uint32_t count, uint64_t bytes)
{
    struct spead_live *taken = NULL, *live;
    for (; count > 0 && (live = spead_pool_take(pool, bytes)); count--) {
        memset(live->own, 0, live->capacity);
        live->next = taken;
        taken = live;
    }
    while ((live = taken)) {
        taken = live->next;
        weir_memory_release(&live->heap.memory);
    }
}

bool spead_pool_grow(struct spead_live *live, uint64_t bytes)
{
    if (bytes + SPEAD_POOL_PADDING <= live->capacity)
        return true;
    if (!allocate(live, bytes, live->capacity))
        return false;
    live->payload = live->own;
    return true;
}

uint64_t spead_pool_used(const struct spead_pool *pool)
{
    return atomic_load_explicit(&pool->budget.used, memory_order_relaxed);
}

uint64_t spead_pool_peak(const struct spead_pool *pool)
{
    return atomic_load_explicit(&pool->budget.peak, memory_order_relaxed);
}

uint32_t spead_pool_outside(struct spead_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    uint32_t outside = pool->outside;
    pthread_mutex_unlock(&pool->lock);
    return outside;
}

bool spead_array_reserve(void *array, uint32_t *capacity, uint32_t count, size_t size)
{
    void *before, *after;
    if (count <= *capacity)
        return true;
    uint32_t wanted = *capacity ? *capacity : 8;
    while (wanted < count)
        wanted *= 2;
    memcpy(&before, array, sizeof before);
    after = memory_resize(before, wanted * size);
    if (!after)
        return false;
    memcpy(array, &after, sizeof after);
    *capacity = wanted;
    return true;
}
