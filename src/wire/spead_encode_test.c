/* SPDX-License-Identifier: MIT */
/* Encoding against golden vectors, against what the reference sent byte for byte, and against a naive reader. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "wire/spead_encode.h"

static const struct spead_flavour flavour_40 = {.address_bits = 40}, flavour_48 = {.address_bits = 48};

/* ---- A packet as bytes ----------------------------------------------------------------------------------------- */

enum { VECTORS = 1024 };
struct made {
    uint8_t bytes[SPEAD_PACKET_MAX];
    size_t size;
    uint32_t vectors, arena;
};

static bool make_packet(struct spead_encoder *encoder, uint32_t most, struct made *made)
{
    static uint8_t arena[SPEAD_PACKET_MAX];
    static struct iovec vectors[VECTORS];
    struct spead_packet packet;
    if (!spead_encode_packet(encoder, arena, vectors, most, &packet))
        return false;
    assert_in_range(packet.vectors, 1, most);
    assert_true(packet.size <= encoder->packet_size && packet.arena <= encoder->packet_size);
    made->size = 0;
    for (uint32_t i = 0; i < packet.vectors; i++) {
        memcpy(made->bytes + made->size, vectors[i].iov_base, vectors[i].iov_len);
        made->size += vectors[i].iov_len;
    }
    assert_int_equal(made->size, packet.size);
    made->vectors = packet.vectors;
    made->arena = packet.arena;
    return true;
}

static size_t from_hex(const char *text, uint8_t *out)
{
    size_t size = 0;
    for (; *text; text++) {
        unsigned byte;
        if (*text == ' ')
            continue;
        assert_int_equal(sscanf(text, "%2x", &byte), 1);
        out[size++] = (uint8_t)byte;
        text++;
    }
    return size;
}

/* ---- Golden vectors -------------------------------------------------------------------------------------------- */

static void expect_one(const struct spead_encode_heap *heap, uint64_t cnt, const char *hex)
{
    struct spead_encoder encoder;
    struct made made;
    uint8_t expected[1024];
    size_t size = from_hex(hex, expected);
    assert_int_equal(spead_encode_begin(&encoder, heap, cnt, 1472), 0);
    assert_int_equal(spead_encode_packet_count(&encoder), 1);
    assert_true(make_packet(&encoder, VECTORS, &made));
    assert_int_equal(made.size, size);
    assert_memory_equal(made.bytes, expected, size);
    assert_false(spead_encode_more(&encoder));
    assert_false(make_packet(&encoder, VECTORS, &made));
}

static void test_golden_stop(void **state)
{
    (void)state;
    const struct spead_encode_item stop = {.id = SPEAD_STREAM_CTRL, .value = SPEAD_CONTROL_STOP};
    const struct spead_encode_heap heap = {.flavour = flavour_48, .count = 1, .items = &stop};
    expect_one(&heap, 1,
               "5304020600000006 8001000000000001 8002000000000001 8003000000000000 8004000000000001"
               "8006000000000002 0000000000000000 00");
}

static void test_golden_data(void **state)
{
    (void)state;
    const uint8_t floats[16] = {0, 0, 0x80, 0x3f, 0, 0, 0, 0x40, 0, 0, 0x40, 0x40, 0, 0, 0x80, 0x40};
    const uint8_t six[] = {0x01, 0x23, 0x45, 0x67, 0x89, 0xab};
    struct spead_encode_item items[] = {
        {.id = 0x1000, .kind = SPEAD_ENCODE_BYTES, .data = floats, .size = sizeof floats},
        {.id = 0x1001, .kind = SPEAD_ENCODE_VALUE, .value = 0x0123456789ab},
    };
    const struct spead_encode_heap heap = {.flavour = flavour_48, .count = 2, .items = items};
    const char *expected = "5304020600000006 8001000000000002 8002000000000010 8003000000000000 8004000000000010"
                           "1000000000000000 90010123456789ab 0000803f00000040 0000404000008040";
    expect_one(&heap, 2, expected);
    expect_one(&heap, (UINT64_C(1) << 48) + 2, expected); /* the count is masked */
    items[1] = (struct spead_encode_item){.id = 0x1001, .kind = SPEAD_ENCODE_SHORT, .data = six, .size = 6};
    expect_one(&heap, 2, expected); /* read from memory when the packet is made */
}

