/* SPDX-License-Identifier: MIT */
/*
 * NDJSON → columns. A record is one object on one line.
 *
 *     block    lines are found first: their ends give each record its place and its number
 *     window   some lines, whole, scanned together (marks of all structural characters); a scan that fails (a string
 * left open, invalid UTF-8) says nothing about where, so then each line of the window is scanned alone line     the
 * walk over its marks must begin and end inside it; whatever is wrong is the fault of this line alone
 *
 * The k-th field of a record is expected to be the one that was the k-th in the record before: one comparison of bytes.
 */
#include <errno.h>
#include <math.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "base/hash.h"
#include "base/memory.h"
#include "codec/decoder.h"
#include "codec/json_walk.h"
#include "codec/separators.h"

enum { WINDOW = 32 << 10 };

/* ---- Names ------------------------------------------------------------------------------------------------------- */

static void name_set(struct decoder_name *name, char *quoted, size_t length, bool others)
{
    *name = (struct decoder_name){.quoted = quoted, .length = (uint32_t)length};
    size_t start = length < sizeof name->start ? length : sizeof name->start;
    memcpy(name->start, quoted, start);
    memset(name->mask, 0xff, start);
    if (others || memchr(quoted + 1, '\\', length - 2) || memchr(quoted + 1, '"', length - 2)) {
        name->start[0] = 0; /* never as expected: it is written with escapes, or stands for others */
    }
}

static void table_add(struct decoder *decoder, uint32_t index)
{
    const struct decoder_name *name = &decoder->names[index];
    uint32_t place = (uint32_t)hash_bytes(name->quoted + 1, name->length - 2) & decoder->name_mask;
    while (decoder->name_table[place] != 0) {
        place = (place + 1) & decoder->name_mask;
    }
    decoder->name_table[place] = (uint16_t)(index + 1);
}

/* Adds the name; text NULL: the one that stands for all further extra fields. */
static struct decoder_name *name_add(struct decoder *decoder, const char *text, size_t length, int32_t column)
{
    static const char others[] = "(others)";
    bool last = !text;
    if (last) {
        text = others;
        length = sizeof others - 1;
    }
    char *quoted = memory_allocate(length + 2);
    if (!quoted) {
        return NULL;
    }
    quoted[0] = quoted[length + 1] = '"';
    memcpy(quoted + 1, text, length);
    uint32_t index = decoder->name_count++;
    name_set(&decoder->names[index], quoted, length + 2, last);
    decoder->names[index].place = column >= 0 ? &decoder->columns[column] : NULL;
    if (!last) {
        table_add(decoder, index);
    }
    return &decoder->names[index];
}

int ndjson_prepare(struct decoder *decoder)
{
    const struct weir_schema *schema = decoder->layout->schema;
    uint32_t most = schema->count + DECODER_EXTRAS + 1, size = 16;
    while (size < most * 2) {
        size *= 2;
    }
    decoder->names = memory_zeroed(most, sizeof *decoder->names);
    decoder->name_table = memory_zeroed(size, sizeof *decoder->name_table);
    decoder->name_mask = size - 1;
    if (!decoder->names || !decoder->name_table) {
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < schema->count; i++) {
        if (!name_add(decoder, schema->fields[i].name, strlen(schema->fields[i].name), (int32_t)i)) {
            return -ENOMEM;
        }
    }
    struct decoder_name *others = name_add(decoder, NULL, 0, -1);
    if (!others) {
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < DECODER_ORDER; i++) {
        decoder->order[i] = i < schema->count ? &decoder->names[i] : others;
    }
    if (!decoder->scanner) {
        decoder->scanner = json_scanner_new();
    }
    return decoder->scanner ? 0 : -ENOMEM;
}

void ndjson_forget(struct decoder *decoder)
{
    for (uint32_t i = 0; i < decoder->name_count; i++) {
        memory_free(decoder->names[i].quoted);
    }
    memory_free(decoder->names);
    memory_free(decoder->name_table);
    decoder->names = NULL;
    decoder->name_table = NULL;
    decoder->name_count = 0;
}

/* The name as written between quotes, by the table; a new one is an extra field. NULL: a bad escape in it. */
static struct decoder_name *name_find(struct decoder *decoder, const char *text, size_t length)
{
    struct decoder_name *others = &decoder->names[decoder->column_count];
    if (json_has_backslash(text, length)) {
        decoder->scratch.size = 0;
        char *room = buffer_reserve(&decoder->scratch, length);
        if (!json_unescape(text, length, room, &length)) {
            return NULL;
        }
        text = room;
        if (!room) {
            return others;
        }
    }
    return decoder_name_find(decoder, text, length);
}

