/* SPDX-License-Identifier: MIT */
#include <math.h>

#include "flow/pipeline.h"
#include "measure/advice.h"
#include "measure/report.h"

/* A comma where one is due: after anything but an opening bracket. */
static void key(struct weir_buffer *out, const char *name)
{
    char before = out->size > 0 ? out->data[out->size - 1] : '{';
    if (before != '{' && before != '[') {
        buffer_string(out, ", ");
    }
    if (name) {
        buffer_format(out, "\"%s\": ", name);
    }
}

static void put_text(struct weir_buffer *out, const char *name, const char *text)
{
    key(out, name);
    if (text) {
        buffer_json_string(out, text, strlen(text));
    } else {
        buffer_string(out, "null");
    }
}

static void put_count(struct weir_buffer *out, const char *name, uint64_t number)
{
    key(out, name);
    buffer_format(out, "%llu", (unsigned long long)number);
}

static void put_number(struct weir_buffer *out, const char *name, double number)
{
    key(out, name);
    if (isfinite(number)) {
        buffer_format(out, "%.9g", number);
    } else {
        buffer_string(out, "null");
    }
}

static void put_seconds(struct weir_buffer *out, const char *name, int64_t ns)
{
    put_number(out, name, (double)ns / 1e9);
}

static void put_bool(struct weir_buffer *out, const char *name, bool value)
{
    key(out, name);
    buffer_string(out, value ? "true" : "false");
}

static void begin(struct weir_buffer *out, const char *name, char bracket)
{
    key(out, name);
    buffer_append(out, &bracket, 1);
}

static void put_histogram(struct weir_buffer *out, const char *name, const struct histogram *histogram)
{
    begin(out, name, '{');
    put_count(out, "count", histogram->count);
    if (histogram->count > 0) {
        put_number(out, "mean", histogram_mean(histogram) / 1e9);
        put_seconds(out, "p50", histogram_quantile(histogram, 0.5));
        put_seconds(out, "p90", histogram_quantile(histogram, 0.9));
        put_seconds(out, "p99", histogram_quantile(histogram, 0.99));
        put_seconds(out, "p999", histogram_quantile(histogram, 0.999));
        put_seconds(out, "max", histogram->most);
    } else {
        static const char *const names[] = {"mean", "p50", "p90", "p99", "p999", "max"};
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
            put_number(out, names[i], NAN);
        }
    }
    buffer_string(out, "}");
}

static void put_verdict(struct weir_buffer *out, const struct report *report)
{
    const struct verdict_answer *answer = &report->verdict;
    char sentence[512];
    double share = 0;
    const char *bottleneck = report_bottleneck(report, &share);
    put_text(out, "verdict", verdict_name(answer->kind));
    begin(out, "verdict_detail", '{');
    put_text(out, "sentence", verdict_sentence(answer, report_busiest(report), sentence, sizeof sentence));
    put_number(out, "seconds_per_minute", answer->seconds_per_minute);
    put_number(out, "slope", answer->slope);
    put_number(out, "offered_per_second", answer->offered > 0 ? answer->offered : NAN);
    put_number(out, "settled_per_second", answer->settled_rate);
    put_number(out, "dropped_share", answer->dropped_share);
    put_text(out, "busiest_thread", report_busiest(report));
    put_number(out, "busiest_share", answer->busiest);
    put_text(out, "limit",
             answer->limit == VERDICT_LIMIT_LAG      ? "max_lag"
             : answer->limit == VERDICT_LIMIT_MEMORY ? "memory"
                                                     : NULL);
    put_number(out, "limit_seconds", answer->limit == VERDICT_LIMIT_NONE ? NAN : answer->limit_seconds);
    put_text(out, "held_back_by", bottleneck);
    put_number(out, "held_back_share", share);
    buffer_string(out, "}");
}

static void put_goals(struct weir_buffer *out, const struct report *report)
{
    begin(out, "goals", '[');
    for (uint32_t i = 0; i < report->goal_count; i++) {
        const struct goal *goal = &report->goals[i];
        begin(out, NULL, '{');
        put_text(out, "name", goal->name);
        put_number(out, "wanted", goal->wanted);
        put_number(out, "got", goal->measured ? goal->got : NAN);
        put_bool(out, "met", goal->met);
        buffer_string(out, "}");
    }
    buffer_string(out, "]");
}

