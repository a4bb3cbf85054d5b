/* SPDX-License-Identifier: MIT */
/* RFC 4180 with \n. Null is an empty field, empty text is "", infinities are inf and -inf. */
#include "codec/encode_cells.h"

#include <errno.h>
#include <string.h>

#include "data/array.h"

static bool needs_quotes(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        char c = text[i];
        if (c == ',' || c == '"' || c == '\n' || c == '\r') {
            return true;
        }
    }
    return length == 0;
}

static void put_text(struct weir_buffer *out, const char *text, size_t length)
{
    if (!text) {
        return;
    }
    if (!needs_quotes(text, length)) {
        buffer_append(out, text, length);
        return;
    }
    char *room = buffer_reserve(out, length * 2 + 2);
    if (!room) {
        return;
    }
    char *p = room;
    *p++ = '"';
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '"') {
            *p++ = '"';
        }
        *p++ = text[i];
    }
    *p++ = '"';
    out->size += (size_t)(p - room);
}

/* One field with the elements between blanks; complex ones as 1.5-2j. */
static void put_array(struct weir_buffer *out, const struct weir_field *field, const struct weir_column *column,
                      uint32_t row)
{
    const void *data = (const char *)column->data + row * weir_field_width(field);
    uint32_t each = array_numbers_each(field->element);
    for (size_t i = 0; i < (size_t)field->elements * each; i++) {
        char *room = buffer_reserve(out, ENCODE_NUMBER_MAX + 3);
        if (!room) {
            return;
        }
        bool imaginary = i % each == 1;
        size_t length = 0;
        if (i > 0 && !imaginary) {
            room[length++] = ' ';
        }
        size_t sign = length; /* where the + goes, if the imaginary part has no sign */
        length += imaginary;
        struct array_number number = array_number(field->element, data, i);
        size_t digits = number.kind == ARRAY_NULL ? 3 : encode_number(number, room + length);
        if (number.kind == ARRAY_NULL) {
            memcpy(room + length, "nan", 3);
        }
        if (imaginary && room[length] == '-') {
            memmove(room + sign, room + length, digits);
            length--;
        } else if (imaginary) {
            room[sign] = '+';
        }
        length += digits;
        if (imaginary) {
            room[length++] = 'j';
        }
        out->size += length;
    }
}

/* What no cell holds: long texts, those with quotes, and arrays. */
static void put_long(const struct cell_table *table, uint32_t c, uint32_t row, struct weir_buffer *out)
{
    const struct weir_field *field = &table->batch->schema->fields[c];
    const struct weir_column *column = &table->batch->columns[c];
    if (field->type == WEIR_ARRAY) {
        put_array(out, field, column, row);
        return;
    }
    struct weir_text text = field->type == WEIR_SYMBOL ? symbols_text(table->symbols, column->symbols[row])
                                                       : column->texts[row];
    put_text(out, text.data, text.length);
}

static bool put_row(const struct cell_table *table, uint32_t i, struct weir_buffer *out)
{
    const uint32_t count = table->batch->schema->count;
    const size_t room = (size_t)(count + 1) * (CELL_SIZE + 1);
    const size_t begin = out->size;
    char *at = buffer_reserve(out, room);
    for (uint32_t c = 0; at && c < count; c++) {
        const struct cells *cells = &table->columns[c];
        if (__builtin_expect(cells->lengths[i] != CELL_LONG, 1)) {
            at = cell_put(at, cells, i);
        } else {
            out->size = (size_t)(at - out->data);
            put_long(table, c, cell_table_row(table, i), out);
            at = buffer_reserve(out, room);
            if (!at)
                return false;
        }
        *at++ = ',';
    }
    if (!at)
        return false;
    if ((size_t)(at - out->data) - begin <= 1) { /* a lone null must not become a blank line, which is no record */
        memcpy(out->data + begin, "\"\",", 3);
        at = out->data + begin + 3;
    }
    at[-1] = '\n';
    out->size = (size_t)(at - out->data);
    return true;
}

int encode_csv(const struct codec_write_options *options, const struct weir_symbols *symbols,
               const struct weir_batch *batch, struct weir_buffer *out)
{
    struct cell_table table;
    int error = cell_table_open(&table, CELL_CSV, options, symbols, batch);
    const size_t begin = out->size;
    for (uint32_t first = 0, count; error == 0 && (count = cell_table_fill(&table, first)) > 0; first += count) {
        for (uint32_t i = 0; error == 0 && i < count; i++)
            error = put_row(&table, i, out) && !out->failed ? 0 : -ENOMEM;
        cell_table_expect(&table, count, begin, out);
    }
    cell_table_close(&table);
    return error;
}

int encode_csv_header(const struct weir_schema *schema, struct weir_buffer *out)
{
    for (uint32_t c = 0; c < schema->count; c++) {
        if (c > 0) {
            buffer_append(out, ",", 1);
        }
        put_text(out, schema->fields[c].name, strlen(schema->fields[c].name));
    }
    buffer_append(out, "\n", 1);
    return out->failed ? -ENOMEM : 0;
}
