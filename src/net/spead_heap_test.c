/* SPDX-License-Identifier: MIT */
/* The assembler against captures, as they are and maltreated, and against what somebody may forge. */
#include <weir/part.h>

#include "base/sha256.h"
#include "net/capture.h"
#include "net/spead_heap.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

enum { PACKETS_MOST = 4000, HEAPS_MOST = 64 };

struct file {
    FILE *stream;
};
static ssize_t read_file(void *owner, void *into, size_t size)
{
    return (ssize_t)fread(into, 1, size, ((struct file *)owner)->stream);
}

struct packet {
    uint8_t *data;
    size_t size;
};
struct packets {
    struct packet all[PACKETS_MOST];
    size_t count;
};

static void load(const char *path, struct packets *packets)
{
    struct file file = {fopen(path, "rb")};
    struct weir_error error = {0};
    struct capture *capture;
    struct capture_datagram datagram;
    assert_non_null(file.stream);
    assert_int_equal(capture_open(read_file, &file, path, &error, &capture), 0);
    packets->count = 0;
    while (capture_next(capture, &error, &datagram) == 1) {
        struct packet *packet = &packets->all[packets->count++];
        assert_true(packets->count < PACKETS_MOST);
        *packet = (struct packet){memory_allocate(datagram.size), datagram.size};
        memcpy(packet->data, datagram.data, datagram.size);
    }
    assert_int_equal(error.code, 0);
    capture_close(capture);
    fclose(file.stream);
}

static void unload(struct packets *packets)
{
    for (size_t i = 0; i < packets->count; i++)
        memory_free(packets->all[i].data);
}

/* What came of a heap, in few words. */
struct outcome {
    uint64_t count;
    bool complete;
    uint32_t packets;
    char hash[SHA256_HEX];
};
struct outcomes {
    struct outcome all[HEAPS_MOST];
    size_t count;
};

static const struct spead_heaps_options usual = {.max_heaps = 64,
                                                 .substreams = 1,
                                                 .max_sources = 16,
                                                 .remembered = 64,
                                                 .max_heap_bytes = 16 << 20,
                                                 .memory = 256 << 20,
                                                 .incomplete = true,
                                                 .stop = SPEAD_STOP_NEVER};

static int by_count(const void *left, const void *right)
{
    const struct outcome *a = left, *b = right;
    return a->count < b->count ? -1 : a->count > b->count;
}

static void collect(struct spead_heaps *heaps, struct outcomes *outcomes)
{
    for (struct weir_spead_heap *heap; (heap = spead_heaps_take(heaps));) {
        struct outcome *outcome = &outcomes->all[outcomes->count++];
        assert_true(outcomes->count <= HEAPS_MOST);
        outcome->count = heap->count;
        outcome->complete = heap->complete;
        outcome->packets = heap->packets;
        sha256_hex(heap->memory.data, heap->memory.size, outcome->hash);
        weir_memory_release(&heap->memory);
    }
}

/* Feeds the packets in the order given; `order` may leave some out and have some twice. */
static void assemble(const struct packets *packets, const size_t *order, size_t count, struct outcomes *outcomes,
                     struct weir_spead_counters *totals)
{
    struct spead_heaps *heaps = spead_heaps_new(&usual);
    struct spead_source *source = spead_heaps_add(heaps, "a", 1, "a", 1);
    outcomes->count = 0;
    for (size_t i = 0; i < count; i++) {
        const struct packet *packet = &packets->all[order ? order[i] : i];
        spead_heaps_packet(heaps, source, packet->data, packet->size, (int64_t)i + 1);
        collect(heaps, outcomes);
    }
    spead_heaps_flush(heaps);
    collect(heaps, outcomes);
    qsort(outcomes->all, outcomes->count, sizeof *outcomes->all, by_count);
    spead_heaps_totals(heaps, totals);
    assert_int_equal(spead_pool_outside(spead_heaps_pool(heaps)), 0);
    spead_heaps_free(heaps);
}

static void shuffle(size_t *order, size_t count)
{
    for (size_t i = count; i-- > 1;) {
        size_t other = (size_t)rand() % (i + 1), kept = order[i];
        order[i] = order[other];
        order[other] = kept;
    }
}

static void same_outcomes(const struct outcomes *a, const struct outcomes *b)
{
    assert_int_equal(a->count, b->count);
    for (size_t i = 0; i < a->count; i++) {
        assert_int_equal(a->all[i].count, b->all[i].count);
        assert_true(a->all[i].complete && b->all[i].complete);
        assert_int_equal(a->all[i].packets, b->all[i].packets);
        assert_string_equal(a->all[i].hash, b->all[i].hash);
    }
}

