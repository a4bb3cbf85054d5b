/* SPDX-License-Identifier: MIT */
/*
 * Columns for people. Batches are encoded apart from each other, so widths go by type, name and the room there is. With
 * room without end, what is wider than its column is shown whole and pushes the rest of its line to the right. Where a
 * line must fit, columns become narrower and the last ones are left out, and each of these losses has a mark: "…", or
 * "~" before a number with fewer digits.
 */
#include "codec/encode.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/display.h"

enum {
    WIDTH_TIME = 24,
    WIDTH_NUMBER = 12,
    WIDTH_WORD = 12,
    /* with room to spare: */
    WIDTH_TIME_MOST = 30,
    WIDTH_WORD_MOST = 24,
    WIDTH_WHOLE_MOST = 20,
    CELL_MAX = 64,
    GAP = 2
};

#define ELLIPSIS "\xe2\x80\xa6"

struct table {
    const struct codec_write_options *options;
    const struct weir_symbols *symbols;
    const struct weir_schema *schema;
    struct weir_buffer *out;
    uint32_t shown; /* columns; the others are left out */
    bool fits;      /* a line must not be longer than there is room */
    uint16_t widths[WEIR_FIELDS_MAX];
};

static bool is_right(const struct weir_field *field)
{
    return field->type == WEIR_F64 || field->type == WEIR_I64;
}

/* ---- Widths ---------------------------------------------------------------------------------------------------- */

static uint16_t width_of(const struct weir_field *field)
{
    size_t width = field->type == WEIR_TIME                             ? WIDTH_TIME
                   : field->type == WEIR_F64 || field->type == WEIR_I64 ? WIDTH_NUMBER
                   : field->type == WEIR_BOOL                           ? 5
                                                                        : WIDTH_WORD;
    size_t name = display_columns(field->name, strlen(field->name));
    return (uint16_t)(name > width ? name : width);
}

static uint16_t least_of(const struct weir_field *field)
{
    static const uint16_t least[WEIR_TYPE_COUNT] = {
        [WEIR_TIME] = 20,  [WEIR_F64] = 8,  [WEIR_I64] = 8,   [WEIR_BOOL] = 5,
        [WEIR_SYMBOL] = 6, [WEIR_TEXT] = 6, [WEIR_ARRAY] = 10};
    return least[field->type];
}

static size_t total_of(const struct table *table)
{
    bool mark = table->shown < table->schema->count;
    size_t total = (table->shown ? table->shown - 1 : 0) * GAP + (mark ? GAP + 1 : 0);
    for (uint32_t i = 0; i < table->shown; i++)
        total += table->widths[i];
    return total;
}

/* Makes the widest of those that can be narrower so, by one; false: there is none. */
static bool narrow_one(struct table *table)
{
    uint32_t widest = UINT32_MAX;
    int most = 0;
    for (uint32_t i = 0; i < table->shown; i++) {
        int spare = table->widths[i] - least_of(&table->schema->fields[i]);
        if (spare > most) {
            most = spare;
            widest = i;
        }
    }
    if (widest == UINT32_MAX)
        return false;
    table->widths[widest]--;
    return true;
}

static void widen(struct table *table, enum weir_type type, uint16_t most, size_t room)
{
    for (uint32_t i = 0; i < table->shown; i++) {
        size_t total = total_of(table), spare = room > total ? room - total : 0;
        if (table->schema->fields[i].type != type || table->widths[i] >= most)
            continue;
        size_t more = (size_t)(most - table->widths[i]);
        table->widths[i] = (uint16_t)(table->widths[i] + (more < spare ? more : spare));
    }
}

/* What is left over shows more of what often is longer; the last column, which has nothing behind it, gets the rest. */
static void widen_all(struct table *table, size_t room)
{
    widen(table, WEIR_TIME, WIDTH_TIME_MOST, room);
    widen(table, WEIR_TEXT, WIDTH_WORD_MOST, room);
    widen(table, WEIR_SYMBOL, WIDTH_WORD_MOST, room);
    widen(table, WEIR_I64, WIDTH_WHOLE_MOST, room);
    size_t total = total_of(table);
    if (table->shown == table->schema->count && !is_right(&table->schema->fields[table->shown - 1]) && total < room)
        table->widths[table->shown - 1] = (uint16_t)(table->widths[table->shown - 1] + (room - total));
}

static void lay_out(struct table *table, const struct codec_write_options *options, const struct weir_schema *schema,
                    struct weir_buffer *out)
{
    size_t room = options->width > 0 ? (size_t)options->width : 0, least = 0;
    table->options = options;
    table->schema = schema;
    table->out = out;
    table->shown = schema->count;
    table->fits = room > 0;
    for (uint32_t i = 0; i < schema->count; i++)
        table->widths[i] = width_of(&schema->fields[i]);
    if (!table->fits)
        return;
    /* As many columns as can be shown when each is as narrow as it can be; the first one always. */
    for (uint32_t i = 0; i < schema->count; i++) {
        least += (i ? GAP : 0) + least_of(&schema->fields[i]);
        if (least + (i + 1 < schema->count ? GAP + 1 : 0) > room && i > 0) {
            table->shown = i;
            break;
        }
    }
    while (total_of(table) > room && narrow_one(table))
        ;
    while (total_of(table) > room && table->widths[0] > 1) /* one column in no room */
        table->widths[0]--;
    widen_all(table, room);
}

