/* SPDX-License-Identifier: MIT */
/*
 * CSV → columns. Most files have no quotes, or few: a window without any is split by one pass over its bytes that notes
 * all delimiters and newlines. Where there is a quote, or a byte that is not text, records are taken one by one, by the
 * rules of csv_scan.c.
 */
#include <errno.h>
#include <math.h>
#include <string.h>
#include <strings.h>

#include "codec/decoder.h"
#include "codec/separators.h"

enum { WINDOW = 16 << 10 };

/* ---- Values ------------------------------------------------------------------------------------------------------ */

static bool is_word(const char *text, size_t length, const char *word)
{
    return strlen(word) == length && strncasecmp(text, word, length) == 0;
}

static bool is_null(const char *text, size_t length)
{
    return length == 0 || is_word(text, length, "null") || is_word(text, length, "na") ||
           is_word(text, length, "n/a") || is_word(text, length, "nan");
}

static void slow_bool(struct decoder_column *column, uint32_t row, const char *text, size_t length)
{
    bool yes = is_word(text, length, "true") || is_word(text, length, "1");
    if (!yes && !is_word(text, length, "false") && !is_word(text, length, "0")) {
        column->problems[PROBLEM_MISMATCH]++;
        convert_null(column, row);
        return;
    }
    ((uint8_t *)column->data)[row] = yes;
}

static bool looks_like_number(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (!strchr("0123456789.eE+-", text[i]) || text[i] == '\0' ||
            (text[i] == '-' && i > 0 && (text[i - 1] | 32) != 'e')) {
            return false;
        }
    }
    return true;
}

/* Anything but a short number, in a column that is neither text nor symbol. */
static __attribute__((noinline)) void slow_value(struct decoder *decoder, struct decoder_column *column,
                                                 const char *text, size_t length)
{
    uint32_t row = decoder->row;
    while (length > 0 && (*text == ' ' || *text == '\t')) {
        text++;
        length--;
    }
    while (length > 0 && (text[length - 1] == ' ' || text[length - 1] == '\t')) {
        length--;
    }
    if (is_null(text, length)) {
        convert_null(column, row);
        return;
    }
    bool plus = *text == '+' && length > 1 && text[1] != '-';
    switch (column->type) {
    case WEIR_F64:
        convert_f64(column, row, text + plus, length - plus);
        break;
    case WEIR_I64:
        convert_i64(column, row, text + plus, length - plus);
        break;
    case WEIR_TIME:
        if (looks_like_number(text, length)) {
            convert_time_number(decoder->layout, column, row, text, length);
        } else {
            convert_time_text(decoder->layout, column, row, text, length);
        }
        break;
    default:
        slow_bool(column, row, text, length);
        break;
    }
}

static inline __attribute__((always_inline)) enum refusal value_read(struct decoder *decoder,
                                                                     struct decoder_column *column, const char *text,
                                                                     size_t length)
{
    uint32_t row = decoder->row;
    struct number number;
    switch (column->type) {
    case WEIR_SYMBOL:
        if (length > 0) {
            return convert_symbol(decoder, column, row, text, length);
        }
        ((uint32_t *)column->data)[row] = WEIR_SYMBOL_NULL;
        return REFUSAL_NONE;
    case WEIR_TEXT:
        ((struct weir_text *)column->data)[row] = (struct weir_text){.data = length ? text : NULL,
                                                                     .length = (uint32_t)length};
        return REFUSAL_NONE;
    default:
        break;
    }
    bool done = number_of(text, length, &number);
    if (column->type == WEIR_F64) {
        done = done && number_short_value(&number, &((double *)column->data)[row]);
    } else if (column->type == WEIR_TIME) {
        done = done && number_short_time(decoder->layout->time_format, &number, &((int64_t *)column->data)[row]);
    } else {
        done = false;
    }
    if (!done) {
        slow_value(decoder, column, text, length);
    }
    return REFUSAL_NONE;
}

