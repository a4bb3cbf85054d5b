/* SPDX-License-Identifier: MIT */
#include "conf/conf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/memory.h"
#include "conf/graph.h"
#include "conf/option.h"
#include "conf/tree.h"

enum { LANES_MAX = 256, MEMORY_LEAST = 16 << 20 };

static const char *const sections[] = {"sources", "stages", "sinks", "goals", "run", "serve", NULL};

/* ---- goals, run and serve
 * --------------------------------------------------------------------------------------------- */

#define GOAL(field, words)                                                                                             \
    {                                                                                                                  \
        .name = #field, .type = WEIR_OPTION_DURATION, .offset = offsetof(struct plan_goals, field), .least = 1,        \
        .most = 0x1p62, .help = words                                                                                  \
    }

const struct weir_option conf_goal_options[] = {
    GOAL(latency_p50, "half of the records are stored within this time"),
    GOAL(latency_p90, "90 % of the records are stored within this time"),
    GOAL(latency_p99, "99 % of the records are stored within this time"),
    GOAL(latency_p999, "99.9 % of the records are stored within this time"),
    GOAL(latency_max, "every record is stored within this time"),
    GOAL(max_lag, "the oldest record not yet stored is never older than this"),
    {.name = "rate",
     .type = WEIR_OPTION_RATE,
     .offset = offsetof(struct plan_goals, rate),
     .least = 1e-9,
     .most = 1e15,
     .help = "at least so many records are read per second"},
    {.type = WEIR_OPTION_END},
};

const struct weir_option conf_serve_options[] = {
    {.name = "listen",
     .type = WEIR_OPTION_STRING,
     .offset = offsetof(struct plan_serve, listen),
     .help = "address and port for /metrics, /healthz and /readyz, such as 127.0.0.1:9600; port 0: any that is free"},
    {.type = WEIR_OPTION_END},
};

struct run_settings {
    int64_t lanes, memory, batch, linger, limit, duration, seed;
};
#define RUN(field) .name = #field, .offset = offsetof(struct run_settings, field)

const struct weir_option conf_run_options[] = {
    {RUN(lanes), .type = WEIR_OPTION_INTEGER, .fallback = "auto", .least = 1, .most = LANES_MAX,
     .help = "worker threads; auto is one for each processor"},
    {RUN(memory), .type = WEIR_OPTION_SIZE, .fallback = "256MiB", .least = MEMORY_LEAST, .most = 0x1p50,
     .help = "what records, queues and the state of keys may take together"},
    {RUN(batch), .type = WEIR_OPTION_INTEGER, .fallback = "auto", .least = 1, .most = 1 << 20,
     .help = "most records in a batch; auto adapts to the load"},
    {RUN(linger), .type = WEIR_OPTION_DURATION, .fallback = "5ms", .least = 0, .most = 3600e9,
     .help = "how long a batch that is not full may wait for more records"},
    {RUN(limit), .type = WEIR_OPTION_INTEGER, .least = 1, .most = 0x1p62,
     .help = "stop after so many records were read"},
    {RUN(duration), .type = WEIR_OPTION_DURATION, .least = 1, .most = 0x1p62, .help = "stop after this time"},
    {RUN(seed), .type = WEIR_OPTION_INTEGER, .fallback = "1", .least = 0, .most = 0x1p62,
     .help = "what chance begins with, so that a run can be repeated"},
    {.type = WEIR_OPTION_END},
};

static int check_map(struct conf *conf, const struct tree *value, const char *name)
{
    if (!value || value->kind == TREE_MAP || tree_is_null(value))
        return 0;
    return conf_fail(conf, value, NULL, "%s is a map (key: value)", name);
}

static int read_settings(struct conf *conf, const struct tree *root, struct plan *plan)
{
    const struct tree *goals = tree_find(root, "goals"), *run = tree_find(root, "run");
    const struct tree *serve = tree_find(root, "serve");
    struct run_settings settings = {0};
    struct option_target target = {.what = "goals", .table = conf_goal_options, .base = &plan->goals, .at = root};
    int error = check_map(conf, goals, "goals");
    if (!error)
        error = check_map(conf, run, "run");
    if (!error)
        error = check_map(conf, serve, "serve");
    if (!error)
        error = option_fill(conf, &target, goals);
    target.what = "run";
    target.table = conf_run_options;
    target.base = &settings;
    if (!error)
        error = option_fill(conf, &target, run);
    target.what = "serve";
    target.table = conf_serve_options;
    target.base = &plan->serve;
    if (!error)
        error = option_fill(conf, &target, serve);
    plan->lanes = (uint32_t)settings.lanes;
    plan->memory = settings.memory;
    plan->batch = settings.batch;
    plan->linger = settings.linger;
    plan->limit = settings.limit;
    plan->duration = settings.duration;
    plan->seed = (uint64_t)settings.seed;
    return error;
}

