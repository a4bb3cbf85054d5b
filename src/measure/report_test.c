/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/memory.h"
#include "flow/pipeline.h"
#include "measure/attribution.h"
#include "measure/report.h"
#include "measure/text.h"

static const struct weir_part csv = {.kind = WEIR_SOURCE, .name = "file"};
static const struct weir_part rolling = {.kind = WEIR_STAGE, .name = "rolling"};
static const struct weir_part sqlite = {.kind = WEIR_SINK, .name = "sqlite"};

static struct pipeline_part_view parts[] = {
    {"machine", &csv, 3, 0, 22695, 1000000},
    {"rolling", &rolling, 3, 22695, 22690, 3000000},
    {"store \"x\"", &sqlite, 3, 22690, 0, 6000000},
};
static struct pipeline_source_view sources[] = {{"machine", 22695, 0, true, true, 0, false}};
static struct pipeline_edge_view edges[] = {
    {"machine", "rolling", 0, 1 << 20, 1000, 9, 0, 0, false},
    {"rolling", "store", 0, 1 << 20, 1 << 20, 9, 7, CLOCK_SECOND, false},
};
static struct pipeline_thread_view threads[] = {{"lane 0", CLOCK_SECOND}};
static struct pipeline_counter_view counters[] = {{"machine", "type mismatch", "value", 12}, {"store", "late", "", 1}};
static struct pipeline_snapshot snapshot; /* large: histograms */

static struct report start(void)
{
    memset(&snapshot, 0, sizeof snapshot);
    histogram_init(&snapshot.latency);
    histogram_init(&snapshot.late_by);
    histogram_init(&snapshot.fetch);
    histogram_init(&snapshot.wait);
    snapshot.now = snapshot.started = CLOCK_SECOND;
    return (struct report){.configuration = "a.yaml", .snapshot = &snapshot, .lanes = 2, .peak_memory = 1 << 20};
}

static struct report full(struct goal goals[2])
{
    struct report report = start();
    snapshot.now = 3 * CLOCK_SECOND;
    snapshot.records_in = 22695;
    snapshot.records_stored = 22690;
    snapshot.records_filtered = 5;
    snapshot.records_out = 22690;
    snapshot.memory_limit = 256 << 20;
    histogram_record(&snapshot.latency, 2 * CLOCK_MILLISECOND, 22690);
    snapshot.parts = parts;
    snapshot.part_count = 3;
    snapshot.sources = sources;
    snapshot.source_count = 1;
    snapshot.edges = edges;
    snapshot.edge_count = 2;
    snapshot.threads = threads;
    snapshot.thread_count = 1;
    snapshot.counters = counters;
    snapshot.counter_count = 2;
    goals[0] = (struct goal){"latency_p99", 0.2, 0.002, false, true, true};
    goals[1] = (struct goal){"rate", 50000, 11347.5, true, true, false};
    report.goals = goals;
    report.goal_count = 2;
    report.verdict.kind = VERDICT_FULL_SPEED;
    report.verdict.busiest = 0.97;
    return report;
}

static void expect(struct weir_buffer *buffer, const char *piece)
{
    buffer_append(buffer, "", 1);
    assert_false(buffer->failed);
    if (!strstr(buffer->data, piece)) {
        fail_msg("no \"%s\" in:\n%s", piece, buffer->data);
    }
    buffer->size--;
}

static void counts(void **state)
{
    (void)state;
    char text[32];
    assert_string_equal(text_count(0, text, sizeof text), "0");
    assert_string_equal(text_count(999, text, sizeof text), "999");
    assert_string_equal(text_count(1000, text, sizeof text), "1,000");
    assert_string_equal(text_count(22695, text, sizeof text), "22,695");
    assert_string_equal(text_count(UINT64_MAX, text, sizeof text), "18,446,744,073,709,551,615");
    assert_string_equal(text_count(1234567, text, 4), "1,2");
    assert_string_equal(text_rate(0, text, sizeof text), "0");
    assert_string_equal(text_rate(1666.7, text, sizeof text), "1,667");
    assert_string_equal(text_rate(12.3e6, text, sizeof text), "12.3 M");
    assert_int_equal(text_columns("µs │"), 4);
}

static void text_of_a_run(void **state)
{
    (void)state;
    struct goal goals[2];
    struct report report = full(goals);
    struct weir_buffer out = {0};
    report_text(&report, &out);
    expect(&out, "a.yaml: done after 2.00 s, 2 lanes\n");
    expect(&out, "read 22,695 = stored 22,690 + refused 0 + filtered 5 + dropped 0\n");
    expect(&out, "11,348 records/s in");
    expect(&out, "           mean       p50        p90        p99        p99.9      max\nlatency    2.00 ms");
    expect(&out, "read as fast\n           as it goes\n");
    expect(&out, "part       kind    records in  records out  per record  of the work\n");
    expect(&out, "rolling    stage       22,695       22,690      132 ns         30 %\n");
    expect(&out, "store \"x\"  sink        22,690            -      264 ns         60 %\n");
    expect(&out, "dropped    7 records before store: its queue of 1.00 MiB was full\n");
    expect(&out, "counted    12  machine: type mismatch (value)\n           1  store: late\n");
    expect(&out, "goals      met     latency_p99: wanted at most 200 ms, got 2.00 ms\n");
    expect(&out, "           MISSED  rate: wanted at least 50,000/s, got 11,348/s\n");
    expect(&out, "verdict    full speed");
    expect(&out, "held back by store: what leads there was full 50 % of the time\n");
    assert_null(strstr(out.data, "late by"));
    assert_null(strstr(out.data, "in flight"));
    buffer_free(&out);
}

