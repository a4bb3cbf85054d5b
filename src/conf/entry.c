/* SPDX-License-Identifier: MIT */
#include "conf/entry.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "conf/conf.h"
#include "conf/option.h"
#include "conf/tap.h"
#include "flow/side.h"

enum { NAME_MAX_LENGTH = 64, KINDS_PARTS_MAX = 64 };

static const char *const section_names[] = {[WEIR_SOURCE] = "sources", [WEIR_STAGE] = "stages", [WEIR_SINK] = "sinks"};

/* Keys of the wiring, by kind and by how the part is written: as an entry of a map, or of a list. */
static const char *const source_map_keys[] = {"type", "when_full", "queue", "watermark", "idle", NULL};
static const char *const source_list_keys[] = {"type", "name", "when_full", "queue", "watermark", "idle", NULL};
static const char *const stage_keys[] = {"type", "name", "from", NULL};
static const char *const sink_map_keys[] = {"type", "from", "when_full", "queue", NULL};
static const char *const sink_list_keys[] = {"type", "name", "from", "when_full", "queue", NULL};

const char *entry_kind(enum weir_kind kind)
{
    static const char *const names[] = {[WEIR_SOURCE] = "source", [WEIR_STAGE] = "stage", [WEIR_SINK] = "sink"};
    return names[kind];
}

static const char *const *keys_of(enum weir_kind kind, bool list)
{
    if (kind == WEIR_SOURCE)
        return list ? source_list_keys : source_map_keys;
    if (kind == WEIR_STAGE)
        return stage_keys;
    return list ? sink_list_keys : sink_map_keys;
}

/* ---- Types ----------------------------------------------------------------------------------------------------- */

const struct weir_part *part_find(enum weir_kind kind, const char *name)
{
    for (size_t i = 0; weir_parts[i]; i++) {
        if (weir_parts[i]->kind == kind && strcmp(weir_parts[i]->name, name) == 0)
            return weir_parts[i];
    }
    return NULL;
}

static int fail_type(struct conf *conf, enum weir_kind kind, const struct tree *type)
{
    const char *names[KINDS_PARTS_MAX + 1];
    size_t count = 0;
    const struct weir_left_out *left_out = weir_find_left_out(kind, type->value);
    if (left_out) {
        char hint[160];
        snprintf(hint, sizeof hint, "install %s and build weir again (weir list shows what this one has)",
                 left_out->package);
        return conf_fail(conf, type, hint, "the %s %s was left out of this build", left_out->name, entry_kind(kind));
    }
    for (size_t i = 0; weir_parts[i]; i++) {
        if (weir_parts[i]->kind == kind && count < KINDS_PARTS_MAX)
            names[count++] = weir_parts[i]->name;
        else if (weir_parts[i]->kind != kind && tree_is(type, weir_parts[i]->name) && !part_find(kind, type->value))
            return conf_fail(conf, type, NULL, "%s is a %s: it belongs under %s", type->value,
                             entry_kind(weir_parts[i]->kind), section_names[weir_parts[i]->kind]);
    }
    names[count] = NULL;
    const char *colon = strchr(type->value, ':');
    if (colon && colon > type->value && !strchr(type->value, '$')) {
        char hint[160];
        snprintf(hint, sizeof hint, "a blank belongs behind the colon: %.*s: %.60s",
                 (int)(colon - type->value < 60 ? colon - type->value : 60), type->value, colon + 1);
        return conf_fail(conf, type, hint, "there is no %s called \"%.60s\"", entry_kind(kind), type->value);
    }
    return conf_fail_unknown(conf, type, names, "there is no %s called \"%.60s\"", entry_kind(kind), type->value);
}

static int set_type(struct conf *conf, struct entry *entry, const struct tree *type)
{
    if (type->kind != TREE_SCALAR)
        return conf_fail(conf, type, "weir list shows all of them", "a type is one word");
    entry->part = part_find(entry->kind, type->value);
    return entry->part ? 0 : fail_type(conf, entry->kind, type);
}

/* ---- Names ----------------------------------------------------------------------------------------------------- */

static int set_name(struct conf *conf, struct entry *entry, const struct tree *name)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
    if (name->kind != TREE_SCALAR)
        return conf_fail(conf, name, NULL, "a name is one word");
    if (name->size == 0 || name->size > NAME_MAX_LENGTH || strspn(name->value, allowed) != name->size)
        return conf_fail(conf, name, "use up to 64 letters, digits, _ and -", "\"%.80s\" cannot be a name",
                         name->value);
    entry->name = name->value;
    return 0;
}

