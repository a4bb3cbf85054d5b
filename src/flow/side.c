/* SPDX-License-Identifier: MIT */
#include "flow/side.h"

static int side_bind(void *self, struct weir_env *env, struct weir_schema *in, struct weir_schema **out)
{
    (void)self;
    (void)env;
    *out = weir_schema_reference(in);
    return 0;
}

static int side_process(void *self, struct weir_env *env, struct weir_batch *in, struct weir_out *out)
{
    (void)self;
    (void)env;
    weir_out_emit(out, weir_batch_reference(in));
    return 0;
}

const struct weir_stage flow_side = {
    .part = {.kind = WEIR_STAGE, .name = "side output", .summary = "records that a stage had no use for, as they came"},
    .bind = side_bind,
    .process = side_process,
};
