/* SPDX-License-Identifier: MIT */
/* select: says which columns go on, in which order and under which names. No value is copied. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "parts/parts.h"

struct selector {
    struct weir_list columns, drop, rename;
    struct weir_schema *in, *out;
    uint32_t *from; /* out->count of them: which column of `in` it is */
};

/* ---- Options --------------------------------------------------------------------------------------------------- */

static bool names(const struct weir_list *list, const char *name)
{
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->items[i].value.text, name) == 0) {
            return true;
        }
    }
    return false;
}

static int select_open(void *self, struct weir_env *env)
{
    const struct selector *selector = self;
    const struct weir_list *columns = &selector->columns, *drop = &selector->drop;

    if (columns->count > 0 && drop->count > 0) {
        return weir_fail_at(
            env->error, -EINVAL, drop->items[0].value.mark,
            "select takes either the columns to keep (`columns`) or those to leave out (`drop`), not both");
    }
    if (columns->count == 0 && drop->count == 0 && selector->rename.count == 0) {
        return weir_fail_at(env->error, -EINVAL, env->mark,
                            "select needs columns to keep, as in `select: [time, value]`, or `drop`, or `rename`");
    }
    for (size_t i = 0; i < columns->count; i++) {
        struct weir_list before = {.items = columns->items, .count = i};
        if (names(&before, columns->items[i].value.text)) {
            return weir_fail_at(env->error, -EINVAL, columns->items[i].value.mark, "the column \"%s\" is listed twice",
                                columns->items[i].value.text);
        }
    }
    return 0;
}

static void select_close(void *self, struct weir_env *env)
{
    struct selector *selector = self;

    (void)env;
    weir_schema_release(selector->in);
    weir_schema_release(selector->out);
    memory_free(selector->from);
}

/* ---- Schema ---------------------------------------------------------------------------------------------------- */

static int check_exists(struct weir_env *env, const struct weir_schema *in, const struct weir_quoted *column)
{
    const char *fields[WEIR_FIELDS_MAX] = {NULL};

    if (weir_schema_find(in, column->text) >= 0) {
        return 0;
    }
    uint32_t count = in->count < WEIR_FIELDS_MAX ? in->count : WEIR_FIELDS_MAX;
    for (uint32_t i = 0; i < count; i++) {
        fields[i] = in->fields[i].name;
    }
    const char *nearest = error_nearest(column->text, fields, count);
    if (nearest) {
        return weir_fail_at(env->error, -EINVAL, column->mark, "no column \"%s\"; did you mean \"%s\"?", column->text,
                            nearest);
    }
    char all[300];
    size_t used = 0;
    for (uint32_t i = 0; i < count && used < sizeof(all); i++) {
        used += (size_t)snprintf(all + used, sizeof(all) - used, "%s%s", i ? ", " : "", fields[i]);
    }
    return weir_fail_at(env->error, -EINVAL, column->mark, "no column \"%s\"; there are %s", column->text,
                        count ? all : "none");
}

static int check_names(const struct selector *selector, struct weir_env *env, const struct weir_schema *in)
{
    const struct weir_list *lists[] = {&selector->columns, &selector->drop};
    int r = 0;

    for (size_t k = 0; k < 2; k++) {
        for (size_t i = 0; i < lists[k]->count && r == 0; i++) {
            r = check_exists(env, in, &lists[k]->items[i].value);
        }
    }
    for (size_t i = 0; i < selector->rename.count && r == 0; i++) {
        const struct weir_pair *pair = &selector->rename.items[i];
        size_t length = strlen(pair->value.text);
        r = check_exists(env, in, &pair->name);
        if (r == 0 && (length == 0 || length > WEIR_NAME_MAX)) {
            r = weir_fail_at(env->error, -EINVAL, pair->value.mark, "the name of a column has 1 to %d bytes",
                             WEIR_NAME_MAX);
        }
        bool stays = selector->columns.count ? names(&selector->columns, pair->name.text)
                                             : !names(&selector->drop, pair->name.text);
        if (r == 0 && !stays) {
            r = weir_fail_at(env->error, -EINVAL, pair->name.mark,
                             "the column \"%s\" is not kept: it cannot be renamed", pair->name.text);
        }
    }
    return r;
}

/* The new name of a column and where it was given. */
static const struct weir_pair *renamed(const struct selector *selector, const char *name)
{
    for (size_t i = 0; i < selector->rename.count; i++) {
        if (strcmp(selector->rename.items[i].name.text, name) == 0) {
            return &selector->rename.items[i];
        }
    }
    return NULL;
}

/* Which columns stay, in the order in which they go out; returns how many. */
static uint32_t keep_columns(const struct selector *selector, const struct weir_schema *in, uint32_t *from)
{
    uint32_t count = 0;

    for (size_t i = 0; i < selector->columns.count; i++) {
        from[count++] = (uint32_t)weir_schema_find(in, selector->columns.items[i].value.text);
    }
    for (uint32_t i = 0; selector->columns.count == 0 && i < in->count; i++) {
        if (!names(&selector->drop, in->fields[i].name)) {
            from[count++] = i;
        }
    }
    return count;
}

