/* SPDX-License-Identifier: MIT */
/* Batches → frames: docs/frame.md. */
#include <errno.h>
#include <string.h>

#include "base/hash.h"
#include "base/memory.h"
#include "codec/crc32c.h"
#include "codec/encode.h"
#include "codec/frame.h"

enum { ROWS_MOST = 64 << 10, BYTES_MOST = 16 << 20 };

/* Some selected rows of a batch, to become one frame. */
struct piece {
    const struct weir_symbols *symbols;
    const struct weir_batch *batch;
    uint32_t from, count;
    struct weir_buffer *out;
    size_t frame;                            /* where it begins in out */
    uint32_t *ids, *places, *order, id_mask; /* a symbol's id → its place in the frame, by hash; and all in order */
};

static uint32_t row_of(const struct piece *piece, uint32_t i)
{
    return weir_batch_row(piece->batch, piece->from + i);
}

static void pad(struct piece *piece, size_t multiple)
{
    size_t size = (multiple - (piece->out->size - piece->frame) % multiple) % multiple;
    char *room = buffer_reserve(piece->out, size);
    if (room) {
        memset(room, 0, size);
        piece->out->size += size;
    }
}

static void put_fixed(struct piece *piece, const void *data, size_t width)
{
    char *room = buffer_reserve(piece->out, width * piece->count);
    if (!room) {
        return;
    }
    if (!piece->batch->selection) {
        memcpy(room, (const char *)data + (size_t)piece->from * width, width * piece->count);
    } else if (width == 8) {
        for (uint32_t i = 0; i < piece->count; i++) {
            memcpy(room + (size_t)i * 8, (const char *)data + (size_t)row_of(piece, i) * 8, 8);
        }
    } else {
        for (uint32_t i = 0; i < piece->count; i++) {
            memcpy(room + i * width, (const char *)data + row_of(piece, i) * width, width);
        }
    }
    piece->out->size += width * piece->count;
}

/* The place of a symbol in the frame's list, from 1. */
static inline uint32_t place_of(struct piece *piece, uint32_t id, uint32_t *count)
{
    uint32_t at = (uint32_t)hash_u64(id) & piece->id_mask;
    while (piece->ids[at] != id) {
        if (piece->ids[at] == WEIR_SYMBOL_NULL) {
            piece->ids[at] = id;
            piece->order[*count] = id;
            piece->places[at] = ++*count;
            break;
        }
        at = (at + 1) & piece->id_mask;
    }
    return piece->places[at];
}

static uint32_t put_symbols(struct piece *piece, const uint32_t *symbols)
{
    uint32_t count = 0, end = 0;
    memset(piece->ids, 0, ((size_t)piece->id_mask + 1) * sizeof *piece->ids);
    char *room = buffer_reserve(piece->out, (size_t)piece->count * 4);
    for (uint32_t i = 0; room && i < piece->count; i++) {
        uint32_t id = symbols[row_of(piece, i)];
        uint32_t place = id == WEIR_SYMBOL_NULL ? 0 : place_of(piece, id, &count);
        memcpy(room + (size_t)i * 4, &place, 4);
    }
    piece->out->size += room ? (size_t)piece->count * 4 : 0;
    buffer_append(piece->out, &end, 4);
    for (uint32_t i = 0; i < count; i++) {
        end += symbols_text(piece->symbols, piece->order[i]).length;
        buffer_append(piece->out, &end, 4);
    }
    for (uint32_t i = 0; i < count; i++) {
        struct weir_text text = symbols_text(piece->symbols, piece->order[i]);
        buffer_append(piece->out, text.data ? text.data : "", text.length);
    }
    return count;
}

static void put_texts(struct piece *piece, const struct weir_text *texts)
{
    uint32_t begin = 0;
    for (uint32_t i = 0; i < piece->count; i++) {
        const struct weir_text *text = &texts[row_of(piece, i)];
        uint32_t pair[2] = {text->data ? begin : UINT32_MAX, text->data ? text->length : 0};
        buffer_append(piece->out, pair, sizeof pair);
        begin += pair[1];
    }
    for (uint32_t i = 0; i < piece->count; i++) {
        const struct weir_text *text = &texts[row_of(piece, i)];
        if (text->data) {
            buffer_append(piece->out, text->data, text->length);
        }
    }
}

