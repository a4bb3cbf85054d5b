/* SPDX-License-Identifier: MIT */
/* Private to codec/: what the decoders of each format share: rows, lines, refusals, counters, conversion of values. */
#ifndef CODEC_DECODER_H
#define CODEC_DECODER_H
#include "codec/layout.h"
#include "codec/ndjson_simdjson.h"
#include "codec/number.h"

enum problem { PROBLEM_MISMATCH, PROBLEM_RANGE, PROBLEM_ROUNDED, PROBLEM_MISSING, PROBLEM_DUPLICATE, PROBLEM_COUNT };

enum refusal {
    REFUSAL_NONE,
    REFUSAL_NOT_JSON,
    REFUSAL_NOT_OBJECT,
    REFUSAL_UNCLOSED,
    REFUSAL_CONTROL,
    REFUSAL_UTF8,
    REFUSAL_MORE_VALUES,
    REFUSAL_DEPTH,
    REFUSAL_FIELDS,
    REFUSAL_LONG,
    REFUSAL_SYMBOLS,
    REFUSAL_SYMBOL_LONG,
    REFUSAL_QUOTES,
    REFUSAL_BINARY,
    REFUSAL_NOT_INFLUX,
    REFUSAL_NO_FIELD,
    REFUSAL_VALUE,
    REFUSAL_STAMP,
    REFUSAL_FRAME,
    REFUSAL_FRAME_BODY,
    REFUSAL_MEMORY, /* not a refusal: decoding ends with -ENOMEM */
};
/* A refused line, told to the owner once the block is done. */
struct refusal_note {
    enum refusal reason;
    uint32_t line; /* in the block, from 0; frames: the byte */
    size_t offset, length;
    uint64_t record; /* frames: in the block, from 0 */
};

struct decoder_column {
    enum weir_type type;
    uint32_t seen; /* row + 1 of the record that last had this field */
    void *data;
    uint64_t problems[PROBLEM_COUNT];
};

/* A field name as NDJSON lines have it. */
struct decoder_name {
    char *quoted; /* "name": with both quotes */
    uint32_t length;
    struct decoder_column *place;      /* NULL: extra */
    uint64_t count;                    /* of an extra field */
    unsigned char start[16], mask[16]; /* the first bytes of quoted, and 0xff where there are some */
};
enum { DECODER_ORDER = 128, DECODER_EXTRAS = 256 };

struct decoder {
    struct weir_pool *pool;
    struct symbols_cache *symbols;
    const struct weir_symbols *table; /* behind it */
    struct decoder_events events;
    struct json_scanner *scanner; /* made when first needed */

    struct codec_layout *layout; /* what the tables below were made for */
    struct decoder_column *columns;
    uint32_t column_count;
    struct decoder_name *names; /* columns, then extras, then one for all further extras */
    uint32_t name_count;
    uint16_t *name_table; /* hash → index in names + 1 */
    uint32_t name_mask;
    struct decoder_name *order[DECODER_ORDER]; /* the k-th field of a record is expected to be this one */
    uint64_t *field_extra;                     /* CSV: by field; one more for fields beyond the header */

    uint32_t *ends; /* offsets of line or field ends */
    size_t ends_capacity;
    struct refusal_note *notes;
    size_t note_count, note_capacity;
    struct weir_buffer scratch; /* unescaped symbols */

    /* Of the block in work: */
    const struct weir_block *block;
    struct weir_batch *batch;
    uint32_t row;       /* the next one to write; it is a row once rows_commit was called */
    uint32_t line_skew; /* line in block − row, while all rows are on consecutive lines */
    uint64_t *positions;
    uint64_t records;
    char *text_room; /* for unescaped texts */
    size_t text_left;
};

/* Format's decoders: 0 or -ENOMEM. */
int ndjson_decode(struct decoder *decoder);
int csv_decode(struct decoder *decoder);
int influx_decode(struct decoder *decoder);
int frame_decode(struct decoder *decoder);
/* Tables for a new layout. */
int ndjson_prepare(struct decoder *decoder);
void ndjson_forget(struct decoder *decoder);
/* The field of this name, without escapes, by the table; a new one is an extra field. */
struct decoder_name *decoder_name_find(struct decoder *decoder, const char *text, size_t length);

/* A batch with at most `rows` rows; sets the columns' data. */
int decoder_begin(struct decoder *decoder, size_t rows);
int decoder_refuse(struct decoder *decoder, enum refusal reason, uint32_t line, size_t offset, size_t length);
int decoder_positions(struct decoder *decoder, uint32_t line);
int decoder_ends_reserve(struct decoder *decoder, size_t count);
/* `length` bytes that live as long as the batch; NULL: none left. */
char *decoder_text_room(struct decoder *decoder, size_t length);

/* The row is complete; it was on this line of the block. */
static inline int rows_commit(struct decoder *decoder, uint32_t line)
{
    if (__builtin_expect(line - decoder->row != decoder->line_skew || decoder->positions != NULL, 0)) {
        int error = decoder_positions(decoder, line);
        if (error) {
            return error;
        }
    }
    decoder->row++;
    decoder->records++;
    return 0;
}

/* Values that are no plain short number, slow paths; `text` is all of it. */
void convert_null(struct decoder_column *column, uint32_t row);
void convert_f64(struct decoder_column *column, uint32_t row, const char *text, size_t length);
void convert_i64(struct decoder_column *column, uint32_t row, const char *text, size_t length);
void convert_time_number(const struct codec_layout *layout, struct decoder_column *column, uint32_t row,
                         const char *text, size_t length);
void convert_time_text(const struct codec_layout *layout, struct decoder_column *column, uint32_t row, const char *text,
                       size_t length);
static inline enum refusal convert_symbol(struct decoder *decoder, struct decoder_column *column, uint32_t row,
                                          const char *text, size_t length)
{
    uint32_t id = symbols_cache_intern(decoder->symbols, text, length);
    if (__builtin_expect(id == SYMBOLS_FULL, 0)) {
        return length > SYMBOL_LENGTH_MAX ? REFUSAL_SYMBOL_LONG : REFUSAL_SYMBOLS;
    }
    ((uint32_t *)column->data)[row] = id;
    return REFUSAL_NONE;
}

/* The unit of a number that is a time, as a power of ten to ns; -1: numbers are no times here. */
static inline int time_scale(enum time_format format, const struct number *number)
{
    if (format == TIME_AUTO) {
        double value = (double)(int64_t)number->mantissa;
        double power = number_powers[number->scale];
        return value < 1e11 * power ? 9 : value < 1e14 * power ? 6 : value < 1e17 * power ? 3 : 0;
    }
    return format < TIME_EPOCH_S ? -1 : 9 - 3 * (int)(format - TIME_EPOCH_S);
}

/* A short number as a time; false: take the slow path. */
static inline bool number_short_time(enum time_format format, const struct number *number, int64_t *ret)
{
    static const int64_t powers[10] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000};
    int exponent = time_scale(format, number) - (int)number->scale;
    int64_t ns;
    if (exponent < 0 || __builtin_mul_overflow((int64_t)number->mantissa, powers[exponent], &ns)) {
        return false;
    }
    *ret = number->negative ? -ns : ns;
    return true;
}

/* Does the text begin as a number, and if it is a short one, which? `text` has 17 readable bytes. */
static inline bool number_of(const char *text, size_t length, struct number *ret)
{
    ret->negative = *text == '-';
    return number_short(text + ret->negative, length - ret->negative, ret);
}

#endif
