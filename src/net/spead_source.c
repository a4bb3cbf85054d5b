/* SPDX-License-Identifier: MIT */
/* The senders that an assembler follows, and the assembler itself. */
#include <stdio.h>

#include "base/hash.h"
#include "net/spead_chunk.h"
#include "net/spead_heap_private.h"

static const struct {
    const char *name, *words;
} counters[WEIR_SPEAD_COUNTERS] = {
#define WEIR_SPEAD_COUNTER(id, name, words) [WEIR_SPEAD_##id] = {name, words},
    WEIR_SPEAD_COUNTERS_EACH(WEIR_SPEAD_COUNTER)
#undef WEIR_SPEAD_COUNTER
};

const char *weir_spead_counter_name(enum weir_spead_counter counter)
{
    return (unsigned)counter < WEIR_SPEAD_COUNTERS ? counters[counter].name : "unknown";
}

const char *weir_spead_counter_words(enum weir_spead_counter counter)
{
    return (unsigned)counter < WEIR_SPEAD_COUNTERS ? counters[counter].words : "unknown";
}

/* take_packet turns one into the other by their distance. */
_Static_assert(WEIR_SPEAD_PACKETS_TRAILING_BYTES - WEIR_SPEAD_PACKETS_TOO_SHORT ==
                   SPEAD_TRAILING_BYTES - SPEAD_TOO_SHORT,
               "refusals and their counters have the same order");

/* ---- The assembler --------------------------------------------------------------------------------------------- */

static uint32_t clamp(uint32_t value, uint32_t least, uint32_t most)
{
    return value < least ? least : value > most ? most : value;
}

struct spead_heaps *spead_heaps_new(const struct spead_heaps_options *options)
{
    struct spead_heaps *heaps = memory_zeroed(1, sizeof *heaps);
    if (!heaps)
        return NULL;
    heaps->options = *options;
    heaps->options.substreams = clamp(options->substreams, 1, SPEAD_HEAPS_MOST);
    heaps->options.max_heaps = clamp(options->max_heaps, 1, SPEAD_HEAPS_MOST / heaps->options.substreams);
    heaps->options.max_sources = clamp(options->max_sources, 1, SPEAD_SOURCES_MOST);
    heaps->options.remembered = clamp(options->remembered, 0, SPEAD_HEAPS_MOST);
    heaps->slots = heaps->options.max_heaps * heaps->options.substreams;
    heaps->finished_end = &heaps->finished;
    heaps->idle_next = INT64_MIN;
    heaps->places = 1;
    heaps->pool = spead_pool_new(options->memory);
    if (!heaps->pool || spead_chunks_new(&options->chunks, &heaps->chunks) < 0) {
        spead_pool_close(heaps->pool);
        memory_free(heaps);
        return NULL;
    }
    return heaps;
}

static void free_source(const struct spead_heaps *heaps, struct spead_source *source)
{
    for (uint32_t i = 0; source->slots && i < heaps->slots; i++) {
        if (source->slots[i])
            weir_memory_release(&source->slots[i]->heap.memory);
    }
    memory_free(source->slots);
    memory_free(source->turns);
    memory_free(source->remembered);
    memory_free(source->finished);
    memory_free(source);
}

void spead_heaps_free(struct spead_heaps *heaps)
{
    if (!heaps)
        return;
    for (struct weir_spead_heap *heap; (heap = spead_heaps_take(heaps));)
        weir_memory_release(&heap->memory);
    while (heaps->first) {
        struct spead_source *source = heaps->first;
        heaps->first = source->next;
        free_source(heaps, source);
    }
    spead_chunks_free(heaps->chunks);
    spead_pool_close(heaps->pool);
    memory_free(heaps);
}

void spead_heaps_set_places(struct spead_heaps *heaps, uint32_t places)
{
    heaps->places = places;
}

struct spead_pool *spead_heaps_pool(struct spead_heaps *heaps)
{
    return heaps->pool;
}

/* ---- Sources --------------------------------------------------------------------------------------------------- */

static struct spead_source *new_source(struct spead_heaps *heaps, const void *key, size_t key_size, const char *name)
{
    const struct spead_heaps_options *options = &heaps->options;
    struct spead_source *source = memory_zeroed(1, sizeof *source);
    if (!source)
        return NULL;
    source->slots = memory_zeroed((size_t)heaps->slots + 1, sizeof *source->slots);
    source->turns = memory_zeroed(options->substreams, sizeof *source->turns);
    source->remembered = memory_zeroed(options->remembered + 1, sizeof *source->remembered);
    source->finished = memory_zeroed(options->remembered + 1, sizeof *source->finished);
    if (!source->slots || !source->turns || !source->remembered || !source->finished) {
        free_source(heaps, source);
        return NULL;
    }
    memcpy(source->key, key, key_size);
    source->key_size = (uint32_t)key_size;
    snprintf(source->name, sizeof source->name, "%s", name);
    return source;
}

