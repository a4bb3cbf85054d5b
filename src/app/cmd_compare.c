/* SPDX-License-Identifier: MIT */
/* weir compare FILE: the same pipeline on the same work, one thing after the other and concurrently. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app/app.h"
#include "app/files.h"
#include "app/peers.h"
#include "app/signals.h"
#include "app/spectra.h"
#include "app/status.h"
#include "base/memory.h"
#include "conf/conf.h"
#include "flow/pipeline.h"
#include "measure/compare.h"

enum { COLUMNS_OTHERWISE = 100 };

struct arguments {
    const char *file, *seed, *limit;
    bool json, timeline, simulated, keep_sinks;
    struct spectra spectra;
    struct conf_overrides overrides;
    struct app_list set;
    struct peers_values peers;
};

/* One of the two runs, while it runs. */
struct runner {
    const struct arguments *arguments;
    struct plan *plan;
    struct pipeline *pipeline;
    struct signals signals;
    struct status status;
    pthread_mutex_t lock; /* of what follows */
    struct compare_side *side;
    int64_t started;
};

static void take_notice(void *owner, const char *line)
{
    struct runner *runner = owner;
    status_notice(&runner->status, line);
}

static uint32_t row_of(struct compare_side *side, const char *part, bool consumer)
{
    for (uint32_t i = 0; i < side->row_count; i++)
        if (side->rows[i].part == part)
            return i;
    if (side->row_count == COMPARE_ROWS_MAX)
        return COMPARE_ROWS_MAX;
    side->rows[side->row_count] = (struct compare_row){part, consumer};
    return side->row_count++;
}

static void note_work(void *owner, const char *part, bool consumer, int64_t from_ns, int64_t to_ns)
{
    struct runner *runner = owner;
    struct compare_side *side = runner->side;
    pthread_mutex_lock(&runner->lock);
    uint32_t row = row_of(side, part, consumer);
    if (row == COMPARE_ROWS_MAX || side->span_count == COMPARE_SPANS_MAX)
        side->spans_lost++;
    else
        side->spans[side->span_count++] = (struct compare_span){row, from_ns - runner->started,
                                                                to_ns - runner->started};
    pthread_mutex_unlock(&runner->lock);
}

/* The run, opened; its exit code. The snapshot goes to the side. */
static int finish_run(struct runner *runner, struct pipeline_snapshot **ret)
{
    struct weir_error error = {0};
    runner->started = pipeline_now(runner->pipeline);
    int started = pipeline_start(runner->pipeline);
    if (started < 0) {
        app_say("the pipeline could not be started: %s", strerror(-started));
        return APP_FAILED;
    }
    (void)pipeline_wait(runner->pipeline, INT64_MAX);
    runner->side->duration = pipeline_now(runner->pipeline) - runner->started;
    int result = pipeline_result(runner->pipeline, &error);
    if (atomic_load(&runner->signals.received) > 0) {
        app_say("interrupted: nothing to compare");
        return APP_INTERRUPTED;
    }
    if (result < 0)
        return app_report(&error);
    if (pipeline_snapshot(runner->pipeline, ret) < 0) {
        app_say("out of memory");
        return APP_FAILED;
    }
    runner->side->failed = pipeline_snapshot_count(*ret, "reads failed") +
                           pipeline_snapshot_count(*ret, "calls failed");
    return APP_OK;
}

static int run_with(struct runner *runner, bool sequential, struct peers *peers, struct pipeline_snapshot **ret)
{
    struct pipeline_options options = {
        .simulated = runner->arguments->simulated,
        .seed = runner->plan->seed,
        .sequential = sequential,
        .worked = note_work,
        .notice = take_notice,
        .owner = runner,
    };
    struct weir_error error = {0};
    peers_offer(peers, &options);
    if (pipeline_open(runner->plan, &options, &runner->pipeline, &error) < 0)
        return app_report(&error);
    signals_attach(&runner->signals, runner->pipeline);
    int code = finish_run(runner, ret);
    runner->side->snapshot = *ret;
    signals_attach(&runner->signals, NULL);
    pipeline_close(runner->pipeline);
    return code;
}

