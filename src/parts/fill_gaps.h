/* SPDX-License-Identifier: MIT */
/*
 * Records that fill puts in before others of a batch: noted as gaps while its rows are looked at, made when they go
 * out, a piece at a time. Forward and none; linear has parts/fill_line.h.
 *
 *     rows of the batch:   a    b    c         gaps: {b, 3}      goes out:  a  .  .  .  b  c
 */
#ifndef PARTS_FILL_GAPS_H
#define PARTS_FILL_GAPS_H
#include <weir/part.h>

#include "parts/grouping.h"

struct gap {
    uint32_t index, count; /* so many before the batch's selected row `index` */
    int64_t time;          /* of the record before them */
};

struct gaps {
    struct gap *items;
    size_t count, capacity;
    uint64_t *values; /* for each gap that of each field */
    size_t values_capacity;
    uint32_t fields;
    const uint32_t *columns; /* of the fields */
    const struct grouping *grouping;
    int64_t every;
    size_t next; /* whose records go out next */
    uint32_t at; /* how many of them have */
};

/* Notes a gap, behind those before it. Returns where the values of its fields go; NULL: no memory. */
uint64_t *gaps_add(struct gaps *gaps, const struct gap *gap);
void gaps_forget(struct gaps *gaps); /* for the next batch */
void gaps_free(struct gaps *gaps);

/* The selected rows of `made` from *next on, with what is put in before them, of which no more than `most`. Moves *next
 * on. NULL: no memory. */
struct weir_batch *gaps_piece(struct gaps *gaps, struct weir_env *env, struct weir_batch *made, uint32_t most,
                              uint32_t *next);

#endif
