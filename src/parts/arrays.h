/* SPDX-License-Identifier: MIT */
/* For stages that look into arrays: finding the column, naming what they add. */
#ifndef PARTS_ARRAYS_H
#define PARTS_ARRAYS_H
#include <stdio.h>

#include "data/array.h"
#include "parts/numeric.h"

/* Where row `row` of an array column lies. */
static inline const void *arrays_row(const struct weir_batch *batch, uint32_t column, uint32_t row)
{
    return (const char *)batch->columns[column].data + row * weir_field_width(&batch->schema->fields[column]);
}

/* The index of a column of arrays in *ret; without a name the only one that there is. -EINVAL with words. */
static inline int arrays_column(struct weir_env *env, const struct weir_schema *in, struct weir_quoted name,
                                uint32_t *ret)
{
    int32_t index = -1;
    if (name.text) {
        index = weir_schema_find(in, name.text);
        if (index < 0)
            return numeric_unknown(env, in, name);
    } else {
        for (uint32_t i = 0; i < in->count; i++) {
            if (in->fields[i].type == WEIR_ARRAY && index >= 0)
                return weir_fail_at(env->error, -EINVAL, env->mark,
                                    "%s: there are several columns of arrays, \"%s\" and \"%s\"; say which one with "
                                    "field",
                                    env->name, in->fields[index].name, in->fields[i].name);
            index = in->fields[i].type == WEIR_ARRAY ? (int32_t)i : index;
        }
        if (index < 0)
            return weir_fail_at(env->error, -EINVAL, env->mark,
                                "%s: no column holds arrays; they come from the sources spead and adc", env->name);
    }
    const struct weir_field *field = &in->fields[index];
    if (field->type != WEIR_ARRAY)
        return weir_fail_at(env->error, -EINVAL, name.mark, "%s: column \"%s\" is %s, and arrays are needed here",
                            env->name, name.text, weir_type_name(field->type));
    *ret = (uint32_t)index;
    return 0;
}

/* The name of a column to add: `as`, or the field's with `suffix`. It must not be the key or the time. */
static inline int arrays_name(struct weir_env *env, const struct weir_schema *in, const char *field, const char *suffix,
                              struct weir_quoted as, char ret[WEIR_NAME_MAX + 1])
{
    struct weir_mark mark = as.text ? as.mark : env->mark;
    int length = snprintf(ret, WEIR_NAME_MAX + 1, "%s%s", as.text ? as.text : field, as.text ? "" : suffix);
    if (length < 1 || length > WEIR_NAME_MAX)
        return weir_fail_at(env->error, -EINVAL, mark, "%s: the name of a column has 1 to %d bytes", env->name,
                            (int)WEIR_NAME_MAX);
    int32_t there = weir_schema_find(in, ret);
    if (there >= 0 && (there == in->key || there == in->time))
        return weir_fail_at(env->error, -EINVAL, mark,
                            "%s: column \"%s\" would be replaced, and it is the %s of the records; choose another name "
                            "with as",
                            env->name, ret, there == in->key ? "key" : "time");
    if (there < 0 && in->count >= WEIR_FIELDS_MAX - 2)
        return weir_fail_at(env->error, -EINVAL, mark, "%s: more than %d columns", env->name, (int)WEIR_FIELDS_MAX - 2);
    return 0;
}

/* Whether the numbers are pairs, real and imaginary: the type says so, or the option `iq`, which wants an even number
 * of them. */
static inline int arrays_pairs(struct weir_env *env, const struct weir_field *field, bool iq, bool *ret)
{
    bool complex = field->element & WEIR_ELEMENT_COMPLEX;
    if (iq && !complex && field->elements % 2 != 0)
        return weir_fail_at(env->error, -EINVAL, env->mark,
                            "%s: \"%s\" has %u values, and `iq` wants pairs of them: real, imaginary", env->name,
                            field->name, field->elements);
    *ret = complex || iq;
    return 0;
}
#endif
