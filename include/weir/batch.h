/* SPDX-License-Identifier: MIT */
/*
 * Batches: records of one schema as columns.
 *
 *            column 0   column 1   column 2          selection
 *   row 0  |  12:00   |   "s1"   |  20.5   |           [0,
 *   row 1  |  12:00   |   "s2"   | -99.0   |            2]      count = 2 of rows = 3
 *   row 2  |  12:01   |   "s1"   |  20.7   |
 *
 * A batch is written by the one thread that made it, then published (handed to somebody else) and from then on
 * immutable and shared by reference. A stage that changes something derives a new batch: it shares the columns
 * that stay, owns those it adds, and keeps its parent alive. Memory comes from the pool of the thread that made the
 * batch and goes back to it, whoever drops the last reference.
 *
 * Values of rows outside the selection exist but mean nothing: a kernel may compute on them (that is often
 * faster than skipping them), and must not fail on them.
 */
#ifndef WEIR_BATCH_H
#define WEIR_BATCH_H

#include <weir/schema.h>

struct weir_pool;
struct weir_receipt;

struct weir_column {
    union {
        const void *data;
        const double *f64;
        const int64_t *i64; /* also WEIR_TIME */
        const uint8_t *bools;
        const uint32_t *symbols;
        const struct weir_text *texts;
    };
};

/* Memory that a batch does not carve from its pool: a received heap, a block of file bytes. */
struct weir_memory {
    _Atomic uint32_t references;
    void *data;
    size_t size;
    void (*release)(struct weir_memory *memory); /* called once, from any thread, with the last reference */
    void *owner;                                 /* for release */
};
/* One more reference, for another owner; returns its argument. Any thread. */
struct weir_memory *weir_memory_reference(struct weir_memory *memory);
void weir_memory_release(struct weir_memory *memory); /* NULL is allowed */

struct weir_batch {
    _Atomic uint32_t references;
    uint32_t rows;             /* physical rows of every column */
    uint32_t count;            /* rows that are selected; equal to rows when selection is NULL */
    const uint32_t *selection; /* ascending physical rows, or NULL for all */
    struct weir_schema *schema;
    struct weir_column *columns; /* schema->count of them */

    /* Where the records came from: the hidden columns. */
    uint32_t source;           /* index of the source in the pipeline */
    uint64_t sequence;         /* number of the source's batch, from 0 */
    uint64_t position;         /* of row 0, if positions is NULL: row r is at position + r */
    const uint64_t *positions; /* or one for each physical row: the record's number in its source, from 0 */
    int64_t produced;          /* when row 0 came into being for weir, ns; of all rows if produced_rows is NULL */
    const int64_t *produced_rows;
    /* The watermark (weir/part.h) that each physical row brings about as far as it is alone to say: the newest event
     * time of its source's batch up to it, less the source's delay. NULL: not known; see weir_row_watermark. */
    const int64_t *watermarks;

    /* Accounts. With one receipt (the usual case) receipt_of is NULL and receipts has one entry. A row made by a
     * stage out of nothing (an aggregate) has receipt_row UINT32_MAX and is not accounted for. */
    struct weir_receipt **receipts; /* each holds a reference; may be NULL when receipt_count is 0 */
    uint32_t receipt_count;
    const uint16_t *receipt_of;  /* index into receipts for each physical row, or NULL: all 0 */
    const uint32_t *receipt_row; /* row in that receipt, or NULL: the physical row */

    /* Private to data/: */
    struct weir_batch *parent;   /* whose columns this one shares */
    struct weir_memory *foreign; /* memory that some column points into, or NULL */
    struct weir_pool *pool;
    void *slabs;
};

/* A new batch with `rows` rows, memory of every column allocated but not set (use weir_batch_column_data), all rows
 * selected, no receipts. NULL when out of memory or over the budget. Single thread: the pool's. */
