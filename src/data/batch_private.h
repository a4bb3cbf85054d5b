/* SPDX-License-Identifier: MIT */
/* Private to batch*.c. */
#ifndef DATA_BATCH_PRIVATE_H
#define DATA_BATCH_PRIVATE_H
#include <weir/batch.h>

enum { BATCH_LINE = 64 };

/* Bytes that `count` values of `width` take in a slab, up to the next line; SIZE_MAX when that overflows. */
static inline size_t batch_room(size_t count, size_t width)
{
    size_t size;
    if (__builtin_mul_overflow(count, width, &size) || size > SIZE_MAX / 4) {
        return SIZE_MAX;
    }
    return (size + BATCH_LINE - 1) & ~(size_t)(BATCH_LINE - 1);
}

static inline size_t batch_sum(size_t a, size_t b)
{
    size_t sum;
    return __builtin_add_overflow(a, b, &sum) ? SIZE_MAX : sum;
}

/* Room for all columns of a schema. */
size_t batch_columns_room(const struct weir_schema *schema, size_t rows);

/* A batch with no columns set whose first slab has room for `extra` bytes of weir_batch_allocate. */
struct weir_batch *batch_new_with_room(struct weir_pool *pool, struct weir_schema *schema, uint32_t rows, size_t extra);

/* An array of `count` places for receipts, all NULL (the batch's own place if count is 1); receipt_count stays 0. NULL:
 * no memory. */
struct weir_receipt **batch_receipts_room(struct weir_batch *batch, uint32_t count);

/* Takes references to all receipts of `from`, in order. false: no memory. */
bool batch_share_receipts(struct weir_batch *batch, const struct weir_batch *from);
#endif
