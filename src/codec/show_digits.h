/* SPDX-License-Identifier: MIT */
/* Private to codec/: what show.c and show_column.c have in common, to be inlined. See show.h. */
#ifndef CODEC_SHOW_DIGITS_H
#define CODEC_SHOW_DIGITS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#ifdef __SSE4_1__
#include <smmintrin.h>
#endif

#include "codec/show.h"

/* Digits are worked on as one before the vector of 16. */
enum { SHOW_DIGITS = 17 };

static const uint64_t show_integers[SHOW_DIGITS + 1] = {
    1,
    10,
    100,
    1000,
    10000,
    100000,
    1000000,
    10000000,
    100000000,
    1000000000,
    10000000000,
    100000000000,
    1000000000000,
    10000000000000,
    100000000000000,
    1000000000000000,
    10000000000000000,
    100000000000000000,
};

/* ---- The shortest decimal, mostly ----------------------------------------------------------------------------------
 */

/*
 * As show_shortest, of most values with one product, in place of three. With value = c · 2^q, the power of ten is such
 * that the distance to the next double is 1 … 10 units of the last of 16 or 17 digits: so if there is a shorter decimal
 * among those that read back as the same double, it is a multiple of ten, and if there is none, the nearest integer is
 * one of them. Integer part and 64 bits of what is behind the point come from the product; both comparisons (is the ten
 * below, the ten above, no further away than half the distance?) are made with 60 bits of it.
 *
 * What is cut off is less than 2 units of the last bit. Where a comparison is closer than that, the answer is false, as
 * it is for zero, numbers below 2^-1022 (no 53 bits), powers of two (the double below is nearer), from 2^53 on, and
 * for what is no number. Then show_shortest knows.
 */
static inline bool show_shortest_usual(double magnitude, struct show_decimal *ret)
{
    const uint64_t ten = UINT64_C(10) << 60;
    uint64_t bits, fraction;
    memcpy(&bits, &magnitude, sizeof bits);
    fraction = bits & ((UINT64_C(1) << 52) - 1);
    uint32_t exponent = (uint32_t)(bits >> 52);
    const bool usual = (exponent - 1 < 1074) & (fraction != 0);
    int32_t q = (int32_t)(exponent < 1075 ? exponent : 1075) - 1075;
    int32_t k = q * 1262611 >> 22;            /* ⌊log10(2^q)⌋ */
    int32_t h = q + (-k * 1741647 >> 19) + 1; /* 1 … 4 */
    const struct show_power *power = &show_powers[-k - SHOW_POWER_LEAST];
    uint64_t c = (fraction | UINT64_C(1) << 52) << h;
    unsigned __int128 low = (unsigned __int128)power->low * c;
    unsigned __int128 sum = (unsigned __int128)power->high * c + (uint64_t)(low >> 64);
    uint64_t whole = (uint64_t)(sum >> 64), behind = (uint64_t)sum;

    uint64_t digit = whole % 10;
    uint64_t over = digit << 60 | behind >> 4; /* the ten below is so far away */
    uint64_t half = power->high >> (5 - h);    /* the distance to the next double, halved */
    uint64_t missing = over + half - ten;      /* not negative: the ten above is near enough */
    bool close = (over - half + 2 <= 4) | (missing + 3 <= 6) | (behind - (UINT64_C(1) << 63) + 2 <= 4);
    uint64_t nearest = whole + (behind >> 63);
    uint64_t tens = whole - digit + (over > half ? 10 : 0);
    ret->digits = (over <= half) | (over + half >= ten) ? tens : nearest;
    ret->exponent = k;
    return usual & !close;
}

/* ---- Digits as text -----------------------------------------------------------------------------------------------
 */

#ifdef __SSE4_1__
/* A value below 10^16 → 16 bytes of 0 … 9: eight digits in each half are divided by 10^4, 100, 10 all at once, by
 * multiplications whose rounding is right for so few digits. */
