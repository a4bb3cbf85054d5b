/* SPDX-License-Identifier: MIT */
/* For stages that calculate with columns of numbers: finding one, and having its values as doubles. */
#ifndef PARTS_NUMERIC_H
#define PARTS_NUMERIC_H
#include <errno.h>
#include <math.h>
#include <weir/part.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/memory.h"

/* Says that there is no column `name`, which was meant perhaps, and which there are. Returns -EINVAL or -ENOMEM. */
static inline int numeric_unknown(struct weir_env *env, const struct weir_schema *in, struct weir_quoted name)
{
    const char **names = memory_zeroed(in->count ? in->count : 1, sizeof(*names));
    struct weir_buffer list = {0};
    if (!names)
        return weir_fail(env->error, -ENOMEM, "out of memory");
    for (uint32_t i = 0; i < in->count; i++) {
        names[i] = in->fields[i].name;
        buffer_format(&list, "%s%s (%s)", i ? ", " : "", names[i], weir_type_name(in->fields[i].type));
    }
    const char *nearest = error_nearest(name.text, names, in->count);
    const char *have = list.failed || !list.data ? "" : list.data;
    int length = list.failed ? 0 : (int)list.size;
    int error = nearest ? weir_fail_at(env->error, -EINVAL, name.mark,
                                       "%s: no column \"%s\"; did you mean \"%s\"? There are: %.*s", env->name,
                                       name.text, nearest, length, have)
                        : weir_fail_at(env->error, -EINVAL, name.mark, "%s: no column \"%s\"; there are: %.*s",
                                       env->name, name.text, length, have);
    buffer_free(&list);
    memory_free(names);
    return error;
}

/* The index of a column of numbers in *ret, or -EINVAL with words at the place of the name. */
static inline int numeric_column(struct weir_env *env, const struct weir_schema *in, struct weir_quoted name,
                                 uint32_t *ret)
{
    int32_t index = weir_schema_find(in, name.text);
    if (index < 0)
        return numeric_unknown(env, in, name);
    enum weir_type type = in->fields[index].type;
    if (type != WEIR_F64 && type != WEIR_I64)
        return weir_fail_at(env->error, -EINVAL, name.mark,
                            "%s: column \"%s\" is %s, and numbers are needed here: f64 or i64", env->name, name.text,
                            weir_type_name(type));
    *ret = (uint32_t)index;
    return 0;
}

/* Room for `count` items of `size` bytes in the array that the pointer at `array` (of any type) points to; only grows.
 */
static inline int numeric_reserve(void *array, size_t *capacity, size_t count, size_t size)
{
    if (count <= *capacity)
        return 0;
    void *items;
    memcpy(&items, array, sizeof(items));
    items = memory_resize(items, count * size);
    if (!items)
        return -ENOMEM;
    memcpy(array, &items, sizeof(items));
    *capacity = count;
    return 0;
}

/* The column's values as doubles: the column itself, or, for integers, a copy in scratch (room for all rows). */
static inline const double *numeric_values(const struct weir_batch *batch, uint32_t column, double *scratch)
{
    if (batch->schema->fields[column].type == WEIR_F64)
        return batch->columns[column].f64;
    const int64_t *integers = batch->columns[column].i64;
    for (uint32_t i = 0; i < batch->rows; i++)
        scratch[i] = integers[i] == WEIR_I64_NULL ? NAN : (double)integers[i];
    return scratch;
}

#endif