struct weir_batch *weir_batch_new(struct weir_pool *pool, struct weir_schema *schema, uint32_t rows);

/* The same without memory for columns: each data pointer is NULL until set. */
struct weir_batch *weir_batch_new_empty(struct weir_pool *pool, struct weir_schema *schema, uint32_t rows);

/* A batch with the rows, selection, hidden columns and receipts of `parent` (which it keeps alive) and the schema
 * given. Columns that `schema` has in common with the parent's, by name and type, are shared; the others have data
 * NULL until weir_batch_add_column or an assignment. Any thread may derive from a published batch, with its own pool.
 */
struct weir_batch *weir_batch_derive(struct weir_pool *pool, struct weir_batch *parent, struct weir_schema *schema);

/* A derived batch of the selected rows [first, end) alone; NULL: no memory. Settles nothing. */
struct weir_batch *weir_batch_cut(struct weir_pool *pool, struct weir_batch *batch, uint32_t first, uint32_t end);

/* Memory for column `index` (rows × width bytes, 64-byte aligned), installed and returned; NULL when out of memory. */
void *weir_batch_add_column(struct weir_batch *batch, uint32_t index);

/* The writable memory of a column of a batch made by weir_batch_new, not yet published. */
static inline void *weir_batch_column_data(struct weir_batch *batch, uint32_t index)
{
    return (void *)batch->columns[index].data;
}

/* Memory that lives as long as the batch, 64-byte aligned (selections, text bytes, hidden columns). NULL: none left. */
void *weir_batch_allocate(struct weir_batch *batch, size_t size);

/* Sets the selection of an unpublished batch; `selection` must live as long as the batch (weir_batch_allocate). */
void weir_batch_select(struct weir_batch *batch, const uint32_t *selection, uint32_t count);

/* Keeps `memory` alive as long as the batch; takes over the caller's reference. One per batch. */
void weir_batch_own_memory(struct weir_batch *batch, struct weir_memory *memory);

/* A dense copy of the selected rows (hidden columns and receipts included), with memory of its own from `pool`; text
 * bytes stay where they are, so the parent is kept alive if there is a text column. With `rows` not NULL, copies those
 * `count` physical rows, in that order, instead of the selection. */
struct weir_batch *weir_batch_compact(struct weir_pool *pool, struct weir_batch *batch, const uint32_t *rows,
                                      uint32_t count);

/* Merges batches of one schema, each ascending in position, into one dense batch ascending in position; equal
 * positions keep the order of the arguments. Does not consume its arguments. */
struct weir_batch *weir_batch_merge(struct weir_pool *pool, struct weir_batch *const *batches, uint32_t count);

/* One more reference, for another owner; returns its argument. Any thread. */
struct weir_batch *weir_batch_reference(struct weir_batch *batch);
void weir_batch_release(struct weir_batch *batch); /* NULL is allowed; any thread */

/* Bytes of memory this batch alone keeps from being reused (its own slabs). */
size_t weir_batch_bytes(const struct weir_batch *batch);
/* The same of all the batches whose columns it shares. */
size_t weir_batch_bytes_behind(const struct weir_batch *batch);

static inline uint32_t weir_batch_row(const struct weir_batch *batch, uint32_t i)
{
    return batch->selection ? batch->selection[i] : i;
}
static inline uint64_t weir_batch_position(const struct weir_batch *batch, uint32_t row)
{
    return batch->positions ? batch->positions[row] : batch->position + row;
}
static inline int64_t weir_batch_produced(const struct weir_batch *batch, uint32_t row)
{
    return batch->produced_rows ? batch->produced_rows[row] : batch->produced;
}
/* The later of the row's own watermark and another. */
static inline int64_t weir_batch_watermark(const struct weir_batch *batch, uint32_t row, int64_t watermark)
{
    return batch->watermarks && batch->watermarks[row] > watermark ? batch->watermarks[row] : watermark;
}

#endif
