/* SPDX-License-Identifier: MIT */
#include "conf/tree.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/buffer.h"
#include "base/hash.h"
#include "conf/conf.h"
#include "conf/syntax.h"

struct anchor {
    const char *name;
    struct tree *tree;
    struct anchor *next;
};
struct builder {
    struct conf *conf;
    const struct tree_text *text;
    yaml_parser_t parser;
    struct anchor *anchors; /* of finished nodes only, so that no alias can be inside what it stands for */
    uint32_t nodes;
};

/* ---- Nodes ----------------------------------------------------------------------------------------------------- */

static struct tree *node_new(struct builder *b, enum tree_kind kind, const yaml_event_t *event)
{
    struct tree *tree = arena_allocate(b->conf->arena, sizeof *tree);
    if (!tree)
        return NULL;
    bool one_line = event->end_mark.line == event->start_mark.line;
    *tree = (struct tree){
        .kind = kind,
        .text = b->text,
        .line = (int)event->start_mark.line + 1,
        .column = (int)event->start_mark.column + 1,
        .width = one_line ? (int)(event->end_mark.column - event->start_mark.column) : 1,
    };
    return tree;
}

struct tree *tree_scalar(struct conf *conf, const struct tree *at, const char *value)
{
    struct tree *tree = arena_allocate(conf->arena, sizeof *tree);
    if (!tree)
        return NULL;
    *tree = *at;
    tree->kind = TREE_SCALAR;
    tree->items = NULL;
    tree->quoted = false;
    tree->size = strlen(value);
    tree->value = arena_text(conf->arena, value, tree->size);
    tree->hash = hash_bytes(value, tree->size);
    return tree->value ? tree : NULL;
}

struct tree_item *tree_item(const struct tree *map, const char *key)
{
    if (!map || map->kind != TREE_MAP)
        return NULL;
    uint64_t hash = hash_bytes(key, strlen(key));
    for (struct tree_item *item = map->items; item; item = item->next) {
        if (item->key->hash == hash && strcmp(item->key->value, key) == 0)
            return item;
    }
    return NULL;
}

struct tree *tree_find(const struct tree *map, const char *key)
{
    struct tree_item *item = tree_item(map, key);
    return item ? item->value : NULL;
}

static int append(struct conf *conf, struct tree *tree, struct tree *key, struct tree *value)
{
    struct tree_item *item = arena_allocate(conf->arena, sizeof *item), **end = &tree->items;
    if (!item)
        return conf_no_memory(conf);
    while (*end)
        end = &(*end)->next;
    *item = (struct tree_item){.key = key, .value = value};
    *end = item;
    tree->count++;
    return 0;
}

int tree_set(struct conf *conf, struct tree *map, const char *key, struct tree *value)
{
    struct tree_item *item = tree_item(map, key);
    if (item) {
        item->key = tree_scalar(conf, value, key); /* a mistake is now in the new value, not where the old one stands */
        item->value = value;
        return item->key ? 0 : conf_no_memory(conf);
    }
    struct tree *name = tree_scalar(conf, value, key);
    return name ? append(conf, map, name, value) : conf_no_memory(conf);
}

bool tree_is_null(const struct tree *tree)
{
    return tree->kind == TREE_SCALAR && !tree->quoted && (tree->size == 0 || strcmp(tree->value, "~") == 0);
}

bool tree_is(const struct tree *tree, const char *value)
{
    return tree && tree->kind == TREE_SCALAR && strcmp(tree->value, value) == 0;
}

struct weir_mark tree_mark(const struct tree *tree)
{
    return (struct weir_mark){.file = tree->text->name, .line = tree->line, .column = tree->column};
}

struct weir_quoted tree_quoted(const struct tree *tree)
{
    struct weir_mark mark = tree_mark(tree);
    mark.column += tree->quoted;
    return (struct weir_quoted){.text = tree->value, .mark = mark};
}

