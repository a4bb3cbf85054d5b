/* SPDX-License-Identifier: MIT */
/*
 * Random heaps of all flavours, in packets of random sizes, shuffled and doubled, are the same heaps again. And packets
 * that are received straight into heaps, as far as they can be foretold, make the same heaps and the same counts as
 * packets that are looked at one by one, whatever is lost, doubled or out of place.
 */
#include <weir/part.h>

#include "base/hash.h"
#include "net/spead_heap.h"
#include "net/spead_scatter.h"
#include "wire/spead_encode.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <cmocka.h>

enum { PACKETS_MOST = 6000, ITEMS_MOST = 24, HEAPS_MOST = 8, POOL = 1 << 20 };

static uint8_t pool[POOL];
static uint64_t random_state;

static uint64_t below(uint64_t most)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state % most;
}

static void set_up(const char *what)
{
    const char *given = getenv("WEIR_TEST_SEED");
    random_state = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL) * 2654435761u + 1;
    random_state += !random_state;
    printf("%s: seed %llu\n", what, (unsigned long long)random_state);
    for (size_t i = 0; i < POOL; i += 8) {
        uint64_t word = below(UINT64_MAX);
        memcpy(pool + i, &word, 8);
    }
}

static const struct spead_heaps_options usual = {.max_heaps = 16,
                                                 .substreams = 1,
                                                 .max_sources = 4,
                                                 .remembered = 64,
                                                 .max_heap_bytes = 16 << 20,
                                                 .memory = 256 << 20,
                                                 .incomplete = true,
                                                 .stop = SPEAD_STOP_NEVER};

struct packet {
    uint8_t *data;
    size_t size;
    uint32_t source;
};
struct packets {
    struct packet all[PACKETS_MOST];
    size_t count;
};

static void add_packets(struct packets *packets, const struct spead_encode_heap *heap, uint64_t cnt, size_t packet_size)
{
    static uint8_t arena[SPEAD_PACKET_MAX + 64];
    struct spead_encoder encoder;
    struct spead_packet made;
    struct iovec vectors[64];
    assert_int_equal(spead_encode_begin(&encoder, heap, cnt, packet_size), 0);
    while (spead_encode_packet(&encoder, arena, vectors, 64, &made)) {
        struct packet *packet = &packets->all[packets->count++];
        assert_true(packets->count <= PACKETS_MOST);
        *packet = (struct packet){.data = memory_allocate(made.size), .size = made.size};
        for (uint32_t i = 0, at = 0; i < made.vectors; at += (uint32_t)vectors[i++].iov_len)
            memcpy(packet->data + at, vectors[i].iov_base, vectors[i].iov_len);
    }
}

static void free_packets(struct packets *packets)
{
    for (size_t i = 0; i < packets->count; i++)
        memory_free(packets->all[i].data);
    packets->count = 0;
}

/* ---- Shuffled and doubled --------------------------------------------------------------------------------------- */

struct model {
    struct spead_encode_heap heap;
    struct spead_encode_item items[ITEMS_MOST];
    bool seen;
};

static void make_heap(struct model *model, struct spead_flavour flavour)
{
    uint64_t room = spead_address_mask(flavour), id = SPEAD_STREAM_CTRL;
    size_t count = below(ITEMS_MOST + 1);
    room = room > 60000 ? 60000 : room - 8;
    *model = (struct model){.heap = {.flavour = flavour, .items = model->items}};
    for (size_t i = 0; i < count && room > 0 && id + 3 < spead_id_most(flavour); i++) {
        struct spead_encode_item *item = &model->items[model->heap.count++];
        uint64_t most = below(2) && room > 10 ? 10 : 1 + room / ITEMS_MOST;
        id += 1 + below(3);
        /* None without bytes: which of two items at one address that is, only the order of packets could say. */
        *item = (struct spead_encode_item){.id = id,
                                           .kind = (enum spead_encode_kind)below(3),
                                           .value = below(spead_address_mask(flavour)),
                                           .size = 1 + below(most < room ? most : room)};
        item->data = pool + below(POOL - item->size);
        room -= item->size;
    }
}