/* One in a hundred is lost: exactly the heaps that a lost packet belonged to are incomplete. */
static void check_losses(const struct packets *packets, const struct outcomes *whole)
{
    static size_t order[PACKETS_MOST];
    static struct outcomes lossy;
    struct weir_spead_counters totals;
    uint64_t lost[PACKETS_MOST];
    size_t kept = 0, lost_count = 0, incomplete = 0;
    for (size_t i = 0; i < packets->count; i++) {
        struct spead_packet_view view;
        assert_int_equal(spead_packet_decode(packets->all[i].data, packets->all[i].size, true, &view), SPEAD_GOOD);
        if (rand() % 100 == 0)
            lost[lost_count++] = view.heap_count;
        else
            order[kept++] = i;
    }
    shuffle(order, kept);
    assemble(packets, order, kept, &lossy, &totals);
    for (size_t i = 0; i < lossy.count; i++) {
        bool expected = true;
        for (size_t k = 0; k < lost_count; k++)
            expected &= lost[k] != lossy.all[i].count;
        assert_int_equal(lossy.all[i].complete, expected);
        incomplete += !expected;
    }
    assert_int_equal(totals.of[WEIR_SPEAD_HEAPS] + incomplete, lossy.count);
    assert_int_equal(totals.of[WEIR_SPEAD_HEAPS_INCOMPLETE_FLUSHED], incomplete);
    assert_true(lossy.count <= whole->count);
}

static void test_captures(void **state)
{
    static const char *const names[] = {"64-40-5items", "64-48-1item", "many-items", "pyspead-compat", "tutorial"};
    static struct packets packets;
    static struct outcomes whole, again;
    static size_t order[2 * PACKETS_MOST];
    struct weir_spead_counters totals;
    unsigned seed = 20261121;
    (void)state;
    print_message("seed %u\n", seed);
    srand(seed);
    for (size_t n = 0; n < sizeof names / sizeof *names; n++) {
        char path[128];
        snprintf(path, sizeof path, "tests/data/spead/spead2-%s.pcap", names[n]);
        load(path, &packets);
        assemble(&packets, NULL, packets.count, &whole, &totals);
        assert_int_equal(totals.of[WEIR_SPEAD_PACKETS], packets.count);
        for (int round = 0; round < 4; round++) {
            for (size_t i = 0; i < 2 * packets.count; i++)
                order[i] = i % packets.count;
            shuffle(order, packets.count);
            assemble(&packets, order, packets.count, &again, &totals);
            same_outcomes(&whole, &again);
            shuffle(order, 2 * packets.count); /* each twice */
            assemble(&packets, order, 2 * packets.count, &again, &totals);
            same_outcomes(&whole, &again);
            assert_int_equal(totals.of[WEIR_SPEAD_PACKETS_DUPLICATE], packets.count);
            check_losses(&packets, &whole);
        }
        unload(&packets);
    }
}

/* ---- Forged packets -------------------------------------------------------------------------------------------- */

struct forged {
    uint64_t count, length, offset;
    uint64_t payload;
    uint64_t pointer; /* one more; 0: none */
    uint8_t address_bits;
};

static size_t forge(struct forged what, uint8_t *bytes)
{
    struct spead_flavour flavour = {what.address_bits ? what.address_bits : 48, 0};
    const uint64_t words[] = {
        spead_header(flavour, what.pointer ? 5 : 4),
        spead_pointer(flavour, true, SPEAD_HEAP_CNT, what.count),
        spead_pointer(flavour, true, SPEAD_HEAP_LEN, what.length),
        spead_pointer(flavour, true, SPEAD_PAYLOAD_OFFSET, what.offset),
        spead_pointer(flavour, true, SPEAD_PAYLOAD_LEN, what.payload),
        what.pointer,
    };
    size_t size = what.pointer ? 48 : 40;
    for (size_t i = 0; i < size / 8; i++)
        spead_store64(bytes + 8 * i, words[i]);
    memset(bytes + size, (int)what.count, what.payload);
    return size + what.payload;
}

static void send(struct spead_heaps *heaps, struct spead_source *source, struct forged what, int64_t now)
{
    uint8_t bytes[2048];
    size_t size = forge(what, bytes);
    spead_heaps_packet(heaps, source, bytes, size, now);
}

