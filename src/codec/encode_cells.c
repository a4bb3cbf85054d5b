/* SPDX-License-Identifier: MIT */
#include "codec/encode_cells.h"

#include <errno.h>
#include <math.h>

#include "base/memory.h"
#include "data/gather.h"

int cell_table_open(struct cell_table *table, enum cell_style style, const struct codec_write_options *options,
                    const struct weir_symbols *symbols, const struct weir_batch *batch)
{
    *table = (struct cell_table){
        .style = style, .options = options, .symbols = symbols, .batch = batch, .kernels = show_choose()};
    size_t count = batch->schema->count > 0 ? batch->schema->count : 1;
    table->columns = memory_allocate(count * sizeof *table->columns);
    return table->columns ? 0 : -ENOMEM;
}

void cell_table_close(struct cell_table *table)
{
    memory_free(table->columns);
}

/* ---- Numbers and times --------------------------------------------------------------------------------------------
 */

static inline uint8_t put_null(enum cell_style style, char *out)
{
    memcpy(out, "null", 4);
    return style == CELL_JSON ? 4 : 0;
}

static uint8_t put_f64(enum cell_style style, double value, char *out)
{
    if (isfinite(value))
        return (uint8_t)codec_show_f64(value, out);
    if (isnan(value) || style == CELL_INFLUX)
        return put_null(style, out);
    const char *text = style == CELL_CSV ? (value > 0 ? "inf" : "-inf") : (value > 0 ? "\"inf\"" : "\"-inf\"");
    size_t length = strlen(text);
    memcpy(out, text, length);
    return (uint8_t)length;
}

static void fill_f64(const struct cell_table *table, const double *values, struct cells *cells)
{
    for (uint64_t others = table->kernels->f64(values, table->count, cells); others; others &= others - 1) {
        uint32_t i = (uint32_t)__builtin_ctzll(others);
        cells->lengths[i] = put_f64(table->style, values[i], cells->texts[i]);
    }
}

static void fill_i64(const struct cell_table *table, const int64_t *values, struct cells *cells)
{
    table->kernels->i64(values, table->count, cells);
    for (uint32_t i = 0; i < table->count; i++) {
        if (values[i] == WEIR_I64_NULL)
            cells->lengths[i] = put_null(table->style, cells->texts[i]);
        else if (table->style == CELL_INFLUX)
            cells->texts[i][cells->lengths[i]++] = 'i';
    }
}

static uint8_t put_time(struct cell_table *table, int64_t ns, char *out)
{
    bool quoted = table->style != CELL_CSV && table->options->time_format < TIME_EPOCH_S, ignored;
    if (ns == WEIR_TIME_NULL)
        return put_null(table->style, out);
    if (!quoted)
        return (uint8_t)encode_time(table->options, &table->minute, ns, out, &ignored);
    size_t length = encode_time(table->options, &table->minute, ns, out + 1, &ignored);
    out[0] = out[length + 1] = '"';
    return (uint8_t)(length + 2);
}

/* A line's time is a whole number of the unit, rounded down. */
static void fill_stamps(const struct cell_table *table, const int64_t *times, struct cells *cells)
{
    static const int64_t units[] = {1000000000, 1000000, 1000, 1};
    int format = table->options->time_format;
    int64_t unit = format >= TIME_EPOCH_S ? units[format - TIME_EPOCH_S] : 1, stamps[CELL_ROWS];
    for (uint32_t i = 0; i < table->count; i++)
        stamps[i] = times[i] / unit - (times[i] % unit < 0);
    table->kernels->i64(stamps, table->count, cells);
    for (uint32_t i = 0; i < table->count; i++)
        if (times[i] == WEIR_TIME_NULL)
            cells->lengths[i] = 0;
}

static void fill_bools(const struct cell_table *table, const uint8_t *values, struct cells *cells)
{
    for (uint32_t i = 0; i < table->count; i++) {
        memcpy(cells->texts[i], values[i] ? "true\0" : "false", 5);
        cells->lengths[i] = values[i] == WEIR_BOOL_NULL ? put_null(table->style, cells->texts[i]) : values[i] ? 4 : 5;
    }
}

/* ---- Texts --------------------------------------------------------------------------------------------------------
 * What is special is looked at by the encoder, which may find that it is not.
 */

static inline uint64_t special_csv(uint64_t bytes)
{
    uint64_t comma = bytes ^ EACH_BYTE * ',', quote = bytes ^ EACH_BYTE * '"';
    return ((bytes - EACH_BYTE * 0x20) | (comma - EACH_BYTE) | (quote - EACH_BYTE) | bytes) & EACH_BYTE * 0x80;
}

