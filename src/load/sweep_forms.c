/* SPDX-License-Identifier: MIT */
/* A sweep for programs (JSON, CSV), and as a picture. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "load/sweep.h"
#include "load/sweep_private.h"
#include "measure/plot.h"

enum { STATUSES_SHOWN = 16, PLOT_ROWS = 14 };

static const char *kind_name(enum load_kind kind)
{
    return kind == LOAD_OPEN ? "open" : kind == LOAD_ONCE ? "once" : "closed";
}

static const char *end_name(enum sweep_end end)
{
    static const char *const names[] = {
        [SWEEP_WHOLE] = "complete", [SWEEP_COLLAPSED] = "collapsed",     [SWEEP_GONE] = "refused",
        [SWEEP_DIED] = "died",      [SWEEP_INTERRUPTED] = "interrupted", [SWEEP_FAILED] = "failed",
    };
    return names[end];
}

/* ---- JSON ------------------------------------------------------------------------------------------------------- */

static void put_times(struct weir_buffer *out, const char *name, const struct level_times *times)
{
    buffer_format(out, "\"%s\":{\"mean\":%.9g,\"p50\":%.9g,\"p90\":%.9g,\"p99\":%.9g,\"max\":%.9g}", name, times->mean,
                  times->p50, times->p90, times->p99, times->most);
}

static void put_errors(struct weir_buffer *out, const struct sweep *sweep, const struct load_level *level)
{
    struct level_status statuses[STATUSES_SHOWN];
    uint32_t count = level_bad_statuses(level, sweep->options.load.target, statuses, STATUSES_SHOWN);
    bool first = true;
    buffer_string(out, "\"errors\":{");
    for (int i = LOAD_GOOD + 1; i < LOAD_ENDS; i++) {
        uint64_t number = level_ended(level, (enum load_end)i);
        if (number == 0)
            continue;
        buffer_format(out, "%s\"%s\":%llu", first ? "" : ",", load_end_name((enum load_end)i),
                      (unsigned long long)number);
        first = false;
    }
    buffer_string(out, "},\"statuses\":{");
    for (uint32_t i = 0; i < count; i++)
        buffer_format(out, "%s\"%d\":%llu", i ? "," : "", statuses[i].status, (unsigned long long)statuses[i].count);
    buffer_string(out, "}");
}

static void put_value(struct weir_buffer *out, const struct load_level *level)
{
    if (level->kind == LOAD_OPEN)
        buffer_format(out, "\"concurrency\":null,\"rate_per_second\":%.10g", level->value);
    else
        buffer_format(out, "\"concurrency\":%.0f,\"rate_per_second\":null", level->value);
}

static const char *truth(bool value)
{
    return value ? "true" : "false";
}

static void put_level(struct weir_buffer *out, const struct sweep *sweep, const struct load_level *level)
{
    uint64_t attempts = atomic_load_explicit(&level->all->response.count, memory_order_relaxed);
    buffer_string(out, "{");
    put_value(out, level);
    buffer_format(out,
                  ",\"repeats\":%u,\"seconds\":%.9g,\"attempts\":%llu,\"offered_per_second\":%.9g,"
                  "\"throughput_per_second\":%.9g,\"goodput_per_second\":%.9g,\"goodput_deviation\":%.9g,"
                  "\"success_ratio\":%.9g,",
                  level->repeats, level->sum_seconds, (unsigned long long)attempts, level->offered, level->throughput,
                  level->goodput, level->goodput_deviation, level->success);
    put_times(out, "response_seconds", &level->response);
    buffer_string(out, ",");
    put_times(out, "good_response_seconds", &level->good);
    buffer_format(
        out, ",\"in_flight_mean\":%.9g,\"littles_law_gap\":%.9g,\"late_mean_seconds\":%.9g,\"client_cpu_ratio\":%.6g,",
        level->in_flight, level->gap, level->late, level->cpu);
    put_errors(out, sweep, level);
    buffer_format(out,
                  ",\"timeouts\":%llu,\"unfinished\":%llu,\"connections\":%llu,\"client_bound\":%s,\"broken\":%s,"
                  "\"sustained\":%s,\"died\":%s,\"interrupted\":%s}",
                  (unsigned long long)level_ended(level, LOAD_TIMEOUT), (unsigned long long)level->all->unfinished,
                  (unsigned long long)level->all->connections, truth(level->client_bound), truth(level->broken),
                  truth(!level->unsustained), truth(level->died), truth(level->interrupted));
}

