/* SPDX-License-Identifier: MIT */
/* For stages that let some records of each key through: `sample`, `throttle`, `dedup`. */
#ifndef PARTS_SIEVE_H
#define PARTS_SIEVE_H
#include "parts/grouping.h"

struct sieve { /* zeroed: empty */
    struct grouping grouping;
    bool keyless;  /* rows have no states */
    void **states; /* for `pick`: of each selected row of `keyed` */
    uint32_t *rows;
};

/* Writes into sieve->rows which rows of `keyed` go through, in their order, and returns how many. Columns are those of
 * `in`, as `keyed` may be of another schema. */
typedef uint32_t sieve_pick(void *self, struct weir_env *env, const struct weir_batch *in,
                            const struct weir_batch *keyed);

/* The whole of a stage's process. 0, or a negative errno with words. */
int sieve_process(struct sieve *sieve, struct weir_env *env, struct weir_batch *in, struct weir_out *out,
                  sieve_pick *pick, void *self);
void sieve_free(struct sieve *sieve);

#endif
