/* SPDX-License-Identifier: MIT */
#include "data/test_data.h"

#include <errno.h>
#include <time.h>

#include "data/time_text.h"
#include "data/time_zone.h"

#define S INT64_C(1000000000)

struct parse_case {
    const char *text;
    enum time_format format;
    int error;
    int64_t ns;
};

static void check_cases(const struct parse_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int64_t ns = 42;
        size_t length = strlen(cases[i].text);
        char *exact = malloc(length + 1); /* so that a sanitizer sees a read past the end */
        memcpy(exact, cases[i].text, length);
        int error = time_parse(exact, length, cases[i].format, NULL, &ns);
        free(exact);
        if (error != cases[i].error || ns != (error ? 42 : cases[i].ns)) {
            print_message("case %zu: %s: %d, %lld\n", i, cases[i].text, error, (long long)ns);
        }
        assert_int_equal(error, cases[i].error);
        assert_int_equal(ns, error ? 42 : cases[i].ns);
    }
}

static void dates(void **state)
{
    (void)state;
    static const struct parse_case cases[] = {
        {"1970-01-01T00:00:00Z", TIME_AUTO, 0, 0},
        {"2024-11-21T03:20:00.123Z", TIME_RFC3339, 0, 1732159200 * S + 123000000},
        {"2024-11-21t03:20:00.1z", TIME_RFC3339, 0, 1732159200 * S + 100000000},
        {"2024-11-21 03:20:00,5", TIME_PLAIN, 0, 1732159200 * S + 500000000},
        {"2024-11-21T04:20:00.123456789+01:00", TIME_AUTO, 0, 1732159200 * S + 123456789},
        {"2024-11-21T04:20:00.1234567899999+0100", TIME_AUTO, 0, 1732159200 * S + 123456789},
        {"2024-11-20T21:50:00-05:30", TIME_AUTO, 0, 1732159200 * S},
        {"2024-11-20T21:20:00-06", TIME_AUTO, 0, 1732159200 * S},
        {"2024-11-21 03:20:00", TIME_AUTO, 0, 1732159200 * S},
        {"2024-11-21 03:20", TIME_AUTO, 0, 1732159200 * S},
        {"2024-11-21", TIME_PLAIN, 0, 1732147200 * S},
        {"2024-02-29", TIME_PLAIN, 0, 1709164800 * S},
        {"2000-02-29", TIME_PLAIN, 0, 951782400 * S},
        {"2016-12-31T23:59:60Z", TIME_AUTO, 0, 1483228800 * S - 1},
        {"2016-12-31T23:59:60.25Z", TIME_AUTO, 0, 1483228800 * S - 1},
        {"1969-12-31T23:59:59.999999999Z", TIME_AUTO, 0, -1},
        {"2262-04-11T23:47:16.854775807Z", TIME_AUTO, 0, INT64_MAX},
        {"1677-09-21T00:12:43.145224193Z", TIME_AUTO, 0, -INT64_MAX},
        {"2262-04-11T23:47:16.854775808Z", TIME_AUTO, -ERANGE, 0},
        {"1677-09-21T00:12:43.145224192Z", TIME_AUTO, -ERANGE, 0}, /* would be null */
        {"0001-01-01", TIME_AUTO, -ERANGE, 0},
        {"9999-12-31T23:59:59Z", TIME_AUTO, -ERANGE, 0},
        {"0000-01-01T00:00:00Z", TIME_AUTO, -ERANGE, 0},
    };
    check_cases(cases, sizeof cases / sizeof cases[0]);
}

static void no_dates(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",
        "2023-02-29T00:00:00Z",
        "1900-02-29T00:00:00Z",
        "2024-04-31T00:00:00Z",
        "2024-00-01T00:00:00Z",
        "2024-13-01T00:00:00Z",
        "2024-01-00T00:00:00Z",
        "2024-01-01T24:00:00Z",
        "2024-01-01T00:60:00Z",
        "2024-01-01T00:00:61Z",
        "2024-01-01X00:00:00Z",
        "2024/01/01T00:00:00Z",
        "2024-01-01T00:00:00.Z",
        "2024-01-01T00:00:00.",
        "2024-01-01T00:00:00.1Z2",
        "2024-01-01T00:00:00+",
        "2024-01-01T00:00:00+1",
        "2024-01-01T00:00:00+1:00",
        "2024-01-01T00:00:00+01:0",
        "2024-01-01T00:00:00+01:000",
        "2024-01-01T00:00:00+24:00",
        "2024-01-01T00:00:00+01:60",
        "2024-01-01T00:00:00 Z",
        " 2024-01-01T00:00:00Z",
        "2024-01-01T00:00:0",
        "2024-01-0",
        "202a-01-01T00:00:00Z",
        "2024-01-01T00:00:0:Z",
        "2024-01-01T0\xb0:00:00Z",
        "20\xff\xff-01-01T00:00:00Z",
        "-024-01-01T00:00:00Z",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct parse_case one = {wrong[i], TIME_AUTO, -EINVAL, 0};
        check_cases(&one, 1);
        one.format = TIME_RFC3339;
        check_cases(&one, 1);
    }
    struct parse_case one = {"2024-01-01T00:00:00", TIME_RFC3339, -EINVAL, 0}; /* no offset, no zone */
    check_cases(&one, 1);
}