static void put_point(struct weir_buffer *out, const char *name, const struct sweep *sweep, int index)
{
    buffer_format(out, ",\"%s\":", name);
    if (index < 0) {
        buffer_string(out, "null");
        return;
    }
    const struct load_level *level = &sweep->levels[index];
    buffer_string(out, "{");
    put_value(out, level);
    buffer_format(out,
                  ",\"throughput_per_second\":%.9g,\"goodput_per_second\":%.9g,\"success_ratio\":%.9g,"
                  "\"response_p50_seconds\":%.9g,\"response_p99_seconds\":%.9g}",
                  level->throughput, level->goodput, level->success, level->response.p50, level->response.p99);
}

/* The sentence alone, and where the target died. */
static void put_sentence(struct weir_buffer *out, const struct sweep *sweep, const struct sweep_words *words)
{
    const struct load_level died = {.kind = sweep->options.load.kind, .value = sweep->died_at};
    struct weir_buffer text = {0};
    char level[48];
    sweep_verdict(sweep, words, &text);
    const char *end = text.size ? memchr(text.data, '\n', text.size) : NULL;
    text.size = end ? (size_t)(end - text.data) : text.size;
    if (sweep->end == SWEEP_DIED)
        buffer_format(&text, " The target died at %s.", sweep_show_level(&died, level, sizeof level));
    buffer_string(out, ",\"verdict\":");
    buffer_json_string(out, text.size ? text.data : "", text.size);
    out->failed = out->failed || text.failed;
    buffer_free(&text);
}

void sweep_json(const struct sweep *sweep, const struct sweep_words *words, struct weir_buffer *out)
{
    static const char *const reasons[] = {
        [JUDGE_FOUND] = "found",       [JUDGE_NOTHING] = "nothing_measured", [JUDGE_NO_SUCCESS] = "too_little_success",
        [JUDGE_TOO_SLOW] = "too_slow", [JUDGE_CLIENT] = "client_bound",      [JUDGE_BROKEN] = "broken",
    };
    const struct sweep_options *options = &sweep->options;
    struct judgement found = sweep_judge(sweep);
    bool first = true;
    buffer_string(out, "{\"weir\":");
    buffer_json_string(out, words->version, strlen(words->version));
    buffer_string(out, ",\"url\":");
    buffer_json_string(out, words->url, strlen(words->url));
    buffer_format(out, ",\"load\":\"%s\",\"arrivals\":", kind_name(options->load.kind));
    buffer_string(out, options->load.kind != LOAD_OPEN           ? "null"
                       : options->load.arrivals == LOAD_CONSTANT ? "\"constant\""
                                                                 : "\"poisson\"");
    buffer_format(
        out, ",\"threads\":%u,\"timeout_seconds\":%.9g,\"seed\":%llu,\"success_least\":%.9g,\"p99_target_seconds\":",
        options->threads, (double)options->load.target->timeout_ns * 1e-9, (unsigned long long)options->load.seed,
        options->limits.success);
    if (options->limits.p99_ns > 0)
        buffer_format(out, "%.9g", (double)options->limits.p99_ns * 1e-9);
    else
        buffer_string(out, "null");
    buffer_format(out, ",\"ended\":\"%s\",\"levels\":[", end_name(sweep->end));
    for (uint32_t i = 0; i < sweep->count; i++) {
        if (sweep->levels[i].repeats == 0)
            continue;
        buffer_string(out, first ? "" : ",");
        put_level(out, sweep, &sweep->levels[i]);
        first = false;
    }
    buffer_string(out, "]");
    put_point(out, "sweet_spot", sweep, found.sweet);
    buffer_format(out, ",\"sweet_spot_reason\":\"%s\"", reasons[found.why]);
    put_point(out, "throughput_peak", sweep, found.raw_peak);
    put_point(out, "goodput_peak", sweep, found.good_peak);
    put_sentence(out, sweep, words);
    buffer_string(out, "}\n");
}

/* ---- CSV -------------------------------------------------------------------------------------------------------- */

