/* SPDX-License-Identifier: MIT */
/* Packets into partial heaps, partial heaps to their end. */
#include "net/spead_chunk.h"
#include "net/spead_heap_private.h"

/* ---- The end of a heap ----------------------------------------------------------------------------------------- */

static void remember(const struct spead_heaps *heaps, struct spead_source *source, uint64_t count, bool finished)
{
    if (heaps->options.remembered == 0)
        return;
    source->remembered[source->remembered_at] = count;
    source->finished[source->remembered_at] = finished;
    source->remembered_at = (source->remembered_at + 1) % heaps->options.remembered;
    if (source->remembered_count < heaps->options.remembered)
        source->remembered_count++;
}

/* True when the heap of this count is over; *ret_finished: it was whole. */
static bool is_over(const struct spead_source *source, uint64_t count, bool *ret_finished)
{
    for (uint32_t i = 0; i < source->remembered_count; i++) {
        if (source->remembered[i] == count) {
            *ret_finished = source->finished[i];
            return true;
        }
    }
    return false;
}

static void drop(struct spead_live *live)
{
    weir_memory_release(&live->heap.memory);
}

void spead_heaps_hand_out(struct spead_heaps *heaps, struct spead_live *live)
{
    live->next = NULL;
    *heaps->finished_end = live;
    heaps->finished_end = &live->next;
}

void spead_live_end(struct spead_heaps *heaps, struct spead_source *source, uint32_t slot, enum ending ending)
{
    static const enum weir_spead_counter counters[] = {
        [ENDING_COMPLETE] = WEIR_SPEAD_HEAPS,
        [ENDING_EVICTED] = WEIR_SPEAD_HEAPS_INCOMPLETE_EVICTED,
        [ENDING_FLUSHED] = WEIR_SPEAD_HEAPS_INCOMPLETE_FLUSHED,
        [ENDING_IDLE] = WEIR_SPEAD_HEAPS_INCOMPLETE_IDLE,
        [ENDING_MEMORY] = WEIR_SPEAD_HEAPS_INCOMPLETE_MEMORY,
    };
    struct spead_live *live = source->slots[slot];
    source->slots[slot] = NULL;
    source->partial--;
    source->partial_bytes -= live->capacity;
    if (source->current == live)
        source->current = NULL;
    if (live->block && (ending != ENDING_COMPLETE))
        spead_chunks_settle(heaps, live, false);
    if (ending == ENDING_DISCARDED) {
        drop(live);
        return;
    }
    /* Without a length, all that can be said is that nothing is missing in between. */
    bool whole = live->range_count == 0 && live->highest <= live->contiguous &&
                 (live->heap.sized ? live->contiguous == live->length : live->contiguous > 0);
    remember(heaps, source, live->heap.count, whole);
    if (whole)
        ending = ENDING_COMPLETE;
    live->heap.complete = whole;
    if (!(whole || (heaps->options.incomplete && !live->block))) {
        spead_source_count(source, counters[ending], 1);
        drop(live);
    } else if (!spead_live_finish(live)) {
        if (live->block)
            spead_chunks_settle(heaps, live, false);
        spead_source_count(source, WEIR_SPEAD_HEAPS_INCOMPLETE_MEMORY, 1);
        drop(live);
    } else {
        spead_source_count(source, counters[ending], 1);
        if (live->heap.packets == 1 && whole)
            spead_source_count(source, WEIR_SPEAD_SINGLE_PACKET_HEAPS, 1);
        if (live->block)
            spead_chunks_settle(heaps, live, true);
        else
            spead_heaps_hand_out(heaps, live);
    }
}

/* ---- Memory ---------------------------------------------------------------------------------------------------- */

/* The slot of the source's partial heap that was seen first. */
static uint32_t oldest_slot(const struct spead_heaps *heaps, const struct spead_source *source)
{
    uint32_t found = heaps->slots;
    for (uint32_t i = 0; i < heaps->slots; i++) {
        const struct spead_live *live = source->slots[i];
        if (live && (found == heaps->slots || live->heap.first_ns < source->slots[found]->heap.first_ns))
            found = i;
    }
    return found;
}

