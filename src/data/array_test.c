/* SPDX-License-Identifier: MIT */
/* Every type in both byte orders, at every address, against numbers that were written byte by byte. */
#include "data/array.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/hash.h"

enum { NUMBERS = 300, ADDRESSES = 3 };

static const uint8_t types[] = {
    WEIR_ELEMENT_F64, WEIR_ELEMENT_I64, WEIR_ELEMENT_F32, WEIR_ELEMENT_I32, WEIR_ELEMENT_I16,
    WEIR_ELEMENT_I8,  WEIR_ELEMENT_U64, WEIR_ELEMENT_U32, WEIR_ELEMENT_U16, WEIR_ELEMENT_U8,
};

/* The bytes of a random number of the type, in the order asked for; returns its value. */
static double put_number(uint8_t element, uint64_t random, unsigned char *out)
{
    size_t size = weir_element_size(element & WEIR_ELEMENT_TYPE);
    uint64_t bits = random;
    double value;
    float single;
    if ((element & WEIR_ELEMENT_TYPE) == WEIR_ELEMENT_F64) {
        value = (double)(int64_t)random * 0x1p-40;
        memcpy(&bits, &value, sizeof value);
    } else if ((element & WEIR_ELEMENT_TYPE) == WEIR_ELEMENT_F32) {
        single = (float)(int32_t)random * 0x1p-20f;
        value = (double)single;
        bits = 0;
        memcpy(&bits, &single, sizeof single);
    } else if (array_is_unsigned(element)) {
        bits = size == 8 ? random : random & ((UINT64_C(1) << size * 8) - 1);
        value = (double)bits;
    } else {
        value = (double)((int64_t)(random << (64 - size * 8)) >> (64 - size * 8));
    }
    for (size_t i = 0; i < size; i++)
        out[element & WEIR_ELEMENT_BIG_ENDIAN ? size - 1 - i : i] = (unsigned char)(bits >> i * 8);
    return value;
}

static void check(uint8_t element, uint64_t seed)
{
    static unsigned char bytes[NUMBERS * 8 + ADDRESSES];
    static double expected[NUMBERS], read[NUMBERS];
    static float single[NUMBERS];
    size_t size = weir_element_size(element & WEIR_ELEMENT_TYPE), first = seed % 5;
    unsigned char *data = bytes + seed % ADDRESSES;
    long double sum = 0, squares = 0;
    for (size_t i = 0; i < NUMBERS; i++) {
        expected[i] = put_number(element, hash_u64(seed * NUMBERS + i), data + i * size);
        sum += i < first ? 0 : (long double)expected[i];
        squares += i < first ? 0 : (long double)expected[i] * (long double)expected[i];
    }
    array_read_f64(element, data, first, NUMBERS - first, read);
    array_read_f32(element, data, first, NUMBERS - first, single);
    for (size_t i = first; i < NUMBERS; i++) {
        struct array_number number = array_number(element, data, i);
        double exact = number.kind == ARRAY_SIGNED     ? (double)number.i
                       : number.kind == ARRAY_UNSIGNED ? (double)number.u
                                                       : number.f;
        assert_true(read[i - first] == expected[i] && exact == expected[i]);
        assert_true(fabs((double)single[i - first] - expected[i]) <= fabs(expected[i]) * 1e-7);
    }
    struct array_sums sums = array_sums(element, data, first, NUMBERS - first);
    assert_int_equal(sums.count, NUMBERS - first);
    assert_true(fabsl((long double)sums.squares - squares) <= squares * 1e-14L);
    assert_true(fabsl((long double)sums.sum - sum) <= sqrtl(squares * NUMBERS) * 1e-14L);
}

static void test_every_type(void **state)
{
    (void)state;
    for (size_t t = 0; t < sizeof types; t++) {
        for (uint64_t seed = 0; seed < 15; seed++) {
            check(types[t], seed);
            check(types[t] | WEIR_ELEMENT_BIG_ENDIAN, seed);
        }
    }
}

/* Sums of large integers do not lose the small ones. */
static void test_exact_sums(void **state)
{
    (void)state;
    int32_t values[3] = {INT32_MAX, 1, -INT32_MAX};
    struct array_sums sums = array_sums(WEIR_ELEMENT_I32, values, 0, 3);
    assert_true(sums.sum == 1);
    assert_true(sums.squares == 2.0 * INT32_MAX * INT32_MAX + 1);
    static int16_t deep[10000];
    for (size_t i = 0; i < 10000; i++)
        deep[i] = INT16_MIN;
    sums = array_sums(WEIR_ELEMENT_I16, deep, 0, 10000);
    assert_true(sums.sum == -32768e4 && sums.squares == 32768.0 * 32768e4);
}

static void test_nulls(void **state)
{
    (void)state;
    for (size_t t = 0; t < sizeof types; t++) {
        for (int order = 0; order < 2; order++) {
            uint8_t element = types[t] | (order ? WEIR_ELEMENT_BIG_ENDIAN : 0);
            bool nulls = array_is_float(element) || types[t] == WEIR_ELEMENT_I64;
            unsigned char bytes[5 * 8];
            double read[5];
            for (size_t i = 0; i < 5; i++)
                put_number(element, 7, bytes + i * weir_element_size(element));
            array_set_null(element, bytes, 1, 3);
            array_read_f64(element, bytes, 0, 5, read);
            assert_true(read[0] == read[4] && read[0] != 0);
            for (size_t i = 1; i < 4; i++) {
                assert_true(nulls ? isnan(read[i]) : read[i] == 0);
                assert_true((array_number(element, bytes, i).kind == ARRAY_NULL) == nulls);
            }
            assert_int_equal(array_sums(element, bytes, 0, 5).count, nulls ? 2 : 5);
        }
    }
}

static void test_names(void **state)
{
    (void)state;
    assert_int_equal(weir_element_size(WEIR_ELEMENT_I16), 2);
    assert_int_equal(weir_element_size(WEIR_ELEMENT_F32 | WEIR_ELEMENT_COMPLEX | WEIR_ELEMENT_BIG_ENDIAN), 8);
    assert_string_equal(weir_element_name(WEIR_ELEMENT_F32 | WEIR_ELEMENT_COMPLEX), "complex f32");
    assert_string_equal(weir_element_name(WEIR_ELEMENT_U8), "u8");
    for (unsigned element = 0; element < 256; element++) {
        unsigned type = element & WEIR_ELEMENT_TYPE;
        bool known = type >= WEIR_ELEMENT_F64 && type < WEIR_ELEMENT_COUNT;
        assert_true((weir_element_size((uint8_t)element) > 0) == known);
        assert_true((strcmp(weir_element_name((uint8_t)element), "unknown") != 0) == known);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_type),
        cmocka_unit_test(test_exact_sums),
        cmocka_unit_test(test_nulls),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
