/* SPDX-License-Identifier: MIT */
#include "codec/json_pointer.h"
#include "codec/json_walk.h"

#include <string.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static const char *skip_blanks(const char *p, const char *end)
{
    while (p < end && is_blank(*p))
        p++;
    return p;
}

/* Behind the closing quote, or NULL. */
static const char *skip_string(const char *p, const char *end)
{
    for (p++; p < end; p++) {
        if (*p == '\\')
            p++;
        else if (*p == '"')
            return p + 1;
    }
    return NULL;
}

/* Behind the bracket that closes the one at p, or NULL. */
static const char *skip_brackets(const char *p, const char *end)
{
    int depth = 0;
    while (p && p < end) {
        if (*p == '"') {
            p = skip_string(p, end);
            continue;
        }
        if ((*p == '{' || *p == '[') && ++depth > JSON_POINTER_DEPTH_MOST)
            return NULL;
        if ((*p == '}' || *p == ']') && --depth == 0)
            return p + 1;
        p++;
    }
    return NULL;
}

bool json_text_value(const char **p, const char *end, struct json_text *ret)
{
    const char *begin = skip_blanks(*p, end), *after = begin;
    if (begin == end)
        return false;
    if (*begin == '"')
        after = skip_string(begin, end);
    else if (*begin == '{' || *begin == '[')
        after = skip_brackets(begin, end);
    else
        while (after < end && !is_blank(*after) && *after != ',' && *after != ']' && *after != '}')
            after++;
    if (!after || after == begin)
        return false;
    *ret = (struct json_text){begin, (size_t)(after - begin)};
    *p = after;
    return true;
}

static bool is_scalar(struct json_text value)
{
    static const char *const words[] = {"true", "false", "null"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (value.size == strlen(words[i]) && memcmp(value.data, words[i], value.size) == 0)
            return true;
    bool digits = false;
    for (size_t i = 0; i < value.size; i++) {
        char c = value.data[i];
        digits |= c >= '0' && c <= '9';
        if (!(c >= '0' && c <= '9') && !(c == '-' && i == 0) && (i == 0 || !memchr("+-.eE", c, 5)))
            return false;
    }
    return digits;
}

bool json_text_whole(struct json_text json)
{
    const char *p = json.data, *end = json.data + json.size;
    struct json_text value;
    if (!json.size || !json_text_value(&p, end, &value) || skip_blanks(p, end) != end)
        return false;
    return memchr("{[\"", value.data[0], 3) || is_scalar(value);
}

bool json_text_element(struct json_text array, const char **state, struct json_text *ret)
{
    const char *end = array.data + array.size, *p = *state;
    if (!p) {
        p = skip_blanks(array.data, end);
        if (p == end || *p != '[')
            return false;
        p++;
    } else {
        p = skip_blanks(p, end);
        if (p == end || *p != ',')
            return false;
        p++;
    }
    if (!json_text_value(&p, end, ret))
        return false;
    *state = p;
    return true;
}

static bool is_name(struct json_text quoted, const char *token, size_t length)
{
    const char *p = quoted.data + 1, *end = quoted.data + quoted.size - 1;
    for (size_t i = 0; i < length; i++) {
        char c = token[i];
        if (c == '~' && i + 1 < length)
            c = token[++i] == '1' ? '/' : '~';
        if (p == end || *p++ != c)
            return false;
    }
    return p == end;
}

static bool find_member(struct json_text object, const char *token, size_t length, struct json_text *ret)
{
    const char *end = object.data + object.size, *p = object.data + 1;
    struct json_text name, value;
    while (json_text_value(&p, end, &name) && name.data[0] == '"') {
        p = skip_blanks(p, end);
        if (p == end || *p++ != ':' || !json_text_value(&p, end, &value))
            return false;
        if (is_name(name, token, length)) {
            *ret = value;
            return true;
        }
        p = skip_blanks(p, end);
        if (p == end || *p++ != ',')
            return false;
    }
    return false;
}

static bool find_element(struct json_text array, const char *token, size_t length, struct json_text *ret)
{
    const char *state = NULL;
    size_t wanted = 0;
    if (!length || length > 9)
        return false;
    for (size_t i = 0; i < length; i++) {
        if (token[i] < '0' || token[i] > '9')
            return false;
        wanted = wanted * 10 + (size_t)(token[i] - '0');
    }
    for (size_t i = 0; i <= wanted; i++)
        if (!json_text_element(array, &state, ret))
            return false;
    return true;
}

bool json_text_find(struct json_text json, const char *pointer, struct json_text *ret)
{
    const char *p = json.data;
    struct json_text at;
    if (!json_text_value(&p, json.data + json.size, &at))
        return false;
    while (*pointer == '/') {
        const char *token = pointer + 1;
        size_t length = strcspn(token, "/");
        struct json_text next = {0};
        bool found = at.data[0] == '{'   ? find_member(at, token, length, &next)
                     : at.data[0] == '[' ? find_element(at, token, length, &next)
                                         : false;
        if (!found)
            return false;
        at = next;
        pointer = token + length;
    }
    *ret = at;
    return *pointer == 0;
}

bool json_text_string(struct json_text string, char *out, size_t *ret_length)
{
    return string.size >= 2 && string.data[0] == '"' && string.data[string.size - 1] == '"' &&
           json_unescape(string.data + 1, string.size - 2, out, ret_length);
}
