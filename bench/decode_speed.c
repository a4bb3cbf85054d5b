/* SPDX-License-Identifier: MIT */
/*
 * How fast do blocks become batches? Prints millions of records a second on one core, for NDJSON and CSV of the same
 * records, beside libsimdjson's bare reading of the same four fields (decode_bare.cpp), all in one run.
 *
 *     decode_speed [records, in thousands (1000)] [bytes of a block, in KiB (256)] [rounds (5)]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "codec/codec.h"

double bare_read(const char *data, size_t size, size_t window, uint64_t *ret_records);

static void make_data(uint64_t records, enum codec_format format, struct weir_buffer *out)
{
    uint64_t random = 1;
    if (format == CODEC_CSV) {
        buffer_string(out, "ts,sensor,value,seq\n");
    }
    for (uint64_t i = 0; i < records; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        unsigned sensor = (unsigned)(random >> 40) % 1000, value = (unsigned)(random >> 20) % 20000;
        const char *form = format == CODEC_CSV ? "%lu.%03u,s%u,%u.%03u,%lu\n"
                                               : "{\"ts\":%lu.%03u,\"sensor\":\"s%u\",\"value\":%u.%03u,\"seq\":%lu}\n";
        buffer_format(out, form, 1732147200 + (unsigned long)(i / 1000), (unsigned)(i % 1000), sensor,
                      15 + value / 1000, value % 1000, (unsigned long)(i / 1000));
    }
}

static void refused(void *owner, const struct codec_refusal *refusal)
{
    (void)owner;
    printf("refused: %s, line %lu\n", refusal->reason, (unsigned long)refusal->line);
}

struct bench {
    struct weir_pool *pool;
    struct weir_symbols *symbols;
    struct decoder *decoder;
    struct codec_read_options options;
};

static struct codec_layout *layout_of(struct bench *bench, enum codec_format format, const struct weir_buffer *data,
                                      size_t *ret_skip)
{
    struct weir_error error = {0};
    struct weir_env env = {.name = "bench", .error = &error};
    struct codec_layout *layout;
    uint64_t lines;
    size_t sample = codec_cut(format, &bench->options, data->data, 256 << 10);
    if (codec_layout_new(format, &bench->options, &env, data->data, sample, false, NULL, &layout, ret_skip, &lines) !=
        0) {
        printf("%s\n", error.text);
        exit(1);
    }
    return layout;
}

/* One pass over all of the data in blocks; seconds of this thread's processor time. */
static double decode_all(struct bench *bench, enum codec_format format, const struct weir_buffer *data,
                         size_t block_size, uint64_t *ret_records)
{
    size_t at;
    struct codec_layout *layout = layout_of(bench, format, data, &at);
    struct weir_memory memory = {.references = 1000000, .data = data->data, .size = data->size};
    int64_t start = clock_thread_cpu();
    *ret_records = 0;
    while (at < data->size) {
        size_t size = data->size - at < block_size ? data->size - at
                                                   : codec_cut(format, &bench->options, data->data + at, block_size);
        struct weir_block block = {
            .memory = &memory, .data = data->data + at, .size = size, .layout = layout, .file = "bench", .line = 1};
        struct weir_batch *batch;
        uint64_t records;
        if (decoder_decode(bench->decoder, &block, &batch, &records) != 0) {
            printf("out of memory\n");
            exit(1);
        }
        *ret_records += batch ? batch->count : 0;
        weir_batch_release(batch);
        at += size;
    }
    double seconds = (double)(clock_thread_cpu() - start) * 1e-9;
    codec_layout_release(layout);
    return seconds;
}

static void show(const char *name, double best, uint64_t records, size_t bytes)
{
    printf("%-28s %6.1f M records/s  %5.2f GB/s  %5.1f ns each\n", name, (double)records / best / 1e6,
           (double)bytes / best / 1e9, best / (double)records * 1e9);
}

int main(int argc, char **argv)
{
    uint64_t records = (argc > 1 ? strtoull(argv[1], NULL, 10) : 1000) * 1000, seen = 0;
    size_t block_size = (argc > 2 ? strtoul(argv[2], NULL, 10) : 256) << 10;
    int rounds = argc > 3 ? atoi(argv[3]) : 5;
    static const enum codec_format formats[] = {CODEC_NDJSON, CODEC_CSV};
    struct bench bench = {.pool = pool_new(NULL, 64 << 20), .symbols = symbols_new(NULL, 0)};
    struct decoder_events events = {.refused = refused};
    bench.options = (struct codec_read_options){
        .delimiter = ",", .header = true, .key = {.text = "sensor"}, .time_zone = "UTC", .line_max = 1 << 20};
    bench.decoder = decoder_new(bench.pool, bench.symbols, &events);
    struct weir_buffer data[2] = {0};
    double best[3] = {1e9, 1e9, 1e9};
    for (int i = 0; i < 2; i++) {
        make_data(records, formats[i], &data[i]);
        memset(buffer_reserve(&data[i], 64), 0, 64);
    }
    for (int round = 0; round < rounds; round++) { /* turn by turn, so that a busy machine is unfair to none */
        for (int i = 0; i < 2; i++) {
            double seconds = decode_all(&bench, formats[i], &data[i], block_size, &seen);
            best[i] = seconds < best[i] ? seconds : best[i];
            if (seen != records) {
                printf("%lu of %lu records\n", (unsigned long)seen, (unsigned long)records);
            }
        }
        int64_t start = clock_thread_cpu();
        bare_read(data[0].data, data[0].size, 1 << 20, &seen);
        double seconds = (double)(clock_thread_cpu() - start) * 1e-9;
        best[2] = seconds < best[2] && seen == records ? seconds : best[2];
    }
    show("ndjson to columns", best[0], records, data[0].size);
    show("csv to columns", best[1], records, data[1].size);
    show("simdjson, four fields read", best[2], records, data[0].size);
    printf("ndjson: %.2f of simdjson's bare reading\n", best[2] / best[0]);
    decoder_free(bench.decoder);
    symbols_free(bench.symbols);
    pool_close(bench.pool);
    buffer_free(&data[0]);
    buffer_free(&data[1]);
    return 0;
}
