/* SPDX-License-Identifier: MIT */
/*
 * Columns of numbers → text with AVX-512: eight numbers at a time up to their digits, the digits of four in one vector,
 * and the text of each from a table of what goes where. Digits are those of show_shortest_usual, see there.
 */
#include "codec/show_column.h"

/* clang ignores the target of the pragma: built with it, numbers are written without AVX-512. */
#if defined(__x86_64__) && !defined(__clang__)
#include <immintrin.h>
#include <string.h>

#include "codec/encode.h"
#include "codec/show.h"

#pragma GCC push_options
#pragma GCC target("avx512f,avx512dq,avx512bw,avx512vl,avx512cd,bmi,bmi2")

enum { LANES = 8, EXPONENT_LEAST = -4, EXPONENT_MOST = 14 };

/* What one step leaves to the next. Steps are loops of their own: the instructions for eight numbers wait for each
 * other in one long chain, and the processor looks only so far ahead for those of the next eight. */
struct steps {
    uint64_t whole[CELL_ROWS], behind[CELL_ROWS]; /* 16 or 17 digits, and what is behind the point */
    uint64_t half[CELL_ROWS];                     /* half the distance to the next double, 60 bits behind the point */
    int64_t exponents[CELL_ROWS];                 /* of the last digit */
    uint64_t high[CELL_ROWS], low[CELL_ROWS];     /* 16 digits, by eights */
    int64_t leads[CELL_ROWS];                     /* the digit before those */
    int64_t layouts[CELL_ROWS];                   /* its exponent less EXPONENT_LEAST */
    char rest[CELL_ROWS][16];                     /* the 16 digits, as characters */
    uint16_t others[CELL_ROWS];                   /* which of them are no zeros */
} __attribute__((aligned(64)));

static inline __m512i each(int64_t value)
{
    return _mm512_set1_epi64(value);
}

/* value % 10, of a value below 2^57 */
static inline __m512i last_digit(__m512i value)
{
    /* 2^30 is 4 more than a multiple of ten; what is left is below 2^31. */
    __m512i left = _mm512_add_epi64(_mm512_slli_epi64(_mm512_srli_epi64(value, 30), 2),
                                    _mm512_and_si512(value, each((1 << 30) - 1)));
    __m512i tens = _mm512_srli_epi64(_mm512_mul_epu32(left, each(0xcccccccd)), 35);
    return _mm512_sub_epi64(left, _mm512_mul_epu32(tens, each(10)));
}

/* value / 10^8, of a value below 10^17, and what is left. */
static inline __m512i eight_off(__m512i value, __m512i *ret_left)
{
    /* Never too large, as 10^-8 is taken a little smaller than what all roundings come to; too small by one at most. */
    const __m512d factor = _mm512_set1_pd(1e-8 * (1 - 0x1p-50));
    __m512i high = _mm512_cvttpd_epi64(_mm512_mul_pd(_mm512_cvtepi64_pd(value), factor));
    __m512i left = _mm512_sub_epi64(value, _mm512_mul_epu32(high, each(100000000)));
    __mmask8 more = _mm512_cmpge_epi64_mask(left, each(100000000));
    *ret_left = _mm512_mask_sub_epi64(left, more, left, each(100000000));
    return _mm512_mask_add_epi64(high, more, high, each(1));
}

/* digits_of in show_digits.h, for four numbers: the first eight digits and the others, side by side. */
static inline __m512i digits_of_four(__m512i eights)
{
    __m512i upper = _mm512_srli_epi64(_mm512_mul_epu32(eights, each(3518437209)), 45);
    __m512i lower = _mm512_sub_epi64(eights, _mm512_mul_epu32(upper, each(10000)));
    __m512i fours = _mm512_or_si512(upper, _mm512_slli_epi64(lower, 32));
    upper = _mm512_srli_epi16(_mm512_mulhi_epu16(fours, _mm512_set1_epi32(5243)), 3);
    lower = _mm512_sub_epi16(fours, _mm512_mullo_epi16(upper, _mm512_set1_epi32(100)));
    __m512i twos = _mm512_or_si512(upper, _mm512_slli_epi32(lower, 16));
    upper = _mm512_mulhi_epu16(twos, _mm512_set1_epi16(6554));
    lower = _mm512_sub_epi16(twos, _mm512_mullo_epi16(upper, _mm512_set1_epi16(10)));
    return _mm512_or_si512(upper, _mm512_slli_epi16(lower, 8));
}

