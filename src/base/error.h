/* SPDX-License-Identifier: MIT */
/* weir_fail and weir_fail_at are declared in weir/part.h; here is what else there is about errors. */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H
#include <weir/part.h>

/* Writes "file:12:7: text\n" (or just the text when there is no mark) into out. */
void error_format(const struct weir_error *error, char *out, size_t size);

/* The nearest of `count` names by edit distance if it is close enough to be what was meant, else NULL. */
const char *error_nearest(const char *word, const char *const *names, size_t count);

/* Renders `line` with a caret under column `column` (from 1; tabs and UTF-8 respected) and `length` tildes. */
void error_caret(const char *line, int column, int length, char *out, size_t size);
#endif
