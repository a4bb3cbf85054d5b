/* SPDX-License-Identifier: MIT */
/* Numbers and columns in text for people. */
#ifndef MEASURE_TEXT_H
#define MEASURE_TEXT_H

#include <stddef.h>
#include <stdint.h>

/* "22,695"; cut to what fits. Returns out. */
char *text_count(uint64_t number, char *out, size_t size);
/* Records per second: "1,667", and "12.3 M" where digits no longer matter. Returns out. */
char *text_rate(double per_second, char *out, size_t size);
/* Columns on the screen: characters, not bytes. */
size_t text_columns(const char *text);
#endif
