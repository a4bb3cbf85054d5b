/* SPDX-License-Identifier: MIT */
/* The verdict on synthetic pipelines: a queue in front of a server that works in batches, looked at every so often. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "flow/pipeline.h"
#include "measure/slope.h"
#include "measure/verdict.h"

struct rig {
    /* Arrivals: `burst` records at once every `every` seconds; a steady stream is many small bursts. */
    double burst, every;
    double service;              /* records/s */
    double batch;                /* records in a batch: settled together */
    double pause_from, pause_to; /* seconds in which nothing is worked on */
    double busy_share;           /* of time that the worker is busy while it works, default 1 */
    double look;                 /* seconds between samples, default 0.1 */
    double jitter;               /* of the looks, as a share */
    double most_waiting;         /* records that may wait, 0: any: the rest is dropped */
    bool scheduled;              /* the source says what it offers */
    bool full_speed;

    double now, work_done, worked_seconds;
    double arrived, settled, dropped; /* settled without dropped */
    uint32_t noise;
    struct verdict verdict;
    struct verdict_sample sample;
};

static double noise(struct rig *rig)
{
    rig->noise = rig->noise * 1664525u + 1013904223u;
    return (double)(rig->noise >> 8) / (double)(1 << 24) - 0.5;
}

static void rig_start(struct rig *rig, const struct verdict_limits *limits)
{
    rig->look = rig->look > 0 ? rig->look : 0.1;
    rig->batch = rig->batch > 0 ? rig->batch : 1;
    rig->busy_share = rig->busy_share > 0 ? rig->busy_share : 1;
    verdict_init(&rig->verdict, limits);
}

static void rig_look(struct rig *rig)
{
    double gone = rig->settled + rig->dropped;
    double oldest = floor(gone / rig->burst) * rig->every; /* when the oldest record that is left came */
    rig->sample = (struct verdict_sample){
        .now = (int64_t)(rig->now * 1e9),
        .lag = gone < rig->arrived ? (int64_t)((rig->now - oldest) * 1e9) : 0,
        .read = (uint64_t)rig->arrived,
        .settled = (uint64_t)gone,
        .dropped = (uint64_t)rig->dropped,
        .offered = rig->scheduled ? rig->burst / rig->every : 0,
        .full_speed = rig->full_speed,
        .thread_count = 2,
        .busy = {(int64_t)(rig->now * 1e8), (int64_t)(rig->worked_seconds * rig->busy_share * 1e9)},
    };
    verdict_add(&rig->verdict, &rig->sample);
}

static struct verdict_answer rig_run(struct rig *rig, double until)
{
    const double tick = 0.001;
    double next_look = rig->now;
    while (rig->now < until) {
        while (floor(rig->now / rig->every + 1e-9) * rig->burst + rig->burst > rig->arrived + 0.5) {
            rig->arrived += rig->burst;
        }
        if (rig->most_waiting > 0 && rig->arrived - rig->settled - rig->dropped > rig->most_waiting) {
            rig->dropped = rig->arrived - rig->settled - rig->most_waiting;
        }
        bool paused = rig->now >= rig->pause_from && rig->now < rig->pause_to;
        if (!paused && rig->settled + rig->dropped < rig->arrived) {
            rig->work_done += rig->service * tick;
            rig->worked_seconds += tick;
            double batches = floor((rig->work_done - rig->settled) / rig->batch);
            rig->settled += batches > 0 ? batches * rig->batch : 0;
            if (rig->settled + rig->dropped > rig->arrived) {
                rig->work_done = rig->settled = rig->arrived - rig->dropped;
            } else if (rig->settled + rig->dropped + rig->batch > rig->arrived && rig->work_done - rig->settled > 0 &&
                       rig->work_done + rig->dropped >= rig->arrived) {
                rig->work_done = rig->settled = rig->arrived - rig->dropped; /* a smaller batch at the end */
            }
        }
        rig->now += tick;
        if (rig->now >= next_look) {
            rig_look(rig);
            next_look = rig->now + rig->look * (1 + rig->jitter * noise(rig));
        }
    }
    return verdict_judge(&rig->verdict);
}

