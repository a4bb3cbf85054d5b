/* SPDX-License-Identifier: MIT */
/* Advice from runs that are made up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "base/clock.h"
#include "flow/pipeline.h"
#include "measure/advice.h"
#include "measure/attribution.h"
#include "measure/report.h"

enum { MILLISECOND = 1000000 };

/* Two lanes and a sink on four processors: 500 ns of work for a record, 350 of them in rolling. */
struct run {
    struct report report;
    struct attribution attribution;
    struct attribution_thread threads[4];
    struct attribution_row rows[3];
    struct pipeline_source_view sources[1];
    struct pipeline_edge_view edges[2];
    struct pipeline_fact_view facts[4];
    struct pipeline_part_view parts[1];
    struct pipeline_counter_view counters[2];
    struct goal goals[2];
};
static struct pipeline_snapshot snapshot;

static void start(struct run *run)
{
    memset(&snapshot, 0, sizeof snapshot);
    histogram_init(&snapshot.latency);
    *run = (struct run){
        .threads = {{.name = "machine", .nanoseconds = 20},
                    {.name = "lane 0", .nanoseconds = 250, .busy_seconds = 0.24},
                    {.name = "lane 1", .nanoseconds = 230},
                    {.name = "store", .nanoseconds = 50}},
        .rows =
            {{.name = "rolling", .type = "rolling", .work = WORK_PROCESS, .share = 0.7, .removed = 3.2, .halved = 1.5},
             {.name = "engine", .work = WORK_ENGINE, .share = 0.2, .removed = 9},
             {.name = "store", .type = "sqlite", .work = WORK_WRITE, .share = 0.1, .removed = 1, .halved = 1}},
        .sources = {{.name = "machine", .records_read = 1000000}},
        .edges = {{.from = "machine", .to = "lanes", .batches = 1000},
                  {.from = "lane", .to = "store", .batches = 1000}},
    };
    run->attribution = (struct attribution){.records = 1000000,
                                            .seconds = 0.25,
                                            .records_per_second = 3.9e6,
                                            .bound_per_second = 4e6,
                                            .lanes = 2,
                                            .processors = 4,
                                            .critical = 1,
                                            .row_count = 3,
                                            .thread_count = 4,
                                            .rows = run->rows,
                                            .threads = run->threads};
    snapshot.now = 250 * MILLISECOND;
    snapshot.records_in = 1000000;
    snapshot.sources = run->sources;
    snapshot.source_count = 1;
    snapshot.edges = run->edges;
    snapshot.edge_count = 2;
    run->report = (struct report){.snapshot = &snapshot,
                                  .attribution = &run->attribution,
                                  .goals = run->goals,
                                  .linger = 5 * MILLISECOND,
                                  .verdict = {.kind = VERDICT_KEEPING_UP}};
}

static void check(const struct run *run, const char *const *pieces)
{
    struct weir_buffer out = {0};
    advice_text(&run->report, &out);
    buffer_append(&out, "", 1);
    assert_false(out.failed);
    for (; *pieces; pieces++) {
        if (!strstr(out.data, *pieces))
            fail_msg("no \"%s\" in:\n%s", *pieces, out.data);
    }
    assert_null(strchr(out.data, '\n'));
    assert_null(strstr(out.data, "  "));
    buffer_free(&out);
}
#define CHECK(run, ...) check(run, (const char *const[]){__VA_ARGS__, NULL})

static void test_bottleneck(void **state)
{
    (void)state;
    struct run run;
    start(&run);
    CHECK(&run, "The bottleneck is lane 0: its 250 ns of work for each record allow 4.00 M records/s.",
          "Most is to be won at rolling (process), 70 % of all work: the run would be 3.20 times as fast if it took no "
          "time (Amdahl's bound), 1.50 times if it took half.",
          "More lanes would help: with lanes: 4, one for each processor, at most 1.82 times as fast.");
    run.threads[1].queued_seconds = 0.1;
    CHECK(&run, "Other work on this machine kept it waiting for a processor 40 % of the time.");
    run.rows[0].removed = 106.83;
    CHECK(&run, "the run would be 107 times as fast");
    /* The engine is no part that one could change. */
    run.rows[0].removed = 1.01;
    CHECK(&run, "No single part is worth making faster");
}

