/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/units.h"
#include "flow/pipeline.h"
#include "measure/advice.h"
#include "measure/attribution.h"
#include "measure/report.h"
#include "measure/text.h"

enum { LABEL_WIDTH = 11, QUANTILE_WIDTH = 11, TEXT_WIDTH = 79, TABLE_COLUMNS = 6, CELL = 64 };

const char *report_busiest(const struct report *report)
{
    uint32_t thread = report->verdict.busiest_thread;
    if (report->verdict.busiest <= 0 || thread >= report->snapshot->thread_count) {
        return NULL;
    }
    return report->snapshot->threads[thread].name;
}

const char *report_slowest_stage(const struct pipeline_snapshot *snapshot)
{
    const struct pipeline_part_view *slowest = NULL;
    for (uint32_t i = 0; i < snapshot->part_count; i++) {
        const struct pipeline_part_view *part = &snapshot->parts[i];
        if (part->part->kind == WEIR_STAGE && part->busy_ns > (slowest ? slowest->busy_ns : 0)) {
            slowest = part;
        }
    }
    return slowest ? slowest->name : NULL;
}

const char *report_bottleneck(const struct report *report, double *ret_share)
{
    const struct pipeline_snapshot *snapshot = report->snapshot;
    double elapsed = (double)(snapshot->now - snapshot->started), most = 0.05;
    const struct pipeline_edge_view *found = NULL;
    *ret_share = 0;
    for (uint32_t i = 0; i < snapshot->edge_count && elapsed > 0; i++) {
        double share = (double)snapshot->edges[i].blocked_ns / elapsed;
        if (share >= most) {
            most = share;
            found = &snapshot->edges[i];
            *ret_share = share < 1 ? share : 1;
        }
    }
    for (uint32_t i = 0; i < snapshot->source_count && found; i++) {
        if (strcmp(snapshot->sources[i].name, found->from) == 0) {
            const char *stage = report->simulated ? NULL : report_slowest_stage(snapshot);
            return stage ? stage : "the stages";
        }
    }
    return found ? found->to : NULL;
}

static void pad(struct weir_buffer *out, const char *text, size_t columns, bool right)
{
    size_t used = text_columns(text), fill = columns > used ? columns - used : 0;
    if (right) {
        buffer_format(out, "%*s%s", (int)fill, "", text);
    } else {
        buffer_format(out, "%s%*s", text, (int)fill, "");
    }
}

static void label(struct weir_buffer *out, const char *text)
{
    pad(out, text, LABEL_WIDTH, false);
}

/* ---- Totals ---------------------------------------------------------------------------------------------------- */

static void put_account(struct weir_buffer *out, const struct pipeline_snapshot *snapshot)
{
    char text[32];
    uint64_t settled = snapshot->records_stored + snapshot->records_refused + snapshot->records_filtered +
                       snapshot->records_dropped;
    label(out, "records");
    buffer_format(out, "read %s", text_count(snapshot->records_in, text, sizeof text));
    buffer_format(out, " = stored %s", text_count(snapshot->records_stored, text, sizeof text));
    buffer_format(out, " + refused %s", text_count(snapshot->records_refused, text, sizeof text));
    buffer_format(out, " + filtered %s", text_count(snapshot->records_filtered, text, sizeof text));
    buffer_format(out, " + dropped %s", text_count(snapshot->records_dropped, text, sizeof text));
    if (snapshot->records_in > settled) {
        buffer_format(out, " + in flight %s", text_count(snapshot->records_in - settled, text, sizeof text));
    }
    buffer_string(out, "\n");
    if (snapshot->unaccounted > 0) {
        label(out, "");
        buffer_format(out, "%s receipts did not add up: this is a mistake in weir, please report it\n",
                      text_count(snapshot->unaccounted, text, sizeof text));
    }
}

static void put_rates(struct weir_buffer *out, const struct pipeline_snapshot *snapshot)
{
    double seconds = (double)(snapshot->now - snapshot->started) / 1e9;
    char text[32];
    if (seconds <= 0) {
        return;
    }
    label(out, "rate");
    buffer_format(out, "%s records/s in", text_rate((double)snapshot->records_in / seconds, text, sizeof text));
    buffer_format(out, ", %s records/s out\n", text_rate((double)snapshot->records_out / seconds, text, sizeof text));
}

static void put_duration(struct weir_buffer *out, int64_t ns)
{
    char text[32];
    pad(out, units_show_duration(ns, text, sizeof text), QUANTILE_WIDTH, false);
}

