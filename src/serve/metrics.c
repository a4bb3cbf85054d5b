/* SPDX-License-Identifier: MIT */
#include "serve/metrics.h"

#include <dirent.h>
#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/histogram.h"

#ifndef WEIR_VERSION
#define WEIR_VERSION "0.1.0"
#endif

enum kind { GAUGE, COUNTER, HISTOGRAM };
enum over {
    THE_RUN,
    THE_VERDICT,
    SOURCES,
    PARTS,
    THREADS,
    QUEUES,
    GOALS,
    OUTCOMES,
    REASONS,
    FACTS,
    VERDICTS,
    PROCESS,
    BUILD
};
enum type { U32, U64, NS, DOUBLE, BOOLEAN, BUCKETS };

struct metric {
    const char *name;
    enum kind kind;
    enum over over; /* one sample, or one for each of these */
    enum type type;
    size_t offset; /* in what is counted over */
    const char *help;
};
#define RUN(field) offsetof(struct pipeline_snapshot, field)
#define ANSWER(field) offsetof(struct verdict_answer, field)
#define SOURCE(field) offsetof(struct pipeline_source_view, field)
#define PART(field) offsetof(struct pipeline_part_view, field)
#define QUEUE(field) offsetof(struct pipeline_edge_view, field)
#define GOAL(field) offsetof(struct goal, field)

struct process { /* of the operating system's view of this process */
    double cpu_seconds, started, resident, virtual, descriptors, descriptors_most;
};
#define SYSTEM(field) offsetof(struct process, field)

