/* SPDX-License-Identifier: MIT */
#include "conf/graph.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "conf/conf.h"
#include "conf/entry.h"
#include "conf/option.h"

/* ---- from: who reads whom -------------------------------------------------------------------------------------- */

/* "filter" where there are filter_1 and filter_2 says too little. */
static int fail_from(struct conf *conf, const struct entries *entries, const struct tree *from)
{
    const char *names[CONF_NODES_MAX + 1];
    size_t count = 0;
    char hint[400] = "name the one you mean: ";
    uint32_t alike = 0;
    for (uint32_t i = 0; i < entries->count; i++) {
        const struct entry *entry = &entries->items[i];
        if (entry->kind == WEIR_SINK && tree_is(from, entry->name))
            return conf_fail(conf, from, NULL, "\"%s\" is a sink: nothing can be read from it", entry->name);
        if (entry->kind == WEIR_SINK)
            continue;
        names[count++] = entry->name;
        if (!entry->unnamed || !tree_is(from, entry->part->name))
            continue;
        size_t used = strlen(hint);
        snprintf(hint + used, sizeof hint - used, "%s%s (line %d)", alike ? ", " : "", entry->name, entry->at->line);
        alike++;
    }
    names[count] = NULL;
    if (alike > 1) {
        size_t used = strlen(hint);
        snprintf(hint + used, sizeof hint - used, "; or give it a name of its own: {name: …}");
        return conf_fail(conf, from, hint, "\"%.60s\" could be any of %u parts", from->value, alike);
    }
    return conf_fail_unknown(conf, from, names, "nothing is called \"%.60s\"", from->value);
}

static int add_from(struct conf *conf, const struct entries *entries, struct entry *entry, const struct tree *from)
{
    if (from->kind != TREE_SCALAR)
        return conf_fail(conf, from, "write from: name, or from: [one, two]", "a name is missing");
    for (uint32_t i = 0; i < entries->count; i++) {
        const struct entry *other = &entries->items[i];
        if (other->kind == WEIR_SINK || !tree_is(from, other->name))
            continue;
        if (other == entry)
            return conf_fail(conf, from, NULL, "\"%s\" cannot read from itself", entry->name);
        for (uint32_t j = 0; j < entry->from_count; j++) {
            if (entry->from[j] == i)
                return conf_fail(conf, from, NULL, "\"%s\" is named twice", other->name);
        }
        entry->from[entry->from_count++] = i;
        return 0;
    }
    return fail_from(conf, entries, from);
}

static int add_all_froms(struct conf *conf, const struct entries *entries, struct entry *entry, const struct tree *from)
{
    if (from->kind == TREE_SCALAR)
        return add_from(conf, entries, entry, from);
    if (from->kind == TREE_MAP || from->count == 0)
        return conf_fail(conf, from, "write from: name, or from: [one, two]", "a name is missing");
    int error = 0;
    for (const struct tree_item *item = from->items; item && !error; item = item->next)
        error = add_from(conf, entries, entry, item->value);
    return error;
}

/* A stage reads the one before it, the first one all sources; a sink reads the last stage. */
static void add_default_from(const struct entries *entries, struct entry *entry)
{
    uint32_t self = (uint32_t)(entry - entries->items);
    bool chained = entry->kind == WEIR_STAGE ? self > entries->sources : entries->last_stage != UINT32_MAX;
    if (chained) {
        entry->from[entry->from_count++] = entry->kind == WEIR_STAGE ? self - 1 : entries->last_stage;
        return;
    }
    for (uint32_t i = 0; i < entries->sources; i++)
        entry->from[entry->from_count++] = i;
}

/* A stage that tells its inputs apart needs to be told which they are. */
static int check_inputs(struct conf *conf, const struct entry *entry, const struct tree *from)
{
    const struct weir_stage *stage = (const void *)entry->part; /* the head is its first member */
    if (entry->kind != WEIR_STAGE || !stage->inputs || entry->from_count == stage->inputs)
        return 0;
    const char *hint = stage->inputs == 2 ? "write from: [left, right]" : "write from: [one, another, …]";
    return conf_fail(conf, from && !tree_is_null(from) ? from : entry->at, hint,
                     "a %s reads from %u parts, one for each side, and here it reads from %u", entry->part->name,
                     stage->inputs, entry->from_count);
}

static int wire(struct conf *conf, struct entries *entries)
{
    int error = 0;
    for (uint32_t i = entries->sources; i < entries->count && !error; i++) {
        struct entry *entry = &entries->items[i];
        const struct tree *from = tree_find(entry->values, "from");
        if (entry->side)
            continue;
        const size_t named = from && from->kind != TREE_SCALAR ? from->count : 1;
        const size_t most = named > entries->sources ? named : entries->sources; /* what all read who say nothing */
        entry->from = arena_allocate(conf->arena, (most + 1) * sizeof *entry->from);
        if (!entry->from)
            return conf_no_memory(conf);
        if (from && !tree_is_null(from))
            error = add_all_froms(conf, entries, entry, from);
        else
            add_default_from(entries, entry);
        if (!error)
            error = check_inputs(conf, entry, from);
    }
    return error;
}

