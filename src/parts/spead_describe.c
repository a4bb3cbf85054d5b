/* SPDX-License-Identifier: MIT */
#include "parts/spead_describe.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- Text ------------------------------------------------------------------------------------------------------- */

static bool take_number(const char **text, int base, uint64_t most, uint64_t *ret)
{
    char *end;
    if (!isdigit((unsigned char)**text))
        return false;
    errno = 0;
    *ret = strtoull(*text, &end, base);
    bool good = errno == 0 && *ret <= most;
    *text = end;
    return good;
}

static bool take_word(const char **text, const char *word)
{
    size_t length = strlen(word);
    if (strncmp(*text, word, length) != 0)
        return false;
    *text += length;
    return true;
}

static bool take_shape(const char **text, struct spead_descriptor *into)
{
    uint64_t size;
    if (**text != '[')
        return true;
    (*text)++;
    if (**text == ']') {
        into->shape[into->dimensions++] = SPEAD_VARIABLE;
    } else {
        do {
            if (into->dimensions == SPEAD_DIMENSIONS_MAX || !take_number(text, 10, UINT32_MAX, &size))
                return false;
            into->shape[into->dimensions++] = (int64_t)size;
        } while (take_word(text, ","));
    }
    return take_word(text, "]");
}

static bool widths_good(struct spead_element element)
{
    switch (element.kind) {
    case 'f':
        return element.bits == 16 || element.bits == 32 || element.bits == 64;
    case 'z':
        return element.bits == 64 || element.bits == 128;
    case 'c':
        return element.bits == 8;
    default:
        return element.bits >= 1 && element.bits <= 64;
    }
}

static bool take_type(const char **text, struct spead_descriptor *into)
{
    uint64_t bits;
    const char *at = *text;
    bool pair = at[0] == 'c' && (at[1] == 'i' || at[1] == 'u');
    if (pair) {
        into->element.kind = at[1];
        *text += 2;
    } else if (take_word(text, "complex")) {
        into->element.kind = 'z';
    } else if (**text && strchr("uifbc", **text)) {
        into->element.kind = *(*text)++;
    } else {
        return false;
    }
    if (!take_number(text, 10, 128, &bits))
        return false;
    into->element.bits = (uint16_t)bits;
    into->element.pair = pair;
    into->element.little_endian = take_word(text, "le");
    (void)(into->element.little_endian || take_word(text, "be"));
    bool good = widths_good(into->element) && (!into->element.little_endian || bits % 8 == 0);
    into->element.bits = (uint16_t)(pair ? 2 * bits : bits);
    return good;
}

int spead_describe_parse(const struct weir_pair *pair, struct spead_descriptor *ret, struct weir_error *error)
{
    const char *text = pair->value.text ? pair->value.text : "";
    struct spead_descriptor read = {.name = spead_text(pair->name.text), .numpy = true};
    if (!take_number(&text, 0, INT64_MAX >> 8, &read.id) || read.id <= SPEAD_STREAM_CTRL || *text != ' ')
        return weir_fail_at(error, -EINVAL, pair->value.mark,
                            "item '%s': \"%.60s\" does not begin with the item's id; write it as 0x1000 i16[]",
                            pair->name.text, pair->value.text ? pair->value.text : "");
    while (*text == ' ')
        text++;
    if (!take_type(&text, &read) || !take_shape(&text, &read) || *text)
        return weir_fail_at(error, -EINVAL, pair->value.mark,
                            "item '%s': \"%.60s\" is no type that weir knows; write u48, i16[], f32le[1024] or "
                            "ci8[]: kind (u i f b c complex, or ci and cu for pairs), bits, le for little-endian, how "
                            "many",
                            pair->name.text, pair->value.text);
    *ret = read;
    return 0;
}

/* ---- Columns ---------------------------------------------------------------------------------------------------- */

static uint8_t integer_element(char kind, unsigned bits)
{
    bool is_signed = kind == 'i';
    return bits <= 8    ? is_signed ? WEIR_ELEMENT_I8 : WEIR_ELEMENT_U8
           : bits <= 16 ? is_signed ? WEIR_ELEMENT_I16 : WEIR_ELEMENT_U16
           : bits <= 32 ? is_signed ? WEIR_ELEMENT_I32 : WEIR_ELEMENT_U32
                        : (is_signed ? WEIR_ELEMENT_I64 : WEIR_ELEMENT_U64);
}

/* The narrowest type that holds the numbers, and whether they lie there in its form already. */
static void choose_element(struct spead_column_type *type)
{
    struct spead_scalar scalar = type->scalar;
    if (scalar.kind == 'f')
        type->element = scalar.bits == 64 ? WEIR_ELEMENT_F64 : WEIR_ELEMENT_F32;
    else
        type->element = integer_element(scalar.kind, scalar.bits);
    type->unpacked = scalar.bits != weir_element_size(type->element) * 8;
    if (!type->unpacked && !scalar.little_endian && scalar.bits > 8)
        type->element |= WEIR_ELEMENT_BIG_ENDIAN;
    if (scalar.in_element == 2)
        type->element |= WEIR_ELEMENT_COMPLEX;
}

struct spead_column_type spead_column_type(const struct spead_descriptor *descriptor)
{
    struct spead_column_type type = {.kind = SPEAD_COLUMN_NONE};
    if (!spead_scalar_of(descriptor, &type.scalar) || type.scalar.bits == 0 || type.scalar.bits > 64)
        return type;
    char kind = type.scalar.kind;
    if (kind == 'c') {
        type.kind = SPEAD_COLUMN_TEXT;
    } else if (descriptor->dimensions > 0 || type.scalar.in_element > 1) {
        type.kind = SPEAD_COLUMN_ARRAY;
        choose_element(&type);
    } else {
        type.kind = kind == 'f' ? SPEAD_COLUMN_FLOAT : kind == 'b' ? SPEAD_COLUMN_BOOL : SPEAD_COLUMN_INTEGER;
    }
    return type;
}

void spead_unpack(struct spead_column_type type, const uint8_t *from, size_t numbers, void *into)
{
    enum { PIECE = 256 };
    int64_t integers[PIECE];
    double floats[PIECE];
    size_t size = weir_element_size(type.element & WEIR_ELEMENT_TYPE);
    for (size_t at = 0, count; at < numbers; at += count) {
        count = numbers - at < PIECE ? numbers - at : PIECE;
        if (type.scalar.kind == 'f') {
            spead_scalars_f64(type.scalar, from, at, count, floats);
            for (size_t i = 0; i < count; i++)
                ((float *)into)[at + i] = (float)floats[i];
            continue;
        }
        spead_scalars_i64(type.scalar, from, at, count, integers);
        for (size_t i = 0; i < count; i++) /* little-endian: the low bytes come first */
            memcpy((char *)into + (at + i) * size, &integers[i], size);
    }
}
