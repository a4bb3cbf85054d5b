/* SPDX-License-Identifier: MIT */
/* Line protocol → columns. The k-th item of a line is expected to be the one that was the k-th in the line before. */
#include "codec/influx.h"

#include <errno.h>
#include <string.h>

#include "codec/separators.h"

struct influx {
    struct decoder *decoder;
    struct decoder_column *measurement, *time; /* NULL: no such column */
    uint32_t line;                             /* in the block */
};

/* The text without backslashes, where it will live as long as it has to; NULL: no memory. */
static const char *plain_text(struct decoder *decoder, const struct influx_item *item, bool lasting, size_t *length)
{
    *length = item->length;
    if (!item->escaped) {
        return item->text;
    }
    char *room;
    if (lasting) {
        room = decoder_text_room(decoder, item->length);
    } else {
        decoder->scratch.size = 0;
        decoder->scratch.failed = false;
        room = buffer_reserve(&decoder->scratch, item->length + 32);
    }
    if (room) {
        *length = influx_unescape(item->kind, item->text, item->length, room);
    }
    return room;
}

/* A bool, or a tag that goes to a column of bools. */
static void bool_read(struct decoder_column *column, uint32_t row, const struct influx_item *item)
{
    if (item->kind != INFLUX_BOOL && (item->kind != INFLUX_TAG || !influx_is_bool(item->text, item->length))) {
        column->problems[PROBLEM_MISMATCH]++;
        convert_null(column, row);
        return;
    }
    ((uint8_t *)column->data)[row] = (*item->text | 32) == 't';
}

/* Epochs are the format of timestamps only. */
static void text_time_read(const struct codec_layout *layout, struct decoder_column *column, uint32_t row,
                           const char *text, size_t length)
{
    enum time_format format = layout->time_format < TIME_EPOCH_S ? layout->time_format : TIME_AUTO;
    int64_t ns;
    if (time_parse(text, length, format, layout->zone, &ns) != 0 || ns == WEIR_TIME_NULL) {
        column->problems[PROBLEM_MISMATCH]++;
        convert_null(column, row);
        return;
    }
    ((int64_t *)column->data)[row] = ns;
}

/* Numbers and times: all of them are in the block, which has readable bytes behind it, unless they are text. */
static void number_read(struct decoder *decoder, struct decoder_column *column, const struct influx_item *item,
                        const char *text, size_t length)
{
    uint32_t row = decoder->row;
    bool is_text = item->kind == INFLUX_TEXT || item->kind == INFLUX_TAG, done = false;
    struct number number;
    if (column->type == WEIR_TIME) {
        if (is_text) {
            text_time_read(decoder->layout, column, row, text, length);
        } else if (!number_of(text, length, &number) ||
                   !number_short_time(decoder->layout->time_format, &number, &((int64_t *)column->data)[row])) {
            convert_time_number(decoder->layout, column, row, text, length);
        }
        return;
    }
    if (item->kind == INFLUX_TEXT || item->kind == INFLUX_BOOL) {
        column->problems[PROBLEM_MISMATCH]++;
        convert_null(column, row);
        return;
    }
    if (column->type == WEIR_I64) {
        convert_i64(column, row, text, length);
        return;
    }
    if (!is_text) {
        done = number_of(text, length, &number) && number_short_value(&number, &((double *)column->data)[row]);
    }
    if (!done) {
        convert_f64(column, row, text, length);
    }
}

static enum refusal value_read(struct decoder *decoder, struct decoder_column *column, const struct influx_item *item)
{
    size_t length;
    const char *text = plain_text(decoder, item, column->type == WEIR_TEXT, &length);
    if (!text) {
        return REFUSAL_MEMORY;
    }
    switch (column->type) {
    case WEIR_SYMBOL:
        return convert_symbol(decoder, column, decoder->row, text, length);
    case WEIR_TEXT:
        ((struct weir_text *)column->data)[decoder->row] = (struct weir_text){.data = text, .length = (uint32_t)length};
        return REFUSAL_NONE;
    case WEIR_BOOL:
        bool_read(column, decoder->row, item);
        return REFUSAL_NONE;
    default:
        number_read(decoder, column, item, text, length);
        return REFUSAL_NONE;
    }
}

