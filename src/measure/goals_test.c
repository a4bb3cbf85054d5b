/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "flow/pipeline.h"
#include "measure/goals.h"

static struct pipeline_snapshot snapshot; /* large: histograms */

static void start(void)
{
    memset(&snapshot, 0, sizeof snapshot);
    histogram_init(&snapshot.latency);
    snapshot.started = 5 * CLOCK_SECOND;
    snapshot.now = 15 * CLOCK_SECOND;
}

static void none_declared(void **state)
{
    (void)state;
    struct plan_goals goals = {0};
    struct goal results[GOALS_MAX];
    start();
    assert_int_equal(goals_check(&goals, &snapshot, 0, results), 0);
    assert_true(goals_met(results, 0));
}

static void all_declared(void **state)
{
    (void)state;
    struct plan_goals goals = {.latency_p50 = 2 * CLOCK_MILLISECOND,
                               .latency_p90 = 2 * CLOCK_MILLISECOND,
                               .latency_p99 = 2 * CLOCK_MILLISECOND,
                               .latency_p999 = CLOCK_MILLISECOND,
                               .latency_max = 9 * CLOCK_MILLISECOND,
                               .max_lag = CLOCK_SECOND,
                               .rate = 100};
    struct goal results[GOALS_MAX];
    start();
    histogram_record(&snapshot.latency, CLOCK_MILLISECOND, 980);
    histogram_record(&snapshot.latency, 10 * CLOCK_MILLISECOND, 20);
    snapshot.records_in = 1000;
    assert_int_equal(goals_check(&goals, &snapshot, CLOCK_SECOND, results), GOALS_MAX);
    static const struct {
        const char *name;
        bool met;
    } expected[GOALS_MAX] = {{"latency_p50", true},   {"latency_p90", true},  {"latency_p99", false},
                             {"latency_p999", false}, {"latency_max", false}, {"max_lag", true},
                             {"rate", true}};
    for (int i = 0; i < GOALS_MAX; i++) {
        assert_string_equal(results[i].name, expected[i].name);
        assert_true(results[i].measured);
        assert_int_equal(results[i].met, expected[i].met);
    }
    assert_true(results[4].got == 0.01 && results[4].wanted == 0.009);
    assert_true(results[6].got == 100 && results[6].at_least);
    assert_false(goals_met(results, GOALS_MAX));
    assert_true(goals_met(results, 2));
}

static void a_rate_just_short(void **state)
{
    (void)state;
    struct plan_goals goals = {.rate = 100};
    struct goal results[GOALS_MAX];
    start();
    snapshot.records_in = 995;
    (void)goals_check(&goals, &snapshot, 0, results);
    assert_true(results[0].met);
    snapshot.records_in = 980;
    (void)goals_check(&goals, &snapshot, 0, results);
    assert_false(results[0].met);
}

static void nothing_came(void **state)
{
    (void)state;
    struct plan_goals goals = {.latency_p99 = CLOCK_SECOND, .max_lag = CLOCK_SECOND, .rate = 1};
    struct goal results[GOALS_MAX];
    start();
    assert_int_equal(goals_check(&goals, &snapshot, 0, results), 3);
    for (int i = 0; i < 3; i++) {
        assert_false(results[i].measured);
        assert_false(results[i].met);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(none_declared),
        cmocka_unit_test(all_declared),
        cmocka_unit_test(a_rate_just_short),
        cmocka_unit_test(nothing_came),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
