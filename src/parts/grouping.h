/* SPDX-License-Identifier: MIT */
/*
 * For stages with an option `by`: no column (the key of the source), one, or several. The engine knows keys of one
 * column; records go to lanes by the first of several, and are then told apart by all of them together, as one symbol.
 *
 * The values of a key are kept as 8 bytes each: a number as it is, a text as the id of its symbol.
 */
#ifndef PARTS_GROUPING_H
#define PARTS_GROUPING_H
#include <weir/part.h>

enum { GROUPING_COLUMNS_MOST = 8 };

struct grouping {
    uint32_t columns[GROUPING_COLUMNS_MOST]; /* of the schema that comes in */
    uint32_t count;                          /* 0: all records are one group */
    struct weir_schema *together;            /* several columns: as it comes in, but the first column is a symbol */
    struct weir_batch *batch;                /* of that schema, while a batch is worked on */
};

/* What a stage's `key` returns for its option `by`. */
const char *grouping_key(const struct weir_list *by);

/* Finds the columns. -EINVAL with words at the name. May be called again. */
int grouping_bind(struct grouping *grouping, struct weir_env *env, const struct weir_list *by,
                  const struct weir_schema *in);
void grouping_free(struct grouping *grouping);

/* weir_key_states by all columns. *batch may be replaced by one with fewer rows selected, and of another schema: the
 * columns of `in` stay valid for its rows. It lives until grouping_done. */
int grouping_states(struct grouping *grouping, struct weir_env *env, struct weir_batch **batch, void **states);
/* weir_filter of what grouping_states left, with the columns of `in`; `rows` are some of those of `keyed`. */
struct weir_batch *grouping_filter(struct weir_env *env, struct weir_batch *in, struct weir_batch *keyed,
                                   const uint32_t *rows, uint32_t count);
void grouping_done(struct grouping *grouping);

/* The values of a row's key, one for each column. */
void grouping_values(const struct grouping *grouping, const struct weir_env *env, const struct weir_batch *in,
                     uint32_t row, uint64_t *values);

/* The columns as they go out: texts as symbols. */
struct weir_field grouping_field(const struct grouping *grouping, const struct weir_schema *in, uint32_t i);
/* Writes a value into row `row` of such a column. */
void grouping_put(const struct weir_field *field, void *column, uint32_t row, uint64_t value);
#endif
