/* SPDX-License-Identifier: MIT */
/*
 * Merging in two steps: first the order (for each row of the result, which batch and which of its rows), by merging
 * pairs of neighbours until one list is left; then every column is gathered in that order.
 *
 * Pairs rather than a heap of all: which of two comes first is a matter of arithmetic, without a branch that the
 * processor would have to guess, and an earlier argument stays before a later one of the same position by itself.
 */
#include <stdatomic.h>
#include <string.h>

#include "base/memory.h"
#include "data/batch_private.h"
#include "data/batch_receipt.h"
#include "data/gather.h"
#include "data/pool.h"

struct item {
    uint64_t position;
    uint32_t batch; /* index of the argument */
    uint32_t row;   /* its physical row */
};

struct merge {
    struct weir_batch *const *batches;
    uint32_t batch_count;
    uint32_t rows;          /* of the result */
    uint32_t receipt_count; /* of all arguments; those in common more than once */
    struct item *items;     /* the order that is being made; `spare` has room for the next step */
    struct item *spare;
    uint32_t *ends;          /* of the lists in items, each in order by itself */
    const void **arrays;     /* one for each batch: the column that is being gathered */
    uint32_t *from, *row;    /* the order, for the gathering */
    uint32_t *receipt_first; /* of each batch, in receipt_map */
    uint32_t *receipt_map;   /* a batch's receipt → the result's */
    void *scratch;           /* holds all of the above; a slab, or NULL */
};

/* Keeps the arguments alive for the sake of their texts. Lives in the result's own memory. */
struct keeper {
    struct weir_memory memory;
    uint32_t count;
    struct weir_batch *batches[];
};

static void release_kept(struct weir_memory *memory)
{
    struct keeper *keeper = memory->owner;
    for (uint32_t i = 0; i < keeper->count; i++) {
        weir_batch_release(keeper->batches[i]);
    }
}

static bool keep_arguments(struct weir_batch *out, const struct merge *merge)
{
    struct keeper *keeper = weir_batch_allocate(out, sizeof *keeper + merge->batch_count * sizeof keeper->batches[0]);
    if (!keeper) {
        return false;
    }
    keeper->memory = (struct weir_memory){.release = release_kept, .owner = keeper};
    atomic_init(&keeper->memory.references, 1);
    keeper->count = merge->batch_count;
    for (uint32_t i = 0; i < merge->batch_count; i++) {
        keeper->batches[i] = weir_batch_reference(merge->batches[i]);
    }
    out->foreign = &keeper->memory;
    return true;
}

static bool merge_prepare(struct merge *merge, struct weir_pool *pool, struct weir_batch *const *batches,
                          uint32_t count)
{
    uint64_t rows = 0, receipts = 0;
    for (uint32_t i = 0; i < count; i++) {
        rows += batches[i]->count;
        receipts += batches[i]->receipt_count;
    }
    if (rows > UINT32_MAX || receipts > UINT32_MAX) {
        return false;
    }
    *merge = (struct merge){
        .batches = batches, .batch_count = count, .rows = (uint32_t)rows, .receipt_count = (uint32_t)receipts};
    size_t order = batch_room(rows, sizeof *merge->from);
    size_t items = batch_room(rows, sizeof *merge->items);
    size_t ends = batch_room(count, sizeof *merge->ends);
    size_t arrays = batch_room(count, sizeof *merge->arrays);
    size_t firsts = batch_room(count, sizeof *merge->receipt_first);
    size_t map = batch_room(receipts, sizeof *merge->receipt_map);
    char *at = merge->scratch = pool_take(pool, 2 * order + 2 * items + ends + arrays + firsts + map);
    if (!at) {
        return false;
    }
    merge->from = (uint32_t *)at;
    merge->row = (uint32_t *)(at += order);
    merge->items = (struct item *)(at += order);
    merge->spare = (struct item *)(at += items);
    merge->ends = (uint32_t *)(at += items);
    merge->arrays = (const void **)(at += ends);
    merge->receipt_first = (uint32_t *)(at += arrays);
    merge->receipt_map = (uint32_t *)(at + firsts);
    return true;
}

