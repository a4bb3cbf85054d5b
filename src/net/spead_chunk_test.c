/* SPDX-License-Identifier: MIT */
/* Heaps in chunks against a model: random losses, order, duplicates and senders; each block has what it should. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/hash.h"
#include "net/spead_chunk.h"

enum { HEAP_BYTES = 100, PIECE = 40, PIECES = 3, HEAPS = 4, STAMP = 0x1600, SAMPLES = 0x3300, PACKET_MAX = 400 };

static const struct spead_heaps_options usual = {
    .chunks = {.heaps = HEAPS, .heap_bytes = HEAP_BYTES, .window = 2},
    .max_heaps = 16,
    .substreams = 1,
    .max_sources = 16,
    .remembered = 64,
    .max_heap_bytes = 1 << 20,
    .memory = 1 << 20,
    .idle_ns = 1000,
    .forget_ns = 5000,
    .stop = SPEAD_STOP_ANY,
};

static uint8_t sample(uint64_t stamp, uint64_t i)
{
    return (uint8_t)(hash_u64(stamp) + i * 7);
}

/* Packet `piece` of the heap; all pointers are in each. */
static size_t put_packet(uint8_t out[PACKET_MAX], uint64_t count, uint64_t stamp, uint64_t bytes, unsigned piece)
{
    const struct spead_flavour flavour = {.address_bits = 48};
    uint64_t offset = (uint64_t)piece * PIECE, length = bytes - offset < PIECE ? bytes - offset : PIECE;
    const uint64_t words[] = {
        spead_header(flavour, 6),
        spead_pointer(flavour, true, SPEAD_HEAP_CNT, count),
        spead_pointer(flavour, true, SPEAD_HEAP_LEN, bytes),
        spead_pointer(flavour, true, SPEAD_PAYLOAD_OFFSET, offset),
        spead_pointer(flavour, true, SPEAD_PAYLOAD_LEN, length),
        spead_pointer(flavour, true, STAMP, stamp),
        spead_pointer(flavour, false, SAMPLES, 0),
    };
    for (size_t i = 0; i < 7; i++)
        spead_store64(out + i * 8, words[i]);
    for (uint64_t i = 0; i < length; i++)
        out[56 + i] = sample(stamp, offset + i);
    return 56 + length;
}

static struct spead_source *source(struct spead_heaps *heaps, char name, int64_t now)
{
    struct spead_source *found = spead_heaps_find(heaps, &name, 1);
    return found ? found : spead_heaps_add(heaps, &name, 1, "somebody", now);
}

static void feed(struct spead_heaps *heaps, char from, uint64_t count, uint64_t stamp, unsigned piece, int64_t now)
{
    uint8_t packet[PACKET_MAX];
    size_t size = put_packet(packet, count, stamp, HEAP_BYTES, piece);
    spead_heaps_packet(heaps, source(heaps, from, now), packet, size, now);
}

static void feed_heap(struct spead_heaps *heaps, uint64_t count, int64_t now)
{
    for (unsigned piece = 0; piece < PIECES; piece++)
        feed(heaps, 'a', count, count, piece, now);
}

static uint64_t counter(struct spead_heaps *heaps, enum weir_spead_counter which)
{
    struct weir_spead_counters totals;
    spead_heaps_totals(heaps, &totals);
    return totals.of[which];
}

/* Every place has its heap's bytes and items, or zeros. Returns a bit for each that is there. */
static unsigned check_chunk(const struct weir_spead_heap *heap, uint64_t number, bool by_stamp)
{
    const struct weir_spead_chunk *chunk = heap->chunk;
    const uint8_t *data = heap->memory.data;
    unsigned there = 0, count = 0;
    assert_non_null(chunk);
    assert_int_equal(chunk->number, number);
    assert_int_equal(heap->memory.size, HEAPS * HEAP_BYTES);
    for (unsigned place = 0; place < HEAPS; place++) {
        const struct weir_spead_heap *placed = chunk->placed[place];
        assert_int_equal(chunk->present[place], placed != NULL);
        for (unsigned i = 0; i < HEAP_BYTES; i++)
            assert_int_equal(data[place * HEAP_BYTES + i], placed ? sample(number * HEAPS + place, i) : 0);
        if (!placed)
            continue;
        there |= 1u << place;
        count++;
        assert_true(placed->complete && placed->value_count == 2);
        assert_int_equal(placed->values[0].value, number * HEAPS + place);
        assert_true(by_stamp || placed->count == number * HEAPS + place);
        assert_ptr_equal(placed->values[1].data, data + place * HEAP_BYTES);
        assert_int_equal(placed->values[1].length, HEAP_BYTES);
    }
    assert_int_equal(chunk->present_count, count);
    assert_int_equal(heap->complete, count == HEAPS);
    return there;
}

