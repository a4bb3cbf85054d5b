/* SPDX-License-Identifier: MIT */
/*
 * A batch lives in slabs of its pool, of which the first holds all that is known to be needed when it is made:
 *
 *   first slab  | chunk | batch | one receipt | column pointers | column 0 | column 1 | … | selection …
 *   more slabs  | chunk | what weir_batch_allocate did not get into those before
 */
#include <weir/batch.h>

#include <stdatomic.h>
#include <string.h>

#include "data/batch_private.h"
#include "data/batch_receipt.h"
#include "data/gather.h"
#include "data/pool.h"

/* The head of each slab: a pointer that moves up through it. */
struct chunk {
    struct chunk *next;
    char *at, *end;
};

struct whole {
    struct chunk chunk;
    struct weir_batch batch;
    struct weir_receipt *receipt; /* where batch.receipts points when there is one */
};

static struct whole *whole_of(struct weir_batch *batch)
{
    return (struct whole *)((char *)batch - offsetof(struct whole, batch));
}

struct weir_memory *weir_memory_reference(struct weir_memory *memory)
{
    atomic_fetch_add_explicit(&memory->references, 1, memory_order_relaxed);
    return memory;
}

void weir_memory_release(struct weir_memory *memory)
{
    if (memory && atomic_fetch_sub_explicit(&memory->references, 1, memory_order_acq_rel) == 1) {
        memory->release(memory);
    }
}

size_t batch_columns_room(const struct weir_schema *schema, size_t rows)
{
    size_t room = 0;
    for (uint32_t i = 0; i < schema->count; i++) {
        room = batch_sum(room, batch_room(rows, weir_field_width(&schema->fields[i])));
    }
    return room;
}

struct weir_batch *batch_new_with_room(struct weir_pool *pool, struct weir_schema *schema, uint32_t rows, size_t extra)
{
    size_t head = batch_room(1, sizeof(struct whole));
    size_t columns = batch_room(schema->count, sizeof(struct weir_column));
    struct whole *whole = pool_take(pool, batch_sum(head + columns, extra));
    if (!whole) {
        return NULL;
    }
    whole->chunk.next = NULL;
    whole->chunk.at = (char *)whole + head + columns;
    whole->chunk.end = (char *)whole + pool_slab_size(whole);
    whole->receipt = NULL;

    struct weir_batch *batch = &whole->batch;
    memset(batch, 0, sizeof *batch);
    atomic_init(&batch->references, 1);
    batch->rows = rows;
    batch->count = rows;
    batch->schema = weir_schema_reference(schema);
    batch->columns = (struct weir_column *)((char *)whole + head);
    memset(batch->columns, 0, schema->count * sizeof *batch->columns);
    batch->pool = pool;
    batch->slabs = &whole->chunk;
    return batch;
}

struct weir_batch *weir_batch_new_empty(struct weir_pool *pool, struct weir_schema *schema, uint32_t rows)
{
    return batch_new_with_room(pool, schema, rows, 0);
}

struct weir_batch *weir_batch_new(struct weir_pool *pool, struct weir_schema *schema, uint32_t rows)
{
    struct weir_batch *batch = batch_new_with_room(pool, schema, rows, batch_columns_room(schema, rows));
    if (!batch) {
        return NULL;
    }
    struct chunk *chunk = batch->slabs;
    for (uint32_t i = 0; i < schema->count; i++) {
        batch->columns[i].data = chunk->at;
        chunk->at += batch_room(rows, weir_field_width(&schema->fields[i]));
    }
    return batch;
}

void *weir_batch_allocate(struct weir_batch *batch, size_t size)
{
    size_t room = batch_room(size, 1);
    struct chunk *chunk = batch->slabs;
    if ((size_t)(chunk->end - chunk->at) >= room) {
        void *memory = chunk->at;
        chunk->at += room;
        return memory;
    }
    struct chunk *added = pool_take(batch->pool, batch_sum(batch_room(1, sizeof *added), room));
    if (!added) {
        return NULL;
    }
    void *memory = (char *)added + batch_room(1, sizeof *added);
    added->at = (char *)memory + room;
    added->end = (char *)added + pool_slab_size(added);
    if (added->end - added->at > chunk->end - chunk->at) {
        added->next = chunk;
        batch->slabs = added;
    } else { /* the one before has more left: go on with it */
        added->next = chunk->next;
        chunk->next = added;
    }
    return memory;
}

void *weir_batch_add_column(struct weir_batch *batch, uint32_t index)
{
    size_t room = batch_room(batch->rows, weir_field_width(&batch->schema->fields[index]));
    void *data = room == SIZE_MAX ? NULL : weir_batch_allocate(batch, room);
    if (data) {
        batch->columns[index].data = data;
    }
    return data;
}

void weir_batch_select(struct weir_batch *batch, const uint32_t *selection, uint32_t count)
{
    batch->selection = selection;
    batch->count = count;
}

void weir_batch_own_memory(struct weir_batch *batch, struct weir_memory *memory)
{
    batch->foreign = memory;
}

void batch_set_receipt(struct weir_batch *batch, struct weir_receipt *receipt)
{
    struct whole *whole = whole_of(batch);
    whole->receipt = receipt;
    batch->receipts = &whole->receipt;
    batch->receipt_count = 1;
}

struct weir_receipt **batch_receipts_room(struct weir_batch *batch, uint32_t count)
{
    if (count <= 1) {
        batch->receipts = &whole_of(batch)->receipt;
    } else {
        batch->receipts = weir_batch_allocate(batch, count * sizeof *batch->receipts);
    }
    return batch->receipts;
}

