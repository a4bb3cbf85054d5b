/* SPDX-License-Identifier: MIT */
/*
 * Batches → lines of JSON. What is the same in each row (names with their punctuation) is made once; room is asked for
 * once a row, and all that has a known size is written without looking for room again.
 */
#include "codec/encode.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <string.h>

#include "data/array.h"

enum {
    NAME_STEP = 16,  /* names are copied so many bytes at a time, the last time too */
    TEXT_SHORT = 40, /* up to here texts need no room of their own */
    FIELD_ROOM = ENCODE_NUMBER_MAX,
    ARRAY_PIECE = 64, /* elements that are written at a time */
};
_Static_assert(TEXT_SHORT + 2 <= FIELD_ROOM, "a short text with its quotes is a field");

/* One batch on its way. */
struct writer {
    const struct codec_write_options *options;
    const struct weir_symbols *symbols;
    const struct weir_batch *batch;
    struct weir_buffer *out;
    struct weir_buffer names; /* {"a":  ,"b":  … one after the other */
    uint32_t name_ends[WEIR_FIELDS_MAX];
    size_t row_room; /* without long texts and arrays */
    struct time_minute minute;
};

/* ---- Texts ----------------------------------------------------------------------------------------------------- */

#define EACH_BYTE (~UINT64_C(0) / 255)

/* Of eight bytes, is one a control character, a quote, a backslash or no ASCII? Subtractions borrow from the next byte
 * only where one is. */
static inline uint64_t special(uint64_t bytes)
{
    uint64_t quote = bytes ^ EACH_BYTE * '"', backslash = bytes ^ EACH_BYTE * '\\', delete = bytes ^ EACH_BYTE * 0x7f;
    uint64_t low = (bytes - EACH_BYTE * 0x20) | (quote - EACH_BYTE) | (backslash - EACH_BYTE) | (delete - EACH_BYTE);
    return (low | bytes) & EACH_BYTE * 0x80;
}

/* Copies a text; false when something in it has to be written in another way. */
static inline bool copy_plain(char *out, const char *text, size_t length)
{
    uint64_t bytes, found = 0;
    if (length >= 8) {
        for (size_t i = 0; i + 8 < length; i += 8) {
            memcpy(&bytes, text + i, 8);
            memcpy(out + i, &bytes, 8);
            found |= special(bytes);
        }
        memcpy(&bytes, text + length - 8, 8);
        memcpy(out + length - 8, &bytes, 8);
        return (found | special(bytes)) == 0;
    }
    if (length >= 4) {
        uint32_t first, last;
        memcpy(&first, text, 4);
        memcpy(&last, text + length - 4, 4);
        memcpy(out, &first, 4);
        memcpy(out + length - 4, &last, 4);
        return special(first | (uint64_t)last << 32) == 0;
    }
    bytes = EACH_BYTE * ' ';
    for (size_t i = 0; i < length; i++) {
        out[i] = text[i];
        bytes = bytes << 8 | (unsigned char)text[i];
    }
    return special(bytes) == 0;
}

/* The end of what was written at `at`, where a row's room is; then there is room for a row again. NULL: out of memory.
 */
static char *put_long_string(struct writer *writer, char *at, const char *text, size_t length)
{
    struct weir_buffer *out = writer->out;
    out->size = (size_t)(at - out->data);
    char *room = buffer_reserve(out, length + 2);
    if (room && copy_plain(room + 1, text, length)) {
        room[0] = room[length + 1] = '"';
        out->size += length + 2;
    } else {
        buffer_json_string(out, text, length);
    }
    return buffer_reserve(out, writer->row_room);
}

static inline char *put_null(char *at)
{
    memcpy(at, "null", 4);
    return at + 4;
}

static inline char *put_string(struct writer *writer, char *at, struct weir_text text)
{
    if (!text.data)
        return put_null(at);
    if (text.length > TEXT_SHORT || !copy_plain(at + 1, text.data, text.length))
        return put_long_string(writer, at, text.data, text.length);
    at[0] = at[text.length + 1] = '"';
    return at + text.length + 2;
}

/* ---- Numbers --------------------------------------------------------------------------------------------------- */

static inline char *put_f64(char *at, double value)
{
    if (__builtin_expect(fabs(value) <= DBL_MAX, 1))
        return at + codec_show_f64(value, at);
    if (isnan(value))
        return put_null(at);
    memcpy(at, value > 0 ? "\"inf\"" : "\"-inf\"", 6);
    return at + (value > 0 ? 5 : 6);
}

static inline char *put_i64(char *at, int64_t value)
{
    return value == WEIR_I64_NULL ? put_null(at) : at + encode_i64(value, at);
}

static inline char *put_time(struct writer *writer, char *at, int64_t ns)
{
    bool quoted;
    if (ns == WEIR_TIME_NULL)
        return put_null(at);
    if (writer->options->time_format >= TIME_EPOCH_S)
        return at + encode_time(writer->options, &writer->minute, ns, at, &quoted);
    size_t length = encode_time(writer->options, &writer->minute, ns, at + 1, &quoted);
    at[0] = at[length + 1] = '"';
    return at + length + 2;
}

static inline char *put_bool(char *at, uint8_t value)
{
    memcpy(at, value == WEIR_BOOL_NULL ? "null\0" : value ? "true\0" : "false", 5);
    return at + (value == 0 ? 5 : 4);
}

static inline char *put_number(char *at, struct array_number number)
{
    if (number.kind == ARRAY_NULL)
        return put_null(at);
    bool infinite = number.kind <= ARRAY_SINGLE && isinf(number.f);
    return infinite ? put_f64(at, number.f) : at + encode_number(number, at);
}

