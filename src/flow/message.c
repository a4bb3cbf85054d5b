/* SPDX-License-Identifier: MIT */
#include "flow/message.h"

#include "base/memory.h"
#include "codec/codec.h"

#include <errno.h>

struct turn *turn_new(uint32_t source, uint64_t sequence)
{
    struct turn *turn = memory_zeroed(1, sizeof *turn);
    if (!turn)
        return NULL;
    turn->source = source;
    turn->sequence = sequence;
    return turn;
}

void message_free(struct message *message)
{
    switch (message->kind) {
    case MESSAGE_BLOCK:
        codec_block_release(&message->block);
        receipt_release(message->receipt);
        break;
    case MESSAGE_DATA:
        weir_batch_release(message->batch);
        break;
    case MESSAGE_SCHEMA:
        weir_schema_release(message->schema);
        break;
    case MESSAGE_WATERMARK:
    case MESSAGE_END:
        break;
    }
    if (message->charged)
        memory_budget_give(message->charged, message->encoded.capacity);
    buffer_free(&message->encoded);
    memory_free(message);
}

void turn_free(struct turn *turn)
{
    if (!turn)
        return;
    for (struct message *message = turn->first, *next; message; message = next) {
        next = message->next;
        message_free(message);
    }
    memory_free(turn->reserved);
    receipt_release(turn->receipt);
    memory_free(turn);
}

static void append(struct turn *turn, struct message *message, enum message_kind kind)
{
    message->kind = kind;
    if (turn->last)
        turn->last->next = message;
    else
        turn->first = message;
    turn->last = message;
}

struct message *turn_append(struct turn *turn, enum message_kind kind)
{
    struct message *message = memory_zeroed(1, sizeof *message);
    if (!message)
        return NULL;
    append(turn, message, kind);
    return message;
}

int turn_reserve(struct turn *turn)
{
    if (!turn->reserved)
        turn->reserved = memory_zeroed(1, sizeof *turn->reserved);
    return turn->reserved ? 0 : -ENOMEM;
}

void turn_append_reserved(struct turn *turn, enum message_kind kind)
{
    append(turn, turn->reserved, kind);
    turn->reserved = NULL;
}

bool turn_has(const struct turn *turn, enum message_kind kind)
{
    for (const struct message *message = turn->first; message; message = message->next)
        if (message->kind == kind)
            return true;
    return false;
}

uint64_t turn_records(const struct turn *turn)
{
    uint64_t records = 0;
    for (const struct message *message = turn->first; message; message = message->next) {
        if (message->kind == MESSAGE_DATA)
            records += message->batch->count - message->gone;
        if (message->kind == MESSAGE_BLOCK)
            records += codec_block_records(&message->block);
    }
    return records;
}

struct message *turn_take_data(struct turn *turn)
{
    struct message *data = NULL, **data_end = &data, **link = &turn->first;
    turn->last = NULL;
    while (*link) {
        struct message *message = *link;
        if (message->kind == MESSAGE_DATA || message->kind == MESSAGE_BLOCK) {
            *link = message->next;
            message->next = NULL;
            *data_end = message;
            data_end = &message->next;
        } else {
            turn->last = message;
            link = &message->next;
        }
    }
    return data;
}

static void settle_left(const struct message *message, enum outcome outcome)
{
    if (!message->gone)
        receipt_settle_all(message->batch, outcome);
    for (uint32_t i = message->gone; message->gone && i < message->batch->count; i++) {
        uint32_t row = weir_batch_row(message->batch, i);
        receipt_settle(message->batch, &row, 1, outcome);
    }
}

uint64_t turn_discard_data(struct turn *turn, enum outcome outcome)
{
    uint64_t records = turn_records(turn);
    for (struct message *message = turn_take_data(turn), *next; message; message = next) {
        next = message->next;
        if (message->kind == MESSAGE_DATA) {
            settle_left(message, outcome);
        } else {
            uint64_t lines = codec_block_records(&message->block);
            (void)receipt_set_records(message->receipt, lines, 0);
            receipt_settle_unseen(message->receipt, lines, outcome);
        }
        message_free(message);
    }
    turn->bytes = 0;
    return records;
}

void turn_drop_control(struct turn *turn)
{
    turn->last = NULL;
    for (struct message **link = &turn->first; *link;) {
        struct message *message = *link;
        if (message->kind == MESSAGE_WATERMARK || message->kind == MESSAGE_END) {
            *link = message->next;
            message_free(message);
        } else {
            turn->last = message;
            link = &message->next;
        }
    }
}

/* ---- Pieces ----------------------------------------------------------------------------------------------------- */

