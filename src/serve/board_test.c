/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "base/clock.h"
#include "base/histogram.h"
#include "base/test_descriptors.h"
#include "base/test_failing.h"
#include "flow/plan.h"
#include "serve/board.h"
#include "serve/server.h"

static const struct plan_goals goals = {.latency_p99 = 100 * CLOCK_MILLISECOND, .max_lag = CLOCK_SECOND};

/* A run as it was after `seconds`, with records of which `slow` took a second and the others a millisecond. */
static void pin(struct board *board, int seconds, uint64_t fast, uint64_t slow, int64_t lag, enum verdict_kind kind)
{
    struct pipeline_snapshot *snapshot = memory_zeroed(1, sizeof *snapshot);
    const struct verdict_answer answer = {.kind = kind, .seconds_per_minute = 12, .slope = 0.2};
    snapshot->started = CLOCK_SECOND;
    snapshot->now = (seconds + 1) * CLOCK_SECOND;
    snapshot->records_in = fast + slow;
    snapshot->lag_ns = lag;
    histogram_init(&snapshot->latency);
    histogram_record(&snapshot->latency, CLOCK_MILLISECOND, fast);
    histogram_record(&snapshot->latency, CLOCK_SECOND, slow);
    board_pin(board, snapshot, &answer);
}

static unsigned ready(struct board *board, const char *words)
{
    struct weir_buffer out = {0};
    unsigned status = board_ready(board, &out);
    buffer_append(&out, "", 1);
    if (!strstr(out.data, words))
        fail_msg("%s: %s", words, out.data);
    buffer_free(&out);
    return status;
}

static void test_ready_or_why_not(void **state)
{
    struct board *board = board_new(&goals);
    struct weir_buffer out = {0};
    (void)state;
    assert_int_equal(ready(board, "starting"), 503);
    assert_int_equal(board_metrics(board, &out), 503);
    pin(board, 1, 0, 0, 0, VERDICT_NO_DATA);
    assert_int_equal(ready(board, "ready"), 200); /* what cannot be measured yet is not missed */
    pin(board, 2, 1000, 0, 0, VERDICT_KEEPING_UP);
    assert_int_equal(ready(board, "ready"), 200);
    pin(board, 3, 1000, 0, 0, VERDICT_FALLING_BEHIND);
    assert_int_equal(ready(board, "falling behind"), 503);
    pin(board, 4, 1000, 0, 2 * CLOCK_SECOND, VERDICT_KEEPING_UP);
    assert_int_equal(ready(board, "max_lag"), 503);
    pin(board, 5, 1000, 0, 0, VERDICT_KEEPING_UP);
    assert_int_equal(ready(board, "ready"), 200);
    board_end(board, false);
    assert_int_equal(ready(board, "ending"), 503);
    assert_int_equal(board_health(board, &out), 200);
    board_end(board, true);
    assert_int_equal(board_health(board, &out), 503);
    buffer_free(&out);
    board_free(board);
}

/* A bad minute is over when it is over, however many records it had. */
static void test_goals_are_of_lately(void **state)
{
    struct board *board = board_new(&goals);
    (void)state;
    pin(board, 1, 1000, 1000000, 0, VERDICT_KEEPING_UP);
    assert_int_equal(ready(board, "goal latency_p99 missed lately: wanted at most 100 ms, got 1"), 503);
    for (int second = 2; second <= 62; second++)
        pin(board, second, 1000 + 10 * (uint64_t)second, 1000000, 0, VERDICT_KEEPING_UP);
    assert_int_equal(ready(board, "ready"), 200);
    pin(board, 63, 2000, 1000100, 0, VERDICT_KEEPING_UP);
    assert_int_equal(ready(board, "latency_p99"), 503);
    board_free(board);
}

/* Each of our allocations, then each of our system calls fails: there are words, and nothing stays behind. */
static void test_starting_fails_anywhere(void **state)
{
    struct board *board = board_new(&goals);
    struct server *server = NULL;
    struct weir_error error = {0};
    (void)state;
    if (!server_available())
        skip();
    assert_int_equal(server_start("127.0.0.1:0", board, &server, &error), 0);
    server_stop(server);
    uint32_t before = test_open_descriptors();
    for (int calls = 0; calls < 2; calls++) {
        int code = -1;
        struct failing failing = {.nth = 1, .error = calls ? EMFILE : 0};
        for (; code < 0; failing.nth++) {
            assert_true(failing.nth < 20);
            error = (struct weir_error){0};
            failing_begin(&failing);
            code = server_start("127.0.0.1:0", board, &server, &error);
            assert_true((code == 0) == (failing_end(&failing) < failing.nth));
            assert_true(code == 0 || strstr(error.text, "serve: ") == error.text);
            if (code == 0)
                server_stop(server);
            assert_int_equal(test_open_descriptors(), before);
        }
    }
    board_free(board);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ready_or_why_not),
        cmocka_unit_test(test_goals_are_of_lately),
        cmocka_unit_test(test_starting_fails_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
