/* SPDX-License-Identifier: MIT */
#include "net/spead_chunk.h"

#include <errno.h>
#include <string.h>

#include "base/memory.h"
#include "net/spead_heap_private.h"

enum present { MISSING, WHOLE, FILLING };

struct spead_chunks {
    struct weir_spead_chunk_options options;
    struct spead_pool *views;                         /* the placed heaps, which have no payload of their own */
    struct spead_live *open[SPEAD_CHUNK_WINDOW_MOST]; /* blocks, ascending */
    uint32_t open_count;
    bool begun;
    uint64_t next; /* the least number of a block that was not handed out */
    int64_t last_ns;
};

int spead_chunks_new(const struct weir_spead_chunk_options *options, struct spead_chunks **ret)
{
    *ret = NULL;
    if (options->heaps == 0)
        return 0;
    struct spead_chunks *chunks = memory_zeroed(1, sizeof *chunks);
    struct spead_pool *views = spead_pool_new(UINT64_MAX / 2);
    if (!chunks || !views) {
        memory_free(chunks);
        spead_pool_close(views);
        return -ENOMEM;
    }
    chunks->options = *options;
    chunks->views = views;
    if (options->window == 0)
        chunks->options.window = 2;
    if (chunks->options.window > SPEAD_CHUNK_WINDOW_MOST)
        chunks->options.window = SPEAD_CHUNK_WINDOW_MOST;
    if (options->heaps > SPEAD_CHUNK_HEAPS_MOST)
        chunks->options.heaps = SPEAD_CHUNK_HEAPS_MOST;
    if (options->step == 0)
        chunks->options.step = 1;
    *ret = chunks;
    return 0;
}

void spead_chunks_free(struct spead_chunks *chunks)
{
    if (!chunks)
        return;
    for (uint32_t i = 0; i < chunks->open_count; i++)
        weir_memory_release(&chunks->open[i]->heap.memory);
    spead_pool_close(chunks->views);
    memory_free(chunks);
}

/* ---- Handing out ---------------------------------------------------------------------------------------------------
 */

/* Heaps that are still coming in lose their place. */
static void give_up_partial(struct spead_heaps *heaps, const struct spead_live *block)
{
    for (struct spead_source *source = heaps->first; source; source = source->next) {
        for (uint32_t slot = 0; slot <= heaps->slots; slot++) {
            if (source->slots[slot] && source->slots[slot]->block == block)
                spead_live_end(heaps, source, slot, ENDING_EVICTED);
        }
    }
}

static void hand_out_oldest(struct spead_heaps *heaps)
{
    struct spead_chunks *chunks = heaps->chunks;
    struct spead_live *block = chunks->open[0];
    struct weir_spead_chunk *chunk = &block->chunk;
    give_up_partial(heaps, block);
    for (uint32_t i = 0; i < chunk->heaps; i++) {
        if (block->present[i] == MISSING)
            memset(block->payload + i * chunk->heap_bytes, 0, chunk->heap_bytes);
    }
    chunks->open_count--;
    memmove(chunks->open, chunks->open + 1, chunks->open_count * sizeof *chunks->open);
    chunks->next = chunk->number + 1;
    block->heap.complete = chunk->present_count == chunk->heaps;
    block->heap.memory.data = block->payload;
    block->heap.memory.size = chunk->heaps * chunk->heap_bytes;
    spead_heaps_hand_out(heaps, block);
}

void spead_chunks_flush(struct spead_heaps *heaps)
{
    while (heaps->chunks && heaps->chunks->open_count > 0)
        hand_out_oldest(heaps);
}

int64_t spead_chunks_idle(struct spead_heaps *heaps, int64_t now_ns)
{
    struct spead_chunks *chunks = heaps->chunks;
    if (!chunks || chunks->open_count == 0 || heaps->options.idle_ns <= 0)
        return INT64_MAX;
    if (now_ns - chunks->last_ns < heaps->options.idle_ns)
        return chunks->last_ns + heaps->options.idle_ns;
    spead_chunks_flush(heaps);
    return INT64_MAX;
}

/* ---- Places --------------------------------------------------------------------------------------------------------
 */

/* The value that says where the heap belongs: its count, or an immediate item of the packet. */
static bool find_value(const struct spead_chunks *chunks, const struct spead_packet_view *packet, uint64_t *ret)
{
    *ret = packet->heap_count;
    if (chunks->options.item == 0)
        return true;
    for (uint32_t i = 0; i < packet->pointers; i++) {
        uint64_t pointer = spead_packet_pointer(packet, i);
        if (spead_pointer_immediate(pointer) && spead_pointer_id(pointer, packet->flavour) == chunks->options.item) {
            *ret = spead_pointer_value(pointer, packet->flavour);
            return true;
        }
    }
    return false;
}