static const struct metric metrics[] = {
    {"weir_build_info", GAUGE, BUILD, U32, 0, "Always 1; the label says which weir this is"},
    {"weir_ready", GAUGE, THE_RUN, BOOLEAN, 0, "1 when /readyz says so: no goal is missed and nothing falls behind"},
    {"weir_verdict", GAUGE, VERDICTS, U32, 0, "1 for the verdict as it is now, 0 for the others"},
    {"weir_lag_seconds", GAUGE, THE_RUN, NS, RUN(lag_ns), "Age of the oldest record that is not settled yet"},
    {"weir_lag_growth_ratio", GAUGE, THE_VERDICT, DOUBLE, ANSWER(slope),
     "Seconds of lag gained per second, where it can be told; above 0.01 the pipeline falls behind"},
    {"weir_busiest_thread_ratio", GAUGE, THE_VERDICT, DOUBLE, ANSWER(busiest),
     "Share of time in which the busiest thread was not waiting, over the last ten seconds"},
    {"weir_records_settled_total", COUNTER, OUTCOMES, U64, 0,
     "Records by what became of them: stored, refused, filtered, dropped"},
    {"weir_records_delivered_total", COUNTER, THE_RUN, U64, RUN(records_out),
     "Records that sinks stored; one counts once for each sink"},
    {"weir_receipts_unaccounted_total", COUNTER, THE_RUN, U64, RUN(unaccounted),
     "Receipts that did not add up: not 0 is a mistake in weir"},
    {"weir_events_total", COUNTER, REASONS, U64, 0, "What parts counted besides records, by reason"},

    {"weir_latency_seconds", HISTOGRAM, THE_RUN, BUCKETS, RUN(latency),
     "Time from when a record came into being for weir until it was stored"},
    {"weir_late_by_seconds", HISTOGRAM, THE_RUN, BUCKETS, RUN(late_by),
     "How much later than intended readings were asked for"},
    {"weir_fetch_seconds", HISTOGRAM, THE_RUN, BUCKETS, RUN(fetch),
     "Time from asking for a reading until it was there"},

    {"weir_source_records_read_total", COUNTER, SOURCES, U64, SOURCE(records_read),
     "Records that came in, good or not"},
    {"weir_source_offered_records_per_second", GAUGE, SOURCES, DOUBLE, SOURCE(offered),
     "Rate at which records come into being by the source's own schedule; 0: unknown"},
    {"weir_source_lag_seconds", GAUGE, SOURCES, NS, SOURCE(lag_ns), "Age of the source's oldest unsettled record"},
    {"weir_source_waiting", GAUGE, SOURCES, BOOLEAN, SOURCE(waiting),
     "1 while what comes behind holds the source back"},
    {"weir_source_ended", GAUGE, SOURCES, BOOLEAN, SOURCE(ended), "1 once the source has ended"},

    {"weir_part_calls_total", COUNTER, PARTS, U64, PART(calls), "Batches that the part worked on"},
    {"weir_part_records_in_total", COUNTER, PARTS, U64, PART(records_in), "Records that the part was given"},
    {"weir_part_records_out_total", COUNTER, PARTS, U64, PART(records_out),
     "Records that the part passed on or stored"},
    {"weir_part_busy_seconds_total", COUNTER, PARTS, NS, PART(busy_ns),
     "Time spent in the part itself, on all threads; of a source: decoding"},
    {"weir_part_fact", GAUGE, FACTS, DOUBLE, 0,
     "What a part says about itself, as in the report: heaps shed, achieved rate, …"},
    {"weir_thread_busy_seconds_total", COUNTER, THREADS, NS, offsetof(struct pipeline_thread_view, busy_ns),
     "Time in which the thread was not waiting"},

    {"weir_queue_used_bytes", GAUGE, QUEUES, U64, QUEUE(bytes), "What waits in the queue"},
    {"weir_queue_limit_bytes", GAUGE, QUEUES, U64, QUEUE(bytes_limit), "Where the queue is full"},
    {"weir_queue_batches_total", COUNTER, QUEUES, U64, QUEUE(batches), "Batches that went through the queue"},
    {"weir_queue_dropped_records_total", COUNTER, QUEUES, U64, QUEUE(dropped_records),
     "Records dropped because the queue was full"},
    {"weir_queue_full_seconds_total", COUNTER, QUEUES, NS, QUEUE(blocked_ns), "Time for which the queue was full"},

    {"weir_memory_used_bytes", GAUGE, THE_RUN, U64, RUN(memory_used), "Memory of the budget that is used"},
    {"weir_memory_limit_bytes", GAUGE, THE_RUN, U64, RUN(memory_limit), "The budget (run: memory)"},
    {"weir_in_flight_bytes", GAUGE, THE_RUN, U64, RUN(in_flight_bytes),
     "Raw bytes of records that are not settled yet"},
    {"weir_keys", GAUGE, THE_RUN, U64, RUN(keys), "Keys with state, summed over stages"},
    {"weir_symbols", GAUGE, THE_RUN, U64, RUN(symbols), "Distinct texts that were interned"},

    {"weir_goal_met", GAUGE, GOALS, BOOLEAN, GOAL(met),
     "1 when the goal was met in the last 30 to 60 seconds; absent: nothing to measure it by"},
    {"weir_goal_wanted", GAUGE, GOALS, DOUBLE, GOAL(wanted), "The goal: seconds, or records per second for rate"},
    {"weir_goal_got", GAUGE, GOALS, DOUBLE, GOAL(got),
     "What was measured lately, in the same unit; absent as weir_goal_met is"},

    {"process_cpu_seconds_total", COUNTER, PROCESS, DOUBLE, SYSTEM(cpu_seconds), "Processor time of the process"},
    {"process_start_time_seconds", GAUGE, PROCESS, DOUBLE, SYSTEM(started), "When the run began, since 1970"},
    {"process_resident_memory_bytes", GAUGE, PROCESS, DOUBLE, SYSTEM(resident), "Resident memory"},
    {"process_virtual_memory_bytes", GAUGE, PROCESS, DOUBLE, SYSTEM(virtual), "Virtual memory"},
    {"process_open_fds", GAUGE, PROCESS, DOUBLE, SYSTEM(descriptors), "Open file descriptors"},
    {"process_max_fds", GAUGE, PROCESS, DOUBLE, SYSTEM(descriptors_most), "Limit on open file descriptors"},
};
enum { METRICS = sizeof metrics / sizeof *metrics };

static const char *const labels[] = {
    [SOURCES] = "source",
    [PARTS] = "part, kind, type",
    [THREADS] = "thread",
    [QUEUES] = "from, to",
    [GOALS] = "goal",
    [OUTCOMES] = "outcome",
    [REASONS] = "part, reason",
    [FACTS] = "part, fact, unit",
    [VERDICTS] = "verdict",
    [BUILD] = "version",
    [THE_RUN] = "",
    [THE_VERDICT] = "",
    [PROCESS] = "",
};