/* ---- ${VAR} ---------------------------------------------------------------------------------------------------- */

static size_t variable_length(const char *text)
{
    size_t length = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789");
    return length > 0 && text[0] >= '0' && text[0] <= '9' ? 0 : length;
}

/* Appends what the ${…} at *at stands for and moves *at behind it. */
static int expand_one(struct builder *b, const struct tree *tree, const char **at, struct weir_buffer *out)
{
    struct tree place = *tree;
    place.column += (int)(*at - tree->value) + tree->quoted;
    const char *name = *at + 2, *end = strchr(name, '}');
    size_t length = variable_length(name);
    bool plain = end && name + length == end;
    bool fallback = end && length > 0 && strncmp(name + length, ":-", 2) == 0;
    if (!plain && !fallback) {
        place.width = 2;
        return conf_fail(b->conf, &place, "write $${ for these two characters themselves",
                         "this is not ${NAME} or ${NAME:-default}");
    }
    char variable[256];
    snprintf(variable, sizeof variable, "%.*s", (int)length, name);
    const char *value = length < sizeof variable ? getenv(variable) : NULL;
    place.width = (int)(end + 1 - *at);
    *at = end + 1;
    if (value && (*value || plain))
        buffer_string(out, value);
    else if (fallback)
        buffer_append(out, name + length + 2, (size_t)(end - name) - length - 2);
    else {
        char hint[400];
        snprintf(hint, sizeof hint, "set it (%.100s=… weir …) or give a default: ${%.100s:-…}", variable, variable);
        return conf_fail(b->conf, &place, hint, "the environment variable %s is not set", variable);
    }
    return 0;
}

static int expand(struct builder *b, struct tree *tree)
{
    if (!strstr(tree->value, "${"))
        return 0;
    struct weir_buffer out = {0};
    int error = 0;
    for (const char *at = tree->value; *at && !error;) {
        if (strncmp(at, "$${", 3) == 0) {
            buffer_string(&out, "${");
            at += 3;
        } else if (strncmp(at, "${", 2) == 0) {
            error = expand_one(b, tree, &at, &out);
        } else {
            size_t length = 1 + strcspn(at + 1, "$");
            buffer_append(&out, at, length);
            at += length;
        }
        if (!error && out.size > TREE_VALUE_MAX)
            error = conf_fail(b->conf, tree, NULL, "this value is over 1 MiB once its ${…} are filled in");
    }
    if (!error) {
        tree->value = out.failed ? NULL : arena_text(b->conf->arena, out.data ? out.data : "", out.size);
        tree->size = out.size;
        if (!tree->value)
            error = conf_no_memory(b->conf);
    }
    buffer_free(&out);
    return error;
}

/* ---- Events → nodes -------------------------------------------------------------------------------------------- */

static int next_event(struct builder *b, yaml_event_t *event)
{
    if (yaml_parser_parse(&b->parser, event))
        return 0;
    return b->parser.error == YAML_MEMORY_ERROR ? conf_no_memory(b->conf) : syntax_fail(b->conf, b->text, &b->parser);
}

static int build(struct builder *b, yaml_event_t *event, int depth, bool is_key, struct tree **ret);

static int build_scalar(struct builder *b, const yaml_event_t *event, bool is_key, struct tree **ret)
{
    struct tree *tree = node_new(b, TREE_SCALAR, event);
    if (!tree)
        return conf_no_memory(b->conf);
    yaml_scalar_style_t style = event->data.scalar.style;
    tree->quoted = style == YAML_SINGLE_QUOTED_SCALAR_STYLE || style == YAML_DOUBLE_QUOTED_SCALAR_STYLE;
    tree->size = event->data.scalar.length;
    tree->value = arena_text(b->conf->arena, (const char *)event->data.scalar.value, tree->size);
    if (!tree->value)
        return conf_no_memory(b->conf);
    if (strlen(tree->value) != tree->size)
        return conf_fail(b->conf, tree, NULL, "a NUL character cannot be part of a value");
    int error = is_key ? 0 : expand(b, tree);
    if (error)
        return error;
    tree->hash = hash_bytes(tree->value, tree->size);
    if (tree->width < 1)
        tree->width = 1;
    *ret = tree;
    return 0;
}

