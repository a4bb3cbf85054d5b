/* SPDX-License-Identifier: MIT */
/* Private to expr/: the one table of functions, which the checker, the suggestions and the documentation go by. */
#ifndef EXPR_FUNCTIONS_H
#define EXPR_FUNCTIONS_H
#include "expr/kernels.h"

enum function_rule {
    FUNCTION_FLOAT,   /* numbers → f64 */
    FUNCTION_NUMBER,  /* i64 → i64, f64 → f64; all arguments brought to one of them */
    FUNCTION_ORDERED, /* as NUMBER, and times → time */
    FUNCTION_SAME,    /* any type; all arguments brought to one */
    FUNCTION_IF,      /* bool, then as SAME */
};

struct expr_function {
    const char *name;
    const char *arguments; /* as written in help */
    uint8_t least, most;   /* number of arguments */
    enum function_rule rule;
    kernel_function *f64; /* NULL: made of others in bind.c */
    kernel_function *i64; /* NULL: whole numbers stay as they are */
    const char *help;
};

enum { FUNCTION_ARGUMENTS_MAX = 64 };
extern const struct expr_function expr_functions[];
extern const size_t expr_function_count;

const struct expr_function *expr_function_find(const char *name); /* NULL: none */
const char *expr_function_nearest(const char *name);              /* NULL: none is near */
#endif
