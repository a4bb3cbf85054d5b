/* SPDX-License-Identifier: MIT */
/* weir run FILE: runs a pipeline, shows how it does, and says at the end how it went. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app/app.h"
#include "app/delivery.h"
#include "app/files.h"
#include "app/peers.h"
#include "app/run_values.h"
#include "app/signals.h"
#include "app/spectra.h"
#include "app/status.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/units.h"
#include "conf/conf.h"
#include "flow/pipeline.h"
#include "measure/attribution.h"
#include "measure/report.h"
#include "serve/board.h"
#include "serve/server.h"

#define TICK (100 * CLOCK_MILLISECOND) /* between looks at the pipeline */
#define REDRAW (200 * CLOCK_MILLISECOND)
#define DRAIN_TERMINATED (30 * CLOCK_SECOND)
enum { TICKS_SIMULATED = 2000 };

struct arguments {
    const char *file;
    bool quiet, json, enforce, simulated;
    const char *drain_text;
    int64_t drain; /* ns that draining may take; 0: not given */
    struct spectra spectra;
    struct run_values values;
    struct peers_values peers;
};

struct run {
    const struct arguments *arguments;
    struct plan *plan;
    struct pipeline *pipeline;
    struct recent *recent; /* only when there is a status line */
    struct status status;
    struct signals signals;
    struct verdict verdict;
    struct board *board; /* only when something is served */
    struct server *server;
    struct peers *peers; /* only on the simulated clock */
    int64_t drawn_at;    /* clock_monotonic */
    bool stopped;        /* the duration is over */
    bool ended;          /* all sources */
    int64_t limited_at;  /* pipeline_now when draining with a limit began; 0: it did not */
    bool given_up;       /* what was read was not delivered in time */
};

/* ---- Arguments -------------------------------------------------------------------------------------------------- */

/* -1: go on; else the exit code. */
static int parse_arguments(int argc, char **argv, struct arguments *arguments)
{
    const struct app_option options[] = {
        {"quiet", 'q', NULL, "no status line and no report; problems are still told", .flag = &arguments->quiet},
        {"json", 0, NULL, "the report as one JSON object on stdout", .flag = &arguments->json},
        SPECTRA_OPTIONS(&arguments->spectra),
        SPECTRA_HGRM_OPTION(&arguments->spectra),
        {"enforce", 0, NULL, "exit with 3 when a declared goal is missed", .flag = &arguments->enforce},
        RUN_VALUE_OPTIONS(&arguments->values){"simulated", 0, NULL,
                                              "on one thread and a simulated clock: the same each time",
                                              .flag = &arguments->simulated},
        {"drain", 0, "TIME", "give up what is not delivered so long after the end (30s after SIGTERM)",
         .value = &arguments->drain_text},
        PEERS_OPTIONS(&arguments->peers),
        {"seed", 0, "N", "of generated data, and of the order of things with --simulated",
         .value = &arguments->values.seed_text},
        {.name = NULL},
    };
    const struct app_usage usage = {
        .synopsis = "run FILE",
        .summary = "Runs the pipeline that a file describes.",
        .description =
            "Ends when the input does. Ctrl-C ends the sources and drains what was read; a second one stops at\n"
            "once. So does SIGTERM, except that a second one within a second is the same request: timeout and\n"
            "supervisors send it to the process and to its group.\n"
            "On a terminal a line shows rates, latency, lag, memory and the verdict; a report follows at the end.\n"
            "\n"
            "Exit codes: 0 all went well; 1 the run failed, each of its reads did, or nothing was delivered since\n"
            "records were refused or dropped; 2 a mistake on the command line or in the file; 3 a goal was\n"
            "missed (with --enforce); 130 stopped at once. weir explain exit-codes tells more.",
        .options = options,
        .operands_least = 1,
        .operands_most = 1,
    };
    int operands = 0;
    int code = app_parse(&usage, argc, argv, &operands);
    if (code >= 0) {
        return code;
    }
    arguments->file = argv[1];
    code = spectra_check(&arguments->spectra, arguments->json);
    if (code >= 0) {
        return code;
    }
    long long drain = 0;
    if (arguments->drain_text && app_time("--drain", arguments->drain_text, &drain) < 0) {
        return APP_USAGE;
    }
    arguments->drain = drain;
    return run_values_read(&arguments->values);
}

