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

size_t separators_find(const char *data, size_t size, char a, char b, uint32_t *out, bool *ret_quote)
{
    const __m128i as = _mm_set1_epi8(a), bs = _mm_set1_epi8(b), qs = _mm_set1_epi8('"');
    __m128i quotes = _mm_setzero_si128();
    uint32_t *next = out;
    for (size_t base = 0; base < size; base += 64) {
        int masks[4] = {0};
        for (int part = 0; part < 4 && base + (size_t)part * 16 < size; part++) {
            __m128i bytes = _mm_loadu_si128((const __m128i *)(data + base + part * 16));
            masks[part] = _mm_movemask_epi8(_mm_or_si128(_mm_cmpeq_epi8(bytes, as), _mm_cmpeq_epi8(bytes, bs)));
            quotes = _mm_or_si128(quotes, _mm_cmpeq_epi8(bytes, qs));
        }
        uint64_t hits = join(masks);
        if (size - base < 64) {
            hits &= (UINT64_C(1) << (size - base)) - 1;
        }
        while (hits) {
            *next++ = (uint32_t)base + (uint32_t)__builtin_ctzll(hits);
            hits &= hits - 1;
        }
    }
    *ret_quote = _mm_movemask_epi8(quotes) != 0; /* perhaps one behind the end: no harm */
    return (size_t)(next - out);
}
#else
size_t separators_find(const char *data, size_t size, char a, char b, uint32_t *out, bool *ret_quote)
{
    size_t count = 0;
    *ret_quote = memchr(data, '"', size) != NULL;
    for (size_t i = 0; i < size; i++) {
        if (data[i] == a || data[i] == b) {
            out[count++] = (uint32_t)i;
        }
    }
    return count;
}
#endif

size_t separators_count(const char *data, size_t size, char c)
{
    size_t count = 0;
    for (size_t i = 0; i < size; i++) {
        count += data[i] == c;
    }
    return count;
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
        bool quote;
        size_t found = separators_find(block->data + at, piece, '\n', '\n', decoder->ends + count, &quote);
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
