/* SPDX-License-Identifier: MIT */
#include "base/units.h"
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NUMBER_LENGTH_MAX = 63 };

struct unit {
    const char *name;
    long double factor;
};

static const struct unit duration_units[] = {
    {"ns", 1.0L}, {"us", 1e3L}, {"\xc2\xb5s", 1e3L}, {"\xce\xbcs", 1e3L}, /* the micro sign, and the Greek letter */
    {"ms", 1e6L}, {"s", 1e9L},  {"m", 60e9L},        {"min", 60e9L},      {"h", 3600e9L}, {"d", 86400e9L}, {NULL, 0.0L},
};
static const struct unit size_units[] = {
    {"", 1.0L},   {"B", 1.0L},  {"KiB", 0x1p10L}, {"MiB", 0x1p20L}, {"GiB", 0x1p30L}, {"TiB", 0x1p40L},
    {"kB", 1e3L}, {"KB", 1e3L}, {"MB", 1e6L},     {"GB", 1e9L},     {"TB", 1e12L},    {NULL, 0.0L},
};
static const struct unit rate_units[] = {
    {"", 1.0L}, {"/s", 1.0L}, {"/min", 60.0L}, {"/h", 3600.0L}, {"/d", 86400.0L}, {"/ms", 1e-3L}, {NULL, 0.0L},
};

/* Reads [-+]digits[_digits][.digits][e[-+]digits] at the start of `text`. */
static int leading_number(const char *text, long double *ret, const char **ret_rest)
{
    char digits[NUMBER_LENGTH_MAX + 1];
    size_t used = 0;
    bool any = false, dot = false, exponent = false;
    char *end;

    for (;; text++) {
        char c = *text;
        bool sign = (c == '-' || c == '+') && (used == 0 || digits[used - 1] == 'e');

        if (isdigit((unsigned char)c))
            any = true;
        else if (c == '_' && any && !exponent && isdigit((unsigned char)text[-1]) && isdigit((unsigned char)text[1]))
            continue;
        else if (c == '.' && !dot && !exponent)
            dot = true;
        else if ((c == 'e' || c == 'E') && any && !exponent &&
                 (isdigit((unsigned char)text[1]) ||
                  ((text[1] == '-' || text[1] == '+') && isdigit((unsigned char)text[2]))))
            exponent = true;
        else if (!sign)
            break;
        if (used == NUMBER_LENGTH_MAX)
            return -ERANGE;
        digits[used++] = (char)(c == 'E' ? 'e' : c);
    }
    digits[used] = '\0';
    if (!any)
        return -EINVAL;
    *ret = strtold(digits, &end); /* of the C locale: nothing in weir sets another */
    *ret_rest = text;
    return *end == '\0' ? 0 : -EINVAL;
}

/* A number of at least 0 and a unit of the list, a blank between them or not. */
static int number_with_unit(const char *text, const struct unit *units, bool divide, long double *ret)
{
    long double number;
    const char *rest;
    int error = leading_number(text, &number, &rest);

    if (error < 0)
        return error;
    if (rest[0] == ' ' && rest[1] != '\0')
        rest++;
    for (const struct unit *unit = units; unit->name; unit++) {
        if (strcmp(rest, unit->name) == 0) {
            if (number < 0.0L)
                return -ERANGE;
            *ret = divide ? number / unit->factor : number * unit->factor;
            return 0;
        }
    }
    return -EINVAL;
}

static int to_integer(long double number, int64_t *ret)
{
    number = roundl(number);
    if (!(number >= -0x1p63L && number < 0x1p63L))
        return -ERANGE;
    *ret = (int64_t)number;
    return 0;
}

int units_duration(const char *text, int64_t *ret_ns)
{
    long double ns;
    int error;

    if (strcmp(text, "0") == 0) {
        *ret_ns = 0;
        return 0;
    }
    error = number_with_unit(text, duration_units, false, &ns);
    return error < 0 ? error : to_integer(ns, ret_ns);
}

int units_size(const char *text, int64_t *ret_bytes)
{
    long double bytes;
    int error = number_with_unit(text, size_units, false, &bytes);

    return error < 0 ? error : to_integer(bytes, ret_bytes);
}

