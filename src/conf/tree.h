/* SPDX-License-Identifier: MIT */
/*
 * A YAML text as a tree of maps, lists and scalars that know where they stand. All values are still text: only the
 * option that a scalar is for knows its type, so `1e6`, `yes` and `2024-01-01` mean nothing here.
 *
 * Everything lives in the arena of the struct conf. Aliases share the node of their anchor.
 */
#ifndef CONF_TREE_H
#define CONF_TREE_H
#include <stdbool.h>
#include <weir/part.h>

#include "conf/arena.h"

struct conf_overrides;

enum { TREE_NODES_MAX = 200000, TREE_ITEMS_MAX = 4096, TREE_VALUE_MAX = 1 << 20 };

/* What one call of conf_parse works with. */
struct conf {
    struct arena *arena;
    struct weir_error *error;
    const struct conf_overrides *overrides;
};

/* A text that marks point into. */
struct tree_text {
    const char *name; /* the file's */
    const char *data;
    size_t size;
};

enum tree_kind { TREE_SCALAR, TREE_LIST, TREE_MAP };

struct tree;
struct tree_item {
    struct tree *key; /* NULL in a list */
    struct tree *value;
    struct tree_item *next;
};
struct tree {
    enum tree_kind kind;
    const struct tree_text *text;
    int line, column;  /* from 1; columns are characters */
    int width;         /* characters on the first line, for the caret; at least 1 */
    bool quoted;       /* a scalar in quotes: its text begins one column later */
    const char *value; /* scalar: terminated, ${…} resolved */
    size_t size;
    uint64_t hash; /* of value */
    struct tree_item *items;
    size_t count;
};

/* Builds the tree of the one document in `text` (which must live as long as the arena's user). *ret is NULL when the
 * text holds nothing. -EINVAL with words, or -ENOMEM. */
int tree_parse(struct conf *conf, const struct tree_text *text, struct tree **ret);

struct tree *tree_find(const struct tree *map, const char *key); /* the value, or NULL; `map` may be NULL or no map */
struct tree_item *tree_item(const struct tree *map, const char *key);
/* Sets (adds or replaces) a key of a map. -ENOMEM. */
int tree_set(struct conf *conf, struct tree *map, const char *key, struct tree *value);
/* A scalar that stands nowhere in the text but is told to stand at `at`; NULL: out of memory. */
struct tree *tree_scalar(struct conf *conf, const struct tree *at, const char *value);
bool tree_is_null(const struct tree *tree); /* nothing after the colon, or ~ */
bool tree_is(const struct tree *tree, const char *value);

struct weir_mark tree_mark(const struct tree *tree);
/* Where the text of a scalar begins: after its quote. */
struct weir_quoted tree_quoted(const struct tree *tree);

/* ---- Words (message.c) ----------------------------------------------------------------------------------------- */

/* Sets the error at `at`: the message, the line with a caret, the hint (may be NULL). Returns -EINVAL. */
int conf_fail(struct conf *conf, const struct tree *at, const char *hint, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* The same for a word that is none of `names`: adds the nearest, or the list of all. `names` ends with NULL. */
int conf_fail_unknown(struct conf *conf, const struct tree *at, const char *const *names, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Out of memory, with words. */
int conf_no_memory(struct conf *conf);

#endif
