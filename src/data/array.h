/* SPDX-License-Identifier: MIT */
/*
 * The numbers in arrays, of whatever type, byte order and address. Pure, thread-safe.
 *
 * Functions count single numbers: a complex element is two of them. `element` is that of the field (enum weir_element).
 */
#ifndef DATA_ARRAY_H
#define DATA_ARRAY_H
#include <weir/schema.h>

static inline uint32_t array_numbers_each(uint8_t element)
{
    return element & WEIR_ELEMENT_COMPLEX ? 2 : 1;
}
static inline bool array_is_float(uint8_t element)
{
    uint8_t type = element & WEIR_ELEMENT_TYPE;
    return type == WEIR_ELEMENT_F64 || type == WEIR_ELEMENT_F32;
}
static inline bool array_is_unsigned(uint8_t element)
{
    return (element & WEIR_ELEMENT_TYPE) >= WEIR_ELEMENT_U64;
}

/* Numbers [first, first + count) of those at data. Null i64 become NaN; integers over 2^53 are rounded. */
void array_read_f64(uint8_t element, const void *data, size_t first, size_t count, double *out);
/* The same as floats. */
void array_read_f32(uint8_t element, const void *data, size_t first, size_t count, float *out);

/* Number `index`, exactly. */
struct array_number {
    enum { ARRAY_NULL, ARRAY_FLOAT, ARRAY_SINGLE, ARRAY_SIGNED, ARRAY_UNSIGNED } kind;
    union {
        double f;   /* FLOAT, SINGLE */
        int64_t i;  /* SIGNED */
        uint64_t u; /* UNSIGNED */
    };
};
struct array_number array_number(uint8_t element, const void *data, size_t index);

/* Sets numbers [first, first + count) to null, or 0 where the type has none. */
void array_set_null(uint8_t element, void *data, size_t first, size_t count);

/* Sums of the numbers and of their squares; integers of up to 32 bits are added up exactly. Nulls are left out. */
struct array_sums {
    size_t count;
    double sum, squares;
};
struct array_sums array_sums(uint8_t element, const void *data, size_t first, size_t count);
#endif