static void expect(struct verdict_answer answer, enum verdict_kind kind)
{
    char text[256];
    if (answer.kind != kind) {
        fail_msg("expected \"%s\", got \"%s\" (slope %.4f, lag %.3f s)", verdict_name(kind),
                 verdict_sentence(&answer, "lane 0", text, sizeof text), answer.slope, (double)answer.lag / 1e9);
    }
}

static void expect_behind(struct verdict_answer answer, double seconds_per_minute, double tolerance)
{
    expect(answer, VERDICT_FALLING_BEHIND);
    if (fabs(answer.seconds_per_minute - seconds_per_minute) > tolerance) {
        fail_msg("expected %.1f ± %.1f s per minute, got %.2f", seconds_per_minute, tolerance,
                 answer.seconds_per_minute);
    }
}

static void too_slow_for_bursts(void **state)
{
    (void)state;
    static const double batches[] = {1, 64, 500, 1000, 2048, 3000, 4096, 5000};
    static const double looks[] = {0.02, 0.1, 0.25, 1};
    for (size_t i = 0; i < sizeof batches / sizeof *batches; i++) {
        for (size_t j = 0; j < sizeof looks / sizeof *looks; j++) {
            struct rig rig = {.burst = 50000,
                              .every = 10,
                              .service = 50000.0 / 30,
                              .batch = batches[i],
                              .look = looks[j],
                              .jitter = 0.5,
                              .scheduled = true};
            rig_start(&rig, NULL);
            for (double at = 19; at < 200; at += 1.7) { /* wherever in the saw */
                expect_behind(rig_run(&rig, at), 40, 2);
            }
        }
    }
}

static void bursts_worked_off_in_time(void **state)
{
    (void)state;
    struct rig rig = {.burst = 50000, .every = 10, .service = 8000, .batch = 1000, .scheduled = true};
    rig_start(&rig, NULL);
    for (double at = 3; at < 150; at += 0.3) {
        struct verdict_answer answer = rig_run(&rig, at);
        if (at > 5 && at < 6) {
            assert_true(answer.lag > 4 * CLOCK_SECOND); /* it does rise within the burst */
        }
        expect(answer, VERDICT_KEEPING_UP);
    }
}

static void bursts_without_a_schedule(void **state)
{
    (void)state;
    struct rig rig = {.burst = 50000, .every = 10, .service = 8000, .batch = 1000};
    rig_start(&rig, NULL);
    (void)rig_run(&rig, 30);
    for (double at = 31; at < 100; at += 0.7) {
        expect(rig_run(&rig, at), VERDICT_KEEPING_UP);
    }
}

static void too_slow_without_a_schedule(void **state)
{
    (void)state;
    struct rig rig = {.burst = 50, .every = 0.01, .service = 4000, .batch = 100};
    rig_start(&rig, NULL);
    for (double at = 5; at < 120; at += 3.1) {
        expect_behind(rig_run(&rig, at), 12, 1);
    }
}

static void steady(void **state)
{
    (void)state;
    struct rig rig = {.burst = 10, .every = 0.01, .service = 5000, .jitter = 0.5, .scheduled = true};
    rig_start(&rig, NULL);
    for (double at = 1; at < 100; at += 0.9) {
        expect(rig_run(&rig, at), VERDICT_KEEPING_UP);
    }
    struct rig plain = {.burst = 10, .every = 0.01, .service = 5000, .jitter = 0.5};
    rig_start(&plain, NULL);
    for (double at = 1; at < 100; at += 0.9) {
        expect(rig_run(&plain, at), VERDICT_KEEPING_UP);
    }
}

