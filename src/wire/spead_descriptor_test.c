/* SPDX-License-Identifier: MIT */
#include "wire/spead_decode.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

struct writing {
    uint8_t bytes[2048];
    size_t pointers, payload;
    uint64_t words[16];
    uint8_t body[1024];
    struct spead_flavour flavour;
};

static void add_addressed(struct writing *out, uint64_t id, const void *data, size_t size)
{
    out->words[out->pointers++] = spead_pointer(out->flavour, false, id, out->payload);
    memcpy(out->body + out->payload, data, size);
    out->payload += size;
}

static size_t finish(struct writing *out, uint64_t id)
{
    uint64_t standard[5];
    standard[0] = spead_pointer(out->flavour, true, SPEAD_HEAP_CNT, 1);
    standard[1] = spead_pointer(out->flavour, true, SPEAD_HEAP_LEN, out->payload);
    standard[2] = spead_pointer(out->flavour, true, SPEAD_PAYLOAD_OFFSET, 0);
    standard[3] = spead_pointer(out->flavour, true, SPEAD_PAYLOAD_LEN, out->payload);
    standard[4] = spead_pointer(out->flavour, true, SPEAD_DESCRIPTOR_ID, id);
    size_t size = 8;
    spead_store64(out->bytes, spead_header(out->flavour, (uint16_t)(5 + out->pointers)));
    for (size_t i = 0; i < 5; i++, size += 8)
        spead_store64(out->bytes + size, standard[i]);
    for (size_t i = 0; i < out->pointers; i++, size += 8)
        spead_store64(out->bytes + size, out->words[i]);
    memcpy(out->bytes + size, out->body, out->payload);
    return size + out->payload;
}

/* A shape (7, variable) of complex pairs of 12-bit integers, in every flavour, with and without the old bugs. */
static void test_shape_and_format(void **state)
{
    (void)state;
    for (unsigned bits = 8; bits <= 56; bits += 8) {
        for (unsigned bugs = 0; bugs <= SPEAD_BUG_PYSPEAD_0_5_2; bugs++) {
            struct writing out = {.flavour = {(uint8_t)bits, (uint8_t)bugs}};
            unsigned shape_width = bugs & SPEAD_BUG_DESCRIPTOR_WIDTHS ? 8 : 1 + bits / 8;
            unsigned format_width = bugs & SPEAD_BUG_DESCRIPTOR_WIDTHS ? 4 : 9 - bits / 8;
            uint8_t shape[16] = {0}, format[16] = {0};
            shape[shape_width - 1] = 7;
            shape[shape_width] = bugs & SPEAD_BUG_SHAPE_BIT_1 ? 2 : 1;
            format[0] = format[format_width] = 'i';
            format[format_width - 1] = format[2 * format_width - 1] = 12;
            add_addressed(&out, SPEAD_DESCRIPTOR_NAME, "samples", 7);
            add_addressed(&out, SPEAD_DESCRIPTOR_DESCRIPTION, "of the ADC", 10);
            add_addressed(&out, SPEAD_DESCRIPTOR_FORMAT, format, 2 * format_width);
            add_addressed(&out, SPEAD_DESCRIPTOR_SHAPE, shape, 2 * shape_width);
            size_t size = finish(&out, 0x7f);
            struct spead_descriptor read;
            assert_int_equal(spead_descriptor_decode(out.flavour, out.bytes, size, &read), SPEAD_DESCRIPTOR_GOOD);
            assert_int_equal(read.id, 0x7f);
            assert_int_equal(read.name.length, 7);
            assert_memory_equal(read.name.data, "samples", 7);
            assert_int_equal(read.description.length, 10);
            assert_false(read.numpy);
            assert_int_equal(read.dimensions, 2);
            assert_int_equal(read.shape[0], 7);
            assert_true(read.shape[1] == SPEAD_VARIABLE);
            assert_int_equal(read.fields, 2);
            assert_int_equal(read.format[1].code, 'i');
            assert_int_equal(read.format[1].bits, 12);
            int64_t got[2];
            uint64_t elements;
            assert_int_equal(spead_element_bits(&read), 24);
            assert_true(spead_item_shape(&read, 7 * 5 * 3 + 2, got, &elements));
            assert_int_equal(got[1], 5);
            assert_int_equal(elements, 35);
            for (size_t cut = 0; cut < size; cut++)
                assert_int_not_equal(spead_descriptor_decode(out.flavour, out.bytes, cut, &read),
                                     SPEAD_DESCRIPTOR_GOOD);
        }
    }
}