/* Names the columns that stay; two of one name are a mistake. */
static int name_columns(const struct selector *selector, struct weir_env *env, const struct weir_schema *in,
                        const uint32_t *from, uint32_t count, struct weir_field *fields)
{
    for (uint32_t i = 0; i < count; i++) {
        fields[i] = in->fields[from[i]];
        const struct weir_pair *pair = renamed(selector, fields[i].name);
        fields[i].name = pair ? pair->value.text : fields[i].name;
    }
    for (size_t k = 0; k < selector->rename.count; k++) {
        const struct weir_quoted *name = &selector->rename.items[k].value;
        uint32_t same = 0;
        for (uint32_t i = 0; i < count; i++) {
            same += strcmp(fields[i].name, name->text) == 0;
        }
        if (same > 1) {
            return weir_fail_at(env->error, -EINVAL, name->mark, "two columns would be called \"%s\"", name->text);
        }
    }
    return 0;
}

static int build(struct selector *selector, struct weir_env *env, const struct weir_schema *in, uint32_t *from,
                 struct weir_field *fields, struct weir_schema **ret)
{
    uint32_t count = keep_columns(selector, in, from);
    int32_t time = -1, key = -1;

    if (count == 0) {
        return weir_fail_at(env->error, -EINVAL, env->mark, "select leaves no column");
    }
    int r = name_columns(selector, env, in, from, count, fields);
    if (r < 0) {
        return r;
    }
    for (uint32_t i = 0; i < count; i++) {
        time = (int32_t)from[i] == in->time ? (int32_t)i : time;
        key = (int32_t)from[i] == in->key ? (int32_t)i : key;
    }
    *ret = weir_schema_together(env, weir_schema_new(fields, count, time, key));
    return *ret ? 0 : weir_fail(env->error, -ENOMEM, "out of memory");
}

static int select_bind(void *self, struct weir_env *env, struct weir_schema *in, struct weir_schema **out)
{
    struct selector *selector = self;
    struct weir_schema *schema = NULL;
    int r = check_names(selector, env, in);

    if (r < 0) {
        return r;
    }
    uint32_t *from = memory_zeroed((size_t)in->count + 1, sizeof(*from));
    struct weir_field *fields = memory_zeroed((size_t)in->count + 1, sizeof(*fields));
    r = from && fields ? build(selector, env, in, from, fields, &schema)
                       : weir_fail(env->error, -ENOMEM, "out of memory");
    memory_free(fields);
    if (r < 0) {
        memory_free(from);
        return r;
    }
    weir_schema_release(selector->in);
    weir_schema_release(selector->out);
    memory_free(selector->from);
    selector->from = from;
    selector->in = weir_schema_reference(in);
    selector->out = schema;
    if (weir_schema_equal(in, schema)) { /* then batches pass as they are */
        weir_schema_release(schema);
        selector->out = weir_schema_reference(in);
    }
    *out = weir_schema_reference(selector->out);
    return 0;
}

static int select_process(void *self, struct weir_env *env, struct weir_batch *in, struct weir_out *out)
{
    const struct selector *selector = self;

    if (selector->out == in->schema) {
        weir_out_emit(out, weir_batch_reference(in));
        return 0;
    }
    struct weir_batch *batch = weir_batch_derive(env->pool, in, selector->out);
    if (!batch) {
        return weir_fail(env->error, -ENOMEM, "out of memory for a batch of %u records", in->count);
    }
    for (uint32_t i = 0; i < selector->out->count; i++) {
        batch->columns[i] = in->columns[selector->from[i]];
    }
    weir_out_emit(out, batch);
    return 0;
}

static const struct weir_option select_options[] = {
    {.name = "columns",
     .type = WEIR_OPTION_STRINGS,
     .offset = offsetof(struct selector, columns),
     .flags = WEIR_OPTION_MAIN,
     .help = "the columns to keep, in this order"},
    {.name = "drop",
     .type = WEIR_OPTION_STRINGS,
     .offset = offsetof(struct selector, drop),
     .help = "instead of `columns`: those to leave out"},
    {.name = "rename",
     .type = WEIR_OPTION_MAP,
     .offset = offsetof(struct selector, rename),
     .help = "old: new for columns that get another name"},
    {.type = WEIR_OPTION_END},
};

const struct weir_stage stage_select = {
    .part =
        {
            .kind = WEIR_STAGE,
            .name = "select",
            .summary = "keeps, drops, reorders and renames columns",
            .example = "stages:\n"
                       "  - select: {drop: [seq], rename: {value: celsius}}\n"
                       "  - select: [ts, sensor, celsius]\n",
            .options = select_options,
            .size = sizeof(struct selector),
            .open = select_open,
            .close = select_close,
        },
    .bind = select_bind,
    .process = select_process,
};