int units_rate(const char *text, double *ret_per_second)
{
    long double rate;
    int error;

    if (strcmp(text, "unlimited") == 0) {
        *ret_per_second = 0.0;
        return 0;
    }
    error = number_with_unit(text, rate_units, true, &rate);
    if (error < 0)
        return error;
    if (!isfinite((double)rate))
        return -ERANGE;
    *ret_per_second = (double)rate;
    return 0;
}

int units_number(const char *text, double *ret)
{
    long double number;
    const char *rest;
    double value;
    int error = leading_number(text, &number, &rest);

    if (error < 0)
        return error;
    if (*rest != '\0')
        return -EINVAL;
    /* Once more, straight to double: by way of a long double it would be rounded twice. */
    value = strchr(text, '_') ? (double)number : strtod(text, NULL);
    if (!isfinite(value))
        return -ERANGE;
    *ret = value;
    return 0;
}

int units_integer(const char *text, int64_t *ret)
{
    long double number;
    const char *rest;
    int error = leading_number(text, &number, &rest);

    if (error < 0)
        return error;
    if (*rest != '\0' || number != roundl(number))
        return isfinite(number) ? -EINVAL : -ERANGE;
    return to_integer(number, ret);
}

/* ---- For people ------------------------------------------------------------------------------------------------- */

/* Three significant digits, as far as they are behind the point. */
static void show_scaled(double value, const char *unit, char *out, size_t size)
{
    int decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;

    snprintf(out, size, "%.*f %s", decimals, value, unit);
}

static void show_long_duration(int64_t seconds, char *out, size_t size)
{
    long long minutes = seconds / 60, hours = minutes / 60, days = hours / 24;

    if (days > 0)
        snprintf(out, size, "%lld d %lld h", days, hours % 24);
    else if (hours > 0)
        snprintf(out, size, "%lld h %02lld min", hours, minutes % 60);
    else
        snprintf(out, size, "%lld min %02lld s", minutes, (long long)seconds % 60);
}

char *units_show_duration(int64_t ns, char *out, size_t size)
{
    double value = (double)ns;

    if (size == 0)
        return out;
    if (ns < 0) {
        out[0] = '-';
        out[1 % size] = '\0';
        if (size > 2)
            units_show_duration(ns == INT64_MIN ? INT64_MAX : -ns, out + 1, size - 1);
    } else if (ns < 1000) {
        snprintf(out, size, "%d ns", (int)ns);
    } else if (value < 999.5e3) {
        show_scaled(value / 1e3, "\xc2\xb5s", out, size);
    } else if (value < 999.5e6) {
        show_scaled(value / 1e6, "ms", out, size);
    } else if (value < 59.95e9) {
        show_scaled(value / 1e9, "s", out, size);
    } else {
        show_long_duration(ns / 1000000000 + (ns % 1000000000 >= 500000000), out, size);
    }
    return out;
}

char *units_show_count(double count, char *out, size_t size)
{
    static const char *const prefixes[] = {"k", "M", "G", "T", "P", "E"};
    double magnitude = fabs(count);
    size_t prefix = 0;

    if (!isfinite(count)) {
        snprintf(out, size, "-");
    } else if (magnitude < 999.5) {
        snprintf(out, size, "%.*f", count == round(count) || magnitude >= 99.95 ? 0 : magnitude < 9.995 ? 2 : 1, count);
    } else {
        magnitude /= 1e3;
        for (; magnitude >= 999.5 && prefix + 1 < sizeof(prefixes) / sizeof(prefixes[0]); prefix++)
            magnitude /= 1e3;
        show_scaled(magnitude, prefixes[prefix], out + (count < 0 && size > 0), size - (count < 0 && size > 0));
        if (count < 0 && size > 0)
            out[0] = '-';
    }
    return out;
}

char *units_show_bytes(uint64_t bytes, char *out, size_t size)
{
    static const char *const prefixes[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double)bytes;
    size_t prefix = 0;

    if (bytes < 1000) {
        snprintf(out, size, "%u B", (unsigned)bytes);
        return out;
    }
    for (value /= 1024.0; value >= 999.5 && prefix + 1 < sizeof(prefixes) / sizeof(prefixes[0]); prefix++)
        value /= 1024.0;
    show_scaled(value, prefixes[prefix], out, size);
    return out;
}
