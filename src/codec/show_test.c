/* SPDX-License-Identifier: MIT */
#include "codec/show.h"

#include <math.h>

#include "codec/encode.h"
#include "codec/ndjson_simdjson.h"
#include "codec/show_column.h"
#include "codec/test_codec.h"

/* ---- The table, worked out with plain long numbers -----------------------------------------------------------------
 */

enum { WORDS = 80 }; /* of 32 bits, the lowest first: enough for 10^324 · 2^128 and 2^1300 */

struct large {
    uint32_t words[WORDS];
};

static void multiply(struct large *number, uint32_t factor)
{
    uint64_t carry = 0;
    for (int i = 0; i < WORDS; i++) {
        carry += (uint64_t)number->words[i] * factor;
        number->words[i] = (uint32_t)carry;
        carry >>= 32;
    }
    assert_int_equal(carry, 0);
}

static uint32_t divide(struct large *number, uint32_t divisor)
{
    uint64_t rest = 0;
    for (int i = WORDS - 1; i >= 0; i--) {
        rest = rest << 32 | number->words[i];
        number->words[i] = (uint32_t)(rest / divisor);
        rest %= divisor;
    }
    return (uint32_t)rest;
}

static bool bit(const struct large *number, int index)
{
    return index >= 0 && number->words[index / 32] >> index % 32 & 1;
}

/* The highest 128 bits, rounded up; `more`: there is something below the lowest bit. */
static unsigned __int128 upper_bits(const struct large *number, bool more)
{
    int highest = WORDS * 32 - 1;
    while (!bit(number, highest))
        highest--;
    unsigned __int128 bits = 0;
    for (int i = 0; i < 128; i++)
        bits = bits << 1 | bit(number, highest - i);
    for (int i = 0; i <= highest - 128; i++)
        more |= bit(number, i);
    return bits + more;
}

static void test_powers(void **state)
{
    (void)state;
    struct large up = {.words = {1}};
    struct large down = {.words = {[50] = 1}}; /* 2^1600: more than 128 bits are left of it in the end */
    bool more = false;
    for (int k = 0; k <= SHOW_POWER_MOST; k++, multiply(&up, 10)) {
        struct show_power power = show_powers[k - SHOW_POWER_LEAST];
        assert_true(upper_bits(&up, false) == ((unsigned __int128)power.high << 64 | power.low));
    }
    for (int k = 0; k >= SHOW_POWER_LEAST; k--, more |= divide(&down, 10) != 0) {
        struct show_power power = show_powers[k - SHOW_POWER_LEAST];
        assert_true(upper_bits(&down, more) == ((unsigned __int128)power.high << 64 | power.low));
    }
}

/* ---- Text, beside that of the standard library ---------------------------------------------------------------------
 */

static size_t expected_text(double value, char *out)
{
    if (value == floor(value) && fabs(value) < 1e15)
        return (size_t)snprintf(out, 40, "%.0f", value);
    size_t length = fabs(value) < 1e9 && fabs(value) >= 1e-5 ? (size_t)snprintf(out, 40, "%.6f", value) : 0;
    if (length == 0 || strtod(out, NULL) != value)
        return number_to_text(value, out);
    while (out[length - 1] == '0')
        length--;
    return length;
}

static void check(double value)
{
    char text[40], expected[40];
    size_t length = codec_show_f64(value, text), expected_length = expected_text(value, expected);
    if (length != expected_length || memcmp(text, expected, length) != 0)
        fail_msg("%.17g becomes %.*s and not %.*s", value, (int)length, text, (int)expected_length, expected);
    text[length] = '\0';
    assert_true(isnan(value) || strtod(text, NULL) == value);
}

static void check_around(double value)
{
    check(value);
    check(-value);
    check(nextafter(value, 0));
    check(nextafter(value, INFINITY));
}

static void test_edges(void **state)
{
    (void)state;
    check(NAN);
    check(INFINITY);
    check(-INFINITY);
    check(0.0);
    check(-0.0);
    for (int exponent = -1074; exponent < 1024; exponent++)
        check_around(ldexp(1, exponent));
    for (int exponent = -323; exponent <= 308; exponent++) {
        char text[32];
        for (int digit = 1; digit < 10; digit++) {
            snprintf(text, sizeof text, "%de%d", digit, exponent);
            if (isfinite(strtod(text, NULL)))
                check_around(strtod(text, NULL));
        }
    }
}

static void test_random(void **state)
{
    (void)state;
    struct random random = random_start();
    for (int i = 0; i < 150000; i++) {
        uint64_t bits = random_next(&random);
        double value;
        memcpy(&value, &bits, sizeof value);
        check(value);
        check((double)(bits >> random_below(&random, 64)));
        check(ldexp((double)(int64_t)bits, -(int)random_below(&random, 130)));
        double decimal = (double)random_below(&random, (uint64_t)pow(10, (double)random_below(&random, 17)) + 1);
        check(decimal / pow(10, (double)random_below(&random, 23)));
    }
}

