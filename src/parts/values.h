/* SPDX-License-Identifier: MIT */
/* Single values of columns of any type, for stages that keep some: as 8 bytes, where they fit; and nulls. */
#ifndef PARTS_VALUES_H
#define PARTS_VALUES_H
#include <math.h>
#include <string.h>
#include <weir/schema.h>

#include "data/array.h"

/* The 8 bytes of a type that are null; not for text and arrays. */
static inline uint64_t value_null_of(enum weir_type type)
{
    static const double nan = NAN;
    uint64_t bits = 0;
    if (type == WEIR_F64)
        memcpy(&bits, &nan, sizeof bits);
    return type == WEIR_F64 ? bits : type == WEIR_BOOL ? WEIR_BOOL_NULL : type == WEIR_SYMBOL ? 0 : 1ULL << 63;
}

static inline uint64_t value_read_bits(const struct weir_field *field, const void *column, uint32_t row)
{
    uint64_t bits = 0; /* little-endian: a narrow value is the low bytes */
    size_t width = weir_field_width(field);
    memcpy(&bits, (const char *)column + row * width, width);
    return bits;
}

static inline void value_write_bits(const struct weir_field *field, void *column, uint32_t row, uint64_t bits)
{
    size_t width = weir_field_width(field);
    memcpy((char *)column + row * width, &bits, width);
}

static inline bool value_is_null(enum weir_type type, uint64_t bits)
{
    double number;
    memcpy(&number, &bits, sizeof number);
    return type == WEIR_F64 ? isnan(number) : bits == value_null_of(type);
}

static inline void value_set_null(const struct weir_field *field, void *column, uint32_t row)
{
    if (field->type == WEIR_TEXT)
        ((struct weir_text *)column)[row] = (struct weir_text){0};
    else if (field->type == WEIR_ARRAY)
        array_set_null(field->element, column, (size_t)row * field->elements * array_numbers_each(field->element),
                       (size_t)field->elements * array_numbers_each(field->element));
    else
        value_write_bits(field, column, row, value_null_of(field->type));
}
#endif