/* Eight numbers below 10^16 from `row` on, to characters. */
static inline void put_digits(struct steps *steps, uint32_t row)
{
    __m512i high = _mm512_load_si512(steps->high + row), low = _mm512_load_si512(steps->low + row);
    __m512i even = digits_of_four(_mm512_unpacklo_epi64(high, low)), zero = _mm512_set1_epi8('0');
    __m512i odd = digits_of_four(_mm512_unpackhi_epi64(high, low));
    const __m512i first = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11);
    const __m512i second = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
    __m512i front = _mm512_permutex2var_epi64(even, first, odd), back = _mm512_permutex2var_epi64(even, second, odd);
    uint64_t front_others = _mm512_test_epi8_mask(front, front), back_others = _mm512_test_epi8_mask(back, back);
    memcpy(steps->others + row, &front_others, sizeof front_others);
    memcpy(steps->others + row + 4, &back_others, sizeof back_others);
    _mm512_store_si512(steps->rest[row], _mm512_add_epi8(front, zero));
    _mm512_store_si512(steps->rest[row + 4], _mm512_add_epi8(back, zero));
}

/* ---- Doubles ------------------------------------------------------------------------------------------------------
 */

/* The integer part of power · c / 2^128 and 64 bits of what is behind the point; c is below 2^57. What is not looked
 * at, the lower half of the power's lower half, makes less than 2^25 of these, and so does what gets lost besides. */
static inline __m512i product(__m512i power_high, __m512i power_low, __m512i c, __m512i *ret_behind)
{
    const __m512i half = each(UINT32_MAX);
    __m512i c_high = _mm512_srli_epi64(c, 32), low_high = _mm512_srli_epi64(power_low, 32);
    __m512i below = _mm512_add_epi64(_mm512_srli_epi64(_mm512_mul_epu32(low_high, c), 32),
                                     _mm512_mul_epu32(low_high, c_high));
    __m512i high_high = _mm512_srli_epi64(power_high, 32), first = _mm512_mul_epu32(power_high, c);
    __m512i middle = _mm512_add_epi64(_mm512_srli_epi64(first, 32), _mm512_mul_epu32(high_high, c));
    __m512i other = _mm512_add_epi64(_mm512_and_si512(middle, half), _mm512_mul_epu32(power_high, c_high));
    __m512i whole = _mm512_add_epi64(_mm512_mul_epu32(high_high, c_high), _mm512_srli_epi64(middle, 32));
    whole = _mm512_add_epi64(whole, _mm512_srli_epi64(other, 32));
    __m512i behind = _mm512_or_si512(_mm512_slli_epi64(other, 32), _mm512_and_si512(first, half));
    behind = _mm512_add_epi64(behind, below);
    *ret_behind = behind;
    return _mm512_mask_add_epi64(whole, _mm512_cmplt_epu64_mask(behind, below), whole, each(1));
}

static inline __m512i power_and_three(const int64_t *exponents)
{
    const struct show_power *zero = &show_powers[-SHOW_POWER_LEAST];
    __m512i powers = _mm512_zextsi128_si512(_mm_loadu_si128((const __m128i *)(const void *)(zero + exponents[0])));
    powers = _mm512_inserti64x2(powers, _mm_loadu_si128((const __m128i *)(const void *)(zero + exponents[2])), 1);
    powers = _mm512_inserti64x2(powers, _mm_loadu_si128((const __m128i *)(const void *)(zero + exponents[4])), 2);
    return _mm512_inserti64x2(powers, _mm_loadu_si128((const __m128i *)(const void *)(zero + exponents[6])), 3);
}

/* Eight powers of ten. Where gathering is slow, as it is since processors are kept from telling what it read, loads of
 * whole powers are faster; elsewhere they are no slower. */
static inline __m512i powers_of(__m512i exponents, __m512i *ret_low)
{
    int64_t each_exponent[LANES];
    _mm512_storeu_si512(each_exponent, exponents);
    __m512i even = power_and_three(each_exponent), odd = power_and_three(each_exponent + 1);
    *ret_low = _mm512_unpackhi_epi64(even, odd);
    return _mm512_unpacklo_epi64(even, odd);
}

/* Is the value, or its negative, below `most`? */
static inline __mmask8 within(__m512i value, int64_t most)
{
    return _mm512_cmplt_epu64_mask(_mm512_add_epi64(value, each(most)), each(2 * most));
}

