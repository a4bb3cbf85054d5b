/* SPDX-License-Identifier: MIT */
#include "expr/functions.h"

#include <string.h>

#include "base/error.h"

/* Numbers in, f64 out; of one argument. */
#define FLOAT(function, words)                                                                                         \
    {                                                                                                                  \
        .name = #function, .arguments = "x", .least = 1, .most = 1, .rule = FUNCTION_FLOAT, .f64 = kernel_##function,  \
        .help = words                                                                                                  \
    }

const struct expr_function expr_functions[] = {
    {.name = "if",
     .arguments = "condition, a, b",
     .least = 3,
     .most = 3,
     .rule = FUNCTION_IF,
     .help = "a where the condition is true, else b (also where it is null)"},
    {.name = "coalesce",
     .arguments = "a, b, …",
     .least = 2,
     .most = FUNCTION_ARGUMENTS_MAX,
     .rule = FUNCTION_SAME,
     .help = "the first of its arguments that is not null"},
    {.name = "min",
     .arguments = "a, b, …",
     .least = 2,
     .most = FUNCTION_ARGUMENTS_MAX,
     .rule = FUNCTION_ORDERED,
     .f64 = kernel_min_f64,
     .i64 = kernel_min_i64,
     .help = "the smallest; null if any is null"},
    {.name = "max",
     .arguments = "a, b, …",
     .least = 2,
     .most = FUNCTION_ARGUMENTS_MAX,
     .rule = FUNCTION_ORDERED,
     .f64 = kernel_max_f64,
     .i64 = kernel_max_i64,
     .help = "the largest; null if any is null"},
    {.name = "clamp",
     .arguments = "x, low, high",
     .least = 3,
     .most = 3,
     .rule = FUNCTION_ORDERED,
     .help = "x, but at least low and at most high: min(max(x, low), high)"},
    {.name = "abs",
     .arguments = "x",
     .least = 1,
     .most = 1,
     .rule = FUNCTION_NUMBER,
     .f64 = kernel_abs_f64,
     .i64 = kernel_abs_i64,
     .help = "x without its sign"},
    {.name = "sign",
     .arguments = "x",
     .least = 1,
     .most = 1,
     .rule = FUNCTION_NUMBER,
     .f64 = kernel_sign_f64,
     .i64 = kernel_sign_i64,
     .help = "-1, 0 or 1"},
    {.name = "floor",
     .arguments = "x",
     .least = 1,
     .most = 1,
     .rule = FUNCTION_NUMBER,
     .f64 = kernel_floor,
     .help = "the largest whole number that is not above x"},
    {.name = "ceil",
     .arguments = "x",
     .least = 1,
     .most = 1,
     .rule = FUNCTION_NUMBER,
     .f64 = kernel_ceil,
     .help = "the smallest whole number that is not below x"},
    {.name = "round",
     .arguments = "x",
     .least = 1,
     .most = 1,
     .rule = FUNCTION_NUMBER,
     .f64 = kernel_round,
     .help = "the nearest whole number; halves go away from zero: round(2.5) is 3, round(-2.5) is -3"},
    FLOAT(sqrt, "square root; null for negative x"),
    FLOAT(exp, "e to the power x"),
    FLOAT(log, "natural logarithm; -inf for 0, null for negative x"),
    {.name = "pow",
     .arguments = "x, y",
     .least = 2,
     .most = 2,
     .rule = FUNCTION_FLOAT,
     .help = "x to the power y, as x ^ y"},
    {.name = "normal_tail",
     .arguments = "x, mean, stddev",
     .least = 3,
     .most = 3,
     .rule = FUNCTION_FLOAT,
     .f64 = kernel_normal_tail,
     .help = "the probability that a normally distributed value is above x (the Q-function), precise also far in the "
             "tail; null unless stddev > 0"},
};
const size_t expr_function_count = sizeof(expr_functions) / sizeof(expr_functions[0]);

const struct expr_function *expr_function_find(const char *name)
{
    for (size_t i = 0; i < expr_function_count; i++) {
        if (strcmp(expr_functions[i].name, name) == 0) {
            return &expr_functions[i];
        }
    }
    return NULL;
}

const char *expr_function_nearest(const char *name)
{
    const char *names[sizeof(expr_functions) / sizeof(expr_functions[0])];

    for (size_t i = 0; i < expr_function_count; i++) {
        names[i] = expr_functions[i].name;
    }
    return error_nearest(name, names, expr_function_count);
}
