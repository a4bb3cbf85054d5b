/* SPDX-License-Identifier: MIT */
/*
 * derive: computes columns from others.
 *
 * Column i of the option sees those before it. All are computed into one new batch: the expressions look at a view, a
 * batch of borrowed columns in which each new column takes its place once it is there.
 */
#include <errno.h>
#include <string.h>

#include "base/memory.h"
#include "expr/expr.h"
#include "parts/parts.h"

struct derived {
    struct expr *expr;
    uint32_t column; /* its index in the schema that goes out */
};

struct derive {
    struct weir_list columns;
    struct derived *derived; /* columns.count of them */
    struct weir_schema *out;
};

static int derive_no_memory(struct weir_env *env)
{
    return weir_fail(env->error, -ENOMEM, "out of memory");
}

static int derive_open(void *self, struct weir_env *env)
{
    struct derive *derive = self;
    size_t count = derive->columns.count;

    if (count == 0) {
        return weir_fail_at(env->error, -EINVAL, env->mark,
                            "derive needs at least one column, as in `derive: {fahrenheit: value * 1.8 + 32}`");
    }
    derive->derived = memory_zeroed(count, sizeof(*derive->derived));
    if (!derive->derived) {
        return derive_no_memory(env);
    }
    for (size_t i = 0; i < count; i++) {
        const struct weir_pair *pair = &derive->columns.items[i];
        size_t length = strlen(pair->name.text);
        if (length == 0 || length > WEIR_NAME_MAX) {
            return weir_fail_at(env->error, -EINVAL, pair->name.mark, "the name of a column has 1 to %d bytes",
                                WEIR_NAME_MAX);
        }
        for (size_t k = 0; k < i; k++) {
            if (strcmp(derive->columns.items[k].name.text, pair->name.text) == 0) {
                return weir_fail_at(env->error, -EINVAL, pair->name.mark, "the column \"%s\" is derived twice",
                                    pair->name.text);
            }
        }
        int r = expr_parse(pair->value, &derive->derived[i].expr, env->error);
        if (r < 0) {
            return r;
        }
    }
    return 0;
}

static void derive_close(void *self, struct weir_env *env)
{
    struct derive *derive = self;

    (void)env;
    for (size_t i = 0; derive->derived && i < derive->columns.count; i++) {
        expr_free(derive->derived[i].expr);
    }
    memory_free(derive->derived);
    weir_schema_release(derive->out);
}

/* Replaces *schema by one with the next column. */
static int bind_column(struct derive *derive, struct weir_env *env, size_t i, struct weir_schema **schema)
{
    const struct weir_pair *pair = &derive->columns.items[i];
    struct derived *derived = &derive->derived[i];
    int r = expr_bind(derived->expr, *schema, env->symbols, env->error);

    if (r < 0) {
        return r;
    }
    struct weir_field field = {.name = pair->name.text, .type = expr_type(derived->expr)};
    int32_t old = weir_schema_find(*schema, field.name);
    if (old >= 0 && old == (*schema)->time && field.type != WEIR_TIME) {
        return weir_fail_at(
            env->error, -EINVAL, pair->name.mark,
            "\"%s\" is the column with the time of the records; what replaces it must be a time, not %s", field.name,
            weir_type_name(field.type));
    }
    if (old < 0 && (*schema)->count >= WEIR_FIELDS_MAX) {
        return weir_fail_at(env->error, -EINVAL, pair->name.mark, "a record has at most %d columns", WEIR_FIELDS_MAX);
    }
    struct weir_schema *extended = weir_schema_extend(*schema, &field, 1);
    if (!extended) {
        return derive_no_memory(env);
    }
    weir_schema_release(*schema);
    *schema = extended;
    derived->column = (uint32_t)weir_schema_find(extended, field.name);
    return 0;
}

static int derive_bind(void *self, struct weir_env *env, struct weir_schema *in, struct weir_schema **out)
{
    struct derive *derive = self;
    struct weir_schema *schema = weir_schema_reference(in);
    int r = 0;

    for (size_t i = 0; i < derive->columns.count && r == 0; i++) {
        r = bind_column(derive, env, i, &schema);
    }
    if (r < 0) {
        weir_schema_release(schema);
        return r;
    }
    weir_schema_release(derive->out);
    derive->out = schema = weir_schema_together(env, schema);
    *out = weir_schema_reference(schema);
    return 0;
}

/* Not a part of derive_process, in whose call all that come behind it run: there the view would stay on the stack. */
__attribute__((noinline)) static int compute(const struct derive *derive, const struct weir_batch *in,
                                             struct weir_batch *batch)
{
    struct weir_column columns[WEIR_FIELDS_MAX];
    struct weir_batch view = {.rows = in->rows, .count = in->count, .selection = in->selection, .columns = columns};

    memcpy(columns, in->columns, in->schema->count * sizeof(*columns));
    for (size_t i = 0; i < derive->columns.count; i++) {
        const struct derived *derived = &derive->derived[i];
        void *data = weir_batch_add_column(batch, derived->column);
        if (!data || expr_evaluate(derived->expr, &view, data) < 0) {
            return -ENOMEM;
        }
        columns[derived->column].data = data;
    }
    return 0;
}

static int derive_process(void *self, struct weir_env *env, struct weir_batch *in, struct weir_out *out)
{
    const struct derive *derive = self;
    struct weir_batch *batch = weir_batch_derive(env->pool, in, derive->out);

    if (!batch || compute(derive, in, batch) < 0) {
        weir_batch_release(batch);
        return weir_fail(env->error, -ENOMEM, "out of memory for a batch of %u records", in->count);
    }
    weir_out_emit(out, batch);
    return 0;
}

static const struct weir_option derive_options[] = {
    {.name = "columns",
     .type = WEIR_OPTION_MAP,
     .offset = offsetof(struct derive, columns),
     .flags = WEIR_OPTION_MAIN | WEIR_OPTION_EXPRESSIONS,
     .help = "name: expression for each new column, in order; later ones may use earlier ones"},
    {.type = WEIR_OPTION_END},
};

const struct weir_stage stage_derive = {
    .part =
        {
            .kind = WEIR_STAGE,
            .name = "derive",
            .summary = "computes columns from others",
            .example = "stages:\n"
                       "  - derive:\n"
                       "      fahrenheit: value * 1.8 + 32\n"
                       "      state: if(fahrenheit > 120, 'hot', 'fine')\n",
            .options = derive_options,
            .size = sizeof(struct derive),
            .open = derive_open,
            .close = derive_close,
        },
    .bind = derive_bind,
    .process = derive_process,
    .every_row = true,
};