static void steady_but_too_slow(void **state)
{
    (void)state;
    struct rig rig = {.burst = 50, .every = 0.01, .service = 4750, .batch = 200, .scheduled = true};
    rig_start(&rig, NULL);
    for (double at = 10; at < 100; at += 3.7) {
        expect_behind(rig_run(&rig, at), 3, 0.3);
    }
}

static void saturated(void **state)
{
    (void)state;
    struct rig rig = {.burst = 50, .every = 0.01, .service = 5050, .batch = 10, .scheduled = true};
    rig_start(&rig, NULL);
    for (double at = 4; at < 60; at += 1.3) {
        struct verdict_answer answer = rig_run(&rig, at);
        expect(answer, VERDICT_SATURATED);
        assert_int_equal(answer.busiest_thread, 1);
    }
    struct rig plain = {.burst = 50, .every = 0.01, .service = 5050, .batch = 10};
    rig_start(&plain, NULL);
    (void)rig_run(&plain, 5);
    expect(rig_run(&plain, 20), VERDICT_SATURATED);
}

static void a_stall_is_seen_and_worked_off(void **state)
{
    (void)state;
    struct rig rig = {
        .burst = 50, .every = 0.01, .service = 9000, .batch = 100, .scheduled = true, .pause_from = 20, .pause_to = 40};
    rig_start(&rig, NULL);
    expect(rig_run(&rig, 20), VERDICT_KEEPING_UP);
    expect_behind(rig_run(&rig, 38), 60, 6);          /* 18 s without a record */
    struct verdict_answer answer = rig_run(&rig, 54); /* 20 s of lag, worked off at 0.8 s/s: over at 65 s */
    expect(answer, VERDICT_KEEPING_UP);
    assert_true(answer.slope < -0.5);
    char text[200];
    assert_non_null(strstr(verdict_sentence(&answer, NULL, text, sizeof text), "working off a lag of "));
    answer = rig_run(&rig, 75);
    expect(answer, VERDICT_KEEPING_UP);
    assert_true(answer.lag_worst > 19 * CLOCK_SECOND);
}

static void a_short_stall_is_no_matter(void **state)
{
    (void)state;
    struct rig rig = {
        .burst = 10, .every = 0.01, .service = 9000, .scheduled = true, .pause_from = 20, .pause_to = 20.4};
    rig_start(&rig, NULL);
    for (double at = 19; at < 30; at += 0.1) {
        expect(rig_run(&rig, at), VERDICT_KEEPING_UP);
    }
}

static void one_outlier(void **state)
{
    (void)state;
    struct rig rig = {.burst = 10, .every = 0.01, .service = 1500};
    rig_start(&rig, NULL);
    (void)rig_run(&rig, 20);
    rig.sample.now += CLOCK_SECOND / 20;
    rig.sample.read += 100;
    rig.sample.lag = 30 * CLOCK_SECOND;
    verdict_add(&rig.verdict, &rig.sample);
    expect(verdict_judge(&rig.verdict), VERDICT_KEEPING_UP);
    expect(rig_run(&rig, 21), VERDICT_KEEPING_UP);
    assert_int_equal(rig.verdict.lag_worst, 30 * CLOCK_SECOND);
}

static void dropping(void **state)
{
    (void)state;
    struct rig rig = {.burst = 50, .every = 0.01, .service = 1667, .batch = 10, .most_waiting = 500, .scheduled = true};
    rig_start(&rig, NULL);
    for (double at = 5; at < 100; at += 5) {
        struct verdict_answer answer = rig_run(&rig, at);
        expect(answer, VERDICT_DROPPING);
        assert_true(fabs(answer.dropped_share - 2.0 / 3) < 0.05);
    }
}

