/* SPDX-License-Identifier: MIT */
#include "codec/separators.h"

#include <errno.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>

static inline uint64_t join(const int *masks)
{
    return (uint64_t)(uint16_t)masks[0] | (uint64_t)(uint16_t)masks[1] << 16 | (uint64_t)(uint16_t)masks[2] << 32 |
           (uint64_t)(uint16_t)masks[3] << 48;
}

/* How many there are in 64 bytes is hard to predict, so `usual` of them are written whether they exist or not. */
static inline __attribute__((always_inline)) uint32_t *put_offsets(uint32_t *next, uint32_t base, uint64_t hits,
                                                                   int usual)
{
    uint32_t *end = next + __builtin_popcountll(hits);
    for (int i = 0; i < usual; i++) {
        next[i] = base + (uint32_t)__builtin_ctzll(hits | UINT64_C(1) << 63);
        hits &= hits - 1;
    }
    for (next += usual; __builtin_expect(next < end, 0); next++) {
        *next = base + (uint32_t)__builtin_ctzll(hits);
        hits &= hits - 1;
    }
    return end;
}

/* Inlined into its two users, which have constants for what they do not need. */
static inline __attribute__((always_inline)) size_t find(const char *data, size_t size, char a, char b, uint32_t *out,
                                                         bool *ret_quote)
{
    const __m128i as = _mm_set1_epi8(a), bs = _mm_set1_epi8(b), qs = _mm_set1_epi8('"');
    __m128i quotes = _mm_setzero_si128();
    uint32_t *next = out;
    for (size_t base = 0; base < size; base += 64) {
        int masks[4];
        for (int part = 0; part < 4; part++) {
            __m128i bytes = _mm_loadu_si128((const __m128i *)(data + base + part * 16));
            __m128i hits = _mm_cmpeq_epi8(bytes, as);
            if (a != b) {
                hits = _mm_or_si128(hits, _mm_cmpeq_epi8(bytes, bs));
            }
            masks[part] = _mm_movemask_epi8(hits);
            if (ret_quote) {
                quotes = _mm_or_si128(quotes, _mm_cmpeq_epi8(bytes, qs));
            }
        }
        uint64_t hits = join(masks);
        if (size - base < 64) {
            hits &= (UINT64_C(1) << (size - base)) - 1;
        }
        next = put_offsets(next, (uint32_t)base, hits, ret_quote ? 12 : 3);
    }
    if (ret_quote) {
        *ret_quote = _mm_movemask_epi8(quotes) != 0; /* perhaps one behind the end: no harm */
    }
    return (size_t)(next - out);
}

size_t separators_count(const char *data, size_t size, char c)
{
    const __m128i cs = _mm_set1_epi8(c);
    __m128i total = _mm_setzero_si128();
    size_t at = 0;
    while (size - at >= 16) {
        __m128i sums = _mm_setzero_si128(); /* 16 counters of a byte: at most 255 rounds */
        for (int i = 0; i < 255 && size - at >= 16; i++, at += 16) {
            sums = _mm_sub_epi8(sums, _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)(data + at)), cs));
        }
        total = _mm_add_epi64(total, _mm_sad_epu8(sums, _mm_setzero_si128()));
    }
    size_t count = (size_t)_mm_cvtsi128_si64(total) + (size_t)_mm_cvtsi128_si64(_mm_unpackhi_epi64(total, total));
    for (; at < size; at++) {
        count += data[at] == c;
    }
    return count;
}
#else
static size_t find(const char *data, size_t size, char a, char b, uint32_t *out, bool *ret_quote)
{
    size_t count = 0;
    if (ret_quote) {
        *ret_quote = memchr(data, '"', size) != NULL;
    }
    for (size_t i = 0; i < size; i++) {
        if (data[i] == a || data[i] == b) {
            out[count++] = (uint32_t)i;
        }
    }
    return count;
}

size_t separators_count(const char *data, size_t size, char c)
{
    size_t count = 0;
    for (size_t i = 0; i < size; i++) {
        count += data[i] == c;
    }
    return count;
}
#endif

size_t separators_find(const char *data, size_t size, char a, char b, uint32_t *out, bool *ret_quote)
{
    return find(data, size, a, b, out, ret_quote);
}

int separators_lines(struct decoder *decoder, size_t *ret_count)
{
    const struct weir_block *block = decoder->block;
    size_t count = 0;
    for (size_t at = 0; at < block->size;) {
        size_t piece = block->size - at < (16 << 10) ? block->size - at : 16 << 10;
        int error = decoder_ends_reserve(decoder, count + piece + 64);
        if (error) {
            return error;
        }
        size_t found = find(block->data + at, piece, '\n', '\n', decoder->ends + count, NULL);
        for (size_t i = 0; i < found && at > 0; i++) {
            decoder->ends[count + i] += (uint32_t)at;
        }
        count += found;
        at += piece;
    }
    if (block->size > 0 && block->data[block->size - 1] != '\n') {
        decoder->ends[count++] = (uint32_t)block->size;
    }
    *ret_count = count;
    return 0;
}