static void numbers(void **state)
{
    (void)state;
    static const struct parse_case cases[] = {
        {"1732147200.123", TIME_EPOCH_S, 0, 1732147200123000000},
        {"1732147200.1234567891", TIME_EPOCH_S, 0, 1732147200123456789},
        {"1732147200", TIME_AUTO, 0, 1732147200 * S},
        {"1732147200123", TIME_AUTO, 0, 1732147200123000000},
        {"1732147200123456", TIME_AUTO, 0, 1732147200123456000},
        {"1732147200123456789", TIME_AUTO, 0, 1732147200123456789},
        {"99999999999", TIME_AUTO, -ERANGE, 0}, /* seconds: the year 5138 */
        {"100000000000", TIME_AUTO, 0, 100000000 * S},
        {"1.732147200123e9", TIME_AUTO, 0, 1732147200123000000},
        {"1.732147200123E+12", TIME_AUTO, 0, 1732147200123000000},
        {"1732147200123456789e-9", TIME_EPOCH_S, 0, 1732147200123456789},
        {"-1.5", TIME_EPOCH_S, 0, -1500000000},
        {"+1.5", TIME_EPOCH_MS, 0, 1500000},
        {"1.5", TIME_EPOCH_US, 0, 1500},
        {"1.5", TIME_EPOCH_NS, 0, 1},
        {".5", TIME_EPOCH_S, 0, 500000000},
        {"5.", TIME_EPOCH_S, 0, 5 * S},
        {"0", TIME_EPOCH_S, 0, 0},
        {"-0", TIME_EPOCH_S, 0, 0},
        {"0.0000000001", TIME_EPOCH_S, 0, 0},
        {"0000000000000000000000000000001", TIME_EPOCH_S, 0, S},
        {"9223372036854775807", TIME_EPOCH_NS, 0, INT64_MAX},
        {"-9223372036854775807", TIME_EPOCH_NS, 0, -INT64_MAX},
        {"9223372036854775808", TIME_EPOCH_NS, -ERANGE, 0},
        {"-9223372036854775808", TIME_EPOCH_NS, -ERANGE, 0},
        {"9223372036.854775807", TIME_EPOCH_S, 0, INT64_MAX},
        {"9223372037", TIME_EPOCH_S, -ERANGE, 0},
        {"1e99999999999999999999", TIME_EPOCH_S, -ERANGE, 0},
        {"0e99999999999999999999", TIME_EPOCH_S, 0, 0},
        {"1e-99999999999999999999", TIME_EPOCH_S, 0, 0},
        {"", TIME_EPOCH_S, -EINVAL, 0},
        {"-", TIME_EPOCH_S, -EINVAL, 0},
        {".", TIME_EPOCH_S, -EINVAL, 0},
        {"1e", TIME_EPOCH_S, -EINVAL, 0},
        {"1e+", TIME_EPOCH_S, -EINVAL, 0},
        {"1.2.3", TIME_EPOCH_S, -EINVAL, 0},
        {"1 ", TIME_EPOCH_S, -EINVAL, 0},
        {"0x10", TIME_EPOCH_S, -EINVAL, 0},
        {"nan", TIME_AUTO, -EINVAL, 0},
        {"2024-11-21T03:20:00Z", TIME_EPOCH_S, -EINVAL, 0},
    };
    check_cases(cases, sizeof cases / sizeof cases[0]);
    assert_int_equal(time_unit_guess(99999999999.0), TIME_EPOCH_S);
    assert_int_equal(time_unit_guess(-1e11), TIME_EPOCH_MS);
    assert_int_equal(time_unit_guess(1e14), TIME_EPOCH_US);
    assert_int_equal(time_unit_guess(1e17), TIME_EPOCH_NS);
}