static bool read_dtype(const char *text, struct spead_descriptor *read)
{
    memset(read, 0, sizeof *read);
    return spead_dtype_decode(spead_text(text), read);
}

static void test_dtype(void **state)
{
    struct spead_descriptor read;
    (void)state;
    assert_true(read_dtype("{'descr': '<f4', 'fortran_order': False, 'shape': (16,)}", &read));
    assert_int_equal(read.element.kind, 'f');
    assert_int_equal(read.element.bits, 32);
    assert_true(read.element.little_endian);
    assert_false(read.fortran_order);
    assert_int_equal(read.dimensions, 1);
    assert_int_equal(read.shape[0], 16);
    assert_true(read_dtype("{\"shape\": (2, 3, ), 'descr':'>i2','fortran_order':True, }   \n", &read));
    assert_int_equal(read.element.kind, 'i');
    assert_false(read.element.little_endian);
    assert_true(read.fortran_order);
    assert_int_equal(read.dimensions, 2);
    assert_true(read_dtype("{'shape': (1048576,), 'fortran_order': False, 'descr': 'i1'}", &read));
    assert_int_equal(read.element.kind, 'i');
    assert_int_equal(read.element.bits, 8);
    assert_true(read_dtype("{'descr': '<c8', 'fortran_order': False, 'shape': ()}", &read));
    assert_int_equal(read.element.kind, 'z');
    assert_int_equal(read.element.bits, 64);
    assert_int_equal(read.dimensions, 0);
    assert_true(read_dtype("{'descr': [('re', '<i2'), ('im', '<i2', (3, 2)), ('x', [('y', '|u1')]), ], "
                           "'fortran_order': False, 'shape': (10L,)}",
                           &read));
    assert_int_equal(read.element.kind, 0);
    assert_int_equal(read.element.bits, 16 + 6 * 16 + 8);
}

/* Texts are arrays of characters; a record of one field is that field. */
static void test_dtype_of_texts_and_single_fields(void **state)
{
    struct spead_descriptor read;
    (void)state;
    assert_true(read_dtype("{'descr': '|S10', 'fortran_order': False, 'shape': ()}", &read));
    assert_int_equal(read.element.kind, 'c');
    assert_int_equal(read.element.bits, 8);
    assert_int_equal(read.dimensions, 1);
    assert_int_equal(read.shape[0], 10);
    assert_true(read_dtype("{'descr': '|S10', 'fortran_order': False, 'shape': (3,)}", &read));
    assert_int_equal(read.element.kind, 0);
    assert_int_equal(spead_element_bits(&read), 80);
    assert_true(read_dtype("{'descr': [('x', '>u2')], 'fortran_order': False, 'shape': (3,)}", &read));
    assert_int_equal(read.element.kind, 'u');
    assert_int_equal(read.element.bits, 16);
    assert_false(read.element.little_endian);
    assert_true(read_dtype("{'descr': [('x', '>u2', (2,))], 'fortran_order': False, 'shape': (3,)}", &read));
    assert_int_equal(read.element.kind, 0);
}

