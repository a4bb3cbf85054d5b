/* SPDX-License-Identifier: MIT */
#include "wire/spead_scalar.h"

bool spead_scalar_of(const struct spead_descriptor *descriptor, struct spead_scalar *ret)
{
    struct spead_element element = descriptor->element;
    if (descriptor->numpy || descriptor->fields == 1) {
        bool complex = element.kind == 'z' || element.pair;
        if (element.kind == 0 || element.bits == 0)
            return false;
        *ret = (struct spead_scalar){.kind = element.kind == 'z' ? 'f' : element.kind,
                                     .bits = complex ? element.bits / 2 : element.bits,
                                     .little_endian = element.little_endian,
                                     .in_element = complex ? 2 : 1};
        return true;
    }
    for (uint32_t i = 1; i < descriptor->fields; i++) {
        if (descriptor->format[i].code != descriptor->format[0].code ||
            descriptor->format[i].bits != descriptor->format[0].bits)
            return false;
    }
    *ret = (struct spead_scalar){
        .kind = descriptor->format[0].code, .bits = descriptor->format[0].bits, .in_element = descriptor->fields};
    return descriptor->fields > 0;
}

/* The bits of scalar `index`, right-justified. */
static uint64_t load_bits(struct spead_scalar scalar, const uint8_t *data, uint64_t index)
{
    unsigned bytes = scalar.bits / 8;
    uint64_t word = 0;
    if (scalar.bits % 8 == 0) {
        const uint8_t *at = data + index * bytes;
        if (!scalar.little_endian)
            return spead_load_bytes(at, bytes);
        for (unsigned i = bytes; i-- > 0;)
            word = word << 8 | at[i];
        return word;
    }
    for (uint64_t bit = index * scalar.bits; bit < (index + 1) * scalar.bits; bit++)
        word = word << 1 | (data[bit / 8] >> (7 - bit % 8) & 1);
    return word;
}

static int64_t extend(struct spead_scalar scalar, uint64_t word)
{
    unsigned unused = 64u - scalar.bits;
    if (scalar.kind != 'i' || scalar.bits == 64)
        return (int64_t)word;
    return (int64_t)(word << unused) >> unused;
}

static double half_to_double(uint16_t half)
{
    int exponent = half >> 10 & 31, mantissa = half & 1023;
    double sign = half >> 15 ? -1 : 1;
    if (exponent == 31)
        return mantissa ? __builtin_nan("") : sign * __builtin_inf();
    return sign * (exponent ? __builtin_ldexp(1024 + mantissa, exponent - 25) : __builtin_ldexp(mantissa, -24));
}

static double float_of(struct spead_scalar scalar, uint64_t word)
{
    uint32_t single = (uint32_t)word;
    float small;
    double large;
    if (scalar.bits == 16)
        return half_to_double((uint16_t)word);
    if (scalar.bits == 32) {
        memcpy(&small, &single, sizeof small);
        return (double)small;
    }
    memcpy(&large, &word, sizeof large);
    return large;
}

/* Loops that the compiler vectorises, for the widths that there mostly are. */
#define LOOP(type, swap)                                                                                               \
    do {                                                                                                               \
        const uint8_t *at = (const uint8_t *)data + first * sizeof(type);                                              \
        for (uint64_t i = 0; i < count; i++) {                                                                         \
            type word;                                                                                                 \
            memcpy(&word, at + i * sizeof word, sizeof word);                                                          \
            out[i] = (double)(swap);                                                                                   \
        }                                                                                                              \
        return;                                                                                                        \
    } while (0)

void spead_scalars_f64(struct spead_scalar scalar, const void *data, uint64_t first, uint64_t count, double *out)
{
    bool little = scalar.little_endian;
    if (scalar.kind == 'i' && scalar.bits == 8)
        LOOP(int8_t, word);
    if (scalar.kind == 'u' && scalar.bits == 8)
        LOOP(uint8_t, word);
    if (scalar.kind == 'i' && scalar.bits == 16 && little)
        LOOP(int16_t, word);
    if (scalar.kind == 'i' && scalar.bits == 16)
        LOOP(uint16_t, (int16_t)__builtin_bswap16(word));
    if (scalar.kind == 'u' && scalar.bits == 16 && little)
        LOOP(uint16_t, word);
    if (scalar.kind == 'i' && scalar.bits == 32 && little)
        LOOP(int32_t, word);
    if (scalar.kind == 'f' && scalar.bits == 32 && little)
        LOOP(float, word);
    if (scalar.kind == 'f' && scalar.bits == 64 && little)
        LOOP(double, word);
    for (uint64_t i = 0; i < count; i++) {
        uint64_t word = load_bits(scalar, data, first + i);
        int64_t integer = extend(scalar, word);
        out[i] = scalar.kind == 'f' ? float_of(scalar, word) : scalar.kind == 'i' ? (double)integer : (double)word;
    }
}

void spead_scalars_i64(struct spead_scalar scalar, const void *data, uint64_t first, uint64_t count, int64_t *out)
{
    for (uint64_t i = 0; i < count; i++) {
        uint64_t word = load_bits(scalar, data, first + i);
        double number = scalar.kind == 'f' ? float_of(scalar, word) : 0;
        if (scalar.kind != 'f')
            out[i] = extend(scalar, word);
        else
            out[i] = number > -0x1p63 && number < 0x1p63 ? (int64_t)number : INT64_MIN;
    }
}

int64_t spead_scalar_immediate(struct spead_scalar scalar, uint64_t value)
{
    if (scalar.bits < 64)
        value &= (UINT64_C(1) << scalar.bits) - 1;
    if (scalar.little_endian && scalar.bits % 8 == 0 && scalar.bits > 0)
        value = __builtin_bswap64(value) >> (64 - scalar.bits);
    return extend(scalar, value);
}
