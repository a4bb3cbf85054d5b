/* SPDX-License-Identifier: MIT */
#include "measure/compare.h"

#include <math.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/units.h"
#include "flow/pipeline.h"
#include "measure/text.h"

static double at_least(double value, double least)
{
    return value > least ? value : least;
}

double compare_speedup(const struct compare *compare)
{
    if (compare->concurrent.duration <= 0)
        return 0;
    return (double)compare->sequential.duration / (double)compare->concurrent.duration;
}

double compare_wait_ratio(const struct compare *compare)
{
    const struct histogram *before = &compare->sequential.snapshot->wait, *after = &compare->concurrent.snapshot->wait;
    if (!before->count || !after->count)
        return 0;
    return at_least(histogram_mean(before), CLOCK_MICROSECOND) / at_least(histogram_mean(after), CLOCK_MICROSECOND);
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

static void put_pair(struct weir_buffer *out, const char *label, double before, double after)
{
    buffer_format(out, "  %-22s", label);
    put_duration(out, before);
    put_duration(out, after);
    char text[32];
    if (after > 0 && before > 0)
        buffer_format(out, "  %10s x", show_ratio(before / after, text, sizeof text));
    buffer_string(out, "\n");
}

static void put_histograms(struct weir_buffer *out, const char *name, const struct histogram *before,
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
    put_pair(out, label, histogram_mean(before), histogram_mean(after));
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        snprintf(label, sizeof label, "  %s", rows[i].name);
        put_pair(out, label, (double)(i ? histogram_quantile(before, rows[i].quantile) : before->least),
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

void compare_text(const struct compare *compare, struct weir_buffer *out)
{
    const struct pipeline_snapshot *before = compare->sequential.snapshot, *after = compare->concurrent.snapshot;
    char text[32];
    buffer_format(out, "%s: the same work twice%s\n\n", compare->configuration,
                  compare->simulated ? " (simulated clock)" : "");
    buffer_format(out, "  %-22s  %14s  %14s\n", "", "sequential", "concurrent");
    buffer_format(out, "  %-22s  %14s", "records", text_count(before->records_in, text, sizeof text));
    buffer_format(out, "  %14s\n", text_count(after->records_in, text, sizeof text));
    put_pair(out, "total", (double)compare->sequential.duration, (double)compare->concurrent.duration);
    put_histograms(out, "wait", &before->wait, &after->wait);
    put_histograms(out, "latency", &before->latency, &after->latency);
    put_facts(out, compare);
    buffer_format(out,
                  "\nwait: produced until the consumer has it; latency: produced until done.\n"
                  "One thing after the other takes %s; at the same time, %.3g times less",
                  units_show_duration(compare->sequential.duration, text, sizeof text), compare_speedup(compare));
    if (compare->concurrent.snapshot->wait.count &&
        histogram_mean(&compare->concurrent.snapshot->wait) < CLOCK_MICROSECOND)
        buffer_string(out, ", and no record waits any more");
    else if (compare_wait_ratio(compare) > 0)
        buffer_format(out, ", and a record waits %s times less",
                      show_ratio(compare_wait_ratio(compare), text, sizeof text));
    buffer_string(out, ".\n");
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
    buffer_format(out, "\"%s\": {\"seconds\": %.9g, \"records\": %llu", name, (double)side->duration / 1e9,
                  (unsigned long long)snapshot->records_in);
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
    buffer_format(out, ", \"simulated\": %s, ", compare->simulated ? "true" : "false");
    put_json_side(out, "sequential", &compare->sequential);
    buffer_string(out, ", ");
    put_json_side(out, "concurrent", &compare->concurrent);
    buffer_format(out, ", \"speedup\": %.6g", compare_speedup(compare));
    double ratio = compare_wait_ratio(compare);
    if (ratio > 0)
        buffer_format(out, ", \"wait_ratio\": %.6g}\n", ratio);
    else
        buffer_string(out, ", \"wait_ratio\": null}\n");
}

/* ---- Timeline ---------------------------------------------------------------------------------------------------- */

enum { LABEL_COLUMNS = 14, WIDTH_LEAST = 20, WIDTH_MOST = 400 };

/* How many things at a time a row had under way, on average, in each column. */
static double fill_cells(const struct compare_side *side, uint32_t row, int64_t scale, uint32_t width, double *cells)
{
    double each = (double)scale / width, most = 0;
    for (uint32_t i = 0; i < width; i++)
        cells[i] = 0;
    for (uint32_t i = 0; i < side->span_count; i++) {
        const struct compare_span *span = &side->spans[i];
        if (span->row != row)
            continue;
        uint32_t first = (uint32_t)((double)span->from / each), last = (uint32_t)((double)span->to / each);
        for (uint32_t cell = first; cell <= last && cell < width; cell++) {
            double from = at_least((double)span->from, cell * each), to = (cell + 1) * each;
            to = to < (double)span->to ? to : (double)span->to;
            cells[cell] += to > from ? (to - from) / each : 0;
        }
    }
    for (uint32_t i = 0; i < width; i++)
        most = at_least(cells[i], most);
    return most;
}

static void put_row(struct weir_buffer *out, const struct compare_side *side, uint32_t row, int64_t scale,
                    uint32_t width)
{
    static const char *const levels[] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    double cells[WIDTH_MOST], most = fill_cells(side, row, scale, width, cells), full = at_least(most, 1);
    buffer_format(out, "  %-*.*s |", LABEL_COLUMNS, LABEL_COLUMNS, side->rows[row].part);
    for (uint32_t i = 0; i < width; i++) {
        double level = cells[i] / full * 8;
        buffer_string(out, levels[cells[i] > 0 && level < 1 ? 1 : level > 8 ? 8 : (int)(level + 0.5)]);
    }
    buffer_format(out, "| %s%.3g at a time\n", most > 1.05 ? "up to " : "", most > 0.95 && most < 1 ? 1 : most);
}

static void put_side(struct weir_buffer *out, const char *name, const struct compare_side *side, int64_t scale,
                     uint32_t width)
{
    char text[32];
    buffer_format(out, "%s: %s\n", name, units_show_duration(side->duration, text, sizeof text));
    for (int consumers = 0; consumers < 2; consumers++)
        for (uint32_t row = 0; row < side->row_count; row++)
            if (side->rows[row].consumer == consumers)
                put_row(out, side, row, scale, width);
    if (side->spans_lost)
        buffer_format(out, "  (%llu more spans are not drawn)\n", (unsigned long long)side->spans_lost);
}

void compare_timeline(const struct compare *compare, uint32_t columns, struct weir_buffer *out)
{
    int64_t scale = compare->sequential.duration > compare->concurrent.duration ? compare->sequential.duration
                                                                                : compare->concurrent.duration;
    uint32_t taken = LABEL_COLUMNS + 4 + 22, width = columns > taken + WIDTH_LEAST ? columns - taken : WIDTH_LEAST;
    width = width > WIDTH_MOST ? WIDTH_MOST : width;
    char text[32];
    if (scale <= 0)
        return;
    put_side(out, "sequential", &compare->sequential, scale, width);
    put_side(out, "concurrent", &compare->concurrent, scale, width);
    buffer_format(out, "  %-*s |0%*s|\n", LABEL_COLUMNS, "", (int)width - 1,
                  units_show_duration(scale, text, sizeof text));
}
