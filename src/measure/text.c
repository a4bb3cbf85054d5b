/* SPDX-License-Identifier: MIT */
#include "measure/text.h"

#include <stdio.h>

#include "base/units.h"

char *text_count(uint64_t number, char *out, size_t size)
{
    char digits[24];
    int length = snprintf(digits, sizeof digits, "%llu", (unsigned long long)number);
    size_t used = 0;
    for (int i = 0; i < length && used + 2 < size; i++) {
        if (i > 0 && (length - i) % 3 == 0) {
            out[used++] = ',';
        }
        out[used++] = digits[i];
    }
    out[used] = '\0';
    return out;
}

char *text_rate(double per_second, char *out, size_t size)
{
    if (per_second >= 999.5 && per_second < 99999.5) {
        return text_count((uint64_t)(per_second + 0.5), out, size);
    }
    return units_show_count(per_second, out, size);
}

size_t text_columns(const char *text)
{
    size_t columns = 0;
    for (; *text; text++) {
        columns += ((unsigned char)*text & 0xc0) != 0x80;
    }
    return columns;
}