/* The inside of quotes, where there are some: an empty one is an empty text, not null. */
static enum refusal field_read(struct decoder *decoder, struct decoder_column *column, const struct csv_field *field)
{
    const char *text = field->text;
    size_t length = field->length;
    if (field->doubled) {
        char *room;
        if (column->type == WEIR_TEXT) {
            room = decoder_text_room(decoder, length);
        } else {
            decoder->scratch.size = 0;
            decoder->scratch.failed = false;
            room = buffer_reserve(&decoder->scratch, length + 32); /* value_read may look behind the end */
        }
        if (!room) {
            return REFUSAL_MEMORY;
        }
        length = csv_undouble(text, length, room);
        text = room;
    }
    if (field->quoted && column->type == WEIR_TEXT) {
        ((struct weir_text *)column->data)[decoder->row] = (struct weir_text){.data = text, .length = (uint32_t)length};
        return REFUSAL_NONE;
    }
    if (field->quoted && column->type == WEIR_SYMBOL) {
        return convert_symbol(decoder, column, decoder->row, text, length);
    }
    return value_read(decoder, column, text, length);
}

/* ---- Records without quotes -------------------------------------------------------------------------------------- */

static void column_missing(struct decoder *decoder, int32_t index)
{
    struct decoder_column *column = &decoder->columns[index];
    convert_null(column, decoder->row);
    column->problems[PROBLEM_MISSING]++;
}

/* Columns that this file has no field for. */
static void columns_absent(struct decoder *decoder)
{
    for (uint32_t i = 0; i < decoder->column_count; i++) {
        if (decoder->columns[i].seen != UINT32_MAX) {
            column_missing(decoder, (int32_t)i);
        }
    }
}

/* The record ended before field `from`. */
static void fields_missing(struct decoder *decoder, uint32_t from)
{
    const struct codec_layout *layout = decoder->layout;
    for (uint32_t i = from; i < layout->field_count; i++) {
        if (layout->fields[i].column >= 0) {
            column_missing(decoder, layout->fields[i].column);
        }
    }
}

struct lines {
    const char *data; /* the window */
    size_t offset;    /* of the window in the block */
    uint32_t line;    /* number in the block of the line that comes next */
    bool complete;    /* all columns have a field */
};

/* One record whose fields end at ends[0], …, the last of them at a newline; *ret_used: how many ends. */
static inline enum refusal plain_record(struct decoder *decoder, const char *data, uint32_t begin, const uint32_t *ends,
                                        uint32_t *ret_used)
{
    const struct layout_field *fields = decoder->layout->fields;
    uint32_t field_count = decoder->layout->field_count;
    enum refusal refusal = REFUSAL_NONE;
    for (uint32_t k = 0;; k++) {
        uint32_t end = ends[k];
        bool last = data[end] == '\n';
        uint32_t length = end - begin;
        if (last && length > 0 && data[end - 1] == '\r') {
            length--;
        }
        if (__builtin_expect(k >= field_count, 0)) {
            decoder->field_extra[field_count]++;
            refusal = k >= WEIR_FIELDS_MAX ? REFUSAL_FIELDS : refusal;
        } else if (fields[k].column < 0) {
            decoder->field_extra[k]++;
        } else if (refusal == REFUSAL_NONE) {
            refusal = value_read(decoder, &decoder->columns[fields[k].column], data + begin, length);
        }
        if (last) {
            if (__builtin_expect(k + 1 < field_count, 0)) {
                fields_missing(decoder, k + 1);
            }
            *ret_used = k + 1;
            return refusal;
        }
        begin = end + 1;
    }
}

/* The records of a window, up to its last newline. */
static int plain_records(struct decoder *decoder, struct lines *lines, const uint32_t *ends, size_t count)
{
    size_t line_max = decoder->layout->line_max;
    uint32_t begin = 0;
    for (size_t i = 0; i < count;) {
        uint32_t used = 1, first = ends[i];
        bool blank = lines->data[first] == '\n' &&
                     (first == begin || (first == begin + 1 && lines->data[begin] == '\r'));
        enum refusal refusal = REFUSAL_NONE;
        if (!blank) {
            refusal = plain_record(decoder, lines->data, begin, ends + i, &used);
        }
        uint32_t end = ends[i + used - 1];
        if (!blank && end - begin > line_max && end - begin - (lines->data[end - 1] == '\r') > line_max) {
            refusal = REFUSAL_LONG;
        }
        int error = 0;
        if (refusal) {
            error = decoder_refuse(decoder, refusal, lines->line, lines->offset + begin, end - begin);
        } else if (!blank) {
            if (__builtin_expect(!lines->complete, 0)) {
                columns_absent(decoder);
            }
            error = rows_commit(decoder, lines->line);
        }
        if (error) {
            return error;
        }
        lines->line++;
        i += used;
        begin = end + 1;
    }
    return 0;
}

/* ---- Any record -------------------------------------------------------------------------------------------------- */

