/* SPDX-License-Identifier: MIT */
#include "base/memory.h"
#include "wire/spead_decode.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static size_t from_hex(const char *hex, uint8_t *bytes)
{
    size_t size = 0;
    for (unsigned byte; *hex; hex += 2) {
        while (*hex == ' ')
            hex++;
        assert_int_equal(sscanf(hex, "%2x", &byte), 1);
        bytes[size++] = (uint8_t)byte;
    }
    return size;
}

static const char stop_heap[] = "5304020600000006 8001000000000001 8002000000000001 8003000000000000 8004000000000001 "
                                "8006000000000002 0000000000000000 00";
static const char data_heap[] = "5304020600000006 8001000000000002 8002000000000010 8003000000000000 8004000000000010 "
                                "1000000000000000 90010123456789ab 0000803f00000040 0000404000008040";

static size_t packet_items(const struct spead_packet_view *packet, struct weir_spead_value *items)
{
    uint64_t pointers[16];
    uint32_t order[16];
    size_t count = 0;
    for (uint32_t i = 0; i < packet->pointers; i++) {
        uint64_t pointer = spead_packet_pointer(packet, i);
        if (!spead_id_is_standard(spead_pointer_id(pointer, packet->flavour)))
            pointers[count++] = pointer;
    }
    return spead_items_decode(packet->flavour, pointers, count, packet->payload, packet->payload_length, order, items);
}

static void test_golden_stop(void **state)
{
    uint8_t bytes[128];
    struct spead_packet_view packet;
    struct weir_spead_value items[16];
    (void)state;
    size_t size = from_hex(stop_heap, bytes);
    assert_int_equal(size, 57);
    assert_int_equal(spead_packet_decode(bytes, size, true, &packet), SPEAD_GOOD);
    assert_int_equal(packet.flavour.address_bits, 48);
    assert_int_equal(packet.heap_count, 1);
    assert_int_equal(packet.heap_length, 1);
    assert_int_equal(packet.payload_length, 1);
    assert_true(packet.stops);
    assert_true(packet.ordered);
    assert_int_equal(packet_items(&packet, items), 1); /* the NULL is no item */
    assert_int_equal(items[0].id, SPEAD_STREAM_CTRL);
    assert_true(items[0].immediate);
    assert_int_equal(items[0].value, 2);
}

static void test_golden_data(void **state)
{
    uint8_t bytes[128];
    struct spead_packet_view packet;
    struct weir_spead_value items[16];
    (void)state;
    size_t size = from_hex(data_heap, bytes);
    assert_int_equal(size, 72);
    assert_int_equal(spead_packet_decode(bytes, size, true, &packet), SPEAD_GOOD);
    assert_false(packet.stops);
    assert_int_equal(packet_items(&packet, items), 2);
    assert_int_equal(items[0].id, 0x1000);
    assert_int_equal(items[0].length, 16);
    assert_ptr_equal(items[0].data, packet.payload);
    assert_int_equal(items[1].id, 0x1001);
    assert_true(items[1].value == 0x0123456789ab);
    assert_int_equal(items[1].length, 6);
}

/* Every prefix and every changed length is refused, for the right reason. */
static void test_refusals(void **state)
{
    uint8_t bytes[128], changed[128];
    struct spead_packet_view packet;
    (void)state;
    size_t size = from_hex(data_heap, bytes);
    for (size_t cut = 0; cut < size; cut++) {
        enum spead_refusal expected = cut < 8            ? SPEAD_TOO_SHORT
                                      : cut < 8 + 6 * 8u ? SPEAD_POINTERS_OVERRUN
                                                         : SPEAD_PAYLOAD_OVERRUN;
        assert_int_equal(spead_packet_decode(bytes, cut, true, &packet), expected);
    }
    bytes[size] = 0;
    assert_int_equal(spead_packet_decode(bytes, size + 1, true, &packet), SPEAD_TRAILING_BYTES);
    assert_int_equal(spead_packet_decode(bytes, size + 1, false, &packet), SPEAD_GOOD);
    assert_int_equal(packet.size, size);
    static const struct {
        size_t at;
        uint8_t value;
        enum spead_refusal expected;
    } changes[] = {
        {0, 0x54, SPEAD_NO_SPEAD},         {1, 0x05, SPEAD_NO_SPEAD},         {2, 0x03, SPEAD_BAD_FLAVOUR},
        {3, 0x00, SPEAD_BAD_FLAVOUR},      {6, 0xff, SPEAD_POINTERS_OVERRUN}, {8, 0x00, SPEAD_NO_COUNT},
        {24, 0x00, SPEAD_NO_OFFSET},       {32, 0x00, SPEAD_NO_LENGTH},       {31, 0x01, SPEAD_BEYOND_HEAP},
        {34, 0xff, SPEAD_PAYLOAD_OVERRUN}, {26, 0xff, SPEAD_BEYOND_HEAP},     {4, 0xff, SPEAD_GOOD},
    };
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        memcpy(changed, bytes, size);
        changed[changes[i].at] = changes[i].value;
        assert_int_equal(spead_packet_decode(changed, size, true, &packet), changes[i].expected);
    }
    for (enum spead_refusal refusal = SPEAD_GOOD; refusal < SPEAD_REFUSALS; refusal++)
        assert_true(strlen(spead_refusal_words(refusal)) > 3);
}