static struct item *put_items(struct item *out, const struct weir_batch *batch, uint32_t index)
{
    for (uint32_t i = 0; i < batch->count; i++) {
        uint32_t row = weir_batch_row(batch, i);
        *out++ = (struct item){.position = weir_batch_position(batch, row), .batch = index, .row = row};
    }
    return out;
}

static void merge_pair(struct item *out, const struct item *a, const struct item *a_end, const struct item *b,
                       const struct item *b_end)
{
    if (a < a_end && b < b_end && a_end[-1].position > b->position) {
        while (a < a_end && b < b_end) {
            bool second = b->position < a->position;
            *out++ = second ? *b : *a;
            a += !second;
            b += second;
        }
    }
    memcpy(out, a, (size_t)(a_end - a) * sizeof *a);
    memcpy(out + (a_end - a), b, (size_t)(b_end - b) * sizeof *b);
}

static void find_order(struct merge *merge)
{
    struct item *end = merge->items;
    for (uint32_t i = 0; i < merge->batch_count; i++) {
        end = put_items(end, merge->batches[i], i);
        merge->ends[i] = (uint32_t)(end - merge->items);
    }
    for (uint32_t lists = merge->batch_count; lists > 1; lists = (lists + 1) / 2) {
        uint32_t start = 0;
        for (uint32_t i = 0; i < lists; i += 2) {
            uint32_t middle = merge->ends[i], stop = i + 1 < lists ? merge->ends[i + 1] : middle;
            merge_pair(merge->spare + start, merge->items + start, merge->items + middle, merge->items + middle,
                       merge->items + stop);
            merge->ends[i / 2] = start = stop;
        }
        struct item *made = merge->spare;
        merge->spare = merge->items;
        merge->items = made;
    }
    for (uint32_t i = 0; i < merge->rows; i++) {
        merge->from[i] = merge->items[i].batch;
        merge->row[i] = merge->items[i].row;
    }
}

/* Where `receipt` is among the first `count` of `all`. */
static uint32_t find_receipt(struct weir_receipt *const *all, uint32_t count, const struct weir_receipt *receipt)
{
    for (uint32_t i = count; i-- > 0;) { /* the most recent is the likeliest */
        if (all[i] == receipt) {
            return i;
        }
    }
    return UINT32_MAX;
}

/* Collects the receipts, each once. */
static bool unite_receipts(struct merge *merge, struct weir_batch *out)
{
    if (merge->receipt_count == 0) {
        return true;
    }
    struct weir_receipt **all = batch_receipts_room(out, merge->receipt_count);
    if (!all) {
        return false;
    }
    uint32_t mapped = 0;
    for (uint32_t i = 0; i < merge->batch_count; i++) {
        const struct weir_batch *batch = merge->batches[i];
        merge->receipt_first[i] = mapped;
        for (uint32_t j = 0; j < batch->receipt_count; j++) {
            uint32_t at = find_receipt(all, out->receipt_count, batch->receipts[j]);
            if (at == UINT32_MAX) {
                at = out->receipt_count;
                if (at > UINT16_MAX) { /* more than receipt_of can name */
                    return false;
                }
                all[out->receipt_count++] = receipt_reference(batch->receipts[j]);
            }
            merge->receipt_map[mapped++] = at;
        }
    }
    return true;
}

/* receipt_row, and receipt_of if there are several receipts. */
static bool merge_receipts(struct merge *merge, struct weir_batch *out)
{
    if (!unite_receipts(merge, out)) {
        return false;
    }
    if (out->receipt_count == 0) {
        return true;
    }
    uint32_t *rows = weir_batch_allocate(out, out->rows * sizeof *rows);
    uint16_t *of = out->receipt_count > 1 ? weir_batch_allocate(out, out->rows * sizeof *of) : NULL;
    if (!rows || (out->receipt_count > 1 && !of)) {
        return false;
    }
    for (uint32_t i = 0; i < out->rows; i++) {
        const struct weir_batch *batch = merge->batches[merge->from[i]];
        uint32_t row = merge->row[i], first = merge->receipt_first[merge->from[i]];
        bool accounted = batch->receipt_count > 0;
        rows[i] = !accounted ? UINT32_MAX : batch->receipt_row ? batch->receipt_row[row] : row;
        if (of) {
            uint32_t mine = batch->receipt_of ? batch->receipt_of[row] : 0;
            of[i] = accounted ? (uint16_t)merge->receipt_map[first + mine] : 0;
        }
    }
    out->receipt_row = rows;
    out->receipt_of = of;
    return true;
}