/* An empty block; NULL: no memory. */
static struct spead_live *new_block(struct spead_heaps *heaps, uint64_t number)
{
    const struct weir_spead_chunk_options *options = &heaps->chunks->options;
    struct spead_live *block = spead_pool_take(heaps->pool, options->heaps * options->heap_bytes);
    if (!block)
        return NULL;
    if (!spead_array_reserve(&block->placed, &block->placed_capacity, options->heaps, sizeof(void *)) ||
        !spead_array_reserve(&block->present, &block->present_capacity, options->heaps, 1)) {
        weir_memory_release(&block->heap.memory);
        return NULL;
    }
    memset(block->placed, 0, options->heaps * sizeof *block->placed);
    memset(block->present, MISSING, options->heaps);
    block->chunk = (struct weir_spead_chunk){.number = number,
                                             .heaps = options->heaps,
                                             .heap_bytes = options->heap_bytes,
                                             .present = block->present,
                                             .placed = block->placed};
    block->heap.chunk = &block->chunk;
    block->heap.sized = true;
    return block;
}

/* The open block of this number, opened if need be, which may hand out older ones. */
static struct spead_live *block_of(struct spead_heaps *heaps, uint64_t number)
{
    struct spead_chunks *chunks = heaps->chunks;
    uint32_t at = chunks->open_count;
    while (at > 0 && chunks->open[at - 1]->chunk.number >= number)
        at--;
    if (at < chunks->open_count && chunks->open[at]->chunk.number == number)
        return chunks->open[at];
    /* The window ends with the newest block: what lies before it is over, once it is known that there is room. */
    while (chunks->open_count > 0 && chunks->open[0]->chunk.number + chunks->options.window <= number) {
        hand_out_oldest(heaps);
        at = at > 0 ? at - 1 : 0;
    }
    struct spead_live *block = new_block(heaps, number);
    if (!block)
        return NULL;
    memmove(chunks->open + at + 1, chunks->open + at, (chunks->open_count - at) * sizeof *chunks->open);
    chunks->open[at] = block;
    chunks->open_count++;
    if (!chunks->begun || number >= chunks->next + chunks->options.window)
        chunks->next = number < chunks->options.window ? 0 : number - chunks->options.window + 1;
    chunks->begun = true;
    return block;
}

enum spead_place_answer spead_chunks_place(struct spead_heaps *heaps, const struct spead_packet_view *packet,
                                           int64_t now_ns, struct spead_live **ret)
{
    struct spead_chunks *chunks = heaps->chunks;
    uint64_t value;
    if (!chunks || packet->heap_length != chunks->options.heap_bytes || !find_value(chunks, packet, &value) ||
        value < chunks->options.first || (value - chunks->options.first) % chunks->options.step != 0)
        return SPEAD_PLACE_NONE;
    uint64_t index = (value - chunks->options.first) / chunks->options.step;
    uint64_t number = index / chunks->options.heaps;
    uint32_t place = (uint32_t)(index % chunks->options.heaps);
    if (chunks->begun && number < chunks->next) {
        if (heaps->options.forget_ns <= 0 || now_ns - chunks->last_ns < heaps->options.forget_ns)
            return SPEAD_PLACE_LATE;
        spead_chunks_flush(heaps); /* after a silence: the sender counts anew */
        chunks->begun = false;
    }
    struct spead_live *block = block_of(heaps, number);
    struct spead_live *live = block ? spead_pool_take(chunks->views, 0) : NULL;
    if (!live)
        return SPEAD_PLACE_NO_MEMORY;
    chunks->last_ns = now_ns;
    if (block->present[place] != MISSING) {
        weir_memory_release(&live->heap.memory);
        return SPEAD_PLACE_DUPLICATE;
    }
    block->present[place] = FILLING;
    live->block = block;
    live->place = place;
    live->payload = block->payload + place * chunks->options.heap_bytes;
    *ret = live;
    return SPEAD_PLACE_TAKEN;
}

/* What the block says of itself as a heap follows from those in it. */
static void note(struct weir_spead_heap *of, const struct weir_spead_heap *heap, bool first)
{
    if (first) {
        of->source = heap->source;
        of->address_bits = heap->address_bits;
    }
    of->count = first || heap->count < of->count ? heap->count : of->count;
    of->first_ns = first || heap->first_ns < of->first_ns ? heap->first_ns : of->first_ns;
    of->last_ns = first || heap->last_ns > of->last_ns ? heap->last_ns : of->last_ns;
    of->packets += heap->packets;
    of->received += heap->received;
}

void spead_chunks_settle(struct spead_heaps *heaps, struct spead_live *live, bool whole)
{
    struct spead_live *block = live->block;
    struct spead_chunks *chunks = heaps->chunks;
    block->present[live->place] = whole ? WHOLE : MISSING;
    if (!whole)
        return;
    note(&block->heap, &live->heap, block->chunk.present_count == 0);
    block->placed[live->place] = &live->heap;
    block->chunk.present_count++;
    while (chunks->open_count > 0 && chunks->open[0]->chunk.present_count == chunks->options.heaps)
        hand_out_oldest(heaps);
}
