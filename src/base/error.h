/* SPDX-License-Identifier: MIT */
/* weir_fail and weir_fail_at are declared in weir/part.h; here is what else there is about errors. */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H
#include <weir/part.h>

/* Writes "file:12:7: text\n" (or just the text when there is no mark) into out. */
void error_format(const struct weir_error *error, char *out, size_t size);

/* The nearest of `count` names by edit distance if it is close enough to be what was meant, else NULL. */
const char *error_nearest(const char *word, const char *const *names, size_t count);

/* Renders the first line of `line` and below it a caret under column `column` (in characters, from 1, as in weir_mark)
 * and tildes, so that `length` characters are marked; 0 or 1: the caret alone. Tabs and UTF-8 are respected, of a long
 * line only the surroundings are shown. No newline at the end. */
void error_caret(const char *line, int column, int length, char *out, size_t size);

/* The column, in characters from 1, of the character at byte `byte` (from 0) of a line. */
int error_column(const char *line, size_t byte);
#endif
