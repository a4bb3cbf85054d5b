/* SPDX-License-Identifier: MIT */
/* What the decoders share. A block is decoded as a whole or, when memory runs out, not at all: refusals and counts are
 * noted on the way and told at the end. */
#include "codec/decoder.h"
#include "codec/json_walk.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/units.h"

enum { TEXT_ROOM = 16 << 10 };

struct decoder *decoder_new(struct weir_pool *pool, struct weir_symbols *symbols, const struct decoder_events *events)
{
    struct decoder *decoder = memory_zeroed(1, sizeof *decoder);
    if (!decoder) {
        return NULL;
    }
    decoder->pool = pool;
    decoder->events = *events;
    decoder->table = symbols;
    decoder->symbols = symbols_cache_new(symbols);
    if (!decoder->symbols) {
        memory_free(decoder);
        return NULL;
    }
    return decoder;
}

static void forget_layout(struct decoder *decoder)
{
    ndjson_forget(decoder);
    memory_free(decoder->columns);
    memory_free(decoder->field_extra);
    decoder->columns = NULL;
    decoder->field_extra = NULL;
    decoder->column_count = 0;
    codec_layout_release(decoder->layout);
    decoder->layout = NULL;
}

void decoder_free(struct decoder *decoder)
{
    if (!decoder) {
        return;
    }
    forget_layout(decoder);
    json_scanner_free(decoder->scanner);
    symbols_cache_free(decoder->symbols);
    buffer_free(&decoder->scratch);
    memory_free(decoder->ends);
    memory_free(decoder->notes);
    memory_free(decoder);
}

static int prepare(struct decoder *decoder, struct codec_layout *layout)
{
    if (decoder->layout == layout) {
        return 0;
    }
    forget_layout(decoder);
    const struct weir_schema *schema = layout->schema;
    decoder->columns = memory_zeroed(schema->count, sizeof *decoder->columns);
    decoder->field_extra = memory_zeroed(layout->field_count + 1, sizeof *decoder->field_extra);
    if (!decoder->columns || !decoder->field_extra) {
        forget_layout(decoder);
        return -ENOMEM;
    }
    decoder->column_count = schema->count;
    for (uint32_t i = 0; i < schema->count; i++) {
        decoder->columns[i].type = schema->fields[i].type;
    }
    decoder->layout = codec_layout_reference(layout);
    int error = layout->format == CODEC_CSV || layout->format == CODEC_FRAME ? 0 : ndjson_prepare(decoder);
    if (error) {
        forget_layout(decoder);
    }
    return error;
}

/* ---- Rows -------------------------------------------------------------------------------------------------------- */

int decoder_begin(struct decoder *decoder, size_t rows)
{
    struct weir_schema *schema = decoder->layout->schema;
    if (rows > UINT32_MAX - 1) {
        return -ENOMEM;
    }
    decoder->batch = weir_batch_new(decoder->pool, schema, (uint32_t)rows);
    if (!decoder->batch) {
        return -ENOMEM;
    }
    bool has_text = false;
    for (uint32_t i = 0; i < schema->count; i++) {
        decoder->columns[i].data = weir_batch_column_data(decoder->batch, i);
        decoder->columns[i].seen = 0;
        has_text = has_text || schema->fields[i].type == WEIR_TEXT;
    }
    if (has_text) {
        weir_batch_own_memory(decoder->batch, weir_memory_reference(decoder->block->memory));
    }
    return 0;
}

/* Called for the first row, which may be on a later line, and from the moment on that a line was left out. */
int decoder_positions(struct decoder *decoder, uint32_t line)
{
    if (decoder->row == 0) {
        decoder->line_skew = line;
        return 0;
    }
    uint64_t first = decoder->block->position;
    if (!decoder->positions) {
        decoder->positions = weir_batch_allocate(decoder->batch, decoder->batch->rows * sizeof *decoder->positions);
        if (!decoder->positions) {
            return -ENOMEM;
        }
        for (uint32_t i = 0; i < decoder->row; i++) {
            decoder->positions[i] = first + decoder->line_skew + i;
        }
    }
    decoder->positions[decoder->row] = first + line;
    return 0;
}

int decoder_ends_reserve(struct decoder *decoder, size_t count)
{
    if (count <= decoder->ends_capacity) {
        return 0;
    }
    size_t capacity = count + count / 2;
    uint32_t *ends = memory_resize(decoder->ends, capacity * sizeof *ends);
    if (!ends) {
        return -ENOMEM;
    }
    decoder->ends = ends;
    decoder->ends_capacity = capacity;
    return 0;
}