struct decoder_name *decoder_name_find(struct decoder *decoder, const char *text, size_t length)
{
    struct decoder_name *others = &decoder->names[decoder->column_count];
    uint32_t place = (uint32_t)hash_bytes(text, length) & decoder->name_mask;
    for (; decoder->name_table[place] != 0; place = (place + 1) & decoder->name_mask) {
        struct decoder_name *name = &decoder->names[decoder->name_table[place] - 1];
        if (name->length == length + 2 && memcmp(name->quoted + 1, text, length) == 0) {
            return name;
        }
    }
    if (decoder->name_count == decoder->column_count + DECODER_EXTRAS + 1 || length > WEIR_NAME_MAX) {
        return others;
    }
    struct decoder_name *added = name_add(decoder, text, length, -1);
    return added ? added : others;
}

/* Is the string at `key`, with 16 readable bytes, this name? `room`: how many bytes are the key's at most. As a name
 * that is looked for this way has no quotes or escapes, its closing quote can only be that of the string. */
static inline bool name_is(const struct decoder_name *name, const char *key, size_t room)
{
#ifdef __SSE2__
    __m128i bytes = _mm_loadu_si128((const __m128i *)key);
    __m128i wanted = _mm_loadu_si128((const __m128i *)name->start);
    __m128i mask = _mm_loadu_si128((const __m128i *)name->mask);
    if (_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_and_si128(bytes, mask), wanted)) != 0xffff) {
        return false;
    }
    return name->length <= sizeof name->start || (name->length <= room && memcmp(key, name->quoted, name->length) == 0);
#else
    return name->start[0] == '"' && name->length <= room && memcmp(key, name->quoted, name->length) == 0;
#endif
}

/* ---- Values ------------------------------------------------------------------------------------------------------ */

static bool is_word(const char *text, size_t length, const char *word, size_t word_length)
{
    return length == word_length && memcmp(text, word, word_length) == 0;
}

/* A value of another type than its column: null, if it is JSON at all. */
static enum refusal other_scalar(struct decoder_column *column, uint32_t row, const char *text, size_t length)
{
    convert_null(column, row);
    if (is_word(text, length, "null", 4)) {
        return REFUSAL_NONE;
    }
    if (is_word(text, length, "true", 4) || is_word(text, length, "false", 5)) {
        if (column->type == WEIR_BOOL) {
            ((uint8_t *)column->data)[row] = *text == 't';
            return REFUSAL_NONE;
        }
    } else if (!json_is_number(text, length)) {
        return REFUSAL_NOT_JSON;
    }
    column->problems[PROBLEM_MISMATCH]++;
    return REFUSAL_NONE;
}

/* Infinities and NaN, which JSON has no numbers for, are written as strings. */
static bool special_f64(const char *text, size_t length, double *ret)
{
    double value = is_word(text, length, "inf", 3) ? INFINITY : is_word(text, length, "-inf", 4) ? -INFINITY : NAN;
    *ret = value;
    return !isnan(value) || is_word(text, length, "nan", 3);
}

/* The inside of a string that has escapes, or goes to a column that takes no strings as they are. */
static enum refusal slow_string(struct decoder *decoder, struct decoder_column *column, const char *text, size_t length)
{
    uint32_t row = decoder->row;
    if (json_has_backslash(text, length)) {
        char *room;
        if (column->type == WEIR_TEXT) {
            room = decoder_text_room(decoder, length);
        } else {
            decoder->scratch.size = 0;
            decoder->scratch.failed = false;
            room = buffer_reserve(&decoder->scratch, length);
        }
        if (!room) {
            return REFUSAL_MEMORY;
        }
        if (!json_unescape(text, length, room, &length)) {
            return REFUSAL_NOT_JSON;
        }
        text = room;
    }
    switch (column->type) {
    case WEIR_SYMBOL:
        return convert_symbol(decoder, column, row, text, length);
    case WEIR_TEXT:
        ((struct weir_text *)column->data)[row] = (struct weir_text){.data = text, .length = (uint32_t)length};
        return REFUSAL_NONE;
    case WEIR_TIME:
        convert_time_text(decoder->layout, column, row, text, length);
        return REFUSAL_NONE;
    case WEIR_F64:
        if (special_f64(text, length, &((double *)column->data)[row])) {
            return REFUSAL_NONE;
        }
        break;
    default:
        break;
    }
    convert_null(column, row);
    column->problems[PROBLEM_MISMATCH]++;
    return REFUSAL_NONE;
}