/* What the table says of the work is what the advice says of it: all of it, that of no part too. */
static void shares_of_the_work(void **state)
{
    (void)state;
    struct goal goals[2];
    struct report report = full(goals);
    struct attribution_row rows[] = {
        {.name = "engine", .own_seconds = 0.2},
        {.name = "rolling", .type = "rolling", .own_seconds = 0.5},
        {.name = "store \"x\"", .type = "file", .work = WORK_ENCODE, .own_seconds = 0.1},
        {.name = "store \"x\"", .type = "file", .work = WORK_WRITE, .own_seconds = 0.2},
    };
    const struct attribution attribution = {.records = 22695, .critical = -1, .rows = rows, .row_count = 4};
    struct weir_buffer out = {0};
    report.attribution = &attribution;
    report_text(&report, &out);
    expect(&out, "rolling    stage       22,695       22,690     22.0 µs         50 %\n");
    expect(&out, "store \"x\"  sink        22,690            -     13.2 µs         30 %\n");
    expect(&out, "engine                                         8.81 µs         20 %\n");
    buffer_free(&out);
}

static void json_of_a_run(void **state)
{
    (void)state;
    struct goal goals[2];
    struct report report = full(goals);
    struct weir_buffer out = {0};
    report_json(&report, &out);
    expect(&out, "{\"configuration\": \"a.yaml\", \"failure\": null, ");
    expect(&out, "\"records_in\": 22695, ");
    expect(&out, "\"seconds\": 2, \"records_per_second\": 11347.5, \"latency_seconds\": {\"count\": 22690, \"mean\": ");
    expect(&out, "\"late_by_seconds\": {\"count\": 0, \"mean\": null");
    expect(&out, "\"verdict\": \"full speed\", \"verdict_detail\": {\"sentence\": ");
    expect(&out, "\"held_back_by\": \"store\"");
    expect(&out, "\"goals\": [{\"name\": \"latency_p99\", \"wanted\": 0.2, \"got\": 0.002, \"met\": true}, {");
    expect(&out, "{\"part\": \"store\", \"what\": \"late\", \"field\": null, \"number\": 1}");
    expect(&out, "\"name\": \"store \\\"x\\\"\", \"kind\": \"sink\", \"type\": \"sqlite\"");
    assert_int_equal(out.data[out.size - 1], '\n');
    assert_null(memchr(out.data, '\n', out.size - 1));
    buffer_free(&out);
}

static void a_stage_that_holds_back(void **state)
{
    (void)state;
    struct goal goals[2];
    struct report report = full(goals);
    double share = 0;
    edges[0].blocked_ns = 19 * CLOCK_SECOND / 10;
    assert_string_equal(report_bottleneck(&report, &share), "rolling");
    assert_true(share == 0.95);
    report.simulated = true;
    assert_string_equal(report_bottleneck(&report, &share), "the stages");
    edges[0].blocked_ns = 0;
    assert_string_equal(report_bottleneck(&report, &share), "store");
    snapshot.edge_count = 1;
    assert_null(report_bottleneck(&report, &share));
}

static void an_empty_run(void **state)
{
    (void)state;
    struct report report = start();
    struct weir_buffer out = {0};
    report_text(&report, &out);
    expect(&out, "read 0 = stored 0 + refused 0 + filtered 0 + dropped 0\n");
    expect(&out, "no records came in\n");
    assert_null(strstr(out.data, "nan"));
    out.size = 0;
    report_json(&report, &out);
    expect(&out, "\"records_per_second\": 0, ");
    expect(&out, "\"verdict\": \"no data yet\"");
    expect(&out, "\"parts\": [], \"facts\": [], \"counters\": [], \"edges\": [], \"sources\": [], \"threads\": []}\n");
    buffer_free(&out);
}

static void what_does_not_add_up_is_said(void **state)
{
    (void)state;
    struct report report = start();
    struct weir_buffer out = {0};
    snapshot.records_in = 10;
    snapshot.records_stored = 7;
    snapshot.unaccounted = 3;
    report_text(&report, &out);
    expect(&out, "+ in flight 3\n");
    expect(&out, "3 receipts did not add up");
    buffer_free(&out);
}

static void out_of_memory(void **state)
{
    (void)state;
    struct goal goals[2];
    struct report report = full(goals);
    for (uint64_t nth = 1;; nth++) {
        struct weir_buffer out = {0};
        memory_fail_nth(nth, true);
        report_text(&report, &out);
        report_json(&report, &out);
        memory_fail_nth(0, false);
        bool failed = out.failed;
        buffer_free(&out);
        if (!failed) {
            assert_true(nth > 1);
            break;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts),
        cmocka_unit_test(text_of_a_run),
        cmocka_unit_test(shares_of_the_work),
        cmocka_unit_test(json_of_a_run),
        cmocka_unit_test(a_stage_that_holds_back),
        cmocka_unit_test(an_empty_run),
        cmocka_unit_test(what_does_not_add_up_is_said),
        cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
