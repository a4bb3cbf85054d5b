/* SPDX-License-Identifier: MIT */
#include "codec/encode.h"

#include <errno.h>
#include <math.h>
#include <string.h>

/* Where each column goes. */
struct plan {
    int32_t measurement, time;
    uint32_t tags[WEIR_FIELDS_MAX], fields[WEIR_FIELDS_MAX];
    uint32_t tag_count, field_count;
};

static void make_plan(const struct weir_schema *schema, struct plan *plan)
{
    plan->measurement = weir_schema_find(schema, "measurement");
    plan->time = schema->time;
    plan->tag_count = plan->field_count = 0;
    if (plan->measurement >= 0 && schema->fields[plan->measurement].type != WEIR_SYMBOL &&
        schema->fields[plan->measurement].type != WEIR_TEXT) {
        plan->measurement = -1;
    }
    for (uint32_t c = 0; c < schema->count; c++) {
        if ((int32_t)c == plan->measurement || (int32_t)c == plan->time) {
            continue;
        }
        if (schema->fields[c].type == WEIR_SYMBOL) {
            plan->tags[plan->tag_count++] = c;
        } else {
            plan->fields[plan->field_count++] = c;
        }
    }
}

/* A measurement, name or tag: with backslashes where they have to be. What a line cannot hold becomes a blank, and as
 * a blank has a backslash before it, a word never ends in one of its own. */
static void put_word(struct weir_buffer *out, const char *text, size_t length, bool equals)
{
    while (length > 0 && text[length - 1] == '\\') {
        length--;
    }
    char *room = buffer_reserve(out, length * 2);
    for (size_t i = 0; room && i < length; i++) {
        char c = text[i] == '\n' || text[i] == '\r' || text[i] == '\0' ? ' ' : text[i];
        if (c == ',' || c == ' ' || (c == '=' && equals)) {
            *room++ = '\\';
        }
        *room++ = c;
    }
    if (room) {
        out->size = (size_t)(room - out->data);
    }
}

static void put_name(struct weir_buffer *out, const char *name)
{
    size_t before = out->size;
    put_word(out, name, strlen(name), true);
    if (out->size == before) {
        buffer_append(out, "_", 1); /* it had only backslashes */
    }
}

static void put_text(struct weir_buffer *out, const char *text, size_t length)
{
    char *room = buffer_reserve(out, length * 2 + 2);
    if (!room) {
        return;
    }
    *room++ = '"';
    for (size_t i = 0; i < length; i++) {
        char c = text[i] == '\n' || text[i] == '\r' || text[i] == '\0' ? ' ' : text[i];
        if (c == '"' || c == '\\') {
            *room++ = '\\';
        }
        *room++ = c;
    }
    *room++ = '"';
    out->size = (size_t)(room - out->data);
}

static bool is_null(const struct weir_field *field, const struct weir_column *column, uint32_t row)
{
    switch (field->type) {
    case WEIR_TIME:
    case WEIR_I64:
        return column->i64[row] == WEIR_I64_NULL;
    case WEIR_F64:
        return !isfinite(column->f64[row]);
    case WEIR_BOOL:
        return column->bools[row] == WEIR_BOOL_NULL;
    case WEIR_TEXT:
        return !column->texts[row].data;
    default:
        return true;
    }
}

static void put_value(const struct codec_write_options *options, const struct weir_field *field,
                      const struct weir_column *column, uint32_t row, struct weir_buffer *out)
{
    char text[ENCODE_NUMBER_MAX];
    size_t length;
    bool quoted;
    switch (field->type) {
    case WEIR_F64:
        length = codec_show_f64(column->f64[row], text);
        buffer_append(out, text, length);
        break;
    case WEIR_I64:
        length = encode_i64(column->i64[row], text);
        text[length] = 'i';
        buffer_append(out, text, length + 1);
        break;
    case WEIR_BOOL:
        buffer_string(out, column->bools[row] ? "true" : "false");
        break;
    case WEIR_TIME:
        length = encode_time(options, NULL, column->i64[row], text, &quoted);
        if (quoted) {
            put_text(out, text, length);
        } else {
            buffer_append(out, text, length);
        }
        break;
    default:
        put_text(out, column->texts[row].data, column->texts[row].length);
        break;
    }
}