/* Frees memory at the cost of the source that holds the most; false: that is the one that asks, or nobody does. */
static bool make_room(struct spead_heaps *heaps, const struct spead_source *asking, uint64_t bytes)
{
    struct spead_source *most = NULL;
    for (struct spead_source *source = heaps->first; source; source = source->next) {
        if (source->partial > 0 && source != asking && (!most || source->partial_bytes > most->partial_bytes))
            most = source;
    }
    if (!most || most->partial_bytes <= asking->partial_bytes + bytes)
        return false;
    spead_live_end(heaps, most, oldest_slot(heaps, most), ENDING_MEMORY);
    return true;
}

static struct spead_live *take_live(struct spead_heaps *heaps, const struct spead_source *source, uint64_t bytes)
{
    struct spead_live *live;
    while (!(live = spead_pool_take(heaps->pool, bytes)) && make_room(heaps, source, bytes))
        ;
    return live;
}

/* ---- A new heap ------------------------------------------------------------------------------------------------ */

/* Counts a packet for whose heap there is no place, and the heap with the first of them. */
static void refuse_heap(struct spead_heaps *heaps, struct spead_source *source, uint64_t count,
                        enum weir_spead_counter packets, enum weir_spead_counter heap)
{
    spead_source_count(source, packets, 1);
    spead_source_count(source, heap, 1);
    remember(heaps, source, count, false);
}

/* The longest of those that were refused; what a forged packet may say is no advice to anybody. */
static void note_length(uint64_t *longest, uint64_t bytes)
{
    if (bytes > *longest && bytes <= SPEAD_LENGTH_BELIEVED)
        *longest = bytes;
}

/* Begins the heap that the packet is of; *ret_slot is where. NULL: it cannot be begun, all is counted. */
static struct spead_live *begin_heap(struct spead_heaps *heaps, struct spead_source *source,
                                     const struct spead_packet_view *packet, int64_t now_ns, uint32_t *ret_slot)
{
    const struct spead_heaps_options *options = &heaps->options;
    bool sized = packet->heap_length != SPEAD_LENGTH_UNKNOWN;
    uint64_t bytes = sized ? packet->heap_length : packet->payload_offset + packet->payload_length;
    if (!sized && options->refuse_unsized) {
        spead_source_count(source, WEIR_SPEAD_PACKETS_UNSIZED, 1);
        return NULL;
    }
    if (bytes > options->max_heap_bytes) {
        note_length(&heaps->too_large_bytes, bytes);
        refuse_heap(heaps, source, packet->heap_count, WEIR_SPEAD_PACKETS_TOO_LARGE, WEIR_SPEAD_HEAPS_TOO_LARGE);
        return NULL;
    }
    if (options->in_order && packet->payload_offset != 0) {
        refuse_heap(heaps, source, packet->heap_count, WEIR_SPEAD_PACKETS_OUT_OF_ORDER, WEIR_SPEAD_HEAPS_HEADLESS);
        return NULL;
    }
    uint32_t substream = (uint32_t)(packet->heap_count % options->substreams), slot = heaps->slots;
    bool single = packet->payload_length == packet->heap_length; /* it displaces nobody */
    if (!single)
        slot = substream * options->max_heaps + source->turns[substream];
    struct spead_live *live = NULL;
    enum spead_place_answer placed = spead_chunks_place(heaps, packet, now_ns, &live);
    if (placed == SPEAD_PLACE_DUPLICATE) {
        spead_source_count(source, WEIR_SPEAD_PACKETS_DUPLICATE, 1);
        return NULL;
    }
    if (placed == SPEAD_PLACE_LATE) {
        refuse_heap(heaps, source, packet->heap_count, WEIR_SPEAD_PACKETS_LATE, WEIR_SPEAD_HEAPS_CHUNK_LATE);
        return NULL;
    }
    if (source->slots[slot])
        spead_live_end(heaps, source, slot, ENDING_EVICTED);
    if (placed == SPEAD_PLACE_NONE) {
        live = take_live(heaps, source, bytes);
        spead_source_count(source, WEIR_SPEAD_HEAPS_OUTSIDE_CHUNKS, live && heaps->chunks);
    }
    if (!live) {
        note_length(&heaps->no_memory_bytes, placed == SPEAD_PLACE_NONE ? bytes : options->chunks.heaps * bytes);
        refuse_heap(heaps, source, packet->heap_count, WEIR_SPEAD_PACKETS_NO_MEMORY, WEIR_SPEAD_HEAPS_NO_MEMORY);
        return NULL;
    }
    if (!single)
        source->turns[substream] = (source->turns[substream] + 1) % options->max_heaps;
    source->slots[slot] = live;
    source->partial++;
    source->partial_bytes += live->capacity;
    live->length = packet->heap_length;
    live->heap.count = packet->heap_count;
    live->heap.address_bits = packet->flavour.address_bits;
    live->heap.sized = sized;
    live->heap.source = source->number;
    live->heap.first_ns = now_ns;
    *ret_slot = slot;
    return live;
}