static unsigned take(struct spead_heaps *heaps, uint64_t number)
{
    struct weir_spead_heap *heap = spead_heaps_take(heaps);
    assert_non_null(heap);
    unsigned there = check_chunk(heap, number, false);
    weir_memory_release(&heap->memory);
    return there;
}

static void test_full_chunks_come_at_once_and_in_order(void **state)
{
    struct spead_heaps *heaps = spead_heaps_new(&usual);
    (void)state;
    for (uint64_t count = 0; count < 40; count++) {
        feed_heap(heaps, count, 1);
        assert_int_equal(spead_heaps_finished(heaps), count % HEAPS == HEAPS - 1);
        if (spead_heaps_finished(heaps))
            assert_int_equal(take(heaps, count / HEAPS), 0xf);
    }
    assert_int_equal(counter(heaps, WEIR_SPEAD_HEAPS), 40);
    spead_heaps_free(heaps);
}

static void test_window(void **state)
{
    struct spead_heaps *heaps = spead_heaps_new(&usual);
    (void)state;
    feed_heap(heaps, 1, 1);
    feed_heap(heaps, 6, 1); /* chunk 1; chunk 0 stays open */
    feed_heap(heaps, 0, 1);
    feed(heaps, 'a', 3, 3, 0, 1); /* never complete */
    assert_false(spead_heaps_finished(heaps));
    feed_heap(heaps, 9, 1); /* chunk 2: chunk 0 is over */
    assert_int_equal(take(heaps, 0), 3);
    assert_int_equal(counter(heaps, WEIR_SPEAD_HEAPS_INCOMPLETE_EVICTED), 1);
    feed_heap(heaps, 2, 1); /* too late */
    assert_int_equal(counter(heaps, WEIR_SPEAD_HEAPS_CHUNK_LATE), 1);
    feed_heap(heaps, 9, 1); /* twice */
    assert_int_equal(counter(heaps, WEIR_SPEAD_PACKETS_DUPLICATE), PIECES);
    feed_heap(heaps, 400, 1); /* a gap: what is open comes, chunks without any heap do not */
    assert_int_equal(take(heaps, 1), 4);
    assert_int_equal(take(heaps, 2), 2);
    assert_false(spead_heaps_finished(heaps));
    spead_heaps_flush(heaps);
    assert_int_equal(take(heaps, 100), 1);
    assert_int_equal(spead_pool_outside(spead_heaps_pool(heaps)), 0);
    spead_heaps_free(heaps);
}

static void test_idle_and_a_sender_that_counts_anew(void **state)
{
    struct spead_heaps *heaps = spead_heaps_new(&usual);
    (void)state;
    feed_heap(heaps, 101, 1);
    assert_true(spead_heaps_idle(heaps, 900) <= 1001);
    assert_false(spead_heaps_finished(heaps));
    spead_heaps_idle(heaps, 1100);
    assert_int_equal(take(heaps, 25), 2);
    feed_heap(heaps, 0, 2000);
    assert_int_equal(counter(heaps, WEIR_SPEAD_HEAPS_CHUNK_LATE), 1);
    feed_heap(heaps, 4, 9000);
    spead_heaps_flush(heaps);
    assert_int_equal(take(heaps, 1), 1);
    spead_heaps_free(heaps);
}

static void test_other_heaps_come_by_themselves(void **state)
{
    struct spead_heaps *heaps = spead_heaps_new(&usual);
    uint8_t packet[PACKET_MAX];
    (void)state;
    spead_heaps_packet(heaps, source(heaps, 'a', 1), packet, put_packet(packet, 2, 2, 30, 0), 1);
    struct weir_spead_heap *heap = spead_heaps_take(heaps);
    assert_true(heap && !heap->chunk && heap->memory.size == 30);
    weir_memory_release(&heap->memory);
    feed_heap(heaps, 2, 1); /* the same count: over already */
    assert_int_equal(counter(heaps, WEIR_SPEAD_PACKETS_DUPLICATE), PIECES);
    spead_heaps_free(heaps);
}

