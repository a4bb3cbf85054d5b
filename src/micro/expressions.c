/* SPDX-License-Identifier: MIT */
/* Expressions: columns that are derived, and filters. */
#include <errno.h>

#include "base/memory.h"
#include "expr/expr.h"
#include "micro/micro.h"
#include "micro/records.h"

struct expression_work {
    struct micro_records records;
    struct expr *expr;
    void *out; /* values, or rows */
};

static void close_expression(void *state)
{
    struct expression_work *work = state;
    expr_free(work->expr);
    memory_free(work->out);
    micro_records_close(&work->records);
    memory_free(work);
}

static int open_expression(const struct microbench *bench, void **ret)
{
    struct weir_error error = {0};
    struct expression_work *work = memory_zeroed(1, sizeof *work);
    if (!work)
        return -ENOMEM;
    int code = micro_records_open(&work->records);
    work->out = memory_aligned(64, MICRO_ROWS * sizeof(double));
    if (!code && !work->out)
        code = -ENOMEM;
    if (!code)
        code = expr_parse((struct weir_quoted){.text = bench->settings}, &work->expr, &error);
    if (!code)
        code = expr_bind(work->expr, work->records.schema, work->records.symbols, &error);
    if (code) {
        close_expression(work);
        return code;
    }
    *ret = work;
    return 0;
}

static int run_expression(void *state, uint64_t calls)
{
    struct expression_work *work = state;
    for (uint64_t i = 0; i < calls; i++) {
        int error = expr_evaluate(work->expr, work->records.batch, work->out);
        if (error)
            return error;
    }
    return 0;
}

/* Each filter keeps some, and not all. */
static int run_filter(void *state, uint64_t calls)
{
    struct expression_work *work = state;
    for (uint64_t i = 0; i < calls; i++) {
        int64_t kept = expr_filter(work->expr, work->records.batch, work->out);
        if (kept <= 0 || kept >= MICRO_ROWS)
            return kept < 0 ? (int)kept : -EIO;
    }
    return 0;
}

#define EXPRESSION(kind, what, text)                                                                                   \
    {                                                                                                                  \
        .name = #kind "." what, .summary = text, .item = "record", .items = MICRO_ROWS, .settings = text,              \
        .open = open_expression, .run = run_##kind, .close = close_expression                                          \
    }

const struct microbench micro_expressions[] = {
    EXPRESSION(expression, "linear", "value * 1.8 + 32"),
    EXPRESSION(expression, "ratio", "(value - other) / (abs(value) + 1)"),
    EXPRESSION(expression, "if", "if(value > 20, value, 0)"),
    EXPRESSION(expression, "exp", "exp(value / 100)"),
    EXPRESSION(filter, "compare", "value > other"),
    EXPRESSION(filter, "range", "value > 16 and value < 33"),
    EXPRESSION(filter, "symbol", "sensor in ('s1', 's20', 's300')"),
    {.name = NULL},
};