/* ---- Order ----------------------------------------------------------------------------------------------------- */

/* Nothing more can be placed, so every part left reads from one that is left: follow that back until one repeats. */
static int fail_loop(struct conf *conf, const struct entries *entries, const uint32_t *place)
{
    uint32_t at = 0, steps = 0, loop[CONF_NODES_MAX + 1], length = 0;
    char text[400] = "";
    while (place[at] != UINT32_MAX)
        at++;
    for (; steps <= 2 * entries->count; steps++) { /* once round to be in the loop, once more to write it down */
        const struct entry *entry = &entries->items[at];
        if (steps >= entries->count) {
            if (length > 0 && loop[0] == at)
                break;
            loop[length++] = at;
        }
        for (uint32_t j = 0; j < entry->from_count; j++) {
            if (place[entry->from[j]] == UINT32_MAX) {
                at = entry->from[j];
                break;
            }
        }
    }
    for (uint32_t i = length; i-- > 0;) {
        size_t used = strlen(text);
        snprintf(text + used, sizeof text - used, "%s → ", entries->items[loop[i]].name);
    }
    const struct entry *first = &entries->items[loop[length - 1]];
    return conf_fail(conf, first->at, "change one of their from:", "these read from each other in a circle: %s%s", text,
                     first->name);
}

/* place[i] becomes the number of entry i in an order where everybody comes after those it reads. */
static int sort(struct conf *conf, const struct entries *entries, uint32_t *place)
{
    uint32_t placed = 0;
    for (uint32_t i = 0; i < entries->count; i++)
        place[i] = UINT32_MAX;
    for (bool found = true; found && placed < entries->count;) {
        found = false;
        for (uint32_t i = 0; i < entries->count; i++) {
            const struct entry *entry = &entries->items[i];
            bool ready = place[i] == UINT32_MAX;
            for (uint32_t j = 0; j < entry->from_count && ready; j++)
                ready = place[entry->from[j]] != UINT32_MAX;
            if (!ready)
                continue;
            place[i] = placed++;
            found = true;
        }
    }
    return placed == entries->count ? 0 : fail_loop(conf, entries, place);
}

/* Marks those whose records arrive in some sink. */
static void mark_used(const struct entries *entries, const uint32_t *place, bool *used)
{
    for (uint32_t number = entries->count; number-- > 0;) {
        uint32_t i = 0;
        while (place[i] != number)
            i++;
        const struct entry *entry = &entries->items[i];
        used[i] = used[i] || entry->kind == WEIR_SINK;
        for (uint32_t j = 0; j < entry->from_count && used[i]; j++)
            used[entry->from[j]] = true;
    }
}

static int check_readers(struct conf *conf, const struct entries *entries, const bool *used)
{
    for (uint32_t i = 0; i < entries->count; i++) {
        const struct entry *entry = &entries->items[i];
        bool read = used[i];
        for (uint32_t j = 0; j < entries->count && !read; j++) {
            for (uint32_t k = 0; k < entries->items[j].from_count; k++)
                read = read || entries->items[j].from[k] == i;
        }
        if (read)
            continue;
        char hint[200];
        const char *what = entry->side ? entry->part->name : entry_kind(entry->kind);
        snprintf(hint, sizeof hint, "add a sink with from: %s, or remove the %s", entry->name, what);
        return conf_fail(conf, entry->at, hint, "nothing reads from the %s \"%s\"", what, entry->name);
    }
    return 0;
}

/* ---- Nodes ----------------------------------------------------------------------------------------------------- */

static const char *const policies[] = {"block", "drop_newest", "drop_oldest", NULL};

struct edge_settings {
    int when_full;
    int64_t queue, watermark, idle;
};
static const struct weir_option edge_options[] = {
    {.name = "when_full",
     .type = WEIR_OPTION_CHOICE,
     .offset = offsetof(struct edge_settings, when_full),
     .fallback = "block",
     .choices = policies,
     .help = "what happens while what comes behind it cannot keep up"},
    {.name = "queue",
     .type = WEIR_OPTION_SIZE,
     .offset = offsetof(struct edge_settings, queue),
     .least = 64 << 10,
     .most = 0x1p40,
     .help = "how much may wait there; without it a share of the memory"},
    {.name = "watermark",
     .type = WEIR_OPTION_DURATION,
     .offset = offsetof(struct edge_settings, watermark),
     .fallback = "0s",
     .least = 0,
     .most = 0x1p62,
     .help = "sources: how much older than the newest record others may still come; windows wait that long"},
    {.name = "idle",
     .type = WEIR_OPTION_DURATION,
     .offset = offsetof(struct edge_settings, idle),
     .fallback = "0s",
     .least = 0,
     .most = 0x1p62,
     .help = "sources: after so long without a record, windows no longer wait for this source; 0s: they do"},
    {.type = WEIR_OPTION_END},
};

