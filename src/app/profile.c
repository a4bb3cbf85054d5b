/* SPDX-License-Identifier: MIT */
#include "app/profile.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "base/hash.h"
#include "base/memory.h"

enum { SLOTS = 2 * PROFILE_DISTINCT_MOST };

static void add_number(struct profile_column *column, double value)
{
    if (column->values == 0 || value < column->least)
        column->least = value;
    if (column->values == 0 || value > column->most)
        column->most = value;
    column->values++;
    double before = value - column->mean;
    column->mean += before / (double)column->values;
    column->squares += before * (value - column->mean);
}

/* `seen` holds hashes, open addressing; two texts with the same 64 bits count as one. */
static void add_text(struct profile_column *column, uint64_t *seen, const char *text, size_t length)
{
    if (column->values++ == 0) {
        size_t kept = length < sizeof column->first - 1 ? length : sizeof column->first - 1;
        memcpy(column->first, text, kept);
    }
    uint64_t hash = hash_bytes(text, length) | 1;
    size_t slot = hash % SLOTS;
    while (seen[slot] && seen[slot] != hash)
        slot = (slot + 1) % SLOTS;
    if (!seen[slot] && column->distinct < PROFILE_DISTINCT_MOST) {
        seen[slot] = hash;
        column->distinct++;
    }
}

static void add_column(struct profile_column *column, const struct weir_batch *batch, uint32_t index, uint64_t *seen,
                       const struct weir_symbols *symbols)
{
    const struct weir_column *data = &batch->columns[index];
    enum weir_type type = batch->schema->fields[index].type;
    memset(seen, 0, SLOTS * sizeof *seen);
    for (uint32_t i = 0; i < batch->count; i++) {
        uint32_t row = weir_batch_row(batch, i);
        struct weir_text text = {0};
        if (type == WEIR_SYMBOL)
            text = symbols_text(symbols, data->symbols[row]);
        else if (type == WEIR_TEXT)
            text = data->texts[row];
        if (type == WEIR_F64 && isfinite(data->f64[row]))
            add_number(column, data->f64[row]);
        else if ((type == WEIR_I64 || type == WEIR_TIME) && data->i64[row] != WEIR_I64_NULL)
            add_number(column, (double)data->i64[row]);
        else if (type == WEIR_BOOL && data->bools[row] != WEIR_BOOL_NULL)
            add_number(column, data->bools[row]);
        else if (text.data)
            add_text(column, seen, text.data, text.length);
        else
            column->nulls++;
    }
}

static void count_refusal(void *owner, const struct codec_refusal *refusal)
{
    (void)refusal;
    ++*(uint64_t *)owner;
}

static void ignore_count(void *owner, const char *what, const char *field, uint64_t number)
{
    (void)owner, (void)what, (void)field, (void)number;
}

static int fill(struct profile *profile, const struct weir_batch *batch, const struct weir_symbols *symbols)
{
    uint64_t *seen = memory_zeroed(SLOTS, sizeof *seen);
    if (!seen)
        return -ENOMEM;
    for (uint32_t i = 0; i < profile->schema->count; i++)
        add_column(&profile->columns[i], batch, i, seen, symbols);
    profile->records = batch->count;
    memory_free(seen);
    return 0;
}

int profile_new(struct codec_layout *layout, const char *data, size_t size, struct profile *ret,
                struct weir_error *error)
{
    struct profile profile = {.schema = weir_schema_reference(codec_layout_schema(layout))};
    struct decoder_events events = {.owner = &profile.refused, .refused = count_refusal, .counted = ignore_count};
    struct weir_pool *pool = pool_new(NULL, 0);
    struct weir_symbols *symbols = symbols_new(NULL, 0);
    struct decoder *decoder = pool && symbols ? decoder_new(pool, symbols, &events) : NULL;
    struct weir_memory *memory = pool ? pool_memory(pool, size) : NULL;
    struct weir_batch *batch = NULL;
    uint64_t records = 0;
    int code = decoder && memory ? 0 : -ENOMEM;
    profile.columns = memory_zeroed(profile.schema->count + 1, sizeof *profile.columns);
    if (!profile.columns)
        code = -ENOMEM;
    if (!code) {
        memcpy(memory->data, data, size);
        struct weir_block block = {.memory = memory, .data = memory->data, .size = size, .layout = layout, .line = 1};
        code = decoder_decode(decoder, &block, &batch, &records);
    }
    if (!code && batch)
        code = fill(&profile, batch, symbols);
    weir_batch_release(batch);
    weir_memory_release(memory);
    decoder_free(decoder);
    symbols_free(symbols);
    if (pool)
        pool_close(pool);
    if (code) {
        profile_free(&profile);
        return weir_fail(error, code, "out of memory");
    }
    *ret = profile;
    return 0;
}

void profile_free(struct profile *profile)
{
    weir_schema_release(profile->schema);
    memory_free(profile->columns);
    *profile = (struct profile){0};
}

double profile_stddev(const struct profile_column *column)
{
    return column->values > 1 ? sqrt(column->squares / (double)(column->values - 1)) : 0;
}