static void test_memory_is_limited(void **state)
{
    struct spead_heaps_options options = usual;
    struct weir_spead_heap *held[64];
    unsigned chunks = 0;
    (void)state;
    options.memory = 4000;
    struct spead_heaps *heaps = spead_heaps_new(&options);
    for (uint64_t count = 0; count < 64; count++) {
        feed_heap(heaps, count, 1);
        while (spead_heaps_finished(heaps))
            held[chunks++] = spead_heaps_take(heaps);
    }
    assert_true(chunks >= 4 && chunks <= 4000 / (HEAPS * HEAP_BYTES));
    assert_true(counter(heaps, WEIR_SPEAD_HEAPS_NO_MEMORY) > 0);
    assert_int_equal(counter(heaps, WEIR_SPEAD_HEAPS) + counter(heaps, WEIR_SPEAD_HEAPS_NO_MEMORY), 64);
    spead_heaps_count_shed(heaps, held[0]);
    assert_int_equal(counter(heaps, WEIR_SPEAD_HEAPS_SHED), HEAPS);
    spead_heaps_free(heaps); /* those that are held live on */
    for (unsigned i = 0; i < chunks; i++) {
        assert_int_equal(check_chunk(held[i], i, false), 0xf);
        weir_memory_release(&held[i]->memory);
    }
}

/* Two senders, each with half of the heaps, placed by their time stamps; packets within a reach are shuffled, some
 * lost, some twice. */
static void test_random_streams(void **state)
{
    enum { STREAM = 64, PACKETS = STREAM * PIECES, REACH = 12 };
    (void)state;
    for (uint64_t seed = 0; seed < 60; seed++) {
        struct spead_heaps_options options = usual;
        unsigned order[PACKETS], lost[STREAM] = {0}, seen = 0;
        options.chunks.item = STAMP;
        options.idle_ns = 0;
        struct spead_heaps *heaps = spead_heaps_new(&options);
        for (unsigned i = 0; i < PACKETS; i++)
            order[i] = i;
        for (unsigned i = 0; i + 1 < PACKETS; i++) {
            unsigned other = i + (unsigned)(hash_u64(seed * 1000 + i) % REACH), kept = order[i];
            other = other < PACKETS ? other : PACKETS - 1;
            order[i] = order[other];
            order[other] = kept;
        }
        for (unsigned i = 0; i < PACKETS; i++) {
            unsigned heap = order[i] / PIECES, random = (unsigned)(hash_u64(seed * 7777 + i) % 100);
            if (random < 2)
                lost[heap] = 1;
            for (unsigned times = random < 2 ? 0 : random < 5 ? 2 : 1; times > 0; times--)
                feed(heaps, heap % 2 ? 'b' : 'a', 1000 + heap / 2, heap, order[i] % PIECES, 1);
        }
        spead_heaps_flush(heaps);
        uint64_t late = counter(heaps, WEIR_SPEAD_HEAPS_CHUNK_LATE) + counter(heaps, WEIR_SPEAD_PACKETS_LATE);
        for (struct weir_spead_heap *chunk; (chunk = spead_heaps_take(heaps));) {
            uint64_t number = chunk->chunk->number;
            unsigned there = check_chunk(chunk, number, true);
            for (unsigned place = 0; place < HEAPS; place++) {
                bool wanted = !lost[number * HEAPS + place];
                if ((there >> place & 1) > wanted || (!late && (there >> place & 1) != wanted))
                    fail_msg("seed %llu: chunk %llu place %u", (unsigned long long)seed, (unsigned long long)number,
                             place);
                seen += there >> place & 1;
            }
            weir_memory_release(&chunk->memory);
        }
        assert_int_equal(seen, counter(heaps, WEIR_SPEAD_HEAPS));
        assert_int_equal(spead_pool_outside(spead_heaps_pool(heaps)), 0);
        spead_heaps_free(heaps);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_full_chunks_come_at_once_and_in_order),
        cmocka_unit_test(test_window),
        cmocka_unit_test(test_idle_and_a_sender_that_counts_anew),
        cmocka_unit_test(test_other_heaps_come_by_themselves),
        cmocka_unit_test(test_memory_is_limited),
        cmocka_unit_test(test_random_streams),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