static void test_repeated_pointers(void **state)
{
    (void)state;
    static const uint8_t data[4000];
    const struct spead_encode_item items[] = {
        {.id = 0x1000, .kind = SPEAD_ENCODE_VALUE, .value = 7},
        {.id = 0x1001, .kind = SPEAD_ENCODE_BYTES, .data = data, .size = sizeof data},
    };
    struct spead_encode_heap heap = {.flavour = flavour_40, .repeat_pointers = true, .count = 2, .items = items};
    struct spead_encoder encoder;
    struct made made;
    assert_int_equal(spead_encode_begin(&encoder, &heap, 9, 1000), 0);
    uint64_t count = spead_encode_packet_count(&encoder), seen = 0;
    for (; make_packet(&encoder, VECTORS, &made); seen++) {
        assert_int_equal(spead_load64(made.bytes + 40), spead_pointer(flavour_40, true, 0x1000, 7));
        assert_int_equal(spead_load64(made.bytes + 48), spead_pointer(flavour_40, false, 0x1001, 0));
    }
    assert_int_equal(seen, count);
    assert_int_equal(seen, 5);
    assert_int_equal(spead_encode_begin(&encoder, &heap, 9, 64), -EMSGSIZE); /* two pointers do not fit */
}

static void test_refusals(void **state)
{
    (void)state;
    struct spead_encode_item item = {.id = 0x1000, .value = UINT64_C(1) << 40};
    struct spead_encode_heap heap = {.flavour = flavour_40, .count = 1, .items = &item};
    struct spead_encoder encoder;
    assert_int_equal(spead_encode_begin(&encoder, &heap, 1, 1472), -EINVAL);
    heap.flavour = flavour_48;
    assert_int_equal(spead_encode_begin(&encoder, &heap, 1, 1472), 0);
    assert_int_equal(spead_encode_begin(&encoder, &heap, 1, 55), -EMSGSIZE);
    assert_int_equal(spead_encode_begin(&encoder, &heap, 1, 63), 0);
    assert_int_equal(spead_encode_begin(&encoder, &heap, 1, 65536), -EMSGSIZE);
    item.id = 0x8000;
    assert_int_equal(spead_encode_begin(&encoder, &heap, 1, 1472), -EINVAL);
    item = (struct spead_encode_item){.id = 5, .kind = SPEAD_ENCODE_BYTES, .data = "", .size = 256};
    heap.flavour = (struct spead_flavour){.address_bits = 8};
    assert_int_equal(spead_encode_begin(&encoder, &heap, 1, 1472), -EMSGSIZE); /* addresses end at 255 */
    heap.flavour = (struct spead_flavour){.address_bits = 44};
    assert_int_equal(spead_encode_begin(&encoder, &heap, 1, 1472), -EINVAL);
}

/* ---- What the reference sent ----------------------------------------------------------------------------------- */

enum { ITEMS_MAX = 4096, HEAPS_MAX = 64, CAPTURE_PACKETS = 2048, FRAMING = 14 + 20 + 8 };

struct capture {
    uint8_t *bytes;
    size_t count;
    struct {
        const uint8_t *data;
        size_t size;
    } packets[CAPTURE_PACKETS];
};

