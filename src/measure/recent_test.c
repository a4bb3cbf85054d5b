/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/memory.h"
#include "flow/pipeline.h"
#include "measure/recent.h"

static struct pipeline_snapshot snapshot; /* large: histograms */

static struct recent *start(void)
{
    memset(&snapshot, 0, sizeof snapshot);
    histogram_init(&snapshot.latency);
    snapshot.started = snapshot.now = 7 * CLOCK_SECOND;
    struct recent *recent = recent_new();
    assert_non_null(recent);
    return recent;
}

/* `records` come within 100 ms, each with `latency`. */
static struct recent_view tick(struct recent *recent, uint64_t records, int64_t latency)
{
    snapshot.now += CLOCK_SECOND / 10;
    snapshot.records_in += records;
    snapshot.records_out += records / 2;
    histogram_record(&snapshot.latency, latency, records);
    return recent_add(recent, &snapshot);
}

static void rates_and_latencies_follow(void **state)
{
    (void)state;
    struct recent *recent = start();
    struct recent_view view = tick(recent, 100, CLOCK_MILLISECOND);
    assert_true(fabs(view.in - 1000) < 1e-6); /* from the first moment on */
    assert_int_equal(view.latencies, 100);
    for (int i = 0; i < 50; i++) {
        view = tick(recent, 100, CLOCK_MILLISECOND);
    }
    assert_true(fabs(view.in - 1000) < 1e-6 && fabs(view.out - 500) < 1e-6);
    assert_true(view.p50 > CLOCK_MILLISECOND * 98 / 100 && view.p50 < CLOCK_MILLISECOND * 102 / 100);
    for (int i = 0; i < 50; i++) {
        view = tick(recent, 10, 50 * CLOCK_MILLISECOND);
    }
    assert_true(fabs(view.in - 100) < 1e-6);
    assert_true(view.p50 > 49 * CLOCK_MILLISECOND); /* the fast ones are forgotten */
    assert_in_range(view.latencies, 200, 400);
    recent_free(recent);
}

static void nothing_lately(void **state)
{
    (void)state;
    struct recent *recent = start();
    struct recent_view view = {0};
    for (int i = 0; i < 60; i++) {
        view = tick(recent, i < 5 ? 10 : 0, CLOCK_MILLISECOND);
    }
    assert_true(view.in == 0 && view.out == 0 && view.latencies == 0);
    recent_free(recent);
    recent_free(NULL);
}

static void out_of_memory(void **state)
{
    (void)state;
    memory_fail_nth(1, false);
    assert_null(recent_new());
    memory_fail_nth(0, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rates_and_latencies_follow),
        cmocka_unit_test(nothing_lately),
        cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
