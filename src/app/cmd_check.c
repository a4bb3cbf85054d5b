/* SPDX-License-Identifier: MIT */
/* weir check: is this configuration right, and what does it mean? Nothing is opened but the beginning of data files. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app/app.h"
#include "app/columns.h"
#include "app/draw.h"
#include "app/sample.h"
#include "base/buffer.h"
#include "base/memory.h"
#include "conf/conf.h"
#include "conf/option.h"
#include "flow/pipeline.h"
#include "serve/server.h"

struct arguments {
    const char *file;
    bool json, quiet;
    struct conf_overrides overrides;
    struct app_list set;
};

/* ---- The parts ------------------------------------------------------------------------------------------------- */

static void add_from(struct weir_buffer *out, const struct plan *plan, const struct plan_node *node)
{
    for (uint32_t i = 0; i < node->from_count; i++)
        buffer_format(out, "%s%s", i ? ", " : " from ", plan->nodes[node->from[i]].name);
}

static void add_options(struct weir_buffer *out, const struct plan_node *node)
{
    for (const struct weir_option *option = node->part->options; option && option->type != WEIR_OPTION_END; option++) {
        char *text = conf_option_text(option, node->options);
        if (!text)
            out->failed = true;
        else if (*text)
            buffer_format(out, "    %-12s %s%s\n", option->name, text,
                          conf_option_is_default(option, node->options) ? "  (default)" : "");
        memory_free(text);
    }
}

static void add_columns(struct weir_buffer *out, const struct weir_schema *schema)
{
    if (!schema) {
        buffer_string(out, "    -> types not known yet: they come with the first records\n");
        return;
    }
    buffer_string(out, "    ->");
    for (uint32_t i = 0; i < schema->count; i++)
        buffer_format(out, "%s %s %s%s%s", i ? "," : "", schema->fields[i].name, weir_type_name(schema->fields[i].type),
                      schema->time == (int32_t)i ? " (time)" : "", schema->key == (int32_t)i ? " (key)" : "");
    buffer_string(out, "\n");
}

static void add_parts(struct weir_buffer *out, const struct plan *plan, struct weir_schema **schemas)
{
    static const char *const policies[] = {"block", "drop_newest", "drop_oldest"};
    for (uint32_t i = 0; i < plan->count; i++) {
        const struct plan_node *node = &plan->nodes[i];
        char size[48];
        buffer_format(out, "\n  %s %s", app_kind_name(node->part->kind), node->name);
        if (strcmp(node->name, node->part->name) != 0)
            buffer_format(out, " (%s)", node->part->name);
        add_from(out, plan, node);
        buffer_string(out, "\n");
        add_options(out, node);
        if (node->part->kind != WEIR_STAGE && (node->part->kind == WEIR_SINK || node->when_full))
            buffer_format(out, "    %-12s %s\n", "when_full", policies[node->when_full]);
        if (node->queue_bytes)
            buffer_format(out, "    %-12s %s\n", "queue", option_show_size(node->queue_bytes, size, sizeof size));
        if (node->watermark_delay)
            buffer_format(out, "    %-12s %s\n", "watermark",
                          option_show_duration(node->watermark_delay, size, sizeof size));
        if (node->idle_timeout)
            buffer_format(out, "    %-12s %s\n", "idle", option_show_duration(node->idle_timeout, size, sizeof size));
        if (node->part->kind != WEIR_SINK)
            add_columns(out, schemas[i]);
    }
}

/* ---- How it runs ----------------------------------------------------------------------------------------------- */

/* What is made for each stage on each lane (its expressions, schemas, columns) is not in the budget; of few of them it
 * is within the 32 MiB that a run may take beside it. Measured: 800 `derive`, `rolling` and `filter` stages
 * on 1 to 4 lanes. */
enum { INSTANCES_MANY = 2000, INSTANCE_MIB_256 = 1 };

static uint64_t count_stages(const struct plan *plan)
{
    uint64_t stages = 0;
    for (uint32_t i = 0; i < plan->count; i++)
        stages += plan->nodes[i].part->kind == WEIR_STAGE;
    return stages;
}