/* The name of a tag or field; counts it if it has no column. */
static struct decoder_column *column_of(struct decoder *decoder, const struct influx_item *item, uint32_t k,
                                        enum refusal *ret)
{
    const char *text = item->name;
    size_t length = item->name_length;
    struct decoder_name *name = k < DECODER_ORDER ? decoder->order[k] : NULL;
    if (!name || item->name_escaped || name->length != length + 2 || memcmp(name->quoted + 1, text, length) != 0) {
        if (item->name_escaped) {
            struct influx_item word = {.kind = INFLUX_TAG, .text = text, .length = length, .escaped = true};
            text = plain_text(decoder, &word, false, &length);
        }
        if (!text) {
            *ret = REFUSAL_MEMORY;
            return NULL;
        }
        name = decoder_name_find(decoder, text, length);
        if (k < DECODER_ORDER) {
            decoder->order[k] = name;
        }
    }
    name->count += !name->place;
    return name->place;
}

static enum refusal items_read(struct influx *influx, struct influx_walk *walk)
{
    struct decoder *decoder = influx->decoder;
    struct influx_item item;
    enum refusal refusal = REFUSAL_NONE;
    for (uint32_t k = 0; influx_next(walk, &item, &refusal); k++) {
        if (k >= WEIR_FIELDS_MAX + 2) { /* besides the measurement and the time */
            return REFUSAL_FIELDS;
        }
        struct decoder_column *column = item.kind == INFLUX_MEASUREMENT ? influx->measurement
                                        : item.kind == INFLUX_STAMP     ? influx->time
                                                                        : column_of(decoder, &item, k, &refusal);
        if (column) {
            column->problems[PROBLEM_DUPLICATE] += column->seen == influx->line + 1; /* the last one counts */
            column->seen = influx->line + 1;
            refusal = value_read(decoder, column, &item);
        }
        if (refusal) {
            return refusal;
        }
    }
    return refusal;
}

static int line_read(struct influx *influx, size_t begin, size_t end)
{
    struct decoder *decoder = influx->decoder;
    const char *line = decoder->block->data + begin;
    size_t length = end - begin;
    struct influx_walk walk;
    if (!influx_begin(&walk, line, length)) {
        return 0;
    }
    size_t size = (size_t)(walk.end - line);
    enum refusal refusal = REFUSAL_NONE;
    if (size > decoder->layout->line_max) {
        refusal = REFUSAL_LONG;
    } else if (memchr(line, 0, size)) {
        refusal = REFUSAL_BINARY;
    } else if (!utf8_valid(line, size)) {
        refusal = REFUSAL_UTF8;
    } else {
        refusal = items_read(influx, &walk);
    }
    if (refusal) {
        return decoder_refuse(decoder, refusal, influx->line, begin, size);
    }
    for (uint32_t i = 0; i < decoder->column_count; i++) {
        struct decoder_column *column = &decoder->columns[i];
        if (column->seen != influx->line + 1) {
            convert_null(column, decoder->row);
            column->problems[PROBLEM_MISSING]++;
        }
    }
    return rows_commit(decoder, influx->line);
}

int influx_decode(struct decoder *decoder)
{
    const struct weir_schema *schema = decoder->layout->schema;
    size_t count;
    int error = separators_lines(decoder, &count);
    if (error == 0 && count > 0) {
        error = decoder_begin(decoder, count);
    }
    if (error) {
        return error;
    }
    int32_t measurement = weir_schema_find(schema, "measurement"), time = weir_schema_find(schema, "time");
    struct influx influx = {
        .decoder = decoder,
        .measurement = measurement >= 0 ? &decoder->columns[measurement] : NULL,
        .time = time >= 0 ? &decoder->columns[time] : NULL,
    };
    size_t begin = 0;
    for (size_t i = 0; i < count && error == 0; i++) {
        influx.line = (uint32_t)i;
        error = line_read(&influx, begin, decoder->ends[i]);
        begin = (size_t)decoder->ends[i] + 1;
    }
    return error;
}
