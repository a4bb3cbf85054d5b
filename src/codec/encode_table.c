/* SPDX-License-Identifier: MIT */
/* Columns for people. Batches are encoded apart from each other, so widths go by type and name alone; what is wider is
 * shown whole and pushes the rest of its line to the right. */
#include "codec/encode.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { WIDTH_TIME = 24, WIDTH_NUMBER = 12, WIDTH_WORD = 12, CELL_MAX = 64 };

static size_t characters(const char *text, size_t length)
{
    size_t count = 0;
    for (size_t i = 0; i < length; i++) {
        count += ((unsigned char)text[i] & 0xc0) != 0x80;
    }
    return count;
}

static size_t width_of(const struct weir_field *field)
{
    size_t width = field->type == WEIR_TIME                             ? WIDTH_TIME
                   : field->type == WEIR_F64 || field->type == WEIR_I64 ? WIDTH_NUMBER
                   : field->type == WEIR_BOOL                           ? 5
                                                                        : WIDTH_WORD;
    size_t name = characters(field->name, strlen(field->name));
    return name > width ? name : width;
}

static bool is_right(const struct weir_field *field)
{
    return field->type == WEIR_F64 || field->type == WEIR_I64;
}

static void put_cell(struct weir_buffer *out, const struct weir_field *field, const char *text, size_t length,
                     bool last)
{
    size_t width = width_of(field), shown = characters(text, length);
    size_t blanks = shown < width ? width - shown : 0;
    char *room = buffer_reserve(out, blanks + length + 2);
    if (!room) {
        return;
    }
    if (is_right(field)) {
        memset(room, ' ', blanks);
        memcpy(room + blanks, text, length);
    } else {
        memcpy(room, text, length);
        memset(room + length, ' ', blanks);
    }
    length += is_right(field) || !last ? blanks : 0;
    memset(room + length, last ? '\n' : ' ', 2);
    out->size += length + (last ? 1 : 2);
}

/* What would move the cursor or end the line becomes a blank. */
static void put_word(struct weir_buffer *out, const struct weir_field *field, struct weir_text text, bool last)
{
    if (!text.data) {
        put_cell(out, field, "-", 1, last);
        return;
    }
    size_t begin = out->size;
    put_cell(out, field, text.data, text.length, last);
    for (size_t i = begin; !out->failed && i + 1 < out->size; i++) {
        if ((unsigned char)out->data[i] < 0x20 || out->data[i] == 0x7f) {
            out->data[i] = ' ';
        }
    }
}

static void put_value(const struct codec_write_options *options, const struct weir_symbols *symbols,
                      const struct weir_field *field, const struct weir_column *column, uint32_t row, bool last,
                      struct weir_buffer *out)
{
    char cell[CELL_MAX] = "-";
    size_t length = 1;
    bool quoted;
    switch (field->type) {
    case WEIR_SYMBOL:
        put_word(out, field, symbols_text(symbols, column->symbols[row]), last);
        return;
    case WEIR_TEXT:
        put_word(out, field, column->texts[row], last);
        return;
    case WEIR_TIME:
        length = column->i64[row] == WEIR_TIME_NULL ? 1 : encode_time(options, NULL, column->i64[row], cell, &quoted);
        break;
    case WEIR_F64:
        length = isnan(column->f64[row]) ? 1 : (size_t)snprintf(cell, sizeof cell, "%.6g", column->f64[row]);
        break;
    case WEIR_I64:
        length = column->i64[row] == WEIR_I64_NULL ? 1 : encode_i64(column->i64[row], cell);
        break;
    case WEIR_BOOL:
        if (column->bools[row] != WEIR_BOOL_NULL) {
            length = (size_t)snprintf(cell, sizeof cell, "%s", column->bools[row] ? "true" : "false");
        }
        break;
    default:
        length = (size_t)snprintf(cell, sizeof cell, "[%u values]", field->elements);
        break;
    }
    put_cell(out, field, cell, length, last);
}

int encode_table(const struct codec_write_options *options, const struct weir_symbols *symbols,
                 const struct weir_batch *batch, struct weir_buffer *out)
{
    const struct weir_schema *schema = batch->schema;
    for (uint32_t i = 0; i < batch->count && !out->failed; i++) {
        uint32_t row = weir_batch_row(batch, i);
        for (uint32_t c = 0; c < schema->count; c++) {
            put_value(options, symbols, &schema->fields[c], &batch->columns[c], row, c + 1 == schema->count, out);
        }
    }
    return out->failed ? -ENOMEM : 0;
}

int encode_table_header(const struct weir_schema *schema, struct weir_buffer *out)
{
    for (uint32_t c = 0; c < schema->count; c++) {
        const struct weir_field *field = &schema->fields[c];
        put_cell(out, field, field->name, strlen(field->name), c + 1 == schema->count);
    }
    return out->failed ? -ENOMEM : 0;
}