static void put_histogram(struct weir_buffer *out, const char *name, const struct histogram *histogram)
{
    static const double quantiles[] = {0.5, 0.9, 0.99, 0.999};
    char text[32];
    if (histogram->count == 0) {
        return;
    }
    label(out, name);
    put_duration(out, (int64_t)histogram_mean(histogram));
    for (size_t i = 0; i < sizeof quantiles / sizeof *quantiles; i++) {
        put_duration(out, histogram_quantile(histogram, quantiles[i]));
    }
    buffer_format(out, "%s\n", units_show_duration(histogram->most, text, sizeof text));
}

static void put_histograms(struct weir_buffer *out, const struct pipeline_snapshot *snapshot)
{
    static const char *const heads[] = {"mean", "p50", "p90", "p99", "p99.9"};
    if (snapshot->latency.count + snapshot->late_by.count + snapshot->fetch.count == 0) {
        return;
    }
    label(out, "");
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        pad(out, heads[i], QUANTILE_WIDTH, false);
    }
    buffer_string(out, "max\n");
    put_histogram(out, "latency", &snapshot->latency);
    put_histogram(out, "late by", &snapshot->late_by);
    put_histogram(out, "fetch", &snapshot->fetch);
}

static void put_memory(struct weir_buffer *out, const struct report *report)
{
    char peak[32], used[32], limit[32];
    label(out, "memory");
    buffer_format(out, "peak %s resident, %s of the %s that the run may use\n",
                  units_show_bytes(report->peak_memory, peak, sizeof peak),
                  units_show_bytes(report->snapshot->memory_peak, used, sizeof used),
                  units_show_bytes(report->snapshot->memory_limit, limit, sizeof limit));
}

/* ---- Parts ----------------------------------------------------------------------------------------------------- */

struct row {
    char cells[TABLE_COLUMNS][CELL];
};

static void put_row(struct weir_buffer *out, const struct row *row, const size_t widths[TABLE_COLUMNS])
{
    for (int column = 0; column < TABLE_COLUMNS; column++) {
        bool right = column >= 2;
        bool last = column == TABLE_COLUMNS - 1;
        pad(out, row->cells[column], last && !right ? 0 : widths[column], right);
        buffer_string(out, last ? "\n" : "  ");
    }
}

/* The work of a part, s: as `weir profile` and the advice count it, with all that its threads did for it; where that is
 * not known, the time in its functions. 0 in a simulation, where processor time means nothing. */
static double work_of(const struct report *report, const struct pipeline_part_view *part)
{
    const struct attribution *made = report->attribution;
    double work = 0;
    if (!made)
        return report->simulated ? 0 : (double)part->busy_ns * 1e-9;
    for (uint32_t i = 0; i < made->row_count; i++) {
        const struct attribution_row *row = &made->rows[i];
        if (row->type[0] && row->work != WORK_OBSERVE && strncmp(row->name, part->name, sizeof row->name - 1) == 0)
            work += row->own_seconds;
    }
    return work;
}

/* The work that is of no part. */
static double work_of_none(const struct report *report)
{
    const struct attribution *made = report->attribution;
    double work = 0;
    for (uint32_t i = 0; made && i < made->row_count; i++)
        work += made->rows[i].type[0] ? 0 : made->rows[i].own_seconds;
    return work;
}

static void fill_work(struct row *row, double work, double all, uint64_t records)
{
    double each = records > 0 ? work * 1e9 / (double)records : 0;
    snprintf(row->cells[4], CELL, "-");
    snprintf(row->cells[5], CELL, "-");
    if (all <= 0)
        return;
    if (records > 0 && each < 99.95)
        snprintf(row->cells[4], CELL, "%.1f ns", each);
    else if (records > 0)
        units_show_duration((int64_t)each, row->cells[4], CELL);
    snprintf(row->cells[5], CELL, "%.0f %%", work / all * 100);
}

static struct row row_of(const struct report *report, const struct pipeline_part_view *part, double all)
{
    static const char *const kinds[] = {[WEIR_SOURCE] = "source", [WEIR_STAGE] = "stage", [WEIR_SINK] = "sink"};
    struct row row;
    enum weir_kind kind = part->part->kind;
    uint64_t records = kind == WEIR_SOURCE ? part->records_out : part->records_in;
    snprintf(row.cells[0], CELL, "%s", part->name);
    snprintf(row.cells[1], CELL, "%s", kinds[kind]);
    snprintf(row.cells[2], CELL, "-");
    snprintf(row.cells[3], CELL, "-");
    if (kind != WEIR_SOURCE) {
        text_count(part->records_in, row.cells[2], CELL);
    }
    if (kind != WEIR_SINK) {
        text_count(part->records_out, row.cells[3], CELL);
    }
    fill_work(&row, work_of(report, part), all, records);
    return row;
}