struct entry *entries_find(struct entries *entries, const char *name)
{
    for (uint32_t i = 0; i < entries->count; i++) {
        if (entries->items[i].name && strcmp(entries->items[i].name, name) == 0)
            return &entries->items[i];
    }
    return NULL;
}

static int check_twins(struct conf *conf, struct entries *entries)
{
    for (uint32_t i = 0; i < entries->count; i++) {
        struct entry *entry = &entries->items[i], *first = entry->name ? entries_find(entries, entry->name) : entry;
        if (!entry->name || first == entry)
            continue;
        return conf_fail(conf, entry->at, "names are unique in the whole file",
                         "a %s is called \"%s\" already (line %d)", entry_kind(first->kind), entry->name,
                         first->at->line);
    }
    return 0;
}

/* A part without a name is called by its type, or type_1, type_2, … when there are several. */
static int make_names(struct conf *conf, struct entries *entries)
{
    for (uint32_t i = 0; i < entries->count; i++) {
        struct entry *entry = &entries->items[i];
        if (entry->name)
            continue;
        uint32_t alike = 0, number = 0;
        for (uint32_t j = 0; j < entries->count; j++) {
            const struct entry *other = &entries->items[j];
            alike += (other->unnamed || !other->name) && strcmp(other->part->name, entry->part->name) == 0;
        }
        char name[NAME_MAX_LENGTH + 32];
        snprintf(name, sizeof name, "%.64s", entry->part->name);
        while ((alike > 1 && number == 0) || entries_find(entries, name))
            snprintf(name, sizeof name, "%.64s_%u", entry->part->name, ++number);
        entry->name = arena_text(conf->arena, name, strlen(name));
        entry->unnamed = true;
        if (!entry->name)
            return conf_no_memory(conf);
    }
    return 0;
}

/* ---- Sections -------------------------------------------------------------------------------------------------- */

int entries_add(struct conf *conf, struct entries *entries, const struct entry *entry)
{
    if (entries->count == CONF_NODES_MAX)
        return conf_fail(conf, entry->at, NULL, "more than %d parts in one pipeline", CONF_NODES_MAX);
    if (entries->count == entries->capacity) {
        uint32_t capacity = entries->capacity ? 2 * entries->capacity : 16;
        struct entry *items = arena_allocate(conf->arena, capacity * sizeof *items);
        if (!items)
            return conf_no_memory(conf);
        if (entries->count)
            memcpy(items, entries->items, entries->count * sizeof *items);
        entries->items = items;
        entries->capacity = capacity;
    }
    if (entry->kind == WEIR_STAGE && !entry->side)
        entries->last_stage = entries->count;
    entries->items[entries->count++] = *entry;
    return 0;
}

/* In {type:null} YAML sees one key "type:null" without a value. */
static const struct tree *glued_type(const struct tree *values)
{
    for (const struct tree_item *item = values->kind == TREE_MAP ? values->items : NULL; item; item = item->next) {
        if (strncmp(item->key->value, "type:", 5) == 0)
            return item->key;
    }
    return NULL;
}

/* `name: {type: …, options}` */
static int read_named(struct conf *conf, struct entries *entries, enum weir_kind kind, const struct tree_item *item)
{
    struct entry entry = {.kind = kind, .at = item->key, .values = item->value, .others = keys_of(kind, false)};
    const struct tree *type = item->value;
    int error = set_name(conf, &entry, item->key);
    if (error)
        return error;
    if (item->value->kind == TREE_SCALAR && !tree_is_null(item->value)) {
        entry.values = NULL; /* `name: type` */
    } else {
        type = tree_find(item->value, "type");
        const char *hint = part_find(kind, item->key->value) ? NULL : "weir list shows all types";
        char with_type[160];
        if (!hint) {
            snprintf(with_type, sizeof with_type, "write %.60s: {type: %.60s, …}", item->key->value, item->key->value);
            hint = with_type;
        }
        const struct tree *glued = type ? NULL : glued_type(item->value);
        if (glued)
            return conf_fail(conf, glued, "write type: name, with a blank behind the colon",
                             "the %s \"%s\" has no type", entry_kind(kind), item->key->value);
        if (!type)
            return conf_fail(conf, item->key, hint, "the %s \"%s\" has no type", entry_kind(kind), item->key->value);
    }
    error = set_type(conf, &entry, type);
    return error ? error : entries_add(conf, entries, &entry);
}

