/* SPDX-License-Identifier: MIT */
/*
 * Schemas: the names and types of the columns of a batch.
 *
 * A schema is immutable once built and shared by reference: a batch, a codec layout and a bound stage
 * may all hold the same one. Two batches have the same columns exactly when their schema pointers are equal.
 *
 * Nulls live inside the column, as a reserved value for each type, so that kernels need no second array:
 *
 *   time, i64   INT64_MIN          f64     any NaN
 *   bool        WEIR_BOOL_NULL     symbol  WEIR_SYMBOL_NULL (id 0)
 *   text        data == NULL
 *
 * Arrays have the nulls of their elements: NaN, and INT64_MIN for i64; those of other integers have none, and are 0
 * where one would be needed.
 */
#ifndef WEIR_SCHEMA_H
#define WEIR_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum weir_type {
    WEIR_TIME,   /* int64_t: nanoseconds since 1970-01-01T00:00:00Z */
    WEIR_F64,    /* double */
    WEIR_I64,    /* int64_t */
    WEIR_BOOL,   /* uint8_t: 0, 1 or WEIR_BOOL_NULL */
    WEIR_SYMBOL, /* uint32_t: id of an interned string */
    WEIR_TEXT,   /* struct weir_text */
    WEIR_ARRAY,  /* a fixed-shape numeric block per row */
    WEIR_TYPE_COUNT
};

/* What is in an array: one of these, with flags. The numbers stand in frames on disk, too. */
enum weir_element {
    WEIR_ELEMENT_F64 = 1,
    WEIR_ELEMENT_I64 = 2,
    WEIR_ELEMENT_F32 = 3,
    WEIR_ELEMENT_I32 = 4,
    WEIR_ELEMENT_I16 = 5,
    WEIR_ELEMENT_I8 = 6,
    WEIR_ELEMENT_U64 = 7,
    WEIR_ELEMENT_U32 = 8,
    WEIR_ELEMENT_U16 = 9,
    WEIR_ELEMENT_U8 = 10,
    WEIR_ELEMENT_COUNT,
    WEIR_ELEMENT_TYPE = 0x3f,
    WEIR_ELEMENT_COMPLEX = 0x40,    /* pairs of such numbers: real, imaginary */
    WEIR_ELEMENT_BIG_ENDIAN = 0x80, /* not as the machine has them: as they came from a network */
};

#define WEIR_TIME_NULL INT64_MIN
#define WEIR_I64_NULL INT64_MIN
#define WEIR_BOOL_NULL ((uint8_t)0xff)
#define WEIR_SYMBOL_NULL ((uint32_t)0)

enum { WEIR_FIELDS_MAX = 1024, WEIR_NAME_MAX = 255 };

struct weir_text {
    const char *data; /* not terminated; NULL is null */
    uint32_t length;
};

struct weir_field {
    const char *name;
    enum weir_type type;
    /* WEIR_ARRAY only: */
    uint8_t element;   /* enum weir_element, flags included */
    uint32_t elements; /* values per row; a complex one counts once. They may lie at any address */
};

struct weir_schema {
    _Atomic uint32_t references;
    uint32_t count;
    int32_t time; /* index of the event-time column, or -1 */
    int32_t key;  /* index of the source's key column, or -1 */
    struct weir_field fields[];
};

/* Builds a schema from `count` fields; names are copied. Returns NULL when out of memory. The caller owns one
 * reference. Names must be unique and non-empty: the caller has checked that. */
struct weir_schema *weir_schema_new(const struct weir_field *fields, uint32_t count, int32_t time, int32_t key);

/* A copy of `base` with `count` fields appended; a field whose name exists already replaces it in place. */
struct weir_schema *weir_schema_extend(const struct weir_schema *base, const struct weir_field *fields, uint32_t count);

/* One more reference, for another owner; returns its argument. Any thread. */
struct weir_schema *weir_schema_reference(struct weir_schema *schema);
void weir_schema_release(struct weir_schema *schema); /* NULL is allowed */

/* Index of the field called `name`, or -1. */
int32_t weir_schema_find(const struct weir_schema *schema, const char *name);

/* True when names, types, order, time and key are the same. */
bool weir_schema_equal(const struct weir_schema *a, const struct weir_schema *b);

/* "time", "f64", … for messages and configuration; weir_type_parse returns -1 for an unknown name. */
const char *weir_type_name(enum weir_type type);
int weir_type_parse(const char *name);

/* Bytes of one element of an array, 0 for what is none; and its name, "i16" or "complex f32", in a constant string. */
size_t weir_element_size(uint8_t element);
const char *weir_element_name(uint8_t element);

/* Bytes of one value in a column of this field. */
size_t weir_field_width(const struct weir_field *field);

#endif