static void shown(void **state)
{
    (void)state;
    static const struct {
        int64_t ns;
        enum time_format format;
        const char *text;
    } cases[] = {
        {1732159200 * S, TIME_RFC3339, "2024-11-21T03:20:00Z"},
        {1732159200 * S + 120000000, TIME_AUTO, "2024-11-21T03:20:00.120Z"},
        {1732159200 * S + 120001000, TIME_RFC3339, "2024-11-21T03:20:00.120001Z"},
        {1732159200 * S + 1, TIME_PLAIN, "2024-11-21 03:20:00.000000001"},
        {-1, TIME_RFC3339, "1969-12-31T23:59:59.999999999Z"},
        {INT64_MAX, TIME_RFC3339, "2262-04-11T23:47:16.854775807Z"},
        {-INT64_MAX, TIME_RFC3339, "1677-09-21T00:12:43.145224193Z"},
        {INT64_MIN, TIME_EPOCH_NS, "-9223372036854775808"},
        {-1500000000, TIME_EPOCH_S, "-1.500"},
        {-1500000000, TIME_EPOCH_MS, "-1500"},
        {1500, TIME_EPOCH_US, "1.500"},
        {1500, TIME_EPOCH_NS, "1500"},
        {0, TIME_EPOCH_S, "0"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[TIME_TEXT_MAX + 1] = {0};
        size_t length = time_show(cases[i].ns, cases[i].format, text);
        assert_int_equal(length, strlen(cases[i].text));
        assert_memory_equal(text, cases[i].text, length);
        assert_true(length <= TIME_TEXT_MAX);
    }
    for (int i = TIME_AUTO; i <= TIME_EPOCH_NS; i++) {
        assert_non_null(time_format_names[i]);
    }
    assert_null(time_format_names[TIME_EPOCH_NS + 1]);
}

/* Every day of the range against counting, and random times against the C library. */
static void the_calendar(void **state)
{
    (void)state;
    uint32_t year = 1970, month = 1, day = 1;
    for (int64_t days = 0; year <= 2262; days++) {
        assert_int_equal(time_days(year, month, day), days);
        if (day++ == time_days_in_month(year, month)) {
            day = 1;
            year += month == 12;
            month = month == 12 ? 1 : month + 1;
        }
    }
    struct random random = random_start();
    for (int round = 0; round < 300000; round++) {
        int64_t ns = (int64_t)random_next(&random);
        ns = ns == INT64_MIN ? 0 : round % 3 ? ns - ns % 1000000 : ns;
        time_t seconds = (time_t)(ns / S - (ns % S < 0));
        struct tm parts;
        char expected[40], text[TIME_TEXT_MAX];
        gmtime_r(&seconds, &parts);
        strftime(expected, sizeof expected, "%Y-%m-%dT%H:%M:%S", &parts);
        size_t length = time_show_rfc3339(ns, text);
        assert_memory_equal(text, expected, 19);
        for (int format = TIME_AUTO; format <= TIME_EPOCH_NS; format++) {
            int64_t back = 0;
            length = time_show(ns, (enum time_format)format, text);
            assert_int_equal(time_parse(text, length, (enum time_format)format, NULL, &back), 0);
            assert_true(back == ns);
        }
    }
}

/* One time after the other, in the same minute mostly, is the same as each by itself. */
static void one_after_the_other(void **state)
{
    (void)state;
    struct random random = random_start();
    struct time_minute minute = {0};
    int64_t ns = 0;
    for (int round = 0; round < 300000; round++) {
        char text[TIME_TEXT_MAX], expected[TIME_TEXT_MAX];
        uint64_t far = random_next(&random) % 100;
        if (far == 0)
            ns = round % 3 ? (int64_t)random_next(&random) : round % 2 ? INT64_MIN + round : INT64_MAX - round;
        else if (far < 10)
            ns = (int64_t)((uint64_t)ns + random_next(&random) % (200 * (uint64_t)S) - 100 * (uint64_t)S);
        else if (ns < INT64_MAX - S)
            ns += (int64_t)(random_next(&random) % 1000 * 1000000);
        ns = ns == INT64_MIN ? 0 : ns;
        size_t length = time_show_rfc3339(ns, expected);
        assert_int_equal(time_show_next(&minute, ns, text), length);
        assert_memory_equal(text, expected, length);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dates), cmocka_unit_test(no_dates),     cmocka_unit_test(numbers),
        cmocka_unit_test(shown), cmocka_unit_test(the_calendar), cmocka_unit_test(one_after_the_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
