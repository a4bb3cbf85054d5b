/* SPDX-License-Identifier: MIT */
#include "parts/fill_gaps.h"

#include <string.h>

#include "parts/numeric.h"
#include "parts/pieces.h"
#include "parts/values.h"

uint64_t *gaps_add(struct gaps *gaps, const struct gap *gap)
{
    const size_t needed = gaps->count + 1, values = needed * gaps->fields;
    if ((needed > gaps->capacity &&
         numeric_reserve(&gaps->items, &gaps->capacity, 2 * needed, sizeof *gaps->items) < 0) ||
        (values + 1 > gaps->values_capacity &&
         numeric_reserve(&gaps->values, &gaps->values_capacity, 2 * values + 1, sizeof *gaps->values) < 0))
        return NULL;
    gaps->items[gaps->count] = *gap;
    return gaps->values + gaps->count++ * gaps->fields;
}

void gaps_forget(struct gaps *gaps)
{
    gaps->count = gaps->next = gaps->at = 0;
}

void gaps_free(struct gaps *gaps)
{
    memory_free(gaps->items);
    memory_free(gaps->values);
}

/* How many records are still to be put in; `most`, when more. */
static uint32_t count_left(const struct gaps *gaps, uint32_t most)
{
    uint64_t count = 0;
    for (size_t i = gaps->next; i < gaps->count && count < (uint64_t)most + gaps->at; i++)
        count += gaps->items[i].count;
    count -= count ? gaps->at : 0;
    return count < most ? (uint32_t)count : most;
}

/* The next record: time, key, the fields; all else is null. */
static void write_record(const struct gaps *gaps, struct weir_batch *batch, uint32_t i, const struct weir_batch *made)
{
    const struct gap *gap = &gaps->items[gaps->next];
    const struct weir_field *schema = made->schema->fields;
    const uint32_t row = weir_batch_row(made, gap->index);
    for (uint32_t c = 0; c < made->schema->count; c++)
        value_set_null(&schema[c], weir_batch_column_data(batch, c), i);
    for (uint32_t f = 0; f < gaps->fields; f++)
        value_write_bits(&schema[gaps->columns[f]], weir_batch_column_data(batch, gaps->columns[f]), i,
                         gaps->values[gaps->next * gaps->fields + f]);
    for (uint32_t k = 0; k < gaps->grouping->count; k++) {
        uint32_t column = gaps->grouping->columns[k];
        size_t width = weir_field_width(&schema[column]);
        memcpy((char *)weir_batch_column_data(batch, column) + i * width,
               (const char *)made->columns[column].data + row * width, width);
    }
    ((int64_t *)weir_batch_column_data(batch, (uint32_t)made->schema->time))[i] = gap->time +
                                                                                  (gaps->at + 1) * gaps->every;
}

/* The next records that are put in, in the place of positions the ranks of their gaps. */
static struct weir_batch *make_records(struct gaps *gaps, struct weir_env *env, const struct weir_batch *made,
                                       uint32_t count)
{
    struct weir_batch *batch = weir_batch_new(env->pool, made->schema, count);
    uint64_t *ranks = batch ? weir_batch_allocate(batch, count * sizeof *ranks) : NULL;
    if (!ranks) {
        weir_batch_release(batch);
        return NULL;
    }
    batch->produced = weir_batch_produced(made, weir_batch_row(made, gaps->items[gaps->next].index));
    for (uint32_t i = 0; i < count; i++) {
        const struct gap *gap = &gaps->items[gaps->next];
        write_record(gaps, batch, i, made);
        ranks[i] = 2 * (uint64_t)gap->index;
        if (++gaps->at == gap->count) {
            gaps->at = 0;
            gaps->next++;
        }
    }
    batch->positions = ranks;
    batch->position = ranks[0];
    batch->source = made->source;
    batch->sequence = made->sequence;
    return batch;
}

/* Merged by their ranks: rows that stages made of one record have one position, and are to stay in their order. */
static struct weir_batch *put_together(struct weir_env *env, struct weir_batch *records, struct weir_batch *made,
                                       uint32_t first, uint32_t end)
{
    struct weir_batch *rows = weir_batch_derive(env->pool, made, made->schema);
    uint64_t *ranks = rows ? weir_batch_allocate(rows, (made->rows + 1) * sizeof *ranks) : NULL;
    uint32_t *selection = ranks ? weir_batch_allocate(rows, (end - first + 1) * sizeof *selection) : NULL;
    struct weir_batch *both[] = {records, rows}, *merged = NULL;
    if (selection) {
        for (uint32_t i = first; i < end; i++) {
            selection[i - first] = weir_batch_row(made, i);
            ranks[selection[i - first]] = 2 * (uint64_t)i + 1;
        }
        weir_batch_select(rows, selection, end - first);
        rows->positions = ranks;
        merged = weir_batch_merge(env->pool, both, 2);
    }
    weir_batch_release(rows);
    uint64_t *positions = merged ? weir_batch_allocate(merged, merged->rows * sizeof *positions) : NULL;
    if (!positions) {
        weir_batch_release(merged);
        return NULL;
    }
    for (uint32_t i = 0; i < merged->rows; i++)
        positions[i] = weir_batch_position(made, weir_batch_row(made, (uint32_t)(merged->positions[i] / 2)));
    merged->positions = positions;
    merged->position = positions[0];
    return merged;
}

struct weir_batch *gaps_piece(struct gaps *gaps, struct weir_env *env, struct weir_batch *made, uint32_t most,
                              uint32_t *next)
{
    const uint32_t count = count_left(gaps, most), first = *next;
    struct weir_batch *records = count ? make_records(gaps, env, made, count) : NULL, *piece;
    if (count && !records)
        return NULL;
    const uint32_t end = gaps->next < gaps->count ? gaps->items[gaps->next].index : made->count;
    piece = records ? put_together(env, records, made, first, end) : pieces_cut(env, made, first, end);
    weir_batch_release(records);
    *next = piece ? end : first;
    return piece;
}
