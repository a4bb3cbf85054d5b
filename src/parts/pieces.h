/* SPDX-License-Identifier: MIT */
/* For stages that make many records of one: how many go out at a time, so that what is under way fits the memory. */
#ifndef PARTS_PIECES_H
#define PARTS_PIECES_H
#include <string.h>
#include <weir/part.h>

enum { PIECE_BYTES = 256 << 10, PIECE_ROWS_MOST = 4096, PIECE_ROW_BYTES = 32 /* besides its columns */ };

static inline uint32_t pieces_rows(const struct weir_schema *schema)
{
    size_t bytes = PIECE_ROW_BYTES;
    for (uint32_t i = 0; i < schema->count; i++)
        bytes += weir_field_width(&schema->fields[i]);
    size_t rows = PIECE_BYTES / bytes;
    return rows < 1 ? 1 : rows < PIECE_ROWS_MOST ? (uint32_t)rows : PIECE_ROWS_MOST;
}

/* The selected rows [first, end) of a batch as another; NULL: no memory. Settles nothing. */
static inline struct weir_batch *pieces_cut(struct weir_env *env, struct weir_batch *batch, uint32_t first,
                                            uint32_t end)
{
    if (!first && end == batch->count)
        return weir_batch_reference(batch);
    return weir_batch_cut(env->pool, batch, first, end);
}

/* The stage has emitted records of the first rows of a batch and has no memory for those of the others. */
static inline void pieces_give_up(struct weir_env *env, struct weir_batch *batch, uint32_t first)
{
    for (uint32_t i = first; i < batch->count; i++) {
        const uint32_t row = weir_batch_row(batch, i);
        weir_refuse(env, batch, &row, 1, "out of memory");
    }
}

#endif
