/* SPDX-License-Identifier: MIT */
#include "measure/compare.h"

#include <math.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/units.h"
#include "flow/pipeline.h"
#include "measure/text.h"

#define TOLD_APART ((double)CLOCK_MICROSECOND)
static const double ABOUT_THE_SAME = 1.05; /* a ratio below it (and above its inverse) is told as none */

static double at_least(double value, double least)
{
    return value > least ? value : least;
}

/* ---- The work ---------------------------------------------------------------------------------------------------- */

bool compare_same_work(const struct compare *compare, char words[COMPARE_WORDS])
{
    const struct pipeline_snapshot *before = compare->sequential.snapshot, *after = compare->concurrent.snapshot;
    const uint64_t failed[] = {compare->sequential.failed, compare->concurrent.failed};
    const struct {
        const char *what;
        uint64_t before, after;
        bool same;
    } checks[] = {
        {"reads or calls failed", failed[0], failed[1], !failed[0] && !failed[1]},
        {"records were read", before->records_in, after->records_in, before->records_in == after->records_in},
        {"records were refused", before->records_refused, after->records_refused,
         before->records_refused == after->records_refused},
        {"records were dropped", before->records_dropped, after->records_dropped,
         before->records_dropped == after->records_dropped},
    };
    if (!before->records_in || !after->records_in) {
        int length = snprintf(words, COMPARE_WORDS, "nothing was compared: no record was read %s",
                              before->records_in  ? "concurrently"
                              : after->records_in ? "sequentially"
                                                  : "in either run");
        if (failed[0] || failed[1])
            snprintf(words + length, COMPARE_WORDS - (size_t)length, ", since %llu and %llu reads or calls failed%s",
                     (unsigned long long)failed[0], (unsigned long long)failed[1],
                     compare->simulated ? ""
                                        : "; start what the pipeline reads, or have it in memory with --simulated");
        return false;
    }
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
        if (checks[i].same)
            continue;
        snprintf(words, COMPARE_WORDS,
                 "the two runs did not do the same work, so their times are no ratio: %llu %s sequentially, %llu "
                 "concurrently",
                 (unsigned long long)checks[i].before, checks[i].what, (unsigned long long)checks[i].after);
        return false;
    }
    return true;
}

double compare_speedup(const struct compare *compare)
{
    return at_least((double)compare->sequential.duration, TOLD_APART) /
           at_least((double)compare->concurrent.duration, TOLD_APART);
}

double compare_wait_ratio(const struct compare *compare)
{
    const struct histogram *before = &compare->sequential.snapshot->wait, *after = &compare->concurrent.snapshot->wait;
    if (!before->count || !after->count)
        return 0;
    return at_least(histogram_mean(before), TOLD_APART) / at_least(histogram_mean(after), TOLD_APART);
}

/* ---- Text -------------------------------------------------------------------------------------------------------- */

/* 59,500 rather than 5.95e+04: three digits that count. */
static const char *show_ratio(double ratio, char *text, size_t size)
{
    if (ratio < 1000 || ratio > 1e15)
        snprintf(text, size, "%.3g", ratio);
    else {
        double unit = 1;
        while (ratio / unit >= 1000)
            unit *= 10;
        text_count((uint64_t)(round(ratio / unit) * unit), text, size);
    }
    return text;
}

static void put_duration(struct weir_buffer *out, double ns)
{
    char text[32];
    buffer_format(out, "  %14s", units_show_duration((int64_t)ns, text, sizeof text));
}

static void put_pair(struct weir_buffer *out, bool same, const char *label, double before, double after)
{
    buffer_format(out, "  %-22s", label);
    put_duration(out, before);
    put_duration(out, after);
    char text[32];
    if (same && after > 0 && before > 0)
        buffer_format(out, "  %10s x", show_ratio(before / after, text, sizeof text));
    buffer_string(out, "\n");
}

static void put_histograms(struct weir_buffer *out, bool same, const char *name, const struct histogram *before,
                           const struct histogram *after)
{
    static const struct {
        const char *name;
        double quantile;
    } rows[] = {{"best", 0}, {"p50", 0.5}, {"p99", 0.99}};
    char label[40];
    if (!before->count || !after->count)
        return;
    snprintf(label, sizeof label, "%s, mean", name);
    put_pair(out, same, label, histogram_mean(before), histogram_mean(after));
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        snprintf(label, sizeof label, "  %s", rows[i].name);
        put_pair(out, same, label, (double)(i ? histogram_quantile(before, rows[i].quantile) : before->least),
                 (double)(i ? histogram_quantile(after, rows[i].quantile) : after->least));
    }
}

