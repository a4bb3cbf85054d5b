/* SPDX-License-Identifier: MIT */
#include "codec/json_walk.h"

static const char *digits(const char *p, const char *end)
{
    while (p < end && *p >= '0' && *p <= '9') {
        p++;
    }
    return p;
}

bool json_is_number(const char *text, size_t length)
{
    const char *p = text, *end = text + length;
    p += p < end && *p == '-';
    const char *first = p;
    p = digits(p, end);
    if (p == first || (*first == '0' && p - first > 1)) {
        return false;
    }
    if (p < end && *p == '.') {
        first = ++p;
        p = digits(p, end);
        if (p == first) {
            return false;
        }
    }
    if (p < end && (*p == 'e' || *p == 'E')) {
        p++;
        p += p < end && (*p == '+' || *p == '-');
        first = p;
        p = digits(p, end);
        if (p == first) {
            return false;
        }
    }
    return p == end;
}

/* Four hexadecimal digits, or -1. */
static int hex4(const char *p, const char *end)
{
    int value = 0;
    if (end - p < 4) {
        return -1;
    }
    for (int i = 0; i < 4; i++) {
        char c = p[i];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0) {
            return -1;
        }
        value = value * 16 + digit;
    }
    return value;
}

static size_t put_utf8(char *out, uint32_t code)
{
    unsigned char bytes[4];
    size_t length = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const unsigned char first[5] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = length; i-- > 1; code >>= 6) {
        bytes[i] = (unsigned char)(0x80 | (code & 0x3f));
    }
    bytes[0] = (unsigned char)(first[length] | code);
    if (out) {
        memcpy(out, bytes, length);
    }
    return length;
}

/* \u and what follows; p is behind the u. Returns the end, or NULL. */
static const char *code_point(const char *p, const char *end, uint32_t *ret)
{
    int unit = hex4(p, end);
    if (unit < 0) {
        return NULL;
    }
    p += 4;
    *ret = (uint32_t)unit;
    if (unit < 0xd800 || unit > 0xdfff) {
        return p;
    }
    *ret = 0xfffd;
    if (unit < 0xdc00 && end - p >= 6 && p[0] == '\\' && p[1] == 'u') {
        int low = hex4(p + 2, end);
        if (low >= 0xdc00 && low <= 0xdfff) {
            *ret = 0x10000 + (((uint32_t)unit - 0xd800) << 10) + ((uint32_t)low - 0xdc00);
            return p + 6;
        }
    }
    return p;
}

bool json_unescape(const char *text, size_t length, char *out, size_t *ret_length)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *p = text, *end = text + length;
    size_t size = 0;
    while (p < end) {
        if (*p != '\\') {
            if (out) {
                out[size] = *p;
            }
            size++;
            p++;
            continue;
        }
        if (++p == end) {
            return false;
        }
        const char *simple = *p ? strchr(from, *p) : NULL;
        if (simple) {
            if (out) {
                out[size] = to[simple - from];
            }
            size++;
            p++;
            continue;
        }
        uint32_t code;
        if (*p != 'u' || !(p = code_point(p + 1, end, &code))) {
            return false;
        }
        size += put_utf8(out ? out + size : NULL, code);
    }
    *ret_length = size;
    return true;
}

static bool good_scalar(const struct json_walk *walk, uint32_t i)
{
    const char *text = walk->data + walk->marks[i];
    size_t length = json_scalar(walk, i), ignored;
    switch (*text) {
    case '"':
        return length >= 2 && text[length - 1] == '"' &&
               (!json_has_backslash(text + 1, length - 2) || json_unescape(text + 1, length - 2, NULL, &ignored));
    case 't':
        return length == 4 && memcmp(text, "true", 4) == 0;
    case 'f':
        return length == 5 && memcmp(text, "false", 5) == 0;
    case 'n':
        return length == 4 && memcmp(text, "null", 4) == 0;
    default:
        return json_is_number(text, length);
    }
}

static char mark_at(const struct json_walk *walk, uint32_t i)
{
    return i < walk->count && walk->marks[i] < walk->limit ? walk->data[walk->marks[i]] : '\0';
}

/* Inside an object a value is preceded by its key and a colon. */
static bool skip_key(const struct json_walk *walk, uint32_t *i)
{
    if (mark_at(walk, *i) != '"' || !good_scalar(walk, *i) || mark_at(walk, *i + 1) != ':') {
        return false;
    }
    *i += 2;
    return true;
}

enum json_value json_skip(const struct json_walk *walk, uint32_t *i)
{
    bool objects[JSON_DEPTH_MAX]; /* by level: is it an object? */
    uint32_t depth = 0;
    for (;;) {
        char c = mark_at(walk, *i);
        if (c == '{' || c == '[') {
            if (depth == JSON_DEPTH_MAX) {
                return JSON_VALUE_DEEP;
            }
            objects[depth++] = c == '{';
            ++*i;
            if (mark_at(walk, *i) != (c == '{' ? '}' : ']')) {
                if (c == '{' && !skip_key(walk, i)) {
                    return JSON_VALUE_BAD;
                }
                continue;
            }
        } else if (c == '\0' || !good_scalar(walk, *i)) {
            return JSON_VALUE_BAD;
        } else {
            ++*i;
        }
        /* Behind a value (or at the bracket that closes an empty one): close levels, then the next value. */
        bool closing = c == '{' || c == '[';
        for (;; closing = false) {
            if (depth == 0) {
                return JSON_VALUE_GOOD;
            }
            bool object = objects[depth - 1];
            c = mark_at(walk, *i);
            ++*i;
            if (c == (object ? '}' : ']')) {
                depth--;
                continue;
            }
            if (closing || c != ',' || (object && !skip_key(walk, i))) {
                return JSON_VALUE_BAD;
            }
            break;
        }
    }
}