/* A whole number of the unit, rounded down. */
static void put_stamp(const struct codec_write_options *options, int64_t ns, struct weir_buffer *out)
{
    static const int64_t units[] = {1000000000, 1000000, 1000, 1};
    int64_t unit = options->time_format >= TIME_EPOCH_S ? units[options->time_format - TIME_EPOCH_S] : 1;
    char text[ENCODE_NUMBER_MAX];
    text[0] = ' ';
    size_t length = encode_i64(ns / unit - (ns % unit < 0), text + 1);
    buffer_append(out, text, length + 1);
}

static void put_measurement(const struct codec_write_options *options, const struct weir_symbols *symbols,
                            const struct plan *plan, const struct weir_batch *batch, uint32_t row,
                            struct weir_buffer *out)
{
    struct weir_text text = {0};
    if (plan->measurement >= 0) {
        const struct weir_column *column = &batch->columns[plan->measurement];
        bool symbol = batch->schema->fields[plan->measurement].type == WEIR_SYMBOL;
        text = symbol ? symbols_text(symbols, column->symbols[row]) : column->texts[row];
    }
    size_t before = out->size;
    if (text.data && text.length > 0 && text.data[0] != '#') {
        put_word(out, text.data, text.length, false);
    }
    if (out->size == before) {
        const char *name = options->measurement && *options->measurement ? options->measurement : "weir";
        put_word(out, name, strlen(name), false);
    }
}

static void put_row(const struct codec_write_options *options, const struct weir_symbols *symbols,
                    const struct plan *plan, const struct weir_batch *batch, uint32_t row, struct weir_buffer *out)
{
    const struct weir_schema *schema = batch->schema;
    size_t begin = out->size;
    bool any = false;
    put_measurement(options, symbols, plan, batch, row, out);
    for (uint32_t i = 0; i < plan->tag_count; i++) {
        uint32_t c = plan->tags[i];
        struct weir_text text = symbols_text(symbols, batch->columns[c].symbols[row]);
        while (text.data && text.length > 0 && text.data[text.length - 1] == '\\') {
            text.length--;
        }
        if (text.data && text.length > 0) {
            buffer_append(out, ",", 1);
            put_name(out, schema->fields[c].name);
            buffer_append(out, "=", 1);
            put_word(out, text.data, text.length, true);
        }
    }
    for (uint32_t i = 0; i < plan->field_count; i++) {
        uint32_t c = plan->fields[i];
        if (!is_null(&schema->fields[c], &batch->columns[c], row)) {
            buffer_append(out, any ? "," : " ", 1);
            put_name(out, schema->fields[c].name);
            buffer_append(out, "=", 1);
            put_value(options, &schema->fields[c], &batch->columns[c], row, out);
            any = true;
        }
    }
    if (!any) {
        out->size = begin;
        return;
    }
    if (plan->time >= 0 && batch->columns[plan->time].i64[row] != WEIR_TIME_NULL) {
        put_stamp(options, batch->columns[plan->time].i64[row], out);
    }
    buffer_append(out, "\n", 1);
}

int encode_influx(const struct codec_write_options *options, const struct weir_symbols *symbols,
                  const struct weir_batch *batch, struct weir_buffer *out)
{
    struct plan plan;
    make_plan(batch->schema, &plan);
    for (uint32_t i = 0; i < batch->count && !out->failed; i++) {
        put_row(options, symbols, &plan, batch, weir_batch_row(batch, i), out);
    }
    return out->failed ? -ENOMEM : 0;
}
