/* SPDX-License-Identifier: MIT */
/*
 * Decimal text → exact integer and scale, for the numbers that sensors write: up to 16 characters, no exponent. A value
 * of at most 53 bits divided by a power of ten of at most 22 is rounded correctly by the one division, so the double is
 * the nearest; everything else goes through number_from_text.
 */
#ifndef CODEC_NUMBER_H
#define CODEC_NUMBER_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#ifdef __SSE4_1__
#include <smmintrin.h>
#endif

/* ±mantissa / 10^scale */
struct number {
    uint64_t mantissa;
    uint32_t scale;
    bool negative;
};
enum { NUMBER_SHORT_MAX = 16, NUMBER_SCALE_MAX = 22 };
#define NUMBER_EXACT_MAX (UINT64_C(1) << 53)

static const double number_powers[NUMBER_SCALE_MAX + 1] = {
    1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
    1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
};

/* digits[.digits], at most 16 characters; `text` has 16 readable bytes. False: not of this form (not an error yet). */
static inline bool number_short(const char *text, size_t length, struct number *ret)
{
    if (length - 1 >= NUMBER_SHORT_MAX) {
        return false;
    }
#ifdef __SSE4_1__
    const __m128i iota = _mm_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    __m128i bytes = _mm_loadu_si128((const __m128i *)text);
    __m128i values = _mm_sub_epi8(bytes, _mm_set1_epi8('0'));
    uint32_t end = 1u << length;
    uint32_t others = ~(uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_min_epu8(values, _mm_set1_epi8(9)), values)) &
                      (end - 1);
    uint32_t points = (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('.')));
    /* More than one that is no digit, one that is no point, or one in the first or last place? */
    if (((others & (others - 1)) | (others & ~points) | (others & (1 | end >> 1))) != 0) {
        return false;
    }
    uint32_t point = (uint32_t)__builtin_ctz(others | end);
    uint32_t count = (uint32_t)length - (others != 0);
    ret->scale = count - point;
    /* Lane k gets the digit k - (16 - count), skipping the point: right-aligned, zeros in front. */
    __m128i from = _mm_add_epi8(iota, _mm_set1_epi8((char)(count - 16)));
    from = _mm_sub_epi8(from, _mm_cmpgt_epi8(from, _mm_set1_epi8((char)(point - 1))));
    values = _mm_shuffle_epi8(values, from);
    __m128i pairs = _mm_maddubs_epi16(values, _mm_set1_epi16(0x010a));
    __m128i fours = _mm_madd_epi16(pairs, _mm_set1_epi32(0x00010064));
    __m128i packed = _mm_packus_epi32(fours, fours);
    uint64_t eights = (uint64_t)_mm_cvtsi128_si64(_mm_madd_epi16(packed, _mm_set1_epi32(0x00012710)));
    ret->mantissa = (eights & UINT32_MAX) * 100000000u + (eights >> 32);
    return true;
#else
    uint64_t mantissa = 0;
    size_t point = length;
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '.' && point == length) {
            point = i;
        } else if (text[i] >= '0' && text[i] <= '9') {
            mantissa = mantissa * 10 + (uint64_t)(text[i] - '0');
        } else {
            return false;
        }
    }
    if (point == 0 || point + 1 == length) {
        return false;
    }
    ret->mantissa = mantissa;
    ret->scale = point == length ? 0 : (uint32_t)(length - point - 1);
    return true;
#endif
}

/* The nearest double, when the number is short enough for that to be exact; else false. */
static inline bool number_short_value(const struct number *number, double *ret)
{
    if (number->mantissa > NUMBER_EXACT_MAX) {
        return false;
    }
    double value = (double)(int64_t)number->mantissa / number_powers[number->scale];
    *ret = number->negative ? -value : value;
    return true;
}

#endif
