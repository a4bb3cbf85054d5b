/* SPDX-License-Identifier: MIT */
/* Bytes to batches and back, for each codec: the same records in each. */
#include <errno.h>
#include <string.h>

#include "base/memory.h"
#include "codec/codec.h"
#include "micro/micro.h"
#include "micro/records.h"

struct codec_work {
    struct micro_records records;
    struct codec_write_options write;
    struct codec_read_options read;
    struct weir_buffer text, out;
    struct weir_memory memory; /* lives here, whoever refers to it */
    struct codec_layout *layout;
    struct decoder *decoder;
    size_t skip;
};

static void refused(void *owner, const struct codec_refusal *refusal)
{
    (void)owner;
    (void)refusal; /* then a record is missing, which is found below */
}

static void counted(void *owner, const char *what, const char *field, uint64_t number)
{
    (void)owner;
    (void)what;
    (void)field;
    (void)number;
}

static void close_codec(void *state)
{
    struct codec_work *work = state;
    codec_layout_release(work->layout);
    if (work->decoder)
        decoder_free(work->decoder);
    buffer_free(&work->text);
    buffer_free(&work->out);
    micro_records_close(&work->records);
    memory_free(work);
}

/* The records as text, with the zeros behind it that decoders may read. */
static int write_text(struct codec_work *work)
{
    int error = codec_encode_header(&work->write, work->records.schema, &work->text);
    if (!error)
        error = codec_encode(&work->write, work->records.symbols, work->records.batch, &work->text);
    char *room = error ? NULL : buffer_reserve(&work->text, 64);
    if (!room)
        return -ENOMEM;
    memset(room, 0, 64);
    return 0;
}

static int open_decoder(struct codec_work *work)
{
    static const struct decoder_events events = {.refused = refused, .counted = counted};
    struct weir_error error = {0};
    struct weir_env env = {.name = "bench", .error = &error};
    uint64_t lines;
    work->decoder = decoder_new(work->records.pool, work->records.symbols, &events);
    if (!work->decoder)
        return -ENOMEM;
    work->memory = (struct weir_memory){.references = 1, .data = work->text.data, .size = work->text.size};
    return codec_layout_new((enum codec_format)work->write.format, &work->read, &env, work->text.data, work->text.size,
                            true, NULL, &work->layout, &work->skip, &lines);
}

static int open_codec(const struct microbench *bench, void **ret)
{
    struct codec_work *work = memory_zeroed(1, sizeof *work);
    if (!work)
        return -ENOMEM;
    work->write = (struct codec_write_options){
        .format = *(const int *)bench->settings, .time_format = TIME_EPOCH_S, .header = true};
    if (work->write.format == CODEC_INFLUX) /* its times are integers */
        work->write.time_format = TIME_AUTO;
    work->read = (struct codec_read_options){.format = work->write.format,
                                             .delimiter = ",",
                                             .header = true,
                                             .key = {.text = "sensor"},
                                             .time_zone = "UTC",
                                             .line_max = 1 << 20};
    int error = micro_records_open(&work->records);
    if (!error)
        error = write_text(work);
    if (!error)
        error = open_decoder(work);
    if (error) {
        close_codec(work);
        return error;
    }
    *ret = work;
    return 0;
}

static int run_decode(void *state, uint64_t calls)
{
    struct codec_work *work = state;
    for (uint64_t i = 0; i < calls; i++) {
        struct weir_block block = {.memory = &work->memory,
                                   .data = work->text.data + work->skip,
                                   .size = work->text.size - work->skip,
                                   .layout = work->layout,
                                   .file = "bench",
                                   .line = 1};
        struct weir_batch *batch = NULL;
        uint64_t records;
        int error = decoder_decode(work->decoder, &block, &batch, &records);
        bool whole = batch && batch->count == MICRO_ROWS;
        weir_batch_release(batch);
        if (error || !whole)
            return error ? error : -EIO;
    }
    return 0;
}

static int run_encode(void *state, uint64_t calls)
{
    struct codec_work *work = state;
    for (uint64_t i = 0; i < calls; i++) {
        work->out.size = 0;
        int error = codec_encode(&work->write, work->records.symbols, work->records.batch, &work->out);
        if (error || work->out.size == 0)
            return error ? error : -EIO;
    }
    return 0;
}

static const int ndjson = CODEC_NDJSON, csv = CODEC_CSV, influx = CODEC_INFLUX, frame = CODEC_FRAME;

#define DECODE(format_name, words)                                                                                     \
    {                                                                                                                  \
        .name = "decode." #format_name, .summary = words " to columns, five fields", .item = "record",                 \
        .items = MICRO_ROWS, .settings = &format_name, .open = open_codec, .run = run_decode, .close = close_codec     \
    }
#define ENCODE(format_name, words)                                                                                     \
    {                                                                                                                  \
        .name = "encode." #format_name, .summary = "columns to " words ", five fields", .item = "record",              \
        .items = MICRO_ROWS, .settings = &format_name, .open = open_codec, .run = run_encode, .close = close_codec     \
    }

const struct microbench micro_codecs[] = {
    DECODE(ndjson, "NDJSON"),         DECODE(csv, "CSV"),       DECODE(influx, "InfluxDB lines"),
    DECODE(frame, "frames"),          ENCODE(ndjson, "NDJSON"), ENCODE(csv, "CSV"),
    ENCODE(influx, "InfluxDB lines"), ENCODE(frame, "frames"),  {.name = NULL},
};
