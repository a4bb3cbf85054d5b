/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include "base/units.h"

struct integer_case {
    const char *text;
    int error;
    int64_t value;
};

static void check_integers(int (*parse)(const char *, int64_t *), const struct integer_case *cases)
{
    for (; cases->text; cases++) {
        int64_t value = -12345;
        int error = parse(cases->text, &value);

        if (error != cases->error || (error == 0 && value != cases->value))
            fail_msg("%s: %d, %lld", cases->text, error, (long long)value);
        if (error < 0)
            assert_int_equal(value, -12345); /* untouched */
    }
}

static void test_durations(void **state)
{
    static const struct integer_case cases[] = {
        {"500ms", 0, 500000000},   {"10s", 0, 10000000000}, {"1.5h", 0, 5400000000000}, {"100us", 0, 100000},
        {"100µs", 0, 100000},      {"20ns", 0, 20},         {"1d", 0, 86400000000000},  {"0", 0, 0},
        {"2min", 0, 120000000000}, {"1 s", 0, 1000000000},  {"0.1s", 0, 100000000},     {"1e3s", 0, 1000000000000},
        {"10", -EINVAL, 0},        {"", -EINVAL, 0},        {"s", -EINVAL, 0},          {"10 seconds", -EINVAL, 0},
        {"1s ", -EINVAL, 0},       {"-1s", -ERANGE, 0},     {"1e30s", -ERANGE, 0},      {"300000000h", -ERANGE, 0},
        {"1..5s", -EINVAL, 0},     {"0x10s", -EINVAL, 0},   {"infs", -EINVAL, 0},       {NULL, 0, 0},
    };

    (void)state;
    check_integers(units_duration, cases);
}

static void test_sizes(void **state)
{
    static const struct integer_case cases[] = {
        {"256MiB", 0, 256 << 20}, {"1GiB", 0, 1 << 30}, {"64KiB", 0, 65536}, {"1MB", 0, 1000000},
        {"4096", 0, 4096},        {"512B", 0, 512},     {"1.5KiB", 0, 1536}, {"1_000", 0, 1000},
        {"1mib", -EINVAL, 0},     {"1K", -EINVAL, 0},   {"-1B", -ERANGE, 0}, {"9000000TiB", -ERANGE, 0},
        {"MiB", -EINVAL, 0},      {NULL, 0, 0},
    };

    (void)state;
    check_integers(units_size, cases);
}

static void test_integers(void **state)
{
    static const struct integer_case cases[] = {
        {"0", 0, 0},
        {"-7", 0, -7},
        {"+7", 0, 7},
        {"1_000_000", 0, 1000000},
        {"1e6", 0, 1000000},
        {"1.5", -EINVAL, 0},
        {"_1", -EINVAL, 0},
        {"1_", -EINVAL, 0},
        {"1__0", -EINVAL, 0},
        {"12a", -EINVAL, 0},
        {"", -EINVAL, 0},
        {"-", -EINVAL, 0},
        {"9223372036854775807", 0, INT64_MAX},
        {"-9223372036854775808", 0, INT64_MIN},
        {"9223372036854775808", -ERANGE, 0},
        {"1e400000", -ERANGE, 0},
        {NULL, 0, 0},
    };

    (void)state;
    check_integers(units_integer, cases);
}

static void test_rates_and_numbers(void **state)
{
    double value = 0.0;

    (void)state;
    assert_int_equal(units_rate("5000/s", &value), 0);
    assert_true(value == 5000.0);
    assert_int_equal(units_rate("10/min", &value), 0);
    assert_true(value == 10.0 / 60.0);
    assert_int_equal(units_rate("3600/h", &value), 0);
    assert_true(value == 1.0);
    assert_int_equal(units_rate("1e6/s", &value), 0);
    assert_true(value == 1e6);
    assert_int_equal(units_rate("unlimited", &value), 0);
    assert_true(value == 0.0);
    assert_int_equal(units_rate("12", &value), 0);
    assert_true(value == 12.0);
    assert_int_equal(units_rate("5/fortnight", &value), -EINVAL);
    assert_int_equal(units_rate("-5/s", &value), -ERANGE);
    assert_int_equal(units_rate("1e999/s", &value), -ERANGE);
    assert_int_equal(units_number("-1.25e-3", &value), 0);
    assert_true(value == -1.25e-3);
    assert_int_equal(units_number("0.1", &value), 0);
    assert_true(value == 0.1);
    assert_int_equal(units_number("1,5", &value), -EINVAL);
    assert_int_equal(units_number("nan", &value), -EINVAL);
    assert_int_equal(units_number("1e999", &value), -ERANGE);
    assert_int_equal(units_number(" 1", &value), -EINVAL);
}

static void test_showing(void **state)
{
    char out[40];

    (void)state;
    assert_string_equal(units_show_duration(0, out, sizeof(out)), "0 ns");
    assert_string_equal(units_show_duration(999, out, sizeof(out)), "999 ns");
    assert_string_equal(units_show_duration(12345, out, sizeof(out)), "12.3 µs");
    assert_string_equal(units_show_duration(999700, out, sizeof(out)), "1.00 ms");
    assert_string_equal(units_show_duration(12345678, out, sizeof(out)), "12.3 ms");
    assert_string_equal(units_show_duration(1500000000, out, sizeof(out)), "1.50 s");
    assert_string_equal(units_show_duration(59990000000, out, sizeof(out)), "1 min 00 s");
    assert_string_equal(units_show_duration(3 * 3600000000000 + 300000000000, out, sizeof(out)), "3 h 05 min");
    assert_string_equal(units_show_duration(INT64_C(90000) * 1000000000, out, sizeof(out)), "1 d 1 h");
    assert_string_equal(units_show_duration(-1500, out, sizeof(out)), "-1.50 µs");
    units_show_duration(INT64_MIN, out, sizeof(out));
    assert_string_equal(units_show_count(0, out, sizeof(out)), "0");
    assert_string_equal(units_show_count(950, out, sizeof(out)), "950");
    assert_string_equal(units_show_count(0.5, out, sizeof(out)), "0.50");
    assert_string_equal(units_show_count(1200000, out, sizeof(out)), "1.20 M");
    assert_string_equal(units_show_count(999900, out, sizeof(out)), "1.00 M");
    assert_string_equal(units_show_count(22695, out, sizeof(out)), "22.7 k");
    assert_string_equal(units_show_count(-22695, out, sizeof(out)), "-22.7 k");
    assert_string_equal(units_show_bytes(512, out, sizeof(out)), "512 B");
    assert_string_equal(units_show_bytes(96 << 20, out, sizeof(out)), "96.0 MiB");
    assert_string_equal(units_show_bytes(UINT64_MAX, out, sizeof(out)), "16.0 EiB");
    for (size_t size = 1; size < 8; size++) { /* no room: cut, never over the end */
        char small[8] = "zzzzzzz";

        units_show_duration(-12345678, small, size);
        units_show_count(-22695, small, size);
        units_show_bytes(96 << 20, small, size);
        for (size_t i = size; i < 7; i++)
            assert_int_equal(small[i], 'z');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_durations),         cmocka_unit_test(test_sizes),   cmocka_unit_test(test_integers),
        cmocka_unit_test(test_rates_and_numbers), cmocka_unit_test(test_showing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