static int check_key(struct builder *b, const struct tree *map, const struct tree *key)
{
    if (key->kind != TREE_SCALAR)
        return conf_fail(b->conf, key, "write key: value, one to a line, or {key: value, …}", "a key has to be a word");
    if (key->size == 0)
        return conf_fail(b->conf, key, NULL, "there is no key before the colon");
    struct tree_item *twin = tree_item(map, key->value);
    if (!twin)
        return 0;
    char hint[64];
    snprintf(hint, sizeof hint, "it stands in line %d already: keep one of the two", twin->key->line);
    return conf_fail(b->conf, key, hint, "\"%.60s\" is given twice", key->value);
}

/* `<<: *base` takes over the keys of base that the map does not give itself. */
static int merge(struct builder *b, struct tree *map, const struct tree *key, const struct tree *base)
{
    if (base->kind != TREE_MAP)
        return conf_fail(b->conf, key, "for example <<: *base with &base before a map",
                         "\"<<\" takes over the keys of a map");
    int error = 0;
    for (const struct tree_item *item = base->items; item && !error; item = item->next) {
        if (++b->nodes > TREE_NODES_MAX || map->count >= TREE_ITEMS_MAX)
            return conf_fail(b->conf, key, NULL, "more than %d entries in one place", TREE_ITEMS_MAX);
        if (!tree_item(map, item->key->value))
            error = append(b->conf, map, item->key, item->value);
    }
    return error;
}

static int build_items(struct builder *b, struct tree *tree, yaml_event_type_t end, int depth)
{
    struct tree *base = NULL, *base_key = NULL;
    struct tree_item **next = &tree->items;
    for (;;) {
        yaml_event_t event;
        struct tree *key = NULL, *value = NULL;
        int error = next_event(b, &event);
        if (error)
            return error;
        if (event.type == end) {
            yaml_event_delete(&event);
            return base ? merge(b, tree, base_key, base) : 0;
        }
        error = build(b, &event, depth, tree->kind == TREE_MAP, tree->kind == TREE_MAP ? &key : &value);
        if (!error && key)
            error = check_key(b, tree, key);
        if (!error && key)
            error = next_event(b, &event);
        if (!error && key)
            error = build(b, &event, depth, false, &value);
        if (error)
            return error;
        if (key && !key->quoted && strcmp(key->value, "<<") == 0) {
            base = value;
            base_key = key;
            continue;
        }
        if (++tree->count > TREE_ITEMS_MAX)
            return conf_fail(b->conf, value, NULL, "more than %d entries in one place", TREE_ITEMS_MAX);
        struct tree_item *item = arena_allocate(b->conf->arena, sizeof *item);
        if (!item)
            return conf_no_memory(b->conf);
        *item = (struct tree_item){.key = key, .value = value};
        *next = item;
        next = &item->next;
    }
}

static int build_alias(struct builder *b, const yaml_event_t *event, struct tree **ret)
{
    const char *name = (const char *)event->data.alias.anchor;
    for (const struct anchor *anchor = b->anchors; anchor; anchor = anchor->next) {
        if (strcmp(anchor->name, name) == 0) {
            *ret = anchor->tree;
            return 0;
        }
    }
    struct tree *place = node_new(b, TREE_SCALAR, event);
    if (!place)
        return conf_no_memory(b->conf);
    return conf_fail(b->conf, place, "a value that begins with * needs quotes",
                     "*%.60s refers to &%.60s, which nothing before it is called", name, name);
}