void sweep_csv(const struct sweep *sweep, struct weir_buffer *out)
{
    buffer_format(out,
                  "%s,repeats,offered_per_second,throughput_per_second,goodput_per_second,success_ratio,"
                  "response_mean_seconds,response_p50_seconds,response_p90_seconds,response_p99_seconds,"
                  "response_max_seconds,in_flight_mean,littles_law_gap,client_cpu_ratio",
                  sweep->options.load.kind == LOAD_OPEN ? "rate_per_second" : "concurrency");
    for (int i = LOAD_GOOD + 1; i < LOAD_ENDS; i++)
        buffer_format(out, ",%s", load_end_name((enum load_end)i));
    buffer_string(out, ",unfinished,client_bound,broken\n");
    for (uint32_t i = 0; i < sweep->count; i++) {
        const struct load_level *level = &sweep->levels[i];
        if (level->repeats == 0)
            continue;
        buffer_format(out, "%.10g,%u,%.9g,%.9g,%.9g,%.9g,%.9g,%.9g,%.9g,%.9g,%.9g,%.9g,%.9g,%.6g", level->value,
                      level->repeats, level->offered, level->throughput, level->goodput, level->success,
                      level->response.mean, level->response.p50, level->response.p90, level->response.p99,
                      level->response.most, level->in_flight, level->gap, level->cpu);
        for (int end = LOAD_GOOD + 1; end < LOAD_ENDS; end++)
            buffer_format(out, ",%llu", (unsigned long long)level_ended(level, (enum load_end)end));
        buffer_format(out, ",%llu,%s,%s\n", (unsigned long long)level->all->unfinished, truth(level->client_bound),
                      truth(level->broken));
    }
}

/* ---- Plots ------------------------------------------------------------------------------------------------------ */

struct picture {
    double x[SWEEP_LEVELS_MOST], throughput[SWEEP_LEVELS_MOST], goodput[SWEEP_LEVELS_MOST];
    struct plot_series series[2];
    struct plot_mark mark;
    char mark_name[48];
    struct plot plot;
};

/* Of what says something about the target: not where weir was the limit, or the measurement is broken. */
static void draw(const struct sweep *sweep, const char *title, struct picture *picture)
{
    struct judgement found = sweep_judge(sweep);
    uint32_t count = 0;
    bool open = sweep->options.load.kind == LOAD_OPEN;
    for (uint32_t i = 0; i < sweep->count; i++) {
        const struct load_level *level = &sweep->levels[i];
        if (level->repeats == 0 || level->client_bound || level->broken || level->died)
            continue;
        picture->x[count] = level->value;
        picture->throughput[count] = level->throughput;
        picture->goodput[count++] = level->goodput;
    }
    picture->series[0] = (struct plot_series){"throughput", picture->x, picture->throughput, count};
    picture->series[1] = (struct plot_series){"goodput", picture->x, picture->goodput, count};
    picture->plot = (struct plot){
        .title = title,
        .x = {.label = open ? "offered rate" : "concurrency",
              .unit = open ? "/s" : NULL,
              .scale = PLOT_LOG,
              .ticks = picture->x,
              .tick_count = count},
        .y = {.label = "requests", .unit = "/s"},
        .series = picture->series,
        .series_count = 2,
    };
    if (found.sweet >= 0) {
        char level[32];
        snprintf(picture->mark_name, sizeof picture->mark_name, "use %s",
                 sweep_show_level(&sweep->levels[found.sweet], level, sizeof level));
        picture->mark = (struct plot_mark){sweep->levels[found.sweet].value, picture->mark_name};
        picture->plot.marks = &picture->mark;
        picture->plot.mark_count = 1;
    }
}

void sweep_plot_text(const struct sweep *sweep, const struct sweep_words *words, struct weir_buffer *out)
{
    struct picture picture = {0};
    draw(sweep, words->url, &picture);
    if (picture.series[0].count > 1) {
        plot_text(&picture.plot, words->columns > 100 ? 100 : words->columns, PLOT_ROWS, out);
        buffer_string(out, "\n");
    }
}

void sweep_plot_svg(const struct sweep *sweep, const struct sweep_words *words, struct weir_buffer *out)
{
    struct picture picture = {0};
    draw(sweep, words->url, &picture);
    plot_svg(&picture.plot, out);
}
