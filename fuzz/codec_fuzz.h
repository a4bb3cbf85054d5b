/* SPDX-License-Identifier: MIT */
/*
 * What the fuzzers of the codecs share. The first bytes of the input choose options, the rest is a file. It is decoded
 * in one block and cut into small ones: rows, refusals and records have to be the same, every line is accounted for,
 * and what was decoded can be written and is read again without a refusal.
 */
#ifndef FUZZ_CODEC_FUZZ_H
#define FUZZ_CODEC_FUZZ_H
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "codec/codec.h"

struct fuzz {
    struct weir_pool *pool;
    struct weir_symbols *symbols;
    struct decoder *decoder;
    struct codec_layout *layout;
    struct weir_buffer rows;
    uint64_t records, good, refused;
};

static void fuzz_refused(void *owner, const struct codec_refusal *refusal)
{
    struct fuzz *fuzz = owner;
    fuzz->refused++;
    if (!refusal->reason || !refusal->detail[0] || refusal->position + 1 != refusal->line) {
        abort();
    }
}

static void fuzz_counted(void *owner, const char *what, const char *field, uint64_t number)
{
    (void)owner;
    if (!what || !field || number == 0) {
        abort();
    }
}

static void fuzz_block(struct fuzz *fuzz, const char *data, size_t size, uint64_t line)
{
    struct codec_write_options write = {.format = CODEC_NDJSON};
    struct weir_memory *memory = pool_memory(fuzz->pool, size);
    memcpy(memory->data, data, size);
    struct weir_block block = {.memory = memory,
                               .data = memory->data,
                               .size = size,
                               .layout = fuzz->layout,
                               .file = "fuzz",
                               .line = line,
                               .position = line - 1};
    struct weir_batch *batch = NULL;
    uint64_t records = 0;
    if (decoder_decode(fuzz->decoder, &block, &batch, &records) != 0) {
        abort();
    }
    weir_memory_release(memory);
    fuzz->records += records;
    if (batch) {
        fuzz->good += batch->count;
        for (uint32_t row = 0; row < batch->rows; row++) {
            uint64_t position = weir_batch_position(batch, row);
            buffer_append(&fuzz->rows, &position, sizeof position);
        }
        if (codec_encode(&write, fuzz->symbols, batch, &fuzz->rows) != 0) {
            abort();
        }
        weir_batch_release(batch);
    }
}

/* Positions and rows of one run after the other: the same for any cuts, but not in the same order. */
static struct fuzz fuzz_run(enum codec_format format, const struct codec_read_options *options, const char *data,
                            size_t size, size_t step)
{
    struct weir_error error = {0};
    struct weir_env env = {.error = &error};
    struct fuzz fuzz = {.pool = pool_new(NULL, 0), .symbols = symbols_new(NULL, 0)};
    struct decoder_events events = {&fuzz, fuzz_refused, fuzz_counted};
    size_t at = 0;
    uint64_t lines = 0;
    if (codec_layout_new(format, options, &env, data, size, true, NULL, &fuzz.layout, &at, &lines) != 0) {
        if (error.code == 0 || !error.text[0]) {
            abort();
        }
        at = size;
    } else {
        fuzz.decoder = decoder_new(fuzz.pool, fuzz.symbols, &events);
    }
    events.owner = &fuzz;
    for (size_t seen = at; at < size;) {
        seen = step && size - seen > step ? seen + step : size;
        size_t cut = seen < size ? codec_cut(format, options, data + at, seen - at) : size - at;
        if (cut == 0) {
            continue;
        }
        fuzz_block(&fuzz, data + at, cut, lines + 1);
        for (size_t i = at; i < at + cut; i++) {
            lines += data[i] == '\n';
        }
        at += cut;
    }
    decoder_free(fuzz.decoder);
    codec_layout_release(fuzz.layout);
    symbols_free(fuzz.symbols);
    pool_close(fuzz.pool);
    return fuzz;
}

static int fuzz_codec(enum codec_format format, const uint8_t *bytes, size_t size)
{
    static const struct weir_pair fields[] = {
        {{.text = "ts"}, {.text = "time"}},   {{.text = "sensor"}, {.text = "symbol"}},
        {{.text = "value"}, {.text = "f64"}}, {{.text = "seq"}, {.text = "i64"}},
        {{.text = "ok"}, {.text = "bool"}},   {{.text = "note"}, {.text = "text"}},
    };
    if (size < 2) {
        return 0;
    }
    struct codec_read_options options = {
        .delimiter = bytes[0] & 1 ? ";" : ",",
        .header = !(bytes[0] & 2),
        .time_zone = bytes[0] & 4 ? "+01:00" : "UTC",
        .fields = {.items = fields, .count = bytes[0] & 8 ? 6 : 0},
        .line_max = bytes[0] & 16 ? 64 : 1 << 20,
    };
    size_t step = 1 + bytes[1];
    const char *data = (const char *)bytes + 2;
    struct fuzz whole = fuzz_run(format, &options, data, size - 2, 0);
    struct fuzz cut = fuzz_run(format, &options, data, size - 2, step);
    if (whole.records != cut.records || whole.good != cut.good || whole.refused != cut.refused ||
        whole.records != whole.good + whole.refused || whole.rows.size != cut.rows.size) {
        abort();
    }
    buffer_free(&whole.rows);
    buffer_free(&cut.rows);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
