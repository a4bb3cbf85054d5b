/* SPDX-License-Identifier: MIT */
/* How far back a stage looks: so many records, or so much time. */
#ifndef PARTS_EXTENT_H
#define PARTS_EXTENT_H
#include <errno.h>
#include <stdint.h>

#include "base/units.h"

/* "10" or "30s"; the other one becomes 0. -EINVAL: neither, or none at all. */
static inline int extent_read(const char *text, int64_t *ret_records, int64_t *ret_span)
{
    *ret_records = *ret_span = 0;
    if (units_integer(text, ret_records) == 0)
        return *ret_records >= 1 ? 0 : -EINVAL;
    return units_duration(text, ret_span) == 0 && *ret_span >= 1 ? 0 : -EINVAL;
}
#endif