/* More than one key in an entry of a list: most likely the options are not indented. */
static int fail_entry(struct conf *conf, enum weir_kind kind, const struct tree *entry)
{
    char hint[200];
    const struct tree *first = entry->items->key, *second = entry->items->next->key;
    snprintf(hint, sizeof hint,
             tree_is_null(entry->items->value) ? "indent the options further than \"%.40s\", or write %.40s: {%.40s: …}"
                                               : "write - %.40s: {…} and put all options in the braces (%.40s … %.40s)",
             first->value, first->value, second->value);
    return conf_fail(conf, second, hint, "an entry of a list is one %s, and this is a second key", entry_kind(kind));
}

/* `- type: options`, `- type`, or `- {type: …, options}` */
static int read_listed(struct conf *conf, struct entries *entries, enum weir_kind kind, struct tree *item)
{
    struct entry entry = {.kind = kind, .at = item, .others = keys_of(kind, true)};
    const struct tree *type = item, *name;
    if (item->kind == TREE_MAP && tree_find(item, "type")) {
        type = tree_find(item, "type");
        entry.values = item;
    } else if (item->kind == TREE_MAP && item->count == 1) {
        entry.at = type = item->items->key;
        entry.values = item->items->value;
    } else if (item->kind == TREE_MAP && item->count > 1) {
        if (!part_find(kind, item->items->key->value))
            return fail_type(conf, kind, item->items->key);
        return fail_entry(conf, kind, item);
    } else if (item->kind != TREE_SCALAR || tree_is_null(item)) {
        return conf_fail(conf, item, "write - filter: value > 0, or - rolling: {window: 10}", "a %s is missing here",
                         entry_kind(kind));
    }
    int error = set_type(conf, &entry, type);
    if (!error && (name = tree_find(entry.values, "name")))
        error = set_name(conf, &entry, name);
    return error ? error : entries_add(conf, entries, &entry);
}

static int read_section(struct conf *conf, const struct tree *root, struct entries *entries, enum weir_kind kind)
{
    const struct tree *section = tree_find(root, section_names[kind]);
    int error = 0;
    if (!section || tree_is_null(section))
        return 0;
    if (section->kind == TREE_SCALAR)
        return conf_fail(
            conf, section, kind == WEIR_STAGE ? "write - filter: value > 0 below it" : "write name: {type: …} below it",
            "%s is a %s of parts, not a single value", section_names[kind], kind == WEIR_STAGE ? "list" : "map");
    if (kind == WEIR_STAGE && section->kind == TREE_MAP)
        return conf_fail(conf, section, "begin each stage with \"- \"", "stages is a list: their order matters");
    for (struct tree_item *item = section->items; item && !error; item = item->next)
        error = item->key ? read_named(conf, entries, kind, item) : read_listed(conf, entries, kind, item->value);
    return error;
}

/* --to TYPE instead of the section sinks. */
static int add_override(struct conf *conf, struct entries *entries, const char *type)
{
    struct tree_text *text = arena_allocate(conf->arena, sizeof *text);
    struct tree *at = arena_allocate(conf->arena, sizeof *at);
    if (!text || !at)
        return conf_no_memory(conf);
    *text = (struct tree_text){.name = "--to", .data = type, .size = strlen(type)};
    *at = (struct tree){.text = text, .line = 1, .column = 1, .width = (int)strlen(type)};
    struct tree *value = tree_scalar(conf, at, type);
    if (!value)
        return conf_no_memory(conf);
    return read_listed(conf, entries, WEIR_SINK, value);
}

/* ---- --set ----------------------------------------------------------------------------------------------------- */

/* A copy of a map whose items can be changed without changing what shares it through an alias. */
static struct tree *copy_map(struct conf *conf, const struct tree *map)
{
    struct tree *copy = arena_allocate(conf->arena, sizeof *copy);
    if (!copy)
        return NULL;
    *copy = *map;
    struct tree_item **next = &copy->items;
    for (const struct tree_item *item = map->items; item; item = item->next) {
        *next = arena_allocate(conf->arena, sizeof **next);
        if (!*next)
            return NULL;
        **next = (struct tree_item){.key = item->key, .value = item->value};
        next = &(*next)->next;
    }
    return copy;
}

