/* SPDX-License-Identifier: MIT */
#include "codec/encode_cells.h"

#include <errno.h>
#include <string.h>

/* Where each column goes. */
struct plan {
    int32_t measurement, time;
    uint32_t tags[WEIR_FIELDS_MAX], fields[WEIR_FIELDS_MAX];
    uint32_t tag_count, field_count;
};

enum { NAME_STEP = 16 }; /* names are copied so many bytes at a time, the last time too */

/* One batch on its way. */
struct writer {
    struct cell_table table;
    struct weir_buffer text; /* of the names */
    struct name {
        uint32_t begin, length;
    } names[WEIR_FIELDS_MAX];
    size_t name_longest; /* and a step */
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

/* What no cell holds: words and texts that are long, or have something in them that is written in another way. */
static void put_long(const struct cell_table *table, uint32_t c, uint32_t row, struct weir_buffer *out)
{
    const struct weir_column *column = &table->batch->columns[c];
    bool symbol = table->batch->schema->fields[c].type == WEIR_SYMBOL;
    struct weir_text text = symbol ? symbols_text(table->symbols, column->symbols[row]) : column->texts[row];
    if (symbol)
        put_word(out, text.data, text.length, true);
    else
        put_text(out, text.data, text.length);
}

static void put_measurement(const struct cell_table *table, const struct plan *plan, uint32_t row,
                            struct weir_buffer *out)
{
    struct weir_text text = {0};
    if (plan->measurement >= 0) {
        const struct weir_column *column = &table->batch->columns[plan->measurement];
        bool symbol = table->batch->schema->fields[plan->measurement].type == WEIR_SYMBOL;
        text = symbol ? symbols_text(table->symbols, column->symbols[row]) : column->texts[row];
    }
    size_t before = out->size;
    if (text.data && text.length > 0 && text.data[0] != '#') {
        put_word(out, text.data, text.length, false);
    }
    if (out->size == before) {
        const char *given = table->options->measurement, *name = given && *given ? given : "weir";
        put_word(out, name, strlen(name), false);
    }
}

/* ",name=" of each column */
static bool make_names(struct writer *writer)
{
    const struct weir_schema *schema = writer->table.batch->schema;
    for (uint32_t c = 0; c < schema->count; c++) {
        writer->names[c].begin = (uint32_t)writer->text.size;
        buffer_append(&writer->text, ",", 1);
        put_name(&writer->text, schema->fields[c].name);
        buffer_append(&writer->text, "=", 1);
        writer->names[c].length = (uint32_t)writer->text.size - writer->names[c].begin;
        if (writer->names[c].length > writer->name_longest)
            writer->name_longest = writer->names[c].length;
    }
    writer->name_longest += NAME_STEP;
    return buffer_reserve(&writer->text, NAME_STEP) != NULL; /* may be read, with the last name */
}

/* Name and value of a column; false: it has none. `before`: a comma or a blank. */
static bool put_pair(struct writer *writer, uint32_t c, uint32_t i, char before, struct weir_buffer *out)
{
    const struct cells *cells = &writer->table.columns[c];
    const struct name *name = &writer->names[c];
    if (cells->lengths[i] == 0)
        return false;
    size_t begin = out->size;
    char *at = buffer_reserve(out, writer->name_longest + CELL_SIZE);
    if (!at)
        return false;
    for (size_t step = 0; step < name->length; step += NAME_STEP)
        memcpy(at + step, writer->text.data + name->begin + step, NAME_STEP);
    *at = before;
    if (__builtin_expect(cells->lengths[i] != CELL_LONG, 1)) {
        out->size = (size_t)(cell_put(at + name->length, cells, i) - out->data);
        return true;
    }
    out->size += name->length;
    size_t empty = out->size;
    put_long(&writer->table, c, cell_table_row(&writer->table, i), out);
    if (out->size > empty)
        return true;
    out->size = begin; /* a tag of backslashes only */
    return false;
}

static void put_row(struct writer *writer, const struct plan *plan, uint32_t i, struct weir_buffer *out)
{
    const struct cell_table *table = &writer->table;
    size_t begin = out->size;
    bool any = false;
    put_measurement(table, plan, cell_table_row(table, i), out);
    for (uint32_t k = 0; k < plan->tag_count; k++)
        (void)put_pair(writer, plan->tags[k], i, ',', out);
    for (uint32_t k = 0; k < plan->field_count; k++)
        any |= put_pair(writer, plan->fields[k], i, any ? ',' : ' ', out);
    char *at = buffer_reserve(out, CELL_SIZE + 2);
    if (!any || !at) {
        out->size = begin;
        return;
    }
    if (plan->time >= 0 && table->columns[plan->time].lengths[i] > 0) {
        *at = ' ';
        at = cell_put(at + 1, &table->columns[plan->time], i);
    }
    *at++ = '\n';
    out->size = (size_t)(at - out->data);
}

int encode_influx(const struct codec_write_options *options, const struct weir_symbols *symbols,
                  const struct weir_batch *batch, struct weir_buffer *out)
{
    struct plan plan;
    struct writer writer = {0};
    make_plan(batch->schema, &plan);
    int error = cell_table_open(&writer.table, CELL_INFLUX, options, symbols, batch);
    if (error == 0 && !make_names(&writer))
        error = -ENOMEM;
    const size_t begin = out->size;
    for (uint32_t first = 0, count; error == 0 && (count = cell_table_fill(&writer.table, first)) > 0; first += count) {
        for (uint32_t i = 0; i < count; i++)
            put_row(&writer, &plan, i, out);
        cell_table_expect(&writer.table, count, begin, out);
    }
    buffer_free(&writer.text);
    cell_table_close(&writer.table);
    return error == 0 && !out->failed ? 0 : -ENOMEM;
}
