/* SPDX-License-Identifier: MIT */
/* filter: keeps the records for which an expression is true. */
#include <errno.h>

#include "expr/expr.h"
#include "parts/parts.h"

struct filter {
    struct weir_quoted when;
    struct expr *expr;
};

static int filter_open(void *self, struct weir_env *env)
{
    struct filter *filter = self;

    return expr_parse(filter->when, &filter->expr, env->error);
}

static void filter_close(void *self, struct weir_env *env)
{
    struct filter *filter = self;

    (void)env;
    expr_free(filter->expr);
}

static int filter_bind(void *self, struct weir_env *env, struct weir_schema *in, struct weir_schema **out)
{
    struct filter *filter = self;
    int r = expr_bind(filter->expr, in, env->symbols, env->error);

    if (r < 0) {
        return r;
    }
    if (expr_type(filter->expr) != WEIR_BOOL) {
        return weir_fail_at(env->error, -EINVAL, filter->when.mark,
                            "filter needs a condition, as in `value > 3`; `%.80s` is of type %s", filter->when.text,
                            weir_type_name(expr_type(filter->expr)));
    }
    *out = weir_schema_reference(in);
    return 0;
}

static int filter_process(void *self, struct weir_env *env, struct weir_batch *in, struct weir_out *out)
{
    struct filter *filter = self;
    uint32_t *rows = weir_scratch(env, 0, in->count * sizeof(*rows));
    int64_t kept = rows ? expr_filter(filter->expr, in, rows) : -ENOMEM;

    if (kept < 0) {
        return weir_fail(env->error, (int)kept, "out of memory for a batch of %u records", in->count);
    }
    if (kept == in->count) {
        weir_out_emit(out, weir_batch_reference(in));
        return 0;
    }
    struct weir_batch *batch = weir_filter(env, in, rows, (uint32_t)kept);
    if (!batch) {
        return weir_fail(env->error, -ENOMEM, "out of memory for a batch of %u records", in->count);
    }
    if (kept == 0) {
        weir_batch_release(batch);
    } else {
        weir_out_emit(out, batch);
    }
    return 0;
}

static const struct weir_option filter_options[] = {
    {.name = "when",
     .type = WEIR_OPTION_EXPRESSION,
     .offset = offsetof(struct filter, when),
     .flags = WEIR_OPTION_REQUIRED | WEIR_OPTION_MAIN,
     .help = "records for which this is true are kept; where it is null they are not"},
    {.type = WEIR_OPTION_END},
};

const struct weir_stage stage_filter = {
    .part =
        {
            .kind = WEIR_STAGE,
            .name = "filter",
            .summary = "keeps the records for which an expression is true",
            .example = "stages:\n"
                       "  - filter: value > -40 and value < 125 and sensor not in ('s3', 's4')\n",
            .options = filter_options,
            .size = sizeof(struct filter),
            .open = filter_open,
            .close = filter_close,
        },
    .bind = filter_bind,
    .process = filter_process,
};