static struct spead_live *find_heap(const struct spead_heaps *heaps, const struct spead_source *source, uint64_t count,
                                    uint32_t *ret_slot)
{
    uint32_t first = (uint32_t)(count % heaps->options.substreams) * heaps->options.max_heaps;
    for (uint32_t slot = first; slot < first + heaps->options.max_heaps; slot++) {
        if (source->slots[slot] && source->slots[slot]->heap.count == count) {
            *ret_slot = slot;
            return source->slots[slot];
        }
    }
    return NULL;
}

/* ---- A packet of a heap ---------------------------------------------------------------------------------------- */

/* The highest address of an item in the packet. */
static uint64_t highest_address(const struct spead_packet_view *packet)
{
    uint64_t highest = 0;
    for (uint32_t i = 0; i < packet->pointers; i++) {
        uint64_t pointer = spead_packet_pointer(packet, i);
        if (!spead_pointer_immediate(pointer) && spead_pointer_value(pointer, packet->flavour) > highest)
            highest = spead_pointer_value(pointer, packet->flavour);
    }
    return highest;
}

/* Does the packet contradict what is known of its heap? Returns the counter of the reason, or -1. */
static int contradiction(const struct spead_heaps *heaps, const struct spead_live *live,
                         const struct spead_packet_view *packet, uint64_t highest)
{
    uint64_t end = packet->payload_offset + packet->payload_length;
    uint64_t length = live->heap.sized ? live->length : packet->heap_length;
    uint64_t seen = live->range_count ? live->ranges[live->range_count - 1].end : live->contiguous;
    if (packet->flavour.address_bits != live->heap.address_bits)
        return WEIR_SPEAD_PACKETS_FLAVOUR_CHANGED;
    if (live->heap.sized && packet->heap_length != SPEAD_LENGTH_UNKNOWN && packet->heap_length != live->length)
        return WEIR_SPEAD_PACKETS_LENGTH_CHANGED;
    if (length != SPEAD_LENGTH_UNKNOWN && (end > length || seen > length))
        return WEIR_SPEAD_PACKETS_LENGTH_CHANGED;
    if (highest > length || live->highest > length)
        return WEIR_SPEAD_PACKETS_POINTER_BEYOND;
    if (heaps->options.in_order && packet->payload_offset != live->contiguous)
        return packet->payload_offset + packet->payload_length <= live->contiguous ? WEIR_SPEAD_PACKETS_DUPLICATE
                                                                                   : WEIR_SPEAD_PACKETS_OUT_OF_ORDER;
    if (end > heaps->options.max_heap_bytes ||
        (length != SPEAD_LENGTH_UNKNOWN && length > heaps->options.max_heap_bytes))
        return WEIR_SPEAD_PACKETS_TOO_LARGE;
    return -1;
}

/* Room for a heap whose length was not said when it began: twice what is needed, so that it grows seldom. */
static bool grow(const struct spead_heaps *heaps, struct spead_source *source, struct spead_live *live, uint64_t end)
{
    uint64_t before = live->capacity, wanted = 2 * end;
    if (end + SPEAD_POOL_PADDING <= live->capacity)
        return true;
    if (wanted > heaps->options.max_heap_bytes)
        wanted = heaps->options.max_heap_bytes;
    if (!spead_pool_grow(live, wanted) && !spead_pool_grow(live, end))
        return false;
    source->partial_bytes += live->capacity - before;
    return true;
}

