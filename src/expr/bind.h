/* SPDX-License-Identifier: MIT */
/* Private to expr/: what bind.c (operators) and bind_types.c (types and conversions) share. */
#ifndef EXPR_BIND_H
#define EXPR_BIND_H
#include "expr/syntax.h"

struct binder {
    struct expr *expr;
    struct program *program;
    const struct weir_schema *schema;
    struct weir_symbols *symbols; /* may be NULL */
    struct weir_error *error;
    struct operand *results; /* of each node */
};

/* "a number", "a string", … for messages; takes enum value_type too. */
const char *bind_type_words(int type);
/* The type that both can be brought to, or -1. */
int bind_common(int a, int b);
/* Brings an operand to a type that bind_common gave. Strings that are no time are a mistake at `span`. */
int bind_cast(struct binder *binder, struct span span, struct operand *operand, int type);
/* A mistake when the node is no number (whole or not, or a duration, or null); then f64 or i64 is in its type. */
int bind_number(struct binder *binder, uint32_t node, const char *who);
int bind_bool(struct binder *binder, uint32_t node, const char *who);
int bind_no_memory(struct binder *binder);
bool bind_is_null(const struct binder *binder, const struct operand *constant);

int bind_in(struct binder *binder, uint32_t node);
int bind_call(struct binder *binder, uint32_t node);
#endif
