/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/histogram.h"
#include "base/memory.h"
#include "serve/metrics.h"

static struct pipeline_snapshot *snapshot;
static struct pipeline_source_view source = {.name = "in", .records_read = 1000, .lag_ns = 1500000000};
static const struct weir_part stage_part = {.kind = WEIR_STAGE, .name = "filter"};
static struct pipeline_part_view part = {.name = "odd \"name\"\\", .part = &stage_part, .busy_ns = 2500000000};
static struct pipeline_thread_view thread = {.name = "lane 0"};
static struct pipeline_edge_view edge = {.from = "in", .to = "lanes", .bytes_limit = 65536};
static struct pipeline_counter_view counters[300];
static struct pipeline_fact_view facts[] = {{.part = "antenna", .name = "heaps_shed", .value = 7},
                                            {.part = "antenna", .name = "in words", .text = "a text"}};

static int set_up(void **state)
{
    (void)state;
    snapshot = memory_zeroed(1, sizeof *snapshot);
    snapshot->sources = &source;
    snapshot->parts = &part;
    snapshot->threads = &thread;
    snapshot->edges = &edge;
    snapshot->counters = counters;
    snapshot->facts = facts;
    snapshot->fact_count = 2;
    snapshot->source_count = snapshot->part_count = snapshot->thread_count = snapshot->edge_count = 1;
    snapshot->records_stored = 990;
    snapshot->records_dropped = 10;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    memory_free(snapshot);
    return 0;
}

static char *page(struct weir_buffer *out)
{
    const struct goal goals[] = {{.name = "latency_p99", .wanted = 0.2, .got = 0.3, .measured = true},
                                 {.name = "max_lag", .wanted = 5}};
    const struct metrics_view view = {
        .snapshot = snapshot, .verdict = {.kind = VERDICT_SATURATED}, .goals = goals, .goal_count = 2, .ready = true};
    out->size = 0;
    metrics_text(&view, out);
    buffer_append(out, "", 1);
    assert_false(out->failed);
    return out->data;
}

static void has_line(const char *text, const char *line)
{
    char whole[512];
    snprintf(whole, sizeof whole, "\n%s\n", line);
    if (!strstr(text, whole))
        fail_msg("no line %s in\n%s", line, text);
}

static void test_values_and_labels(void **state)
{
    struct weir_buffer out = {0};
    (void)state;
    const char *text = page(&out);
    has_line(text, "weir_source_records_read_total{source=\"in\"} 1000");
    has_line(text, "weir_source_lag_seconds{source=\"in\"} 1.5");
    has_line(text, "weir_records_settled_total{outcome=\"stored\"} 990");
    has_line(text, "weir_records_settled_total{outcome=\"dropped\"} 10");
    has_line(text, "weir_part_busy_seconds_total{part=\"odd \\\"name\\\"\\\\\",kind=\"stage\",type=\"filter\"} 2.5");
    has_line(text, "weir_part_fact{part=\"antenna\",fact=\"heaps_shed\",unit=\"\"} 7");
    assert_null(strstr(text, "in words"));
    has_line(text, "weir_queue_limit_bytes{from=\"in\",to=\"lanes\"} 65536");
    has_line(text, "weir_verdict{verdict=\"saturated\"} 1");
    has_line(text, "weir_verdict{verdict=\"keeping up\"} 0");
    has_line(text, "weir_goal_met{goal=\"latency_p99\"} 0");
    has_line(text, "weir_goal_got{goal=\"latency_p99\"} 0.3");
    has_line(text, "weir_goal_wanted{goal=\"max_lag\"} 5"); /* which there was nothing to measure by */
    assert_null(strstr(text, "weir_goal_met{goal=\"max_lag\"}"));
    assert_null(strstr(text, "weir_goal_got{goal=\"max_lag\"}"));
    has_line(text, "weir_ready 1");
    buffer_free(&out);
}

/* Whatever was recorded: cumulative, monotonic, and true at each bound but for what a bucket of ours is wide. */
static void test_histogram_is_cumulative(void **state)
{
    enum { VALUES = 20000 };
    struct weir_buffer out = {0};
    double bound = 0;
    unsigned long long count = 0, last = 0;
    (void)state;
    for (int i = 0; i < VALUES; i++)
        histogram_record(&snapshot->latency, (int64_t)i * 1000000, 1); /* 0 … 20 s, evenly */
    const char *at = page(&out);
    int lines = 0;
    while ((at = strstr(at, "\nweir_latency_seconds_bucket{le=\""))) {
        at += strlen("\nweir_latency_seconds_bucket{le=\"");
        if (sscanf(at, "%lf\"} %llu", &bound, &count) != 2 || bound > 1e300)
            break;
        double right = bound >= 20 ? VALUES : bound * 1000 + 1;
        assert_true((double)count <= right + 1e-6 && (double)count >= right * 0.99 - 1);
        assert_true(count >= last);
        last = count;
        lines++;
    }
    assert_true(lines == 25);
    has_line(out.data, "weir_latency_seconds_bucket{le=\"+Inf\"} 20000");
    has_line(out.data, "weir_latency_seconds_count 20000");
    has_line(out.data, "weir_latency_seconds_sum 199990");
    buffer_free(&out);
}

static void test_reasons_are_bounded(void **state)
{
    static char names[300][16];
    struct weir_buffer out = {0};
    (void)state;
    for (uint32_t i = 0; i < 300; i++) {
        snprintf(names[i], sizeof names[i], "%u", (unsigned)i);
        counters[i] = (struct pipeline_counter_view){
            .part = "in", .what = i < 150 ? "type mismatch" : names[i], .field = names[i], .number = 1};
    }
    snapshot->counter_count = 300;
    const char *text = page(&out);
    has_line(text, "weir_events_total{part=\"in\",reason=\"type mismatch\"} 150"); /* not one for each field */
    has_line(text, "weir_events_total{part=\"\",reason=\"other\"} 51");
    int samples = 0;
    for (const char *at = text; (at = strstr(at, "\nweir_events_total{")); at++)
        samples++;
    assert_int_equal(samples, METRICS_REASONS_MAX + 1);
    buffer_free(&out);
}

/* docs/metrics.md holds the table as it is: weir explain metrics --markdown. */
static void test_documentation_is_the_table(void **state)
{
    struct weir_buffer table = {0};
    char *page_text = memory_zeroed(1, 65536);
    FILE *file = fopen("docs/metrics.md", "re");
    (void)state;
    assert_non_null(file);
    assert_true(fread(page_text, 1, 65535, file) > 0);
    fclose(file);
    metrics_describe(true, &table);
    buffer_append(&table, "", 1);
    if (!strstr(page_text, table.data))
        fail_msg("docs/metrics.md is not what weir explain metrics --markdown says");
    memory_free(page_text);
    buffer_free(&table);
}

static void test_memory_runs_out(void **state)
{
    (void)state;
    for (uint64_t nth = 1; nth < 1000; nth++) {
        struct weir_buffer out = {0};
        const struct metrics_view view = {.snapshot = snapshot};
        memory_fail_nth(nth, true);
        metrics_text(&view, &out);
        memory_fail_nth(0, false);
        bool failed = out.failed;
        buffer_free(&out);
        if (!failed)
            return;
    }
    fail();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_values_and_labels, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_histogram_is_cumulative, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_reasons_are_bounded, set_up, tear_down),
        cmocka_unit_test(test_documentation_is_the_table),
        cmocka_unit_test_setup_teardown(test_memory_runs_out, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