/* A number with exponent or many digits, or in a column of another type; or no number at all. */
static enum refusal slow_number(struct decoder *decoder, struct decoder_column *column, const char *text, size_t length)
{
    if (!json_is_number(text, length)) {
        return other_scalar(column, decoder->row, text, length);
    }
    switch (column->type) {
    case WEIR_F64:
        convert_f64(column, decoder->row, text, length);
        return REFUSAL_NONE;
    case WEIR_I64:
        convert_i64(column, decoder->row, text, length);
        return REFUSAL_NONE;
    case WEIR_TIME:
        convert_time_number(decoder->layout, column, decoder->row, text, length);
        return REFUSAL_NONE;
    default:
        return other_scalar(column, decoder->row, text, length);
    }
}

static enum refusal nested(const struct json_walk *walk, uint32_t *i)
{
    switch (json_skip(walk, i)) {
    case JSON_VALUE_GOOD:
        return REFUSAL_NONE;
    case JSON_VALUE_DEEP:
        return REFUSAL_DEPTH;
    default:
        return REFUSAL_NOT_JSON;
    }
}

/* Any value at mark *i into the column, if its name has one; steps behind it. */
static __attribute__((noinline)) enum refusal slow_value(struct decoder *decoder, const struct json_walk *walk,
                                                         struct decoder_name *name, uint32_t *i)
{
    struct decoder_column *column = name->place;
    const char *text = walk->data + walk->marks[*i];
    if (!column) {
        name->count++;
        return nested(walk, i);
    }
    if (*text == '{' || *text == '[') {
        convert_null(column, decoder->row);
        column->problems[PROBLEM_MISMATCH]++;
        return nested(walk, i);
    }
    size_t length = json_scalar(walk, *i);
    ++*i;
    if (*text != '"') {
        return slow_number(decoder, column, text, length);
    }
    if (length < 2 || text[length - 1] != '"') {
        return REFUSAL_NOT_JSON;
    }
    return slow_string(decoder, column, text + 1, length - 2);
}

/* The same for what is usual, a short number or a string without escapes that ends where the next mark is; else false.
 */
static inline __attribute__((always_inline)) bool quick_value(struct decoder *decoder, const struct json_walk *walk,
                                                              struct decoder_column *column, uint32_t row, uint32_t i)
{
    const char *text = walk->data + walk->marks[i];
    size_t length = walk->marks[i + 1] - walk->marks[i];
    if (column->type == WEIR_SYMBOL) {
        return *text == '"' && length >= 2 && text[length - 1] == '"' && !json_has_backslash(text + 1, length - 2) &&
               convert_symbol(decoder, column, row, text + 1, length - 2) == REFUSAL_NONE;
    }
    struct number number;
    const char *first = text + (*text == '-');
    bool zero_first = *first == '0' && (unsigned char)(first[1] - '0') <= 9; /* 01 is no number in JSON */
    if (zero_first || !number_of(text, length, &number)) {
        return false;
    }
    if (column->type == WEIR_F64) {
        return number_short_value(&number, &((double *)column->data)[row]);
    }
    if (column->type == WEIR_TIME) {
        return number_short_time(decoder->layout->time_format, &number, &((int64_t *)column->data)[row]);
    }
    if (column->type == WEIR_I64 && number.scale == 0) {
        ((int64_t *)column->data)[row] = number.negative ? -(int64_t)number.mantissa : (int64_t)number.mantissa;
        return true;
    }
    return false;
}

/* ---- Records ----------------------------------------------------------------------------------------------------- */

static void fill_missing(struct decoder *decoder)
{
    for (uint32_t c = 0; c < decoder->column_count; c++) {
        struct decoder_column *column = &decoder->columns[c];
        if (column->seen != decoder->row + 1) {
            convert_null(column, decoder->row);
            column->problems[PROBLEM_MISSING]++;
        }
    }
}

