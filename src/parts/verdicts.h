/* SPDX-License-Identifier: MIT */
/*
 * What becomes of the records of a batch in a stage that keeps them, rather than passing them on: those it took in end
 * there, as filtered; those it could not are refused, each for a reason, or go to the stage's side as they came.
 */
#ifndef PARTS_VERDICTS_H
#define PARTS_VERDICTS_H
#include <weir/part.h>

enum { VERDICT_TAKEN };

struct verdicts {
    uint8_t *items; /* of selected row i */
    size_t items_capacity;
    uint32_t *rows;
    size_t rows_capacity;
};

int verdicts_reserve(struct verdicts *verdicts, uint32_t count); /* 0 or -ENOMEM */
void verdicts_free(struct verdicts *verdicts);

/* `keyed`: the rows that there are verdicts on, a batch that grouping_states made of `in`. reasons[verdict], from 1 to
 * `count` - 1, are constant strings; those of `late` go to the side if somebody reads it, and are counted either way.
 * 0 or -ENOMEM. */
int verdicts_settle(struct verdicts *verdicts, struct weir_env *env, struct weir_batch *in, struct weir_batch *keyed,
                    const char *const *reasons, uint32_t count, uint32_t late, struct weir_out *out);
#endif