static void put_parts(struct weir_buffer *out, const struct report *report)
{
    const struct pipeline_snapshot *snapshot = report->snapshot;
    static const struct row head = {{"part", "kind", "records in", "records out", "per record", "of the work"}};
    size_t widths[TABLE_COLUMNS];
    double engine = work_of_none(report), all = engine;
    for (int column = 0; column < TABLE_COLUMNS; column++) {
        widths[column] = text_columns(head.cells[column]);
    }
    for (uint32_t i = 0; i < snapshot->part_count; i++) {
        all += work_of(report, &snapshot->parts[i]);
    }
    for (uint32_t i = 0; i < snapshot->part_count; i++) {
        struct row row = row_of(report, &snapshot->parts[i], all);
        for (int column = 0; column < TABLE_COLUMNS; column++) {
            size_t columns = text_columns(row.cells[column]);
            widths[column] = columns > widths[column] ? columns : widths[column];
        }
    }
    buffer_string(out, "\n");
    put_row(out, &head, widths);
    for (uint32_t i = 0; i < snapshot->part_count; i++) {
        struct row row = row_of(report, &snapshot->parts[i], all);
        put_row(out, &row, widths);
    }
    if (engine > 0) {
        struct row row = {{"engine", "", "", ""}};
        fill_work(&row, engine, all, snapshot->records_in);
        put_row(out, &row, widths);
    }
}

static void put_drops(struct weir_buffer *out, const struct pipeline_snapshot *snapshot)
{
    char text[32], limit[32];
    const char *before = "\n";
    for (uint32_t i = 0; i < snapshot->edge_count; i++) {
        const struct pipeline_edge_view *edge = &snapshot->edges[i];
        if (edge->dropped_records == 0) {
            continue;
        }
        buffer_string(out, before);
        label(out, "dropped");
        buffer_format(out, "%s records before %s: its queue of ", text_count(edge->dropped_records, text, sizeof text),
                      edge->to);
        buffer_format(out, "%s was full\n", units_show_bytes(edge->bytes_limit, limit, sizeof limit));
        before = "";
    }
}

static void put_counters(struct weir_buffer *out, const struct pipeline_snapshot *snapshot)
{
    char text[32];
    for (uint32_t i = 0; i < snapshot->counter_count; i++) {
        const struct pipeline_counter_view *counter = &snapshot->counters[i];
        if (i == 0) {
            buffer_string(out, "\n");
        }
        label(out, i == 0 ? "counted" : "");
        buffer_format(out, "%s  %s: %s", text_count(counter->number, text, sizeof text), counter->part, counter->what);
        if (counter->field && counter->field[0]) {
            buffer_format(out, " (%s)", counter->field);
        }
        buffer_string(out, "\n");
    }
}

static const char *show_fact(const struct pipeline_fact_view *fact, char *text, size_t size)
{
    const double value = fact->value;
    bool whole = value >= 0 && value < 1e15 && value == floor(value);
    if (strcmp(fact->unit, "B") == 0 && value >= 0 && value < 1e18)
        return units_show_bytes((uint64_t)value, text, size);
    if (whole)
        text_count((uint64_t)value, text, size);
    else
        snprintf(text, size, "%.4g", value);
    size_t used = strlen(text), length = strlen(fact->unit);
    if (value == 1 && length > 3 && fact->unit[length - 1] == 's') /* 1 sensor; but 1 ms */
        length--;
    if (length)
        snprintf(text + used, size - used, " %.*s", (int)length, fact->unit);
    return text;
}

