/* SPDX-License-Identifier: MIT */
/* Chunks of heaps → batches with a row for each place. */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "parts/spead_columns_private.h"

/* The batch that is being made. */
struct making {
    struct spead_columns *columns;
    const struct weir_spead_heap *chunk;
    struct weir_batch *batch;
    uint32_t *selection;
    int64_t *produced;
    int64_t wall_offset, produced_ns;
};

/* A heap that is one array and nothing else: then the block is the column. */
static bool is_direct(const struct making *making, const struct spead_columns_item *item)
{
    const struct weir_field *field = &making->columns->schema->fields[item->column];
    return !item->type.unpacked && weir_field_width(field) == making->chunk->chunk->heap_bytes;
}

static bool begin(struct making *making)
{
    struct spead_columns *columns = making->columns;
    uint32_t rows = making->chunk->chunk->heaps;
    making->batch = weir_batch_new_empty(columns->env->pool, columns->schema, rows);
    if (!making->batch)
        return false;
    making->selection = weir_batch_allocate(making->batch, rows * sizeof *making->selection);
    making->produced = weir_batch_allocate(making->batch, rows * sizeof *making->produced);
    for (uint32_t i = 0; i < columns->count; i++) {
        const struct spead_columns_item *item = &columns->items[i];
        if (item->type.kind == SPEAD_COLUMN_ARRAY && is_direct(making, item))
            making->batch->columns[item->column].data = making->chunk->memory.data;
    }
    for (uint32_t c = 0; c < columns->schema->count; c++) { /* rows without a heap are nulls or zeros, not garbage */
        if (making->batch->columns[c].data)
            continue;
        void *data = weir_batch_add_column(making->batch, c);
        if (!data)
            return false;
        memset(data, 0, rows * weir_field_width(&columns->schema->fields[c]));
    }
    for (uint32_t row = 0; making->produced && row < rows; row++)
        making->produced[row] = making->produced_ns != INT64_MIN ? making->produced_ns : making->chunk->last_ns;
    making->batch->count = 0;
    return making->selection && making->produced;
}

static void put_array(const struct making *making, const struct spead_columns_item *item,
                      const struct weir_spead_value *value, void *into, size_t width)
{
    uint8_t bytes[8];
    const uint8_t *data = value->data;
    size_t numbers = (size_t)item->elements * (item->type.scalar.in_element == 2 ? 2 : 1);
    size_t size = (numbers * item->type.scalar.bits + 7) / 8;
    if (is_direct(making, item))
        return;
    spead_store64(bytes, value->value);
    if (value->immediate)
        data = bytes + 8 - (size < 8 ? size : 8);
    if (item->type.unpacked)
        spead_unpack(item->type, data, numbers, into);
    else
        memcpy(into, data, width);
}

static void put_own(const struct making *making, int32_t column, uint32_t row, const void *value, size_t size)
{
    if (column >= 0)
        memcpy((char *)weir_batch_column_data(making->batch, (uint32_t)column) + row * size, value, size);
}

static bool put_row(struct making *making, uint32_t row, const struct weir_spead_heap *heap,
                    const struct spead_columns_sender *sender)
{
    struct spead_columns *columns = making->columns;
    const int64_t wall_ns = heap->first_ns + making->wall_offset, count = (int64_t)heap->count;
    const uint8_t complete = 1;
    for (uint32_t i = 0; i < columns->count; i++) {
        const struct spead_columns_item *item = &columns->items[i];
        size_t width = weir_field_width(&columns->schema->fields[item->column]);
        void *into = (char *)weir_batch_column_data(making->batch, item->column) + row * width;
        if (item->type.kind == SPEAD_COLUMN_ARRAY)
            put_array(making, item, columns->found[i], into, width);
        else if (item->type.kind != SPEAD_COLUMN_TEXT)
            spead_columns_put_kept(item, &sender->kept[i], into);
        else if (!spead_columns_put_text(&sender->kept[i], making->batch, into))
            return false;
    }
    put_own(making, columns->own_time, row, &wall_ns, sizeof wall_ns);
    put_own(making, columns->own_sender, row, &sender->symbol, sizeof sender->symbol);
    put_own(making, columns->own_heap, row, &count, sizeof count);
    put_own(making, columns->own_complete, row, &complete, sizeof complete);
    if (making->produced_ns == INT64_MIN)
        making->produced[row] = heap->last_ns;
    making->selection[making->batch->count++] = row;
    return true;
}

/* Adds the heap at a place, if it makes a record; the first one says what the schema is. */
static int add_heap(struct making *making, uint32_t place)
{
    struct spead_columns *columns = making->columns;
    const struct weir_spead_heap *heap = making->chunk->chunk->placed[place];
    struct spead_columns_sender *sender = spead_columns_sender_of(columns, heap->source);
    int good = sender ? spead_columns_look_at(columns, heap, sender) : -ENOMEM;
    if (good <= 0)
        return good;
    if (columns->stale && making->batch) { /* other lengths than the chunk's first: no row of this batch */
        columns->losses.too_short++;
        columns->stale = false;
        return 0;
    }
    if (columns->stale && spead_columns_build_schema(columns) < 0)
        return -ENOMEM;
    if (!making->batch && !begin(making))
        return -ENOMEM;
    return put_row(making, place, heap, sender) ? 0 : -ENOMEM;
}

int spead_columns_chunk(struct spead_columns *columns, struct weir_spead_heap *chunk, int64_t wall_offset,
                        int64_t produced_ns, struct weir_batch **ret)
{
    struct making making = {.columns = columns, .chunk = chunk, .wall_offset = wall_offset, .produced_ns = produced_ns};
    int error = 0;
    for (uint32_t place = 0; error == 0 && place < chunk->chunk->heaps; place++) {
        if (chunk->chunk->placed[place])
            error = add_heap(&making, place);
    }
    if (error < 0) {
        weir_batch_release(making.batch);
        return error;
    }
    columns->losses.missing += chunk->chunk->heaps - chunk->chunk->present_count;
    if (!making.batch)
        return 0;
    if (making.batch->count < making.batch->rows)
        weir_batch_select(making.batch, making.selection, making.batch->count);
    making.batch->produced_rows = making.produced;
    making.batch->produced = making.produced[0];
    weir_batch_own_memory(making.batch, &chunk->memory);
    *ret = making.batch;
    return 1;
}