/* Returns the counter under which the packet goes; WEIR_SPEAD_PACKETS when it was taken. */
static enum weir_spead_counter add_packet(struct spead_heaps *heaps, struct spead_source *source,
                                          struct spead_live *live, const struct spead_packet_view *packet,
                                          uint64_t highest)
{
    static const enum weir_spead_counter answers[] = {
        [RANGE_NEW] = WEIR_SPEAD_PACKETS,
        [RANGE_DUPLICATE] = WEIR_SPEAD_PACKETS_DUPLICATE,
        [RANGE_OVERLAP] = WEIR_SPEAD_PACKETS_OVERLAP,
        [RANGE_TOO_MANY] = WEIR_SPEAD_PACKETS_SCATTERED,
    };
    uint64_t end = packet->payload_offset + packet->payload_length;
    int reason = contradiction(heaps, live, packet, highest);
    if (reason >= 0)
        return (enum weir_spead_counter)reason;
    uint64_t needed = packet->heap_length != SPEAD_LENGTH_UNKNOWN && packet->heap_length > end ? packet->heap_length
                                                                                               : end;
    if (!live->heap.sized && !grow(heaps, source, live, needed))
        return WEIR_SPEAD_PACKETS_NO_MEMORY;
    if (packet->payload_length > 0) {
        enum range_answer answer = spead_live_add_range(live, packet->payload_offset, end);
        if (answer != RANGE_NEW)
            return answers[answer];
    }
    if (!spead_live_add_pointers(live, packet)) {
        /* Its bytes count as come, but without its pointers the heap cannot be: it must not become complete. */
        live->highest = UINT64_MAX;
        return WEIR_SPEAD_PACKETS_TOO_MANY_POINTERS;
    }
    if (!live->heap.sized && packet->heap_length != SPEAD_LENGTH_UNKNOWN) {
        live->heap.sized = true;
        live->length = packet->heap_length;
    }
    if (highest > live->highest)
        live->highest = highest;
    memcpy(live->payload + packet->payload_offset, packet->payload, packet->payload_length);
    live->heap.received += packet->payload_length;
    live->heap.packets++;
    spead_source_count(source, WEIR_SPEAD_BYTES, packet->payload_length);
    return WEIR_SPEAD_PACKETS;
}

/* Where what has come of the heap ends; gaps before that do not matter. */
static uint64_t *end_of(struct spead_live *live)
{
    return live->range_count > 0 ? &live->ranges[live->range_count - 1].end : &live->contiguous;
}

/* Notes how the next packet of this heap begins if it continues this one. */
static void expect_next(struct spead_source *source, struct spead_live *live, const struct spead_packet_view *packet)
{
    size_t head = SPEAD_HEADER_SIZE + (size_t)packet->pointers * SPEAD_POINTER_SIZE;
    source->current = NULL;
    if (!packet->ordered || !live->heap.sized || head > SPEAD_HEAD_MAX ||
        *end_of(live) != packet->payload_offset + packet->payload_length)
        return;
    source->current = live;
    source->expected = *end_of(live);
    source->head_size = (uint32_t)head;
    source->packet_length = (uint32_t)packet->payload_length;
    memcpy(source->head, packet->pointer_bytes - SPEAD_HEADER_SIZE, head);
    source->head_offset = spead_pointer(packet->flavour, true, SPEAD_PAYLOAD_OFFSET, 0);
    source->head_length = spead_pointer(packet->flavour, true, SPEAD_PAYLOAD_LEN, 0);
}

/* Gives up what there is of a source, the oldest first. */
static void flush_source(struct spead_heaps *heaps, struct spead_source *source)
{
    uint32_t most = heaps->options.max_heaps;
    for (uint32_t substream = 0; substream < heaps->options.substreams; substream++) {
        for (uint32_t i = 0, turn = source->turns[substream]; i < most; i++) {
            uint32_t slot = substream * most + (turn + i) % most;
            if (source->slots[slot])
                spead_live_end(heaps, source, slot, ENDING_FLUSHED);
        }
    }
}

/* ---- Packets --------------------------------------------------------------------------------------------------- */

static uint64_t bit_of(uint32_t place)
{
    return UINT64_C(1) << (place < SPEAD_PLACES_MAX ? place : SPEAD_PLACES_MAX - 1);
}

/* Nothing more is taken from the source: it has stopped, or somebody has where it sends to. */
static bool has_stopped(const struct spead_heaps *heaps, const struct spead_source *source)
{
    return source->stopped || heaps->stopped || (heaps->stopped_places & bit_of(source->place));
}

/* Takes no more from any source that sends where this one does. */
static void stop_place(struct spead_heaps *heaps, const struct spead_source *source)
{
    heaps->stopped_places |= bit_of(source->place);
    for (struct spead_source *other = heaps->first; other; other = other->next) {
        if (other->place == source->place)
            flush_source(heaps, other);
    }
}

