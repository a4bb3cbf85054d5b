/* SPDX-License-Identifier: MIT */
#include "micro/records.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"

uint64_t micro_random(uint64_t *state)
{
    return hash_random(state);
}

static void fill(struct micro_records *records)
{
    uint64_t random = 1;
    char name[16];
    for (uint32_t row = 0; row < MICRO_ROWS; row++) {
        uint64_t x = micro_random(&random);
        int length = snprintf(name, sizeof name, "s%u", (unsigned)(x % MICRO_KEYS));
        struct weir_batch *batch = records->batch;
        ((int64_t *)weir_batch_column_data(batch, MICRO_TIME))[row] = INT64_C(1732147200000000000) + row * 1000000;
        ((uint32_t *)weir_batch_column_data(batch, MICRO_SENSOR))[row] = symbols_intern(records->symbols, name,
                                                                                        (size_t)length);
        ((double *)weir_batch_column_data(batch, MICRO_VALUE))[row] = (double)(15000 + (x >> 20) % 20000) / 1000;
        ((double *)weir_batch_column_data(batch, MICRO_OTHER))[row] = (double)(15000 + (x >> 40) % 20000) / 1000;
        ((int64_t *)weir_batch_column_data(batch, MICRO_SEQ))[row] = row;
    }
}

int micro_records_open(struct micro_records *ret)
{
    static const struct weir_field fields[MICRO_COLUMNS] = {
        [MICRO_TIME] = {.name = "ts", .type = WEIR_TIME},    [MICRO_SENSOR] = {.name = "sensor", .type = WEIR_SYMBOL},
        [MICRO_VALUE] = {.name = "value", .type = WEIR_F64}, [MICRO_OTHER] = {.name = "other", .type = WEIR_F64},
        [MICRO_SEQ] = {.name = "seq", .type = WEIR_I64},
    };
    *ret = (struct micro_records){.pool = pool_new(NULL, 64 << 20), .symbols = symbols_new(NULL, 0)};
    ret->schema = weir_schema_new(fields, MICRO_COLUMNS, MICRO_TIME, MICRO_SENSOR);
    ret->batch = ret->pool && ret->schema ? weir_batch_new(ret->pool, ret->schema, MICRO_ROWS) : NULL;
    if (!ret->batch || !ret->symbols) {
        micro_records_close(ret);
        return -ENOMEM;
    }
    fill(ret);
    return 0;
}

void micro_records_close(struct micro_records *records)
{
    weir_batch_release(records->batch);
    weir_schema_release(records->schema);
    if (records->symbols)
        symbols_free(records->symbols);
    if (records->pool)
        pool_close(records->pool);
    *records = (struct micro_records){0};
}