/* Standard pointers in any order, twice, and without a length. */
static void test_pointer_order(void **state)
{
    uint8_t bytes[128];
    struct spead_packet_view packet;
    (void)state;
    size_t size = from_hex("5304030500000005 8000040000000003 9000000000000007 8000030000000001 8000010000000009 "
                           "8000010000000008 616263",
                           bytes);
    assert_int_equal(spead_packet_decode(bytes, size, true, &packet), SPEAD_GOOD);
    assert_int_equal(packet.flavour.address_bits, 40);
    assert_int_equal(packet.heap_count, 8); /* the last one wins */
    assert_true(packet.heap_length == SPEAD_LENGTH_UNKNOWN);
    assert_int_equal(packet.payload_offset, 1);
    assert_false(packet.ordered);
}

/* A stream in any pieces asks for the right number of bytes at each step. */
static void test_stream_needs(void **state)
{
    uint8_t bytes[128];
    enum spead_refusal refusal = SPEAD_GOOD;
    (void)state;
    size_t size = from_hex(data_heap, bytes);
    for (size_t have = 0; have <= size; have++) {
        uint64_t expected = have < 8 ? 8 : have < 56 ? 56 : size;
        assert_int_equal(spead_packet_needs(bytes, have, &refusal), expected);
    }
    assert_int_equal(refusal, SPEAD_GOOD);
    bytes[32] = 0;
    assert_int_equal(spead_packet_needs(bytes, size, &refusal), 0);
    assert_int_equal(refusal, SPEAD_NO_LENGTH);
}

/* Where items end, against a naive search; addresses collide, go backwards and point beyond the end. */
static void test_items_model(void **state)
{
    enum { MOST = 40 };
    unsigned seed = 20260521;
    (void)state;
    print_message("seed %u\n", seed);
    srand(seed);
    for (int round = 0; round < 3000; round++) {
        struct spead_flavour flavour = {.address_bits = (uint8_t)(8 * (1 + rand() % 7))};
        size_t count = (size_t)(rand() % MOST);
        uint64_t pointers[MOST], length = (uint64_t)(rand() % 100);
        uint32_t order[MOST];
        struct weir_spead_value items[MOST];
        uint8_t payload[100];
        for (size_t i = 0; i < count; i++)
            pointers[i] = spead_pointer(flavour, rand() % 3 == 0, (uint64_t)rand() % (spead_id_most(flavour) + 1),
                                        (uint64_t)(rand() % 120));
        size_t found = spead_items_decode(flavour, pointers, count, payload, length, order, items), at = 0;
        for (size_t i = 0; i < count; i++) {
            uint64_t begin = spead_pointer_value(pointers[i], flavour), end = length;
            bool immediate = spead_pointer_immediate(pointers[i]);
            for (size_t k = 0; k < count && !immediate; k++) {
                uint64_t other = spead_pointer_value(pointers[k], flavour);
                if (spead_pointer_immediate(pointers[k]) || k == i || other >= length)
                    continue;
                if (other > begin && other < end)
                    end = other;
                if (other == begin && k > i)
                    end = begin;
            }
            if (spead_pointer_id(pointers[i], flavour) == SPEAD_NULL || (!immediate && begin >= end))
                continue;
            assert_true(at < found);
            assert_int_equal(items[at].id, spead_pointer_id(pointers[i], flavour));
            if (immediate) {
                assert_int_equal(items[at].value, begin);
            } else {
                assert_ptr_equal(items[at].data, payload + begin);
                assert_int_equal(items[at].length, end - begin);
            }
            at++;
        }
        assert_int_equal(at, found);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden_stop),   cmocka_unit_test(test_golden_data),  cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_pointer_order), cmocka_unit_test(test_stream_needs), cmocka_unit_test(test_items_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