static int read_edge(struct conf *conf, const struct entry *entry, struct plan_node *node)
{
    struct edge_settings settings = {0};
    struct tree values = {.kind = TREE_MAP};
    int error = 0;
    if (entry->kind == WEIR_STAGE)
        return 0;
    for (size_t i = 0; edge_options[i].name && !error; i++) {
        struct tree *value = tree_find(entry->values, edge_options[i].name);
        if (value)
            error = tree_set(conf, &values, edge_options[i].name, value);
    }
    struct option_target target = {.what = entry->name, .table = edge_options, .base = &settings, .at = entry->at};
    if (!error)
        error = option_fill(conf, &target, &values);
    node->when_full = (enum plan_policy)settings.when_full;
    node->queue_bytes = settings.queue;
    node->watermark_delay = settings.watermark;
    node->idle_timeout = settings.idle;
    return error;
}

static const char *key_of(const struct entry *entry)
{
    const struct weir_option *option = option_find(entry->part->options, "key");
    if (entry->kind != WEIR_SOURCE || !option || option->type != WEIR_OPTION_COLUMN)
        return NULL;
    return ((const struct weir_quoted *)((const char *)entry->options + option->offset))->text;
}

static int make_nodes(struct conf *conf, const struct entries *entries, const uint32_t *place, const bool *used,
                      struct plan *plan)
{
    uint32_t *number = arena_allocate(conf->arena, entries->count * sizeof *number), count = 0;
    struct plan_node *nodes = arena_allocate(conf->arena, entries->count * sizeof *nodes);
    if (!number || !nodes)
        return conf_no_memory(conf);
    for (uint32_t position = 0; position < entries->count; position++) {
        uint32_t i = 0;
        while (place[i] != position)
            i++;
        const struct entry *entry = &entries->items[i];
        if (!used[i])
            continue;
        struct plan_node *node = &nodes[count];
        *node = (struct plan_node){
            .name = (char *)entry->name,
            .part = entry->part,
            .options = entry->options,
            .mark = tree_mark(entry->at),
            .from = entry->from,
            .from_count = entry->from_count,
            .key = key_of(entry),
            .side = entry->side,
        };
        for (uint32_t j = 0; j < entry->from_count; j++)
            node->from[j] = number[entry->from[j]];
        number[i] = count++;
        int error = read_edge(conf, entry, node);
        if (error)
            return error;
    }
    plan->nodes = nodes;
    plan->count = count;
    return 0;
}

static int check_ends(struct conf *conf, const struct tree *root, const struct entries *entries)
{
    bool sink = false;
    for (uint32_t i = 0; i < entries->count; i++)
        sink = sink || entries->items[i].kind == WEIR_SINK;
    struct tree top = {.text = root->text, .line = root->line, .column = 1, .width = 1};
    struct tree_item *section = tree_item(root, entries->sources == 0 ? "sources" : "sinks");
    if (entries->sources == 0)
        return conf_fail(conf, section ? section->key : &top,
                         "for example sources: {input: {type: file, path: data.csv}}", "there is no source");
    if (!sink)
        return conf_fail(conf, section ? section->key : &top,
                         "for example sinks: {output: {type: stdout}}; or run with --to stdout", "there is no sink");
    return 0;
}

int graph_read(struct conf *conf, const struct tree *root, struct plan *plan)
{
    struct entries entries = {0};
    int error = entries_read(conf, root, &entries);
    if (!error)
        error = entries_fill(conf, &entries);
    if (!error)
        error = entries_add_sides(conf, &entries);
    if (!error)
        error = check_ends(conf, root, &entries);
    if (!error)
        error = wire(conf, &entries);
    if (error)
        return error;
    uint32_t *place = arena_allocate(conf->arena, entries.count * sizeof *place);
    bool *used = arena_allocate(conf->arena, entries.count * sizeof *used);
    if (!place || !used)
        return conf_no_memory(conf);
    error = sort(conf, &entries, place);
    if (error)
        return error;
    mark_used(&entries, place, used);
    /* With --to or a tap only what leads to that sink is run: the other branches have lost theirs. */
    if (!(conf->overrides && (conf->overrides->to || conf->overrides->tap)))
        error = check_readers(conf, &entries, used);
    return error ? error : make_nodes(conf, &entries, place, used, plan);
}
