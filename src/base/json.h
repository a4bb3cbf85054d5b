/* SPDX-License-Identifier: MIT */
/*
 * A JSON text as a tree (RFC 8259), for files that weir itself wrote: saved profiles and measurements. Not for data on
 * its way through a pipeline; that is codec's.
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/part.h>

enum { JSON_TREE_DEPTH_MAX = 64, JSON_TREE_SIZE_MAX = 64 << 20, JSON_TREE_NODES_MAX = 1 << 20 };

enum json_kind { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };
struct json_node {
    enum json_kind kind;
    double number;    /* of a bool: 1 or 0 */
    const char *text; /* of a string, terminated; may hold NULs if the text had \u0000 */
    size_t length;
    const char *name;                     /* of a member of an object; else NULL */
    const struct json_node *first, *next; /* children, in order */
};
struct json_tree;

/* Does not keep `text`. -EINVAL with words and the line, -E2BIG over a limit, -ENOMEM. */
int json_tree_parse(const char *text, size_t size, struct json_tree **ret, struct weir_error *error);
void json_tree_free(struct json_tree *tree); /* NULL is allowed */
const struct json_node *json_tree_root(const struct json_tree *tree);

/* The first member of that name, or NULL; also when the node is NULL or no object. */
const struct json_node *json_member(const struct json_node *node, const char *name);
/* The member's value if it is there and of that kind, else the fallback. */
double json_member_number(const struct json_node *node, const char *name, double fallback);
/* The same, of a count: 0 if it is not there, below 0, or beyond 2^63; without what stands behind the point. */
uint64_t json_member_count(const struct json_node *node, const char *name);
const char *json_member_text(const struct json_node *node, const char *name, const char *fallback);

#endif