static void put_parts(struct weir_buffer *out, const struct pipeline_snapshot *snapshot)
{
    static const char *const kinds[] = {[WEIR_SOURCE] = "source", [WEIR_STAGE] = "stage", [WEIR_SINK] = "sink"};
    begin(out, "parts", '[');
    for (uint32_t i = 0; i < snapshot->part_count; i++) {
        const struct pipeline_part_view *part = &snapshot->parts[i];
        begin(out, NULL, '{');
        put_text(out, "name", part->name);
        put_text(out, "kind", kinds[part->part->kind]);
        put_text(out, "type", part->part->name);
        put_count(out, "calls", part->calls);
        put_count(out, "records_in", part->records_in);
        put_count(out, "records_out", part->records_out);
        put_number(out, "busy_seconds", (double)part->busy_ns / 1e9);
        buffer_string(out, "}");
    }
    buffer_string(out, "]");
    begin(out, "facts", '[');
    for (uint32_t i = 0; i < snapshot->fact_count; i++) {
        const struct pipeline_fact_view *fact = &snapshot->facts[i];
        begin(out, NULL, '{');
        put_text(out, "part", fact->part);
        put_text(out, "name", fact->name);
        if (fact->text) {
            put_text(out, "text", fact->text);
        } else {
            put_number(out, "value", fact->value);
            put_text(out, "unit", fact->unit[0] ? fact->unit : NULL);
        }
        buffer_string(out, "}");
    }
    buffer_string(out, "]");
    begin(out, "counters", '[');
    for (uint32_t i = 0; i < snapshot->counter_count; i++) {
        const struct pipeline_counter_view *counter = &snapshot->counters[i];
        begin(out, NULL, '{');
        put_text(out, "part", counter->part);
        put_text(out, "what", counter->what);
        put_text(out, "field", counter->field && counter->field[0] ? counter->field : NULL);
        put_count(out, "number", counter->number);
        buffer_string(out, "}");
    }
    buffer_string(out, "]");
}

static void put_edges(struct weir_buffer *out, const struct pipeline_snapshot *snapshot)
{
    begin(out, "edges", '[');
    for (uint32_t i = 0; i < snapshot->edge_count; i++) {
        const struct pipeline_edge_view *edge = &snapshot->edges[i];
        begin(out, NULL, '{');
        put_text(out, "from", edge->from);
        put_text(out, "to", edge->to);
        put_count(out, "bytes_limit", edge->bytes_limit);
        put_count(out, "bytes_peak", edge->bytes_peak);
        put_count(out, "batches", edge->batches);
        put_count(out, "records_dropped", edge->dropped_records);
        put_number(out, "blocked_seconds", (double)edge->blocked_ns / 1e9);
        buffer_string(out, "}");
    }
    buffer_string(out, "]");
    begin(out, "sources", '[');
    for (uint32_t i = 0; i < snapshot->source_count; i++) {
        const struct pipeline_source_view *source = &snapshot->sources[i];
        begin(out, NULL, '{');
        put_text(out, "name", source->name);
        put_count(out, "records_read", source->records_read);
        put_number(out, "offered_per_second", source->offered > 0 ? source->offered : NAN);
        put_bool(out, "full_speed", source->full_speed);
        put_bool(out, "ended", source->ended);
        put_seconds(out, "lag_seconds", source->lag_ns);
        buffer_string(out, "}");
    }
    buffer_string(out, "]");
    begin(out, "threads", '[');
    for (uint32_t i = 0; i < snapshot->thread_count; i++) {
        begin(out, NULL, '{');
        put_text(out, "name", snapshot->threads[i].name);
        put_seconds(out, "busy_seconds", snapshot->threads[i].busy_ns);
        buffer_string(out, "}");
    }
    buffer_string(out, "]");
}

static void put_advice(struct weir_buffer *out, const struct report *report)
{
    struct weir_buffer text = {0};
    advice_text(report, &text);
    buffer_append(&text, "", 1);
    put_text(out, "advice", !text.failed && text.size > 1 ? text.data : NULL);
    out->failed = out->failed || text.failed;
    buffer_free(&text);
}

void report_json(const struct report *report, struct weir_buffer *out)
{
    const struct pipeline_snapshot *snapshot = report->snapshot;
    int64_t elapsed = snapshot->now - snapshot->started;
    buffer_string(out, "{");
    put_text(out, "configuration", report->configuration);
    put_text(out, "failure", report->failure);
    put_bool(out, "interrupted", report->interrupted);
    put_bool(out, "simulated", report->simulated);
    put_count(out, "lanes", report->lanes);
    put_count(out, "records_in", snapshot->records_in);
    put_count(out, "records_out", snapshot->records_out);
    put_count(out, "records_stored", snapshot->records_stored);
    put_count(out, "records_filtered", snapshot->records_filtered);
    put_count(out, "records_refused", snapshot->records_refused);
    put_count(out, "records_dropped", snapshot->records_dropped);
    put_count(out, "unaccounted", snapshot->unaccounted);
    put_seconds(out, "seconds", elapsed);
    put_number(out, "records_per_second", elapsed > 0 ? (double)snapshot->records_in * 1e9 / (double)elapsed : 0);
    put_histogram(out, "latency_seconds", &snapshot->latency);
    put_histogram(out, "late_by_seconds", &snapshot->late_by);
    put_histogram(out, "fetch_seconds", &snapshot->fetch);
    put_histogram(out, "wait_seconds", &snapshot->wait);
    put_seconds(out, "lag_seconds", report->verdict.lag);
    put_seconds(out, "lag_seconds_max", report->verdict.lag_worst);
    put_count(out, "peak_memory_bytes", report->peak_memory);
    begin(out, "memory_budget", '{');
    put_count(out, "limit", snapshot->memory_limit);
    put_count(out, "peak", snapshot->memory_peak);
    buffer_string(out, "}");
    put_count(out, "symbols", snapshot->symbols);
    put_count(out, "keys", snapshot->keys);
    put_verdict(out, report);
    put_advice(out, report);
    put_goals(out, report);
    put_parts(out, snapshot);
    put_edges(out, snapshot);
    buffer_string(out, "}\n");
}
