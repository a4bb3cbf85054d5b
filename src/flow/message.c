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
        weir_memory_release(message->block.memory);
        codec_layout_release(message->block.layout);
        receipt_release(message->receipt);
        break;
    case MESSAGE_DATA:
        weir_batch_release(message->batch);
        break;
    case MESSAGE_SCHEMA:
        weir_schema_release(message->schema);
        break;
    case MESSAGE_WATERMARK:
    case MESSAGE_BARRIER:
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

static uint64_t count_lines(const struct weir_block *block)
{
    uint64_t lines = 0;
    for (size_t i = 0; i < block->size; i++)
        lines += block->data[i] == '\n';
    return lines + (block->size && block->data[block->size - 1] != '\n');
}

uint64_t turn_records(const struct turn *turn)
{
    uint64_t records = 0;
    for (const struct message *message = turn->first; message; message = message->next) {
        if (message->kind == MESSAGE_DATA)
            records += message->batch->count;
        if (message->kind == MESSAGE_BLOCK)
            records += count_lines(&message->block);
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

uint64_t turn_discard_data(struct turn *turn, enum outcome outcome)
{
    uint64_t records = turn_records(turn);
    for (struct message *message = turn_take_data(turn), *next; message; message = next) {
        next = message->next;
        if (message->kind == MESSAGE_DATA) {
            receipt_settle_all(message->batch, outcome);
        } else {
            uint64_t lines = count_lines(&message->block);
            (void)receipt_set_records(message->receipt, lines, 0);
            receipt_settle_unseen(message->receipt, lines, outcome);
        }
        message_free(message);
    }
    turn->bytes = 0;
    return records;
}

enum { COMBINE_MAX = 256 };

/* The list of DATA messages becomes a single message where that is possible: more than one, of one schema. */
static void merge_data(struct message *data, struct weir_pool *pool)
{
    struct weir_batch *batches[COMBINE_MAX];
    uint32_t count = 0;
    for (struct message *message = data; message; message = message->next) {
        if (count == COMBINE_MAX || !weir_schema_equal(data->batch->schema, message->batch->schema))
            return;
        batches[count++] = message->batch;
    }
    if (count < 2)
        return;
    struct weir_batch *merged = weir_batch_merge(pool, batches, count);
    if (!merged)
        return; /* out of memory: all rows are there, in the order of the parts */
    for (struct message *message = data->next, *next; message; message = next) {
        next = message->next;
        message_free(message);
    }
    data->next = NULL;
    weir_batch_release(data->batch);
    data->batch = merged;
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
    merge_data(data, pool);
    struct message *data_last = data;
    while (data_last->next)
        data_last = data_last->next;
    struct message **place = &turn->first; /* behind the schema, before watermarks, barriers and the end */
    while (*place && (*place)->kind == MESSAGE_SCHEMA)
        place = &(*place)->next;
    data_last->next = *place;
    *place = data;
    if (!data_last->next)
        turn->last = data_last;
    return turn;
}