static void add_run(struct weir_buffer *out, const struct plan *plan)
{
    char text[48];
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    buffer_string(out, "\n  run\n");
    if (plan->lanes)
        buffer_format(out, "    %-12s %" PRIu32 "\n", "lanes", plan->lanes);
    else
        buffer_format(out, "    %-12s auto: %ld on this machine\n", "lanes", processors > 0 ? processors : 1);
    uint64_t batches, state;
    char batches_text[48], state_text[48];
    pipeline_share((uint64_t)plan->memory, &batches, &state);
    buffer_format(out, "    %-12s %s: %s for records on their way, %s for the state of keys and symbols\n", "memory",
                  option_show_size(plan->memory, text, sizeof text),
                  option_show_size((int64_t)batches, batches_text, sizeof batches_text),
                  option_show_size((int64_t)state, state_text, sizeof state_text));
    uint64_t instances = count_stages(plan) * (plan->lanes ? plan->lanes : processors > 0 ? (uint64_t)processors : 1);
    if (instances > INSTANCES_MANY)
        buffer_format(out, "    %-12s %" PRIu64 ", each on its lane: they take some %s beside `memory`\n", "instances",
                      instances,
                      option_show_size((int64_t)(instances * INSTANCE_MIB_256 / 256) << 20, text, sizeof text));
    if (plan->batch)
        buffer_format(out, "    %-12s %" PRId64 "\n", "batch", plan->batch);
    else
        buffer_format(out, "    %-12s auto\n", "batch");
    buffer_format(out, "    %-12s %s\n", "linger", option_show_duration(plan->linger, text, sizeof text));
    if (plan->limit)
        buffer_format(out, "    %-12s %" PRId64 " records\n", "limit", plan->limit);
    if (plan->duration)
        buffer_format(out, "    %-12s %s\n", "duration", option_show_duration(plan->duration, text, sizeof text));
    buffer_format(out, "    %-12s %" PRIu64 "\n", "seed", plan->seed);
}

static void add_goals(struct weir_buffer *out, const struct plan *plan)
{
    bool any = false;
    for (const struct weir_option *option = conf_goal_options; option->type != WEIR_OPTION_END; option++) {
        char *text = conf_option_text(option, &plan->goals);
        bool given = text && *text;
        if (given)
            buffer_format(out, "%s    %-12s %s\n", any ? "" : "\n  goals\n", option->name, text);
        any = any || given;
        memory_free(text);
    }
    if (plan->serve.listen)
        buffer_format(out, "\n  serve\n    %-12s %s%s\n", "listen", plan->serve.listen,
                      server_available() ? "" : " (this weir was built without libmicrohttpd: it will not run)");
}

/* ---- JSON ------------------------------------------------------------------------------------------------------ */

static void add_json_text(struct weir_buffer *out, const char *text)
{
    buffer_json_string(out, text, strlen(text));
}

static void add_json_node(struct weir_buffer *out, const struct plan *plan, const struct plan_node *node,
                          const struct weir_schema *schema)
{
    bool first = true;
    buffer_string(out, "{\"name\": ");
    add_json_text(out, node->name);
    buffer_format(out, ", \"kind\": \"%s\", \"type\": \"%s\", \"from\": [", app_kind_name(node->part->kind),
                  node->part->name);
    for (uint32_t i = 0; i < node->from_count; i++) {
        buffer_string(out, i ? ", " : "");
        add_json_text(out, plan->nodes[node->from[i]].name);
    }
    buffer_string(out, "], \"options\": {");
    for (const struct weir_option *option = node->part->options; option && option->type != WEIR_OPTION_END; option++) {
        char *text = conf_option_text(option, node->options);
        if (text && *text) {
            buffer_format(out, "%s\"%s\": ", first ? "" : ", ", option->name);
            add_json_text(out, text);
            first = false;
        }
        memory_free(text);
    }
    buffer_string(out, schema ? "}, \"columns\": [" : "}, \"columns\": null");
    for (uint32_t i = 0; schema && i < schema->count; i++) {
        buffer_string(out, i ? ", {\"name\": " : "{\"name\": ");
        add_json_text(out, schema->fields[i].name);
        buffer_format(out, ", \"type\": \"%s\"}", weir_type_name(schema->fields[i].type));
    }
    buffer_string(out, schema ? "]}" : "}");
}

static void add_json(struct weir_buffer *out, const struct plan *plan, struct weir_schema **schemas)
{
    buffer_string(out, "{\"parts\": [");
    for (uint32_t i = 0; i < plan->count; i++) {
        buffer_string(out, i ? ",\n  " : "\n  ");
        add_json_node(out, plan, &plan->nodes[i], schemas[i]);
    }
    buffer_format(out, "],\n \"run\": {\"lanes\": %" PRIu32 ", \"memory\": %" PRId64 ", \"batch\": %" PRId64,
                  plan->lanes, plan->memory, plan->batch);
    buffer_format(out,
                  ", \"linger_seconds\": %.9g, \"limit\": %" PRId64 ", \"duration_seconds\": %.9g, \"seed\": %" PRIu64
                  "}}\n",
                  (double)plan->linger / 1e9, plan->limit, (double)plan->duration / 1e9, plan->seed);
}

