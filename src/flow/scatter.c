/* SPDX-License-Identifier: MIT */
/*
 * What a lane hands on: to sinks whole, and where state by key begins to each lane the rows of its keys.
 *
 * Two ways to do that. A part that is a dense copy is read front to back by its lane, and nothing else is; but copying
 * all columns costs more than most stages do. So with few lanes the parts are but lists of rows, over columns that they
 * share, of which only those are read that somebody looks at. Both lanes then read the same cache lines, each for its
 * own rows: with many lanes there would be little of its own in each. And a stage that works on all rows of a batch
 * whatever is selected (weir_stage.every_row) would do so once on each lane, so it is given copies.
 */
#include "flow/engine.h"

#include "base/hash.h"
#include "data/kernel_partition.h"

#include <string.h>

enum {
    SHARED_ROWS_LEAST = 128,  /* small batches are copied: two batches that share a third cost as much */
    SHARED_DENSITY_LEAST = 2, /* and so are those of which a filter left less than one in so many */
};

bool lane_append(struct lane *lane, uint32_t output, uint32_t way, struct weir_batch *batch, size_t shared)
{
    struct message *message = turn_append(lane->outputs[output].pending, MESSAGE_DATA);
    if (!message) {
        receipt_settle_all(batch, OUTCOME_REFUSED);
        pipeline_count(lane->machine.pipeline, "engine", "out of memory", NULL, batch->count);
        return false;
    }
    message->batch = weir_batch_reference(batch);
    message->way = way;
    message->shared = shared;
    return true;
}

/* ---- Which lane? ------------------------------------------------------------------------------------------------- */

static inline uint64_t double_bits(double value)
{
    uint64_t bits;
    if (value == 0)
        value = 0; /* -0 and 0 are one key */
    memcpy(&bits, &value, sizeof bits);
    return value == value ? bits : UINT64_MAX; /* and so are all NaN */
}

/* The symbol of a text: it may be text in one source and a symbol in another, and is one key. */
static uint32_t text_symbol(struct weir_symbols *symbols, struct weir_text text)
{
    return text.data ? symbols_intern(symbols, text.data, text.length) : WEIR_SYMBOL_NULL;
}

/* The lane of each selected row, by the value of its key. */
static void choose_lanes(const struct weir_batch *batch, int32_t column, struct weir_symbols *symbols, uint32_t targets,
                         uint8_t *lanes)
{
    const struct weir_column *keys = &batch->columns[column];
    if (batch->schema->fields[column].type == WEIR_SYMBOL) {
        partition_symbols(keys->symbols, batch->selection, batch->count, targets, lanes);
        return;
    }
    for (uint32_t i = 0; i < batch->count; i++) {
        uint32_t row = weir_batch_row(batch, i);
        uint64_t mixed;
        switch (batch->schema->fields[column].type) { /* the same all along: predicted */
        case WEIR_TEXT:
            lanes[i] = partition_lane(partition_mix(text_symbol(symbols, keys->texts[row])), targets);
            continue;
        case WEIR_BOOL:
            mixed = hash_u64(keys->bools[row]);
            break;
        case WEIR_F64:
            mixed = hash_u64(double_bits(keys->f64[row]));
            break;
        case WEIR_TIME:
        case WEIR_I64:
            mixed = hash_u64((uint64_t)keys->i64[row]);
            break;
        default:
            mixed = 0; /* the stage behind will refuse to bind */
            break;
        }
        lanes[i] = partition_lane((uint32_t)(mixed >> 32), targets);
    }
}

static int32_t exchange_column(const struct exchange *exchange, const struct weir_schema *schema)
{
    return *exchange->key ? weir_schema_find(schema, exchange->key) : schema->key;
}

/* ---- Copies ------------------------------------------------------------------------------------------------------ */

/* Rows that there is no memory to hand on: `count` of them, or all that are selected. */
static void refuse_rows(struct lane *lane, struct weir_batch *batch, const uint32_t *rows, uint32_t count)
{
    pipeline_fail_memory(lane->machine.pipeline, "engine", batch->count);
    receipt_settle(batch, rows, count, OUTCOME_REFUSED);
}

static void copy_part(struct lane *lane, uint32_t output, uint32_t way, struct weir_batch *batch, const uint32_t *rows,
                      uint32_t count)
{
    struct weir_batch *part = weir_batch_compact(lane->machine.pool, batch, rows, count);
    if (!part) {
        refuse_rows(lane, batch, rows, count);
        return;
    }
    lane_append(lane, output, way, part, 0);
    weir_batch_release(part);
}

