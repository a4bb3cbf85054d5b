/* SPDX-License-Identifier: MIT */
/*
 * Frames → one batch. Columns of a block that is one frame stay where they are in the block's memory, which the batch
 * then keeps; with several frames in a block, or columns that do not begin on a cache line, they are copied.
 */
#include "codec/frame.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "codec/decoder.h"
#include "data/array.h"

struct reading {
    struct decoder *decoder;
    const char *frame;
    struct frame_head head;
    uint32_t rows; /* of this frame that are wanted: the limit may end inside of it */
    bool single;   /* the batch has no other rows */
};

/* Frames may begin anywhere, behind bytes that are none. */
static inline uint32_t number_at(const char *data, size_t index)
{
    uint32_t number;
    memcpy(&number, data + index * 4, sizeof number);
    return number;
}

/* ---- Which frames are good? -------------------------------------------------------------------------------------- */

/* Refuses bytes that are no frame (rows 0) or a frame with wrong bytes, whose header says how many records it had. */
static int refuse(struct decoder *decoder, enum refusal reason, size_t at, uint64_t rows)
{
    int error = decoder_refuse(decoder, reason, (uint32_t)at, at, 0);
    if (error == 0) {
        decoder->notes[decoder->note_count - 1].record = decoder->records - 1;
        decoder->records += rows ? rows - 1 : 0;
    }
    return error;
}

/* Texts lie inside their bytes, symbols are in the list, bools are bools? */
static bool column_holds(const char *frame, const struct frame_head *head, const struct frame_column *column)
{
    const char *data = frame + column->offset;
    size_t bytes = (size_t)column->size - frame_width(column) * head->rows;
    uint32_t worst = 0;
    if (column->type == WEIR_BOOL) {
        for (uint32_t i = 0; i < head->rows; i++) {
            uint8_t value = (uint8_t)data[i];
            worst |= value > 1 && value != WEIR_BOOL_NULL;
        }
        return worst == 0;
    }
    if (column->type == WEIR_SYMBOL) {
        const char *ends = data + (size_t)head->rows * 4;
        for (uint32_t i = 0; i < head->rows; i++) {
            uint32_t place = number_at(data, i);
            worst = place > worst ? place : worst;
        }
        bool good = worst <= column->strings && number_at(ends, 0) == 0;
        bytes -= ((size_t)column->strings + 1) * 4;
        for (uint32_t i = 0; i < column->strings; i++) {
            uint32_t begin = number_at(ends, i), end = number_at(ends, i + 1);
            good = good && begin <= end && end - begin <= SYMBOL_LENGTH_MAX;
        }
        return good && number_at(ends, column->strings) <= bytes;
    }
    if (column->type == WEIR_TEXT) {
        for (uint32_t i = 0; i < head->rows; i++) {
            uint32_t begin = number_at(data, (size_t)i * 2), length = number_at(data, (size_t)i * 2 + 1);
            if (begin != UINT32_MAX && (begin > bytes || length > bytes - begin)) {
                return false;
            }
        }
    }
    return true;
}

static bool columns_hold(const char *frame, const struct frame_head *head)
{
    size_t at = FRAME_LINE;
    struct frame_column column;
    for (uint32_t i = 0; i < head->columns; i++) {
        frame_column_next(frame, &at, &column);
        if (!column_holds(frame, head, &column)) {
            return false;
        }
    }
    return true;
}

/* ---- Columns ----------------------------------------------------------------------------------------------------- */

/* Where the rows of this frame go in column c of the batch; NULL: no memory. */
static char *room_for(const struct reading *reading, uint32_t c)
{
    struct weir_batch *batch = reading->decoder->batch;
    char *data = weir_batch_column_data(batch, c);
    if (!data) {
        data = weir_batch_add_column(batch, c);
    }
    return data ? data + weir_field_width(&batch->schema->fields[c]) * reading->decoder->row : NULL;
}

static int fill_nulls(const struct reading *reading, uint32_t c)
{
    struct decoder *decoder = reading->decoder;
    const struct weir_field *field = &decoder->layout->schema->fields[c];
    if (!room_for(reading, c)) {
        return -ENOMEM;
    }
    struct decoder_column column = {.type = field->type, .data = weir_batch_column_data(decoder->batch, c)};
    if (field->type == WEIR_ARRAY) {
        size_t each = (size_t)field->elements * array_numbers_each(field->element);
        array_set_null(field->element, column.data, decoder->row * each, reading->rows * each);
        return 0;
    }
    for (uint32_t i = 0; i < reading->rows; i++) {
        convert_null(&column, decoder->row + i);
    }
    return 0;
}

