/* SPDX-License-Identifier: MIT */
/*
 * The header of an .npy file: a Python literal, of which this much is understood:
 *
 *     header = "{" ( key ":" value "," )* "}"      key: 'descr', 'fortran_order', 'shape', each once
 *     descr  = 'string' | [ ( 'name', descr ) | ( 'name', descr, shape ) , … ]
 *     shape  = "(" number "," … ")"
 *
 * NumPy has no complex integers. A record of two fields of one type, called re and im (or real and imag, r and i, I and
 * Q), is how programs write them; it is read as such.
 *
 * Source: numpy.lib.format, versions 1.0 to 3.0.
 */
#include "wire/spead_decode.h"

enum { NESTING_MAX = 8 };

struct literal {
    const char *at, *end;
};

static void skip_blanks(struct literal *in)
{
    while (in->at < in->end && (*in->at == ' ' || *in->at == '\t' || *in->at == '\n' || *in->at == '\r'))
        in->at++;
}

/* Does `c` come next, after blanks? */
static bool comes(struct literal *in, char c)
{
    skip_blanks(in);
    return in->at < in->end && *in->at == c;
}

static bool take(struct literal *in, char c)
{
    if (!comes(in, c))
        return false;
    in->at++;
    return true;
}

static bool take_string(struct literal *in, struct spead_text *ret)
{
    skip_blanks(in);
    if (in->at == in->end || (*in->at != '\'' && *in->at != '"'))
        return false;
    char quote = *in->at;
    const char *begin = in->at + 1, *close = memchr(begin, quote, (size_t)(in->end - begin));
    if (!close || memchr(begin, '\\', (size_t)(close - begin)))
        return false;
    *ret = (struct spead_text){begin, (size_t)(close - begin)};
    in->at = close + 1;
    return true;
}

static bool take_word(struct literal *in, const char *word)
{
    size_t length = strlen(word);
    skip_blanks(in);
    if ((size_t)(in->end - in->at) < length || memcmp(in->at, word, length) != 0)
        return false;
    in->at += length;
    return true;
}

static bool take_number(struct literal *in, int64_t *ret)
{
    int64_t number = 0;
    skip_blanks(in);
    const char *begin = in->at;
    for (; in->at < in->end && *in->at >= '0' && *in->at <= '9'; in->at++) {
        if (__builtin_mul_overflow(number, 10, &number) || __builtin_add_overflow(number, *in->at - '0', &number))
            return false;
    }
    if (in->at == begin)
        return false;
    if (in->at < in->end && *in->at == 'L') /* as Python 2 wrote them */
        in->at++;
    *ret = number;
    return true;
}

static bool take_shape(struct literal *in, int64_t *shape, uint32_t *ret_dimensions)
{
    uint32_t dimensions = 0;
    if (!take(in, '('))
        return false;
    while (!take(in, ')')) {
        if (dimensions == SPEAD_DIMENSIONS_MAX || !take_number(in, &shape[dimensions]))
            return false;
        dimensions++;
        if (take(in, ','))
            continue;
        if (dimensions == 1 || !take(in, ')')) /* "(16)" is a number, not a shape */
            return false;
        break;
    }
    *ret_dimensions = dimensions;
    return true;
}

/* "<f4": byte order (may be left out: little-endian), kind, bytes. */
static bool read_type(struct spead_text text, struct spead_element *ret)
{
    uint32_t bytes = 0;
    size_t at = text.length > 0 && memchr("<>|=", text.data[0], 4) ? 1 : 0;
    if (text.length < at + 2)
        return false;
    char kind = text.data[at];
    for (size_t i = at + 1; i < text.length; i++) {
        if (text.data[i] < '0' || text.data[i] > '9' || (bytes = bytes * 10 + (uint32_t)(text.data[i] - '0')) > 4096)
            return false;
    }
    bool wide = bytes == 2 || bytes == 4 || bytes == 8;
    *ret = (struct spead_element){.bits = (uint16_t)(8 * bytes), .little_endian = text.data[0] != '>'};
    switch (kind) {
    case 'u':
    case 'i':
        ret->kind = kind;
        return wide || bytes == 1;
    case 'f':
        ret->kind = kind;
        return wide;
    case 'c':
        ret->kind = 'z';
        return bytes == 8 || bytes == 16;
    case 'b':
        ret->kind = kind;
        return bytes == 1;
    case 'S': /* characters; more than one: see spread_text */
    case 'V':
        ret->kind = kind == 'S' ? 'c' : 0;
        return bytes > 0;
    default: /* objects, times, UCS-4 */
        return false;
    }
}

static bool take_descr(struct literal *in, int depth, struct spead_element *ret);

/* The fields of a record that are read so far. */
struct record {
    uint64_t bits;
    uint32_t count;
    bool plain; /* numbers without a shape of their own */
    struct spead_text names[2];
    struct spead_element elements[2];
};