static void test_dtype_refusals(void **state)
{
    static const char *const bad[] = {
        "",
        "{}",
        "{'descr': '<f4', 'fortran_order': False}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (16)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (16,)} x",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (16,)",
        "{'descr': '<f4', 'fortran_order': 0, 'shape': (16,)}",
        "{'descr': '<f3', 'fortran_order': False, 'shape': (16,)}",
        "{'descr': '|O8', 'fortran_order': False, 'shape': (16,)}",
        "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (16,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1 2)}",
        "{'descr': [[[[[[[[[[[[",
        "{'descr': [('a', [('a', [('a', [('a', [('a', [('a', [('a', [('a', [('a', [(",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'more': 1}",
        "{'descr': '<f4\\'', 'fortran_order': False, 'shape': (1,)}",
    };
    struct spead_descriptor read;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(read_dtype(bad[i], &read));
}

/* Shapes that cannot be: products over 2^63, too few bytes, elements of no bits. */
static void test_shape_limits(void **state)
{
    int64_t shape[SPEAD_DIMENSIONS_MAX];
    uint64_t elements;
    struct spead_descriptor read = {
        .fields = 1, .format = {{'u', 16}}, .dimensions = 2, .shape = {INT64_C(1) << 40, INT64_C(1) << 40}};
    (void)state;
    assert_false(spead_item_shape(&read, UINT64_MAX, shape, &elements));
    read.shape[0] = read.shape[1] = 4;
    assert_false(spead_item_shape(&read, 31, shape, &elements));
    assert_true(spead_item_shape(&read, 32, shape, &elements));
    assert_int_equal(elements, 16);
    read.shape[0] = 0;
    read.shape[1] = SPEAD_VARIABLE;
    assert_true(spead_item_shape(&read, 32, shape, &elements));
    assert_int_equal(elements, 0);
    read.fields = 0;
    assert_false(spead_item_shape(&read, 32, shape, &elements));
}

static void test_refusals(void **state)
{
    struct spead_descriptor read;
    (void)state;
    struct writing out = {.flavour = {48, 0}};
    uint8_t format[3] = {'f', 0, 16}, shape[14] = {1, 0, 0, 0, 0, 0, 0, 1};
    add_addressed(&out, SPEAD_DESCRIPTOR_FORMAT, format, 3);
    assert_int_equal(spead_descriptor_decode(out.flavour, out.bytes, finish(&out, 1), &read),
                     SPEAD_DESCRIPTOR_BAD_FORMAT);
    struct writing two = {.flavour = {48, 0}};
    add_addressed(&two, SPEAD_DESCRIPTOR_SHAPE, shape, 14);
    assert_int_equal(spead_descriptor_decode(two.flavour, two.bytes, finish(&two, 1), &read),
                     SPEAD_DESCRIPTOR_BAD_SHAPE);
    struct writing name = {.flavour = {48, 0}};
    add_addressed(&name, SPEAD_DESCRIPTOR_NAME, "a\nb", 3);
    assert_int_equal(spead_descriptor_decode(name.flavour, name.bytes, finish(&name, 1), &read),
                     SPEAD_DESCRIPTOR_BAD_NAME);
    struct writing dtype = {.flavour = {48, 0}}; /* which one it is, is known nonetheless */
    add_addressed(&dtype, SPEAD_DESCRIPTOR_NAME, "x", 1);
    add_addressed(&dtype, SPEAD_DESCRIPTOR_DTYPE, "garbage", 7);
    assert_int_equal(spead_descriptor_decode(dtype.flavour, dtype.bytes, finish(&dtype, 0x1001), &read),
                     SPEAD_DESCRIPTOR_BAD_DTYPE);
    assert_int_equal(read.id, 0x1001);
    assert_int_equal(read.name.length, 1);
    assert_int_equal(read.dtype.length, 7);
    struct writing other = {.flavour = {40, 0}};
    assert_int_equal(spead_descriptor_decode(name.flavour, other.bytes, finish(&other, 1), &read),
                     SPEAD_DESCRIPTOR_NO_PACKET);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shape_and_format), cmocka_unit_test(test_dtype),
        cmocka_unit_test(test_dtype_refusals),   cmocka_unit_test(test_shape_limits),
        cmocka_unit_test(test_refusals),         cmocka_unit_test(test_dtype_of_texts_and_single_fields),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