static inline uint64_t special_tag(uint64_t bytes)
{
    uint64_t comma = bytes ^ EACH_BYTE * ',', equals = bytes ^ EACH_BYTE * '=', backslash = bytes ^ EACH_BYTE * '\\';
    uint64_t low = (bytes - EACH_BYTE * 0x21) | (comma - EACH_BYTE) | (equals - EACH_BYTE) | (backslash - EACH_BYTE);
    return (low | bytes) & EACH_BYTE * 0x80;
}

static inline uint8_t put_quoted(enum cell_style style, struct weir_text text, char *out)
{
    if (!text.data)
        return put_null(style, out);
    if (text.length > CELL_SIZE - 2 || !cell_copy_plain(out + 1, text.data, text.length, cell_special_json))
        return CELL_LONG;
    out[0] = out[text.length + 1] = '"';
    return (uint8_t)(text.length + 2);
}

static inline uint8_t put_bare(struct weir_text text, char *out, uint64_t (*special)(uint64_t bytes))
{
    return text.length <= CELL_SIZE && cell_copy_plain(out, text.data, text.length, special) ? (uint8_t)text.length
                                                                                             : CELL_LONG;
}

static inline __attribute__((always_inline)) uint8_t put_text(enum cell_style style, struct weir_text text, bool symbol,
                                                              char *out)
{
    if (style == CELL_CSV && text.data)
        return text.length == 0 ? CELL_LONG : put_bare(text, out, special_csv);
    if (style == CELL_INFLUX && symbol)
        return text.data ? put_bare(text, out, special_tag) : 0;
    return put_quoted(style, text, out);
}

static void fill_symbols(const struct cell_table *table, const uint32_t *symbols, struct cells *cells)
{
    for (uint32_t i = 0; i < table->count; i++)
        cells->lengths[i] = put_text(table->style, symbols_text(table->symbols, symbols[i]), true, cells->texts[i]);
}

static void fill_texts(const struct cell_table *table, const struct weir_text *texts, struct cells *cells)
{
    for (uint32_t i = 0; i < table->count; i++)
        cells->lengths[i] = put_text(table->style, texts[i], false, cells->texts[i]);
}

/* ---- Columns ------------------------------------------------------------------------------------------------------
 */

/* The values of the rows, side by side: where they are, or in `room`. */
static const void *values_of(const struct cell_table *table, uint32_t c, size_t width, void *room)
{
    const char *data = table->batch->columns[c].data;
    if (!table->rows)
        return data + table->first * width;
    gather(room, data, table->rows, table->count, width);
    return room;
}

static void fill_column(struct cell_table *table, uint32_t c)
{
    union {
        int64_t i64[CELL_ROWS];
        struct weir_text texts[CELL_ROWS];
    } room;
    const struct weir_schema *schema = table->batch->schema;
    struct cells *cells = &table->columns[c];
    const int64_t *times;
    switch (schema->fields[c].type) {
    case WEIR_F64:
        fill_f64(table, values_of(table, c, 8, &room), cells);
        break;
    case WEIR_I64:
        fill_i64(table, values_of(table, c, 8, &room), cells);
        break;
    case WEIR_TIME:
        times = values_of(table, c, 8, &room);
        if (table->style == CELL_INFLUX && (int32_t)c == schema->time) {
            fill_stamps(table, times, cells);
            break;
        }
        for (uint32_t i = 0; i < table->count; i++)
            cells->lengths[i] = put_time(table, times[i], cells->texts[i]);
        break;
    case WEIR_SYMBOL:
        fill_symbols(table, values_of(table, c, 4, &room), cells);
        break;
    case WEIR_TEXT:
        fill_texts(table, values_of(table, c, sizeof(struct weir_text), &room), cells);
        break;
    case WEIR_BOOL:
        fill_bools(table, values_of(table, c, 1, &room), cells);
        break;
    default:
        memset(cells->lengths, table->style == CELL_INFLUX ? 0 : CELL_LONG, table->count);
        break;
    }
}

uint32_t cell_table_fill(struct cell_table *table, uint32_t first)
{
    const struct weir_batch *batch = table->batch;
    table->count = batch->count - first < CELL_ROWS ? batch->count - first : CELL_ROWS;
    table->first = first;
    table->rows = batch->selection ? batch->selection + first : NULL;
    for (uint32_t c = 0; table->count > 0 && c < batch->schema->count; c++)
        fill_column(table, c);
    return table->count;
}
