/* SPDX-License-Identifier: MIT */
/*
 * Finding values in a JSON text without building anything: the text of a value by its pointer, and the elements of an
 * array. What they return is text to be decoded, which checks it; here only brackets and quotes are looked at.
 */
#ifndef CODEC_JSON_POINTER_H
#define CODEC_JSON_POINTER_H
#include <stdbool.h>
#include <stddef.h>

enum { JSON_POINTER_DEPTH_MOST = 256 };

struct json_text {
    const char *data;
    size_t size;
};

/* The value that begins at or behind blanks at *p; moves *p behind it. False: there is none, or it does not end. */
bool json_text_value(const char **p, const char *end, struct json_text *ret);
/* Is it one value with nothing but blanks around it? Looks at brackets, quotes and what stands alone, not at each
 * comma: what a page of HTML or an empty answer is, is told from JSON. */
bool json_text_whole(struct json_text json);
/* RFC 6901: "" is the whole, "/a/0/b" a member of an element of a member; ~1 is a slash, ~0 a tilde. False: no such
 * value. Names are compared as they are written: one with escapes is not found by its meaning. */
bool json_text_find(struct json_text json, const char *pointer, struct json_text *ret);
/* The first element of an array at *state NULL, then the next; false at the end. */
bool json_text_element(struct json_text array, const char **state, struct json_text *ret);
/* What a string (with its quotes) reads as: never longer; out has room for string.size bytes. False: it is none, or
 * has a bad escape. */
bool json_text_string(struct json_text string, char *out, size_t *ret_length);
#endif