/* Each contradiction is counted for what it is, and the heap that it meant to spoil still becomes whole. */
static void test_contradictions(void **state)
{
    struct spead_heaps *heaps = spead_heaps_new(&usual);
    struct spead_source *source = spead_heaps_add(heaps, "a", 1, "a", 0);
    const uint64_t *of = source->counters.of;
    (void)state;
    send(heaps, source, (struct forged){.count = 1, .length = 300, .payload = 100}, 1);
    send(heaps, source, (struct forged){.count = 1, .length = 300, .payload = 100}, 1);
    assert_int_equal(of[WEIR_SPEAD_PACKETS_DUPLICATE], 1);
    send(heaps, source, (struct forged){.count = 1, .length = 300, .offset = 50, .payload = 100}, 1);
    assert_int_equal(of[WEIR_SPEAD_PACKETS_OVERLAP], 1);
    send(heaps, source, (struct forged){.count = 1, .length = 301, .offset = 100, .payload = 100}, 1);
    assert_int_equal(of[WEIR_SPEAD_PACKETS_LENGTH_CHANGED], 1);
    send(heaps, source, (struct forged){.count = 1, .length = 300, .offset = 100, .payload = 100, .address_bits = 40},
         1);
    assert_int_equal(of[WEIR_SPEAD_PACKETS_FLAVOUR_CHANGED], 1);
    struct spead_flavour flavour = {48, 0};
    send(heaps, source,
         (struct forged){.count = 1,
                         .length = 300,
                         .offset = 100,
                         .payload = 100,
                         .pointer = spead_pointer(flavour, false, 0x1000, 301)},
         1);
    assert_int_equal(of[WEIR_SPEAD_PACKETS_POINTER_BEYOND], 1);
    send(heaps, source, (struct forged){.count = 1, .length = 300, .offset = 250, .payload = 100}, 1);
    assert_int_equal(of[WEIR_SPEAD_PACKETS_BEYOND_HEAP], 1);
    send(heaps, source, (struct forged){.count = 2, .length = UINT64_C(1) << 47, .payload = 100}, 1);
    assert_int_equal(of[WEIR_SPEAD_HEAPS_TOO_LARGE], 1);
    send(heaps, source, (struct forged){.count = 1, .length = 300, .offset = 200, .payload = 100}, 1);
    assert_false(spead_heaps_finished(heaps));
    send(heaps, source, (struct forged){.count = 1, .length = 300, .offset = 100, .payload = 100}, 1);
    struct weir_spead_heap *heap = spead_heaps_take(heaps);
    assert_non_null(heap);
    assert_true(heap->complete);
    assert_int_equal(heap->packets, 3);
    for (size_t i = 0; i < 300; i++)
        assert_int_equal(((uint8_t *)heap->memory.data)[i], 1);
    spead_heaps_free(heaps); /* the heap lives on */
    assert_int_equal(((uint8_t *)heap->memory.data)[299], 1);
    weir_memory_release(&heap->memory);
}

/* A sender that claims all the memory, again and again, takes nothing from another one. */
static void test_memory_is_shared_fairly(void **state)
{
    struct spead_heaps_options options = usual;
    options.memory = 32 << 20;
    options.max_heaps = 4;
    options.incomplete = false;
    struct spead_heaps *heaps = spead_heaps_new(&options);
    struct spead_source *greedy = spead_heaps_add(heaps, "g", 1, "g", 0),
                        *meek = spead_heaps_add(heaps, "m", 1, "m", 0);
    uint64_t whole = 0;
    (void)state;
    for (uint64_t i = 1; i <= 200; i++) {
        send(heaps, meek, (struct forged){.count = i, .length = 200, .payload = 100}, (int64_t)i);
        for (uint64_t k = 0; k < 5; k++)
            send(heaps, greedy, (struct forged){.count = 5 * i + k, .length = 15 << 20, .payload = 100}, (int64_t)i);
        send(heaps, meek, (struct forged){.count = i, .length = 200, .offset = 100, .payload = 100}, (int64_t)i);
        for (struct weir_spead_heap *heap; (heap = spead_heaps_take(heaps)); whole++)
            weir_memory_release(&heap->memory);
        assert_true(spead_pool_used(spead_heaps_pool(heaps)) <= options.memory);
    }
    assert_int_equal(whole, 200);
    assert_int_equal(meek->counters.of[WEIR_SPEAD_HEAPS], 200);
    assert_true(greedy->counters.of[WEIR_SPEAD_HEAPS_NO_MEMORY] > 0);
    spead_heaps_free(heaps);
}

static struct forged stop_heap(void)
{
    struct spead_flavour flavour = {48, 0};
    return (struct forged){.count = 9,
                           .length = 1,
                           .payload = 1,
                           .pointer = spead_pointer(flavour, true, SPEAD_STREAM_CTRL, SPEAD_CONTROL_STOP)};
}