static void test_lanes(void **state)
{
    (void)state;
    struct run run;
    start(&run);
    run.attribution.processors = 2;
    CHECK(&run, "More lanes would not help: 2 processors are there for them.");
    run.attribution.processors_bound = true;
    CHECK(&run, "The bottleneck are the processors", "More lanes would not help: 2 processors are there for them.");
    start(&run);
    run.threads[2].nanoseconds = 10;
    CHECK(&run, "More lanes would hardly help: lane 0 has 1.9 times the work of the average lane.");
    start(&run);
    run.threads[3].nanoseconds = 300;
    run.attribution.critical = 3;
    CHECK(&run, "The bottleneck is store: its 300 ns", "More lanes would not help: the work of store is done by one");
}

static void test_nothing_held_it_back(void **state)
{
    (void)state;
    struct run run;
    start(&run);
    run.threads[1].busy_seconds = 0.01;
    CHECK(&run,
          "Nothing held the run back but its sources: the busiest thread worked 4 % of the time, and with its work for "
          "each record lane 0 could take 4.00 M records/s.",
          "More lanes would not help: those there are wait.");
    /* But for a sink that waits for its disk. */
    run.edges[1].blocked_ns = 200 * MILLISECOND;
    CHECK(&run, "The bottleneck is store: what leads there was full 80 % of the time, while no thread was busy.");
}

static void lacks(const struct run *run, const char *piece)
{
    struct weir_buffer out = {0};
    advice_text(&run->report, &out);
    buffer_append(&out, "", 1);
    assert_null(strstr(out.data, piece));
    buffer_free(&out);
}

/* Who falls behind is not held back by sources alone, however idle the threads are. */
static void test_falling_behind(void **state)
{
    (void)state;
    struct run run;
    start(&run);
    run.threads[1].busy_seconds = 0.01;
    run.report.verdict.kind = VERDICT_FALLING_BEHIND;
    run.edges[0].bytes_peak = 3 << 20;
    CHECK(&run, "records had to wait, most of them for the stages (up to 3.00 MiB).");
    lacks(&run, "Nothing held");
    run.facts[0] = (struct pipeline_fact_view){.part = "ask", .name = "limit", .value = 5};
    run.facts[1] = (struct pipeline_fact_view){.part = "ask", .name = "waited for the limit", .value = 0.24};
    snapshot.facts = run.facts;
    snapshot.fact_count = 2;
    CHECK(&run, "The bottleneck is ask: 96 % of the time it waited for its limit of 5 calls at a time; raise its "
                "concurrency");
    run.report.verdict.kind = VERDICT_NO_DATA; /* a server that is down refuses all, and takes its time */
    CHECK(&run, "The bottleneck is ask: 96 %");
    run.report.attribution = NULL;
    CHECK(&run, "The bottleneck is ask: 96 %");
    run.report.verdict.kind = VERDICT_SATURATED;
    snapshot.fact_count = 0;
    lacks(&run, "Nothing held");
    run.report.verdict.kind = VERDICT_KEEPING_UP;
    CHECK(&run, "Nothing held the run back but its sources.");
}