/* What parts said about themselves, where it is a number in both runs. */
static void put_facts(struct weir_buffer *out, const struct compare *compare)
{
    const struct pipeline_snapshot *before = compare->sequential.snapshot, *after = compare->concurrent.snapshot;
    for (uint32_t i = 0; i < before->fact_count && i < after->fact_count; i++) {
        const struct pipeline_fact_view *a = &before->facts[i], *b = &after->facts[i];
        char label[96], value[2][48];
        if (a->text || b->text || strcmp(a->name, b->name) != 0 || a->value == b->value)
            continue;
        snprintf(label, sizeof label, "%s: %s", a->part, a->name);
        snprintf(value[0], sizeof value[0], "%.4g %s", a->value, a->unit);
        snprintf(value[1], sizeof value[1], "%.4g %s", b->value, b->unit);
        buffer_format(out, "  %-22s  %14s  %14s\n", label, value[0], value[1]);
    }
}

static void put_count(struct weir_buffer *out, const char *label, uint64_t before, uint64_t after)
{
    char text[32];
    buffer_format(out, "  %-22s  %14s", label, text_count(before, text, sizeof text));
    buffer_format(out, "  %14s\n", text_count(after, text, sizeof text));
}

static void put_counts(struct weir_buffer *out, const struct compare *compare)
{
    const struct pipeline_snapshot *before = compare->sequential.snapshot, *after = compare->concurrent.snapshot;
    const uint64_t failed[] = {compare->sequential.failed, compare->concurrent.failed};
    put_count(out, "records", before->records_in, after->records_in);
    if (failed[0] || failed[1])
        put_count(out, "failed", failed[0], failed[1]);
    if (before->records_refused || after->records_refused)
        put_count(out, "refused", before->records_refused, after->records_refused);
    if (before->records_dropped || after->records_dropped)
        put_count(out, "dropped", before->records_dropped, after->records_dropped);
}

static int direction(double ratio)
{
    return ratio >= ABOUT_THE_SAME ? 1 : ratio <= 1 / ABOUT_THE_SAME ? -1 : 0;
}

/* ", and a record waits 60 times less". */
static void put_wait_words(struct weir_buffer *out, const struct compare *compare)
{
    char text[32];
    double ratio = compare_wait_ratio(compare);
    int time = direction(compare_speedup(compare)), wait = direction(ratio);
    if (ratio <= 0)
        return;
    buffer_string(out, time == wait ? ", and" : ", but");
    if (wait > 0 && histogram_mean(&compare->concurrent.snapshot->wait) < TOLD_APART)
        buffer_string(out, " no record waits any more");
    else if (wait != 0)
        buffer_format(out, " a record waits %s times %s", show_ratio(wait > 0 ? ratio : 1 / ratio, text, sizeof text),
                      wait > 0 ? "less" : "longer");
    else
        buffer_string(out, " a record waits as long as before");
}

/* What it comes to, in a sentence. */
static void put_words(struct weir_buffer *out, const struct compare *compare)
{
    char text[32], words[COMPARE_WORDS];
    double speedup = compare_speedup(compare);
    if (!compare_same_work(compare, words)) {
        buffer_format(out, "\n%c%s.\n", words[0] - 'a' + 'A', words + 1);
        return;
    }
    buffer_string(out, "\nwait: produced until the consumer has it; latency: produced until done.\n");
    if ((double)compare->sequential.duration < TOLD_APART && (double)compare->concurrent.duration < TOLD_APART) {
        buffer_string(out, "Neither takes any time: nothing in this work waits, and the clock is simulated.\n");
        return;
    }
    buffer_format(out, "One thing after the other takes %s; at the same time it is ",
                  units_show_duration(compare->sequential.duration, text, sizeof text));
    if (direction(speedup) == 0)
        buffer_string(out, "no faster");
    else
        buffer_format(out, "%s times %s", show_ratio(speedup > 1 ? speedup : 1 / speedup, text, sizeof text),
                      speedup > 1 ? "faster" : "slower");
    put_wait_words(out, compare);
    buffer_string(out, ".\n");
}