/* A source that can only hand on when the batch before is done: nothing is ever unsettled when one looks. */
static void late_although_nothing_is_unsettled(void **state)
{
    (void)state;
    struct verdict verdict;
    struct verdict_sample sample = {.offered = 1000};
    verdict_init(&verdict, NULL);
    for (int i = 0; i < 100; i++) {
        sample.now += CLOCK_SECOND / 2;
        sample.read = sample.settled += 400;
        sample.stored += 400;
        sample.latency_sum += 400 * 0.2 * (double)sample.now;
        verdict_add(&verdict, &sample);
    }
    expect_behind(verdict_judge(&verdict), 12, 0.5);
    struct verdict_answer answer = verdict_judge(&verdict);
    assert_int_equal(answer.lag / CLOCK_SECOND, 10);
    assert_int_equal(answer.lag_worst, answer.lag);
    sample.now += CLOCK_SECOND; /* and then nothing is left */
    verdict_add(&verdict, &sample);
    expect(verdict_judge(&verdict), VERDICT_KEEPING_UP);
}

static void start_up(void **state)
{
    (void)state;
    struct verdict verdict;
    verdict_init(&verdict, NULL);
    expect(verdict_judge(&verdict), VERDICT_NO_DATA);
    struct verdict_sample sample = {.now = CLOCK_SECOND};
    verdict_add(&verdict, &sample);
    expect(verdict_judge(&verdict), VERDICT_NO_DATA);
    sample.now += 5 * CLOCK_SECOND;
    verdict_add(&verdict, &sample);
    expect(verdict_judge(&verdict), VERDICT_NO_DATA); /* and not a division by nothing */

    struct rig rig = {.burst = 50000, .every = 10, .service = 50000.0 / 30, .batch = 4096, .scheduled = true};
    rig_start(&rig, NULL);
    expect(rig_run(&rig, 0.05), VERDICT_KEEPING_UP);
    expect(rig_run(&rig, 2.3), VERDICT_NO_DATA); /* the first batch is not through: who knows */
    expect_behind(rig_run(&rig, 8), 40, 4);
}

static void full_speed(void **state)
{
    (void)state;
    struct rig rig = {.burst = 1e6, .every = 1e9, .service = 1e6, .full_speed = true, .batch = 1000};
    rig_start(&rig, NULL);
    expect(rig_run(&rig, 0.5), VERDICT_FULL_SPEED);

    /* Over before anybody looked. */
    struct verdict verdict;
    struct verdict_sample sample = {.now = 1, .read = 10, .settled = 10, .full_speed = true, .ended = true};
    verdict_init(&verdict, NULL);
    verdict_add(&verdict, &sample);
    expect(verdict_judge(&verdict), VERDICT_FULL_SPEED);
}

static void idle(void **state)
{
    (void)state;
    struct rig rig = {.burst = 100, .every = 1000, .service = 1e4};
    rig_start(&rig, NULL);
    (void)rig_run(&rig, 3);
    expect(rig_run(&rig, 30), VERDICT_IDLE);
    /* With a schedule, waiting for the next burst is keeping up. */
    struct rig scheduled = {.burst = 100, .every = 1000, .service = 1e4, .scheduled = true};
    rig_start(&scheduled, NULL);
    expect(rig_run(&scheduled, 30), VERDICT_KEEPING_UP);
}

static void draining_does_not_count(void **state)
{
    (void)state;
    struct rig rig = {.burst = 50000, .every = 10, .service = 50000.0 / 30, .batch = 1000, .scheduled = true};
    rig_start(&rig, NULL);
    (void)rig_run(&rig, 20);
    for (int i = 1; i <= 100; i++) { /* the sources have ended; the rest goes quickly */
        struct verdict_sample sample = rig.sample;
        sample.ended = true;
        sample.now += i * CLOCK_SECOND / 10;
        sample.settled += (uint64_t)i * 500;
        verdict_add(&rig.verdict, &sample);
    }
    expect_behind(verdict_judge(&rig.verdict), 40, 2);
}

