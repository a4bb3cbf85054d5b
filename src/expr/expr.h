/* SPDX-License-Identifier: MIT */
/*
 * Expressions over batches: parsed once, type-checked against a schema at bind, evaluated column by column.
 *
 *   or   and   not   = == != < <= > >=   in (…)   not in (…)   is null   is not null   + -   * / %   unary -   ^
 * (power) numbers 1 2.5 1e-3   strings 'a' "a"   true false null   columns name, `odd name`   durations 500ms if(c, a,
 * b)  abs sqrt exp log pow min max clamp floor ceil round sign coalesce  normal_tail(x, mean, stddev)
 *
 * Types: numbers (f64, i64), bool, strings (symbol, text), time. i64 and f64 mix to f64; `/` and `^` always give f64;
 * i64 that overflows and i64 % 0 are null. Null (and NaN) propagates through arithmetic and comparisons; and/or/not are
 * three-valued as in SQL; a filter keeps a row only if the expression is true. Comparing a time with a string parses
 * the string as RFC 3339 at bind. time - time is f64 seconds; time ± a duration literal is a time; everywhere else a
 * duration is f64 seconds. round goes away from zero at halves, as in C. The reference is docs/expressions.md.
 */
#ifndef EXPR_EXPR_H
#define EXPR_EXPR_H
#include <weir/part.h>
#include "data/symbols.h"

enum { EXPR_DEPTH_MAX = 200, EXPR_LENGTH_MAX = 64 * 1024, EXPR_NODES_MAX = 4096 };

struct expr;
/* Parses. On a mistake: -EINVAL and error->text with the message, the expression's line and a caret under the mistake;
 * error->mark at the mistake. `source.mark` is where the text stands in the configuration. */
int expr_parse(struct weir_quoted source, struct expr **ret, struct weir_error *error);
/* Type-checks against a schema (may be called again for another). Unknown columns get a suggestion. Constant strings
 * are interned in `symbols`, which must outlive the results; NULL will do to check types. After it, expr_type is valid.
 */
int expr_bind(struct expr *expr, const struct weir_schema *schema, struct weir_symbols *symbols,
              struct weir_error *error);
enum weir_type expr_type(const struct expr *expr);
/* Evaluates over all rows of a batch (its schema is the bound one): `out` is an array of batch->rows values of
 * expr_type. Rows outside the selection get some value. Takes up to 40 KiB of stack; one thread at a time. 0, or
 * -ENOMEM. */
int expr_evaluate(struct expr *expr, const struct weir_batch *batch, void *out);
/* For a bool expression: writes the selected physical rows for which it is true into rows (room for batch->count);
 * returns how many. Cannot fail now; callers still treat a negative result as an error. */
int64_t expr_filter(struct expr *expr, const struct weir_batch *batch, uint32_t *rows);
void expr_free(struct expr *expr); /* NULL is allowed */
#endif
