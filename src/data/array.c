/* SPDX-License-Identifier: MIT */
#include "data/array.h"

#include <math.h>
#include <string.h>

/* A number as it lies there → its value; `word` has its bits, in the machine's order. */
#define SAME(word) (word)

#define NAMED_LOAD(name, type, bits_type, swap)                                                                        \
    static inline type name(const void *data, size_t index)                                                            \
    {                                                                                                                  \
        bits_type bits;                                                                                                \
        type value;                                                                                                    \
        memcpy(&bits, (const char *)data + index * sizeof bits, sizeof bits);                                          \
        bits = swap(bits);                                                                                             \
        memcpy(&value, &bits, sizeof value);                                                                           \
        return value;                                                                                                  \
    }
NAMED_LOAD(load_f64, double, uint64_t, SAME)
NAMED_LOAD(load_i64, int64_t, uint64_t, SAME)
NAMED_LOAD(load_f32, float, uint32_t, SAME)
NAMED_LOAD(load_i32, int32_t, uint32_t, SAME)
NAMED_LOAD(load_i16, int16_t, uint16_t, SAME)
NAMED_LOAD(load_i8, int8_t, uint8_t, SAME)
NAMED_LOAD(load_u64, uint64_t, uint64_t, SAME)
NAMED_LOAD(load_u32, uint32_t, uint32_t, SAME)
NAMED_LOAD(load_u16, uint16_t, uint16_t, SAME)
NAMED_LOAD(load_u8, uint8_t, uint8_t, SAME)
NAMED_LOAD(load_f64_be, double, uint64_t, __builtin_bswap64)
NAMED_LOAD(load_i64_be, int64_t, uint64_t, __builtin_bswap64)
NAMED_LOAD(load_f32_be, float, uint32_t, __builtin_bswap32)
NAMED_LOAD(load_i32_be, int32_t, uint32_t, __builtin_bswap32)
NAMED_LOAD(load_i16_be, int16_t, uint16_t, __builtin_bswap16)
NAMED_LOAD(load_u64_be, uint64_t, uint64_t, __builtin_bswap64)
NAMED_LOAD(load_u32_be, uint32_t, uint32_t, __builtin_bswap32)
NAMED_LOAD(load_u16_be, uint16_t, uint16_t, __builtin_bswap16)

/* Runs X(load) for the type and byte order that there are; one branch for a whole array. */
#define DISPATCH(element, X)                                                                                           \
    switch ((element) & (WEIR_ELEMENT_TYPE | WEIR_ELEMENT_BIG_ENDIAN)) {                                               \
        CASES(F64, f64, X)                                                                                             \
        CASES(I64, i64, X)                                                                                             \
        CASES(F32, f32, X)                                                                                             \
        CASES(I32, i32, X)                                                                                             \
        CASES(I16, i16, X)                                                                                             \
        CASES(U64, u64, X)                                                                                             \
        CASES(U32, u32, X)                                                                                             \
        CASES(U16, u16, X)                                                                                             \
    case WEIR_ELEMENT_I8:                                                                                              \
    case WEIR_ELEMENT_I8 | WEIR_ELEMENT_BIG_ENDIAN:                                                                    \
        X(load_i8);                                                                                                    \
        break;                                                                                                         \
    case WEIR_ELEMENT_U8:                                                                                              \
    case WEIR_ELEMENT_U8 | WEIR_ELEMENT_BIG_ENDIAN:                                                                    \
        X(load_u8);                                                                                                    \
        break;                                                                                                         \
    default:                                                                                                           \
        break;                                                                                                         \
    }