/* Descriptions with what is known before the data; put_column sets the rest. */
static void put_header(struct piece *piece)
{
    const struct weir_schema *schema = piece->batch->schema;
    static const struct frame_head nothing;
    buffer_append(piece->out, &nothing, sizeof nothing);
    for (uint32_t c = 0; c < schema->count; c++) {
        const struct weir_field *field = &schema->fields[c];
        bool array = field->type == WEIR_ARRAY;
        struct frame_column column = {
            .type = (uint8_t)field->type,
            .element = array ? field->element : 0,
            .name_length = (uint16_t)strlen(field->name),
            .elements = array ? field->elements : 0,
        };
        buffer_append(piece->out, &column, sizeof column);
        buffer_append(piece->out, field->name, column.name_length);
        pad(piece, 8);
    }
    pad(piece, FRAME_LINE);
}

static void put_column(struct piece *piece, uint32_t c, size_t description)
{
    const struct weir_column *data = &piece->batch->columns[c];
    pad(piece, FRAME_LINE);
    struct frame_column column;
    size_t begin = piece->out->size;
    if (piece->out->failed) {
        return;
    }
    memcpy(&column, piece->out->data + description, sizeof column);
    if (column.type == WEIR_SYMBOL) {
        column.strings = put_symbols(piece, data->symbols);
    } else if (column.type == WEIR_TEXT) {
        put_texts(piece, data->texts);
    } else {
        put_fixed(piece, data->data, frame_width(&column));
    }
    if (!piece->out->failed) {
        column.offset = begin - piece->frame;
        column.size = piece->out->size - begin;
        memcpy(piece->out->data + description, &column, sizeof column);
    }
}

static void put_frame(struct piece *piece)
{
    const struct weir_schema *schema = piece->batch->schema;
    struct weir_buffer *out = piece->out;
    piece->frame = out->size;
    put_header(piece);
    size_t header_size = out->size - piece->frame, at = FRAME_LINE;
    for (uint32_t c = 0; c < schema->count && !out->failed; c++) {
        size_t description = piece->frame + at;
        struct frame_column column;
        frame_column_next(out->data + piece->frame, &at, &column);
        put_column(piece, c, description);
    }
    buffer_append(out, "", 1); /* at least one byte of padding, for the \n */
    pad(piece, FRAME_LINE);
    if (out->failed) {
        return;
    }
    char *frame = out->data + piece->frame;
    size_t size = out->size - piece->frame;
    frame[size - 1] = '\n';
    struct frame_head head = {
        .magic = FRAME_MAGIC,
        .version = FRAME_VERSION,
        .columns = (uint16_t)schema->count,
        .header_size = (uint32_t)header_size,
        .size = size,
        .rows = piece->count,
        .time = schema->time,
        .key = schema->key,
        .body_crc = crc32c(0, frame + header_size, size - header_size),
    };
    memcpy(frame, &head, sizeof head);
    head.header_crc = frame_header_crc(frame, header_size);
    memcpy(frame, &head, sizeof head);
}

/* How many rows from `from` on make a frame of a size that can be read without much memory. */
static uint32_t rows_that_fit(const struct weir_batch *batch, uint32_t from)
{
    const struct weir_schema *schema = batch->schema;
    size_t bytes = 0;
    uint32_t count = 0;
    for (; from + count < batch->count && count < ROWS_MOST && bytes < BYTES_MOST; count++) {
        uint32_t row = weir_batch_row(batch, from + count);
        for (uint32_t c = 0; c < schema->count; c++) {
            const struct weir_field *field = &schema->fields[c];
            bytes += field->type == WEIR_TEXT    ? 8 + batch->columns[c].texts[row].length
                     : field->type == WEIR_ARRAY ? weir_field_width(field)
                                                 : 8;
        }
    }
    return count;
}

int encode_frame(const struct weir_symbols *symbols, const struct weir_batch *batch, struct weir_buffer *out)
{
    uint32_t most = batch->count < ROWS_MOST ? batch->count : ROWS_MOST, places = 16;
    if (batch->schema->count == 0 || batch->count == 0) {
        return 0;
    }
    while (places < most * 2) {
        places *= 2;
    }
    struct piece piece = {.symbols = symbols, .batch = batch, .out = out, .id_mask = places - 1};
    uint32_t *memory = memory_allocate(((size_t)places * 2 + most) * sizeof *memory);
    if (!memory) {
        return -ENOMEM;
    }
    piece.ids = memory;
    piece.places = memory + places;
    piece.order = memory + (size_t)places * 2;
    for (; piece.from < batch->count && !out->failed; piece.from += piece.count) {
        piece.count = rows_that_fit(batch, piece.from);
        put_frame(&piece);
    }
    memory_free(memory);
    return out->failed ? -ENOMEM : 0;
}