/* What the item's bytes are worth as a number, which stands in the last bytes of an address. */
static uint64_t as_number(const struct spead_encode_item *item)
{
    uint64_t number = 0;
    for (size_t i = 0; i < item->size; i++)
        number = number << 8 | ((const uint8_t *)item->data)[i];
    return number;
}

static void check_item(const struct weir_spead_heap *heap, const struct spead_encode_item *item)
{
    const struct weir_spead_value *found = NULL;
    uint32_t bytes = heap->address_bits / 8;
    bool immediate = item->kind == SPEAD_ENCODE_VALUE || (item->kind == SPEAD_ENCODE_SHORT && item->size <= bytes);
    for (uint32_t i = 0; i < heap->value_count; i++) {
        if (heap->values[i].id == item->id)
            found = &heap->values[i];
    }
    assert_non_null(found);
    assert_int_equal(found->immediate, immediate);
    if (immediate) {
        assert_int_equal(found->value, item->kind == SPEAD_ENCODE_VALUE ? item->value : as_number(item));
    } else {
        assert_int_equal(found->length, item->size);
        assert_memory_equal(found->data, item->data, item->size);
    }
}

static void check_heap(const struct weir_spead_heap *heap, struct model *models, size_t count, uint64_t first)
{
    assert_true(heap->complete);
    assert_true(heap->count >= first && heap->count < first + count);
    struct model *model = &models[heap->count - first];
    assert_false(model->seen);
    model->seen = true;
    assert_int_equal(heap->address_bits, model->heap.flavour.address_bits);
    for (size_t i = 0; i < model->heap.count; i++)
        check_item(heap, &model->items[i]);
}

static void check_round(struct packets *packets)
{
    static struct model models[HEAPS_MOST];
    struct spead_flavour flavour = {.address_bits = (uint8_t)(8 * (1 + below(7)))};
    size_t count = 1 + below(HEAPS_MOST);
    uint64_t first = 1 + below(100);
    for (size_t i = 0; i < count; i++) {
        make_heap(&models[i], flavour);
        add_packets(packets, &models[i].heap, first + i, SPEAD_PACKET_MIN + below(below(2) ? 200 : 9000));
    }
    struct spead_heaps *heaps = spead_heaps_new(&usual);
    struct spead_source *source = spead_heaps_add(heaps, "a", 1, "a", 1);
    for (size_t i = packets->count; i-- > 1;) {
        size_t other = below(i + 1);
        struct packet kept = packets->all[i];
        packets->all[i] = packets->all[other];
        packets->all[other] = kept;
    }
    uint64_t doubled = 0, came = 0;
    for (size_t i = 0; i < packets->count; i++) {
        uint64_t again = below(10) == 0 ? 2 : 1;
        for (doubled += again - 1; again > 0; again--)
            spead_heaps_packet(heaps, source, packets->all[i].data, packets->all[i].size, (int64_t)i + 1);
        for (struct weir_spead_heap *heap; (heap = spead_heaps_take(heaps)); came++) {
            check_heap(heap, models, count, first);
            weir_memory_release(&heap->memory);
        }
    }
    assert_int_equal(came, count);
    assert_int_equal(source->counters.of[WEIR_SPEAD_PACKETS], packets->count);
    assert_int_equal(source->counters.of[WEIR_SPEAD_PACKETS_DUPLICATE], doubled);
    assert_int_equal(spead_pool_outside(spead_heaps_pool(heaps)), 0);
    spead_heaps_free(heaps);
    free_packets(packets);
}

static void test_shuffled_and_doubled(void **state)
{
    static struct packets packets;
    (void)state;
    set_up("shuffled and doubled");
    for (int round = 0; round < 150; round++)
        check_round(&packets);
}

/* ---- Straight into heaps ----------------------------------------------------------------------------------------- */

enum { MESSAGE = SCATTER_BUFFER, BATCH = 12, SOURCES = 2 };