static bool merge_produced(const struct merge *merge, struct weir_batch *out)
{
    bool same = true;
    for (uint32_t i = 0; i < merge->batch_count; i++) {
        const struct weir_batch *batch = merge->batches[i];
        same &= !batch->produced_rows && batch->produced == merge->batches[0]->produced;
    }
    out->produced = merge->batches[0]->produced;
    if (same) {
        return true;
    }
    int64_t *produced = weir_batch_allocate(out, out->rows * sizeof *produced);
    if (!produced) {
        return false;
    }
    for (uint32_t i = 0; i < out->rows; i++) {
        produced[i] = weir_batch_produced(merge->batches[merge->from[i]], merge->row[i]);
    }
    out->produced_rows = produced;
    out->produced = out->rows ? produced[0] : out->produced;
    return true;
}

/* Known for all rows or for none. */
static bool merge_watermarks(const struct merge *merge, struct weir_batch *out)
{
    for (uint32_t i = 0; i < merge->batch_count; i++) {
        if (!merge->batches[i]->watermarks) {
            return true;
        }
    }
    int64_t *watermarks = weir_batch_allocate(out, out->rows * sizeof *watermarks);
    if (!watermarks) {
        return false;
    }
    for (uint32_t i = 0; i < out->rows; i++) {
        watermarks[i] = merge->batches[merge->from[i]]->watermarks[merge->row[i]];
    }
    out->watermarks = watermarks;
    return true;
}

static bool merge_hidden(struct merge *merge, struct weir_batch *out)
{
    out->source = merge->batches[0]->source;
    out->sequence = merge->batches[0]->sequence;
    uint64_t *positions = weir_batch_allocate(out, out->rows * sizeof *positions);
    if (!positions) {
        return false;
    }
    for (uint32_t i = 0; i < out->rows; i++) {
        positions[i] = merge->items[i].position;
    }
    out->positions = positions;
    out->position = out->rows ? positions[0] : merge->batches[0]->position;
    return merge_produced(merge, out) && merge_watermarks(merge, out) && merge_receipts(merge, out);
}

static bool merge_columns(struct merge *merge, struct weir_batch *out)
{
    bool text = false;
    for (uint32_t i = 0; i < out->schema->count; i++) {
        const struct weir_field *field = &out->schema->fields[i];
        bool set = true;
        for (uint32_t j = 0; j < merge->batch_count; j++) {
            merge->arrays[j] = merge->batches[j]->columns[i].data;
            set &= merge->arrays[j] || merge->batches[j]->count == 0;
        }
        if (!set) {
            continue; /* somebody has not set it: nor can we */
        }
        void *data = weir_batch_add_column(out, i);
        if (!data) {
            return false;
        }
        gather_many(data, merge->arrays, merge->from, merge->row, out->rows, weir_field_width(field),
                    merge->batch_count);
        text |= field->type == WEIR_TEXT;
    }
    return !text || keep_arguments(out, merge);
}

struct weir_batch *weir_batch_merge(struct weir_pool *pool, struct weir_batch *const *batches, uint32_t count)
{
    if (count == 0) {
        return NULL;
    }
    struct merge merge;
    if (!merge_prepare(&merge, pool, batches, count)) {
        return NULL;
    }
    struct weir_schema *schema = batches[0]->schema;
    size_t room = batch_columns_room(schema, merge.rows);
    room = batch_sum(room, 2 * batch_room(merge.rows, sizeof(uint64_t)) + 2 * batch_room(merge.rows, sizeof(uint32_t)));
    room = batch_sum(room, batch_room(merge.receipt_count, sizeof(struct weir_receipt *)) +
                               batch_room(count + 8, sizeof(struct weir_batch *)));
    struct weir_batch *out = batch_new_with_room(pool, schema, merge.rows, room);
    if (out) {
        find_order(&merge);
        if (!merge_hidden(&merge, out) || !merge_columns(&merge, out)) {
            weir_batch_release(out);
            out = NULL;
        }
    }
    pool_give(merge.scratch);
    return out;
}