/* ---- While it runs ---------------------------------------------------------------------------------------------- */

static void take_notice(void *owner, const char *line)
{
    struct run *run = owner;
    status_notice(&run->status, line);
}

/* Told to end: what follows is draining. */
static bool ending(struct run *run)
{
    return run->stopped || atomic_load(&run->signals.received) > 0;
}

/* The branch that blocks, as a part that the user knows: the engine cannot tell which of the stages it is. */
static const char *blocking_part(const struct run *run, const struct pipeline_snapshot *snapshot)
{
    for (uint32_t i = 0; i < run->plan->count && snapshot->blocking; i++) {
        if (strcmp(run->plan->nodes[i].name, snapshot->blocking) == 0) {
            return snapshot->blocking;
        }
    }
    return snapshot->blocking ? report_slowest_stage(snapshot) : NULL;
}

static struct verdict_answer judge(const struct run *run, const struct pipeline_snapshot *snapshot)
{
    struct verdict_answer answer = verdict_judge(&run->verdict);
    verdict_look(&answer, snapshot);
    return answer;
}

/* Looks at the pipeline for the verdict, and draws. -ENOMEM is no reason to end a run: the look is left out. */
static void look(struct run *run, bool draw)
{
    struct pipeline_snapshot *snapshot = NULL;
    if (pipeline_snapshot(run->pipeline, &snapshot) < 0) {
        return;
    }
    struct verdict_sample sample = verdict_sample_of(snapshot);
    run->ended = sample.ended;
    sample.ended = sample.ended || ending(run);
    verdict_add(&run->verdict, &sample);
    if (draw && run->recent && clock_monotonic() - run->drawn_at >= REDRAW) {
        run->drawn_at = clock_monotonic();
        struct status_view view = {
            .recent = recent_add(run->recent, snapshot),
            .verdict = judge(run, snapshot),
            .memory = snapshot->memory_used,
            .memory_limit = snapshot->memory_limit,
            .blocking = blocking_part(run, snapshot),
            .draining = ending(run),
        };
        view.verdict.lag = snapshot->lag_ns; /* while draining too */
        status_draw(&run->status, &view);
    }
    if (run->board) {
        const struct verdict_answer answer = judge(run, snapshot);
        if (ending(run)) {
            board_end(run->board, false);
        }
        board_pin(run->board, snapshot, &answer);
    } else {
        pipeline_snapshot_free(snapshot);
    }
}

/* Stops at once when draining has taken too long: a sink whose server is gone would hold the run for ever. */
static void limit_draining(struct run *run)
{
    char text[32], line[160];
    bool terminated = atomic_load(&run->signals.terminated);
    int64_t now = pipeline_now(run->pipeline), given = run->arguments->drain;
    int64_t limit = given ? given : terminated ? DRAIN_TERMINATED : 0;
    if (!limit || run->given_up || !(run->ended || ending(run))) {
        return;
    }
    run->limited_at = run->limited_at ? run->limited_at : now;
    if (now - run->limited_at >= limit) {
        units_show_duration(limit, text, sizeof text);
        snprintf(line, sizeof line, "what was read could not be delivered within %s: stopping at once (--drain)", text);
        run->given_up = true;
        status_notice(&run->status, line);
        pipeline_abort(run->pipeline);
    }
}

static void watch(struct run *run)
{
    int64_t duration = run->plan->duration, started = pipeline_now(run->pipeline), tick = TICK;
    if (run->arguments->simulated && duration / TICKS_SIMULATED > tick) {
        tick = duration / TICKS_SIMULATED; /* simulated hours must not cost real ones */
    }
    for (;;) {
        int64_t until = pipeline_now(run->pipeline) + tick, end = started + duration;
        if (duration > 0 && !run->stopped && end < until) {
            until = end;
        }
        int done = pipeline_wait(run->pipeline, until);
        look(run, !done);
        if (done) {
            return;
        }
        if (duration > 0 && !run->stopped && pipeline_now(run->pipeline) >= end) {
            run->stopped = true;
            pipeline_stop(run->pipeline);
        }
        limit_draining(run);
    }
}

