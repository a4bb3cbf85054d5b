/* SPDX-License-Identifier: MIT */
/*
 * Batches → lines of JSON. Values become text column by column; what is the same in each row (names with their
 * punctuation) is made once; room is asked for once a row, and all that has a known size is written without looking for
 * room again.
 */
#include "codec/encode_cells.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <string.h>

#include "data/array.h"

enum {
    NAME_STEP = 16, /* names are copied so many bytes at a time, the last time too */
    FIELD_ROOM = ENCODE_NUMBER_MAX,
    ARRAY_PIECE = 64, /* elements that are written at a time */
};
_Static_assert((int)CELL_SIZE <= (int)FIELD_ROOM, "a cell is a field");

/* One batch on its way. */
struct writer {
    struct cell_table table;
    struct weir_buffer *out;
    struct weir_buffer names; /* {"a":  ,"b":  … one after the other, and NAME_STEP bytes */
    uint32_t name_ends[WEIR_FIELDS_MAX];
    size_t row_room; /* without long texts and arrays */
};

/* ---- What no cell holds ---------------------------------------------------------------------------------------- */

/* The end of what was written at `at`, where a row's room is; then there is room for a row again. NULL: out of memory.
 */
static char *put_long_string(struct writer *writer, char *at, const char *text, size_t length)
{
    struct weir_buffer *out = writer->out;
    out->size = (size_t)(at - out->data);
    char *room = buffer_reserve(out, length + 2);
    if (room && cell_copy_plain(room + 1, text, length, cell_special_json)) {
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

static inline char *put_f64(char *at, double value)
{
    if (__builtin_expect(fabs(value) <= DBL_MAX, 1))
        return at + codec_show_f64(value, at);
    if (isnan(value))
        return put_null(at);
    memcpy(at, value > 0 ? "\"inf\"" : "\"-inf\"", 6);
    return at + (value > 0 ? 5 : 6);
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
    const struct weir_field *field = &writer->table.batch->schema->fields[c];
    const struct weir_column *column = &writer->table.batch->columns[c];
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

static char *put_long(struct writer *writer, char *at, uint32_t c, uint32_t row)
{
    const struct weir_batch *batch = writer->table.batch;
    const struct weir_column *column = &batch->columns[c];
    enum weir_type type = batch->schema->fields[c].type;
    if (type == WEIR_ARRAY)
        return put_array(writer, at, c, row);
    struct weir_text text = type == WEIR_SYMBOL ? symbols_text(writer->table.symbols, column->symbols[row])
                                                : column->texts[row];
    return put_long_string(writer, at, text.data, text.length);
}

static inline char *put_name(char *at, const char *name, size_t length)
{
    memcpy(at, name, NAME_STEP);
    for (size_t i = NAME_STEP; __builtin_expect(i < length, 0); i += NAME_STEP)
        memcpy(at + i, name + i, NAME_STEP);
    return at + length;
}

static bool put_row(struct writer *writer, uint32_t i)
{
    struct weir_buffer *out = writer->out;
    char *at = buffer_reserve(out, writer->row_room);
    const uint32_t count = writer->table.batch->schema->count, *ends = writer->name_ends;
    const struct cells *cells = writer->table.columns;
    const char *name = writer->names.data;
    uint32_t begin = 0;
    for (uint32_t c = 0; at && c < count; c++, cells++) {
        const uint32_t length = ends[c] - begin;
        at = put_name(at, name, length);
        name += length;
        begin += length;
        if (__builtin_expect(cells->lengths[i] != CELL_LONG, 1))
            at = cell_put(at, cells, i);
        else
            at = put_long(writer, at, c, cell_table_row(&writer->table, i));
    }
    if (!at)
        return false;
    memcpy(at, "}\n", 2);
    out->size = (size_t)(at + 2 - out->data);
    return true;
}

static bool make_names(struct writer *writer)
{
    const struct weir_schema *schema = writer->table.batch->schema;
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
    struct writer writer = {.out = out};
    int error = cell_table_open(&writer.table, CELL_JSON, options, symbols, batch);
    bool good = error == 0 && make_names(&writer);
    const size_t begin = out->size;
    for (uint32_t first = 0, count; good && (count = cell_table_fill(&writer.table, first)) > 0; first += count) {
        for (uint32_t i = 0; good && i < count; i++) {
            if (batch->schema->count == 0)
                buffer_append(out, "{", 1);
            good = put_row(&writer, i);
        }
        cell_table_expect(&writer.table, count, begin, out);
    }
    buffer_free(&writer.names);
    cell_table_close(&writer.table);
    return good && !out->failed ? 0 : -ENOMEM;
}
