/* SPDX-License-Identifier: MIT */
/* The records that benchmarks work on: readings of sensors "s0" to "s999", in no order, and a pool and symbols. */
#ifndef MICRO_RECORDS_H
#define MICRO_RECORDS_H
#include <weir/batch.h>
#include "data/pool.h"
#include "data/symbols.h"

enum { MICRO_ROWS = 4096, MICRO_KEYS = 1000 };
enum micro_column { MICRO_TIME, MICRO_SENSOR, MICRO_VALUE, MICRO_OTHER, MICRO_SEQ, MICRO_COLUMNS };

struct micro_records {
    struct weir_pool *pool;
    struct weir_symbols *symbols;
    struct weir_schema *schema;
    struct weir_batch *batch; /* MICRO_ROWS rows */
};
/* -ENOMEM: nothing is kept. */
int micro_records_open(struct micro_records *ret);
void micro_records_close(struct micro_records *records); /* a half-open one, too */

uint64_t micro_random(uint64_t *state);

#endif