/* The first step for eight. Returns for which it is in vain. */
static inline __mmask8 scale(__m512i bits, struct steps *steps, uint32_t row)
{
    __m512i fraction = _mm512_and_si512(bits, each((INT64_C(1) << 52) - 1));
    __m512i exponent = _mm512_and_si512(_mm512_srli_epi64(bits, 52), each(0x7ff));
    __m512i q = _mm512_sub_epi64(_mm512_min_epi64(exponent, each(1075)), each(1075));
    __m512i k = _mm512_srai_epi64(_mm512_mul_epi32(q, each(1262611)), 22);
    __m512i minus = _mm512_sub_epi64(_mm512_setzero_si512(), k);
    __m512i h = _mm512_add_epi64(_mm512_add_epi64(q, each(1)),
                                 _mm512_srai_epi64(_mm512_mul_epi32(minus, each(1741647)), 19));
    __m512i power_low, power_high = powers_of(minus, &power_low);
    __m512i c = _mm512_sllv_epi64(_mm512_or_si512(fraction, each(INT64_C(1) << 52)), h), behind;
    __m512i whole = product(power_high, power_low, c, &behind);
    _mm512_store_si512(steps->whole + row, whole);
    _mm512_store_si512(steps->behind + row, behind);
    _mm512_store_si512(steps->half + row, _mm512_srlv_epi64(power_high, _mm512_sub_epi64(each(5), h)));
    _mm512_store_si512(steps->exponents + row, k);
    return _mm512_cmpge_epu64_mask(_mm512_sub_epi64(exponent, each(1)), each(1074)) |
           _mm512_testn_epi64_mask(fraction, fraction);
}

/* The shortest decimal, of 17 digits. Returns for which there is none, or none that can be told so. */
static inline __mmask8 shorten(struct steps *steps, uint32_t row)
{
    const __m512i ten = each((int64_t)(UINT64_C(10) << 60));
    __m512i whole = _mm512_load_si512(steps->whole + row), behind = _mm512_load_si512(steps->behind + row);
    __m512i half = _mm512_load_si512(steps->half + row), digit = last_digit(whole);
    __m512i over = _mm512_or_si512(_mm512_slli_epi64(digit, 60), _mm512_srli_epi64(behind, 4));
    __m512i sum = _mm512_add_epi64(over, half);
    __mmask8 below = _mm512_cmple_epu64_mask(over, half), above = _mm512_cmpge_epu64_mask(sum, ten);
    __mmask8 others = within(_mm512_sub_epi64(over, half), 1 << 22) | within(_mm512_sub_epi64(sum, ten), 1 << 22) |
                      within(_mm512_sub_epi64(behind, each(INT64_MIN)), 1 << 26);
    __m512i digits = _mm512_add_epi64(whole, _mm512_srli_epi64(behind, 63)); /* the nearest */
    digits = _mm512_mask_sub_epi64(digits, below | above, whole, digit);
    digits = _mm512_mask_add_epi64(digits, above, digits, each(10));
    __mmask8 shorter = _mm512_cmplt_epu64_mask(digits, each(INT64_C(10000000000000000)));
    __m512i longer = _mm512_add_epi64(_mm512_slli_epi64(digits, 3), _mm512_slli_epi64(digits, 1));
    digits = _mm512_mask_mov_epi64(digits, shorter, longer);
    __m512i layout = _mm512_add_epi64(_mm512_load_si512(steps->exponents + row), each(16 - EXPONENT_LEAST));
    layout = _mm512_mask_sub_epi64(layout, shorter, layout, each(1));

    others |= _mm512_cmpgt_epu64_mask(layout, each(EXPONENT_MOST - EXPONENT_LEAST));
    __m512i low, high = eight_off(_mm512_maskz_mov_epi64((__mmask8)~others, digits), &low);
    __m512i lead = _mm512_srli_epi64(_mm512_mul_epu32(high, each(1441151881)), 57); /* / 10^8, of 9 digits */
    _mm512_store_si512(steps->high + row, _mm512_sub_epi64(high, _mm512_mul_epu32(lead, each(100000000))));
    _mm512_store_si512(steps->low + row, low);
    _mm512_store_si512(steps->leads + row, lead);
    _mm512_store_si512(steps->layouts + row, _mm512_maskz_mov_epi64((__mmask8)~others, layout));
    return others;
}

/* How the text of a number with a certain exponent is laid out. */
struct layout {
    uint8_t shuffle[16]; /* of the digits behind the first; 0x80: the point */
    uint32_t before;     /* zeros and a point before the first digit */
    uint32_t whole;      /* digits before the point that are there in any case */
    uint32_t point;      /* one more if there are more digits than those */
    uint32_t unused;
};
#define SMALL(exponent)                                                                                                \
    {                                                                                                                  \
        SHOW_SHUFFLE(16), 1 - (exponent), 0, 0, 0                                                                      \
    }
#define USUAL(exponent)                                                                                                \
    {                                                                                                                  \
        SHOW_SHUFFLE(exponent), 0, (exponent) + 1, 1, 0                                                                \
    }
static const struct layout layouts[EXPONENT_MOST - EXPONENT_LEAST + 1] __attribute__((aligned(32))) = {
    SMALL(-4), SMALL(-3), SMALL(-2), SMALL(-1), USUAL(0),  USUAL(1),  USUAL(2),  USUAL(3),  USUAL(4), USUAL(5),
    USUAL(6),  USUAL(7),  USUAL(8),  USUAL(9),  USUAL(10), USUAL(11), USUAL(12), USUAL(13), USUAL(14)};

