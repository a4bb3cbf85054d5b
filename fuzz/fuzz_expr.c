/* SPDX-License-Identifier: MIT */
/* Any text as an expression: parsed, bound to a schema with every type, evaluated over a few rows with nulls and
 * extremes. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "data/pool.h"
#include "expr/expr.h"

enum { ROWS = 21 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct weir_field fields[] = {
    {.name = "time", .type = WEIR_TIME},
    {.name = "value", .type = WEIR_F64},
    {.name = "n", .type = WEIR_I64},
    {.name = "flag", .type = WEIR_BOOL},
    {.name = "site", .type = WEIR_SYMBOL},
    {.name = "note", .type = WEIR_TEXT},
    {.name = "odd name", .type = WEIR_F64},
    {.name = "grid", .type = WEIR_ARRAY, .element = WEIR_ELEMENT_F64, .elements = 2},
};
enum { FIELDS = sizeof(fields) / sizeof(fields[0]) };

static void fill(struct weir_batch *batch, uint32_t site)
{
    static const double numbers[] = {0, -1.5, NAN, INFINITY, -INFINITY, 1e308, 5e-324};
    static const int64_t wholes[] = {0, 1, -1, INT64_MIN, INT64_MAX, INT64_MIN + 1, 7};

    for (uint32_t i = 0; i < ROWS; i++) {
        ((int64_t *)weir_batch_column_data(batch, 0))[i] = wholes[(i + 3) % 7];
        ((double *)weir_batch_column_data(batch, 1))[i] = numbers[i % 7];
        ((int64_t *)weir_batch_column_data(batch, 2))[i] = wholes[i % 7];
        ((uint8_t *)weir_batch_column_data(batch, 3))[i] = i % 3 == 2 ? WEIR_BOOL_NULL : (uint8_t)(i % 3);
        ((uint32_t *)weir_batch_column_data(batch, 4))[i] = i % 2 ? site : WEIR_SYMBOL_NULL;
        ((struct weir_text *)weir_batch_column_data(batch, 5))[i] = (struct weir_text){i % 3 ? "text" : NULL, i % 3};
        ((double *)weir_batch_column_data(batch, 6))[i] = i;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    struct weir_error error = {0};
    struct expr *expr = NULL;

    memcpy(text, data, size);
    text[size] = '\0';
    if (expr_parse((struct weir_quoted){.text = text, .mark = {"fuzz", 1, 1}}, &expr, &error) == 0) {
        struct weir_pool *pool = pool_new(NULL, 0);
        struct weir_symbols *symbols = symbols_new(NULL, 0);
        struct weir_schema *schema = weir_schema_new(fields, FIELDS, 0, -1);
        struct weir_batch *batch = weir_batch_new(pool, schema, ROWS);
        struct weir_text results[ROWS];
        uint32_t rows[ROWS];

        fill(batch, symbols_intern(symbols, "north", 5));
        if (expr_bind(expr, schema, symbols, &error) == 0) {
            if (expr_evaluate(expr, batch, results) < 0 ||
                (expr_type(expr) == WEIR_BOOL && expr_filter(expr, batch, rows) > ROWS)) {
                abort();
            }
        }
        weir_batch_release(batch);
        weir_schema_release(schema);
        symbols_free(symbols);
        pool_close(pool);
    }
    if ((error.code == 0) != (expr != NULL && error.text[0] == '\0')) {
        abort(); /* a mistake without words, or words without a mistake */
    }
    expr_free(expr);
    free(text);
    return 0;
}
