/* SPDX-License-Identifier: MIT */
/* Private to codec/: where are the newlines (and delimiters)? */
#ifndef CODEC_SEPARATORS_H
#define CODEC_SEPARATORS_H
#include "codec/decoder.h"

/* Writes the offsets of a and b in data[0..size) to out, which has room for `size` + 16 of them, and returns their
 * number. *ret_quote: there is a quote among the bytes. data has 64 readable bytes behind it. */
size_t separators_find(const char *data, size_t size, char a, char b, uint32_t *out, bool *ret_quote);
size_t separators_count(const char *data, size_t size, char c);
/* The ends of the block's lines into decoder->ends; the last line may have no newline. 0 or -ENOMEM. */
int separators_lines(struct decoder *decoder, size_t *ret_count);

#endif