static void copy_parts(struct lane *lane, const struct exchange_port *port, uint32_t way, struct weir_batch *batch,
                       int32_t column)
{
    uint32_t targets = port->exchange->targets, starts[ENGINE_LANES_MAX + 1];
    uint32_t *rows = pool_take(lane->machine.pool,
                               (size_t)batch->count * (sizeof *rows + 1) + PARTITION_SLACK * sizeof *rows);
    if (!rows) {
        refuse_rows(lane, batch, NULL, batch->count);
        return;
    }
    uint8_t *lanes = (uint8_t *)(rows + batch->count + PARTITION_SLACK);
    choose_lanes(batch, column, lane->machine.pipeline->symbols, targets, lanes);
    partition_rows(lanes, batch->selection, batch->count, targets, rows, starts);
    for (uint32_t target = 0; target < targets; target++)
        if (starts[target + 1] > starts[target])
            copy_part(lane, port->first_output + target, way, batch, rows + starts[target],
                      starts[target + 1] - starts[target]);
    pool_give(rows);
}

/* ---- Lists of rows ----------------------------------------------------------------------------------------------- */

static bool shares(const struct exchange *exchange, const struct weir_batch *batch)
{
    return exchange->shares && batch->count >= SHARED_ROWS_LEAST && batch->count >= batch->rows / SHARED_DENSITY_LEAST;
}

/* A batch over the same columns with room for a list of rows, which is still to be made. */
static struct weir_batch *part_of(struct lane *lane, struct weir_batch *batch, uint32_t **ret_rows)
{
    struct weir_batch *part = weir_batch_derive(lane->machine.pool, batch, batch->schema);
    *ret_rows = part ? weir_batch_allocate(part, (batch->count + PARTITION_SLACK) * sizeof(uint32_t)) : NULL;
    if (*ret_rows)
        return part;
    weir_batch_release(part);
    return NULL;
}

static void share_part(struct lane *lane, const struct exchange_port *port, uint32_t target, uint32_t way,
                       struct weir_batch *part, const uint32_t *rows, uint32_t count)
{
    weir_batch_select(part, rows, count);
    if (count)
        lane_append(lane, port->first_output + target, way, part,
                    weir_batch_bytes_behind(part) / port->exchange->targets);
    weir_batch_release(part);
}

/* The usual case, in one pass. False: it is not, or there is no memory. */
static bool share_halves(struct lane *lane, const struct exchange_port *port, uint32_t way, struct weir_batch *batch,
                         int32_t column)
{
    uint32_t *first_rows, *second_rows;
    if (port->exchange->targets != 2 || batch->selection || batch->schema->fields[column].type != WEIR_SYMBOL)
        return false;
    struct weir_batch *first = part_of(lane, batch, &first_rows), *second = part_of(lane, batch, &second_rows);
    if (!first || !second) {
        weir_batch_release(first);
        weir_batch_release(second);
        return false;
    }
    uint32_t low = partition_halves(batch->columns[column].symbols, batch->count, first_rows, second_rows);
    share_part(lane, port, 0, way, first, first_rows, low);
    share_part(lane, port, 1, way, second, second_rows, batch->count - low);
    return true;
}

static void share_parts(struct lane *lane, const struct exchange_port *port, uint32_t way, struct weir_batch *batch,
                        int32_t column)
{
    uint32_t targets = port->exchange->targets, *rows;
    uint8_t *lanes = pool_take(lane->machine.pool, batch->count);
    if (!lanes) {
        refuse_rows(lane, batch, NULL, batch->count);
        return;
    }
    choose_lanes(batch, column, lane->machine.pipeline->symbols, targets, lanes);
    for (uint32_t target = 0; target < targets; target++) {
        struct weir_batch *part = part_of(lane, batch, &rows);
        if (part) {
            uint32_t count = partition_pick(lanes, (uint8_t)target, batch->selection, batch->count, rows);
            share_part(lane, port, target, way, part, rows, count);
            continue;
        }
        for (uint32_t i = 0; i < batch->count; i++) {
            uint32_t row = weir_batch_row(batch, i);
            if (lanes[i] == target)
                refuse_rows(lane, batch, &row, 1);
        }
    }
    pool_give(lanes);
}

/* ---- All together ------------------------------------------------------------------------------------------------ */

void lane_scatter(struct lane *lane, const struct exchange_port *port, uint32_t way, struct weir_batch *batch)
{
    int64_t start = weir_now(&lane->machine.context);
    int32_t column = exchange_column(port->exchange, batch->schema);
    if (column < 0 || port->exchange->targets == 1)
        lane_append(lane, port->first_output, way, batch, 0);
    else if (!shares(port->exchange, batch))
        copy_parts(lane, port, way, batch, column);
    else if (!share_halves(lane, port, way, batch, column))
        share_parts(lane, port, way, batch, column);
    uint64_t spent = (uint64_t)(weir_now(&lane->machine.context) - start);
    count_up(&lane->hand_over.calls, 1);
    count_up(&lane->hand_over.busy_ns, spent);
    lane->child_ns += spent;
}