static int read_fixed(const struct reading *reading, uint32_t c, const struct frame_column *column)
{
    const char *data = reading->frame + column->offset;
    if (reading->single && (uintptr_t)data % FRAME_LINE == 0) {
        reading->decoder->batch->columns[c].data = data;
        return 0;
    }
    char *room = room_for(reading, c);
    if (!room) {
        return -ENOMEM;
    }
    memcpy(room, data, frame_width(column) * reading->rows);
    return 0;
}

static void gather_ids(uint32_t *restrict room, const uint32_t *restrict ids, const char *restrict places,
                       uint32_t rows)
{
    for (uint32_t i = 0; i < rows; i++) {
        room[i] = ids[number_at(places, i)];
    }
}

/* The frame's strings become ids once; then a row is a look into a small table. */
static int read_symbols(const struct reading *reading, uint32_t c, const struct frame_column *column)
{
    struct decoder *decoder = reading->decoder;
    const char *places = reading->frame + column->offset, *ends = places + (size_t)reading->head.rows * 4;
    const char *bytes = ends + ((size_t)column->strings + 1) * 4;
    uint32_t *room = (uint32_t *)(void *)room_for(reading, c);
    int error = room ? decoder_ends_reserve(decoder, (size_t)column->strings + 1) : -ENOMEM;
    if (error) {
        return error;
    }
    uint32_t *ids = decoder->ends;
    const char *end = reading->frame + column->offset + column->size;
    ids[0] = WEIR_SYMBOL_NULL;
    uint32_t full = symbols_cache_intern_many(decoder->symbols, bytes, (size_t)(end - bytes), ends, column->strings,
                                              ids + 1);
    for (uint32_t i = 1; full > 0 && i <= column->strings; i++) {
        ids[i] = ids[i] == SYMBOLS_FULL ? WEIR_SYMBOL_NULL : ids[i];
    }
    gather_ids(room, ids, places, reading->rows);
    if (full > 0 && decoder->events.counted) {
        decoder->events.counted(decoder->events.owner, "symbol table full", decoder->layout->schema->fields[c].name,
                                full);
    }
    return 0;
}

static int read_texts(const struct reading *reading, uint32_t c, const struct frame_column *column)
{
    const char *pairs = reading->frame + column->offset, *bytes = pairs + (size_t)reading->head.rows * 8;
    struct weir_text *room = (struct weir_text *)(void *)room_for(reading, c);
    if (!room) {
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < reading->rows; i++) {
        uint32_t begin = number_at(pairs, (size_t)i * 2), length = number_at(pairs, (size_t)i * 2 + 1);
        room[i] = begin == UINT32_MAX ? (struct weir_text){0}
                                      : (struct weir_text){.data = bytes + begin, .length = length};
    }
    return 0;
}

static bool types_agree(const struct weir_field *field, const struct frame_column *column)
{
    if (field->type == WEIR_ARRAY) {
        return column->type == WEIR_ARRAY && column->element == field->element && column->elements == field->elements;
    }
    bool both_integers = (field->type == WEIR_TIME || field->type == WEIR_I64) &&
                         (column->type == WEIR_TIME || column->type == WEIR_I64);
    return both_integers || column->type == field->type;
}

static bool find_column(const struct reading *reading, const char *wanted, struct frame_column *ret)
{
    size_t at = FRAME_LINE, length = strlen(wanted);
    for (uint32_t i = 0; i < reading->head.columns; i++) {
        const char *name = frame_column_next(reading->frame, &at, ret);
        if (ret->name_length == length && memcmp(name, wanted, length) == 0) {
            return true;
        }
    }
    return false;
}

static int read_column(const struct reading *reading, uint32_t c)
{
    struct decoder *decoder = reading->decoder;
    const struct weir_field *field = &decoder->layout->schema->fields[c];
    struct frame_column column;
    if (!find_column(reading, field->name, &column)) {
        decoder->columns[c].problems[PROBLEM_MISSING] += reading->rows;
        return fill_nulls(reading, c);
    }
    if (!types_agree(field, &column)) {
        decoder->columns[c].problems[PROBLEM_MISMATCH] += reading->rows;
        return fill_nulls(reading, c);
    }
    switch (field->type) {
    case WEIR_SYMBOL:
        return read_symbols(reading, c, &column);
    case WEIR_TEXT:
        return read_texts(reading, c, &column);
    default:
        return read_fixed(reading, c, &column);
    }
}

