/* SPDX-License-Identifier: MIT */
/* weir profile FILE: runs a pipeline and says where its time went, and what could be won. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app/app.h"
#include "app/delivery.h"
#include "app/files.h"
#include "app/run_values.h"
#include "app/signals.h"
#include "app/status.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/error.h"
#include "measure/attribution.h"

#define TICK (25 * CLOCK_MILLISECOND) /* between looks; they cost about 50 µs each */

struct arguments {
    const char *file, *save, *against;
    bool json, folded;
    struct run_values values;
};
struct profiling {
    const struct arguments *arguments;
    struct plan *plan;
    struct pipeline *pipeline;
    struct attribution *before; /* --against */
    struct attribution_sampler *sampler;
    struct fingerprints *prints;
    struct status status;
    struct signals signals;
};

/* -1: go on; else the exit code. */
static int parse_arguments(int argc, char **argv, struct arguments *arguments)
{
    const struct app_option options[] = {
        {"save", 0, "FILE", "keep the profile, for --against", .value = &arguments->save},
        {"against", 0, "FILE", "compare with a profile that was kept: times, and whether the outputs are the same",
         .value = &arguments->against},
        {"folded", 0, NULL, "stacks for a flame graph instead of the table", .flag = &arguments->folded},
        {"json", 0, NULL, "the profile as one JSON object", .flag = &arguments->json},
        RUN_VALUE_OPTIONS(&arguments->values){"seed", 0, "N", "of generated data",
                                              .value = &arguments->values.seed_text},
        {.name = NULL},
    };
    const struct app_usage usage = {
        .synopsis = "profile FILE",
        .summary = "Runs a pipeline and tells where its time goes, part by part, and what could be won.",
        .description =
            "Ends when the input does, or with Ctrl-C; sinks are written as by weir run (--to null: they are not).\n"
            "\n"
            "total       time in the part and in what it called; own: in itself alone\n"
            "share       of all the work of all threads\n"
            "if gone     Amdahl's bound: how many times as fast the pipeline would be if the part took no time;\n"
            "            1.00 x: it is not on the critical thread, and making it faster gains nothing\n"
            "busy        of a thread: it worked (processor), or was ready without a processor (queued)\n"
            "blocked     it waited for room behind it (backpressure); starved: for input\n"
            "\n"
            "Exit codes: as of weir run; 3: --against, and an output is not what it was.",
        .options = options,
        .operands_least = 1,
        .operands_most = 1,
    };
    int operands = 0, code = app_parse(&usage, argc, argv, &operands);
    if (code >= 0)
        return code;
    arguments->file = argv[1];
    if (arguments->folded && arguments->json) {
        app_say("--folded and --json are two forms of the same: choose one");
        return APP_USAGE;
    }
    code = files_check("--save", arguments->save);
    return code < 0 ? run_values_read(&arguments->values) : code;
}

static int load_before(struct profiling *profiling)
{
    const char *path = profiling->arguments->against;
    struct weir_buffer text = {0};
    struct weir_error error = {0};
    int code = files_load(path, &text);
    if (!code) {
        code = attribution_read(text.data ? text.data : "", text.size, &profiling->before, &error);
        if (code < 0)
            app_say("--against %s: %s", path, error.text);
    }
    buffer_free(&text);
    return code < 0 ? APP_USAGE : -1;
}

/* ---- Running ---------------------------------------------------------------------------------------------------- */

static void take_notice(void *owner, const char *line)
{
    struct profiling *profiling = owner;
    status_notice(&profiling->status, line);
}

static void watch(struct profiling *profiling)
{
    int64_t duration = profiling->plan->duration, started = pipeline_now(profiling->pipeline);
    bool stopped = false;
    for (int done = 0; !done;) {
        int64_t until = pipeline_now(profiling->pipeline) + TICK;
        struct pipeline_times *times = NULL;
        done = pipeline_wait(profiling->pipeline, until);
        if (pipeline_times(profiling->pipeline, &times) == 0) /* no memory: this look is left out */
            attribution_sample(profiling->sampler, times);
        pipeline_times_free(times);
        if (duration > 0 && !stopped && pipeline_now(profiling->pipeline) >= started + duration) {
            stopped = true;
            pipeline_stop(profiling->pipeline);
        }
    }
}

/* ---- At the end ------------------------------------------------------------------------------------------------- */

/* Where a sink writes to stdout, the profile goes to stderr. */
static FILE *output_of(const struct profiling *profiling)
{
    for (uint32_t i = 0; i < profiling->plan->count && !profiling->arguments->json; i++) {
        const struct weir_part *part = profiling->plan->nodes[i].part;
        if (part->kind == WEIR_SINK && strcmp(part->name, "stdout") == 0)
            return stderr;
    }
    return stdout;
}

static int save(const struct profiling *profiling, const struct attribution *made)
{
    struct weir_buffer text = {0};
    attribution_json(made, NULL, &text);
    return files_save(profiling->arguments->save, &text);
}

