/* SPDX-License-Identifier: MIT */
/* Private to the kernels: the loops that an expression of `a` (and `b`) is put into. A semicolon follows. */
#ifndef EXPR_KERNEL_LOOPS_H
#define EXPR_KERNEL_LOOPS_H
#include "expr/kernels.h"

#define NULL_I64 WEIR_I64_NULL

/* The second input is never the first's output, so `restrict` holds; both inputs may be the same column. */
#define UNARY(NAME, IN, OUT, RESULT)                                                                                   \
    void NAME(const struct kernel_call *call)                                                                          \
    {                                                                                                                  \
        const IN *restrict x = call->in[0];                                                                            \
        OUT *restrict out = call->out;                                                                                 \
        for (size_t i = 0; i < call->count; i++) {                                                                     \
            const IN a = x[i];                                                                                         \
            out[i] = (OUT)(RESULT);                                                                                    \
        }                                                                                                              \
    }                                                                                                                  \
    struct kernel_call

/* A loop for each shape: with a constant in a register a comparison reads half as much. */
#define BINARY(NAME, IN, OUT, RESULT)                                                                                  \
    void NAME(const struct kernel_call *call)                                                                          \
    {                                                                                                                  \
        const IN *restrict x = call->in[0], *restrict y = call->in[1];                                                 \
        OUT *restrict out = call->out;                                                                                 \
        const size_t count = call->count;                                                                              \
        if (call->scalar == 2) {                                                                                       \
            const IN b = *y;                                                                                           \
            for (size_t i = 0; i < count; i++) {                                                                       \
                const IN a = x[i];                                                                                     \
                out[i] = (OUT)(RESULT);                                                                                \
            }                                                                                                          \
        } else if (call->scalar == 1) {                                                                                \
            const IN a = *x;                                                                                           \
            for (size_t i = 0; i < count; i++) {                                                                       \
                const IN b = y[i];                                                                                     \
                out[i] = (OUT)(RESULT);                                                                                \
            }                                                                                                          \
        } else {                                                                                                       \
            for (size_t i = 0; i < count; i++) {                                                                       \
                const IN a = x[i], b = y[i];                                                                           \
                out[i] = (OUT)(RESULT);                                                                                \
            }                                                                                                          \
        }                                                                                                              \
    }                                                                                                                  \
    struct kernel_call

#endif