/* At every place somebody has stopped; and, where that is asked for, every source has. */
static bool all_stopped(const struct spead_heaps *heaps)
{
    uint64_t places = 0;
    bool all = true;
    for (const struct spead_source *source = heaps->first; source; source = source->next) {
        places |= source->stopped ? bit_of(source->place) : 0;
        all &= source->stopped || heaps->options.stop == SPEAD_STOP_ANY;
    }
    places |= heaps->stopped_places;
    return all && (heaps->options.joint || (uint32_t)__builtin_popcountll(places) >= heaps->places);
}

/* A stop item: returns true when the packet needs no further work. */
static bool stop(struct spead_heaps *heaps, struct spead_source *source)
{
    spead_source_count(source, WEIR_SPEAD_STOPS, 1);
    if (heaps->options.stop == SPEAD_STOP_NEVER)
        return false;
    spead_source_count(source, WEIR_SPEAD_PACKETS, 1);
    source->stopped = true;
    flush_source(heaps, source);
    if (heaps->options.stop == SPEAD_STOP_ANY)
        stop_place(heaps, source);
    if (all_stopped(heaps)) {
        heaps->stopped = true;
        spead_heaps_flush(heaps);
    }
    return true;
}

/* Everything but the next packet of the current heap. */
static void take_packet(struct spead_heaps *heaps, struct spead_source *source, const void *data, size_t size,
                        int64_t now_ns)
{
    struct spead_packet_view packet;
    uint32_t slot = 0;
    bool finished = false;
    enum spead_refusal refusal = spead_packet_decode(data, size, true, &packet);
    if (refusal != SPEAD_GOOD) {
        spead_source_count(source, (enum weir_spead_counter)(WEIR_SPEAD_PACKETS_TOO_SHORT + refusal - SPEAD_TOO_SHORT),
                           1);
        return;
    }
    if (has_stopped(heaps, source)) {
        spead_source_count(source, WEIR_SPEAD_PACKETS_AFTER_STOP, 1);
        return;
    }
    if (packet.stops && stop(heaps, source))
        return;
    struct spead_live *live = find_heap(heaps, source, packet.heap_count, &slot);
    if (!live && is_over(source, packet.heap_count, &finished)) {
        spead_source_count(source, finished ? WEIR_SPEAD_PACKETS_DUPLICATE : WEIR_SPEAD_PACKETS_LATE, 1);
        return;
    }
    uint64_t highest = highest_address(&packet);
    if (!live && highest > packet.heap_length) {
        spead_source_count(source, WEIR_SPEAD_PACKETS_POINTER_BEYOND, 1);
        return;
    }
    bool fresh = !live;
    if (!live && !(live = begin_heap(heaps, source, &packet, now_ns, &slot)))
        return;
    enum weir_spead_counter answer = add_packet(heaps, source, live, &packet, highest);
    spead_source_count(source, answer, 1);
    if (answer != WEIR_SPEAD_PACKETS) {
        if (fresh)
            spead_live_end(heaps, source, slot, ENDING_DISCARDED);
        return;
    }
    live->heap.last_ns = now_ns;
    if (live->heap.sized && live->contiguous == live->length && live->highest <= live->length)
        spead_live_end(heaps, source, slot, ENDING_COMPLETE);
    else if (slot == heaps->slots)
        spead_live_end(heaps, source, slot, ENDING_MEMORY);
    else
        expect_next(source, live, &packet);
}

/* The slot that holds the heap. */
static uint32_t slot_of(const struct spead_heaps *heaps, const struct spead_source *source,
                        const struct spead_live *live)
{
    uint32_t slot = 0;
    find_heap(heaps, source, live->heap.count, &slot);
    return slot;
}

/* The usual case: a packet that begins as the one before it, and carries the bytes that follow. */
static bool continues(const struct spead_source *source, const uint8_t *head, uint64_t length)
{
    const struct spead_live *live = source->current;
    return spead_load64(head) == spead_load64(source->head) &&
           spead_load64(head + 8) == spead_load64(source->head + 8) &&
           spead_load64(head + 16) == spead_load64(source->head + 16) &&
           spead_load64(head + 24) == (source->head_offset | source->expected) &&
           spead_load64(head + 32) == (source->head_length | length) && length <= live->length - source->expected &&
           (source->head_size == 40 || memcmp(head + 40, source->head + 40, source->head_size - 40) == 0);
}

