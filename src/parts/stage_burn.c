/* SPDX-License-Identifier: MIT */
/* Spends processor time for each record and passes it on unchanged: a stand-in for work that is too slow. */
#include "parts/parts.h"

struct burn {
    int64_t cost_ns;
};

static int burn_bind(void *self, struct weir_env *env, struct weir_schema *in, struct weir_schema **out)
{
    (void)self;
    (void)env;
    *out = weir_schema_reference(in);
    return 0;
}

static int burn_process(void *self, struct weir_env *env, struct weir_batch *in, struct weir_out *out)
{
    const struct burn *burn = self;
    weir_burn(env->context, burn->cost_ns * (int64_t)in->count);
    weir_out_emit(out, weir_batch_reference(in));
    return 0;
}

static const struct weir_option burn_options[] = {
    {.name = "cost",
     .type = WEIR_OPTION_DURATION,
     .offset = offsetof(struct burn, cost_ns),
     .least = 0,
     .most = 60e9,
     .flags = WEIR_OPTION_MAIN | WEIR_OPTION_REQUIRED,
     .help = "processor time for each record, such as 600us"},
    {.type = WEIR_OPTION_END},
};

const struct weir_stage stage_burn = {
    .part = {.kind = WEIR_STAGE,
             .name = "burn",
             .summary = "spends processor time for each record",
             .example = "stages:\n  - burn: 600us\n",
             .options = burn_options,
             .size = sizeof(struct burn)},
    .bind = burn_bind,
    .process = burn_process,
};