bool batch_share_receipts(struct weir_batch *batch, const struct weir_batch *from)
{
    if (from->receipt_count == 0) {
        return true;
    }
    if (!batch_receipts_room(batch, from->receipt_count)) {
        return false;
    }
    for (uint32_t i = 0; i < from->receipt_count; i++) {
        batch->receipts[i] = receipt_reference(from->receipts[i]);
    }
    batch->receipt_count = from->receipt_count;
    return true;
}

/* The index of a field of the same name and type, looking at `hint` first; -1: none. */
static int32_t find_same(const struct weir_schema *schema, const struct weir_field *field, int32_t hint)
{
    int32_t at = hint;
    if ((uint32_t)hint >= schema->count || strcmp(schema->fields[hint].name, field->name) != 0) {
        at = weir_schema_find(schema, field->name);
    }
    if (at < 0) {
        return -1;
    }
    const struct weir_field *found = &schema->fields[at];
    bool same = found->type == field->type &&
                (field->type != WEIR_ARRAY || (found->element == field->element && found->elements == field->elements));
    return same ? at : -1;
}

/* Shares what the schemas have in common; returns the room that the other columns need. With `batch` NULL only that. */
static size_t share_columns(struct weir_batch *batch, const struct weir_batch *parent, const struct weir_schema *schema)
{
    size_t missing = 0;
    int32_t hint = 0; /* most stages keep the order */
    for (uint32_t i = 0; i < schema->count; i++) {
        const struct weir_field *field = &schema->fields[i];
        int32_t at = schema == parent->schema ? (int32_t)i : find_same(parent->schema, field, hint);
        if (at < 0) {
            missing = batch_sum(missing, batch_room(parent->rows, weir_field_width(field)));
            continue;
        }
        hint = at + 1;
        if (batch) {
            batch->columns[i] = parent->columns[at];
        }
    }
    return missing;
}

struct weir_batch *weir_batch_derive(struct weir_pool *pool, struct weir_batch *parent, struct weir_schema *schema)
{
    bool same = schema == parent->schema;
    size_t extra = same ? 0 : share_columns(NULL, parent, schema);
    if (extra == 0) { /* no new columns: then most likely a selection */
        extra = batch_room(parent->count, sizeof(uint32_t));
    }
    if (parent->receipt_count > 1) {
        extra = batch_sum(extra, batch_room(parent->receipt_count, sizeof(struct weir_receipt *)));
    }
    struct weir_batch *batch = batch_new_with_room(pool, schema, parent->rows, extra);
    if (!batch) {
        return NULL;
    }
    if (!batch_share_receipts(batch, parent)) {
        weir_batch_release(batch);
        return NULL;
    }
    if (same) {
        memcpy(batch->columns, parent->columns, schema->count * sizeof *batch->columns);
    } else {
        share_columns(batch, parent, schema);
    }
    batch->count = parent->count;
    batch->selection = parent->selection;
    batch->source = parent->source;
    batch->sequence = parent->sequence;
    batch->position = parent->position;
    batch->positions = parent->positions;
    batch->produced = parent->produced;
    batch->produced_rows = parent->produced_rows;
    batch->watermarks = parent->watermarks;
    batch->receipt_of = parent->receipt_of;
    batch->receipt_row = parent->receipt_row;
    batch->parent = weir_batch_reference(parent);
    return batch;
}

struct weir_batch *weir_batch_cut(struct weir_pool *pool, struct weir_batch *batch, uint32_t first, uint32_t end)
{
    struct weir_batch *cut = weir_batch_derive(pool, batch, batch->schema);
    uint32_t *rows = cut ? weir_batch_allocate(cut, (end - first + 1) * sizeof *rows) : NULL;
    if (!rows) {
        weir_batch_release(cut);
        return NULL;
    }
    for (uint32_t i = first; i < end; i++) {
        rows[i - first] = weir_batch_row(batch, i);
    }
    weir_batch_select(cut, rows, end - first);
    return cut;
}

struct weir_batch *weir_batch_reference(struct weir_batch *batch)
{
    atomic_fetch_add_explicit(&batch->references, 1, memory_order_relaxed);
    return batch;
}

static void give_slabs(struct weir_batch *batch)
{
    struct chunk *first = &whole_of(batch)->chunk;
    struct chunk *chunk = batch->slabs;
    while (chunk) {
        struct chunk *next = chunk->next;
        if (chunk != first) { /* it holds the batch, whose list this is */
            pool_give(chunk);
        }
        chunk = next;
    }
    pool_give(first);
}

void weir_batch_release(struct weir_batch *batch)
{
    while (batch && atomic_fetch_sub_explicit(&batch->references, 1, memory_order_acq_rel) == 1) {
        struct weir_batch *parent = batch->parent;
        for (uint32_t i = 0; i < batch->receipt_count; i++) {
            receipt_unreference(batch->receipts[i]);
        }
        weir_memory_release(batch->foreign);
        weir_schema_release(batch->schema);
        give_slabs(batch);
        batch = parent;
    }
}

size_t weir_batch_bytes(const struct weir_batch *batch)
{
    size_t bytes = batch->foreign ? batch->foreign->size : 0;
    for (const struct chunk *chunk = batch->slabs; chunk; chunk = chunk->next) {
        bytes += pool_slab_size(chunk);
    }
    return bytes;
}

size_t weir_batch_bytes_behind(const struct weir_batch *batch)
{
    size_t bytes = 0;
    for (const struct weir_batch *behind = batch->parent; behind; behind = behind->parent) {
        bytes += weir_batch_bytes(behind);
    }
    return bytes;
}
