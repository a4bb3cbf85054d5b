/* SPDX-License-Identifier: MIT */
#include "parts/sieve.h"

#include <errno.h>

int sieve_process(struct sieve *sieve, struct weir_env *env, struct weir_batch *in, struct weir_out *out,
                  sieve_pick *pick, void *self)
{
    struct weir_batch *keyed = in, *passed = NULL;
    sieve->states = weir_scratch(env, 0, in->count * sizeof *sieve->states);
    sieve->rows = weir_scratch(env, 1, in->count * sizeof *sieve->rows);
    if (!sieve->states || !sieve->rows)
        return weir_fail(env->error, -ENOMEM, "%s: out of memory", env->name);
    int error = sieve->keyless ? 0 : grouping_states(&sieve->grouping, env, &keyed, sieve->states);
    if (!error && keyed->count) {
        uint32_t count = pick(self, env, in, keyed);
        passed = grouping_filter(env, in, keyed, sieve->rows, count);
        error = passed ? 0 : -ENOMEM;
    }
    if (passed)
        weir_out_emit(out, passed);
    grouping_done(&sieve->grouping);
    return error < 0 ? weir_fail(env->error, error, "%s: out of memory", env->name) : 0;
}

void sieve_free(struct sieve *sieve)
{
    grouping_free(&sieve->grouping);
}