/* The key at mark i, which is not the expected one. */
static __attribute__((noinline)) struct decoder_name *name_unexpected(struct decoder *decoder,
                                                                      const struct json_walk *walk, uint32_t i,
                                                                      uint32_t k)
{
    const char *key = walk->data + walk->marks[i];
    size_t length = json_scalar(walk, i);
    if (*key != '"' || length < 2 || key[length - 1] != '"') {
        return NULL;
    }
    struct decoder_name *name = name_find(decoder, key + 1, length - 2);
    if (name && k < DECODER_ORDER) {
        decoder->order[k] = name;
    }
    return name;
}

/* An object without fields, or whose fields were all read; `found` of them have columns. */
static inline void record_end(struct decoder *decoder, uint32_t found)
{
    if (__builtin_expect(found != decoder->column_count, 0)) {
        fill_missing(decoder);
    }
}

/* The object at mark *ret_i into the next row; steps behind it. */
static inline __attribute__((always_inline)) enum refusal record_read(struct decoder *decoder,
                                                                      const struct json_walk *walk, uint32_t *ret_i)
{
    uint32_t i = *ret_i, found = 0, row = decoder->row;
    if (walk->data[walk->marks[i]] != '{') {
        return REFUSAL_NOT_OBJECT;
    }
    if (i + 1 < walk->count && walk->data[walk->marks[i + 1]] == '}') {
        record_end(decoder, 0);
        *ret_i = i + 2;
        return REFUSAL_NONE;
    }
    for (uint32_t k = 0;; k++) {
        /* { or , here, then key, colon, value, and what follows. */
        if (i + 4 >= walk->count) {
            return REFUSAL_NOT_JSON;
        }
        const char *key = walk->data + walk->marks[i + 1];
        struct decoder_name *name = decoder->order[k < DECODER_ORDER ? k : DECODER_ORDER - 1];
        if (!name_is(name, key, walk->marks[i + 2] - walk->marks[i + 1])) {
            name = name_unexpected(decoder, walk, i + 1, k);
            if (k >= WEIR_FIELDS_MAX) {
                return REFUSAL_FIELDS;
            }
        }
        if (!name || walk->data[walk->marks[i + 2]] != ':') {
            return REFUSAL_NOT_JSON;
        }
        i += 3;
        struct decoder_column *column = name->place;
        if (__builtin_expect(column && column->seen != row + 1, 1)) {
            column->seen = row + 1;
            found++;
        } else if (k >= WEIR_FIELDS_MAX) {
            return REFUSAL_FIELDS;
        } else if (column) {
            column->problems[PROBLEM_DUPLICATE]++; /* the last one counts */
        }
        if (__builtin_expect(column && quick_value(decoder, walk, column, row, i), 1)) {
            i++;
        } else {
            uint32_t next = i; /* so that i may live in a register */
            enum refusal refusal = slow_value(decoder, walk, name, &next);
            if (refusal) {
                return refusal;
            }
            i = next;
        }
        char next = i < walk->count ? walk->data[walk->marks[i]] : '\0';
        if (next != ',') {
            if (next != '}') {
                return REFUSAL_NOT_JSON;
            }
            break;
        }
    }
    record_end(decoder, found);
    *ret_i = i + 1;
    return REFUSAL_NONE;
}

/* ---- Lines ------------------------------------------------------------------------------------------------------- */

/* A record that was begun and refused must not count its fields as seen for the next that takes its row. */
static int refuse_line(struct decoder *decoder, enum refusal refusal, uint32_t line, size_t begin, size_t end)
{
    for (uint32_t i = 0; i < decoder->column_count; i++) {
        decoder->columns[i].seen = 0;
    }
    const char *data = decoder->block->data;
    return decoder_refuse(decoder, refusal, line, begin, end - begin - (end > begin && data[end - 1] == '\r'));
}

/* What a line's own scan found. */
static int refuse_scan(struct decoder *decoder, enum json_scan scan, uint32_t line, size_t begin, size_t end)
{
    static const enum refusal reasons[] = {
        [JSON_SCAN_UNCLOSED] = REFUSAL_UNCLOSED, [JSON_SCAN_CONTROL] = REFUSAL_CONTROL, [JSON_SCAN_UTF8] = REFUSAL_UTF8,
        [JSON_SCAN_MEMORY] = REFUSAL_MEMORY,     [JSON_SCAN_OTHER] = REFUSAL_NOT_JSON,
    };
    return refuse_line(decoder, reasons[scan], line, begin, end);
}

