/* SPDX-License-Identifier: MIT */
/*
 * Nanoseconds for a row of expressions, without an engine: filters (rows kept, as a selection) and derived columns,
 * over batches of 4096 rows, 4 M rows in all so that the columns come from memory. Processor time; best of seven runs.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "data/pool.h"
#include "expr/expr.h"

enum { ROWS = 4096, BATCHES = 1024, RUNS = 7 };

static const struct weir_field fields[] = {
    {.name = "value", .type = WEIR_F64},
    {.name = "other", .type = WEIR_F64},
    {.name = "n", .type = WEIR_I64},
    {.name = "site", .type = WEIR_SYMBOL},
};
enum { FIELDS = sizeof(fields) / sizeof(fields[0]) };

static const char *const expressions[] = {
    "value > -40 and value < 125",
    "value > other",
    "n > 10",
    "site = 'north'",
    "site in ('north', 'south', 'east')",
    "value is not null",
    "value * 1.8 + 32",
    "(value - other) / (abs(value) + 1)",
    "n * 3 + 1",
    "if(value > 100, 1, 0)",
    "clamp(value, 0, 100)",
    "round(value * 10) / 10",
    "exp(value / 100)",
    "normal_tail(value, 20, 40)",
};

static double run(struct expr *expr, struct weir_batch **batches, void *out, uint64_t *kept)
{
    int64_t start = clock_thread_cpu();

    *kept = 0;
    for (int i = 0; i < BATCHES; i++) {
        if (expr_type(expr) == WEIR_BOOL) {
            *kept += (uint64_t)expr_filter(expr, batches[i], out);
        } else {
            expr_evaluate(expr, batches[i], out);
        }
    }
    return (double)(clock_thread_cpu() - start) / ((double)ROWS * BATCHES);
}

static int measure(const char *source, struct weir_schema *schema, struct weir_symbols *symbols,
                   struct weir_batch **batches, void *out)
{
    struct weir_error error = {0};
    struct expr *expr = NULL;
    uint64_t kept = 0;

    if (expr_parse((struct weir_quoted){.text = source}, &expr, &error) < 0 ||
        expr_bind(expr, schema, symbols, &error) < 0) {
        fprintf(stderr, "%s\n", error.text);
        expr_free(expr);
        return 1;
    }
    double best = run(expr, batches, out, &kept);
    for (int i = 1; i < RUNS; i++) {
        double ns = run(expr, batches, out, &kept);
        best = ns < best ? ns : best;
    }
    printf("%-36s %8.2f ns", source, best);
    if (expr_type(expr) == WEIR_BOOL) {
        printf("   keeps %.0f %%", 100.0 * (double)kept / ((double)ROWS * BATCHES));
    }
    printf("\n");
    expr_free(expr);
    return 0;
}

static bool fill(struct weir_batch *batch, const uint32_t sites[4], uint64_t *random)
{
    for (uint32_t i = 0; batch && i < ROWS; i++) {
        *random = *random * UINT64_C(6364136223846793005) + 1442695040888963407;
        uint64_t x = *random >> 33;
        ((double *)weir_batch_column_data(batch, 0))[i] = (double)(x % 4000) / 10 - 100;
        ((double *)weir_batch_column_data(batch, 1))[i] = (double)(x % 1000) / 4;
        ((int64_t *)weir_batch_column_data(batch, 2))[i] = (int64_t)(x % 21);
        ((uint32_t *)weir_batch_column_data(batch, 3))[i] = sites[x / 64 % 4];
    }
    return batch != NULL;
}

int main(void)
{
    struct weir_pool *pool = pool_new(NULL, 0);
    struct weir_symbols *symbols = symbols_new(NULL, 0);
    struct weir_schema *schema = weir_schema_new(fields, FIELDS, -1, -1);
    struct weir_batch **batches = memory_zeroed(BATCHES, sizeof(struct weir_batch *));
    void *out = memory_aligned(64, ROWS * sizeof(double));
    const uint32_t sites[4] = {symbols_intern(symbols, "north", 5), symbols_intern(symbols, "south", 5),
                               symbols_intern(symbols, "west", 4), symbols_intern(symbols, "up", 2)};
    uint64_t random = 1;
    int r = !batches || !out;

    for (int i = 0; r == 0 && i < BATCHES; i++) {
        batches[i] = weir_batch_new(pool, schema, ROWS);
        r = !fill(batches[i], sites, &random);
    }
    for (size_t i = 0; r == 0 && i < sizeof(expressions) / sizeof(expressions[0]); i++) {
        r = measure(expressions[i], schema, symbols, batches, out);
    }
    for (int i = 0; batches && i < BATCHES; i++) {
        weir_batch_release(batches[i]);
    }
    memory_free(batches);
    memory_free(out);
    weir_schema_release(schema);
    symbols_free(symbols);
    pool_close(pool);
    return r;
}