/* ---- At the end ------------------------------------------------------------------------------------------------- */

/* From the kernel's text, since getrusage also counts what the program was that started us, until then a copy of it. */
static uint64_t peak_resident(void)
{
    char line[256];
    unsigned long long kilobytes = 0;
    FILE *file = fopen("/proc/self/status", "re");
    while (file && fgets(line, sizeof line, file)) {
        if (sscanf(line, "VmHWM: %llu kB", &kilobytes) == 1) {
            break;
        }
    }
    if (file) {
        fclose(file);
    }
    return kilobytes * 1024;
}

static uint32_t lanes_of(const struct run *run, const struct pipeline_snapshot *snapshot)
{
    uint32_t lanes = 0;
    for (uint32_t i = 0; i < snapshot->thread_count; i++) {
        lanes += strncmp(snapshot->threads[i].name, "lane", 4) == 0;
    }
    return lanes > 0 ? lanes : run->plan->lanes;
}

static int print_report(const struct arguments *arguments, const struct report *report)
{
    struct weir_buffer buffer = {0};
    int code = APP_OK;
    if (arguments->json) {
        report_json(report, &buffer);
        code = app_put(stdout, &buffer);
    } else if (!arguments->quiet) {
        report_text(report, &buffer);
        (void)app_put(stderr, &buffer);
    }
    return code;
}

static int show_spectra(const struct arguments *arguments, const struct pipeline_snapshot *snapshot)
{
    const struct plot_histogram histograms[] = {
        {"latency", &snapshot->latency}, {"late by", &snapshot->late_by}, {"fetch", &snapshot->fetch}};
    char title[256];
    snprintf(title, sizeof title, "Times in %s", files_name(arguments->file));
    return spectra_show(&arguments->spectra, title, histograms, sizeof histograms / sizeof *histograms,
                        &snapshot->latency, STDERR_FILENO);
}

/* Where the time went, for the advice; NULL where that is not known. */
static struct attribution *attribute(struct run *run)
{
    struct pipeline_times *times = NULL;
    struct attribution *made = NULL;
    if (run->arguments->simulated || pipeline_times(run->pipeline, &times) < 0)
        return NULL;
    if (attribution_make(run->plan, times, app_processors(), NULL, NULL, &made) < 0)
        made = NULL;
    pipeline_times_free(times);
    return made;
}

/* The pipeline is done; its result goes into the report and the exit code. */
static int conclude(struct run *run)
{
    struct weir_error error = {0};
    struct pipeline_snapshot *snapshot = NULL;
    struct goal goals[GOALS_MAX];
    const struct arguments *arguments = run->arguments;
    int result = pipeline_result(run->pipeline, &error);
    struct attribution *attribution = attribute(run);
    if (pipeline_snapshot(run->pipeline, &snapshot) < 0) {
        attribution_free(attribution);
        app_say("out of memory for the report");
        return APP_FAILED;
    }
    struct report report = {
        .configuration = arguments->file,
        .snapshot = snapshot,
        .verdict = judge(run, snapshot),
        .goals = goals,
        .lanes = lanes_of(run, snapshot),
        .peak_memory = peak_resident(),
        .simulated = arguments->simulated,
        .interrupted = atomic_load(&run->signals.received) > 1 || run->given_up,
        .attribution = attribution,
        .batch = run->plan->batch,
        .linger = run->plan->linger,
    };
    if (result == 0)
        result = delivery_check(snapshot, atomic_load(&run->signals.received) > 0, &error);
    report.goal_count = goals_check(&run->plan->goals, snapshot, report.verdict.lag_worst, goals);
    int code = APP_OK;
    if (report.interrupted) {
        code = APP_INTERRUPTED;
    } else if (result < 0) {
        code = app_report(&error);
        code = error.mark.file ? code : APP_FAILED; /* a mistake in the file that showed when the columns were known */
        report.failure = error.text;
    } else if (snapshot->unaccounted > 0) {
        code = APP_FAILED; /* the report says so */
    } else if (arguments->enforce && !goals_met(goals, report.goal_count)) {
        code = APP_GOAL_MISSED;
    }
    int printed = code == APP_USAGE && !arguments->json ? APP_OK : print_report(arguments, &report);
    int drawn = show_spectra(arguments, snapshot);
    pipeline_snapshot_free(snapshot);
    attribution_free(attribution);
    return code != APP_OK ? code : printed != APP_OK ? printed : drawn;
}

