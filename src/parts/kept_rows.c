/* SPDX-License-Identifier: MIT */
#include "parts/kept_rows.h"

#include <errno.h>
#include <string.h>

#include "base/memory.h"
#include "data/gather.h"
#include "parts/values.h"

enum { ALIGNMENT = 16 };

static size_t round_up(size_t size)
{
    return (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
}

static size_t text_bytes(const struct weir_batch *in, uint32_t column, const uint32_t *rows, uint32_t count)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < count; i++)
        bytes += in->columns[column].texts[rows[i]].length;
    return bytes;
}

static size_t rows_size(const struct weir_batch *in, const uint32_t *rows, uint32_t count, const bool *wanted)
{
    const struct weir_schema *schema = in->schema;
    size_t size = round_up(sizeof(struct kept_rows) + schema->count * sizeof(void *));
    size += round_up(count * sizeof(int64_t));
    for (uint32_t c = 0; c < schema->count; c++) {
        if (!wanted[c])
            continue;
        size += round_up(count * weir_field_width(&schema->fields[c]));
        if (schema->fields[c].type == WEIR_TEXT)
            size += round_up(text_bytes(in, c, rows, count));
    }
    return size;
}

/* The texts of a column point to their copies at `at`. Returns behind the last. */
static char *copy_texts(struct weir_text *texts, uint32_t count, char *at)
{
    for (uint32_t i = 0; i < count; i++) {
        if (!texts[i].data)
            continue;
        memcpy(at, texts[i].data, texts[i].length);
        texts[i].data = at;
        at += texts[i].length;
    }
    return at;
}

struct kept_rows *kept_rows_new(struct weir_env *env, const struct weir_batch *in, const uint32_t *rows, uint32_t count,
                                const bool *wanted)
{
    const struct weir_schema *schema = in->schema;
    size_t size = rows_size(in, rows, count, wanted);
    if (!weir_state_take(env, size))
        return NULL;
    struct kept_rows *made = memory_allocate(size);
    if (!made) {
        weir_state_give(env, size);
        return NULL;
    }
    made->references = count;
    made->schema = weir_schema_reference(in->schema);
    made->bytes = size;
    char *at = (char *)made + round_up(sizeof *made + schema->count * sizeof(void *));
    made->produced = (int64_t *)(void *)at;
    at += round_up(count * sizeof(int64_t));
    for (uint32_t i = 0; i < count; i++)
        made->produced[i] = weir_batch_produced(in, rows[i]);
    for (uint32_t c = 0; c < schema->count; c++) {
        size_t width = weir_field_width(&schema->fields[c]);
        made->columns[c] = wanted[c] ? at : NULL;
        if (!wanted[c])
            continue;
        gather(at, in->columns[c].data, rows, count, width);
        at += round_up(count * width);
        if (schema->fields[c].type == WEIR_TEXT) {
            char *begin = at;
            at = begin + round_up((size_t)(copy_texts(made->columns[c], count, at) - begin));
        }
    }
    return made;
}

void kept_rows_release(struct weir_env *env, struct kept_rows *rows)
{
    if (!rows || --rows->references)
        return;
    weir_state_give(env, rows->bytes);
    weir_schema_release(rows->schema);
    memory_free(rows);
}

/* The values of a column of the schema as it is now; NULL: these rows come from before there was one. */
static const char *column_of(const struct kept_rows *rows, const struct weir_schema *schema, uint32_t column)
{
    if (rows->schema == schema)
        return rows->columns[column];
    int32_t there = weir_schema_find(rows->schema, schema->fields[column].name);
    if (there < 0 || rows->schema->fields[there].type != schema->fields[column].type ||
        weir_field_width(&rows->schema->fields[there]) != weir_field_width(&schema->fields[column]))
        return NULL;
    return rows->columns[there];
}

int kept_rows_column(struct weir_batch *batch, uint32_t to, const struct kept_row *from,
                     const struct weir_schema *schema, uint32_t column)
{
    const struct weir_field *field = &batch->schema->fields[to];
    const size_t width = weir_field_width(field);
    char *data = weir_batch_column_data(batch, to);
    size_t bytes = 0;
    for (uint32_t row = 0; row < batch->rows; row++) {
        const char *values = from[row].rows ? column_of(from[row].rows, schema, column) : NULL;
        if (values)
            memcpy(data + row * width, values + from[row].row * width, width);
        else
            value_set_null(field, data, row);
        if (field->type == WEIR_TEXT)
            bytes += ((struct weir_text *)(void *)data)[row].length;
    }
    if (!bytes)
        return 0;
    char *at = weir_batch_allocate(batch, bytes);
    if (!at)
        return -ENOMEM;
    (void)copy_texts((struct weir_text *)(void *)data, batch->rows, at);
    return 0;
}
