/* SPDX-License-Identifier: MIT */
#include "conf/tap.h"

#include <stdio.h>
#include <string.h>

#include "conf/arena.h"
#include "conf/conf.h"

/* A text of its own, so that a mistake in it is shown with a caret under what was written on the command line. */
static struct tree *word(struct conf *conf, const char *name, const char *value)
{
    struct tree_text *text = arena_allocate(conf->arena, sizeof *text);
    struct tree *at = arena_allocate(conf->arena, sizeof *at);
    if (!text || !at)
        return NULL;
    *text = (struct tree_text){.name = name, .data = value, .size = strlen(value)};
    *at = (struct tree){.kind = TREE_SCALAR, .text = text, .line = 1, .column = 1, .width = (int)strlen(value)};
    return tree_scalar(conf, at, value);
}

static int set(struct conf *conf, struct tree *map, const char *key, const char *name, const char *value)
{
    struct tree *scalar = word(conf, name, value);
    return scalar && tree_set(conf, map, key, scalar) == 0 ? 0 : conf_no_memory(conf);
}

/* A part with a name that nobody has, which reads from `from`. */
static int add(struct conf *conf, struct entries *entries, enum weir_kind kind, const char *type, const char *wanted,
               struct tree *values, struct tree *from)
{
    static const char *const others[] = {"from", NULL};
    char name[32];
    uint32_t last_stage = entries->last_stage;
    snprintf(name, sizeof name, "%s", wanted);
    for (unsigned number = 1; entries_find(entries, name); number++)
        snprintf(name, sizeof name, "%s_%u", wanted, number);
    struct entry entry = {
        .kind = kind,
        .part = part_find(kind, type),
        .name = arena_text(conf->arena, name, strlen(name)),
        .at = from,
        .values = values,
        .others = others,
    };
    if (!entry.name || tree_set(conf, values, "from", from) < 0)
        return conf_no_memory(conf);
    int error = entries_add(conf, entries, &entry);
    entries->last_stage = last_stage; /* sinks without `from` read what they read before */
    return error;
}

static struct tree *all_sources(struct conf *conf, const struct entries *entries)
{
    struct tree *list = arena_allocate(conf->arena, sizeof *list);
    if (!list)
        return NULL;
    *list = (struct tree){.kind = TREE_LIST, .line = 1, .column = 1, .width = 1};
    for (uint32_t i = entries->sources; i-- > 0; list->count++) {
        struct tree_item *item = arena_allocate(conf->arena, sizeof *item);
        struct tree *name = word(conf, "tap", entries->items[i].name);
        if (!item || !name)
            return NULL;
        *item = (struct tree_item){.value = name, .next = list->items};
        list->items = item;
        list->text = name->text;
    }
    return list;
}

/* The part to look at; of a sink, what it reads. */
static struct tree *find_from(struct conf *conf, const struct tree *root, const struct entries *entries)
{
    const char *name = conf->overrides->tap->part;
    const struct tree *sinks = tree_find(root, "sinks");
    struct tree *sink = tree_find(sinks, name), *from = word(conf, "tap", name);
    for (uint32_t i = 0; i < entries->count; i++) {
        if (entries->items[i].kind != WEIR_SINK && strcmp(entries->items[i].name, name) == 0)
            return from;
    }
    if (!sink)
        return from;
    struct tree *given = tree_find(sink, "from");
    if (given && !tree_is_null(given))
        return given;
    return entries->last_stage == UINT32_MAX ? all_sources(conf, entries)
                                             : word(conf, "tap", entries->items[entries->last_stage].name);
}

int tap_add(struct conf *conf, const struct tree *root, struct entries *entries)
{
    const struct conf_tap *tap = conf->overrides->tap;
    struct tree *from = find_from(conf, root, entries), *filter = NULL,
                *sink = arena_allocate(conf->arena, sizeof *sink);
    if (tap->where)
        filter = arena_allocate(conf->arena, sizeof *filter);
    if (!from || !sink || (tap->where && !filter))
        return conf_no_memory(conf);
    int error = 0;
    if (filter) {
        *filter = (struct tree){.kind = TREE_MAP, .text = from->text, .line = 1, .column = 1, .width = 1};
        error = set(conf, filter, "when", "--where", tap->where);
        if (!error)
            error = add(conf, entries, WEIR_STAGE, "filter", "where", filter, from);
        if (!error)
            from = word(conf, "tap", entries->items[entries->count - 1].name);
        if (!from)
            error = conf_no_memory(conf);
    }
    if (error)
        return error;
    *sink = (struct tree){.kind = TREE_MAP, .text = from->text, .line = 1, .column = 1, .width = 1};
    char limit[32];
    snprintf(limit, sizeof limit, "%lld", (long long)tap->limit);
    char *digits = arena_text(conf->arena, limit, strlen(limit));
    if (tap->format)
        error = set(conf, sink, "format", "--format", tap->format);
    if (!error && tap->limit > 0)
        error = digits ? set(conf, sink, "limit", "--limit", digits) : conf_no_memory(conf);
    return error ? error : add(conf, entries, WEIR_SINK, "stdout", "tap", sink, from);
}
