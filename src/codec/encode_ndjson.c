/* SPDX-License-Identifier: MIT */
#include "codec/encode.h"

#include <errno.h>
#include <math.h>
#include <string.h>

/* Texts without anything that JSON escapes are copied as they are. */
static bool is_plain(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c < 0x20 || c == '"' || c == '\\' || c >= 0x7f) {
            return false;
        }
    }
    return true;
}

static void put_string(struct weir_buffer *out, const char *text, size_t length)
{
    if (!text) {
        buffer_append(out, "null", 4);
        return;
    }
    char *room = is_plain(text, length) ? buffer_reserve(out, length + 2) : NULL;
    if (!room) {
        buffer_json_string(out, text, length);
        return;
    }
    room[0] = '"';
    memcpy(room + 1, text, length);
    room[length + 1] = '"';
    out->size += length + 2;
}

static size_t show_f64(double value, char *out)
{
    if (isnan(value)) {
        memcpy(out, "null", 4);
        return 4;
    }
    if (isinf(value)) {
        const char *text = value > 0 ? "\"inf\"" : "\"-inf\"";
        memcpy(out, text, 6);
        return strlen(text);
    }
    return codec_show_f64(value, out);
}

static size_t show_i64(int64_t value, char *out)
{
    if (value == WEIR_I64_NULL) {
        memcpy(out, "null", 4);
        return 4;
    }
    return encode_i64(value, out);
}

static size_t show_time(const struct codec_write_options *options, int64_t ns, char *out)
{
    if (ns == WEIR_TIME_NULL) {
        return show_i64(ns, out);
    }
    bool quoted;
    size_t length = encode_time(options, ns, out + 1, &quoted);
    if (!quoted) {
        memmove(out, out + 1, length);
        return length;
    }
    out[0] = out[length + 1] = '"';
    return length + 2;
}

static size_t show_bool(uint8_t value, char *out)
{
    const char *text = value == WEIR_BOOL_NULL ? "null" : value ? "true" : "false";
    size_t length = strlen(text);
    memcpy(out, text, length);
    return length;
}

static void put_array(struct weir_buffer *out, const struct weir_field *field, const struct weir_column *column,
                      uint32_t row)
{
    buffer_append(out, "[", 1);
    for (uint32_t i = 0; i < field->elements; i++) {
        char *room = buffer_reserve(out, ENCODE_NUMBER_MAX + 1);
        if (!room) {
            return;
        }
        size_t index = (size_t)row * field->elements + i, length = 0;
        if (i > 0) {
            room[length++] = ',';
        }
        length += field->element == WEIR_F64 ? show_f64(column->f64[index], room + length)
                                             : show_i64(column->i64[index], room + length);
        out->size += length;
    }
    buffer_append(out, "]", 1);
}

static void put_value(const struct codec_write_options *options, const struct weir_symbols *symbols,
                      const struct weir_field *field, const struct weir_column *column, uint32_t row,
                      struct weir_buffer *out)
{
    if (field->type == WEIR_SYMBOL) {
        struct weir_text text = symbols_text(symbols, column->symbols[row]);
        put_string(out, text.data, text.length);
        return;
    }
    if (field->type == WEIR_TEXT) {
        put_string(out, column->texts[row].data, column->texts[row].length);
        return;
    }
    if (field->type == WEIR_ARRAY) {
        put_array(out, field, column, row);
        return;
    }
    char *room = buffer_reserve(out, ENCODE_NUMBER_MAX);
    if (!room) {
        return;
    }
    switch (field->type) {
    case WEIR_TIME:
        out->size += show_time(options, column->i64[row], room);
        break;
    case WEIR_F64:
        out->size += show_f64(column->f64[row], room);
        break;
    case WEIR_I64:
        out->size += show_i64(column->i64[row], room);
        break;
    default:
        out->size += show_bool(column->bools[row], room);
        break;
    }
}

int encode_ndjson(const struct codec_write_options *options, const struct weir_symbols *symbols,
                  const struct weir_batch *batch, struct weir_buffer *out)
{
    const struct weir_schema *schema = batch->schema;
    struct weir_buffer keys = {0}; /* {"a":  ,"b":  … one after the other */
    uint32_t ends[WEIR_FIELDS_MAX];
    for (uint32_t c = 0; c < schema->count; c++) {
        buffer_append(&keys, c == 0 ? "{" : ",", 1);
        buffer_json_string(&keys, schema->fields[c].name, strlen(schema->fields[c].name));
        buffer_append(&keys, ":", 1);
        ends[c] = (uint32_t)keys.size;
    }
    for (uint32_t i = 0; i < batch->count && !keys.failed && !out->failed; i++) {
        uint32_t row = weir_batch_row(batch, i), begin = 0;
        for (uint32_t c = 0; c < schema->count; c++) {
            buffer_append(out, keys.data + begin, ends[c] - begin);
            put_value(options, symbols, &schema->fields[c], &batch->columns[c], row, out);
            begin = ends[c];
        }
        if (schema->count == 0) {
            buffer_append(out, "{", 1);
        }
        buffer_append(out, "}\n", 2);
    }
    bool failed = keys.failed || out->failed;
    buffer_free(&keys);
    return failed ? -ENOMEM : 0;
}
