/* SPDX-License-Identifier: MIT */
#include "base/error.h"
#include <ctype.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static void set_error(struct weir_error *error, int code, const struct weir_mark *mark, const char *format,
                      va_list arguments)
{
    if (!error || error->code != 0)
        return;
    error->code = code;
    if (mark)
        error->mark = *mark;
    vsnprintf(error->text, sizeof(error->text), format, arguments);
}

int weir_fail(struct weir_error *error, int code, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    set_error(error, code, NULL, format, arguments);
    va_end(arguments);
    return code;
}

int weir_fail_at(struct weir_error *error, int code, struct weir_mark mark, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    set_error(error, code, &mark, format, arguments);
    va_end(arguments);
    return code;
}

void error_format(const struct weir_error *error, char *out, size_t size)
{
    const struct weir_mark *mark = &error->mark;

    if (!mark->file)
        snprintf(out, size, "%s\n", error->text);
    else if (mark->line <= 0)
        snprintf(out, size, "%s: %s\n", mark->file, error->text);
    else if (mark->column <= 0)
        snprintf(out, size, "%s:%d: %s\n", mark->file, mark->line, error->text);
    else
        snprintf(out, size, "%s:%d:%d: %s\n", mark->file, mark->line, mark->column, error->text);
}

/* ---- Suggestions ------------------------------------------------------------------------------------------------ */

enum { NEAREST_LENGTH_MAX = 64 };

static inline int least_of(int a, int b)
{
    return a < b ? a : b;
}

/* Damerau-Levenshtein distance (optimal string alignment: neighbours may be swapped once), case ignored; both words at
 * most NEAREST_LENGTH_MAX long. */
static int distance_between(const char *a, int a_length, const char *b, int b_length)
{
    int rows[3][NEAREST_LENGTH_MAX + 1];
    int *before = rows[0], *previous = rows[1], *current = rows[2];

    for (int j = 0; j <= b_length; j++)
        previous[j] = j;
    for (int i = 1; i <= a_length; i++) {
        int *free_row = before;
        int a_char = tolower((unsigned char)a[i - 1]);

        current[0] = i;
        for (int j = 1; j <= b_length; j++) {
            int b_char = tolower((unsigned char)b[j - 1]);

            current[j] = least_of(previous[j] + 1, current[j - 1] + 1);
            current[j] = least_of(current[j], previous[j - 1] + (a_char != b_char));
            if (i > 1 && j > 1 && a_char == tolower((unsigned char)b[j - 2]) &&
                tolower((unsigned char)a[i - 2]) == b_char)
                current[j] = least_of(current[j], before[j - 2] + 1);
        }
        before = previous;
        previous = current;
        current = free_row;
    }
    return previous[b_length];
}

/* How many slips of the finger still leave a word recognisable. */
static int slips_allowed(size_t length)
{
    if (length < 2)
        return 0;
    if (length < 5)
        return 1;
    return length < 8 ? 2 : 3;
}

const char *error_nearest(const char *word, const char *const *names, size_t count)
{
    size_t length = strlen(word);
    int allowed = slips_allowed(length);
    const char *best = NULL, *begins = NULL;
    size_t beginning = 0;

    if (length == 0 || length > NEAREST_LENGTH_MAX)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        size_t name_length = strlen(names[i]);
        int distance;

        if (length >= 3 && name_length > length && strncasecmp(word, names[i], length) == 0) {
            begins = names[i];
            beginning++;
        }
        if (name_length == 0 || name_length > NEAREST_LENGTH_MAX)
            continue;
        distance = distance_between(word, (int)length, names[i], (int)name_length);
        if (distance <= allowed && distance < (int)name_length) {
            best = names[i];
            allowed = distance - 1;
        }
    }
    return best ? best : beginning == 1 ? begins : NULL;
}

/* ---- Carets ----------------------------------------------------------------------------------------------------- */

enum { CARET_WIDTH_MAX = 110, CARET_LEFT_MAX = 60 };

static inline bool starts_character(char byte)
{
    return ((unsigned char)byte & 0xc0) != 0x80;
}

int error_column(const char *line, size_t byte)
{
    int column = 1;

    for (size_t i = 0; i < byte && line[i]; i++)
        column += starts_character(line[i + 1]);
    return column;
}

/* The first byte after `count` more characters. */
static const char *skip_characters(const char *at, const char *end, int count)
{
    while (count > 0 && at < end) {
        at++;
        if (at == end || starts_character(*at))
            count--;
    }
    return at;
}

struct fixed_text {
    char *out;
    size_t size, used;
};

static void put(struct fixed_text *text, const char *data, size_t size)
{
    size_t room = text->size - text->used - 1;

    if (size > room)
        size = room;
    memcpy(text->out + text->used, data, size);
    text->used += size;
    text->out[text->used] = '\0';
}

void error_caret(const char *line, int column, int length, char *out, size_t size)
{
    struct fixed_text text = {out, size, 0};
    const char *end = line + strcspn(line, "\r\n");
    const char *mark, *last;
    int width = error_column(line, (size_t)(end - line)) - 1;
    bool cut_left = false, cut_right;

    if (size == 0)
        return;
    out[0] = '\0';
    if (column < 1)
        column = 1;
    if (width > CARET_WIDTH_MAX && column > CARET_LEFT_MAX) { /* a long line: show what is around the mark */
        line = skip_characters(line, end, column - CARET_LEFT_MAX);
        column = CARET_LEFT_MAX;
        cut_left = true;
    }
    last = skip_characters(line, end, CARET_WIDTH_MAX);
    cut_right = last < end;
    put(&text, "...", cut_left ? 3 : 0);
    put(&text, line, (size_t)(last - line));
    put(&text, "...", cut_right ? 3 : 0);
    put(&text, "\n   ", cut_left ? 4 : 1);
    mark = skip_characters(line, last, column - 1);
    for (const char *at = line; at < mark; at++) {
        if (starts_character(*at))
            put(&text, *at == '\t' ? "\t" : " ", 1);
    }
    put(&text, "^", 1);
    for (const char *at = skip_characters(mark, last, 1); length > 1 && at < last; length--) {
        put(&text, "~", 1);
        at = skip_characters(at, last, 1);
    }
}