/* ---- The run ---------------------------------------------------------------------------------------------------- */

/* A status line would be torn by records on the same terminal. */
static bool status_wanted(const struct run *run)
{
    if (run->arguments->quiet) {
        return false;
    }
    for (uint32_t i = 0; i < run->plan->count && isatty(STDOUT_FILENO); i++) {
        if (strcmp(run->plan->nodes[i].part->name, "stdout") == 0) {
            return false;
        }
    }
    return true;
}

/* -1: go on; else the exit code. A simulated run is over before anybody could ask. */
static int serve(struct run *run)
{
    struct weir_error error = {0};
    if (!run->plan->serve.listen || run->arguments->simulated) {
        return -1;
    }
    run->board = board_new(&run->plan->goals);
    if (!run->board) {
        app_say("out of memory");
        return APP_FAILED;
    }
    if (server_start(run->plan->serve.listen, run->board, &run->server, &error) < 0) {
        return app_report(&error);
    }
    if (!run->arguments->quiet) {
        char line[SERVER_ADDRESS_MAX + 64];
        snprintf(line, sizeof line, "metrics on http://%s/metrics", server_address(run->server));
        status_notice(&run->status, line);
    }
    return -1;
}

static int run_pipeline(struct run *run)
{
    struct pipeline_options options = {
        .simulated = run->arguments->simulated,
        .seed = run->plan->seed,
        .notice = take_notice,
        .owner = run,
    };
    struct weir_error error = {0};
    peers_offer(run->peers, &options);
    int code = serve(run);
    if (code >= 0) {
        status_end(&run->status);
        return code;
    }
    if (pipeline_open(run->plan, &options, &run->pipeline, &error) < 0) {
        status_end(&run->status);
        return app_report(&error);
    }
    struct verdict_limits limits = {.lag = run->plan->goals.max_lag, .memory = (uint64_t)run->plan->memory};
    verdict_init(&run->verdict, &limits);
    signals_attach(&run->signals, run->pipeline);
    int started = pipeline_start(run->pipeline);
    code = APP_FAILED;
    if (started == 0) {
        watch(run);
        status_end(&run->status);
        code = conclude(run);
    } else {
        app_say("the pipeline could not be started: %s", strerror(-started));
    }
    signals_end(&run->signals);
    pipeline_close(run->pipeline);
    return code;
}

int cmd_run(int argc, char **argv)
{
    struct arguments arguments = {0};
    struct run run = {.arguments = &arguments};
    struct weir_error error = {0};
    int code = parse_arguments(argc, argv, &arguments);
    if (code >= 0) {
        return code;
    }
    if (conf_load(arguments.file, &arguments.values.overrides, &run.plan, &error) < 0) {
        (void)app_report(&error);
        return APP_USAGE;
    }
    if (arguments.values.seed >= 0) {
        run.plan->seed = (uint64_t)arguments.values.seed;
    }
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file at its limit is a write error, with words */
    status_init(&run.status, status_wanted(&run));
    run.signals.drain_ns = arguments.drain;
    run.signals.drain_terminated_ns = DRAIN_TERMINATED;
    run.recent = run.status.on ? recent_new() : NULL;
    int failed = signals_start(&run.signals, &run.status);
    if (failed < 0) {
        app_say("signals cannot be handled: %s", strerror(-failed));
        code = APP_FAILED;
    } else {
        code = peers_new(&arguments.peers, arguments.simulated, run.plan->seed, &run.peers);
        code = code == APP_OK ? run_pipeline(&run) : code;
    }
    peers_free(run.peers);
    signals_end(&run.signals);
    server_stop(run.server);
    board_free(run.board);
    recent_free(run.recent);
    plan_free(run.plan);
    return code;
}
