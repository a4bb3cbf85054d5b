/* SPDX-License-Identifier: MIT */
/* Any heaps become columns: pieces of the input, each behind its length (two bytes, big-endian), are packets of one
 * sender with descriptors, items and whatever else; records are written as JSON. Every byte of every column is read so.
 */
#include <stdlib.h>

#include "base/buffer.h"
#include "codec/codec.h"
#include "data/pool.h"
#include "data/symbols.h"
#include "net/spead_heap.h"
#include "parts/spead_columns.h"

static void take(struct spead_columns *columns, struct weir_env *env, struct weir_spead_heap *heap)
{
    const struct spead_arrival arrival = {.sender = "somebody"};
    const struct codec_write_options options = {.format = CODEC_NDJSON};
    struct weir_buffer out = {0};
    struct weir_batch *batch;
    int made = spead_columns_read(columns, heap);
    if (made == 0 && heap->chunk)
        made = spead_columns_chunk(columns, heap, 0, 0, &batch);
    else if (made == 0)
        made = spead_columns_batch(columns, heap, &arrival, &batch);
    if (made <= 0) {
        weir_memory_release(&heap->memory);
        return;
    }
    if (codec_encode(&options, env->symbols, batch, &out) < 0)
        abort();
    buffer_free(&out);
    weir_batch_release(batch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct spead_columns_options columns_options = {.time = "timestamp", .key = "name", .incomplete = true};
    struct spead_heaps_options options = {.max_heaps = 4,
                                          .substreams = 1,
                                          .max_sources = 4,
                                          .remembered = 4,
                                          .max_heap_bytes = 1 << 16,
                                          .memory = 1 << 20,
                                          .incomplete = true,
                                          .stop = SPEAD_STOP_NEVER};
    if (size == 0)
        return 0;
    if (data[0] & 1)
        options.chunks = (struct weir_spead_chunk_options){.heaps = 1 + data[0] / 64, .heap_bytes = data[0] / 2 % 32};
    struct weir_error error = {0};
    struct weir_env env = {
        .name = "fuzz", .pool = pool_new(NULL, 1 << 20), .symbols = symbols_new(NULL, 0), .error = &error};
    struct spead_columns *columns;
    struct spead_heaps *heaps = spead_heaps_new(&options);
    if (!env.pool || !env.symbols || !heaps || spead_columns_new(&columns_options, &env, &columns) < 0)
        abort();
    struct spead_source *source = spead_heaps_add(heaps, "a", 1, "somebody", 1);
    struct weir_spead_heap *heap;
    for (size_t at = 1, length; at + 2 <= size; at += length) {
        length = (size_t)data[at] << 8 | data[at + 1];
        at += 2;
        length = length < size - at ? length : size - at;
        spead_heaps_packet(heaps, source, data + at, length, 1);
        while ((heap = spead_heaps_take(heaps)))
            take(columns, &env, heap);
    }
    spead_heaps_flush(heaps);
    while ((heap = spead_heaps_take(heaps)))
        take(columns, &env, heap);
    spead_heaps_free(heaps);
    spead_columns_free(columns);
    symbols_free(env.symbols);
    pool_close(env.pool);
    return 0;
}