/* ---- Cells ----------------------------------------------------------------------------------------------------- */

static void put_blanks(struct weir_buffer *out, size_t count)
{
    char *room = buffer_reserve(out, count);
    if (room) {
        memset(room, ' ', count);
        out->size += count;
    }
}

/* What would move the cursor or end the line becomes a blank. */
static void put_text(struct weir_buffer *out, const char *text, size_t length)
{
    for (size_t at = 0, size; at < length; at += size) {
        int columns;
        size = display_character(text + at, length - at, &columns);
        if (columns >= 0)
            buffer_append(out, text + at, size);
        else
            buffer_append(out, (unsigned char)text[at] < 0x80 ? " " : "?", 1);
    }
}

static void put_end(struct table *table, uint32_t column)
{
    bool last = column + 1 == table->shown;
    if (last && table->shown < table->schema->count)
        buffer_string(table->out, "  " ELLIPSIS "\n");
    else
        buffer_string(table->out, last ? "\n" : "  ");
}

static void put_cell(struct table *table, uint32_t column, const char *text, size_t length)
{
    bool right = is_right(&table->schema->fields[column]), last = column + 1 == table->schema->count, cut = false;
    size_t width = table->widths[column], columns;
    if (table->fits) {
        size_t whole = display_cut(text, length, width, &columns);
        cut = whole < length;
        length = cut ? display_cut(text, length, width - 1, &columns) : whole;
        columns += cut;
    } else {
        columns = display_columns(text, length);
    }
    size_t blanks = columns < width ? width - columns : 0;
    if (right)
        put_blanks(table->out, blanks);
    put_text(table->out, text, length);
    if (cut)
        buffer_string(table->out, ELLIPSIS);
    if (!right && !last)
        put_blanks(table->out, blanks);
    put_end(table, column);
}

/* A number has no room: fewer digits, and a mark that says so. */
static size_t shorten_number(double value, size_t width, char cell[CELL_MAX])
{
    for (int digits = 6; digits > 0; digits--) {
        size_t length = (size_t)snprintf(cell, CELL_MAX, "~%.*g", digits, value);
        if (length <= width)
            return length;
    }
    memset(cell, '#', width);
    return width;
}

static size_t show_number(const struct table *table, uint32_t column, const struct weir_column *data, uint32_t row,
                          char cell[CELL_MAX])
{
    bool whole = table->schema->fields[column].type == WEIR_I64;
    size_t length, width = table->widths[column];
    if (whole ? data->i64[row] == WEIR_I64_NULL : isnan(data->f64[row]))
        return 1;
    double value = whole ? (double)data->i64[row] : data->f64[row];
    length = whole ? encode_i64(data->i64[row], cell) : (size_t)snprintf(cell, CELL_MAX, "%.6g", value);
    return table->fits && length > width ? shorten_number(value, width < CELL_MAX ? width : CELL_MAX - 1, cell)
                                         : length;
}

static void put_value(struct table *table, uint32_t column, const struct weir_column *data, uint32_t row)
{
    const struct weir_field *field = &table->schema->fields[column];
    struct weir_text text = {0};
    char cell[CELL_MAX] = "-";
    size_t length = 1;
    bool quoted;
    switch (field->type) {
    case WEIR_SYMBOL:
        text = symbols_text(table->symbols, data->symbols[row]);
        break;
    case WEIR_TEXT:
        text = data->texts[row];
        break;
    case WEIR_TIME:
        length = data->i64[row] == WEIR_TIME_NULL ? 1
                                                  : encode_time(table->options, NULL, data->i64[row], cell, &quoted);
        break;
    case WEIR_F64:
    case WEIR_I64:
        length = show_number(table, column, data, row, cell);
        break;
    case WEIR_BOOL:
        if (data->bools[row] != WEIR_BOOL_NULL)
            length = (size_t)snprintf(cell, sizeof cell, "%s", data->bools[row] ? "true" : "false");
        break;
    default:
        length = (size_t)snprintf(cell, sizeof cell, "[%u values]", field->elements);
        break;
    }
    put_cell(table, column, text.data ? text.data : cell, text.data ? text.length : length);
}

int encode_table(const struct codec_write_options *options, const struct weir_symbols *symbols,
                 const struct weir_batch *batch, struct weir_buffer *out)
{
    struct table table;
    lay_out(&table, options, batch->schema, out);
    table.symbols = symbols;
    for (uint32_t i = 0; i < batch->count && !out->failed; i++) {
        uint32_t row = weir_batch_row(batch, i);
        for (uint32_t c = 0; c < table.shown; c++)
            put_value(&table, c, &batch->columns[c], row);
    }
    return out->failed ? -ENOMEM : 0;
}

int encode_table_header(const struct codec_write_options *options, const struct weir_schema *schema,
                        struct weir_buffer *out)
{
    struct table table;
    lay_out(&table, options, schema, out);
    for (uint32_t c = 0; c < table.shown; c++)
        put_cell(&table, c, schema->fields[c].name, strlen(schema->fields[c].name));
    return out->failed ? -ENOMEM : 0;
}