char *decoder_text_room(struct decoder *decoder, size_t length)
{
    if (length > decoder->text_left) {
        size_t size = length > TEXT_ROOM / 4 ? length : TEXT_ROOM;
        char *room = weir_batch_allocate(decoder->batch, size);
        if (!room || size == length) {
            return room;
        }
        decoder->text_room = room;
        decoder->text_left = size;
    }
    char *room = decoder->text_room;
    decoder->text_room += length;
    decoder->text_left -= length;
    return room;
}

/* ---- Refusals and counts ----------------------------------------------------------------------------------------- */

int decoder_refuse(struct decoder *decoder, enum refusal reason, uint32_t line, size_t offset, size_t length)
{
    if (reason == REFUSAL_MEMORY) {
        return -ENOMEM;
    }
    if (decoder->note_count == decoder->note_capacity) {
        size_t capacity = decoder->note_capacity ? decoder->note_capacity * 2 : 64;
        struct refusal_note *notes = memory_resize(decoder->notes, capacity * sizeof *notes);
        if (!notes) {
            return -ENOMEM;
        }
        decoder->notes = notes;
        decoder->note_capacity = capacity;
    }
    decoder->notes[decoder->note_count++] = (struct refusal_note){
        .reason = reason, .line = line, .offset = offset, .length = length};
    decoder->records++;
    return 0;
}

static const struct {
    const char *reason, *detail;
} refusals[] = {
    [REFUSAL_NOT_JSON] = {"not JSON", "the line is no complete JSON object; correct it, or check `format`"},
    [REFUSAL_NOT_OBJECT] = {"not an object", "a record is one object in braces: {\"name\": value, …}"},
    [REFUSAL_UNCLOSED] = {"unclosed string", "a string has no closing quote; correct the line"},
    [REFUSAL_CONTROL] = {"control character in a string", "write it as an escape, such as \\n or \\u0000"},
    [REFUSAL_UTF8] = {"invalid UTF-8", "convert the file to UTF-8, for example with iconv"},
    [REFUSAL_MORE_VALUES] = {"more than one value on the line", "put each record on a line of its own"},
    [REFUSAL_DEPTH] = {"nested too deep", NULL},
    [REFUSAL_FIELDS] = {"too many fields", NULL},
    [REFUSAL_SYMBOLS] = {"symbol table full", NULL},
    [REFUSAL_SYMBOL_LONG] = {"symbol too long", "a symbol has at most 65535 bytes; declare the field as text"},
    [REFUSAL_QUOTES] = {"stray quote", "a quote that opens a field needs one that closes it and ends the field, within "
                                       "`line_max`; inside, write it twice"},
    [REFUSAL_BINARY] = {"binary data", "the line holds a NUL byte; is this a text file?"},
    [REFUSAL_NOT_INFLUX] = {"not line protocol", "a record is one line: measurement,tag=value field=value timestamp"},
    [REFUSAL_NO_FIELD] = {"no field", "a record has at least one field: measurement,tag=value field=value timestamp"},
    [REFUSAL_VALUE] = {"bad field value", "a value is 1.5, 12i, 12u, true, false or \"text\""},
    [REFUSAL_FRAME] = {"not a frame", "bytes up to the next good frame header are passed over; is the file whole?"},
    [REFUSAL_FRAME_BODY] = {"corrupted frame", "its bytes do not match its checksum; its records are lost"},
    [REFUSAL_STAMP] = {"bad timestamp", "a timestamp is a whole number; `time_format` says of what unit"},
};

/* What was over which limit, and what to do about it. False: the refusal is about no limit. */
static bool tell_limit(const struct decoder *decoder, enum refusal reason, char *detail, size_t size)
{
    char limit[32];
    switch (reason) {
    case REFUSAL_LONG:
        snprintf(detail, size, "longer than `line_max`, which is %s; raise it",
                 units_show_bytes(decoder->layout->line_max, limit, sizeof limit));
        return true;
    case REFUSAL_DEPTH:
        snprintf(detail, size, "over the limit on nesting, which is %d levels; flatten the record before weir reads it",
                 (int)JSON_DEPTH_MAX);
        return true;
    case REFUSAL_FIELDS:
        snprintf(detail, size, "over the limit on fields, which is %d in a record; split it, or leave some out before",
                 (int)WEIR_FIELDS_MAX);
        return true;
    case REFUSAL_SYMBOLS:
        snprintf(detail, size,
                 "over the limit on distinct symbols: `memory` has room for %u; raise it, or declare the field as text",
                 symbols_count(decoder->table));
        return true;
    default:
        return false;
    }
}

