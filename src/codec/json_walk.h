/* SPDX-License-Identifier: MIT */
/* Private to codec/: JSON grammar over the marks of a scan (ndjson_simdjson.h), shared by decoder and inference. */
#ifndef CODEC_JSON_WALK_H
#define CODEC_JSON_WALK_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum { JSON_DEPTH_MAX = 1024 };

struct json_walk {
    const char *data;      /* that marks are offsets into; 16 readable bytes behind its end */
    const uint32_t *marks; /* marks[count] is the end */
    uint32_t count;
    uint32_t limit; /* the line ends at this offset: no nested value goes beyond */
};

static inline bool json_blank(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* The text of the string, number or literal at mark i: up to the next mark, less blanks. What is left over behind a
 * string's closing quote or a number would have had its own mark, or is part of the text. */
static inline size_t json_scalar(const struct json_walk *walk, uint32_t i)
{
    const char *begin = walk->data + walk->marks[i], *end = walk->data + walk->marks[i + 1];
    while (json_blank(end[-1])) {
        end--;
    }
    return (size_t)(end - begin);
}

static inline bool json_has_backslash(const char *text, size_t length)
{
#ifdef __SSE2__
    for (; length >= 16; text += 16, length -= 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)text);
        if (_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\')))) {
            return true;
        }
    }
    __m128i bytes = _mm_loadu_si128((const __m128i *)text);
    unsigned hits = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\')));
    return (hits & ((1u << length) - 1)) != 0;
#else
    return memchr(text, '\\', length) != NULL;
#endif
}

/* JSON's grammar of numbers. */
bool json_is_number(const char *text, size_t length);
/* Writes the inside of a string without its escapes (never longer) to out, which may be NULL; false: a bad escape.
 * Halves of surrogate pairs that stand alone become U+FFFD. */
bool json_unescape(const char *text, size_t length, char *out, size_t *ret_length);

enum json_value { JSON_VALUE_GOOD, JSON_VALUE_BAD, JSON_VALUE_DEEP };
/* Checks the value at mark *i and steps behind it. */
enum json_value json_skip(const struct json_walk *walk, uint32_t *i);

#endif