static void limits(void **state)
{
    (void)state;
    char text[256];
    struct verdict_limits lag = {.lag = 60 * CLOCK_SECOND};
    struct rig rig = {.burst = 50, .every = 0.01, .service = 4000, .batch = 100, .scheduled = true};
    rig_start(&rig, &lag);
    struct verdict_answer answer = rig_run(&rig, 100);
    expect_behind(answer, 12, 1);
    assert_int_equal(answer.limit, VERDICT_LIMIT_LAG);
    assert_true(fabs(answer.limit_seconds - 200) < 20); /* 20 s of 60 s at 0.2 s/s */
    assert_non_null(strstr(verdict_sentence(&answer, NULL, text, sizeof text), "max_lag is reached in "));
    answer = rig_run(&rig, 310);
    assert_true(answer.limit_seconds <= 0);
    assert_non_null(strstr(verdict_sentence(&answer, NULL, text, sizeof text), "max_lag is passed"));

    struct verdict_limits memory = {.memory = 1000000};
    struct verdict verdict;
    verdict_init(&verdict, &memory);
    struct verdict_sample sample = {.offered = 100};
    for (int i = 0; i < 300; i++) {
        sample.now += CLOCK_SECOND / 10;
        sample.read = sample.settled += 10;
        sample.memory = 200000 + (uint64_t)i * 1000; /* 10,000 a second */
        verdict_add(&verdict, &sample);
    }
    answer = verdict_judge(&verdict);
    expect(answer, VERDICT_KEEPING_UP);
    assert_int_equal(answer.limit, VERDICT_LIMIT_MEMORY);
    assert_true(fabs(answer.limit_seconds - 50) < 3);
    for (int i = 0; i < 300; i++) { /* and then no more */
        sample.now += CLOCK_SECOND / 10;
        sample.read = sample.settled += 10;
        verdict_add(&verdict, &sample);
    }
    assert_int_equal(verdict_judge(&verdict).limit, VERDICT_LIMIT_NONE);
}

static void the_window_is_bounded(void **state)
{
    (void)state;
    struct rig rig = {.burst = 10, .every = 0.01, .service = 5000, .look = 0.001, .scheduled = true};
    rig_start(&rig, NULL);
    expect(rig_run(&rig, 300), VERDICT_KEEPING_UP);
    assert_in_range(rig.verdict.count, VERDICT_SAMPLES / 2, VERDICT_SAMPLES);
    int64_t span = rig.verdict.samples[rig.verdict.count - 1].now - rig.verdict.samples[0].now;
    assert_in_range(span / CLOCK_SECOND, 55, 125);
    for (uint32_t i = 1; i < rig.verdict.count; i++) {
        assert_true(rig.verdict.samples[i].now > rig.verdict.samples[i - 1].now);
    }
}

static void slope(void **state)
{
    (void)state;
    double x[64], y[64];
    for (int i = 0; i < 64; i++) {
        x[i] = i;
        y[i] = 3 + 0.25 * i;
    }
    assert_true(fabs(slope_median(x, y, 64) - 0.25) < 1e-12);
    for (int i = 0; i < 10; i++) {
        y[i * 6] = 1e6;
    }
    assert_true(fabs(slope_median(x, y, 64) - 0.25) < 1e-9);
    assert_true(slope_median(x, y, 0) == 0 && slope_median(x, y, 1) == 0);
    x[1] = x[0];
    assert_true(slope_median(x, y, 2) == 0);
}

