/* SPDX-License-Identifier: MIT */
/*
 * Private to expr/: tokens, the tree, and struct expr itself.
 *
 *   text → lexer.c → parser.c → nodes (children before parents) → bind.c → program.c → steps → evaluate.c
 *
 * Because children stand before their parents, every later pass is one loop over the array of nodes: nothing but the
 * parser recurses, and the parser counts its depth.
 */
#ifndef EXPR_SYNTAX_H
#define EXPR_SYNTAX_H
#include "expr/expr.h"
#include "expr/program.h"

enum token_kind {
    TOKEN_END,
    TOKEN_I64,
    TOKEN_F64,
    TOKEN_DURATION, /* ns in i64 */
    TOKEN_STRING,
    TOKEN_NAME,        /* a column, or a function when '(' follows */
    TOKEN_QUOTED_NAME, /* `odd name`: always a column */
    TOKEN_OPEN,
    TOKEN_CLOSE,
    TOKEN_COMMA,
    TOKEN_PLUS,
    TOKEN_MINUS,
    TOKEN_TIMES,
    TOKEN_DIVIDE,
    TOKEN_MODULO,
    TOKEN_POWER,
    TOKEN_EQUAL,
    TOKEN_UNEQUAL,
    TOKEN_LESS,
    TOKEN_LESS_EQUAL,
    TOKEN_GREATER,
    TOKEN_GREATER_EQUAL,
    TOKEN_AND,
    TOKEN_OR,
    TOKEN_NOT,
    TOKEN_IN,
    TOKEN_IS,
    TOKEN_NULL,
    TOKEN_TRUE,
    TOKEN_FALSE,
};

struct span { /* bytes of the source text */
    uint32_t offset, length;
};

struct token {
    enum token_kind kind;
    struct span span;
    union {
        int64_t i64;
        double f64;
        struct weir_text text; /* unescaped and terminated, in expr->strings */
    };
};

enum node_kind {
    NODE_NULL,
    NODE_BOOL,
    NODE_I64,
    NODE_F64,
    NODE_DURATION,
    NODE_STRING,
    NODE_COLUMN,
    NODE_NEGATE,
    NODE_NOT,
    NODE_IS_NULL,
    NODE_IS_NOT_NULL,
    NODE_ADD, /* in the order of enum kernel_arithmetic */
    NODE_SUBTRACT,
    NODE_MULTIPLY,
    NODE_DIVIDE,
    NODE_MODULO,
    NODE_POWER,
    NODE_EQUAL, /* in the order of enum kernel_comparison */
    NODE_UNEQUAL,
    NODE_LESS,
    NODE_LESS_EQUAL,
    NODE_GREATER,
    NODE_GREATER_EQUAL,
    NODE_AND,
    NODE_OR,
    NODE_IN,
    NODE_NOT_IN,
    NODE_CALL,
};

enum { NODE_NONE = UINT32_MAX };

struct node {
    enum node_kind kind;
    struct span span;
    uint32_t first, next; /* first child; next sibling */
    union {
        int64_t i64;
        double f64;
        bool boolean;
        struct weir_text text; /* string, name of a column */
        const struct expr_function *call;
    };
};

struct expr {
    char *text;
    uint32_t length;
    struct weir_mark mark;
    char *strings; /* unescaped strings and names, terminated: never more than 2 × length + 2 bytes */
    size_t strings_used;
    struct node *nodes;
    uint32_t count, capacity, root;
    struct program program;
};

struct lexer {
    struct expr *expr;
    struct weir_error *error;
    uint32_t at;
};

/* The next token, or -EINVAL with error set. */
int lexer_next(struct lexer *lexer, struct token *ret);

/* Sets error to the words with the line of the expression and a caret under span; returns -EINVAL. */
int expr_mistake(const struct expr *expr, struct weir_error *error, struct span span, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Parses expr->text into expr->nodes. */
int parser_run(struct expr *expr, struct weir_error *error);

#endif