static void read_capture(const char *name, struct capture *capture)
{
    char path[128];
    snprintf(path, sizeof path, "tests/data/spead/%s.pcap", name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    size_t size = (size_t)ftell(file);
    rewind(file);
    capture->bytes = test_malloc(size);
    capture->count = 0;
    assert_int_equal(fread(capture->bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
    for (size_t at = 24; at + 16 <= size;) {
        uint32_t length;
        memcpy(&length, capture->bytes + at + 8, sizeof length);
        assert_true(capture->count < CAPTURE_PACKETS && length > FRAMING && at + 16 + length <= size);
        capture->packets[capture->count].data = capture->bytes + at + 16 + FRAMING;
        capture->packets[capture->count++].size = length - FRAMING;
        at += 16 + length;
    }
}

/* A heap as its packets say it, which come in order. */
struct seen_heap {
    struct spead_flavour flavour;
    uint64_t cnt, length, received;
    uint8_t *payload;
    size_t count;
    struct spead_encode_item items[ITEMS_MAX];
    uint64_t addresses[ITEMS_MAX];
    bool padded;
};

static void see_packet(struct seen_heap *heap, const uint8_t *packet, size_t size, bool repeated)
{
    heap->flavour.address_bits = (uint8_t)(packet[3] * 8);
    size_t pointers = packet[6] << 8 | packet[7], header = 8 + 8 * pointers;
    uint64_t standard[5];
    for (unsigned i = 0; i < 4; i++) {
        uint64_t pointer = spead_load64(packet + 8 + 8 * i);
        assert_true(spead_pointer_immediate(pointer));
        assert_int_equal(spead_pointer_id(pointer, heap->flavour), i + 1);
        standard[i + 1] = spead_pointer_value(pointer, heap->flavour);
    }
    assert_int_equal(header + standard[SPEAD_PAYLOAD_LEN], size);
    assert_int_equal(standard[SPEAD_PAYLOAD_OFFSET], heap->received);
    assert_true(standard[SPEAD_PAYLOAD_LEN] > 0);
    heap->cnt = standard[SPEAD_HEAP_CNT];
    if (!heap->payload)
        heap->payload = test_malloc(standard[SPEAD_HEAP_LEN]);
    heap->length = standard[SPEAD_HEAP_LEN];
    memcpy(heap->payload + heap->received, packet + header, size - header);
    heap->received += standard[SPEAD_PAYLOAD_LEN];
    if (heap->received < heap->length)
        assert_int_equal(heap->received % 8, 0);
    for (size_t i = 4; i < pointers && !(repeated && heap->count > 0 && standard[SPEAD_PAYLOAD_OFFSET] > 0); i++) {
        uint64_t pointer = spead_load64(packet + 8 + 8 * i), value = spead_pointer_value(pointer, heap->flavour);
        uint64_t id = spead_pointer_id(pointer, heap->flavour);
        assert_true(heap->count < ITEMS_MAX);
        heap->addresses[heap->count] = value;
        heap->items[heap->count++] =
            spead_pointer_immediate(pointer)
                ? (struct spead_encode_item){.id = id, .kind = SPEAD_ENCODE_VALUE, .value = value}
                : (struct spead_encode_item){.id = id, .kind = SPEAD_ENCODE_BYTES};
    }
}

/* Lengths of the addressed items; a NULL at the end is the sender's padding and not an item. */
static void measure_items(struct seen_heap *heap)
{
    uint64_t end = heap->length;
    for (size_t i = heap->count; i-- > 0;) {
        struct spead_encode_item *item = &heap->items[i];
        if (item->kind != SPEAD_ENCODE_BYTES)
            continue;
        assert_true(heap->addresses[i] <= end);
        item->data = heap->payload + heap->addresses[i];
        item->size = end - heap->addresses[i];
        end = heap->addresses[i];
    }
    heap->padded = heap->count > 0 && heap->items[heap->count - 1].id == SPEAD_NULL;
    heap->count -= heap->padded;
}

static void encode_again(const char *name, size_t packet_size)
{
    static struct capture capture;
    static struct seen_heap heap;
    static struct made made;
    read_capture(name, &capture);
    for (size_t first = 0, next; first < capture.count; first = next) {
        memset(&heap, 0, sizeof heap);
        for (next = first; next == first || heap.received < heap.length; next++)
            see_packet(&heap, capture.packets[next].data, capture.packets[next].size, false);
        measure_items(&heap);
        const struct spead_encode_heap again = {.flavour = heap.flavour, .count = heap.count, .items = heap.items};
        struct spead_encoder encoder;
        assert_int_equal(spead_encode_begin(&encoder, &again, heap.cnt, packet_size), 0);
        for (size_t i = first; i < next; i++) {
            assert_true(make_packet(&encoder, VECTORS, &made));
            assert_int_equal(made.size, capture.packets[i].size);
            assert_memory_equal(made.bytes, capture.packets[i].data, made.size);
        }
        assert_false(spead_encode_more(&encoder));
        test_free(heap.payload);
    }
    test_free(capture.bytes);
}

static void test_captures(void **state)
{
    (void)state;
    encode_again("spead2-64-40-5items", 9000);
    encode_again("spead2-64-48-1item", 1472);
    encode_again("spead2-many-items", 1000);
    encode_again("spead2-pyspead-compat", 1472);
    encode_again("spead2-tutorial", 1472);
}

/* The descriptors of a capture: item `number` has this many elements. */
static void expect_descriptors(const char *name, uint8_t bug_compat, unsigned items, unsigned elements)
{
    static struct capture capture;
    static struct seen_heap heap;
    read_capture(name, &capture);
    memset(&heap, 0, sizeof heap);
    for (size_t next = 0; next == 0 || heap.received < heap.length; next++)
        see_packet(&heap, capture.packets[next].data, capture.packets[next].size, false);
    measure_items(&heap);
    heap.flavour.bug_compat = bug_compat;
    for (unsigned i = 0; i < items; i++) {
        char title[64], dtype[128];
        uint8_t bytes[512];
        size_t size = 0;
        snprintf(title, sizeof title, "Test item %u", i);
        snprintf(dtype, sizeof dtype, "{'shape': (%u,), 'fortran_order': False, 'descr': '>u4'}", elements);
        const struct spead_descriptor descriptor = {
            .id = 0x1000 + i,
            .name = spead_text(title),
            .description = spead_text("A test item with arbitrary value"),
            .numpy = true,
            .dtype = spead_text(dtype),
        };
        assert_int_equal(heap.items[i].id, SPEAD_DESCRIPTOR);
        assert_int_equal(spead_encode_descriptor(&descriptor, heap.flavour, bytes, sizeof bytes, &size), 0);
        assert_int_equal(size, heap.items[i].size);
        assert_memory_equal(bytes, heap.items[i].data, size);
        assert_int_equal(spead_encode_descriptor(&descriptor, heap.flavour, bytes, size - 1, &size), -ENOSPC);
    }
    test_free(heap.payload);
    test_free(capture.bytes);
}

static void test_descriptors_of_captures(void **state)
{
    (void)state;
    expect_descriptors("spead2-64-40-5items", 0, 5, 2000);
    expect_descriptors("spead2-pyspead-compat", SPEAD_BUG_PYSPEAD_0_5_2, 2, 625);
}

static void test_descriptor_fields(void **state)
{
    (void)state;
    const struct spead_descriptor descriptor = {
        .id = 0x1600,
        .name = spead_text("ab"),
        .description = spead_text("c"),
        .dimensions = 2,
        .fields = 2,
        .shape = {SPEAD_VARIABLE, 0x1234},
        .format = {{'u', 40}, {'f', 32}},
    };
    uint8_t bytes[256];
    size_t size;
    assert_int_equal(spead_encode_descriptor(&descriptor, flavour_48, bytes, sizeof bytes, &size), 0);
    assert_int_equal(size, 8 + 9 * 8 + 3 + 2 * 3 + 2 * 7);
    const uint8_t payload_48[] = {'a', 'b', 'c', 'u', 0, 40, 'f', 0, 32, 1,    0,   0,
                                  0,   0,   0,   0,   0, 0,  0,   0, 0,  0x12, 0x34};
    assert_memory_equal(bytes + 80, payload_48, sizeof payload_48);
    assert_int_equal(spead_encode_descriptor(&descriptor, flavour_40, bytes, sizeof bytes, &size), 0);
    const uint8_t payload_40[] = {'a', 'b', 'c', 'u', 0, 0, 40, 'f', 0, 0,    32,  1,
                                  0,   0,   0,   0,   0, 0, 0,  0,   0, 0x12, 0x34};
    assert_int_equal(size, 80 + sizeof payload_40);
    assert_memory_equal(bytes + 80, payload_40, sizeof payload_40);
    struct spead_flavour old = {.address_bits = 48, .bug_compat = SPEAD_BUG_PYSPEAD_0_5_2};
    assert_int_equal(spead_encode_descriptor(&descriptor, old, bytes, sizeof bytes, &size), 0);
    assert_int_equal(size, 80 + 3 + 2 * 4 + 2 * 8);
    assert_int_equal(bytes[80 + 3 + 8], 2);
}

static void test_descriptor_refusals(void **state)
{
    (void)state;
    struct spead_descriptor descriptor = {.id = 1, .dimensions = 2, .shape = {3, SPEAD_VARIABLE}};
    uint8_t bytes[256];
    size_t size;
    assert_int_equal(spead_encode_descriptor(&descriptor, flavour_48, bytes, sizeof bytes, &size), 0);
    descriptor.shape[0] = SPEAD_VARIABLE;
    assert_int_equal(spead_encode_descriptor(&descriptor, flavour_48, bytes, sizeof bytes, &size), -EINVAL);
    descriptor.shape[0] = INT64_C(1) << 48;
    assert_int_equal(spead_encode_descriptor(&descriptor, flavour_48, bytes, sizeof bytes, &size), -EINVAL);
    descriptor.shape[0] = 3;
    descriptor.id = 0;
    assert_int_equal(spead_encode_descriptor(&descriptor, flavour_48, bytes, sizeof bytes, &size), -EINVAL);
    descriptor.id = 0x8000;
    assert_int_equal(spead_encode_descriptor(&descriptor, flavour_48, bytes, sizeof bytes, &size), -EINVAL);
    assert_int_equal(spead_encode_descriptor(&descriptor, flavour_40, bytes, sizeof bytes, &size), 0);
    descriptor.name = spead_text("two\nlines");
    assert_int_equal(spead_encode_descriptor(&descriptor, flavour_40, bytes, sizeof bytes, &size), -EINVAL);
}

/* ---- Random heaps ---------------------------------------------------------------------------------------------- */

static uint64_t random_state;
static uint64_t random_below(uint64_t most)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state % most;
}

enum { POOL = 1 << 16 };
static uint8_t pool[POOL];

/* What makes an item's bytes: it copies them from where they are to be. */
static void copy_from(void *argument, uint64_t offset, void *memory, size_t size)
{
    memcpy(memory, (const uint8_t *)argument + offset, size);
}

static size_t random_items(struct spead_encode_item *items, struct spead_flavour flavour)
{
    static const size_t sizes[] = {1, 8, 100, 3000};
    size_t count = random_below(2) ? random_below(6) : random_below(300), most = sizes[random_below(4)];
    for (size_t i = 0; i < count; i++) {
        items[i] = (struct spead_encode_item){
            .id = 1 + SPEAD_STREAM_CTRL + random_below(spead_id_most(flavour) - SPEAD_STREAM_CTRL),
            .kind = (enum spead_encode_kind)random_below(4),
            .value = random_below(spead_address_mask(flavour)),
            .size = random_below(most + 1),
        };
        items[i].data = pool + random_below(POOL - items[i].size);
        items[i].make = copy_from;
        items[i].argument = pool + ((const uint8_t *)items[i].data - pool);
    }
    return count;
}

static void check_same(const struct spead_encode_heap *heap, const struct seen_heap *seen)
{
    size_t at = 0;
    assert_int_equal(seen->count, heap->count);
    for (size_t i = 0; i < heap->count; i++) {
        const struct spead_encode_item *item = &heap->items[i], *got = &seen->items[i];
        assert_int_equal(got->id, item->id);
        bool is_short = item->kind == SPEAD_ENCODE_SHORT && item->size > 0 &&
                        item->size <= heap->flavour.address_bits / 8;
        if (item->kind == SPEAD_ENCODE_VALUE || is_short) {
            uint64_t value = is_short ? spead_load_bytes(item->data, (unsigned)item->size) : item->value;
            assert_int_equal(got->kind, SPEAD_ENCODE_VALUE);
            assert_int_equal(got->value, value);
            continue;
        }
        assert_int_equal(seen->addresses[i], at);
        assert_int_equal(got->size, item->size);
        assert_memory_equal(got->data, item->data, item->size);
        at += item->size;
    }
}

static void check_random(void)
{
    static struct spead_encode_item items[ITEMS_MAX];
    static struct seen_heap seen;
    static struct made made;
    struct spead_flavour flavour = {.address_bits = (uint8_t)(32 + 8 * random_below(3))};
    struct spead_encode_heap heap = {.flavour = flavour, .items = items, .repeat_pointers = random_below(4) == 0};
    heap.count = random_items(items, flavour);
    size_t packet_size = SPEAD_PACKET_MIN + (random_below(2) ? random_below(200) : random_below(9000));
    uint64_t cnt = random_below(spead_address_mask(flavour));
    uint32_t most = random_below(2) ? VECTORS : 2 + (uint32_t)random_below(8);
    struct spead_encoder encoder;
    int error = spead_encode_begin(&encoder, &heap, cnt, packet_size);
    if (heap.repeat_pointers && error == -EMSGSIZE)
        return;
    assert_int_equal(error, 0);
    memset(&seen, 0, sizeof seen);
    uint64_t packets = spead_encode_packet_count(&encoder);
    while (make_packet(&encoder, most, &made)) {
        assert_true(made.size <= packet_size);
        see_packet(&seen, made.bytes, made.size, heap.repeat_pointers);
        packets--;
    }
    assert_int_equal(packets, 0);
    assert_int_equal(seen.received, seen.length);
    assert_int_equal(seen.cnt, cnt);
    measure_items(&seen);
    check_same(&heap, &seen);
    test_free(seen.payload);
}

static void test_random(void **state)
{
    (void)state;
    const char *given = getenv("WEIR_TEST_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);
    print_message("WEIR_TEST_SEED=%llu\n", (unsigned long long)seed);
    random_state = seed * 0x9e3779b97f4a7c15 | 1;
    for (size_t i = 0; i < POOL; i++)
        pool[i] = (uint8_t)random_below(256);
    for (int i = 0; i < 3000; i++)
        check_random();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden_stop),
        cmocka_unit_test(test_golden_data),
        cmocka_unit_test(test_repeated_pointers),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_captures),
        cmocka_unit_test(test_descriptors_of_captures),
        cmocka_unit_test(test_descriptor_fields),
        cmocka_unit_test(test_descriptor_refusals),
        cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