/* ('name', '<f4') or ('name', '<f4', (2,)): adds it to the record. */
static bool take_field(struct literal *in, int depth, struct record *record)
{
    struct spead_text name;
    struct spead_element element;
    int64_t shape[SPEAD_DIMENSIONS_MAX];
    uint32_t dimensions = 0;
    if (!take(in, '(') || !take_string(in, &name) || !take(in, ',') || !take_descr(in, depth + 1, &element))
        return false;
    if (take(in, ',') && comes(in, '(')) {
        if (!take_shape(in, shape, &dimensions))
            return false;
        take(in, ',');
    }
    if (!take(in, ')'))
        return false;
    uint64_t product = element.bits;
    for (uint32_t i = 0; i < dimensions; i++) {
        if (__builtin_mul_overflow(product, (uint64_t)shape[i], &product))
            return false;
    }
    if (record->count < 2) {
        record->names[record->count] = name;
        record->elements[record->count] = element;
    }
    record->count++;
    record->plain &= dimensions == 0 && element.kind != 0 && !element.pair;
    return !__builtin_add_overflow(record->bits, product, &record->bits);
}

static bool text_is(struct spead_text text, const char *word)
{
    return text.length == strlen(word) && memcmp(text.data, word, text.length) == 0;
}

static bool is_complex(const struct record *record)
{
    static const char *const names[][2] = {{"re", "im"}, {"real", "imag"}, {"r", "i"}, {"I", "Q"}, {"i", "q"}};
    const struct spead_element *a = &record->elements[0], *b = &record->elements[1];
    bool named = false;
    if (record->count != 2 || !record->plain || a->kind != b->kind || a->bits != b->bits ||
        a->little_endian != b->little_endian || !memchr("uif", a->kind, 3))
        return false;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        named |= text_is(record->names[0], names[i][0]) && text_is(record->names[1], names[i][1]);
    return named;
}

static bool take_descr(struct literal *in, int depth, struct spead_element *ret)
{
    struct spead_text text;
    struct record record = {.plain = true};
    if (take_string(in, &text))
        return read_type(text, ret);
    if (depth == NESTING_MAX || !take(in, '['))
        return false;
    while (!take(in, ']')) {
        if (!take_field(in, depth, &record))
            return false;
        if (take(in, ','))
            continue;
        if (!take(in, ']'))
            return false;
        break;
    }
    *ret = (struct spead_element){.kind = 0, .bits = record.bits > UINT16_MAX ? 0 : (uint16_t)record.bits};
    if (record.count == 1 && record.plain)
        *ret = record.elements[0];
    if (is_complex(&record)) {
        *ret = record.elements[0];
        ret->bits = (uint16_t)record.bits;
        ret->pair = true;
    }
    return true;
}

/* One key and its value; *seen gathers which were there. */
static bool take_entry(struct literal *in, unsigned *seen, struct spead_descriptor *into)
{
    struct spead_text key;
    unsigned bit;
    bool good;
    if (!take_string(in, &key) || !take(in, ':'))
        return false;
    if (text_is(key, "descr")) {
        bit = 1;
        good = take_descr(in, 0, &into->element);
    } else if (text_is(key, "fortran_order")) {
        bit = 2;
        into->fortran_order = take_word(in, "True");
        good = into->fortran_order || take_word(in, "False");
    } else if (text_is(key, "shape")) {
        bit = 4;
        good = take_shape(in, into->shape, &into->dimensions);
    } else {
        return false;
    }
    good = good && !(*seen & bit);
    *seen |= bit;
    return good;
}

/* A text of several characters, 'S10', is an array of them; an array of such texts has no numbers. */
static void spread_text(struct spead_descriptor *read)
{
    if (read->element.kind != 'c' || read->element.bits == 8)
        return;
    if (read->dimensions > 0) {
        read->element.kind = 0;
        return;
    }
    read->shape[read->dimensions++] = read->element.bits / 8;
    read->element.bits = 8;
}

bool spead_dtype_decode(struct spead_text text, struct spead_descriptor *ret)
{
    struct literal in = {text.data, text.data + text.length};
    struct spead_descriptor read = *ret;
    unsigned seen = 0;
    if (text.length > SPEAD_DTYPE_MAX || !take(&in, '{'))
        return false;
    while (!take(&in, '}')) {
        if (!take_entry(&in, &seen, &read))
            return false;
        if (take(&in, ','))
            continue;
        if (!take(&in, '}'))
            return false;
        break;
    }
    skip_blanks(&in);
    if (in.at != in.end || seen != 7)
        return false;
    spread_text(&read);
    read.numpy = true;
    read.dtype = text;
    read.fields = 0;
    *ret = read;
    return true;
}