static void tell_refusal(const struct decoder *decoder, const struct refusal_note *note)
{
    const struct weir_block *block = decoder->block;
    struct codec_refusal refusal = {
        .reason = note->reason == REFUSAL_LONG ? "line too long" : refusals[note->reason].reason,
        .file = block->file,
        .line = block->line + note->line,
        .position = block->position + (decoder->layout->format == CODEC_FRAME ? note->record : note->line),
        .text = block->data + note->offset,
        .length = note->length,
    };
    if (!tell_limit(decoder, note->reason, refusal.detail, sizeof refusal.detail)) {
        char place[48] = "";
        if (decoder->layout->format == CODEC_FRAME) {
            snprintf(place, sizeof place, "at byte %llu: ", (unsigned long long)refusal.line - 1);
        }
        snprintf(refusal.detail, sizeof refusal.detail, "%s%s", place, refusals[note->reason].detail);
    }
    decoder->events.refused(decoder->events.owner, &refusal);
}

static void tell_count(const struct decoder *decoder, const char *what, const char *field, uint64_t *number)
{
    if (*number > 0 && decoder->events.counted) {
        decoder->events.counted(decoder->events.owner, what, field, *number);
    }
    *number = 0;
}

static void tell_extras(struct decoder *decoder)
{
    const struct codec_layout *layout = decoder->layout;
    for (uint32_t i = decoder->column_count; i < decoder->name_count; i++) {
        struct decoder_name *name = &decoder->names[i];
        if (name->count > 0) {
            char field[WEIR_NAME_MAX + 1]; /* without its quotes */
            snprintf(field, sizeof field, "%.*s", (int)(name->length - 2), name->quoted + 1);
            tell_count(decoder, "extra field", field, &name->count);
        }
    }
    for (uint32_t i = 0; i < layout->field_count; i++) {
        tell_count(decoder, "extra field", layout->fields[i].name, &decoder->field_extra[i]);
    }
    tell_count(decoder, "extra field", "(beyond the last)", &decoder->field_extra[layout->field_count]);
}

static void tell_all(struct decoder *decoder)
{
    static const char *const what[PROBLEM_COUNT] = {"type mismatch", "number out of range", "integer rounded",
                                                    "missing field", "duplicate field"};
    for (size_t i = 0; i < decoder->note_count && decoder->events.refused; i++) {
        tell_refusal(decoder, &decoder->notes[i]);
    }
    for (uint32_t i = 0; i < decoder->column_count; i++) {
        for (int problem = 0; problem < PROBLEM_COUNT; problem++) {
            tell_count(decoder, what[problem], decoder->layout->schema->fields[i].name,
                       &decoder->columns[i].problems[problem]);
        }
    }
    tell_extras(decoder);
}

static void drop_counts(struct decoder *decoder)
{
    for (uint32_t i = 0; i < decoder->column_count; i++) {
        memset(decoder->columns[i].problems, 0, sizeof decoder->columns[i].problems);
    }
    for (uint32_t i = 0; i < decoder->name_count; i++) {
        decoder->names[i].count = 0;
    }
    memset(decoder->field_extra, 0, (decoder->layout->field_count + 1) * sizeof *decoder->field_extra);
}

/* ---- A block ----------------------------------------------------------------------------------------------------- */

static struct weir_batch *finish(struct decoder *decoder)
{
    struct weir_batch *batch = decoder->batch;
    decoder->batch = NULL;
    if (batch && decoder->row == 0) {
        weir_batch_release(batch);
        return NULL;
    }
    if (batch) {
        batch->rows = decoder->row;
        batch->count = decoder->row;
        batch->position = decoder->block->position + decoder->line_skew;
        batch->positions = decoder->positions;
        batch->produced = decoder->block->produced;
    }
    return batch;
}

static int decode(struct decoder *decoder)
{
    switch (decoder->layout->format) {
    case CODEC_CSV:
        return csv_decode(decoder);
    case CODEC_INFLUX:
        return influx_decode(decoder);
    case CODEC_FRAME:
        return frame_decode(decoder);
    default:
        return ndjson_decode(decoder);
    }
}

int decoder_decode(struct decoder *decoder, const struct weir_block *block, struct weir_batch **ret,
                   uint64_t *ret_records)
{
    int error = prepare(decoder, block->layout);
    if (error) {
        return error;
    }
    decoder->block = block;
    decoder->batch = NULL;
    decoder->positions = NULL;
    decoder->row = decoder->line_skew = 0;
    decoder->records = 0;
    decoder->note_count = 0;
    decoder->text_left = 0;
    if (block->size >= UINT32_MAX) {
        return -ENOMEM;
    }
    error = decode(decoder);
    if (error) {
        weir_batch_release(decoder->batch);
        decoder->batch = NULL;
        drop_counts(decoder);
        return error;
    }
    tell_all(decoder);
    *ret = finish(decoder);
    *ret_records = decoder->records;
    return 0;
}
