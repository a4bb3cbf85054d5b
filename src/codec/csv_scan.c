/* SPDX-License-Identifier: MIT */
/*
 * Where CSV records and fields end, by RFC 4180, and what becomes of quotes that do not close. The reader (codec_cut)
 * and the decoder must agree on that although the one sees a buffer that ends anywhere, the other a block that was cut:
 *
 *   a quote opens only at the beginning of a field; elsewhere it is a character like others
 *   it closes at a quote that is not doubled; a delimiter or the record's end has to follow
 *   where it does not close within line_max bytes of the record's beginning, or something else follows, the record is
 *   refused and is taken to end with its first physical line, so that the next line is read
 */
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "codec/layout.h"

/* The first of a, b in [p, end); end if there is none. */
static const char *find_either(const char *p, const char *end, char a, char b)
{
#ifdef __SSE2__
    const __m128i as = _mm_set1_epi8(a), bs = _mm_set1_epi8(b);
    for (; end - p >= 16; p += 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)p);
        int hits = _mm_movemask_epi8(_mm_or_si128(_mm_cmpeq_epi8(bytes, as), _mm_cmpeq_epi8(bytes, bs)));
        if (hits) {
            return p + __builtin_ctz((unsigned)hits);
        }
    }
#endif
    while (p < end && *p != a && *p != b) {
        p++;
    }
    return p;
}

/* The quote that closes a field; p is behind the one that opens it. NULL: none before end. */
static const char *find_close(const char *p, const char *end, bool *ret_doubled)
{
    while (p < end && (p = memchr(p, '"', (size_t)(end - p)))) {
        if (p + 1 == end || p[1] != '"') {
            return p;
        }
        *ret_doubled = true;
        p += 2;
    }
    return NULL;
}

static bool ends_field(const char *p, const char *end, char delimiter)
{
    return p == end || *p == delimiter || *p == '\n' || (*p == '\r' && (p + 1 == end || p[1] == '\n'));
}

static size_t first_line(const char *data, size_t size)
{
    const char *newline = memchr(data, '\n', size);
    return newline ? (size_t)(newline - data) + 1 : size;
}

enum csv_record csv_record_end(const char *data, size_t size, char delimiter, size_t line_max, size_t *ret_end)
{
    /* What is beyond line_max does not count, whether it can be seen from here or not; but for one byte, to see what
     * follows a quote in the last place. */
    bool limited = size > line_max;
    const char *end = data + (limited ? line_max + 1 : size);
    const char *p = data;
    enum csv_record record;
    for (;;) {
        const char *hit = find_either(p, end, '"', '\n');
        if (hit == end) {
            /* It may just fit, with the \r of its \r\n in the last place. */
            if (limited && end[-1] == '\r' && size > line_max + 1 && *end == '\n') {
                *ret_end = line_max + 2;
                return CSV_GOOD;
            }
            limited = limited && !(end[-1] == '\r' && size == line_max + 1);
            record = limited ? CSV_LONG : CSV_INCOMPLETE;
            break;
        }
        if (*hit == '\n') {
            *ret_end = (size_t)(hit - data) + 1;
            return CSV_GOOD;
        }
        if (hit != data && hit[-1] != delimiter) {
            p = hit + 1;
            continue;
        }
        bool doubled = false;
        const char *close = find_close(hit + 1, end, &doubled);
        if (!close || (close + 1 == end && limited)) {
            record = CSV_UNCLOSED;
            break;
        }
        if (!ends_field(close + 1, end, delimiter)) {
            record = CSV_AFTER_QUOTE;
            break;
        }
        p = close + 1;
    }
    *ret_end = record == CSV_INCOMPLETE ? size : first_line(data, size);
    return record;
}

const char *csv_trim_end(const char *begin, const char *end)
{
    if (end > begin && end[-1] == '\n') {
        end--;
    }
    return end > begin && end[-1] == '\r' ? end - 1 : end;
}

const char *csv_field_next(const char *p, const char *end, char delimiter, struct csv_field *ret)
{
    ret->quoted = p < end && *p == '"';
    ret->doubled = false;
    const char *stop;
    if (ret->quoted) {
        const char *close = find_close(p + 1, end, &ret->doubled);
        stop = close ? close + 1 : end;
        ret->text = p + 1;
        ret->length = (size_t)((close ? close : end) - ret->text);
    } else {
        stop = find_either(p, end, delimiter, delimiter);
        ret->text = p;
        ret->length = (size_t)(stop - p);
    }
    return stop < end ? stop + 1 : NULL;
}

size_t csv_undouble(const char *text, size_t length, char *out)
{
    size_t size = 0;
    for (size_t i = 0; i < length; i++) {
        out[size++] = text[i];
        i += text[i] == '"';
    }
    return size;
}