static int run_side(struct runner *runner, bool sequential, struct compare_side *side, struct pipeline_snapshot **ret)
{
    struct peers *peers = NULL;
    runner->side = side;
    side->spans = memory_zeroed(COMPARE_SPANS_MAX, sizeof *side->spans);
    if (!side->spans) {
        app_say("out of memory");
        return APP_FAILED;
    }
    const struct arguments *arguments = runner->arguments;
    int code = peers_new(&arguments->peers, arguments->simulated, runner->plan->seed, &peers);
    if (code == APP_OK)
        code = run_with(runner, sequential, peers, ret);
    peers_free(peers);
    return code;
}

/* The drawing stands before the table, or, as JSON is for programs, on stderr. */
static int show(const struct arguments *arguments, const struct compare *compare)
{
    struct weir_buffer text = {0}, drawing = {0};
    int code = APP_OK;
    if (arguments->timeline) {
        compare_timeline(compare, (uint32_t)app_columns(STDOUT_FILENO, COLUMNS_OTHERWISE), &drawing);
        buffer_string(&drawing, "\n");
        code = app_put(arguments->json ? stderr : stdout, &drawing);
    }
    if (arguments->json)
        compare_json(compare, &text);
    else
        compare_text(compare, &text);
    int shown = app_put(stdout, &text);
    return code == APP_OK ? shown : code;
}

static int show_spectra(const struct arguments *arguments, const struct compare *compare)
{
    const struct plot_histogram histograms[] = {{"wait, sequential", &compare->sequential.snapshot->wait},
                                                {"wait, concurrent", &compare->concurrent.snapshot->wait},
                                                {"latency, sequential", &compare->sequential.snapshot->latency},
                                                {"latency, concurrent", &compare->concurrent.snapshot->latency}};
    char title[256];
    snprintf(title, sizeof title, "Times in %s, sequential and concurrent", files_name(arguments->file));
    return spectra_show(&arguments->spectra, title, histograms, sizeof histograms / sizeof *histograms, NULL,
                        arguments->json ? STDERR_FILENO : STDOUT_FILENO);
}

static int parse_arguments(int argc, char **argv, struct arguments *arguments)
{
    const struct app_option options[] = {
        {"json", 0, NULL, "one JSON object on stdout", .flag = &arguments->json},
        {"timeline", 0, NULL, "draw who produced and consumed when (with --json: on stderr)",
         .flag = &arguments->timeline},
        SPECTRA_OPTIONS(&arguments->spectra),
        {"simulated", 0, NULL, "on the simulated clock: at once, and the same each time",
         .flag = &arguments->simulated},
        PEERS_OPTIONS(&arguments->peers),
        {"limit", 0, "N", "each run ends after N records", .value = &arguments->limit},
        {"seed", 0, "N", "of what is random in the work", .value = &arguments->seed},
        {"set", 0, "PATH=VALUE", "another value for an option: sources.factory.count=100; may be repeated",
         .list = &arguments->set},
        {"keep-sinks", 0, NULL, "store the results, twice; without it they go to null", .flag = &arguments->keep_sinks},
        {.name = NULL},
    };
    const struct app_usage usage = {
        .synopsis = "compare FILE",
        .summary = "Runs a pipeline twice on the same work: one thing after the other, and concurrently.",
        .description = "Sequentially, each read is awaited before the next, and all is produced before anything is\n"
                       "consumed. Concurrently, everything waits at the same time, as `weir run` does it.\n"
                       "wait: from produced until the consumer has the record; latency: until it is done with it.\n"
                       "The work has to end, and to be there twice: give sources a `count`, or the run a --limit (a\n"
                       "duration is no amount of work, and is not looked at).\n"
                       "\n"
                       "Exit codes: 0 compared; 1 a run failed, or the two did not do the same work, which is said;\n"
                       "2 a mistake on the command line or in the file; 130 interrupted.",
        .options = options,
        .operands_least = 1,
        .operands_most = 1,
    };
    int operands = 0, code = app_parse(&usage, argc, argv, &operands);
    if (code >= 0)
        return code;
    arguments->file = argv[1];
    arguments->overrides.set = arguments->set.values;
    arguments->overrides.to = arguments->keep_sinks ? NULL : "null";
    long long limit = 0;
    if (arguments->limit && app_count("--limit", arguments->limit, 1, INT64_MAX, &limit) < 0)
        return APP_USAGE;
    arguments->overrides.limit = limit;
    return spectra_check(&arguments->spectra, arguments->json);
}