static inline __m128i digits_of(uint64_t value)
{
    uint64_t high = value / 100000000;
    __m128i eights = _mm_set_epi64x((int64_t)(value - high * 100000000), (int64_t)high);
    __m128i upper = _mm_srli_epi64(_mm_mul_epu32(eights, _mm_set1_epi64x(3518437209)), 45);
    __m128i lower = _mm_sub_epi64(eights, _mm_mul_epu32(upper, _mm_set1_epi64x(10000)));
    __m128i fours = _mm_or_si128(upper, _mm_slli_epi64(lower, 32));
    upper = _mm_srli_epi16(_mm_mulhi_epu16(fours, _mm_set1_epi32(5243)), 3);
    lower = _mm_sub_epi16(fours, _mm_mullo_epi16(upper, _mm_set1_epi32(100)));
    __m128i twos = _mm_or_si128(upper, _mm_slli_epi32(lower, 16));
    upper = _mm_mulhi_epu16(twos, _mm_set1_epi16(6554));
    lower = _mm_sub_epi16(twos, _mm_mullo_epi16(upper, _mm_set1_epi16(10)));
    return _mm_or_si128(upper, _mm_slli_epi16(lower, 8));
}

/* Writes the 16 digits of a value below 10^16 with a point before digit number `point` (none at 16): 17 bytes. Returns
 * how many digits there are without the zeros at the end. */
static inline uint32_t put_digits(uint64_t value, int32_t point, char *out)
{
    const __m128i iota = _mm_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    __m128i digits = digits_of(value), at = _mm_set1_epi8((char)point);
    uint32_t zeros = (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(digits, _mm_setzero_si128()));
    digits = _mm_add_epi8(digits, _mm_set1_epi8('0'));
    out[16] = (char)_mm_extract_epi8(digits, 15);
    digits = _mm_shuffle_epi8(digits, _mm_add_epi8(iota, _mm_cmpgt_epi8(iota, at)));
    digits = _mm_blendv_epi8(digits, _mm_set1_epi8('.'), _mm_cmpeq_epi8(iota, at));
    _mm_storeu_si128((__m128i *)out, digits);
    return 32 - (uint32_t)__builtin_clz((~zeros & 0xffff) << 1 | 1) - 1;
}

/* Writes the digits of a value below 10^16 without the zeros in front; returns how many. 16 bytes are written. */
static inline size_t put_short(uint64_t value, char *out)
{
    const __m128i iota = _mm_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    __m128i digits = digits_of(value);
    uint32_t zeros = (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(digits, _mm_setzero_si128()));
    uint32_t first = (uint32_t)__builtin_ctz(~zeros | 1u << 15);
    digits = _mm_add_epi8(digits, _mm_set1_epi8('0'));
    digits = _mm_shuffle_epi8(digits, _mm_add_epi8(iota, _mm_set1_epi8((char)first)));
    _mm_storeu_si128((__m128i *)out, digits);
    return 16 - first;
}

/* Writes value / 10^6, of a value below 10^15, without zeros at the end; returns the length. 16 bytes are written. */
static inline size_t put_millionths(uint64_t value, char *out)
{
    const __m128i iota = _mm_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    __m128i digits = digits_of(value);
    uint32_t zeros = (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(digits, _mm_setzero_si128()));
    uint32_t first = (uint32_t)__builtin_ctz(~zeros | 1u << 9), point = 10 - first;
    uint32_t end = 32 - (uint32_t)__builtin_clz((~zeros & 0xfc00) | 1); /* 1: no digits behind the point */
    __m128i at = _mm_set1_epi8((char)point);
    __m128i from = _mm_add_epi8(_mm_add_epi8(iota, _mm_cmpgt_epi8(iota, at)), _mm_set1_epi8((char)first));
    digits = _mm_shuffle_epi8(_mm_add_epi8(digits, _mm_set1_epi8('0')), from);
    _mm_storeu_si128((__m128i *)out, _mm_blendv_epi8(digits, _mm_set1_epi8('.'), _mm_cmpeq_epi8(iota, at)));
    return end == 1 ? point : end + 1 - first;
}
#else
static inline uint32_t put_digits(uint64_t value, int32_t point, char *out)
{
    uint32_t end = 0;
    for (int32_t i = 15; i >= 0; i--, value /= 10) {
        out[i + (i >= point)] = (char)('0' + value % 10);
        if (end == 0 && value % 10 != 0)
            end = (uint32_t)i + 1;
    }
    out[point] = '.';
    return end;
}

static inline size_t put_short(uint64_t value, char *out)
{
    size_t length = 1;
    while (length < 16 && value >= show_integers[length])
        length++;
    for (size_t i = length; i-- > 0; value /= 10)
        out[i] = (char)('0' + value % 10);
    return length;
}

static inline size_t put_millionths(uint64_t value, char *out)
{
    size_t length = put_short(value / 1000000, out);
    uint32_t digits = put_digits(value % 1000000 * show_integers[10], 0, out + length);
    return digits > 0 ? length + digits + 1 : length;
}
#endif

#endif
