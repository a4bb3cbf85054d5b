/* SPDX-License-Identifier: MIT */
#include "parts/grouping.h"

#include <string.h>

#include "data/symbols.h"
#include "parts/numeric.h"

const char *grouping_key(const struct weir_list *by)
{
    return by->count ? by->items[0].value.text : WEIR_KEY_OF_SOURCE;
}

static int find_columns(struct grouping *grouping, struct weir_env *env, const struct weir_list *by,
                        const struct weir_schema *in)
{
    for (size_t i = 0; i < by->count; i++) {
        struct weir_quoted name = by->items[i].value;
        int32_t index = weir_schema_find(in, name.text);
        if (index < 0)
            return numeric_unknown(env, in, name);
        if (in->fields[index].type == WEIR_ARRAY)
            return weir_fail_at(env->error, -EINVAL, name.mark, "%s: column \"%s\" is an array, which cannot be a key",
                                env->name, name.text);
        for (size_t j = 0; j < i; j++)
            if (grouping->columns[j] == (uint32_t)index)
                return weir_fail_at(env->error, -EINVAL, name.mark, "%s: column \"%s\" is listed twice", env->name,
                                    name.text);
        grouping->columns[i] = (uint32_t)index;
    }
    grouping->count = (uint32_t)by->count;
    if (!by->count && in->key >= 0) {
        grouping->columns[0] = (uint32_t)in->key;
        grouping->count = 1;
    }
    return 0;
}

int grouping_bind(struct grouping *grouping, struct weir_env *env, const struct weir_list *by,
                  const struct weir_schema *in)
{
    if (by->count > GROUPING_COLUMNS_MOST)
        return weir_fail_at(env->error, -EINVAL, by->items[0].value.mark, "%s: by takes at most %d columns", env->name,
                            (int)GROUPING_COLUMNS_MOST);
    int error = find_columns(grouping, env, by, in);
    if (error < 0)
        return error;
    weir_schema_release(grouping->together);
    grouping->together = NULL;
    if (grouping->count < 2)
        return 0;
    struct weir_field first = {.name = in->fields[grouping->columns[0]].name, .type = WEIR_SYMBOL};
    grouping->together = weir_schema_together(env, weir_schema_extend(in, &first, 1));
    return grouping->together ? 0 : weir_fail(env->error, -ENOMEM, "%s: out of memory", env->name);
}

void grouping_free(struct grouping *grouping)
{
    grouping_done(grouping);
    weir_schema_release(grouping->together);
    grouping->together = NULL;
}

static uint64_t value_of(const struct weir_env *env, const struct weir_batch *in, uint32_t column, uint32_t row)
{
    const struct weir_column *values = &in->columns[column];
    struct weir_text text;
    double number;
    uint64_t bits;
    switch (in->schema->fields[column].type) {
    case WEIR_SYMBOL:
        return values->symbols[row];
    case WEIR_TEXT:
        text = values->texts[row];
        return text.data ? symbols_intern(env->symbols, text.data, text.length) : WEIR_SYMBOL_NULL;
    case WEIR_BOOL:
        return values->bools[row];
    case WEIR_F64:
        number = values->f64[row] == 0 ? 0 : values->f64[row]; /* -0 and 0 are one key, and so are all NaN */
        number = isnan(number) ? NAN : number;
        memcpy(&bits, &number, sizeof bits);
        return bits;
    default:
        return (uint64_t)values->i64[row];
    }
}

void grouping_values(const struct grouping *grouping, const struct weir_env *env, const struct weir_batch *in,
                     uint32_t row, uint64_t *values)
{
    for (uint32_t i = 0; i < grouping->count; i++)
        values[i] = value_of(env, in, grouping->columns[i], row);
}

/* The columns' values as the text of one symbol. */
static int put_together(struct grouping *grouping, struct weir_env *env, struct weir_batch *in)
{
    uint32_t *symbols;
    grouping->batch = weir_batch_derive(env->pool, in, grouping->together);
    symbols = grouping->batch ? weir_batch_add_column(grouping->batch, grouping->columns[0]) : NULL;
    if (!symbols)
        return weir_fail(env->error, -ENOMEM, "%s: out of memory", env->name);
    for (uint32_t i = 0; i < in->count; i++) {
        uint64_t values[GROUPING_COLUMNS_MOST];
        uint32_t row = weir_batch_row(in, i);
        bool full = false;
        grouping_values(grouping, env, in, row, values);
        for (uint32_t c = 0; c < grouping->count; c++)
            full |= in->schema->fields[grouping->columns[c]].type == WEIR_TEXT && values[c] == SYMBOLS_FULL;
        symbols[row] = full ? SYMBOLS_FULL
                            : symbols_intern(env->symbols, (const char *)values, grouping->count * sizeof *values);
    }
    return 0;
}

int grouping_states(struct grouping *grouping, struct weir_env *env, struct weir_batch **batch, void **states)
{
    if (grouping->together) {
        int error = put_together(grouping, env, *batch);
        if (error < 0)
            return error;
        *batch = grouping->batch;
    }
    return weir_key_states(env, batch, states);
}

struct weir_batch *grouping_filter(struct weir_env *env, struct weir_batch *in, struct weir_batch *keyed,
                                   const uint32_t *rows, uint32_t count)
{
    struct weir_batch *filtered = weir_filter(env, keyed, rows, count), *made;
    if (!filtered || filtered->schema == in->schema)
        return filtered;
    made = weir_batch_derive(env->pool, in, in->schema);
    uint32_t *selection = made ? weir_batch_allocate(made, (count ? count : 1) * sizeof *selection) : NULL;
    weir_batch_release(filtered);
    if (!selection) {
        weir_batch_release(made);
        return NULL;
    }
    memcpy(selection, rows, count * sizeof *selection);
    weir_batch_select(made, selection, count);
    return made;
}

void grouping_done(struct grouping *grouping)
{
    weir_batch_release(grouping->batch);
    grouping->batch = NULL;
}

struct weir_field grouping_field(const struct grouping *grouping, const struct weir_schema *in, uint32_t i)
{
    struct weir_field field = in->fields[grouping->columns[i]];
    if (field.type == WEIR_TEXT)
        field.type = WEIR_SYMBOL;
    return field;
}

void grouping_put(const struct weir_field *field, void *column, uint32_t row, uint64_t value)
{
    switch (field->type) {
    case WEIR_SYMBOL:
        ((uint32_t *)column)[row] = (uint32_t)value;
        break;
    case WEIR_BOOL:
        ((uint8_t *)column)[row] = (uint8_t)value;
        break;
    default:
        memcpy((char *)column + (size_t)row * sizeof value, &value, sizeof value);
    }
}
