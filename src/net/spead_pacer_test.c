/* SPDX-License-Identifier: MIT */
/* The pacer on clocks of our own: rates are exact, lateness is made up for, idleness is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <math.h>

#include <cmocka.h>

#include "net/spead_pacer.h"

enum { BURST = 65536, SECOND = 1000000000 };

/* Sends bursts from *now on, each when it is due plus what `late` says; returns bytes. */
static uint64_t run(struct spead_pacer *pacer, int64_t *now, int bursts, int64_t late)
{
    uint64_t bytes = 0;
    for (int i = 0; i < bursts; i++) {
        spead_pacer_sent(pacer, BURST);
        bytes += BURST;
        int64_t due = spead_pacer_due(pacer, *now);
        if (due > *now)
            *now = due + late;
    }
    return bytes;
}

static void test_exact(void **state)
{
    (void)state;
    struct spead_pacer pacer;
    int64_t start = 5000000001, now = start;
    double rate = 40e9 / 8; /* 13107.2 ns per burst: whole nanoseconds would be off by 15 ppm */
    spead_pacer_init(&pacer, rate, BURST, 1.05, now);
    uint64_t bytes = run(&pacer, &now, 1000000, 0);
    double expected = (double)bytes / rate * 1e9;
    assert_true(fabs((double)(now - start) - expected) < 2);
}

static void test_late_is_made_up_for(void **state)
{
    (void)state;
    struct spead_pacer pacer;
    int64_t now = 0;
    spead_pacer_init(&pacer, 1e9, BURST, 1.05, now);
    run(&pacer, &now, 100, 0);
    now += 1000000; /* overslept by 1 ms: 15 bursts */
    int64_t before = now;
    uint64_t bytes = run(&pacer, &now, 100, 0);
    /* While catching up the rate is 1.05 times as high, no more: 5 % of 6.5 ms are made up. */
    double catch_up = (double)bytes / 1.05;
    assert_true(fabs((double)(now - before) - catch_up) < BURST);
    bytes += run(&pacer, &now, 1000, 0);
    assert_true(fabs((double)now - (double)(100 * BURST + bytes)) < BURST); /* and then it is as if nothing had been */
}

static void test_always_late(void **state)
{
    (void)state;
    struct spead_pacer pacer;
    int64_t now = 0;
    spead_pacer_init(&pacer, 1e9, BURST, 1.5, now);
    uint64_t bytes = run(&pacer, &now, 10000, 10000); /* 10 us of 65 each time: 1.5 makes up for it */
    assert_true(fabs((double)now - (double)bytes) < 2 * BURST);
}

static void test_idle_is_not_made_up_for(void **state)
{
    (void)state;
    struct spead_pacer pacer;
    int64_t now = 0;
    spead_pacer_init(&pacer, 1e9, BURST, 2, now);
    run(&pacer, &now, 10, 0);
    now += SECOND;
    spead_pacer_idle(&pacer, now);
    int64_t before = now;
    uint64_t bytes = run(&pacer, &now, 100, 0);
    assert_true(fabs((double)(now - before) - (double)bytes) < 2);
}

static void test_room(void **state)
{
    (void)state;
    struct spead_pacer pacer;
    spead_pacer_init(&pacer, 1e9, BURST, 1.05, 0);
    assert_true(spead_pacer_limits(&pacer));
    assert_int_equal(spead_pacer_room(&pacer), BURST);
    spead_pacer_sent(&pacer, BURST - 1);
    assert_int_equal(spead_pacer_room(&pacer), 1);
    spead_pacer_sent(&pacer, 100);
    assert_int_equal(spead_pacer_room(&pacer), 0);
    (void)spead_pacer_due(&pacer, 0);
    assert_int_equal(spead_pacer_room(&pacer), BURST);
    spead_pacer_init(&pacer, 0, BURST, 1.05, 0);
    assert_false(spead_pacer_limits(&pacer));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exact),       cmocka_unit_test(test_late_is_made_up_for),
        cmocka_unit_test(test_always_late), cmocka_unit_test(test_idle_is_not_made_up_for),
        cmocka_unit_test(test_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