static int override(struct conf *conf, struct plan *plan)
{
    const struct conf_overrides *overrides = conf->overrides;
    if (!overrides)
        return 0;
    if (overrides->lanes > LANES_MAX)
        return weir_fail(conf->error, -EINVAL, "--lanes: at most %d", LANES_MAX);
    if (overrides->memory > 0 && overrides->memory < MEMORY_LEAST)
        return weir_fail(conf->error, -EINVAL, "--memory: at least %dMiB", MEMORY_LEAST >> 20);
    if (overrides->limit > 0)
        plan->limit = overrides->limit;
    if (overrides->duration > 0)
        plan->duration = overrides->duration;
    if (overrides->lanes > 0)
        plan->lanes = (uint32_t)overrides->lanes;
    if (overrides->memory > 0)
        plan->memory = overrides->memory;
    return 0;
}

/* ---- --set run.…, goals.… and serve.…
 * ----------------------------------------------------------------------------------- */

static int set_in_section(struct conf *conf, struct tree *root, const struct tree *place, const char *section,
                          const char *key, const char *text)
{
    struct tree *map = tree_find(root, section), *value;
    if (!map || map->kind != TREE_MAP) {
        map = arena_allocate(conf->arena, sizeof *map);
        if (!map)
            return conf_no_memory(conf);
        *map = (struct tree){.kind = TREE_MAP, .text = place->text, .line = 1, .column = 1, .width = 1};
        if (tree_set(conf, root, section, map) < 0)
            return conf_no_memory(conf);
    }
    value = tree_scalar(conf, place, text);
    return value ? tree_set(conf, map, key, value) : conf_no_memory(conf);
}

static int apply_set(struct conf *conf, struct tree *root, const char *set)
{
    struct tree_text *text = arena_allocate(conf->arena, sizeof *text);
    if (!text)
        return conf_no_memory(conf);
    *text = (struct tree_text){.name = "--set", .data = set, .size = strlen(set)};
    struct tree place = {.kind = TREE_SCALAR, .text = text, .line = 1, .column = 1, .width = (int)strlen(set)};
    const char *equals = strchr(set, '='), *dot = strchr(set, '.');
    if (!equals || !dot || dot > equals)
        return conf_fail(conf, &place, "write --set section.key=value, for example --set run.lanes=2",
                         "this sets nothing");
    char *section = arena_text(conf->arena, set, (size_t)(dot - set));
    char *key = arena_text(conf->arena, dot + 1, (size_t)(equals - dot) - 1);
    if (!section || !key)
        return conf_no_memory(conf);
    if (strcmp(section, "run") == 0 || strcmp(section, "goals") == 0 || strcmp(section, "serve") == 0)
        return set_in_section(conf, root, &place, section, key, equals + 1);
    for (size_t i = 0; sections[i]; i++) {
        if (strcmp(section, sections[i]) == 0)
            return 0; /* entry.c */
    }
    struct tree *word = tree_scalar(conf, &place, section);
    if (!word)
        return conf_no_memory(conf);
    word->width = (int)strlen(section);
    return conf_fail_unknown(conf, word, sections, "there is no section \"%.60s\"", section);
}

/* ---- The whole file -------------------------------------------------------------------------------------------- */

static int check_sections(struct conf *conf, const struct tree_text *text, const struct tree *root)
{
    static const char example[] =
        "it has the sections sources, stages, sinks, goals, run and serve; weir init DATA.csv writes one";
    if (!root || tree_is_null(root)) {
        struct tree top = {.text = text, .line = 1, .column = 1, .width = 1};
        return conf_fail(conf, &top, example, "this configuration is empty");
    }
    if (root->kind != TREE_MAP)
        return conf_fail(conf, root, example, "this is no configuration of a pipeline");
    for (const struct tree_item *item = root->items; item; item = item->next) {
        size_t i = 0;
        while (sections[i] && strcmp(item->key->value, sections[i]) != 0)
            i++;
        if (!sections[i])
            return conf_fail_unknown(conf, item->key, sections, "there is no section \"%.60s\"", item->key->value);
    }
    return 0;
}

