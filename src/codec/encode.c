/* SPDX-License-Identifier: MIT */
/* Which encoder; and times as text. */
#include "codec/encode.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "codec/separators.h"
#include "data/array.h"

int codec_encode(const struct codec_write_options *options, const struct weir_symbols *symbols,
                 const struct weir_batch *batch, struct weir_buffer *out)
{
    switch (options->format) {
    case CODEC_CSV:
        return encode_csv(options, symbols, batch, out);
    case CODEC_INFLUX:
        return encode_influx(options, symbols, batch, out);
    case CODEC_FRAME:
        return encode_frame(symbols, batch, out);
    case CODEC_TABLE:
        return encode_table(options, symbols, batch, out);
    default:
        return encode_ndjson(options, symbols, batch, out);
    }
}

uint64_t codec_encode_skipped(const struct codec_write_options *options, const struct weir_batch *batch,
                              const char *bytes, size_t size)
{
    return options->format == CODEC_INFLUX ? batch->count - separators_count(bytes, size, '\n') : 0;
}

int codec_encode_header(const struct codec_write_options *options, const struct weir_schema *schema,
                        struct weir_buffer *out)
{
    if (options->format == CODEC_TABLE) {
        return encode_table_header(options, schema, out);
    }
    return options->format == CODEC_CSV && options->header ? encode_csv_header(schema, out) : 0;
}

/* A float as a decimal of few digits that reads back as itself. */
static size_t encode_single(double value, char *out)
{
    size_t length = 0;
    for (int digits = 6; digits <= 9; digits++) {
        length = (size_t)snprintf(out, ENCODE_NUMBER_MAX, "%.*g", digits, value);
        if (strtof(out, NULL) == (float)value)
            break;
    }
    return length;
}

size_t encode_number(struct array_number number, char *out)
{
    if (number.kind == ARRAY_SIGNED)
        return encode_i64(number.i, out);
    if (number.kind == ARRAY_UNSIGNED && number.u <= INT64_MAX)
        return encode_i64((int64_t)number.u, out);
    if (number.kind == ARRAY_UNSIGNED)
        return (size_t)snprintf(out, ENCODE_NUMBER_MAX, "%llu", (unsigned long long)number.u);
    bool whole = fabs(number.f) < 0x1p24 && number.f == trunc(number.f);
    if (number.kind == ARRAY_FLOAT || whole || !isfinite(number.f))
        return codec_show_f64(number.f, out);
    return encode_single(number.f, out);
}

size_t encode_time(const struct codec_write_options *options, struct time_minute *minute, int64_t ns, char *out,
                   bool *ret_quoted)
{
    enum time_format format = (enum time_format)options->time_format;
    *ret_quoted = format < TIME_EPOCH_S;
    if (minute && *ret_quoted && format != TIME_PLAIN)
        return time_show_next(minute, ns, out);
    return time_show(ns, format, out);
}
