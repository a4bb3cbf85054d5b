/* SPDX-License-Identifier: MIT */
#include <weir/schema.h>

#include <stdatomic.h>
#include <string.h>

#include "base/memory.h"

static const char *const type_names[WEIR_TYPE_COUNT] = {
    [WEIR_TIME] = "time",     [WEIR_F64] = "f64",   [WEIR_I64] = "i64",     [WEIR_BOOL] = "bool",
    [WEIR_SYMBOL] = "symbol", [WEIR_TEXT] = "text", [WEIR_ARRAY] = "array",
};

/* One block: the schema, its fields, then the bytes of all names. */
struct weir_schema *weir_schema_new(const struct weir_field *fields, uint32_t count, int32_t time, int32_t key)
{
    size_t names = 0;
    for (uint32_t i = 0; i < count; i++) {
        names += strlen(fields[i].name) + 1;
    }
    struct weir_schema *schema = memory_allocate(sizeof *schema + count * sizeof schema->fields[0] + names);
    if (!schema) {
        return NULL;
    }
    atomic_init(&schema->references, 1);
    schema->count = count;
    schema->time = time;
    schema->key = key;
    char *name = (char *)&schema->fields[count];
    for (uint32_t i = 0; i < count; i++) {
        size_t size = strlen(fields[i].name) + 1;
        schema->fields[i] = fields[i];
        schema->fields[i].name = memcpy(name, fields[i].name, size);
        name += size;
    }
    return schema;
}

static int32_t find_field(const struct weir_field *fields, uint32_t count, const char *name)
{
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(fields[i].name, name) == 0) {
            return (int32_t)i;
        }
    }
    return -1;
}

struct weir_schema *weir_schema_extend(const struct weir_schema *base, const struct weir_field *fields, uint32_t count)
{
    struct weir_field *all = memory_allocate((base->count + (size_t)count + 1) * sizeof *all);
    if (!all) {
        return NULL;
    }
    memcpy(all, base->fields, base->count * sizeof *all);
    uint32_t total = base->count;
    for (uint32_t i = 0; i < count; i++) {
        int32_t at = find_field(all, total, fields[i].name);
        all[at >= 0 ? (uint32_t)at : total++] = fields[i];
    }
    /* Event time must stay a time: a stage that replaced the column by something else has ended it. */
    int32_t time = base->time >= 0 && all[base->time].type == WEIR_TIME ? base->time : -1;
    struct weir_schema *schema = weir_schema_new(all, total, time, base->key);
    memory_free(all);
    return schema;
}

struct weir_schema *weir_schema_reference(struct weir_schema *schema)
{
    atomic_fetch_add_explicit(&schema->references, 1, memory_order_relaxed);
    return schema;
}

void weir_schema_release(struct weir_schema *schema)
{
    if (schema && atomic_fetch_sub_explicit(&schema->references, 1, memory_order_acq_rel) == 1) {
        memory_free(schema);
    }
}

int32_t weir_schema_find(const struct weir_schema *schema, const char *name)
{
    return find_field(schema->fields, schema->count, name);
}

static bool same_field(const struct weir_field *a, const struct weir_field *b)
{
    return a->type == b->type && strcmp(a->name, b->name) == 0 &&
           (a->type != WEIR_ARRAY || (a->element == b->element && a->elements == b->elements));
}

bool weir_schema_equal(const struct weir_schema *a, const struct weir_schema *b)
{
    if (a == b) {
        return true;
    }
    if (a->count != b->count || a->time != b->time || a->key != b->key) {
        return false;
    }
    for (uint32_t i = 0; i < a->count; i++) {
        if (!same_field(&a->fields[i], &b->fields[i])) {
            return false;
        }
    }
    return true;
}

const char *weir_type_name(enum weir_type type)
{
    return (unsigned)type < WEIR_TYPE_COUNT ? type_names[type] : "unknown";
}

int weir_type_parse(const char *name)
{
    for (int type = 0; type < WEIR_TYPE_COUNT; type++) {
        if (strcmp(type_names[type], name) == 0) {
            return type;
        }
    }
    return -1;
}

#define ELEMENTS_EACH(X)                                                                                               \
    X(F64, 8, "f64")                                                                                                   \
    X(I64, 8, "i64")                                                                                                   \
    X(F32, 4, "f32")                                                                                                   \
    X(I32, 4, "i32")                                                                                                   \
    X(I16, 2, "i16")                                                                                                   \
    X(I8, 1, "i8")                                                                                                     \
    X(U64, 8, "u64")                                                                                                   \
    X(U32, 4, "u32")                                                                                                   \
    X(U16, 2, "u16")                                                                                                   \
    X(U8, 1, "u8")

static const struct {
    uint8_t size;
    const char *name, *complex_name;
} elements[WEIR_ELEMENT_COUNT] = {
#define ELEMENT(id, bytes, words) [WEIR_ELEMENT_##id] = {bytes, words, "complex " words},
    ELEMENTS_EACH(ELEMENT)
#undef ELEMENT
};

size_t weir_element_size(uint8_t element)
{
    uint8_t type = element & WEIR_ELEMENT_TYPE;
    size_t size = type < WEIR_ELEMENT_COUNT ? elements[type].size : 0;
    return element & WEIR_ELEMENT_COMPLEX ? size * 2 : size;
}

const char *weir_element_name(uint8_t element)
{
    uint8_t type = element & WEIR_ELEMENT_TYPE;
    if (weir_element_size(element) == 0)
        return "unknown";
    return element & WEIR_ELEMENT_COMPLEX ? elements[type].complex_name : elements[type].name;
}

size_t weir_field_width(const struct weir_field *field)
{
    switch (field->type) {
    case WEIR_TIME:
    case WEIR_F64:
    case WEIR_I64:
        return 8;
    case WEIR_BOOL:
        return 1;
    case WEIR_SYMBOL:
        return sizeof(uint32_t);
    case WEIR_TEXT:
        return sizeof(struct weir_text);
    case WEIR_ARRAY:
        return field->elements * weir_element_size(field->element);
    default:
        return 0;
    }
}