/* ---- Samples ---------------------------------------------------------------------------------------------------- */

static void put_label(struct weir_buffer *out, const char *name, const char *value)
{
    buffer_format(out, "%s%s=\"", out->data[out->size - 1] == '{' ? "" : ",", name);
    for (const char *at = value; *at; at++) {
        if (*at == '\\' || *at == '"')
            buffer_string(out, "\\");
        if (*at == '\n')
            buffer_string(out, "\\n");
        else
            buffer_append(out, at, 1);
    }
    buffer_string(out, "\"");
}

static void put_value(struct weir_buffer *out, double value)
{
    if (value == floor(value) && fabs(value) < 0x1p63)
        buffer_format(out, " %.0f\n", value);
    else if (isfinite(value))
        buffer_format(out, " %.15g\n", value);
    else
        buffer_string(out, isnan(value) ? " NaN\n" : value > 0 ? " +Inf\n" : " -Inf\n");
}

static double read_field(const struct metric *metric, const void *base)
{
    const char *at = (const char *)base + metric->offset;
    switch (metric->type) {
    case U32:
        return *(const uint32_t *)(const void *)at;
    case U64:
        return (double)*(const uint64_t *)(const void *)at;
    case NS: /* all times are 64 bits wide, signed or not, and far below 2^63 */
        return (double)*(const int64_t *)(const void *)at / 1e9;
    case DOUBLE:
        return *(const double *)(const void *)at;
    case BOOLEAN:
        return *(const bool *)(const void *)at;
    case BUCKETS:
        break;
    }
    return NAN;
}

/* A sample without labels, or with those that `name_of` puts between the braces. */
static void put_plain(struct weir_buffer *out, const struct metric *metric, double value)
{
    buffer_string(out, metric->name);
    put_value(out, value);
}

static bool begin(struct weir_buffer *out, const struct metric *metric)
{
    buffer_format(out, "%s{", metric->name);
    return !out->failed; /* labels look at what stands before them */
}

static void end(struct weir_buffer *out, double value)
{
    buffer_string(out, "}");
    put_value(out, value);
}

static void put_sources(struct weir_buffer *out, const struct metric *metric, const struct metrics_view *view)
{
    for (uint32_t i = 0; i < view->snapshot->source_count && begin(out, metric); i++) {
        put_label(out, "source", view->snapshot->sources[i].name);
        end(out, read_field(metric, &view->snapshot->sources[i]));
    }
}

static void put_parts(struct weir_buffer *out, const struct metric *metric, const struct metrics_view *view)
{
    static const char *const kinds[] = {[WEIR_SOURCE] = "source", [WEIR_STAGE] = "stage", [WEIR_SINK] = "sink"};
    for (uint32_t i = 0; i < view->snapshot->part_count && begin(out, metric); i++) {
        const struct pipeline_part_view *part = &view->snapshot->parts[i];
        put_label(out, "part", part->name);
        put_label(out, "kind", kinds[part->part->kind]);
        put_label(out, "type", part->part->name);
        end(out, read_field(metric, part));
    }
}

static void put_threads(struct weir_buffer *out, const struct metric *metric, const struct metrics_view *view)
{
    for (uint32_t i = 0; i < view->snapshot->thread_count && begin(out, metric); i++) {
        put_label(out, "thread", view->snapshot->threads[i].name);
        end(out, read_field(metric, &view->snapshot->threads[i]));
    }
}

static void put_queues(struct weir_buffer *out, const struct metric *metric, const struct metrics_view *view)
{
    for (uint32_t i = 0; i < view->snapshot->edge_count && begin(out, metric); i++) {
        put_label(out, "from", view->snapshot->edges[i].from);
        put_label(out, "to", view->snapshot->edges[i].to);
        end(out, read_field(metric, &view->snapshot->edges[i]));
    }
}

/* What there was nothing to measure by was not missed, and is not 0 either. */
static void put_goals(struct weir_buffer *out, const struct metric *metric, const struct metrics_view *view)
{
    for (uint32_t i = 0; i < view->goal_count; i++) {
        if ((!view->goals[i].measured && metric->offset != GOAL(wanted)) || !begin(out, metric))
            continue;
        put_label(out, "goal", view->goals[i].name);
        end(out, read_field(metric, &view->goals[i]));
    }
}