static void count_extras(const struct reading *reading)
{
    const struct decoder *decoder = reading->decoder;
    struct frame_column column;
    size_t at = FRAME_LINE;
    for (uint32_t i = 0; i < reading->head.columns; i++) {
        const char *text = frame_column_next(reading->frame, &at, &column);
        char name[WEIR_NAME_MAX + 1] = "";
        memcpy(name, text, column.name_length);
        if (weir_schema_find(decoder->layout->schema, name) < 0 && decoder->events.counted) {
            decoder->events.counted(decoder->events.owner, "extra field", name, reading->rows);
        }
    }
}

static int read_frame(struct reading *reading)
{
    struct decoder *decoder = reading->decoder;
    for (uint32_t c = 0; c < decoder->column_count; c++) {
        int error = read_column(reading, c);
        if (error) {
            return error;
        }
    }
    count_extras(reading);
    for (uint32_t i = 0; decoder->positions && i < reading->rows; i++) {
        decoder->positions[decoder->row + i] = decoder->block->position + decoder->records + i;
    }
    if (decoder->row == 0) {
        decoder->line_skew = (uint32_t)decoder->records;
    }
    decoder->row += reading->rows;
    decoder->records += reading->rows;
    return 0;
}

/* ---- A block ----------------------------------------------------------------------------------------------------- */

struct survey {
    uint64_t rows; /* of good frames */
    uint32_t frames;
    uint64_t good; /* a bit for each of the first 64 frames and stretches that are none; others are looked at twice */
};

static bool is_good(const struct reading *reading)
{
    return frame_body_good(reading->frame, &reading->head) && columns_hold(reading->frame, &reading->head);
}

/* Goes through the block's frames: first to count what is good, then to read that and to note what is bad. */
static int walk(struct decoder *decoder, struct survey *survey, bool reads)
{
    const struct weir_block *block = decoder->block;
    uint64_t most = block->records_most ? block->records_most : UINT64_MAX, seen = 0;
    struct reading reading = {.decoder = decoder, .single = survey->frames == 1};
    size_t length;
    uint32_t k = 0;
    int error = 0;
    for (size_t at = 0; at < block->size && seen < most && error == 0; at += length, k++) {
        reading.frame = block->data + at;
        enum frame_found found = frame_find(reading.frame, block->size - at, true, &reading.head, &length);
        uint64_t rows = found == FRAME_GOOD ? reading.head.rows : 1;
        rows = rows < most - seen ? rows : most - seen;
        reading.rows = (uint32_t)rows;
        seen += rows;
        bool known = reads && k < 64;
        bool good = found == FRAME_GOOD && (known ? survey->good >> k & 1 : is_good(&reading));
        if (!reads) {
            survey->frames += good;
            survey->rows += good ? rows : 0;
            survey->good |= (uint64_t)(good && k < 64) << (k & 63);
        } else if (good) {
            error = read_frame(&reading);
        } else {
            error = refuse(decoder, found == FRAME_GOOD ? REFUSAL_FRAME_BODY : REFUSAL_FRAME, at, rows);
        }
    }
    return error;
}

static int begin_batch(struct decoder *decoder, const struct survey *survey)
{
    if (survey->rows >= UINT32_MAX) {
        return -ENOMEM;
    }
    decoder->batch = weir_batch_new_empty(decoder->pool, decoder->layout->schema, (uint32_t)survey->rows);
    if (!decoder->batch) {
        return -ENOMEM;
    }
    weir_batch_own_memory(decoder->batch, weir_memory_reference(decoder->block->memory));
    if (survey->frames > 1) {
        decoder->positions = weir_batch_allocate(decoder->batch, survey->rows * sizeof *decoder->positions);
        return decoder->positions ? 0 : -ENOMEM;
    }
    return 0;
}

int frame_decode(struct decoder *decoder)
{
    struct survey survey = {0};
    walk(decoder, &survey, false);
    int error = survey.rows > 0 ? begin_batch(decoder, &survey) : 0;
    return error ? error : walk(decoder, &survey, true);
}