void compare_text(const struct compare *compare, struct weir_buffer *out)
{
    const struct pipeline_snapshot *before = compare->sequential.snapshot, *after = compare->concurrent.snapshot;
    char words[COMPARE_WORDS];
    bool same = compare_same_work(compare, words);
    buffer_format(out, "%s: %s%s\n\n", compare->configuration,
                  same ? "the same work twice" : "two runs, but not of the same work",
                  compare->simulated ? " (simulated clock)" : "");
    buffer_format(out, "  %-22s  %14s  %14s\n", "", "sequential", "concurrent");
    put_counts(out, compare);
    put_pair(out, same, "total", (double)compare->sequential.duration, (double)compare->concurrent.duration);
    put_histograms(out, same, "wait", &before->wait, &after->wait);
    put_histograms(out, same, "latency", &before->latency, &after->latency);
    put_facts(out, compare);
    put_words(out, compare);
}

/* ---- JSON -------------------------------------------------------------------------------------------------------- */

static void put_json_histogram(struct weir_buffer *out, const char *name, const struct histogram *histogram)
{
    buffer_format(out, ", \"%s\": {\"count\": %llu", name, (unsigned long long)histogram->count);
    if (!histogram->count) {
        buffer_string(out, ", \"mean\": null, \"best\": null, \"p50\": null, \"p99\": null, \"max\": null}");
        return;
    }
    buffer_format(out, ", \"mean\": %.9g, \"best\": %.9g, \"p50\": %.9g, \"p99\": %.9g, \"max\": %.9g}",
                  histogram_mean(histogram) / 1e9, (double)histogram->least / 1e9,
                  (double)histogram_quantile(histogram, 0.5) / 1e9, (double)histogram_quantile(histogram, 0.99) / 1e9,
                  (double)histogram->most / 1e9);
}

static void put_json_side(struct weir_buffer *out, const char *name, const struct compare_side *side)
{
    const struct pipeline_snapshot *snapshot = side->snapshot;
    bool first = true;
    buffer_format(out,
                  "\"%s\": {\"seconds\": %.9g, \"records\": %llu, \"failed\": %llu, \"refused\": %llu, "
                  "\"dropped\": %llu",
                  name, (double)side->duration / 1e9, (unsigned long long)snapshot->records_in,
                  (unsigned long long)side->failed, (unsigned long long)snapshot->records_refused,
                  (unsigned long long)snapshot->records_dropped);
    put_json_histogram(out, "wait_seconds", &snapshot->wait);
    put_json_histogram(out, "latency_seconds", &snapshot->latency);
    buffer_string(out, ", \"facts\": [");
    for (uint32_t i = 0; i < snapshot->fact_count; i++) {
        const struct pipeline_fact_view *fact = &snapshot->facts[i];
        if (fact->text)
            continue;
        buffer_format(out, "%s{\"part\": ", first ? "" : ", ");
        buffer_json_string(out, fact->part, strlen(fact->part));
        buffer_string(out, ", \"name\": ");
        buffer_json_string(out, fact->name, strlen(fact->name));
        buffer_format(out, ", \"value\": %.9g, \"unit\": ", fact->value);
        buffer_json_string(out, fact->unit, strlen(fact->unit));
        buffer_string(out, "}");
        first = false;
    }
    buffer_string(out, "]}");
}

void compare_json(const struct compare *compare, struct weir_buffer *out)
{
    buffer_string(out, "{\"configuration\": ");
    buffer_json_string(out, compare->configuration, strlen(compare->configuration));
    buffer_format(out, ", \"simulated\": %s, \"interrupted\": %s", compare->simulated ? "true" : "false",
                  compare->interrupted ? "true" : "false");
    if (compare->interrupted) {
        buffer_string(out, "}\n");
        return;
    }
    buffer_string(out, ", ");
    put_json_side(out, "sequential", &compare->sequential);
    buffer_string(out, ", ");
    put_json_side(out, "concurrent", &compare->concurrent);
    char words[COMPARE_WORDS];
    bool same = compare_same_work(compare, words);
    double ratio = compare_wait_ratio(compare);
    buffer_format(out, ", \"same_work\": %s", same ? "true" : "false");
    if (!same) {
        buffer_string(out, ", \"difference\": ");
        buffer_json_string(out, words, strlen(words));
    }
    if (same)
        buffer_format(out, ", \"speedup\": %.6g", compare_speedup(compare));
    else
        buffer_string(out, ", \"speedup\": null");
    if (same && ratio > 0)
        buffer_format(out, ", \"wait_ratio\": %.6g}\n", ratio);
    else
        buffer_string(out, ", \"wait_ratio\": null}\n");
}