static int read_plan(struct conf *conf, const struct tree_text *text, struct plan *plan)
{
    struct tree *root = NULL;
    const struct conf_overrides *overrides = conf->overrides;
    int error = tree_parse(conf, text, &root);
    if (!error)
        error = check_sections(conf, text, root);
    for (size_t i = 0; !error && overrides && overrides->set && overrides->set[i]; i++)
        error = apply_set(conf, root, overrides->set[i]);
    if (!error)
        error = graph_read(conf, root, plan);
    if (!error)
        error = read_settings(conf, root, plan);
    if (!error)
        error = override(conf, plan);
    return error;
}

/* A name of a text that was not the file but something on the command line. */
static const char *lasting_name(const char *name)
{
    static const char *const names[] = {"--to", "tap", "--where", "--format", "--limit"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(name, names[i]) == 0)
            return names[i];
    }
    return "--set";
}

int conf_parse(const char *name, const char *text, size_t size, const struct conf_overrides *overrides,
               struct plan **ret, struct weir_error *error)
{
    struct weir_error ignored = {0};
    struct arena *arena = arena_new();
    struct conf conf = {.arena = arena, .error = error ? error : &ignored, .overrides = overrides};
    struct plan *plan = memory_zeroed(1, sizeof *plan);
    struct tree_text *source = arena ? arena_allocate(arena, sizeof *source) : NULL;
    int code = 0;
    if (!plan || !source) {
        code = conf_no_memory(&conf);
    } else {
        plan->arena = arena;
        if (size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
            text += 3;
            size -= 3;
        }
        /* Marks in the plan point to the name, messages quote the text. */
        *source = (struct tree_text){.name = arena_text(arena, name, strlen(name)), .data = text, .size = size};
        code = source->name ? read_plan(&conf, source, plan) : conf_no_memory(&conf);
    }
    if (code == 0) {
        *ret = plan;
        return 0;
    }
    /* The error may outlive the arena that holds the file's name. */
    if (conf.error->mark.file && source && conf.error->mark.file == source->name)
        conf.error->mark.file = name;
    else if (conf.error->mark.file)
        conf.error->mark.file = lasting_name(conf.error->mark.file);
    memory_free(plan);
    arena_free(arena);
    return code;
}

void plan_free(struct plan *plan)
{
    if (!plan)
        return;
    arena_free(plan->arena);
    memory_free(plan);
}

/* ---- Loading --------------------------------------------------------------------------------------------------- */

static int read_all(int descriptor, const char *path, struct weir_buffer *text, struct weir_error *error)
{
    for (;;) {
        char *room = buffer_reserve(text, 64 * 1024);
        if (!room)
            return weir_fail(error, -ENOMEM, "out of memory while reading %s", path);
        ssize_t got = read(descriptor, room, 64 * 1024);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return weir_fail(error, -errno, "cannot read %s: %s", path, strerror(errno));
        if (got == 0)
            return 0;
        text->size += (size_t)got;
        if (text->size > CONF_FILE_MAX)
            return weir_fail(error, -EFBIG, "%s is over %d MiB: is it a configuration?", path, CONF_FILE_MAX >> 20);
    }
}

bool conf_is_data(const char *path)
{
    static const char *const endings[] = {".csv", ".tsv", ".ndjson", ".jsonl"};
    const char *dot = strrchr(path, '.');
    for (size_t i = 0; dot && i < sizeof endings / sizeof *endings; i++) {
        if (strcasecmp(dot, endings[i]) == 0)
            return true;
    }
    return false;
}

static int open_file(const char *path, struct weir_error *error)
{
    struct stat status;
    if (conf_is_data(path))
        return weir_fail(error, -EINVAL,
                         "%s is data, by its name, and no configuration; weir init %s > mine.yaml writes one for it",
                         path, path);
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0 && errno == ENOENT)
        return weir_fail(error, -ENOENT,
                         "cannot open %s: there is no such file; weir init DATA.csv > %s writes a first one", path,
                         path);
    if (descriptor < 0)
        return weir_fail(error, -errno, "cannot open %s: %s", path, strerror(errno));
    if (fstat(descriptor, &status) == 0 && S_ISDIR(status.st_mode)) {
        close(descriptor);
        return weir_fail(error, -EISDIR, "%s is a folder: name a configuration file in it", path);
    }
    return descriptor;
}

int conf_load(const char *path, const struct conf_overrides *overrides, struct plan **ret, struct weir_error *error)
{
    bool standard = strcmp(path, "-") == 0;
    struct weir_buffer text = {0};
    int descriptor = standard ? STDIN_FILENO : open_file(path, error);
    if (descriptor < 0)
        return descriptor;
    int code = read_all(descriptor, path, &text, error);
    if (!standard)
        close(descriptor);
    if (code == 0)
        code = conf_parse(standard ? "stdin" : path, text.data ? text.data : "", text.size, overrides, ret, error);
    buffer_free(&text);
    return code;
}