static void put_outcomes(struct weir_buffer *out, const struct metric *metric, const struct metrics_view *view)
{
    const struct pipeline_snapshot *snapshot = view->snapshot;
    const struct {
        const char *name;
        uint64_t number;
    } outcomes[] = {{"stored", snapshot->records_stored},
                    {"refused", snapshot->records_refused},
                    {"filtered", snapshot->records_filtered},
                    {"dropped", snapshot->records_dropped}};
    for (size_t i = 0; i < sizeof outcomes / sizeof *outcomes && begin(out, metric); i++) {
        put_label(out, "outcome", outcomes[i].name);
        end(out, (double)outcomes[i].number);
    }
}

/* Fields of a reason are added up: they may be names from the data. What is beyond the limit is one sample, "other". */
static void put_reasons(struct weir_buffer *out, const struct metric *metric, const struct metrics_view *view)
{
    const struct pipeline_snapshot *snapshot = view->snapshot;
    double other = 0;
    uint32_t shown = 0;
    for (uint32_t i = 0; i < snapshot->counter_count; i++) {
        const struct pipeline_counter_view *counter = &snapshot->counters[i];
        double sum = 0;
        bool first = true;
        for (uint32_t j = 0; j < snapshot->counter_count; j++) {
            const struct pipeline_counter_view *like = &snapshot->counters[j];
            if (strcmp(like->part, counter->part) != 0 || strcmp(like->what, counter->what) != 0)
                continue;
            first = first && j >= i;
            sum += (double)like->number;
        }
        if (!first)
            continue;
        if (++shown > METRICS_REASONS_MAX) {
            other += sum;
        } else if (begin(out, metric)) {
            put_label(out, "part", counter->part);
            put_label(out, "reason", counter->what);
            end(out, sum);
        }
    }
    if (other > 0 && begin(out, metric)) {
        put_label(out, "part", "");
        put_label(out, "reason", "other");
        end(out, other);
    }
}

/* A part has few facts (WEIR_FACTS_MOST), with names of its own; texts are no samples. */
static void put_facts(struct weir_buffer *out, const struct metric *metric, const struct metrics_view *view)
{
    const struct pipeline_snapshot *snapshot = view->snapshot;
    for (uint32_t i = 0; i < snapshot->fact_count; i++) {
        const struct pipeline_fact_view *fact = &snapshot->facts[i];
        if (fact->text || !begin(out, metric))
            continue;
        put_label(out, "part", fact->part);
        put_label(out, "fact", fact->name);
        put_label(out, "unit", fact->unit);
        end(out, fact->value);
    }
}

static void put_verdicts(struct weir_buffer *out, const struct metric *metric, const struct metrics_view *view)
{
    for (int kind = VERDICT_NO_DATA; kind < VERDICT_KINDS && begin(out, metric); kind++) {
        put_label(out, "verdict", verdict_name((enum verdict_kind)kind));
        end(out, view->verdict.kind == (enum verdict_kind)kind);
    }
}

/* ---- Histograms ------------------------------------------------------------------------------------------------- */

/* Bounds in seconds: three in each decade. A bucket of ours that lies across a bound counts as above it: weir's
 * buckets are narrower than 1 %. */
static const double bounds[] = {1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1,
                                0.25, 0.5,    1,    2.5,  5,      10,   25,   50,     100,  250,  500,   1000};

static void put_buckets(struct weir_buffer *out, const struct metric *metric, const struct histogram *histogram)
{
    uint64_t below = 0, sum_of_all = 0;
    uint32_t bucket = 0;
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        sum_of_all += histogram->buckets[i];
    for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++) {
        while (bucket < HISTOGRAM_BUCKETS && (double)histogram_bucket_most(bucket) <= bounds[i] * 1e9)
            below += histogram->buckets[bucket++];
        buffer_format(out, "%s_bucket{le=\"%g\"} %" PRIu64 "\n", metric->name, bounds[i], below);
    }
    buffer_format(out, "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n", metric->name, sum_of_all);
    buffer_format(out, "%s_sum %.15g\n", metric->name, (double)histogram->sum / 1e9);
    buffer_format(out, "%s_count %" PRIu64 "\n", metric->name, sum_of_all);
}