static void from_a_snapshot(void **state)
{
    (void)state;
    struct pipeline_source_view sources[3] = {
        {.name = "a", .offered = 100, .waiting = true}, {.name = "b", .offered = 50}, {.name = "c", .ended = true}};
    struct pipeline_thread_view threads[2] = {{"lane 0", 5}, {"lane 1", 7}};
    static struct pipeline_snapshot snapshot; /* large: histograms */
    snapshot = (struct pipeline_snapshot){.now = 9,
                                          .records_in = 20,
                                          .records_stored = 1,
                                          .records_refused = 2,
                                          .records_filtered = 3,
                                          .records_dropped = 4,
                                          .lag_ns = 5,
                                          .memory_used = 6,
                                          .source_count = 3,
                                          .sources = sources,
                                          .thread_count = 2,
                                          .threads = threads};
    struct verdict_sample sample = verdict_sample_of(&snapshot);
    assert_int_equal(sample.settled, 10);
    assert_int_equal(sample.busy[1], 7);
    assert_true(sample.offered == 150 && sample.waiting && !sample.ended && !sample.full_speed);
    sources[1].offered = 0;
    assert_true(verdict_sample_of(&snapshot).offered == 0);
    for (int i = 0; i < 3; i++) {
        sources[i].ended = sources[i].full_speed = true;
    }
    sample = verdict_sample_of(&snapshot);
    assert_true(sample.ended && sample.full_speed);
}

static void nothing_delivered(void **state)
{
    (void)state;
    static struct pipeline_snapshot snapshot;
    struct pipeline_counter_view counter = {.part = "out", .what = "not stored", .field = "", .number = 10};
    struct verdict_answer answer = {.kind = VERDICT_KEEPING_UP};
    char text[256];
    snapshot = (struct pipeline_snapshot){.records_in = 1000, .counters = &counter};
    verdict_look(&answer, &snapshot);
    expect(answer, VERDICT_KEEPING_UP);
    snapshot.records_filtered = 990;
    snapshot.records_refused = 10; /* lines that are wrong, perhaps */
    verdict_look(&answer, &snapshot);
    expect(answer, VERDICT_KEEPING_UP);
    snapshot.counter_count = 1;
    verdict_look(&answer, &snapshot);
    expect(answer, VERDICT_NOTHING_DELIVERED);
    verdict_sentence(&answer, NULL, text, sizeof text);
    assert_string_equal(text, "nothing delivered: 10 records were refused, none stored");
    snapshot.counter_count = 0;
    snapshot.records_filtered = 0;
    snapshot.records_refused = 1;
    snapshot.records_dropped = 999;
    answer = (struct verdict_answer){.kind = VERDICT_FALLING_BEHIND, .seconds_per_minute = 60};
    verdict_look(&answer, &snapshot);
    verdict_sentence(&answer, NULL, text, sizeof text);
    assert_string_equal(text, "nothing delivered: 1 record was refused, 999 dropped, none stored");
    assert_true(answer.seconds_per_minute == 0);
    snapshot.records_refused = 2; /* one more than were there when those that came were counted */
    answer.kind = VERDICT_FULL_SPEED;
    verdict_look(&answer, &snapshot);
    expect(answer, VERDICT_NOTHING_DELIVERED);
    snapshot.records_out = 1; /* one of two sinks has it */
    answer.kind = VERDICT_FULL_SPEED;
    verdict_look(&answer, &snapshot);
    expect(answer, VERDICT_FULL_SPEED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(too_slow_for_bursts),
        cmocka_unit_test(bursts_worked_off_in_time),
        cmocka_unit_test(bursts_without_a_schedule),
        cmocka_unit_test(too_slow_without_a_schedule),
        cmocka_unit_test(steady),
        cmocka_unit_test(steady_but_too_slow),
        cmocka_unit_test(saturated),
        cmocka_unit_test(a_stall_is_seen_and_worked_off),
        cmocka_unit_test(a_short_stall_is_no_matter),
        cmocka_unit_test(one_outlier),
        cmocka_unit_test(dropping),
        cmocka_unit_test(late_although_nothing_is_unsettled),
        cmocka_unit_test(start_up),
        cmocka_unit_test(full_speed),
        cmocka_unit_test(idle),
        cmocka_unit_test(draining_does_not_count),
        cmocka_unit_test(limits),
        cmocka_unit_test(the_window_is_bounded),
        cmocka_unit_test(slope),
        cmocka_unit_test(from_a_snapshot),
        cmocka_unit_test(nothing_delivered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
