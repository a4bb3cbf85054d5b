/* SPDX-License-Identifier: MIT */
/*
 * Private to codec/: numbers → text, without branches on the digits.
 *
 * The shortest decimal of a double is found by the method of Raffaello Giulietti, "The Schubfach way to render
 * doubles" (2020): three products with a power of ten of 128 bits say between which two decimals of 16 or 17 digits the
 * value lies, and whether a shorter one lies in the interval of all that read back as the same double. Decimals of few
 * digits, which sensors write, are recognised before that by one multiplication and one division.
 *
 * Both leave 17 digits, which become text all at once in a vector of 16; where the trailing zeros begin is read off it,
 * and the decimal point is shuffled in.
 */
#ifndef CODEC_SHOW_H
#define CODEC_SHOW_H
#include <stdint.h>

/* 10^k · 2^s, rounded up, with s such that the highest bit is set. */
struct show_power {
    uint64_t high, low;
};
enum { SHOW_POWER_LEAST = -292, SHOW_POWER_MOST = 324 };
extern const struct show_power show_powers[SHOW_POWER_MOST - SHOW_POWER_LEAST + 1];

/* A decimal, digits · 10^exponent with digits below 10^17; not 0. */
struct show_decimal {
    uint64_t digits;
    int32_t exponent;
};
/* The shortest that reads back as `value`, and of these the nearest to it; there may be zeros at its end. The value is
 * finite and above 0. */
struct show_decimal show_shortest(double value);
#endif