static int add_anchor(struct builder *b, const char *name, struct tree *tree)
{
    struct anchor *anchor = arena_allocate(b->conf->arena, sizeof *anchor);
    if (!anchor)
        return conf_no_memory(b->conf);
    *anchor = (struct anchor){.name = name, .tree = tree, .next = b->anchors};
    b->anchors = anchor;
    return 0;
}

/* Takes over the event. */
static int build(struct builder *b, yaml_event_t *event, int depth, bool is_key, struct tree **ret)
{
    struct tree *tree = NULL;
    const yaml_char_t *anchor = NULL;
    int error = 0;
    bool map = event->type == YAML_MAPPING_START_EVENT;
    if (event->type == YAML_ALIAS_EVENT) {
        error = build_alias(b, event, &tree);
    } else if (event->type == YAML_SCALAR_EVENT) {
        anchor = event->data.scalar.anchor;
        error = build_scalar(b, event, is_key, &tree);
    } else {
        anchor = map ? event->data.mapping_start.anchor : event->data.sequence_start.anchor;
        tree = node_new(b, map ? TREE_MAP : TREE_LIST, event);
        if (!tree)
            error = conf_no_memory(b->conf);
        else if (depth >= CONF_DEPTH_MAX)
            error = conf_fail(b->conf, tree, NULL, "nested deeper than %d levels", CONF_DEPTH_MAX);
    }
    if (!error && ++b->nodes > TREE_NODES_MAX)
        error = conf_fail(b->conf, tree, NULL, "more than %d values in one file", TREE_NODES_MAX);
    const char *name = NULL;
    if (!error && anchor) {
        name = arena_text(b->conf->arena, (const char *)anchor, strlen((const char *)anchor));
        if (!name)
            error = conf_no_memory(b->conf);
    }
    yaml_event_type_t type = event->type;
    yaml_event_delete(event);
    if (!error && type == YAML_MAPPING_START_EVENT)
        error = build_items(b, tree, YAML_MAPPING_END_EVENT, depth + 1);
    else if (!error && type == YAML_SEQUENCE_START_EVENT)
        error = build_items(b, tree, YAML_SEQUENCE_END_EVENT, depth + 1);
    if (!error && name)
        error = add_anchor(b, name, tree);
    if (!error)
        *ret = tree;
    return error;
}

/* The stream is: STREAM-START (DOCUMENT-START node DOCUMENT-END)? STREAM-END. */
static int build_stream(struct builder *b, struct tree **ret)
{
    struct tree *tree = NULL;
    for (;;) {
        yaml_event_t event;
        int error = next_event(b, &event);
        if (error)
            return error;
        yaml_event_type_t type = event.type;
        struct tree place = {.text = b->text, .line = (int)event.start_mark.line + 1, .column = 1, .width = 3};
        if (type == YAML_STREAM_END_EVENT || type == YAML_STREAM_START_EVENT || type == YAML_DOCUMENT_START_EVENT ||
            type == YAML_DOCUMENT_END_EVENT) {
            yaml_event_delete(&event);
        } else {
            error = build(b, &event, 0, false, &tree);
        }
        if (!error && type == YAML_DOCUMENT_START_EVENT && tree)
            error = conf_fail(b->conf, &place, "keep one pipeline to a file", "a second document begins here");
        if (error)
            return error;
        if (type == YAML_STREAM_END_EVENT)
            break;
    }
    *ret = tree;
    return 0;
}

int tree_parse(struct conf *conf, const struct tree_text *text, struct tree **ret)
{
    struct builder b = {.conf = conf, .text = text};
    if (!yaml_parser_initialize(&b.parser))
        return conf_no_memory(conf);
    yaml_parser_set_input_string(&b.parser, (const unsigned char *)text->data, text->size);
    yaml_parser_set_encoding(&b.parser, YAML_UTF8_ENCODING);
    *ret = NULL;
    int error = build_stream(&b, ret);
    yaml_parser_delete(&b.parser);
    return error;
}