/* Options that were a bare value become {main: value}, so that others can be set beside it. */
static struct tree *values_as_map(struct conf *conf, const struct entry *entry)
{
    if (entry->values && entry->values->kind == TREE_MAP)
        return copy_map(conf, entry->values);
    struct tree *map = arena_allocate(conf->arena, sizeof *map);
    const struct weir_option *main_option = option_main(entry->part->options);
    if (!map)
        return NULL;
    *map = *entry->at;
    map->kind = TREE_MAP;
    map->items = NULL;
    map->count = 0;
    if (entry->values && !tree_is_null(entry->values) && main_option &&
        tree_set(conf, map, main_option->name, entry->values) < 0)
        return NULL;
    return map;
}

/* What was parsed from a part of a text stands in the whole. */
static void move_right(struct tree *tree, const struct tree_text *text, int columns)
{
    tree->text = text;
    tree->column += tree->line == 1 ? columns : 0;
    for (struct tree_item *item = tree->items; item; item = item->next) {
        if (item->key)
            move_right(item->key, text, columns);
        move_right(item->value, text, columns);
    }
}

/* Sets an option; a mistake in its name is one in the path. */
static int set_option(struct conf *conf, struct tree *map, const struct tree *path, int column, const char *option,
                      struct tree *value)
{
    int error = tree_set(conf, map, option, value);
    struct tree_item *item = error ? NULL : tree_item(map, option);
    if (!item)
        return conf_no_memory(conf);
    item->key->text = path->text;
    item->key->line = 1;
    item->key->column = column;
    item->key->width = (int)strlen(option);
    return 0;
}

static int set_one(struct conf *conf, struct entries *entries, enum weir_kind kind, const struct tree *path, char *rest,
                   struct tree *value)
{
    const char *begin = rest;
    char *option = strchr(rest, '.');
    struct entry *entry;
    int section = (int)strlen(section_names[kind]) + 2; /* the column of `rest` */
    const char *names[CONF_NODES_MAX + 1];
    size_t count = 0;
    if (!option || !option[1])
        return conf_fail(conf, path, "write --set sources.name.option=value", "an option is missing");
    *option++ = 0;
    entry = entries_find(entries, rest);
    if (!entry || entry->kind != kind) {
        for (uint32_t i = 0; i < entries->count; i++) {
            if (entries->items[i].kind == kind)
                names[count++] = entries->items[i].name;
        }
        names[count] = NULL;
        struct tree *word = tree_scalar(conf, path, rest);
        if (word) {
            word->column = section;
            word->width = (int)strlen(rest);
        }
        return word ? conf_fail_unknown(conf, word, names, "no %s is called \"%.60s\"", entry_kind(kind), rest)
                    : conf_no_memory(conf);
    }
    if (strcmp(option, "type") == 0 || strcmp(option, "name") == 0)
        return conf_fail(conf, path, NULL, "--set changes options, not the %s of a part", option);
    struct tree *map = values_as_map(conf, entry);
    entry->values = map;
    char *inner = strchr(option, '.');
    if (inner && map) { /* an entry of an option that is a map */
        *inner++ = 0;
        struct tree *old = tree_find(map, option), *nested;
        nested = arena_allocate(conf->arena, sizeof *nested);
        if (old && old->kind == TREE_MAP)
            nested = copy_map(conf, old);
        else if (nested)
            *nested = (struct tree){.kind = TREE_MAP, .text = path->text, .line = 1, .column = 1, .width = 1};
        if (!nested || tree_set(conf, nested, inner, value) < 0)
            return conf_no_memory(conf);
        value = nested;
    }
    return map ? set_option(conf, map, path, section + (int)(option - begin), option, value) : conf_no_memory(conf);
}