/* Both runs have to end, and to find the same work. */
static int check_work(const struct plan *plan)
{
    struct weir_error error = {0};
    for (uint32_t i = 0; i < plan->count; i++) {
        const struct plan_node *node = &plan->nodes[i];
        const struct weir_source *source = (const struct weir_source *)node->part;
        const char *remedy = NULL;
        if (node->part->kind != WEIR_SOURCE || !source->extent)
            continue;
        enum weir_extent extent = source->extent(node->options, &remedy);
        if (extent == WEIR_ONCE)
            weir_fail_at(&error, -EINVAL, node->mark,
                         "the records of source %s come once, and compare runs the same work twice; %s", node->name,
                         remedy);
        else if (extent == WEIR_ENDLESS && !plan->limit)
            weir_fail_at(&error, -EINVAL, node->mark,
                         "source %s never ends, and compare waits for the end of the work; %s, or compare a part of it "
                         "with --limit 1000",
                         node->name, remedy);
    }
    return error.code ? app_report(&error) : APP_OK;
}

/* Words for who reads JSON; the text has them. */
static int judge(const struct arguments *arguments, const struct compare *compare)
{
    char words[COMPARE_WORDS];
    if (compare_same_work(compare, words))
        return APP_OK;
    if (arguments->json)
        app_say("%s", words);
    return APP_FAILED;
}

static int compare_both(struct runner *runner, struct compare *compare)
{
    const struct arguments *arguments = runner->arguments;
    struct pipeline_snapshot *sequential = NULL, *concurrent = NULL;
    int code = run_side(runner, true, &compare->sequential, &sequential);
    if (code == APP_OK)
        code = run_side(runner, false, &compare->concurrent, &concurrent);
    if (code == APP_OK)
        code = show(arguments, compare);
    if (code == APP_OK)
        code = show_spectra(arguments, compare);
    if (code == APP_OK)
        code = judge(arguments, compare);
    compare->interrupted = code == APP_INTERRUPTED;
    if (compare->interrupted && arguments->json) {
        struct weir_buffer text = {0};
        compare_json(compare, &text);
        (void)app_put(stdout, &text);
    }
    pipeline_snapshot_free(sequential);
    pipeline_snapshot_free(concurrent);
    memory_free(compare->sequential.spans);
    memory_free(compare->concurrent.spans);
    return code;
}

int cmd_compare(int argc, char **argv)
{
    struct arguments arguments = {0};
    struct runner runner = {.arguments = &arguments, .lock = PTHREAD_MUTEX_INITIALIZER};
    struct weir_error error = {0};
    long long seed = 0;
    int code = parse_arguments(argc, argv, &arguments);
    if (code >= 0)
        return code;
    if (arguments.seed && app_count("--seed", arguments.seed, 0, INT64_MAX, &seed) < 0)
        return APP_USAGE;
    if (conf_load(arguments.file, &arguments.overrides, &runner.plan, &error) < 0) {
        (void)app_report(&error);
        return APP_USAGE;
    }
    if (arguments.seed)
        runner.plan->seed = (uint64_t)seed;
    struct compare compare = {.configuration = arguments.file, .simulated = arguments.simulated};
    status_init(&runner.status, false);
    if (signals_start(&runner.signals, &runner.status) < 0)
        app_say("signals cannot be handled: Ctrl-C stops at once");
    code = check_work(runner.plan);
    if (code == APP_OK)
        code = compare_both(&runner, &compare);
    signals_end(&runner.signals);
    plan_free(runner.plan);
    return code;
}
