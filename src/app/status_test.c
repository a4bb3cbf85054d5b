/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "app/status.h"
#include "base/clock.h"

static struct status_view view_of_a_run(void)
{
    return (struct status_view){
        .recent = {.in = 12.3e6,
                   .out = 11.9e6,
                   .latencies = 1000,
                   .p50 = 400 * CLOCK_MICROSECOND,
                   .p99 = 2100 * CLOCK_MICROSECOND},
        .verdict = {.kind = VERDICT_KEEPING_UP, .lag = 40 * CLOCK_MILLISECOND},
        .memory = 34 << 20,
        .memory_limit = 96 << 20,
        .blocking = "store",
    };
}

static int width(const char *text)
{
    int columns = 0;
    for (; *text; text++) {
        columns += ((unsigned char)*text & 0xc0) != 0x80;
    }
    return columns;
}

static void the_whole_line(void **state)
{
    (void)state;
    struct status_view view = view_of_a_run();
    char line[STATUS_LINE_MAX];
    assert_string_equal(
        status_format(&view, 200, false, line, sizeof line),
        "in 12.3 M/s out 11.9 M/s │ p50 400 µs p99 2.10 ms │ lag 0.0 s │ mem 34 of 96 MiB │ keeping up │ "
        "store holds back");
    view.memory_limit = (uint64_t)4 << 30;
    view.memory = (uint64_t)3 << 29;
    assert_non_null(strstr(status_format(&view, 200, false, line, sizeof line), "mem 1.5 of 4.0 GiB"));
}

static void it_fits(void **state)
{
    (void)state;
    struct status_view view = view_of_a_run();
    char line[STATUS_LINE_MAX];
    for (int columns = 0; columns < 150; columns++) {
        status_format(&view, columns, false, line, sizeof line);
        assert_true(width(line) <= columns);
        if (columns >= 10) {
            assert_non_null(strstr(line, "keeping up")); /* the last to go */
        }
    }
    assert_string_equal(status_format(&view, 80, false, line, sizeof line),
                        "in 12.3M out 11.9M/s  p50 400µs p99 2.10ms  lag 0.0s  mem 34/96MiB  keeping up");
    for (size_t size = 1; size < 120; size++) { /* and never beyond its memory */
        status_format(&view, 200, true, line, size);
        assert_true(strlen(line) < size);
    }
}

static void colours(void **state)
{
    (void)state;
    struct status_view view = view_of_a_run();
    char line[STATUS_LINE_MAX];
    assert_non_null(strstr(status_format(&view, 200, true, line, sizeof line), "\x1b[32mkeeping up\x1b[0m"));
    view.verdict.kind = VERDICT_FALLING_BEHIND;
    view.verdict.seconds_per_minute = 40.2;
    assert_non_null(
        strstr(status_format(&view, 200, true, line, sizeof line), "\x1b[31mfalling behind, 40 s per minute\x1b[0m"));
    assert_null(strchr(status_format(&view, 200, false, line, sizeof line), '\x1b'));
    assert_non_null(strstr(status_format(&view, 79, false, line, sizeof line), "  falling behind 40 s/min"));
}

static void without_records(void **state)
{
    (void)state;
    struct status_view view = {.verdict = {.kind = VERDICT_NO_DATA}};
    char line[STATUS_LINE_MAX];
    assert_string_equal(status_format(&view, 80, false, line, sizeof line), "in 0 out 0/s  lag 0.0s  no data yet");
    view.draining = true;
    assert_non_null(strstr(status_format(&view, 80, false, line, sizeof line), "draining"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_whole_line),
        cmocka_unit_test(it_fits),
        cmocka_unit_test(colours),
        cmocka_unit_test(without_records),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