/* A stop ends all, its own source, or nothing. */
static void test_stop(void **state)
{
    const struct forged stop = stop_heap();
    (void)state;
    for (int mode = SPEAD_STOP_ANY; mode <= SPEAD_STOP_NEVER; mode++) {
        struct spead_heaps_options options = usual;
        options.stop = (enum spead_stop)mode;
        struct spead_heaps *heaps = spead_heaps_new(&options);
        struct spead_source *a = spead_heaps_add(heaps, "a", 1, "a", 0), *b = spead_heaps_add(heaps, "b", 1, "b", 0);
        send(heaps, a, stop, 1);
        assert_int_equal(spead_heaps_stopped(heaps), mode == SPEAD_STOP_ANY);
        assert_int_equal(spead_heaps_finished(heaps), mode == SPEAD_STOP_NEVER);
        send(heaps, a, (struct forged){.count = 10, .length = 8, .payload = 8}, 1);
        assert_int_equal(a->counters.of[WEIR_SPEAD_PACKETS_AFTER_STOP], mode != SPEAD_STOP_NEVER);
        send(heaps, b, stop, 1);
        assert_int_equal(spead_heaps_stopped(heaps), mode != SPEAD_STOP_NEVER);
        spead_heaps_free(heaps);
    }
}

/* Of two places: whose stop item ends what. */
static void test_stop_at_places(void **state)
{
    const struct forged stop = stop_heap();
    (void)state;
    for (int joint = 0; joint < 2; joint++) {
        for (int mode = SPEAD_STOP_ANY; mode <= SPEAD_STOP_ALL; mode++) {
            struct spead_heaps_options options = usual;
            options.stop = (enum spead_stop)mode;
            options.joint = joint;
            struct spead_heaps *heaps = spead_heaps_new(&options);
            spead_heaps_set_places(heaps, 2);
            struct spead_source *sources[3]; /* two send to place 0, and the third sends to place 1 */
            for (int i = 0; i < 3; i++) {
                const char name[] = {(char)('a' + i), '\0'};
                sources[i] = spead_heaps_add(heaps, name, 1, name, 0);
                sources[i]->place = i == 2;
            }
            send(heaps, sources[0], stop, 1);
            assert_int_equal(spead_heaps_stopped(heaps), joint && mode == SPEAD_STOP_ANY);
            send(heaps, sources[1], (struct forged){.count = 10, .length = 8, .payload = 8}, 1);
            assert_int_equal(sources[1]->counters.of[WEIR_SPEAD_HEAPS], mode == SPEAD_STOP_ALL);
            send(heaps, sources[2], (struct forged){.count = 10, .length = 8, .payload = 8}, 1);
            assert_int_equal(sources[2]->counters.of[WEIR_SPEAD_HEAPS], mode == SPEAD_STOP_ALL || !joint);
            send(heaps, sources[2], stop, 1);
            assert_int_equal(spead_heaps_stopped(heaps), mode == SPEAD_STOP_ANY);
            send(heaps, sources[1], stop, 1);
            assert_true(spead_heaps_stopped(heaps));
            spead_heaps_free(heaps);
        }
    }
}

/* What stays incomplete is given up after a while; what comes of it later is late. */
static void test_idle(void **state)
{
    struct spead_heaps_options options = usual;
    options.idle_ns = 100;
    struct spead_heaps *heaps = spead_heaps_new(&options);
    struct spead_source *source = spead_heaps_add(heaps, "a", 1, "a", 0);
    (void)state;
    send(heaps, source, (struct forged){.count = 1, .length = 200, .offset = 100, .payload = 100}, 1000);
    spead_heaps_idle(heaps, 1050);
    assert_false(spead_heaps_finished(heaps));
    spead_heaps_idle(heaps, 1200);
    struct weir_spead_heap *heap = spead_heaps_take(heaps);
    assert_non_null(heap);
    assert_false(heap->complete);
    assert_int_equal(heap->range_count, 1);
    assert_int_equal(heap->ranges[0].begin, 100);
    assert_int_equal(((uint8_t *)heap->memory.data)[0], 0);
    weir_memory_release(&heap->memory);
    send(heaps, source, (struct forged){.count = 1, .length = 200, .payload = 100}, 1201);
    assert_int_equal(source->counters.of[WEIR_SPEAD_PACKETS_LATE], 1);
    spead_heaps_free(heaps);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_captures),
        cmocka_unit_test(test_contradictions),
        cmocka_unit_test(test_memory_is_shared_fairly),
        cmocka_unit_test(test_stop),
        cmocka_unit_test(test_stop_at_places),
        cmocka_unit_test(test_idle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