/* `length` bytes more of the current heap have come, and lie where they belong. */
static void advance(struct spead_heaps *heaps, struct spead_source *source, uint64_t length, int64_t now_ns)
{
    struct spead_live *live = source->current;
    source->expected += length;
    *end_of(live) = source->expected;
    live->heap.received += length;
    live->heap.packets++;
    live->heap.last_ns = now_ns;
    source->counters.of[WEIR_SPEAD_PACKETS]++;
    source->counters.of[WEIR_SPEAD_BYTES] += length;
    if (live->contiguous == live->length && live->highest <= live->length)
        spead_live_end(heaps, source, slot_of(heaps, source, live), ENDING_COMPLETE);
}

/* What was heard of a source long ago is forgotten. */
static void hear(const struct spead_heaps *heaps, struct spead_source *source, int64_t now_ns)
{
    if (heaps->options.forget_ns > 0 && now_ns - source->last_ns > heaps->options.forget_ns)
        source->remembered_count = source->remembered_at = 0;
    source->last_ns = now_ns;
}

void spead_heaps_packet(struct spead_heaps *heaps, struct spead_source *source, const void *data, size_t size,
                        int64_t now_ns)
{
    const uint8_t *bytes = data;
    const struct spead_live *live = source->current;
    hear(heaps, source, now_ns);
    if (live && size > source->head_size && continues(source, bytes, size - source->head_size)) {
        memcpy(live->payload + source->expected, bytes + source->head_size, size - source->head_size);
        advance(heaps, source, size - source->head_size, now_ns);
        return;
    }
    take_packet(heaps, source, data, size, now_ns);
}

bool spead_heaps_place(const struct spead_source *source, struct spead_place *ret)
{
    const struct spead_live *live = source->current;
    if (!live || source->expected == live->length)
        return false;
    *ret = (struct spead_place){.payload = live->payload + source->expected,
                                .left = live->length - source->expected,
                                .head = source->head_size,
                                .length = source->packet_length};
    return true;
}

bool spead_heaps_placed(struct spead_heaps *heaps, struct spead_source *source, const void *head,
                        const uint8_t *payload, uint64_t length, int64_t now_ns)
{
    const struct spead_live *live = source->current;
    if (!live || payload != live->payload + source->expected || length == 0 || !continues(source, head, length))
        return false;
    hear(heaps, source, now_ns);
    advance(heaps, source, length, now_ns);
    return true;
}

/* ---- What comes out -------------------------------------------------------------------------------------------- */

bool spead_heaps_finished(const struct spead_heaps *heaps)
{
    return heaps->finished != NULL;
}

struct weir_spead_heap *spead_heaps_take(struct spead_heaps *heaps)
{
    struct spead_live *live = heaps->finished;
    if (!live)
        return NULL;
    heaps->finished = live->next;
    if (!live->next)
        heaps->finished_end = &heaps->finished;
    return &live->heap;
}

int64_t spead_heaps_idle(struct spead_heaps *heaps, int64_t now_ns)
{
    if (heaps->options.idle_ns <= 0)
        return INT64_MAX;
    int64_t chunks_ns = spead_chunks_idle(heaps, now_ns);
    if (now_ns < heaps->idle_next)
        return heaps->idle_next < chunks_ns ? heaps->idle_next : chunks_ns;
    for (struct spead_source *source = heaps->first; source; source = source->next) {
        for (uint32_t slot = 0; slot < heaps->slots && source->partial > 0; slot++) {
            struct spead_live *live = source->slots[slot];
            if (live && now_ns - live->heap.last_ns >= heaps->options.idle_ns)
                spead_live_end(heaps, source, slot, ENDING_IDLE);
        }
    }
    heaps->idle_next = now_ns + heaps->options.idle_ns / 4 + 1;
    return heaps->idle_next < chunks_ns ? heaps->idle_next : chunks_ns;
}

void spead_heaps_flush(struct spead_heaps *heaps)
{
    for (struct spead_source *source = heaps->first; source; source = source->next)
        flush_source(heaps, source);
    spead_chunks_flush(heaps);
}

bool spead_heaps_stopped(const struct spead_heaps *heaps)
{
    return heaps->stopped;
}
