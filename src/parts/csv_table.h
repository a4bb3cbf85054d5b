/* SPDX-License-Identifier: MIT */
/*
 * A CSV file with a header (RFC 4180: quotes, doubled quotes, line ends within them), found by the values of one of its
 * columns. The whole text is in memory with an index; cells are taken out of it when a row is asked for. Where several
 * rows have one key, the last counts.
 */
#ifndef PARTS_CSV_TABLE_H
#define PARTS_CSV_TABLE_H
#include <weir/part.h>

#include "base/buffer.h"

enum { CSV_TABLE_COLUMNS_MOST = 1024, CSV_TABLE_BYTES_MOST = 1 << 30, CSV_TABLE_CELL_MOST = 1 << 20 };

struct csv_table;

/* Reads it; may block. `key`: the column that rows are found by. -EINVAL with words that name file and line, -ENOENT,
 * -ENOMEM, … */
int csv_table_load(const char *path, const char *key, struct csv_table **ret, struct weir_error *error);
/* The same of a text, which is copied. */
int csv_table_parse(const char *text, size_t size, const char *key, struct csv_table **ret, struct weir_error *error);
void csv_table_free(struct csv_table *table); /* NULL is allowed */
/* Is what the file's name stands for now another file, or changed? Blocks for as long as the file system takes to say.
 */
bool csv_table_changed(const struct csv_table *table, const char *path);
size_t csv_table_bytes(const struct csv_table *table);

uint32_t csv_table_columns(const struct csv_table *table);
const char *csv_table_name(const struct csv_table *table, uint32_t column);
int32_t csv_table_find(const struct csv_table *table, const char *column); /* -1: none */
/* Is every cell of it that is not empty a number (as JSON writes it, more or less)? Looks at all rows. */
bool csv_table_numeric(const struct csv_table *table, uint32_t column);

/* The row of a key; -1: none. */
int64_t csv_table_row(const struct csv_table *table, const char *key, size_t size);
/* Appends a cell as JSON: a number, a string, or null where it is empty or missing. */
void csv_table_cell(const struct csv_table *table, int64_t row, uint32_t column, struct weir_buffer *out);
#endif