/* A server that is gone: what became of the records, instead of what would be faster. */
static void test_losses(void **state)
{
    (void)state;
    static const struct weir_part http = {.kind = WEIR_SINK, .name = "http"};
    struct run run;
    start(&run);
    run.parts[0] = (struct pipeline_part_view){.name = "out", .part = &http};
    run.facts[0] = (struct pipeline_fact_view){.part = "out", .name = "failed", .value = 2};
    run.facts[1] = (struct pipeline_fact_view){.part = "out", .name = "last failure", .text = "connection refused"};
    run.facts[2] = (struct pipeline_fact_view){.part = "ask", .name = "failed", .value = 1};
    run.facts[3] = (struct pipeline_fact_view){.part = "ask", .name = "last failure", .text = "no answer"};
    run.counters[0] = (struct pipeline_counter_view){.part = "out", .what = "not stored", .field = "", .number = 1050};
    snapshot.parts = run.parts;
    snapshot.facts = run.facts;
    snapshot.counters = run.counters;
    snapshot.part_count = snapshot.counter_count = 1;
    snapshot.fact_count = 4;
    CHECK(&run, "out did not deliver 1,050 records; the last of its 2 failed calls: connection refused. The bottleneck "
                "is lane 0");
    lacks(&run, "ask"); /* whose calls went well when they were tried again */
    run.report.verdict.kind = VERDICT_NOTHING_DELIVERED;
    run.counters[1] = (struct pipeline_counter_view){.part = "ask", .what = "call failed", .field = "", .number = 1};
    snapshot.counter_count = 2;
    CHECK(&run, "connection refused. ask had no answer for 1 record; the last of its 1 failed call: no answer.");
    lacks(&run, "bottleneck");
    lacks(&run, "sources");
    run.facts[2].value = 0;
    CHECK(&run, "ask had no answer for 1 record: no answer.");
    snapshot.counter_count = 0;
    CHECK(&run, "Why each record was refused or dropped is counted by part and reason.");
}

static void test_batches(void **state)
{
    (void)state;
    struct run run;
    start(&run);
    histogram_record(&snapshot.latency, 2 * MILLISECOND, 1000000);
    CHECK(&run,
          "A batch had 1,000 records on average (batch: auto, linger: 5.00 ms): its first waited up to 250 µs for "
          "the others, little of the latency.");
    start(&run);
    histogram_record(&snapshot.latency, 300000, 1000000);
    run.report.batch = 1000;
    CHECK(&run,
          "(batch: 1000, linger: 5.00 ms): its first waited up to 250 µs for the others, 42 % of the mean latency");
    run.report.linger = 100000;
    CHECK(&run, "its first waited up to 100 µs for the others, 17 % of the mean latency");
    run.edges[0].batches = 1000000;
    CHECK(&run, "A batch had 1 record on average", "nobody waited for one to fill.");
    run.edges[0].batches = 990000;
    CHECK(&run, "A batch had 1.01 records on average");
    run.edges[0].batches = 1500000; /* most of them empty */
    lacks(&run, "A batch had");
}

static void test_goals(void **state)
{
    (void)state;
    struct run run;
    start(&run);
    run.goals[0] = (struct goal){"latency_p99", 0.2, 0.64, false, true, false};
    run.goals[1] = (struct goal){"rate", 5000, 3850, true, true, false};
    run.report.goal_count = 2;
    CHECK(&run, "The goal latency_p99 was missed: 640 ms instead of 200 ms, 3.2 times as long.",
          "The goal rate was missed by 23 %: 3,850/s instead of 5,000/s.");
    run.report.verdict.kind = VERDICT_FULL_SPEED;
    run.goals[1].measured = false;
    CHECK(&run, "which a smaller queue shortens.", "The goal rate was missed: there was nothing to measure it by.");
    run.goals[0].met = run.goals[1].met = true;
    struct weir_buffer out = {0};
    advice_text(&run.report, &out);
    assert_null(memmem(out.data, out.size, "goal", 4));
    buffer_free(&out);
}

/* Simulated: where time went is not known. No record: nothing to say. */
static void test_little_known(void **state)
{
    (void)state;
    struct run run;
    start(&run);
    run.report.attribution = NULL;
    CHECK(&run, "Nothing held the run back but its sources.");
    run.edges[1].blocked_ns = 200 * MILLISECOND;
    CHECK(&run, "The bottleneck is store: what leads there was full 80 % of the time.");
    snapshot.records_in = 0;
    struct weir_buffer out = {0};
    advice_text(&run.report, &out);
    assert_int_equal(out.size, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bottleneck),
        cmocka_unit_test(test_lanes),
        cmocka_unit_test(test_nothing_held_it_back),
        cmocka_unit_test(test_losses),
        cmocka_unit_test(test_batches),
        cmocka_unit_test(test_goals),
        cmocka_unit_test(test_little_known),
        cmocka_unit_test(test_falling_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