static enum refusal fields_read(struct decoder *decoder, const char *text, const char *end)
{
    const struct codec_layout *layout = decoder->layout;
    struct csv_field field;
    uint32_t k = 0;
    for (const char *p = text; p; k++) {
        p = csv_field_next(p, end, layout->delimiter, &field);
        int32_t index = k < layout->field_count ? layout->fields[k].column : -1;
        if (k >= WEIR_FIELDS_MAX) {
            return REFUSAL_FIELDS;
        }
        if (index < 0) {
            decoder->field_extra[k < layout->field_count ? k : layout->field_count]++;
            continue;
        }
        struct decoder_column *column = &decoder->columns[index];
        enum refusal refusal = field_read(decoder, column, &field);
        if (refusal) {
            return refusal;
        }
    }
    fields_missing(decoder, k);
    columns_absent(decoder);
    return REFUSAL_NONE;
}

/* The record at `at`; *ret_end: where the next one begins. */
static int any_record(struct decoder *decoder, struct lines *lines, size_t at, size_t *ret_end)
{
    const struct weir_block *block = decoder->block;
    const struct codec_layout *layout = decoder->layout;
    const char *text = block->data + at;
    size_t length;
    enum csv_record record = csv_record_end(text, block->size - at, layout->delimiter, layout->line_max, &length);
    const char *end = csv_trim_end(text, text + length);
    size_t size = (size_t)(end - text);
    uint32_t line = lines->line;
    *ret_end = at + length;
    for (const char *p = text; (p = memchr(p, '\n', (size_t)(text + length - p))); p++) {
        lines->line++;
    }
    if (size == 0) {
        return 0;
    }
    /* How a record is bad may look different in a block that was cut behind its first line: one reason for all. */
    bool good = record == CSV_GOOD || record == CSV_INCOMPLETE;
    enum refusal refusal = good ? REFUSAL_NONE : REFUSAL_QUOTES;
    if (size > layout->line_max) {
        refusal = REFUSAL_LONG;
    } else if (memchr(text, 0, size)) {
        refusal = REFUSAL_BINARY;
    } else if (!utf8_valid(text, size)) {
        refusal = REFUSAL_UTF8;
    }
    if (refusal == REFUSAL_NONE) {
        refusal = fields_read(decoder, text, end);
    }
    return refusal ? decoder_refuse(decoder, refusal, line, at, size) : rows_commit(decoder, line);
}

static bool is_text(const char *data, size_t size)
{
    return utf8_valid(data, size) && !memchr(data, 0, size);
}

/* The window at *at, by the fast way if it can be; *at: what comes next. */
static int window_decode(struct decoder *decoder, struct lines *lines, size_t *at)
{
    const struct weir_block *block = decoder->block;
    size_t size = block->size - *at < WINDOW ? block->size - *at : WINDOW;
    bool quote;
    lines->data = block->data + *at;
    lines->offset = *at;
    size_t count = separators_find(lines->data, size, decoder->layout->delimiter, '\n', decoder->ends, &quote);
    while (count > 0 && lines->data[decoder->ends[count - 1]] != '\n') {
        count--;
    }
    size_t whole = count ? (size_t)decoder->ends[count - 1] + 1 : 0;
    if (count > 0 && !quote && is_text(lines->data, whole)) {
        *at += whole;
        return plain_records(decoder, lines, decoder->ends, count);
    }
    size_t end = *at + size;
    int error = 0;
    while (*at < end && error == 0) {
        error = any_record(decoder, lines, *at, at);
    }
    return error;
}

int csv_decode(struct decoder *decoder)
{
    const struct weir_block *block = decoder->block;
    const struct codec_layout *layout = decoder->layout;
    if (block->size == 0) {
        return 0;
    }
    int error = decoder_ends_reserve(decoder, WINDOW + 64);
    if (error == 0) {
        error = decoder_begin(decoder, separators_count(block->data, block->size, '\n') + 1);
    }
    if (error) {
        return error;
    }
    struct lines lines = {.complete = true};
    for (uint32_t i = 0; i < layout->field_count; i++) {
        if (layout->fields[i].column >= 0) {
            decoder->columns[layout->fields[i].column].seen = UINT32_MAX;
        }
    }
    for (uint32_t i = 0; i < decoder->column_count; i++) {
        lines.complete = lines.complete && decoder->columns[i].seen == UINT32_MAX;
    }
    for (size_t at = 0; at < block->size && error == 0;) {
        error = window_decode(decoder, &lines, &at);
    }
    return error;
}
