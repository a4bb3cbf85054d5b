/* SPDX-License-Identifier: MIT */
/* RFC 4180 with \n. Null is an empty field, empty text is "", infinities are inf and -inf. */
#include "codec/encode.h"

#include <errno.h>
#include <math.h>
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

static size_t show_number(enum weir_type type, const struct weir_column *column, size_t index, char *out)
{
    if (type == WEIR_F64) {
        double value = column->f64[index];
        return isnan(value) ? 0 : codec_show_f64(value, out); /* inf, -inf */
    }
    return column->i64[index] == WEIR_I64_NULL ? 0 : encode_i64(column->i64[index], out);
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

static void put_value(const struct codec_write_options *options, const struct weir_symbols *symbols,
                      const struct weir_field *field, const struct weir_column *column, uint32_t row,
                      struct weir_buffer *out)
{
    struct weir_text text;
    bool quoted;
    char *room = buffer_reserve(out, ENCODE_NUMBER_MAX);
    if (!room) {
        return;
    }
    switch (field->type) {
    case WEIR_SYMBOL:
        text = symbols_text(symbols, column->symbols[row]);
        put_text(out, text.data, text.length);
        break;
    case WEIR_TEXT:
        put_text(out, column->texts[row].data, column->texts[row].length);
        break;
    case WEIR_ARRAY:
        put_array(out, field, column, row);
        break;
    case WEIR_TIME:
        out->size += column->i64[row] == WEIR_TIME_NULL ? 0
                                                        : encode_time(options, NULL, column->i64[row], room, &quoted);
        break;
    case WEIR_BOOL:
        if (column->bools[row] != WEIR_BOOL_NULL) {
            buffer_string(out, column->bools[row] ? "true" : "false");
        }
        break;
    default:
        out->size += show_number(field->type, column, row, room);
        break;
    }
}

int encode_csv(const struct codec_write_options *options, const struct weir_symbols *symbols,
               const struct weir_batch *batch, struct weir_buffer *out)
{
    const struct weir_schema *schema = batch->schema;
    for (uint32_t i = 0; i < batch->count && !out->failed; i++) {
        uint32_t row = weir_batch_row(batch, i);
        size_t begin = out->size;
        for (uint32_t c = 0; c < schema->count; c++) {
            if (c > 0) {
                buffer_append(out, ",", 1);
            }
            put_value(options, symbols, &schema->fields[c], &batch->columns[c], row, out);
        }
        if (out->size == begin) {
            buffer_append(out, "\"\"", 2); /* a lone null must not become a blank line, which is no record */
        }
        buffer_append(out, "\n", 1);
    }
    return out->failed ? -ENOMEM : 0;
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