/* Takes out the source that was silent longest, if it holds nothing. */
static bool retire_source(struct spead_heaps *heaps, int64_t now_ns)
{
    struct spead_source *oldest = NULL, *previous = NULL, *before = NULL;
    for (struct spead_source *source = heaps->first; source; previous = source, source = source->next) {
        if (source->partial == 0 && source->last_ns < now_ns && (!oldest || source->last_ns < oldest->last_ns)) {
            oldest = source;
            before = previous;
        }
    }
    if (!oldest)
        return false;
    struct spead_source **link = &heaps->buckets[oldest->hash % SOURCE_BUCKETS];
    while (*link != oldest)
        link = &(*link)->chain;
    *link = oldest->chain;
    if (before)
        before->next = oldest->next;
    else
        heaps->first = oldest->next;
    if (heaps->last == oldest)
        heaps->last = before;
    if (heaps->latest == oldest)
        heaps->latest = NULL;
    for (int i = 0; i < WEIR_SPEAD_COUNTERS; i++)
        heaps->gone.of[i] += oldest->counters.of[i];
    heaps->sources--;
    free_source(heaps, oldest);
    return true;
}

struct spead_source *spead_heaps_find(struct spead_heaps *heaps, const void *key, size_t key_size)
{
    struct spead_source *source = heaps->latest;
    if (source && source->key_size == key_size && memcmp(source->key, key, key_size) == 0)
        return source;
    if (key_size > SPEAD_SOURCE_KEY_MAX)
        return NULL;
    uint64_t hash = hash_u64(hash_bytes(key, key_size));
    for (source = heaps->buckets[hash % SOURCE_BUCKETS]; source; source = source->chain) {
        if (source->hash == hash && source->key_size == key_size && memcmp(source->key, key, key_size) == 0) {
            heaps->latest = source;
            return source;
        }
    }
    return NULL;
}

struct spead_source *spead_heaps_add(struct spead_heaps *heaps, const void *key, size_t key_size, const char *name,
                                     int64_t now_ns)
{
    struct spead_source *source = NULL;
    if (key_size <= SPEAD_SOURCE_KEY_MAX &&
        (heaps->sources < heaps->options.max_sources || retire_source(heaps, now_ns)))
        source = new_source(heaps, key, key_size, name);
    if (!source) {
        heaps->gone.of[WEIR_SPEAD_PACKETS_NO_SOURCE]++;
        return NULL;
    }
    uint64_t hash = hash_u64(hash_bytes(key, key_size));
    struct spead_source **bucket = &heaps->buckets[hash % SOURCE_BUCKETS];
    source->hash = hash;
    source->number = heaps->numbers++;
    source->last_ns = now_ns;
    source->chain = *bucket;
    *bucket = source;
    if (heaps->last)
        heaps->last->next = source;
    else
        heaps->first = source;
    heaps->last = source;
    heaps->sources++;
    return source;
}

void spead_heaps_refused(const struct spead_heaps *heaps, uint64_t *ret_too_large, uint64_t *ret_no_memory)
{
    *ret_too_large = heaps->too_large_bytes;
    *ret_no_memory = heaps->no_memory_bytes;
}

uint32_t spead_heaps_gone(const struct spead_heaps *heaps)
{
    return heaps->numbers - heaps->sources;
}

uint32_t spead_heaps_source_count(const struct spead_heaps *heaps)
{
    return heaps->sources;
}

const struct spead_source *spead_heaps_first_source(const struct spead_heaps *heaps)
{
    return heaps->first;
}

void spead_heaps_totals(const struct spead_heaps *heaps, struct weir_spead_counters *ret)
{
    *ret = heaps->gone;
    for (const struct spead_source *source = heaps->first; source; source = source->next) {
        for (int i = 0; i < WEIR_SPEAD_COUNTERS; i++)
            ret->of[i] += source->counters.of[i];
    }
}

void spead_heaps_count_shed(struct spead_heaps *heaps, const struct weir_spead_heap *heap)
{
    struct weir_spead_counters *into = &heaps->gone;
    for (uint32_t i = 0; heap->chunk && i < heap->chunk->heaps; i++) {
        if (heap->chunk->placed[i])
            spead_heaps_count_shed(heaps, heap->chunk->placed[i]);
    }
    if (heap->chunk)
        return;
    for (struct spead_source *source = heaps->first; source; source = source->next) {
        if (source->number == heap->source)
            into = &source->counters;
    }
    if (!heap->complete)
        return;
    into->of[WEIR_SPEAD_HEAPS]--; /* the sum is right also when the source has gone */
    into->of[WEIR_SPEAD_HEAPS_SHED]++;
}