static int apply_set(struct conf *conf, struct entries *entries, const char *set)
{
    const char *equals = strchr(set, '=');
    size_t size = equals ? (size_t)(equals - set) : 0;
    char *path = arena_text(conf->arena, set, size);
    struct tree_text *text = arena_allocate(conf->arena, 2 * sizeof *text);
    struct tree *value = NULL,
                place = {.kind = TREE_SCALAR, .text = &text[1], .line = 1, .column = 1, .width = (int)size};
    if (!path || !text)
        return conf_no_memory(conf);
    text[0] = (struct tree_text){
        .name = arena_text(conf->arena, set, size), .data = equals + 1, .size = strlen(equals + 1)};
    text[1] = (struct tree_text){.name = "--set", .data = set, .size = strlen(set)};
    place.value = text[0].name;
    for (int kind = WEIR_SOURCE; kind <= WEIR_SINK; kind++) {
        size_t length = strlen(section_names[kind]);
        if (strncmp(path, section_names[kind], length) != 0 || path[length] != '.')
            continue;
        int error = tree_parse(conf, text, &value);
        if (!error && !value)
            value = tree_scalar(conf, &place, "");
        else if (!error)
            move_right(value, &text[1], (int)size + 1);
        if (!error && !value)
            return conf_no_memory(conf);
        return error ? error : set_one(conf, entries, (enum weir_kind)kind, &place, path + length + 1, value);
    }
    return 0; /* of another section: conf.c */
}

/* ---- All ------------------------------------------------------------------------------------------------------- */

int entries_read(struct conf *conf, const struct tree *root, struct entries *ret)
{
    const struct conf_overrides *overrides = conf->overrides;
    struct entries entries = {.last_stage = UINT32_MAX};
    int error = read_section(conf, root, &entries, WEIR_SOURCE);
    entries.sources = entries.count;
    if (!error)
        error = read_section(conf, root, &entries, WEIR_STAGE);
    if (!error && overrides && overrides->to)
        error = add_override(conf, &entries, overrides->to);
    else if (!error && !(overrides && overrides->tap && !overrides->tap->keep_sinks))
        error = read_section(conf, root, &entries, WEIR_SINK);
    if (!error)
        error = check_twins(conf, &entries);
    if (!error)
        error = make_names(conf, &entries);
    if (!error && overrides && overrides->tap)
        error = tap_add(conf, root, &entries);
    for (size_t i = 0; !error && overrides && overrides->set && overrides->set[i]; i++) {
        if (strchr(overrides->set[i], '='))
            error = apply_set(conf, &entries, overrides->set[i]);
    }
    if (!error)
        *ret = entries;
    return error;
}

int entries_fill(struct conf *conf, struct entries *entries)
{
    int error = 0;
    for (uint32_t i = 0; i < entries->count && !error; i++) {
        struct entry *entry = &entries->items[i];
        entry->options = arena_allocate(conf->arena, entry->part->size + 1);
        if (!entry->options)
            return conf_no_memory(conf);
        struct option_target target = {
            .what = entry->part->name,
            .table = entry->part->options,
            .base = entry->options,
            .at = entry->at,
            .others = entry->others,
        };
        error = option_fill(conf, &target, entry->values);
    }
    return error;
}

static int add_side(struct conf *conf, struct entries *entries, uint32_t stage, const struct tree *value)
{
    struct entry side = {.kind = WEIR_STAGE, .part = &flow_side.part, .side = true, .at = value};
    int error = set_name(conf, &side, value);
    const struct entry *other = error ? NULL : entries_find(entries, side.name);
    if (other)
        return conf_fail(conf, value, "names are unique in the whole file", "a %s is called \"%s\" already (line %d)",
                         entry_kind(other->kind), side.name, other->at->line);
    side.from = arena_allocate(conf->arena, sizeof *side.from);
    side.options = arena_allocate(conf->arena, 1);
    if (!error && (!side.from || !side.options))
        return conf_no_memory(conf);
    if (error)
        return error;
    side.from[0] = stage;
    side.from_count = 1;
    return entries_add(conf, entries, &side);
}

int entries_add_sides(struct conf *conf, struct entries *entries)
{
    const uint32_t count = entries->count;
    for (uint32_t i = 0; i < count; i++) {
        const struct weir_option *option = entries->items[i].kind == WEIR_STAGE ? entries->items[i].part->options
                                                                                : NULL;
        for (; option && option->type != WEIR_OPTION_END; option++) {
            const struct tree *value = option->flags & WEIR_OPTION_SIDE
                                           ? tree_find(entries->items[i].values, option->name)
                                           : NULL;
            int error = value && !tree_is_null(value) ? add_side(conf, entries, i, value) : 0;
            if (error)
                return error;
        }
    }
    return 0;
}
