/* SPDX-License-Identifier: MIT */
/*
 * Rows that a stage keeps until event time has gone on: copies, so that no batch of a source is held up meanwhile.
 * Their memory counts against the budget for state. The rows of one batch are copied together and let go one by one.
 */
#ifndef PARTS_KEPT_ROWS_H
#define PARTS_KEPT_ROWS_H
#include <weir/part.h>

/* Rows of one batch, with the columns of its schema that are wanted (the others NULL). */
struct kept_rows {
    uint32_t references; /* one for each row that is still kept */
    struct weir_schema *schema;
    int64_t *produced;
    size_t bytes;
    void *columns[];
};

struct kept_row {
    const struct kept_rows *rows; /* NULL: none */
    uint32_t row;
};

/* Copies rows of a batch, with the columns in `wanted` (one for each of the schema's). Begins with `count` references.
 * NULL: no memory, or none left in the budget. */
struct kept_rows *kept_rows_new(struct weir_env *env, const struct weir_batch *in, const uint32_t *rows, uint32_t count,
                                const bool *wanted);
void kept_rows_release(struct weir_env *env, struct kept_rows *rows); /* one reference; NULL is allowed */

/* Fills column `to` of a new batch: row i with the value of from[i] in the column that is `column` of `schema` now (by
 * name and type, where the rows are of an earlier one); null where there is none. Texts are copied. 0 or -ENOMEM. */
int kept_rows_column(struct weir_batch *batch, uint32_t to, const struct kept_row *from,
                     const struct weir_schema *schema, uint32_t column);
#endif