/* One side of the comparison: what comes out is added up in the order in which it comes. */
struct side {
    struct spead_heaps *heaps;
    struct spead_source *sources[SOURCES];
    uint64_t hash, came;
};

static void open_side(struct side *side)
{
    struct spead_heaps_options options = usual;
    options.max_heaps = 3;
    side->heaps = spead_heaps_new(&options);
    side->sources[0] = spead_heaps_add(side->heaps, "a", 1, "a", 1);
    side->sources[1] = spead_heaps_add(side->heaps, "b", 1, "b", 1);
    side->hash = side->came = 0;
}

static void collect(void *argument)
{
    struct side *side = argument;
    for (struct weir_spead_heap *heap; (heap = spead_heaps_take(side->heaps)); side->came++) {
        const uint64_t facts[] = {side->hash,     heap->count,  heap->complete,    heap->packets,
                                  heap->received, heap->source, heap->value_count, heap->range_count};
        side->hash = hash_bytes(facts, sizeof facts) ^ hash_bytes(heap->memory.data, heap->memory.size);
        memset(heap->memory.data, 0xee, heap->memory.size); /* what comes next must not rely on it */
        weir_memory_release(&heap->memory);
    }
}

static void look_at(struct side *side, const struct packet *packet)
{
    spead_heaps_packet(side->heaps, side->sources[packet->source], packet->data, packet->size, 5);
    collect(side);
}

/* Packets [first, first + count) as one message: put where the vectors say, as the kernel does it. */
struct message {
    size_t first, count, size, segment;
};

static void deliver(const struct packets *packets, const struct message *message, const struct iovec *vectors)
{
    size_t at = 0;
    for (size_t i = message->first; i < message->first + message->count; i++) {
        const struct packet *packet = &packets->all[i];
        for (size_t from = 0; from < packet->size;) {
            size_t piece = vectors->iov_len - at < packet->size - from ? vectors->iov_len - at : packet->size - from;
            memcpy((uint8_t *)vectors->iov_base + at, packet->data + from, piece);
            from += piece;
            at += piece;
            if (at == vectors->iov_len) {
                vectors++;
                at = 0;
            }
        }
    }
}

/* The next message: packets of one source and size, and perhaps a shorter one, that the sender or the kernel put
 * together, fewer than could be now and then. */
static struct message next_message(const struct packets *packets, size_t at, bool whole)
{
    struct message message = {.first = at, .segment = packets->all[at].size};
    size_t most = whole ? SCATTER_PACKETS : 1 + below(SCATTER_PACKETS);
    for (; at < packets->count && message.count < most; at++) {
        const struct packet *packet = &packets->all[at];
        if (packet->source != packets->all[message.first].source || packet->size > message.segment ||
            message.size + packet->size > SCATTER_MESSAGE_BYTES)
            break;
        message.size += packet->size;
        message.count++;
        if (packet->size < message.segment)
            break;
    }
    return message;
}

/* One call of recvmmsg and what is done after it. Returns where it stopped. */
static size_t receive_batch(struct side *side, struct spead_scatter *scatter, const struct packets *packets, size_t at,
                            struct spead_source **latest, bool whole)
{
    static uint8_t buffers[BATCH][MESSAGE];
    struct message messages[BATCH];
    struct mmsghdr headers[BATCH] = {0};
    scatter->depth = 1 + (uint32_t)below(SCATTER_MESSAGES); /* as after many guesses that were right */
    scatter->pause /= 4;
    uint32_t planned = scatter_plan(scatter, *latest, 65536, BATCH, buffers[0], MESSAGE), got = 0;
    for (uint32_t asked = 1 + (uint32_t)below(BATCH); got < asked && at < packets->count; got++) {
        struct iovec plain = {buffers[got], MESSAGE};
        messages[got] = next_message(packets, at, whole);
        headers[got].msg_len = (unsigned)messages[got].size;
        deliver(packets, &messages[got], got < planned ? scatter->vectors[got] : &plain);
        at += messages[got].count;
    }
    for (uint32_t i = 0; i < got; i++) {
        size_t from = 0;
        *latest = side->sources[packets->all[messages[i].first].source];
        if (i < scatter->planned) {
            const struct scatter_received received = {&headers[i], got - i, *latest,
                                                      messages[i].count > 1 ? messages[i].segment : 0, 5};
            from = scatter_take(scatter, side->heaps, i, &received, collect, side);
        }
        for (; from < messages[i].size; from += messages[i].segment) {
            size_t left = messages[i].size - from;
            spead_heaps_packet(side->heaps, *latest, buffers[i] + from,
                               left < messages[i].segment ? left : messages[i].segment, 5);
            collect(side);
        }
    }
    scatter_done(scatter);
    return at;
}