/* What parts say about themselves: of each its facts on a line, texts on lines of their own. */
static void put_facts(struct weir_buffer *out, const struct pipeline_snapshot *snapshot)
{
    const char *part = NULL;
    bool open = false;
    for (uint32_t i = 0; i < snapshot->fact_count; i++) {
        const struct pipeline_fact_view *fact = &snapshot->facts[i];
        bool same = part && strcmp(part, fact->part) == 0;
        if (!same || fact->text || !open) {
            buffer_string(out, i == 0 ? "\n" : open ? "\n" : "");
            label(out, same ? "" : fact->part);
        } else {
            buffer_string(out, ", ");
        }
        part = fact->part;
        if (fact->text) {
            buffer_format(out, "%s: %s\n", fact->name, fact->text);
        } else {
            char text[48];
            buffer_format(out, "%s %s", fact->name, show_fact(fact, text, sizeof text));
        }
        open = !fact->text;
    }
    if (open) {
        buffer_string(out, "\n");
    }
}

/* ---- Goals and verdict ----------------------------------------------------------------------------------------- */

static void put_goals(struct weir_buffer *out, const struct report *report)
{
    char wanted[32], got[32];
    for (uint32_t i = 0; i < report->goal_count; i++) {
        const struct goal *goal = &report->goals[i];
        label(out, i == 0 ? "goals" : "");
        if (goal->at_least) {
            text_rate(goal->wanted, wanted, sizeof wanted);
            text_rate(goal->got, got, sizeof got);
        } else {
            units_show_duration((int64_t)(goal->wanted * 1e9 + 0.5), wanted, sizeof wanted);
            units_show_duration((int64_t)(goal->got * 1e9 + 0.5), got, sizeof got);
        }
        buffer_format(out, "%-6s  %s: wanted at %s %s%s", goal->met ? "met" : "MISSED", goal->name,
                      goal->at_least ? "least" : "most", wanted, goal->at_least ? "/s" : "");
        if (goal->measured) {
            buffer_format(out, ", got %s%s\n", got, goal->at_least ? "/s" : "");
        } else {
            buffer_string(out, ", nothing to measure it by\n");
        }
    }
}

/* Breaks the lines of a text that begins behind a label between its words. */
static void put_wrapped(struct weir_buffer *out, const char *text)
{
    size_t used = LABEL_WIDTH;
    for (bool first = true; *text; first = false) {
        char word[512];
        snprintf(word, sizeof word, "%.*s", (int)strcspn(text, " "), text);
        size_t columns = text_columns(word);
        if (!first && used + 1 + columns > TEXT_WIDTH) {
            buffer_string(out, "\n");
            label(out, "");
            used = LABEL_WIDTH;
        } else if (!first) {
            buffer_string(out, " ");
            used++;
        }
        buffer_string(out, word);
        used += columns;
        text += strlen(word);
        text += *text == ' ';
    }
    buffer_string(out, "\n");
}

static void put_verdict(struct weir_buffer *out, const struct report *report)
{
    char sentence[512];
    double share = 0;
    const struct pipeline_snapshot *snapshot = report->snapshot;
    const char *bottleneck = report_bottleneck(report, &share);
    label(out, "verdict");
    if (snapshot->records_in == 0) {
        buffer_string(out, "no records came in\n");
        return;
    }
    verdict_sentence(&report->verdict, report_busiest(report), sentence, sizeof sentence);
    put_wrapped(out, sentence);
    if (bottleneck) {
        label(out, "");
        buffer_format(out, "held back by %s: what leads there was full %.0f %% of the time\n", bottleneck, share * 100);
    }
}

static void put_advice(struct weir_buffer *out, const struct report *report)
{
    struct weir_buffer text = {0};
    advice_text(report, &text);
    buffer_append(&text, "", 1);
    if (text.size > 1 && !text.failed) {
        label(out, "advice");
        put_wrapped(out, text.data);
    }
    out->failed = out->failed || text.failed;
    buffer_free(&text);
}

void report_text(const struct report *report, struct weir_buffer *out)
{
    const struct pipeline_snapshot *snapshot = report->snapshot;
    char text[32];
    units_show_duration(snapshot->now - snapshot->started, text, sizeof text);
    buffer_format(out, "%s: %s after %s%s, %u lane%s\n", report->configuration,
                  report->failure       ? "failed"
                  : report->interrupted ? "stopped at once"
                                        : "done",
                  text, report->simulated ? " (simulated)" : "", (unsigned)report->lanes,
                  report->lanes == 1 ? "" : "s");
    put_account(out, snapshot);
    put_rates(out, snapshot);
    put_histograms(out, snapshot);
    put_memory(out, report);
    put_parts(out, report);
    put_drops(out, snapshot);
    put_facts(out, snapshot);
    put_counters(out, snapshot);
    buffer_string(out, "\n");
    put_goals(out, report);
    put_verdict(out, report);
    put_advice(out, report);
}