static inline void put_double(const struct steps *steps, uint32_t i, size_t negative, struct cells *cells)
{
    const struct layout *layout = &layouts[steps->layouts[i]];
    uint64_t front;
    memcpy(&front, "-0.00000", 8);
    front >>= negative ? 0 : 8;
    char *text = cells->texts[i], *lead = text + negative + layout->before;
    uint32_t count = 32 - (uint32_t)__builtin_clz((uint32_t)steps->others[i] << 1 | 1); /* no zeros at the end */
    __m128i rest = _mm_load_si128((const __m128i *)(const void *)steps->rest[i]);
    __m128i placed = _mm_shuffle_epi8(rest, _mm_load_si128((const __m128i *)(const void *)layout->shuffle));
    memcpy(text, &front, 8);
    *lead = (char)('0' + steps->leads[i]);
    _mm_storeu_si128((__m128i *)(void *)(lead + 1), _mm_max_epu8(placed, _mm_set1_epi8('.')));
    lead[17] = steps->rest[i][15];
    uint32_t length = count > layout->whole ? count + layout->point : layout->whole;
    cells->lengths[i] = (uint8_t)(negative + layout->before + length);
}

/* Of the eight rows from `row` on, those that there are. */
static inline __mmask8 there(uint32_t count, uint32_t row)
{
    return (__mmask8)(count - row < LANES ? (1u << (count - row)) - 1 : 0xff);
}

static uint64_t wide_f64(const double *values, uint32_t count, struct cells *cells)
{
    struct steps steps;
    uint64_t others = 0, negative = 0;
    for (uint32_t row = 0; row < count; row += LANES) {
        __m512i bits = _mm512_maskz_loadu_epi64(there(count, row), values + row);
        negative |= (uint64_t)_mm512_movepi64_mask(bits) << row;
        others |= (uint64_t)(scale(bits, &steps, row) & there(count, row)) << row;
    }
    for (uint32_t row = 0; row < count; row += LANES)
        others |= (uint64_t)(shorten(&steps, row) & there(count, row)) << row;
    for (uint32_t row = 0; row < count; row += LANES)
        put_digits(&steps, row);
    for (uint32_t i = 0; i < count; i++)
        put_double(&steps, i, negative >> i & 1, cells);
    return others;
}

/* ---- Integers -----------------------------------------------------------------------------------------------------
 */

static const uint8_t shift_left[32] = {0,    1,    2,    3,    4,    5,    6,    7,    8,    9,    10,
                                       11,   12,   13,   14,   15,   0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
                                       0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80};

static void wide_i64(const int64_t *values, uint32_t count, struct cells *cells)
{
    struct steps steps;
    uint64_t others = 0, negative = 0;
    for (uint32_t row = 0; row < count; row += LANES) {
        __m512i value = _mm512_maskz_loadu_epi64(there(count, row), values + row), low;
        negative |= (uint64_t)_mm512_movepi64_mask(value) << row;
        value = _mm512_abs_epi64(value);
        __mmask8 large = _mm512_cmpge_epu64_mask(value, each(INT64_C(10000000000000000)));
        others |= (uint64_t)large << row;
        _mm512_store_si512(steps.high + row, eight_off(_mm512_maskz_mov_epi64((__mmask8)~large, value), &low));
        _mm512_store_si512(steps.low + row, low);
    }
    for (uint32_t row = 0; row < count; row += LANES)
        put_digits(&steps, row);
    for (uint32_t i = 0; i < count; i++) {
        size_t minus = negative >> i & 1;
        uint32_t first = (uint32_t)__builtin_ctz(steps.others[i] | 1u << 15);
        __m128i rest = _mm_load_si128((const __m128i *)(const void *)steps.rest[i]);
        __m128i from = _mm_loadu_si128((const __m128i *)(const void *)(shift_left + first));
        cells->texts[i][0] = '-';
        _mm_storeu_si128((__m128i *)(void *)(cells->texts[i] + minus), _mm_shuffle_epi8(rest, from));
        cells->lengths[i] = (uint8_t)(minus + 16 - first);
    }
    for (; others; others &= others - 1) {
        uint32_t i = (uint32_t)__builtin_ctzll(others);
        cells->lengths[i] = (uint8_t)encode_i64(values[i], cells->texts[i]);
    }
}

#pragma GCC pop_options

const struct show_kernels show_wide = {.name = "AVX-512", .f64 = wide_f64, .i64 = wide_i64};

bool show_wide_works(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
}
#else
const struct show_kernels show_wide = {.name = "none"};

bool show_wide_works(void)
{
    return false;
}
#endif
