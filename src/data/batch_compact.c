/* SPDX-License-Identifier: MIT */
#include <stdatomic.h>

#include "data/batch_private.h"
#include "data/batch_receipt.h"
#include "data/gather.h"

/* Room for the hidden columns of a compact copy. */
static size_t hidden_room(const struct weir_batch *batch, const uint32_t *rows, uint32_t count)
{
    size_t room = 0;
    if (batch->positions || rows) {
        room += batch_room(count, sizeof *batch->positions);
    }
    if (batch->produced_rows) {
        room += batch_room(count, sizeof *batch->produced_rows);
    }
    if (batch->watermarks) {
        room += batch_room(count, sizeof *batch->watermarks);
    }
    if (batch->receipt_of) {
        room += batch_room(count, sizeof *batch->receipt_of);
    }
    if (batch->receipt_row || (rows && batch->receipt_count)) {
        room += batch_room(count, sizeof *batch->receipt_row);
    }
    if (batch->receipt_count > 1) {
        room += batch_room(batch->receipt_count, sizeof *batch->receipts);
    }
    return room;
}

/* A new array with in[rows[i]], in *ret. */
static bool copy_rows(struct weir_batch *out, const void *in, const uint32_t *rows, size_t width, const void **ret)
{
    void *data = weir_batch_allocate(out, out->rows * width);
    if (!data) {
        return false;
    }
    gather(data, in, rows, out->rows, width);
    *ret = data;
    return true;
}

/* The same for what was not an array: base + rows[i]. */
static bool number_rows(struct weir_batch *out, uint64_t base, const uint32_t *rows)
{
    uint64_t *positions = weir_batch_allocate(out, out->rows * sizeof *positions);
    if (!positions) {
        return false;
    }
    for (uint32_t i = 0; i < out->rows; i++) {
        positions[i] = base + rows[i];
    }
    out->positions = positions;
    return true;
}

static bool copy_hidden(struct weir_batch *out, const struct weir_batch *batch, const uint32_t *rows)
{
    out->source = batch->source;
    out->sequence = batch->sequence;
    out->position = batch->position;
    out->produced = batch->produced;
    if (batch->positions) {
        if (!copy_rows(out, batch->positions, rows, sizeof(uint64_t), (const void **)&out->positions)) {
            return false;
        }
    } else if (rows && !number_rows(out, batch->position, rows)) {
        return false;
    }
    if (out->positions && out->rows) {
        out->position = out->positions[0];
    }
    if (batch->produced_rows) {
        if (!copy_rows(out, batch->produced_rows, rows, sizeof(int64_t), (const void **)&out->produced_rows)) {
            return false;
        }
        out->produced = out->rows ? out->produced_rows[0] : batch->produced;
    }
    if (batch->watermarks &&
        !copy_rows(out, batch->watermarks, rows, sizeof(int64_t), (const void **)&out->watermarks)) {
        return false;
    }
    if (batch->receipt_of &&
        !copy_rows(out, batch->receipt_of, rows, sizeof(uint16_t), (const void **)&out->receipt_of)) {
        return false;
    }
    if (batch->receipt_row) {
        return copy_rows(out, batch->receipt_row, rows, sizeof(uint32_t), (const void **)&out->receipt_row);
    }
    if (rows && batch->receipt_count) { /* a physical row was its own number in the receipt */
        return copy_rows(out, rows, NULL, sizeof(uint32_t), (const void **)&out->receipt_row);
    }
    return true;
}

static bool copy_columns(struct weir_batch *out, struct weir_batch *batch, const uint32_t *rows)
{
    bool text = false;
    for (uint32_t i = 0; i < out->schema->count; i++) {
        const struct weir_field *field = &out->schema->fields[i];
        if (!batch->columns[i].data) {
            continue; /* nobody has set it: it stays so */
        }
        if (!copy_rows(out, batch->columns[i].data, rows, weir_field_width(field), &out->columns[i].data)) {
            return false;
        }
        text |= field->type == WEIR_TEXT;
    }
    if (text) {
        out->parent = weir_batch_reference(batch); /* its texts point to where the bytes are */
    }
    return true;
}

struct weir_batch *weir_batch_compact(struct weir_pool *pool, struct weir_batch *batch, const uint32_t *rows,
                                      uint32_t count)
{
    if (!rows) {
        rows = batch->selection;
        count = batch->count;
    }
    size_t room = batch_sum(batch_columns_room(batch->schema, count), hidden_room(batch, rows, count));
    struct weir_batch *out = batch_new_with_room(pool, batch->schema, count, room);
    if (!out) {
        return NULL;
    }
    if (!batch_share_receipts(out, batch) || !copy_hidden(out, batch, rows) || !copy_columns(out, batch, rows)) {
        weir_batch_release(out);
        return NULL;
    }
    return out;
}
