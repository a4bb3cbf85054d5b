/* SPDX-License-Identifier: MIT */
#include "codec/show_column.h"

#include <math.h>

#include "codec/encode.h"
#include "codec/show_digits.h"

#ifdef __SSE4_1__

/* ---- Decimals of few digits ---------------------------------------------------------------------------------------
 */

enum { SHORT_STEP = 8 }; /* values looked at before it is seen that there are others */

/* Are all of them m / 10^6, with an m below 10^15 (the shortest decimal then: see show.c), and no exponent needed? */
static bool all_short(const double *values, uint32_t count, uint64_t *millionths)
{
    for (uint32_t begin = 0; begin < count; begin += SHORT_STEP) {
        uint32_t end = count - begin < SHORT_STEP ? count : begin + SHORT_STEP;
        bool others = false;
        for (uint32_t i = begin; i < end; i++) {
            double magnitude = fabs(values[i]), scaled = magnitude * 1e6, sum = scaled + 0x1p52;
            double rounded = sum - 0x1p52;
            uint64_t bits;
            memcpy(&bits, &sum, sizeof bits);
            millionths[i] = bits & ((UINT64_C(1) << 52) - 1);
            others |= !(scaled < 1e15) | (rounded / 1e6 != magnitude) | ((rounded < 10) & (rounded > 0));
        }
        if (others)
            return false;
    }
    return true;
}

static void put_all_short(const double *values, const uint64_t *millionths, uint32_t count, struct cells *cells)
{
    for (uint32_t i = 0; i < count; i++) {
        size_t negative = signbit(values[i]) != 0;
        cells->texts[i][0] = '-';
        cells->lengths[i] = (uint8_t)(negative + put_millionths(millionths[i], cells->texts[i] + negative));
    }
}

/* ---- Decimals of any number of digits ------------------------------------------------------------------------------
 */

enum {
    POINT_LEAST = -4,
    POINT_MOST = 14
}; /* exponents of the first digit that are not written, with a digit to spare */

static const uint8_t shuffles[17][16] __attribute__((aligned(16))) = {
    SHOW_SHUFFLE(0),  SHOW_SHUFFLE(1),  SHOW_SHUFFLE(2),  SHOW_SHUFFLE(3),  SHOW_SHUFFLE(4),  SHOW_SHUFFLE(5),
    SHOW_SHUFFLE(6),  SHOW_SHUFFLE(7),  SHOW_SHUFFLE(8),  SHOW_SHUFFLE(9),  SHOW_SHUFFLE(10), SHOW_SHUFFLE(11),
    SHOW_SHUFFLE(12), SHOW_SHUFFLE(13), SHOW_SHUFFLE(14), SHOW_SHUFFLE(15), SHOW_SHUFFLE(16),
};

/* A decimal of 17 digits, the first of which stands for 10^exponent. */
static inline size_t put_usual(uint64_t digits, int32_t exponent, char *out)
{
    uint64_t lead = digits / show_integers[SHOW_DIGITS - 1], rest = digits - lead * show_integers[SHOW_DIGITS - 1];
    const __m128i zero = _mm_set1_epi8('0');
    __m128i values = digits_of(rest), texts = _mm_add_epi8(values, zero);
    uint32_t zeros = (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(values, _mm_setzero_si128()));
    uint32_t count = 32 - (uint32_t)__builtin_clz((~zeros & 0xffff) << 1 | 1); /* without zeros at the end */

    bool small = exponent < 0;
    uint32_t before = small ? (uint32_t)(1 - exponent) : 0, point = small ? 16 : (uint32_t)exponent;
    __m128i placed = _mm_shuffle_epi8(texts, _mm_load_si128((const __m128i *)(const void *)shuffles[point]));
    placed = _mm_max_epu8(placed, _mm_set1_epi8('.'));
    memcpy(out, "0.00000", 8);
    out[before] = (char)('0' + lead);
    _mm_storeu_si128((__m128i *)(void *)(out + before + 1), placed);
    out[before + 17] = (char)_mm_extract_epi8(texts, 15);
    uint32_t whole = point + 1;
    return before + (count > whole ? count + 1 : small ? count : whole);
}

static uint64_t put_all_usual(const double *values, uint32_t count, struct cells *cells)
{
    struct show_decimal decimals[CELL_ROWS];
    uint64_t others = 0;
    for (uint32_t i = 0; i < count; i++)
        others |= (uint64_t)!show_shortest_usual(fabs(values[i]), &decimals[i]) << i;
    for (uint32_t i = 0; i < count; i++) {
        bool shorter = decimals[i].digits < show_integers[SHOW_DIGITS - 1];
        int32_t exponent = decimals[i].exponent + SHOW_DIGITS - 1 - shorter;
        bool fits = (exponent >= POINT_LEAST) & (exponent <= POINT_MOST);
        others |= (uint64_t)!fits << i;
        size_t negative = signbit(values[i]) != 0;
        cells->texts[i][0] = '-';
        uint64_t digits = decimals[i].digits * (shorter ? 10 : 1);
        cells->lengths[i] = (uint8_t)(negative + put_usual(digits, fits ? exponent : 0, cells->texts[i] + negative));
    }
    return others;
}

static uint64_t plain_f64(const double *values, uint32_t count, struct cells *cells)
{
    uint64_t millionths[CELL_ROWS];
    if (!all_short(values, count, millionths))
        return put_all_usual(values, count, cells);
    put_all_short(values, millionths, count, cells);
    return 0;
}

#else

/* Nothing is gained by rows side by side. */
static uint64_t plain_f64(const double *values, uint32_t count, struct cells *cells)
{
    (void)values;
    (void)cells;
    return count < 64 ? (UINT64_C(1) << count) - 1 : UINT64_MAX;
}
#endif

static void plain_i64(const int64_t *values, uint32_t count, struct cells *cells)
{
    for (uint32_t i = 0; i < count; i++) {
        uint64_t magnitude = values[i] < 0 ? -(uint64_t)values[i] : (uint64_t)values[i];
        size_t negative = values[i] < 0;
        char *text = cells->texts[i];
        *text = '-';
        bool usual = magnitude < show_integers[16];
        cells->lengths[i] = (uint8_t)(usual ? negative + put_short(magnitude, text + negative)
                                            : encode_i64(values[i], text));
    }
}

const struct show_kernels show_plain = {.name = "plain", .f64 = plain_f64, .i64 = plain_i64};