#define CASES(id, name, X)                                                                                             \
    case WEIR_ELEMENT_##id:                                                                                            \
        X(load_##name);                                                                                                \
        break;                                                                                                         \
    case WEIR_ELEMENT_##id | WEIR_ELEMENT_BIG_ENDIAN:                                                                  \
        X(load_##name##_be);                                                                                           \
        break;

void array_read_f64(uint8_t element, const void *data, size_t first, size_t count, double *restrict out)
{
#define READ(load)                                                                                                     \
    for (size_t i = 0; i < count; i++)                                                                                 \
    out[i] = (double)load(data, first + i)
    DISPATCH(element, READ)
#undef READ
    if ((element & WEIR_ELEMENT_TYPE) == WEIR_ELEMENT_I64) {
        for (size_t i = 0; i < count; i++)
            out[i] = out[i] == (double)INT64_MIN ? (double)NAN : out[i];
    }
}

void array_read_f32(uint8_t element, const void *data, size_t first, size_t count, float *restrict out)
{
#define READ(load)                                                                                                     \
    for (size_t i = 0; i < count; i++)                                                                                 \
    out[i] = (float)load(data, first + i)
    DISPATCH(element, READ)
#undef READ
    if ((element & WEIR_ELEMENT_TYPE) == WEIR_ELEMENT_I64) {
        for (size_t i = 0; i < count; i++)
            out[i] = out[i] == (float)INT64_MIN ? NAN : out[i];
    }
}

struct array_number array_number(uint8_t element, const void *data, size_t index)
{
    struct array_number number = {.kind = ARRAY_NULL};
    if (array_is_float(element)) {
        array_read_f64(element, data, index, 1, &number.f);
        bool single = (element & WEIR_ELEMENT_TYPE) == WEIR_ELEMENT_F32;
        number.kind = isnan(number.f) ? ARRAY_NULL : single ? ARRAY_SINGLE : ARRAY_FLOAT;
    } else if (array_is_unsigned(element)) {
#define READ(load) number.u = (uint64_t)load(data, index)
        DISPATCH(element, READ)
#undef READ
        number.kind = ARRAY_UNSIGNED;
    } else {
#define READ(load) number.i = (int64_t)load(data, index)
        DISPATCH(element, READ)
#undef READ
        bool null = (element & WEIR_ELEMENT_TYPE) == WEIR_ELEMENT_I64 && number.i == WEIR_I64_NULL;
        number.kind = null ? ARRAY_NULL : ARRAY_SIGNED;
    }
    return number;
}

void array_set_null(uint8_t element, void *data, size_t first, size_t count)
{
    static const double nan = NAN;
    static const float nan_single = NAN;
    static const int64_t null_integer = WEIR_I64_NULL;
    size_t size = weir_element_size(element & WEIR_ELEMENT_TYPE);
    unsigned char bytes[8] = {0};
    switch (element & WEIR_ELEMENT_TYPE) {
    case WEIR_ELEMENT_F64:
        memcpy(bytes, &nan, sizeof nan);
        break;
    case WEIR_ELEMENT_F32:
        memcpy(bytes, &nan_single, sizeof nan_single);
        break;
    case WEIR_ELEMENT_I64:
        memcpy(bytes, &null_integer, sizeof null_integer);
        break;
    default:
        break;
    }
    for (size_t i = 0; i < size / 2 && element & WEIR_ELEMENT_BIG_ENDIAN; i++) {
        unsigned char byte = bytes[i];
        bytes[i] = bytes[size - 1 - i];
        bytes[size - 1 - i] = byte;
    }
    for (size_t i = 0; i < count; i++)
        memcpy((char *)data + (first + i) * size, bytes, size);
}

/* ---- Sums ------------------------------------------------------------------------------------------------------ */

enum { PIECE = 4096 }; /* so many squares of 16 bits, or four times as many of 8, fit into a sum of 64 bits by far */

/* Squares of up to 16 bits in 32: products of 8 bits would do with less, but widening costs nothing here. */
#define SUM_NARROW(load)                                                                                               \
    do {                                                                                                               \
        int64_t piece_sum = 0, piece_squares = 0;                                                                      \
        for (size_t i = 0; i < size; i++) {                                                                            \
            int64_t value = load(data, at + i);                                                                        \
            piece_sum += value;                                                                                        \
            piece_squares += (int64_t)((uint64_t)value * (uint64_t)value);                                             \
        }                                                                                                              \
        sum += piece_sum;                                                                                              \
        squares += (unsigned __int128)(uint64_t)piece_squares;                                                         \
    } while (0)

static bool is_narrow(uint8_t element)
{
    return !array_is_float(element) && weir_element_size(element & WEIR_ELEMENT_TYPE) <= 2;
}

static struct array_sums sums_narrow(uint8_t element, const void *data, size_t first, size_t count)
{
    __int128 sum = 0;
    unsigned __int128 squares = 0;
    for (size_t at = first, size; at < first + count; at += size) {
        size = first + count - at < PIECE ? first + count - at : PIECE;
        DISPATCH(element, SUM_NARROW)
    }
    return (struct array_sums){.count = count, .sum = (double)sum, .squares = (double)squares};
}

/* Integers of 32 bits have squares of 64: each is added to 128 bits. */
static struct array_sums sums_wide(uint8_t element, const void *data, size_t first, size_t count)
{
    __int128 sum = 0;
    unsigned __int128 squares = 0;
#define SUM(load)                                                                                                      \
    for (size_t i = first; i < first + count; i++) {                                                                   \
        __int128 value = load(data, i);                                                                                \
        sum += value;                                                                                                  \
        squares += (unsigned __int128)(value * value);                                                                 \
    }
    switch (element & (WEIR_ELEMENT_TYPE | WEIR_ELEMENT_BIG_ENDIAN)) {
        CASES(I32, i32, SUM)
        CASES(U32, u32, SUM)
    default:
        break;
    }
#undef SUM
    return (struct array_sums){.count = count, .sum = (double)sum, .squares = (double)squares};
}

/* Floats, and integers whose squares do not fit: pieces are summed in eight lanes, pieces pairwise enough. */
static struct array_sums sums_float(uint8_t element, const void *data, size_t first, size_t count)
{
    enum { LANES = 8, VALUES = 512 };
    struct array_sums all = {0};
    double values[VALUES];
    for (size_t at = first, size; at < first + count; at += size) {
        double sum[LANES] = {0}, squares[LANES] = {0};
        size = first + count - at < VALUES ? first + count - at : VALUES;
        array_read_f64(element, data, at, size, values);
        size_t good = 0;
        for (size_t i = 0; i < size; i++) { /* compacts: nulls are left out */
            values[good] = values[i];
            good += values[i] == values[i];
        }
        for (size_t i = good; i < VALUES && i % LANES != 0; i++)
            values[i] = 0;
        for (size_t i = 0; i < good; i += LANES) {
            for (size_t lane = 0; lane < LANES; lane++) {
                sum[lane] += values[i + lane];
                squares[lane] += values[i + lane] * values[i + lane];
            }
        }
        for (size_t half = LANES / 2; half > 0; half /= 2) {
            for (size_t lane = 0; lane < half; lane++) {
                sum[lane] += sum[lane + half];
                squares[lane] += squares[lane + half];
            }
        }
        all.count += good;
        all.sum += sum[0];
        all.squares += squares[0];
    }
    return all;
}

struct array_sums array_sums(uint8_t element, const void *data, size_t first, size_t count)
{
    uint8_t type = element & WEIR_ELEMENT_TYPE;
    if (is_narrow(element))
        return sums_narrow(element, data, first, count);
    return type == WEIR_ELEMENT_I32 || type == WEIR_ELEMENT_U32 ? sums_wide(element, data, first, count)
                                                                : sums_float(element, data, first, count);
}
