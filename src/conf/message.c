/* SPDX-License-Identifier: MIT */
/* Mistakes in words: what, where with a caret, and what to do about it. Values of secret options are never shown. */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "conf/secret.h"
#include "conf/tree.h"

enum { NAMES_MAX = 256 };

/* Where on this line the value of a secret begins, or its end: the rest is not for other eyes. */
static size_t secret_begin(const char *line, size_t size)
{
    size_t begin = size, end;
    (void)conf_secret_in_text(line, size, 0, &begin, &end);
    for (size_t at = 0; at < begin; at++) {
        for (size_t i = 0; secret_words[i]; i++) {
            size_t length = strlen(secret_words[i]);
            if (size - at < length || strncasecmp(line + at, secret_words[i], length) != 0)
                continue;
            const char *colon = memchr(line + at, ':', size - at);
            if (colon && (size_t)(colon - line) + 1 < begin)
                return (size_t)(colon - line) + 1;
        }
    }
    return begin;
}

static const char *line_begin(const struct tree_text *text, int line)
{
    const char *at = text->data, *end = text->data + text->size;
    for (int i = 1; i < line && at; i++) {
        at = memchr(at, '\n', (size_t)(end - at));
        at = at ? at + 1 : NULL;
    }
    return at;
}

/* The offset in bytes of a column of characters. */
static size_t column_offset(const char *line, size_t size, int column)
{
    size_t at = 0;
    for (int i = 1; i < column && at < size; i++) {
        at++;
        while (at < size && ((unsigned char)line[at] & 0xc0) == 0x80)
            at++;
    }
    return at;
}

/* Is this byte part of a well-formed character? (Overlong forms pass: they hurt no terminal.) */
static bool follows_utf8(const char *text, size_t size, size_t at)
{
    size_t begin = at, length;
    while (begin > 0 && at - begin < 3 && ((unsigned char)text[begin] & 0xc0) == 0x80)
        begin--;
    unsigned char first = (unsigned char)text[begin];
    length = first < 0x80             ? 1
             : (first & 0xe0) == 0xc0 ? 2
             : (first & 0xf0) == 0xe0 ? 3
             : (first & 0xf8) == 0xf0 ? 4
                                      : 0;
    for (size_t i = 1; i < length; i++) {
        if (begin + i >= size || ((unsigned char)text[begin + i] & 0xc0) != 0x80)
            return false;
    }
    return at < begin + length;
}

/* Appends "\n<line>\n<caret>" to out. Secrets and what follows them are left out. */
static void add_excerpt(struct conf *conf, const struct tree *at, bool cut_after, char *out, size_t size)
{
    const char *line = at->line > 0 ? line_begin(at->text, at->line) : NULL;
    if (!line)
        return;
    const char *newline = memchr(line, '\n', at->text->size - (size_t)(line - at->text->data));
    size_t length = newline ? (size_t)(newline - line) : at->text->size - (size_t)(line - at->text->data);
    while (length > 0 && line[length - 1] == '\r')
        length--;
    size_t offset = column_offset(line, length, at->column);
    size_t end = column_offset(line + offset, length - offset, at->width + 1) + offset;
    size_t open = secret_begin(line, length);
    if (length == 0 || offset > open || (offset == open && open < length))
        return;
    if (cut_after && end < open)
        open = end;
    char *copy = arena_allocate(conf->arena, open + 8), drawn[WEIR_ERROR_MAX / 2];
    if (!copy)
        return;
    memcpy(copy, line, open);
    for (size_t i = 0; i < open; i++) {
        if ((iscntrl((unsigned char)copy[i]) && copy[i] != '\t') || !follows_utf8(copy, open, i))
            copy[i] = '?';
    }
    if (open < length)
        memcpy(copy + open, " ***", 5);
    error_caret(copy, at->column, at->width, drawn, sizeof drawn);
    size_t used = strlen(out);
    snprintf(out + used, size - used, "\n%s", drawn);
    for (used = strlen(out); used > 0 && out[used - 1] == '\n'; used--)
        out[used - 1] = 0;
}

static int fail(struct conf *conf, const struct tree *at, bool cut_after, const char *hint, const char *format,
                va_list args) __attribute__((format(printf, 5, 0)));

static int fail(struct conf *conf, const struct tree *at, bool cut_after, const char *hint, const char *format,
                va_list args)
{
    char text[WEIR_ERROR_MAX];
    vsnprintf(text, sizeof text / 3, format, args);
    if (at)
        add_excerpt(conf, at, cut_after, text, sizeof text);
    size_t used = strlen(text);
    if (hint)
        snprintf(text + used, sizeof text - used, "\n%s", hint);
    struct weir_mark nowhere = {0};
    return weir_fail_at(conf->error, -EINVAL, at ? tree_mark(at) : nowhere, "%s", text);
}

int conf_fail(struct conf *conf, const struct tree *at, const char *hint, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int error = fail(conf, at, false, hint, format, args);
    va_end(args);
    return error;
}

int conf_fail_unknown(struct conf *conf, const struct tree *at, const char *const *names, const char *format, ...)
{
    size_t count = 0;
    while (names[count] && count < NAMES_MAX)
        count++;
    const char *nearest = at->kind == TREE_SCALAR ? error_nearest(at->value, names, count) : NULL;
    char hint[512];
    if (nearest) {
        snprintf(hint, sizeof hint, "did you mean \"%s\"?", nearest);
    } else {
        size_t used = (size_t)snprintf(hint, sizeof hint, count ? "there are: " : "there are none");
        for (size_t i = 0; i < count && used + 40 < sizeof hint; i++) {
            bool last = used + strlen(names[i]) + 50 > sizeof hint;
            used += (size_t)snprintf(hint + used, sizeof hint - used, "%s%s", i ? ", " : "", last ? "…" : names[i]);
            if (last)
                break;
        }
    }
    va_list args;
    va_start(args, format);
    /* What follows a misspelt "pasword:" is as secret as if it were spelt right. */
    bool secret = at->kind == TREE_SCALAR && error_nearest(at->value, secret_words, SECRET_WORDS) != NULL;
    int error = fail(conf, at, secret || (nearest && conf_is_secret(nearest)), hint, format, args);
    va_end(args);
    return error;
}

int conf_no_memory(struct conf *conf)
{
    return weir_fail(conf->error, -ENOMEM, "out of memory while reading the configuration");
}