static __attribute__((noinline)) int line_alone(struct decoder *decoder, uint32_t line, size_t begin, size_t end)
{
    struct json_walk walk = {.data = decoder->block->data + begin};
    enum json_scan scan = json_scan(decoder->scanner, walk.data, end - begin, &walk.marks, &walk.count);
    if (scan != JSON_SCAN_GOOD) {
        return refuse_scan(decoder, scan, line, begin, end);
    }
    if (walk.count == 0) {
        return 0;
    }
    uint32_t i = 0;
    walk.limit = (uint32_t)(end - begin);
    enum refusal refusal = record_read(decoder, &walk, &i);
    if (refusal == REFUSAL_NONE && i != walk.count) {
        refusal = REFUSAL_MORE_VALUES;
    }
    return refusal ? refuse_line(decoder, refusal, line, begin, end) : rows_commit(decoder, line);
}

static size_t line_begin(const struct decoder *decoder, uint32_t line)
{
    return line == 0 ? 0 : (size_t)decoder->ends[line - 1] + 1;
}

static int lines_alone(struct decoder *decoder, uint32_t line, uint32_t last)
{
    int error = 0;
    for (; line < last && error == 0; line++) {
        error = line_alone(decoder, line, line_begin(decoder, line), decoder->ends[line]);
    }
    return error;
}

/* Lines first to last (exclusive), none of them too long. */
static int lines_together(struct decoder *decoder, uint32_t first, uint32_t last)
{
    size_t begin = line_begin(decoder, first);
    struct json_walk walk = {.data = decoder->block->data + begin};
    enum json_scan scan = json_scan(decoder->scanner, walk.data, decoder->ends[last - 1] - begin, &walk.marks,
                                    &walk.count);
    if (scan == JSON_SCAN_MEMORY) {
        return -ENOMEM;
    }
    if (scan != JSON_SCAN_GOOD) {
        return lines_alone(decoder, first, last);
    }
    uint32_t i = 0;
    for (uint32_t line = first; line < last; line++) {
        uint32_t end = decoder->ends[line] - (uint32_t)begin;
        if (i >= walk.count || walk.marks[i] >= end) {
            continue; /* blank */
        }
        uint32_t next = i;
        walk.limit = end;
        enum refusal refusal = record_read(decoder, &walk, &next);
        /* All of the record on this line, and nothing else on it? */
        if (refusal == REFUSAL_NONE && walk.marks[next - 1] < end && (next == walk.count || walk.marks[next] > end)) {
            int error = rows_commit(decoder, line);
            if (error) {
                return error;
            }
            i = next;
            continue;
        }
        if (refusal == REFUSAL_NONE || refusal == REFUSAL_NOT_JSON) {
            refusal = refusal == REFUSAL_NONE && walk.marks[next - 1] < end ? REFUSAL_MORE_VALUES : REFUSAL_NOT_JSON;
        }
        int error = refuse_line(decoder, refusal, line, begin + walk.marks[i], decoder->ends[line]);
        if (error) {
            return error;
        }
        while (i < walk.count && walk.marks[i] < end) {
            i++;
        }
    }
    return 0;
}

int ndjson_decode(struct decoder *decoder)
{
    const struct weir_block *block = decoder->block;
    size_t line_max = decoder->layout->line_max;
    size_t count;
    int error = separators_lines(decoder, &count);
    if (error == 0 && count > 0) {
        error = decoder_begin(decoder, count);
    }
    uint32_t first = 0, lines = (uint32_t)count;
    while (first < lines && error == 0) {
        size_t begin = line_begin(decoder, first);
        uint32_t last = first;
        while (last < lines && decoder->ends[last] - begin <= WINDOW) {
            last++;
        }
        uint32_t good = first; /* up to a line that is too long */
        while (good < last && decoder->ends[good] - line_begin(decoder, good) <= line_max) {
            good++;
        }
        if (good == first && decoder->ends[first] - begin > line_max) {
            bool cr = block->data[decoder->ends[first] - 1] == '\r';
            if (decoder->ends[first] - begin - cr > line_max) {
                error = refuse_line(decoder, REFUSAL_LONG, first, begin, decoder->ends[first]);
                first++;
                continue;
            }
        }
        if (good == first) { /* one line, longer than a window */
            error = line_alone(decoder, first, begin, decoder->ends[first]);
            first++;
            continue;
        }
        error = lines_together(decoder, first, good);
        first = good;
    }
    return error;
}