struct turn *turn_join(struct turn *turn, struct turn *next)
{
    if (turn->last)
        turn->last->next = next->first;
    else
        turn->first = next->first;
    turn->last = next->last ? next->last : turn->last;
    turn->more = next->more;
    turn->until = next->until;
    next->first = next->last = NULL;
    turn_free(next);
    return turn;
}

/* Up to which of its selected rows a message goes to the front. */
static uint32_t find_cut(const struct message *message, uint64_t until, bool at)
{
    const struct weir_batch *batch = message->batch;
    uint32_t low = message->gone, high = batch->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        uint64_t position = weir_batch_position(batch, weir_batch_row(batch, middle));
        if (position < until || (at && position == until))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Rows of a message, some of which stay or have gone before, as a message of their own; NULL: none, or no memory, which
 * makes them wait for the next piece. */
static struct message *take_front(struct message *message, uint32_t end, struct weir_pool *pool)
{
    struct message *front = end > message->gone ? memory_zeroed(1, sizeof *front) : NULL;
    struct weir_batch *rows = front ? weir_batch_cut(pool, message->batch, message->gone, end) : NULL;
    if (!rows) {
        memory_free(front);
        return NULL;
    }
    front->batch = rows;
    front->way = message->way;
    message->gone = end;
    return front;
}

void turn_move_front(struct turn *turn, struct turn *front, uint64_t until, bool at, struct weir_pool *pool)
{
    turn->last = NULL;
    for (struct message **link = &turn->first; *link;) {
        struct message *message = *link, *moved = NULL;
        bool all = message->kind == MESSAGE_SCHEMA;
        if (message->kind == MESSAGE_DATA) {
            uint32_t end = find_cut(message, until, at);
            all = end == message->batch->count && !message->gone;
            moved = all ? NULL : take_front(message, end, pool);
        }
        if (moved)
            append(front, moved, MESSAGE_DATA);
        if (all || (message->kind == MESSAGE_DATA && message->gone == message->batch->count)) {
            *link = message->next;
            message->next = NULL;
            if (all)
                append(front, message, message->kind);
            else
                message_free(message);
        } else {
            turn->last = message;
            link = &message->next;
        }
    }
}

void turn_leave_gone(struct turn *turn, struct weir_pool *pool)
{
    turn->last = NULL;
    for (struct message **link = &turn->first; *link;) {
        struct message *message = *link;
        struct weir_batch *rest = NULL;
        if (message->kind == MESSAGE_DATA && message->gone) {
            rest = weir_batch_cut(pool, message->batch, message->gone, message->batch->count);
            if (!rest) { /* no memory to tell them from those that have gone */
                settle_left(message, OUTCOME_REFUSED);
                *link = message->next;
                message_free(message);
                continue;
            }
            weir_batch_release(message->batch);
            message->batch = rest;
            message->gone = 0;
        }
        turn->last = message;
        link = &message->next;
    }
}

/* ---- Combining -------------------------------------------------------------------------------------------------- */

enum { COMBINE_MAX = 256 };

/* The list by way; what came by the same way stays in its order. */
static struct message *sort_by_way(struct message *list)
{
    struct message *sorted = NULL, **end = &sorted;
    while (list) {
        uint32_t way = UINT32_MAX;
        for (const struct message *message = list; message; message = message->next)
            way = message->way < way ? message->way : way;
        for (struct message **link = &list; *link;) {
            if ((*link)->way == way) {
                *end = *link;
                *link = (*link)->next;
                end = &(*end)->next;
            } else {
                link = &(*link)->next;
            }
        }
    }
    *end = NULL;
    return sorted;
}

static bool same_columns(const struct message *a, const struct message *b)
{
    return weir_schema_equal(a->batch->schema, b->batch->schema);
}

/* The messages up to `end`, all of one schema, become a single one. False: no memory; then they stay as far as they
 * are. */
static bool merge_messages(struct message *first, const struct message *end, struct weir_pool *pool)
{
    while (first->next != end) {
        struct weir_batch *batches[COMBINE_MAX];
        uint32_t count = 0;
        for (struct message *message = first; message != end && count < COMBINE_MAX; message = message->next)
            batches[count++] = message->batch;
        struct weir_batch *merged = weir_batch_merge(pool, batches, count);
        if (!merged)
            return false;
        for (uint32_t i = 1; i < count; i++) {
            struct message *next = first->next;
            first->next = next->next;
            message_free(next);
        }
        weir_batch_release(first->batch);
        first->batch = merged;
        first->shared = 0; /* a copy: it shares nothing */
    }
    return true;
}

/* Messages of different schemas, each one way or piece of one. */
struct ways {
    struct message *list;
    struct message **places; /* of the list, in its order */
    uint32_t *at;            /* the next selected row of each */
    uint32_t count;
};

static uint64_t position_at(const struct ways *ways, uint32_t way)
{
    const struct weir_batch *batch = ways->places[way]->batch;
    return ways->at[way] < batch->count ? weir_batch_position(batch, weir_batch_row(batch, ways->at[way])) : UINT64_MAX;
}

/* Which way has the next record, and up to which position it goes on; false: there are no more. */
static bool next_way(const struct ways *ways, uint32_t *ret_way, uint64_t *ret_until)
{
    uint32_t best = UINT32_MAX;
    uint64_t lowest = 0, second = UINT64_MAX;
    for (uint32_t i = 0; i < ways->count; i++) {
        if (ways->at[i] == ways->places[i]->batch->count)
            continue;
        uint64_t position = position_at(ways, i);
        if (best == UINT32_MAX || position < lowest) {
            second = best == UINT32_MAX ? second : lowest;
            lowest = position;
            best = i;
        } else if (position < second) {
            second = position;
        }
    }
    *ret_way = best;
    *ret_until = second;
    return best != UINT32_MAX;
}

/* Those of the way's next records that come before anything of the others: one at least. */
static struct message *take_run(struct ways *ways, uint32_t way, uint64_t until, struct weir_pool *pool)
{
    struct weir_batch *batch = ways->places[way]->batch;
    uint32_t first = ways->at[way], end = first + 1;
    while (end < batch->count && weir_batch_position(batch, weir_batch_row(batch, end)) < until)
        end++;
    struct message *message = memory_zeroed(1, sizeof *message);
    struct weir_batch *run = message ? weir_batch_cut(pool, batch, first, end) : NULL;
    if (!run) {
        memory_free(message);
        return NULL;
    }
    message->kind = MESSAGE_DATA;
    message->batch = run;
    message->way = ways->places[way]->way;
    ways->at[way] = end;
    return message;
}

/* Ways with different columns: in turns, as far as each has the next records. NULL: no memory; the list stays. */
static struct message *interleave(struct message *list, struct weir_pool *pool)
{
    struct ways ways = {.list = list};
    struct message *made = NULL, **end = &made, *run = NULL;
    uint32_t way, most = 0;
    uint64_t until;
    for (const struct message *message = list; message; message = message->next)
        most++;
    ways.places = memory_zeroed(most, sizeof(struct message *));
    ways.at = memory_zeroed(most, sizeof *ways.at);
    for (struct message *message = list; ways.places && ways.at && message; message = message->next)
        ways.places[ways.count++] = message;
    bool good = ways.count == most;
    while (good && next_way(&ways, &way, &until)) {
        run = take_run(&ways, way, until, pool);
        good = run != NULL;
        *end = run;
        end = run ? &run->next : end;
    }
    struct message *gone = good ? list : made;
    for (struct message *next; gone; gone = next) {
        next = gone->next;
        message_free(gone);
    }
    memory_free(ways.places);
    memory_free(ways.at);
    return good ? made : NULL;
}

/* All in the order of position; of equal ones the lower way first. Batches of one schema become a single one. */
static struct message *merge_data(struct message *data, struct weir_pool *pool)
{
    bool same = true, merged = true;
    data = sort_by_way(data);
    for (const struct message *message = data->next; message; message = message->next)
        same = same && same_columns(data, message);
    if (same) {
        (void)merge_messages(data, NULL, pool); /* no memory: all rows are there, in the order of the parts */
        return data;
    }
    for (struct message *first = data, *end; first && merged; first = end) {
        for (end = first->next; end && end->way == first->way && same_columns(first, end);)
            end = end->next;
        merged = merge_messages(first, end, pool);
    }
    struct message *mixed = merged ? interleave(data, pool) : NULL;
    return mixed ? mixed : data;
}

struct turn *turn_combine(struct turn **parts, uint32_t count, struct weir_pool *pool)
{
    struct turn *turn = parts[0];
    struct message *data = NULL, **end = &data;
    for (uint32_t i = 0; i < count; i++) {
        *end = turn_take_data(parts[i]);
        while (*end)
            end = &(*end)->next;
        if (i)
            turn_free(parts[i]);
    }
    if (!data)
        return turn;
    data = merge_data(data, pool);
    struct message *data_last = data;
    while (data_last->next)
        data_last = data_last->next;
    struct message **place = &turn->first; /* behind the schema, before watermarks and the end */
    while (*place && (*place)->kind == MESSAGE_SCHEMA)
        place = &(*place)->next;
    data_last->next = *place;
    *place = data;
    if (!data_last->next)
        turn->last = data_last;
    return turn;
}