/* ---- The command ----------------------------------------------------------------------------------------------- */

static int parse(struct arguments *arguments, int argc, char **argv)
{
    const char *lanes = NULL, *memory = NULL, *limit = NULL, *duration = NULL;
    int operands = 0;
    const struct app_option options[] = {
        {.name = "json", .help = "the resolved configuration as one JSON object", .flag = &arguments->json},
        {.name = "quiet", .letter = 'q', .help = "say nothing when all is well", .flag = &arguments->quiet},
        {.name = "to",
         .argument = "TYPE",
         .help = "as if all sinks were one of this type",
         .value = &arguments->overrides.to},
        {.name = "limit", .argument = "N", .help = "as if run.limit were N", .value = &limit},
        {.name = "duration", .argument = "TIME", .help = "as if run.duration were TIME", .value = &duration},
        {.name = "lanes", .argument = "N", .help = "as if run.lanes were N", .value = &lanes},
        {.name = "memory", .argument = "SIZE", .help = "as if run.memory were SIZE", .value = &memory},
        {.name = "set",
         .argument = "PATH=VALUE",
         .help = "as if PATH (run.batch, stages.NAME.OPTION) were VALUE",
         .list = &arguments->set},
        {.name = NULL},
    };
    const struct app_usage usage = {
        .synopsis = "check FILE",
        .summary = "Validates a configuration, draws its graph, and shows what every option resolves to.",
        .description =
            "Nothing runs and nothing is written. Where a data file can be read, its beginning tells the columns,\n"
            "and the stages are checked against them. FILE may be - for stdin.",
        .options = options,
        .operands_least = 1,
        .operands_most = 1,
    };
    int status = app_parse(&usage, argc, argv, &operands);
    if (status >= 0)
        return status;
    long long numbers[4] = {0};
    if ((lanes && app_count("--lanes", lanes, 1, 256, &numbers[0]) < 0) ||
        (limit && app_count("--limit", limit, 1, INT64_MAX, &numbers[1]) < 0) ||
        (memory && app_size("--memory", memory, &numbers[2]) < 0) ||
        (duration && app_time("--duration", duration, &numbers[3]) < 0))
        return APP_USAGE;
    arguments->overrides.lanes = numbers[0];
    arguments->overrides.limit = numbers[1];
    arguments->overrides.memory = numbers[2];
    arguments->overrides.duration = numbers[3];
    arguments->overrides.set = arguments->set.values;
    arguments->file = argv[1];
    return -1;
}

/* No mistake of the configuration's: the data may come later, or the run be started elsewhere. */
static void tell_missing(const struct plan_node *node)
{
    const char *path = node->part->kind == WEIR_SOURCE ? sample_missing(node) : NULL;
    if (path)
        app_say("%s: there is no file %s here yet (paths are taken from the folder weir is run in)", node->name, path);
}

static int show(const struct arguments *arguments, const struct plan *plan, struct weir_schema **schemas)
{
    struct weir_buffer out = {0};
    if (arguments->json) {
        add_json(&out, plan, schemas);
    } else if (!arguments->quiet) {
        draw_plan(plan, &out);
        add_parts(&out, plan, schemas);
        add_run(&out, plan);
        add_goals(&out, plan);
    }
    int code = app_put(stdout, &out);
    for (uint32_t i = 0; i < plan->count && code == APP_OK; i++)
        tell_missing(&plan->nodes[i]);
    if (code == APP_OK && !arguments->quiet && !arguments->json)
        fprintf(stderr, "%s is right\n", strcmp(arguments->file, "-") == 0 ? "stdin" : arguments->file);
    return code;
}

int cmd_check(int argc, char **argv)
{
    struct arguments arguments = {0};
    struct weir_error error = {0};
    struct plan *plan = NULL;
    int status = parse(&arguments, argc, argv);
    if (status >= 0)
        return status;
    if (conf_load(arguments.file, &arguments.overrides, &plan, &error) < 0) {
        (void)app_report(&error);
        return APP_USAGE;
    }
    struct weir_schema **schemas = memory_zeroed(plan->count, sizeof *schemas);
    if (!schemas) {
        app_say("out of memory");
        status = APP_FAILED;
    } else if (columns_check(plan, schemas, &error) < 0) {
        status = app_report(&error);
    } else {
        status = show(&arguments, plan, schemas);
    }
    if (schemas)
        columns_free(plan, schemas);
    memory_free(schemas);
    plan_free(plan);
    return status;
}