/* Numbers that a double holds exactly, many at a time; there is room. */
static char *put_simple(char *at, uint8_t element, const void *data, size_t first, size_t count)
{
    double values[ARRAY_PIECE];
    bool floats = array_is_float(element);
    array_read_f64(element, data, first, count, values);
    for (size_t i = 0; i < count; i++) {
        if (first + i > 0)
            *at++ = ',';
        at = floats ? put_f64(at, values[i]) : at + encode_i64((int64_t)values[i], at);
    }
    return at;
}

static bool is_simple(uint8_t element)
{
    size_t size = weir_element_size(element & WEIR_ELEMENT_TYPE);
    return !(element & WEIR_ELEMENT_COMPLEX) && (array_is_float(element) ? size == 8 : size <= 4);
}

static char *put_array(struct writer *writer, char *at, uint32_t c, uint32_t row)
{
    const struct weir_field *field = &writer->batch->schema->fields[c];
    const struct weir_column *column = &writer->batch->columns[c];
    struct weir_buffer *out = writer->out;
    out->size = (size_t)(at - out->data);
    const void *data = (const char *)column->data + row * weir_field_width(field);
    bool pairs = field->element & WEIR_ELEMENT_COMPLEX;
    bool simple = is_simple(field->element);
    buffer_append(out, "[", 1);
    for (size_t i = 0, count; simple && i < field->elements; i += count) {
        count = field->elements - i < ARRAY_PIECE ? field->elements - i : ARRAY_PIECE;
        at = buffer_reserve(out, count * FIELD_ROOM);
        if (!at)
            return NULL;
        out->size += (size_t)(put_simple(at, field->element, data, i, count) - at);
    }
    for (uint32_t i = 0; !simple && i < field->elements; i++) {
        at = buffer_reserve(out, 2 * FIELD_ROOM);
        if (!at)
            return NULL;
        char *begin = at;
        if (i > 0)
            *at++ = ',';
        if (pairs) { /* [[re,im],…] */
            *at++ = '[';
            at = put_number(at, array_number(field->element, data, (size_t)i * 2));
            *at++ = ',';
            at = put_number(at, array_number(field->element, data, (size_t)i * 2 + 1));
            *at++ = ']';
        } else {
            at = put_number(at, array_number(field->element, data, i));
        }
        out->size += (size_t)(at - begin);
    }
    buffer_append(out, "]", 1);
    return buffer_reserve(out, writer->row_room);
}

/* ---- Rows ------------------------------------------------------------------------------------------------------ */

static inline char *put_value(struct writer *writer, char *at, uint32_t c, uint32_t row)
{
    const struct weir_column *column = &writer->batch->columns[c];
    switch (writer->batch->schema->fields[c].type) {
    case WEIR_F64:
        return put_f64(at, column->f64[row]);
    case WEIR_I64:
        return put_i64(at, column->i64[row]);
    case WEIR_SYMBOL:
        return put_string(writer, at, symbols_text(writer->symbols, column->symbols[row]));
    case WEIR_TIME:
        return put_time(writer, at, column->i64[row]);
    case WEIR_TEXT:
        return put_string(writer, at, column->texts[row]);
    case WEIR_ARRAY:
        return put_array(writer, at, c, row);
    default:
        return put_bool(at, column->bools[row]);
    }
}

static inline char *put_name(char *at, const char *name, size_t length)
{
    for (size_t i = 0; i < length; i += NAME_STEP)
        memcpy(at + i, name + i, NAME_STEP);
    return at + length;
}

static bool put_row(struct writer *writer, uint32_t row)
{
    struct weir_buffer *out = writer->out;
    char *at = buffer_reserve(out, writer->row_room);
    uint32_t begin = 0;
    for (uint32_t c = 0; at && c < writer->batch->schema->count; c++) {
        at = put_name(at, writer->names.data + begin, writer->name_ends[c] - begin);
        at = put_value(writer, at, c, row);
        begin = writer->name_ends[c];
    }
    if (!at)
        return false;
    memcpy(at, "}\n", 2);
    out->size = (size_t)(at + 2 - out->data);
    return true;
}

static bool make_names(struct writer *writer)
{
    const struct weir_schema *schema = writer->batch->schema;
    struct weir_buffer *names = &writer->names;
    for (uint32_t c = 0; c < schema->count; c++) {
        buffer_append(names, c == 0 ? "{" : ",", 1);
        buffer_json_string(names, schema->fields[c].name, strlen(schema->fields[c].name));
        buffer_append(names, ":", 1);
        writer->name_ends[c] = (uint32_t)names->size;
    }
    writer->row_room = names->size + (size_t)schema->count * FIELD_ROOM + NAME_STEP + 2;
    return buffer_reserve(names, NAME_STEP) != NULL; /* may be read, with the last name */
}

int encode_ndjson(const struct codec_write_options *options, const struct weir_symbols *symbols,
                  const struct weir_batch *batch, struct weir_buffer *out)
{
    struct writer writer = {.options = options, .symbols = symbols, .batch = batch, .out = out};
    bool good = make_names(&writer);
    for (uint32_t i = 0; good && i < batch->count; i++) {
        if (batch->schema->count == 0)
            buffer_append(out, "{", 1);
        good = put_row(&writer, weir_batch_row(batch, i));
    }
    buffer_free(&writer.names);
    return good && !out->failed ? 0 : -ENOMEM;
}