static bool outputs_same(const struct attribution *before, const struct attribution *after)
{
    struct weir_buffer ignored = {0};
    bool same = true;
    attribution_text_against(before, after, &same, &ignored);
    buffer_free(&ignored);
    return same;
}

static int show(const struct profiling *profiling, const struct attribution *made, const struct pipeline_times *times)
{
    struct weir_buffer out = {0};
    bool same = true;
    if (profiling->arguments->folded)
        attribution_folded(profiling->plan, times, &out);
    else if (profiling->arguments->json)
        attribution_json(made, profiling->before, &out);
    else
        attribution_text(made, &out);
    if (profiling->before && !profiling->arguments->folded && !profiling->arguments->json)
        attribution_text_against(profiling->before, made, &same, &out);
    else if (profiling->before)
        same = outputs_same(profiling->before, made);
    int code = app_put(output_of(profiling), &out);
    return code == APP_OK && !same ? APP_GOAL_MISSED : code;
}

/* As of weir run. */
static int result_of(struct profiling *profiling, bool told, struct weir_error *error)
{
    struct pipeline_snapshot *snapshot = NULL;
    int result = pipeline_result(profiling->pipeline, error);
    if (result < 0 || pipeline_snapshot(profiling->pipeline, &snapshot) < 0)
        return result;
    result = delivery_check(snapshot, told, error);
    pipeline_snapshot_free(snapshot);
    return result;
}

static int conclude(struct profiling *profiling)
{
    struct weir_error error = {0};
    struct pipeline_times *times = NULL;
    struct attribution *made = NULL;
    int interrupted = atomic_load(&profiling->signals.received);
    int result = result_of(profiling, interrupted > 0, &error), code = APP_FAILED;
    if (pipeline_times(profiling->pipeline, &times) < 0 ||
        attribution_make(profiling->plan, times, app_processors(), profiling->sampler, profiling->prints, &made) < 0) {
        app_say("out of memory for the profile");
    } else {
        snprintf(made->configuration, sizeof made->configuration, "%s", profiling->arguments->file);
        made->interrupted = interrupted > 0;
        code = show(profiling, made, times);
        if (profiling->arguments->save && save(profiling, made) != APP_OK)
            code = APP_FAILED;
    }
    attribution_free(made);
    pipeline_times_free(times);
    if (interrupted > 1)
        return APP_INTERRUPTED;
    return result < 0 ? app_report(&error) : code;
}

static int run(struct profiling *profiling)
{
    const struct arguments *arguments = profiling->arguments;
    struct weir_error error = {0};
    struct pipeline_options options = {.seed = profiling->plan->seed, .notice = take_notice, .owner = profiling};
    profiling->sampler = attribution_sampler_new(profiling->plan);
    if (arguments->save || arguments->against) {
        profiling->prints = fingerprints_new(profiling->plan, FINGERPRINT_LANES_MAX);
        options.stored = profiling->prints ? fingerprint_stored : NULL;
        options.observer = profiling->prints;
    }
    if (!profiling->sampler || (options.observer == NULL && (arguments->save || arguments->against))) {
        app_say("out of memory");
        return APP_FAILED;
    }
    if (pipeline_open(profiling->plan, &options, &profiling->pipeline, &error) < 0)
        return app_report(&error);
    signals_attach(&profiling->signals, profiling->pipeline);
    int code = APP_FAILED, started = pipeline_start(profiling->pipeline);
    if (started == 0) {
        watch(profiling);
        code = conclude(profiling);
    } else {
        app_say("the pipeline could not be started: %s", strerror(-started));
    }
    signals_end(&profiling->signals);
    pipeline_close(profiling->pipeline);
    return code;
}

int cmd_profile(int argc, char **argv)
{
    struct arguments arguments = {0};
    struct profiling profiling = {.arguments = &arguments};
    struct weir_error error = {0};
    int code = parse_arguments(argc, argv, &arguments);
    if (code < 0 && arguments.against)
        code = load_before(&profiling);
    if (code >= 0)
        return code;
    if (conf_load(arguments.file, &arguments.values.overrides, &profiling.plan, &error) < 0) {
        (void)app_report(&error);
        attribution_free(profiling.before);
        return APP_USAGE;
    }
    if (arguments.values.seed >= 0)
        profiling.plan->seed = (uint64_t)arguments.values.seed;
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    status_init(&profiling.status, false);
    if (isatty(STDERR_FILENO))
        app_say("profiling %s; Ctrl-C ends it", arguments.file);
    int failed = signals_start(&profiling.signals, &profiling.status);
    if (failed < 0) {
        app_say("signals cannot be handled: %s", strerror(-failed));
        code = APP_FAILED;
    } else {
        code = run(&profiling);
    }
    signals_end(&profiling.signals);
    attribution_sampler_free(profiling.sampler);
    fingerprints_free(profiling.prints);
    attribution_free(profiling.before);
    plan_free(profiling.plan);
    return code;
}
