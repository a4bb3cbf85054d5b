/* SPDX-License-Identifier: MIT */
/* weir tap FILE PART: runs a pipeline and shows the records that leave one of its parts. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "app/app.h"
#include "app/delivery.h"
#include "app/peers.h"
#include "app/signals.h"
#include "app/status.h"
#include "conf/conf.h"
#include "flow/pipeline.h"

struct arguments {
    const char *file;
    bool simulated;
    struct peers_values peers;
    struct conf_tap tap;
    struct conf_overrides overrides;
    struct app_list set;
};

struct texts { /* of options that have a value */
    const char *limit, *duration, *lanes, *memory;
};

static int parse_values(const struct texts *texts, struct arguments *arguments)
{
    long long value = 0;
    if (texts->limit) {
        if (app_count("--limit", texts->limit, 1, INT64_MAX, &value) < 0)
            return APP_USAGE;
        arguments->tap.limit = value;
    }
    if (texts->duration) {
        if (app_time("--duration", texts->duration, &value) < 0)
            return APP_USAGE;
        arguments->overrides.duration = value;
    }
    if (texts->lanes) {
        if (app_count("--lanes", texts->lanes, 1, 1024, &value) < 0)
            return APP_USAGE;
        arguments->overrides.lanes = value;
    }
    if (texts->memory) {
        if (app_size("--memory", texts->memory, &value) < 0)
            return APP_USAGE;
        arguments->overrides.memory = value;
    }
    return -1;
}

/* -1: go on; else the exit code. */
static int parse_arguments(int argc, char **argv, struct arguments *arguments)
{
    struct texts texts = {0};
    const struct app_option options[] = {
        {"format", 0, "FORMAT", "table, ndjson, csv, influx or frame (default: a table on a terminal, else ndjson)",
         .value = &arguments->tap.format},
        {"limit", 0, "N", "end after N records were shown", .value = &texts.limit},
        {"where", 0, "EXPR", "only records for which this holds: \"abs(z) > 3\"", .value = &arguments->tap.where},
        {"keep-sinks", 0, NULL, "run the pipeline's own sinks too", .flag = &arguments->tap.keep_sinks},
        {"duration", 0, "TIME", "end after this long: 30s, 5min", .value = &texts.duration},
        {"set", 0, "PATH=VALUE", "another value for an option; may be repeated", .list = &arguments->set},
        {"lanes", 0, "N", "worker threads (default: one for each processor)", .value = &texts.lanes},
        {"memory", 0, "SIZE", "memory that the run may use: 96MiB", .value = &texts.memory},
        {"simulated", 0, NULL, "on one thread and a simulated clock: the same each time",
         .flag = &arguments->simulated},
        PEERS_OPTIONS(&arguments->peers),
        {.name = NULL},
    };
    const struct app_usage usage = {
        .synopsis = "tap FILE PART",
        .summary = "Runs a pipeline and shows the records that leave a source or a stage, or come to a sink.",
        .description =
            "Only what leads to that part is run, and nothing is stored, unless --keep-sinks is given. weir check\n"
            "FILE draws the parts and their names. A table fits the terminal: \"…\" stands for what did not.",
        .options = options,
        .operands_least = 2,
        .operands_most = 2,
    };
    int operands = 0;
    int code = app_parse(&usage, argc, argv, &operands);
    if (code >= 0)
        return code;
    arguments->file = argv[1];
    arguments->tap.part = argv[2];
    arguments->overrides.tap = &arguments->tap;
    arguments->overrides.set = arguments->set.values;
    return parse_values(&texts, arguments);
}

static void take_notice(void *owner, const char *line)
{
    status_notice(owner, line);
}

/* An empty screen needs a reason; it may be a failure: the exit code. */
static int explain_nothing(const struct arguments *arguments, struct pipeline *pipeline, bool interrupted)
{
    struct weir_error error = {0};
    struct pipeline_snapshot *snapshot = NULL;
    if (pipeline_snapshot(pipeline, &snapshot) < 0)
        return APP_OK;
    uint64_t shown = 0;
    int code = delivery_check(snapshot, interrupted, &error) < 0 ? app_report(&error) : APP_OK;
    for (uint32_t i = 0; i < snapshot->part_count; i++) {
        if (snapshot->parts[i].part->kind == WEIR_SINK && strncmp(snapshot->parts[i].name, "tap", 3) == 0)
            shown += snapshot->parts[i].records_in;
    }
    if (shown == 0)
        app_say("nothing to show%s: no record%s left %s (%llu were read, %llu filtered, %llu refused)",
                interrupted ? " until the signal" : "", arguments->tap.where ? " for which --where holds" : "",
                arguments->tap.part, (unsigned long long)snapshot->records_in,
                (unsigned long long)snapshot->records_filtered, (unsigned long long)snapshot->records_refused);
    pipeline_snapshot_free(snapshot);
    return code;
}

static int run_pipeline(const struct arguments *arguments, const struct plan *plan, struct signals *signals,
                        struct status *status, struct peers *peers)
{
    struct pipeline_options options = {
        .simulated = arguments->simulated, .seed = plan->seed, .notice = take_notice, .owner = status};
    struct weir_error error = {0};
    struct pipeline *pipeline = NULL;
    peers_offer(peers, &options);
    if (pipeline_open(plan, &options, &pipeline, &error) < 0)
        return app_report(&error);
    signals_attach(signals, pipeline);
    int code = APP_OK, started = pipeline_start(pipeline);
    if (started < 0) {
        app_say("the pipeline could not be started: %s", strerror(-started));
        code = APP_FAILED;
    } else {
        while (!pipeline_wait(pipeline, INT64_MAX))
            ;
        if (atomic_load(&signals->received) > 1) {
            code = APP_INTERRUPTED;
        } else if (pipeline_result(pipeline, &error) < 0) {
            code = app_report(&error);
            code = error.mark.file ? code : APP_FAILED;
        } else {
            code = explain_nothing(arguments, pipeline, atomic_load(&signals->received) > 0);
        }
    }
    signals_end(signals);
    pipeline_close(pipeline);
    return code;
}

int cmd_tap(int argc, char **argv)
{
    struct arguments arguments = {0};
    struct signals signals = {0};
    struct status status;
    struct plan *plan = NULL;
    struct peers *peers = NULL;
    struct weir_error error = {0};
    int code = parse_arguments(argc, argv, &arguments);
    if (code >= 0)
        return code;
    if (conf_load(arguments.file, &arguments.overrides, &plan, &error) < 0) {
        (void)app_report(&error);
        return APP_USAGE;
    }
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    status_init(&status, false);
    int failed = signals_start(&signals, &status);
    if (failed < 0) {
        app_say("signals cannot be handled: %s", strerror(-failed));
        code = APP_FAILED;
    } else {
        code = peers_new(&arguments.peers, arguments.simulated, plan->seed, &peers);
        code = code == APP_OK ? run_pipeline(&arguments, plan, &signals, &status, peers) : code;
    }
    peers_free(peers);
    signals_end(&signals);
    plan_free(plan);
    return code;
}
