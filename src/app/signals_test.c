/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "app/signals.h"
#include "base/clock.h"

#define MS CLOCK_MILLISECOND

struct came {
    int number;
    int64_t at;
};

/* So many of them are requests of their own. */
static int requests(const struct came *came, size_t count)
{
    struct signals_count counted = {0};
    int of_their_own = 0;
    for (size_t i = 0; i < count; i++) {
        of_their_own += signals_counts(&counted, came[i].number, 1000 * CLOCK_SECOND + came[i].at);
    }
    assert_int_equal(counted.requests, of_their_own);
    return of_their_own;
}
#define REQUESTS(...)                                                                                                  \
    requests((const struct came[]){__VA_ARGS__}, sizeof((const struct came[]){__VA_ARGS__}) / sizeof(struct came))

/* To the process, and to its group. */
static void sent_twice(void **state)
{
    (void)state;
    assert_int_equal(REQUESTS({SIGTERM, 0}), 1);
    assert_int_equal(REQUESTS({SIGTERM, 0}, {SIGTERM, 1000}), 1);
    assert_int_equal(REQUESTS({SIGTERM, 0}, {SIGTERM, 1000}, {SIGTERM, 999 * MS}), 1);
    assert_int_equal(REQUESTS({SIGINT, 0}, {SIGINT, 1000}), 1); /* timeout -s INT */
    assert_int_equal(REQUESTS({SIGINT, 0}, {SIGTERM, 500 * MS}), 1);
}

/* By a person, or by a supervisor that has lost its patience. */
static void meant_twice(void **state)
{
    (void)state;
    assert_int_equal(REQUESTS({SIGINT, 0}, {SIGINT, 100 * MS}), 2);
    assert_int_equal(REQUESTS({SIGTERM, 0}, {SIGINT, 100 * MS}), 2);
    assert_int_equal(REQUESTS({SIGTERM, 0}, {SIGTERM, 1000 * MS}), 2);
    assert_int_equal(REQUESTS({SIGTERM, 0}, {SIGTERM, 1}, {SIGTERM, 1500 * MS}, {SIGTERM, 1501 * MS}), 3);
    assert_int_equal(REQUESTS({SIGINT, 0}, {SIGTERM, 1500 * MS}), 2);
}

/* Between the answer and the end of the program. */
static void sent_late(void **state)
{
    (void)state;
    struct signals_count counted = {0};
    signals_settle(&counted);
    assert_true(signal(SIGTERM, SIG_DFL) == SIG_DFL);
    assert_true(signals_counts(&counted, SIGINT, CLOCK_SECOND));
    signals_settle(&counted);
    assert_true(signal(SIGTERM, SIG_DFL) == SIG_DFL);
    counted = (struct signals_count){0};
    assert_true(signals_counts(&counted, SIGTERM, CLOCK_SECOND));
    signals_settle(&counted);
    assert_int_equal(raise(SIGTERM), 0); /* is survived */
    assert_true(signal(SIGTERM, SIG_DFL) == SIG_IGN);
    assert_true(signal(SIGINT, SIG_DFL) == SIG_DFL);
}

/* As the process gets them: a command that has answered one is not ended by what comes with it. */
static void taken(void **state)
{
    (void)state;
    struct signals_wait wait;
    sigset_t before, after;
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    assert_int_equal(signals_wait_open(&wait), 0);
    assert_int_equal(signals_wait_take(&wait), 0);
    assert_int_equal(raise(SIGTERM), 0);
    assert_int_equal(signals_wait_take(&wait), SIGTERM);
    assert_int_equal(raise(SIGTERM), 0); /* to the group */
    assert_int_equal(signals_wait_take(&wait), 0);
    assert_int_equal(raise(SIGTERM), 0);
    assert_int_equal(raise(SIGTERM), 0);
    signals_wait_close(&wait); /* is survived */
    assert_int_equal(raise(SIGTERM), 0);
    assert_true(signal(SIGTERM, SIG_DFL) == SIG_IGN);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    assert_int_equal(sigismember(&after, SIGTERM), sigismember(&before, SIGTERM));
    signals_wait_close(&wait); /* does nothing */
}

static volatile sig_atomic_t interrupted;
static void note_interrupt(int number)
{
    interrupted = number;
}

/* A second Ctrl-C that nobody has taken does what it does anywhere. */
static void not_swallowed(void **state)
{
    (void)state;
    struct signals_wait wait;
    assert_int_equal(signals_wait_open(&wait), 0);
    assert_int_equal(raise(SIGTERM), 0);
    assert_int_equal(signals_wait_take(&wait), SIGTERM);
    wait.count.first_ns -= CLOCK_SECOND;
    assert_int_equal(raise(SIGINT), 0);
    assert_true(signal(SIGINT, note_interrupt) == SIG_DFL);
    signals_wait_close(&wait);
    assert_int_equal(interrupted, SIGINT);
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
}

static void what_is_told(void **state)
{
    (void)state;
    char line[160];
    assert_string_equal(signals_tell(SIGINT, 0, line, sizeof line),
                        "draining what was read; press Ctrl-C again to stop at once");
    assert_string_equal(signals_tell(SIGINT, 10 * CLOCK_SECOND, line, sizeof line),
                        "draining what was read for at most 10.0 s (--drain); press Ctrl-C again to stop at once");
    assert_string_equal(signals_tell(SIGTERM, 30 * CLOCK_SECOND, line, sizeof line),
                        "draining what was read for at most 30.0 s (--drain); a second signal, later than 1 s after "
                        "this one, stops at once");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sent_twice), cmocka_unit_test(meant_twice),   cmocka_unit_test(sent_late),
        cmocka_unit_test(taken),      cmocka_unit_test(not_swallowed), cmocka_unit_test(what_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
