/* SPDX-License-Identifier: MIT */
#include "parts/verdicts.h"

#include <errno.h>
#include <string.h>

#include "parts/numeric.h"

int verdicts_reserve(struct verdicts *verdicts, uint32_t count)
{
    int error = numeric_reserve(&verdicts->items, &verdicts->items_capacity, count, 1);
    if (!error)
        error = numeric_reserve(&verdicts->rows, &verdicts->rows_capacity, count, sizeof *verdicts->rows);
    return error;
}

void verdicts_free(struct verdicts *verdicts)
{
    memory_free(verdicts->items);
    memory_free(verdicts->rows);
}

/* The rows of one verdict (or of all but one), into verdicts->rows. */
static uint32_t list_rows(struct verdicts *verdicts, const struct weir_batch *keyed, uint32_t verdict, bool others)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < keyed->count; i++)
        if ((verdicts->items[i] == verdict) != others)
            verdicts->rows[count++] = weir_batch_row(keyed, i);
    return count;
}

static int emit_side(struct verdicts *verdicts, struct weir_env *env, struct weir_batch *in, uint32_t count,
                     struct weir_out *out)
{
    struct weir_batch *side = weir_batch_derive(env->pool, in, in->schema);
    uint32_t *selection = side ? weir_batch_allocate(side, count * sizeof *selection) : NULL;
    if (!selection) {
        weir_batch_release(side);
        return -ENOMEM;
    }
    memcpy(selection, verdicts->rows, count * sizeof *selection);
    weir_batch_select(side, selection, count);
    weir_out_emit_side(out, side);
    return 0;
}

int verdicts_settle(struct verdicts *verdicts, struct weir_env *env, struct weir_batch *in, struct weir_batch *keyed,
                    const char *const *reasons, uint32_t count, uint32_t late, struct weir_out *out)
{
    uint32_t others = list_rows(verdicts, keyed, VERDICT_TAKEN, true);
    struct weir_batch *rest = weir_filter(env, keyed, verdicts->rows, others);
    int error = rest ? 0 : -ENOMEM;
    for (uint32_t verdict = VERDICT_TAKEN + 1; verdict < count && others && !error; verdict++) {
        uint32_t number = list_rows(verdicts, keyed, verdict, false);
        if (!number)
            continue;
        if (verdict != late || !weir_out_side(out)) {
            weir_refuse(env, rest, verdicts->rows, number, reasons[verdict]);
            continue;
        }
        weir_count(env, reasons[verdict], NULL, number);
        error = emit_side(verdicts, env, in, number, out);
    }
    weir_batch_release(rest);
    return error;
}
