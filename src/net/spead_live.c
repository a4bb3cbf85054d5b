/* SPDX-License-Identifier: MIT */
/* What is known of one heap while it comes in: which bytes, which item pointers. */
#include "base/hash.h"
#include "net/spead_heap_private.h"

/* ---- Ranges ---------------------------------------------------------------------------------------------------- */

/* The first range that ends behind `at`. */
static uint32_t range_after(const struct spead_live *live, uint64_t at)
{
    uint32_t low = 0, high = live->range_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (live->ranges[middle].end > at)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static void remove_ranges(struct spead_live *live, uint32_t at, uint32_t count)
{
    memmove(live->ranges + at, live->ranges + at + count, (live->range_count - at - count) * sizeof *live->ranges);
    live->range_count -= count;
}

enum range_answer spead_live_add_range(struct spead_live *live, uint64_t begin, uint64_t end)
{
    if (begin < live->contiguous)
        return end <= live->contiguous ? RANGE_DUPLICATE : RANGE_OVERLAP;
    uint32_t at = range_after(live, begin);
    struct weir_spead_range *next = at < live->range_count ? &live->ranges[at] : NULL;
    if (next && next->begin < end)
        return next->begin <= begin && end <= next->end ? RANGE_DUPLICATE : RANGE_OVERLAP;
    if (begin == live->contiguous) {
        live->contiguous = end;
        if (next && next->begin == end) { /* at is 0: all ranges lie behind */
            live->contiguous = next->end;
            remove_ranges(live, 0, 1);
        }
        return RANGE_NEW;
    }
    bool joins_before = at > 0 && live->ranges[at - 1].end == begin, joins_next = next && next->begin == end;
    if (joins_before && joins_next) {
        live->ranges[at - 1].end = next->end;
        remove_ranges(live, at, 1);
    } else if (joins_before) {
        live->ranges[at - 1].end = end;
    } else if (joins_next) {
        next->begin = begin;
    } else {
        if (live->range_count == SPEAD_HEAP_RANGES_MAX ||
            !spead_array_reserve(&live->ranges, &live->range_capacity, live->range_count + 1, sizeof *live->ranges))
            return RANGE_TOO_MANY;
        memmove(live->ranges + at + 1, live->ranges + at, (live->range_count - at) * sizeof *live->ranges);
        live->ranges[at] = (struct weir_spead_range){begin, end};
        live->range_count++;
    }
    return RANGE_NEW;
}

/* ---- Pointers -------------------------------------------------------------------------------------------------- */

/* Below so many, looking at each is faster than hashing. */
enum { POINTERS_FEW = 16 };

static void table_insert(struct spead_live *live, uint32_t index)
{
    uint32_t mask = live->table_capacity - 1, at = (uint32_t)hash_u64(live->pointers[index]) & mask;
    while (live->table[at])
        at = (at + 1) & mask;
    live->table[at] = index + 1;
}

static bool has_pointer(const struct spead_live *live, uint64_t pointer)
{
    if (live->pointer_count <= POINTERS_FEW) {
        for (uint32_t i = 0; i < live->pointer_count; i++) {
            if (live->pointers[i] == pointer)
                return true;
        }
        return false;
    }
    uint32_t mask = live->table_capacity - 1, at = (uint32_t)hash_u64(pointer) & mask;
    for (; live->table[at]; at = (at + 1) & mask) {
        if (live->pointers[live->table[at] - 1] == pointer)
            return true;
    }
    return false;
}

/* Makes room for `count` pointers in all, in the array and in the table, which is at most half full. */
static bool reserve_pointers(struct spead_live *live, uint32_t count)
{
    if (!spead_array_reserve(&live->pointers, &live->pointer_capacity, count, sizeof *live->pointers))
        return false;
    if (count <= POINTERS_FEW)
        return true;
    bool rebuild = live->pointer_count <= POINTERS_FEW;
    if (live->table_capacity < 2 * count) {
        if (!spead_array_reserve(&live->table, &live->table_capacity, 2 * count, sizeof *live->table))
            return false;
        rebuild = true;
    }
    if (rebuild) {
        memset(live->table, 0, live->table_capacity * sizeof *live->table);
        for (uint32_t i = 0; i < live->pointer_count; i++)
            table_insert(live, i);
    }
    return true;
}

bool spead_live_add_pointers(struct spead_live *live, const struct spead_packet_view *packet)
{
    for (uint32_t i = 0; i < packet->pointers; i++) {
        uint64_t pointer = spead_packet_pointer(packet, i);
        if (spead_id_is_standard(spead_pointer_id(pointer, packet->flavour)) || has_pointer(live, pointer))
            continue;
        if (live->pointer_count == SPEAD_HEAP_POINTERS_MAX || !reserve_pointers(live, live->pointer_count + 1))
            return false;
        live->pointers[live->pointer_count++] = pointer;
        if (live->pointer_count > POINTERS_FEW)
            table_insert(live, live->pointer_count - 1);
    }
    return true;
}

/* ---- The end --------------------------------------------------------------------------------------------------- */

static void zero_gaps(struct spead_live *live, uint64_t length)
{
    uint64_t at = live->contiguous;
    for (uint32_t i = 0; i < live->range_count; i++) {
        memset(live->payload + at, 0, live->ranges[i].begin - at);
        at = live->ranges[i].end;
    }
    memset(live->payload + at, 0, length - at);
}

/* For the user, what came without a gap is a range like others. */
static bool list_ranges(struct spead_live *live)
{
    if (!spead_array_reserve(&live->ranges, &live->range_capacity, live->range_count + 1, sizeof *live->ranges))
        return false;
    if (live->contiguous > 0) {
        memmove(live->ranges + 1, live->ranges, live->range_count * sizeof *live->ranges);
        live->ranges[0] = (struct weir_spead_range){0, live->contiguous};
        live->range_count++;
    }
    live->heap.ranges = live->ranges;
    live->heap.range_count = live->range_count;
    return true;
}

bool spead_live_finish(struct spead_live *live)
{
    struct weir_spead_heap *heap = &live->heap;
    uint64_t seen = live->range_count ? live->ranges[live->range_count - 1].end : live->contiguous;
    uint64_t length = heap->sized ? live->length : seen;
    struct spead_flavour flavour = {heap->address_bits, 0};
    if (!spead_array_reserve(&live->values, &live->value_capacity, live->pointer_count, sizeof *live->values) ||
        !spead_array_reserve(&live->table, &live->table_capacity, live->pointer_count, sizeof *live->table))
        return false;
    zero_gaps(live, length);
    if (!list_ranges(live))
        return false;
    heap->memory.data = live->payload;
    heap->memory.size = length;
    heap->value_count = (uint32_t)spead_items_decode(flavour, live->pointers, live->pointer_count, live->payload,
                                                     length, live->table, live->values);
    heap->values = live->values;
    return true;
}