/* Heaps of one or two senders, some of whose packets are lost, doubled or change places. */
static void make_stream(struct packets *packets, unsigned trouble)
{
    size_t packet_size = 1100 + below(5000);
    struct spead_flavour flavour = {.address_bits = 48};
    for (uint64_t cnt = 1; cnt <= 6; cnt++) {
        struct spead_encode_item item = {.id = 0x1000, .kind = SPEAD_ENCODE_BYTES, .size = 1 + below(400000)};
        item.data = pool + below(POOL - item.size);
        const struct spead_encode_heap heap = {.flavour = flavour, .count = 1, .items = &item};
        size_t from = packets->count;
        add_packets(packets, &heap, cnt, packet_size);
        for (; from < packets->count; from++)
            packets->all[from].source = trouble && cnt % 3 == 0;
    }
    for (size_t i = 0; trouble && i < packets->count; i++) {
        size_t other = i + below(packets->count - i < 200 ? packets->count - i : 200);
        struct packet kept = packets->all[i];
        if (below(1000) >= trouble)
            continue;
        if (below(3) == 0) { /* lost */
            memory_free(kept.data);
            memmove(&packets->all[i], &packets->all[i + 1], (--packets->count - i) * sizeof kept);
        } else if (below(2) == 0) { /* another one comes instead, and again later */
            kept.data = memory_allocate(packets->all[other].size);
            kept.size = packets->all[other].size;
            kept.source = packets->all[other].source;
            memcpy(kept.data, packets->all[other].data, kept.size);
            memory_free(packets->all[i].data);
            packets->all[i] = kept;
        } else {
            packets->all[i] = packets->all[other];
            packets->all[other] = kept;
        }
    }
}

static void compare_sides(struct packets *packets, bool whole, uint64_t *foretold)
{
    static struct spead_scatter scatter;
    struct side plain, straight;
    struct spead_source *latest = NULL;
    struct weir_spead_counters counters[2];
    scatter = (struct spead_scatter){0};
    open_side(&plain);
    open_side(&straight);
    for (size_t i = 0; i < packets->count; i++)
        look_at(&plain, &packets->all[i]);
    for (size_t at = 0; at < packets->count;) {
        at = receive_batch(&straight, &scatter, packets, at, &latest, whole);
        *foretold += scatter.planned;
    }
    spead_heaps_flush(plain.heaps);
    collect(&plain);
    spead_heaps_flush(straight.heaps);
    collect(&straight);
    spead_heaps_totals(plain.heaps, &counters[0]);
    spead_heaps_totals(straight.heaps, &counters[1]);
    assert_memory_equal(&counters[0], &counters[1], sizeof counters[0]);
    assert_int_equal(plain.came, straight.came);
    assert_int_equal(plain.hash, straight.hash);
    spead_heaps_free(plain.heaps);
    spead_heaps_free(straight.heaps);
}

static void test_straight_into_heaps(void **state)
{
    static struct packets packets;
    static const unsigned troubles[] = {0, 3, 30, 300};
    uint64_t foretold = 0;
    (void)state;
    set_up("straight into heaps");
    for (int round = 0; round < 40; round++) {
        make_stream(&packets, troubles[round % 4]);
        compare_sides(&packets, round % 8 < 4, &foretold);
        free_packets(&packets);
    }
    assert_true(foretold > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shuffled_and_doubled),
        cmocka_unit_test(test_straight_into_heaps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
