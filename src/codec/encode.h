/* SPDX-License-Identifier: MIT */
/* Private to codec/: what the encoders share. */
#ifndef CODEC_ENCODE_H
#define CODEC_ENCODE_H
#include "codec/codec.h"

enum { ENCODE_NUMBER_MAX = 48 }; /* room for any number or time with its quotes; more may be written than it is long */

size_t encode_i64(int64_t value, char *out);
/* One that is not null; as many digits as tell it from its neighbours. Infinities are inf and -inf. */
struct array_number;
size_t encode_number(struct array_number number, char *out);
/* RFC 3339 unless the options say otherwise. `minute` is kept for a batch; or NULL. *ret_quoted: it is no number. */
size_t encode_time(const struct codec_write_options *options, struct time_minute *minute, int64_t ns, char *out,
                   bool *ret_quoted);

int encode_ndjson(const struct codec_write_options *options, const struct weir_symbols *symbols,
                  const struct weir_batch *batch, struct weir_buffer *out);
int encode_csv(const struct codec_write_options *options, const struct weir_symbols *symbols,
               const struct weir_batch *batch, struct weir_buffer *out);
int encode_csv_header(const struct weir_schema *schema, struct weir_buffer *out);
int encode_influx(const struct codec_write_options *options, const struct weir_symbols *symbols,
                  const struct weir_batch *batch, struct weir_buffer *out);
int encode_frame(const struct weir_symbols *symbols, const struct weir_batch *batch, struct weir_buffer *out);
int encode_table(const struct codec_write_options *options, const struct weir_symbols *symbols,
                 const struct weir_batch *batch, struct weir_buffer *out);
int encode_table_header(const struct codec_write_options *options, const struct weir_schema *schema,
                        struct weir_buffer *out);

#endif
