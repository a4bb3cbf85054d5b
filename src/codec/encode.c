/* SPDX-License-Identifier: MIT */
/* Which encoder; and numbers as text. */
#include "codec/encode.h"

#include <math.h>
#include <string.h>

#include "codec/ndjson_simdjson.h"
#include "codec/separators.h"

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
        return encode_table_header(schema, out);
    }
    return options->format == CODEC_CSV && options->header ? encode_csv_header(schema, out) : 0;
}

static const char digit_pairs[201] = "00010203040506070809101112131415161718192021222324252627282930313233343536373839"
                                     "40414243444546474849505152535455565758596061626364656667686970717273747576777879"
                                     "8081828384858687888990919293949596979899";

/* Two digits a step, from the end: half the divisions. */
static size_t put_digits(uint64_t value, char *out)
{
    char digits[20];
    size_t at = sizeof digits;
    while (value >= 100) {
        memcpy(digits + (at -= 2), digit_pairs + value % 100 * 2, 2);
        value /= 100;
    }
    if (value >= 10)
        memcpy(digits + (at -= 2), digit_pairs + value * 2, 2);
    else
        digits[--at] = (char)('0' + value);
    memcpy(out, digits + at, sizeof digits - at);
    return sizeof digits - at;
}

size_t encode_i64(int64_t value, char *out)
{
    bool negative = value < 0;
    *out = '-';
    return negative + put_digits(negative ? -(uint64_t)value : (uint64_t)value, out + negative);
}

size_t encode_time(const struct codec_write_options *options, int64_t ns, char *out, bool *ret_quoted)
{
    enum time_format format = (enum time_format)options->time_format;
    *ret_quoted = format < TIME_EPOCH_S;
    return format == TIME_AUTO ? time_show_rfc3339(ns, out) : time_show(ns, format, out);
}

/* Sensors write few digits. Of all decimals with at most 15 digits only one is nearest to a given double, so if
 * m / 10^6 with an integer m below 10^15 gives the value back, then m without its trailing zeros is the shortest text.
 */
static size_t show_short(double value, char *out)
{
    double scaled = value * 1e6;
    if (!(scaled < 1e15) || value < 1e-5) {
        return 0;
    }
    uint64_t mantissa = (uint64_t)(scaled + 0.5);
    if ((double)mantissa / 1e6 != value) {
        return 0;
    }
    uint64_t whole = mantissa / 1000000, fraction = mantissa % 1000000;
    size_t length = put_digits(whole, out);
    if (fraction == 0) {
        return length;
    }
    out[length++] = '.';
    uint32_t digits = (uint32_t)fraction;
    memcpy(out + length, digit_pairs + digits / 10000 * 2, 2);
    memcpy(out + length + 2, digit_pairs + digits / 100 % 100 * 2, 2);
    memcpy(out + length + 4, digit_pairs + digits % 100 * 2, 2);
    length += 6;
    while (out[length - 1] == '0')
        length--;
    return length;
}

size_t codec_show_f64(double value, char out[32])
{
    double magnitude = fabs(value);
    bool negative = signbit(value) != 0;
    *out = '-';
    if (magnitude < 1e15 && magnitude == (double)(int64_t)magnitude) {
        return negative + put_digits((uint64_t)magnitude, out + negative);
    }
    size_t length = show_short(magnitude, out + negative);
    return length > 0 ? negative + length : number_to_text(value, out);
}
