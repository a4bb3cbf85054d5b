/* SPDX-License-Identifier: MIT */
/*
 * The C face of the one C++ file: libsimdjson's first stage (where are the structural characters of a text?), and the
 * standard library's exact number conversions. Nothing here throws.
 *
 * Only the first stage of simdjson is used. It finds, with the widest instructions the machine has, the offset of each
 * of { } [ ] : , outside of strings and of the first byte of each string, number and literal, and it checks UTF-8, that
 * strings are closed and that they hold no control characters. The walk over these marks is ours (ndjson.c): it knows
 * what a line is, which columns there are, and writes into them directly.
 */
#ifndef CODEC_NDJSON_SIMDJSON_H
#define CODEC_NDJSON_SIMDJSON_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

struct json_scanner; /* one thread's; not shared */

enum json_scan {
    JSON_SCAN_GOOD,
    JSON_SCAN_UNCLOSED, /* a string without its closing quote */
    JSON_SCAN_CONTROL,  /* a control character (also a newline) inside a string */
    JSON_SCAN_UTF8,
    JSON_SCAN_MEMORY,
    JSON_SCAN_OTHER
};

struct json_scanner *json_scanner_new(void); /* NULL: out of memory */
void json_scanner_free(struct json_scanner *scanner);
/* Marks of data[0..size); valid until the next scan. marks[count] is `size`. size < 4 GiB. */
enum json_scan json_scan(struct json_scanner *scanner, const char *data, size_t size, const uint32_t **ret_marks,
                         uint32_t *ret_count);

bool utf8_valid(const char *data, size_t size);

/* The nearest double of a decimal text (strtod's grammar without hexadecimal; no sign '+'; "inf" and "nan" allowed).
 * 0, -EINVAL when it is not all of the text, -ERANGE beyond the largest double; what is too small becomes 0. */
int number_from_text(const char *text, size_t length, double *ret);
/* The shortest text that reads back the same; returns its length (< 32). */
size_t number_to_text(double value, char *out);

#ifdef __cplusplus
}
#endif
#endif