/* ---- The process ------------------------------------------------------------------------------------------------ */

static double count_descriptors(void)
{
    DIR *folder = opendir("/proc/self/fd");
    double count = 0;
    if (!folder)
        return NAN;
    while (readdir(folder))
        count++;
    closedir(folder);
    return count - 3; /* ".", "..", and the folder itself */
}

static struct process look_at_process(const struct metrics_view *view)
{
    struct process process = {.started = view->started, .resident = NAN, .virtual = NAN};
    struct rusage usage;
    struct rlimit limit;
    unsigned long long pages = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file && fscanf(file, "%llu %llu", &pages, &resident) == 2) {
        process.resident = (double)resident * (double)sysconf(_SC_PAGESIZE);
        process.virtual = (double)pages * (double)sysconf(_SC_PAGESIZE);
    }
    if (file)
        fclose(file);
    if (getrusage(RUSAGE_SELF, &usage) == 0)
        process.cpu_seconds = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                              (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    process.descriptors = count_descriptors();
    process.descriptors_most = getrlimit(RLIMIT_NOFILE, &limit) == 0 ? (double)limit.rlim_cur : NAN;
    return process;
}

/* ---- All of it -------------------------------------------------------------------------------------------------- */

static void put_metric(struct weir_buffer *out, const struct metric *metric, const struct metrics_view *view,
                       const struct process *process)
{
    static void (*const lists[])(struct weir_buffer *, const struct metric *, const struct metrics_view *) = {
        [SOURCES] = put_sources, [PARTS] = put_parts, [THREADS] = put_threads,
        [QUEUES] = put_queues,   [GOALS] = put_goals, [OUTCOMES] = put_outcomes,
        [REASONS] = put_reasons, [FACTS] = put_facts, [VERDICTS] = put_verdicts,
        [BUILD] = NULL,
    };
    if (metric->kind == HISTOGRAM)
        put_buckets(out, metric, (const void *)((const char *)view->snapshot + metric->offset));
    else if (metric->over == BUILD)
        buffer_format(out, "%s{version=\"" WEIR_VERSION "\"} 1\n", metric->name);
    else if (metric->over == THE_RUN && metric->type == BOOLEAN)
        put_plain(out, metric, view->ready);
    else if (metric->over == THE_RUN)
        put_plain(out, metric, read_field(metric, view->snapshot));
    else if (metric->over == THE_VERDICT)
        put_plain(out, metric, read_field(metric, &view->verdict));
    else if (metric->over == PROCESS)
        put_plain(out, metric, read_field(metric, process));
    else
        lists[metric->over](out, metric, view);
}

static const char *kind_name(enum kind kind)
{
    static const char *const names[] = {[GAUGE] = "gauge", [COUNTER] = "counter", [HISTOGRAM] = "histogram"};
    return names[kind];
}

void metrics_text(const struct metrics_view *view, struct weir_buffer *out)
{
    struct process process = look_at_process(view);
    for (size_t i = 0; i < METRICS; i++) {
        buffer_format(out, "# HELP %s %s.\n# TYPE %s %s\n", metrics[i].name, metrics[i].help, metrics[i].name,
                      kind_name(metrics[i].kind));
        put_metric(out, &metrics[i], view, &process);
    }
}

void metrics_describe(bool markdown, struct weir_buffer *out)
{
    if (markdown)
        buffer_string(out, "| metric | kind | labels | |\n|---|---|---|---|\n");
    for (size_t i = 0; i < METRICS; i++) {
        const struct metric *metric = &metrics[i];
        if (markdown)
            buffer_format(out, "| `%s` | %s | %s | %s |\n", metric->name, kind_name(metric->kind), labels[metric->over],
                          metric->help);
        else
            buffer_format(out, "%s%s%s%s  (%s)\n    %s\n", metric->name, labels[metric->over][0] ? "{" : "",
                          labels[metric->over], labels[metric->over][0] ? "}" : "", kind_name(metric->kind),
                          metric->help);
    }
}
