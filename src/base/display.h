/* SPDX-License-Identifier: MIT */
/* How much room text takes on a terminal: UTF-8 whose characters are one column wide, two (East Asian, emoji), or none
 * (accents that join what is before them). */
#ifndef BASE_DISPLAY_H
#define BASE_DISPLAY_H
#include <stddef.h>

/* Bytes of the character that text (length > 0) begins with; *ret_columns: 0, 1 or 2; -1 for what is not to be sent to
 * a terminal as it is: control characters, and bytes that are no UTF-8 (one at a time). */
size_t display_character(const char *text, size_t length, int *ret_columns);
/* Columns of a whole text; what must not be sent counts 1. */
size_t display_columns(const char *text, size_t length);
/* Bytes at the beginning of text that take no more than `columns`; *ret_columns: how many they take. */
size_t display_cut(const char *text, size_t length, size_t columns, size_t *ret_columns);

#endif
