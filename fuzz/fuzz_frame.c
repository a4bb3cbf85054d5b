/* SPDX-License-Identifier: MIT */
/*
 * Binary frames: any bytes are rows or refusals, and the same ones however they are cut into blocks. With the first bit
 * of the input set, the checksums of everything that may be a frame are put right before, so that what lies behind them
 * is reached too.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "codec/codec.h"
#include "codec/crc32c.h"
#include "codec/frame.h"

struct run {
    struct weir_pool *pool;
    struct weir_symbols *symbols;
    struct decoder *decoder;
    struct weir_buffer rows;
    uint64_t records, good, refusals;
};

static void refused(void *owner, const struct codec_refusal *refusal)
{
    struct run *run = owner;
    run->refusals++;
    if (!refusal->reason || !refusal->detail[0] || refusal->line == 0) {
        abort();
    }
}

static void counted(void *owner, const char *what, const char *field, uint64_t number)
{
    (void)owner;
    if (!what || !field || number == 0) {
        abort();
    }
}

static void add_rows(struct run *run, const struct weir_batch *batch)
{
    struct codec_write_options write = {.format = CODEC_NDJSON};
    run->good += batch->count;
    for (uint32_t row = 0; row < batch->rows; row++) {
        uint64_t position = weir_batch_position(batch, row);
        buffer_append(&run->rows, &position, sizeof position);
    }
    if (codec_encode(&write, run->symbols, batch, &run->rows) != 0) {
        abort();
    }
}

static void decode(struct run *run, struct codec_layout *layout, const char *data, size_t size, struct codec_extent at)
{
    struct weir_memory *memory = pool_memory(run->pool, size);
    struct weir_batch *batch = NULL;
    uint64_t records = 0;
    memcpy(memory->data, data, size);
    struct weir_block block = {.memory = memory,
                               .data = memory->data,
                               .size = size,
                               .layout = layout,
                               .file = "fuzz",
                               .line = at.lines + 1,
                               .position = at.records};
    if (decoder_decode(run->decoder, &block, &batch, &records) != 0 || records != codec_block_records(&block)) {
        abort();
    }
    weir_memory_release(memory);
    run->records += records;
    if (batch) {
        add_rows(run, batch);
    }
    weir_batch_release(batch);
}

static struct run read_all(const struct codec_read_options *options, const char *data, size_t size, size_t step)
{
    struct weir_error error = {0};
    struct weir_env env = {.error = &error};
    struct run run = {.pool = pool_new(NULL, 0), .symbols = symbols_new(NULL, 0)};
    struct decoder_events events = {&run, refused, counted};
    struct codec_layout *layout = NULL;
    struct codec_extent at = {0};
    size_t skip = 0, done = 0;
    uint64_t lines = 0;
    if (codec_layout_new(CODEC_FRAME, options, &env, data, size, true, NULL, &layout, &skip, &lines) != 0) {
        if (error.code == 0 || !error.text[0]) {
            abort();
        }
        done = size;
    } else {
        run.decoder = decoder_new(run.pool, run.symbols, &events);
    }
    for (size_t seen = done; done < size;) {
        seen = step && size - seen > step ? seen + step : size;
        size_t cut = seen < size ? codec_cut(CODEC_FRAME, options, data + done, seen - done) : size - done;
        if (cut == 0) {
            continue;
        }
        struct codec_extent extent = codec_extent(CODEC_FRAME, data + done, cut);
        decode(&run, layout, data + done, cut, at);
        at.lines += extent.lines;
        at.records += extent.records;
        done += cut;
    }
    decoder_free(run.decoder);
    codec_layout_release(layout);
    symbols_free(run.symbols);
    pool_close(run.pool);
    return run;
}

/* As if whoever made these bytes had meant them. */
static void repair(char *data, size_t size)
{
    for (size_t at = 0; at + sizeof(struct frame_head) <= size; at++) {
        struct frame_head head;
        memcpy(&head, data + at, sizeof head);
        if (memcmp(head.magic, FRAME_MAGIC, sizeof head.magic) != 0 || head.header_size < sizeof head ||
            head.header_size > head.size || head.size > size - at) {
            continue;
        }
        head.body_crc = crc32c(0, data + at + head.header_size, (size_t)head.size - head.header_size);
        memcpy(data + at, &head, sizeof head);
        head.header_crc = frame_header_crc(data + at, head.header_size);
        memcpy(data + at, &head, sizeof head);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static const struct weir_pair fields[] = {
        {{.text = "t"}, {.text = "time"}}, {{.text = "s"}, {.text = "symbol"}}, {{.text = "v"}, {.text = "f64"}},
        {{.text = "i"}, {.text = "i64"}},  {{.text = "b"}, {.text = "bool"}},   {{.text = "x"}, {.text = "text"}},
    };
    if (size < 2) {
        return 0;
    }
    struct codec_read_options options = {
        .delimiter = ",",
        .time_zone = "UTC",
        .fields = {.items = fields, .count = bytes[0] & 2 ? 6 : 0},
        .line_max = 1 << 20,
    };
    struct weir_buffer copy = {0};
    buffer_append(&copy, bytes + 2, size - 2);
    if (bytes[0] & 1 && copy.size > 0) {
        repair(copy.data, copy.size);
    }
    struct run whole = read_all(&options, copy.data ? copy.data : "", copy.size, 0);
    struct run cut = read_all(&options, copy.data ? copy.data : "", copy.size, 1 + (size_t)bytes[1] * 8);
    if (whole.records != cut.records || whole.good != cut.good || whole.refusals != cut.refusals ||
        whole.rows.size != cut.rows.size) {
        abort();
    }
    buffer_free(&whole.rows);
    buffer_free(&cut.rows);
    buffer_free(&copy);
    return 0;
}
