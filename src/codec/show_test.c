/* SPDX-License-Identifier: MIT */
#include "codec/show.h"

#include <math.h>

#include "codec/encode.h"
#include "codec/ndjson_simdjson.h"
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
    for (int i = 0; i < 200000; i++) {
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_powers),
        cmocka_unit_test(test_edges),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_integers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