static void test_integers(void **state)
{
    (void)state;
    struct random random = random_start();
    char text[ENCODE_NUMBER_MAX], expected[32];
    for (int i = 0; i < 300000; i++) {
        int64_t value = (int64_t)random_next(&random) >> random_below(&random, 64);
        value = i % 4 ? value : (int64_t)pow(10, i % 19) - i % 3;
        value = i == 0 ? INT64_MIN : i == 1 ? INT64_MAX : i == 2 ? 0 : value;
        int length = snprintf(expected, sizeof expected, "%lld", (long long)value);
        assert_int_equal(encode_i64(value, text), length);
        assert_memory_equal(text, expected, (size_t)length);
    }
}

/* ---- Columns, beside the same numbers one by one -------------------------------------------------------------------
 */

/* Of one kind, or of any kinds mixed. */
static double some_value(struct random *random, uint64_t kind)
{
    uint64_t bits = random_next(random);
    double value;
    memcpy(&value, &bits, sizeof value);
    switch (kind) {
    case 0: /* what sensors write */
        return (double)(int64_t)random_below(random, 40000) / 1000 - 10;
    case 1: /* what becomes of it */
        return ((double)random_below(random, 40000) / 1000 - 20) / 5;
    case 2:
        return sqrt((double)random_below(random, 1000000) / 1e4) * (random_below(random, 2) ? 1 : -1);
    case 3: /* near to a decimal, to a half, and to a power of two */
        value = (double)random_below(random, (uint64_t)1 << random_below(random, 54)) / pow(10, (double)(bits % 18));
        return nextafter(value, random_below(random, 2) ? 0 : INFINITY);
    case 4:
        return ldexp((double)(bits >> random_below(random, 64)), -(int)random_below(random, 80));
    case 5:
        return bits % 3 == 0 ? NAN : bits % 3 == 1 ? -INFINITY : -0.0;
    case 6:
        return value;
    default:
        return some_value(random, random_below(random, 7));
    }
}

static void check_cell(double value, const struct cells *cells, uint32_t i)
{
    char expected[40];
    size_t length = codec_show_f64(value, expected);
    if (cells->lengths[i] != length || memcmp(cells->texts[i], expected, length) != 0)
        fail_msg("%.17g becomes %.*s in a column, %.*s by itself", value, cells->lengths[i], cells->texts[i],
                 (int)length, expected);
}

static void check_columns(const struct show_kernels *kernels)
{
    struct random random = random_start();
    uint64_t left[8] = {0}, shown[8] = {0};
    for (int turn = 0; turn < 3000; turn++) {
        double values[CELL_ROWS];
        struct cells cells;
        uint64_t kind = random_below(&random, 8);
        uint32_t count = random_below(&random, 4) ? CELL_ROWS : 1 + (uint32_t)random_below(&random, CELL_ROWS);
        for (uint32_t i = 0; i < count; i++)
            values[i] = some_value(&random, kind);
        memset(&cells, 0xaa, sizeof cells);
        uint64_t others = kernels->f64(values, count, &cells);
        assert_true(count == 64 || others >> count == 0);
        for (uint32_t i = 0; i < count; i++)
            if (!(others >> i & 1))
                check_cell(values[i], &cells, i);
        left[kind] += (uint64_t)__builtin_popcountll(others);
        shown[kind] += count;
    }
#ifdef __SSE4_1__
    for (int kind = 0; kind < 3; kind++) /* 0 and powers of two among those of many digits */
        assert_true(left[kind] * 500 <= shown[kind]);
#endif
}

static void test_columns(void **state)
{
    (void)state;
    check_columns(&show_plain);
    if (show_wide_works())
        check_columns(&show_wide);
}

static void check_integer_columns(const struct show_kernels *kernels)
{
    struct random random = random_start();
    for (int turn = 0; turn < 1500; turn++) {
        int64_t values[CELL_ROWS];
        struct cells cells;
        char expected[32];
        uint32_t count = 1 + (uint32_t)random_below(&random, CELL_ROWS);
        for (uint32_t i = 0; i < count; i++)
            values[i] = turn == 0 ? INT64_MIN + i : (int64_t)random_next(&random) >> random_below(&random, 64);
        kernels->i64(values, count, &cells);
        for (uint32_t i = 0; i < count; i++) {
            int length = snprintf(expected, sizeof expected, "%lld", (long long)values[i]);
            assert_int_equal(cells.lengths[i], length);
            assert_memory_equal(cells.texts[i], expected, (size_t)length);
        }
    }
}

static void test_integer_columns(void **state)
{
    (void)state;
    check_integer_columns(&show_plain);
    if (show_wide_works())
        check_integer_columns(&show_wide);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_columns), cmocka_unit_test(test_integer_columns), cmocka_unit_test(test_powers),
        cmocka_unit_test(test_edges),   cmocka_unit_test(test_random),          cmocka_unit_test(test_integers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
