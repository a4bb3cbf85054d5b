/* SPDX-License-Identifier: MIT */
/*
 * Private to expr/: loops over columns. They have no branches that depend on values (where arithmetic allows it), so
 * that the compiler turns them into vector code. Nulls are values like any other: see weir/schema.h.
 */
#ifndef EXPR_KERNELS_H
#define EXPR_KERNELS_H
#include <weir/schema.h>

struct kernel_call {
    void *out;
    const void *in[3];
    size_t count;
    unsigned scalar; /* bit i: in[i] is one value (at most one input of two; never of three) */
    const void *extra;
};
typedef void kernel_function(const struct kernel_call *call);

/* Constants of `in (…)`, ascending and without repetition. */
struct kernel_list {
    size_t count;
    union {
        double *f64;
        int64_t *i64;
        uint32_t *symbols;
        struct weir_text *texts;
        void *data;
    };
};

enum kernel_arithmetic { KERNEL_ADD, KERNEL_SUBTRACT, KERNEL_MULTIPLY, KERNEL_DIVIDE, KERNEL_MODULO, KERNEL_POWER };
enum kernel_comparison {
    KERNEL_EQUAL,
    KERNEL_UNEQUAL,
    KERNEL_LESS,
    KERNEL_LESS_EQUAL,
    KERNEL_GREATER,
    KERNEL_GREATER_EQUAL
};

extern kernel_function *const kernel_arithmetic_f64[]; /* by enum kernel_arithmetic */
extern kernel_function *const kernel_arithmetic_i64[]; /* NULL for divide and power; times ± durations too */
/* By type and enum kernel_comparison; NULL where there is none (ordering of bools and symbols). */
extern kernel_function *const kernel_compare[WEIR_TYPE_COUNT][6];
extern kernel_function *const kernel_is_null[WEIR_TYPE_COUNT];
extern kernel_function *const kernel_is_not_null[WEIR_TYPE_COUNT];
extern kernel_function *const kernel_in[WEIR_TYPE_COUNT];       /* extra: struct kernel_list */
extern kernel_function *const kernel_if[WEIR_TYPE_COUNT];       /* bool, a, b */
extern kernel_function *const kernel_coalesce[WEIR_TYPE_COUNT]; /* a, b */

kernel_function kernel_and, kernel_or, kernel_not;
kernel_function kernel_negate_f64, kernel_negate_i64;
kernel_function kernel_time_difference; /* time, time → f64 seconds */
kernel_function kernel_i64_to_f64;
kernel_function kernel_symbol_to_text; /* extra: struct weir_symbols */

kernel_function kernel_abs_f64, kernel_abs_i64, kernel_sign_f64, kernel_sign_i64;
kernel_function kernel_min_f64, kernel_min_i64, kernel_max_f64, kernel_max_i64;
kernel_function kernel_sqrt, kernel_exp, kernel_log, kernel_floor, kernel_ceil, kernel_round;
kernel_function kernel_normal_tail; /* x, mean, stddev */

/* Writes first + i to rows for each truth[i] that is true; returns how many. May write up to `count` of rows. With
 * `selection`: its `count` rows for which truth[row - first] is true. */
size_t kernel_compress(const uint8_t *truth, uint32_t first, size_t count, uint32_t *rows);
size_t kernel_compress_selection(const uint8_t *truth, uint32_t first, const uint32_t *selection, size_t count,
                                 uint32_t *rows);
int kernel_text_order(struct weir_text a, struct weir_text b); /* as memcmp, the shorter first */
#endif
