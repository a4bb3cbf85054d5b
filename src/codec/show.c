/* SPDX-License-Identifier: MIT */
#include "codec/show.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "codec/codec.h"
#include "codec/encode.h"
#include "codec/ndjson_simdjson.h"
#include "codec/show_digits.h"

/* ---- The shortest decimal -----------------------------------------------------------------------------------------
 */

/* The upper 64 bits of power · value / 2^64; what is cut off is told by the lowest bit. */
static inline uint64_t product(const struct show_power *power, uint64_t value)
{
    unsigned __int128 low = (unsigned __int128)power->low * value;
    unsigned __int128 sum = (unsigned __int128)power->high * value + (uint64_t)(low >> 64);
    return (uint64_t)(sum >> 64) | ((uint64_t)sum > 1);
}

/* Names as in the paper: value = c · 2^q; v, and l and r half way to the neighbours, are four times as large here. */
struct show_decimal show_shortest(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint64_t fraction = bits & ((UINT64_C(1) << 52) - 1);
    int32_t exponent = (int32_t)(bits >> 52);
    uint64_t c = exponent > 0 ? fraction | UINT64_C(1) << 52 : fraction;
    int32_t q = (exponent > 0 ? exponent : 1) - 1075;
    const bool closer = fraction == 0 && exponent > 1; /* the neighbour below is half as far away as the one above */
    const uint64_t odd = c & 1;                        /* then the ends of the interval read back as the neighbours */

    int32_t k = (q * 1262611 - (closer ? 524031 : 0)) >> 22; /* ⌊log10(2^q)⌋, or of ¾ · 2^q */
    int32_t h = q + (-k * 1741647 >> 19) + 1;                /* 1 … 4 */
    const struct show_power *power = &show_powers[-k - SHOW_POWER_LEAST];
    uint64_t l = product(power, (4 * c - 2 + closer) << h) + odd;
    uint64_t v = product(power, (4 * c) << h);
    uint64_t r = product(power, (4 * c + 2) << h) - odd;

    /* Without branches: how many digits will do is as good as random. */
    uint64_t s = v / 4, ten = s / 10 * 10;
    uint64_t ten_below = l <= 4 * ten, ten_above = 4 * ten + 40 <= r;
    uint64_t below = l <= 4 * s, above = 4 * s + 4 <= r;
    uint64_t nearest = s + ((v > 4 * s + 2) | ((v == 4 * s + 2) & (s & 1)));
    uint64_t digits = below != above ? s + above : nearest;
    digits = (ten_below != ten_above) & (ten > 0) ? ten + ten_above * 10 : digits;
    if (__builtin_expect(digits == show_integers[SHOW_DIGITS], 0))
        return (struct show_decimal){show_integers[SHOW_DIGITS - 1], k + 1};
    return (struct show_decimal){digits, k};
}

/* ---- Numbers as text ----------------------------------------------------------------------------------------------
 */

static size_t put_integer(uint64_t value, char *out)
{
    if (value < show_integers[16])
        return put_short(value, out);
    uint64_t high = value / show_integers[16];
    size_t length = put_short(high, out);
    (void)put_digits(value - high * show_integers[16], 16, out + length);
    return length + 16;
}

size_t encode_i64(int64_t value, char *out)
{
    bool negative = value < 0;
    *out = '-';
    return negative + put_integer(negative ? -(uint64_t)value : (uint64_t)value, out + negative);
}

/* How many digits a value from 1 to 10^17 has. */
static inline uint32_t length_of(uint64_t value)
{
    uint32_t length = (uint32_t)(64 - __builtin_clzll(value)) * 1233 >> 12;
    return length + (value >= show_integers[length]);
}

/* d.ddde±xx */
static size_t put_scientific(uint64_t lead, uint64_t rest, int32_t exponent, char *out)
{
    out[0] = (char)('0' + lead);
    uint32_t count = put_digits(rest, 0, out + 1);
    size_t length = count > 0 ? count + 2 : 1;
    uint32_t size = (uint32_t)(exponent < 0 ? -exponent : exponent);
    out[length++] = 'e';
    out[length++] = exponent < 0 ? '-' : '+';
    if (size >= 100)
        out[length++] = (char)('0' + size / 100);
    out[length++] = (char)('0' + size / 10 % 10);
    out[length++] = (char)('0' + size % 10);
    return length;
}

/* Exponents are written where they make the text shorter, and for less than six decimals never. */
static inline size_t put_decimal(struct show_decimal decimal, char *out)
{
    bool usual = decimal.digits >= show_integers[15]; /* else of a number below 2^-1022 */
    uint32_t length = usual ? 16 + (decimal.digits >= show_integers[16]) : length_of(decimal.digits), count;
    int32_t exponent = decimal.exponent + (int32_t)length - 1; /* of the first digit */
    uint64_t digits = decimal.digits * show_integers[SHOW_DIGITS - length];
    uint64_t lead = digits / show_integers[SHOW_DIGITS - 1], rest = digits - lead * show_integers[SHOW_DIGITS - 1];
    if (exponent >= -5 && exponent <= 15) {
        /* Without branches: values about 1 are above and below it as they please. */
        const int32_t zeros = exponent < 0 ? -exponent : 0, point = exponent < 0 ? 16 : exponent;
        memcpy(out, "0.000000", 8);
        out[zeros + (zeros > 0)] = (char)('0' + lead);
        count = 1 + put_digits(rest, point, out + zeros + (zeros > 0) + 1);
        uint32_t whole = exponent < 0 ? 0 : (uint32_t)exponent + 1;
        if ((exponent > -5 || count <= 2) && (exponent < 15 || count >= 11))
            return (count > whole ? count + 1 : whole) + (uint32_t)zeros;
    }
    return put_scientific(lead, rest, exponent, out);
}

/* Of all decimals with at most 15 digits only one is nearest to a given double, so if m / 10^6 with an integer m below
 * 10^15 gives the value back, it is the shortest. */
static inline bool is_short(double value, uint64_t *ret_millionths)
{
    double scaled = value * 1e6;
    if (!(scaled < 1e15))
        return false;
    int64_t mantissa = (int64_t)(scaled + 0.5);
    *ret_millionths = (uint64_t)mantissa;
    return (double)mantissa / 1e6 == value && (mantissa >= 10 || mantissa == 0);
}

size_t codec_show_f64(double value, char out[32])
{
    double magnitude = fabs(value);
    size_t negative = signbit(value) != 0;
    uint64_t millionths;
    *out = '-';
    out += negative;
    if (is_short(magnitude, &millionths))
        return negative + put_millionths(millionths, out);
    if (magnitude < 0x1p53 || (magnitude >= 1e23 && magnitude <= DBL_MAX)) {
        struct show_decimal decimal;
        if (!show_shortest_usual(magnitude, &decimal))
            decimal = show_shortest(magnitude);
        return negative + put_decimal(decimal, out);
    }
    return number_to_text(value, out - negative); /* all digits of large integers, and what is no number */
}
