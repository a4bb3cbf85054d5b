/* SPDX-License-Identifier: MIT */
#include "codec/influx.h"

#include <string.h>

bool influx_begin(struct influx_walk *walk, const char *line, size_t length)
{
    const char *end = line + length;
    while (line < end && (*line == ' ' || *line == '\r')) {
        line++;
    }
    while (end > line && (end[-1] == '\r' || end[-1] == '\n')) {
        end--;
    }
    *walk = (struct influx_walk){.p = line, .end = end};
    return line < end && *line != '#';
}

static bool is_special(enum influx_kind kind, char c)
{
    return kind == INFLUX_TEXT ? c == '"' || c == '\\'
                               : c == ',' || c == ' ' || (c == '=' && kind != INFLUX_MEASUREMENT);
}

size_t influx_unescape(enum influx_kind kind, const char *text, size_t length, char *out)
{
    size_t size = 0;
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '\\' && i + 1 < length && is_special(kind, text[i + 1])) {
            i++;
        }
        out[size++] = text[i];
    }
    return size;
}

/* The end of the word at p: where a special character has no backslash before it. */
static const char *word_end(const struct influx_walk *walk, enum influx_kind kind, bool *escaped)
{
    const char *p = walk->p;
    *escaped = false;
    for (; p < walk->end; p++) {
        if (*p == '\\' && p + 1 < walk->end && is_special(kind, p[1])) {
            *escaped = true;
            p++;
        } else if (is_special(kind, *p)) {
            break;
        }
    }
    return p;
}

static bool stop(struct influx_walk *walk, enum refusal *ret, enum refusal refusal)
{
    walk->state = INFLUX_AT_END;
    *ret = refusal;
    return false;
}

/* Behind a measurement or tag: another tag, or the fields. */
static bool after_tag(struct influx_walk *walk)
{
    if (walk->p < walk->end && *walk->p == ',') {
        walk->p++;
        walk->state = INFLUX_AT_TAG;
        return true;
    }
    while (walk->p < walk->end && *walk->p == ' ') {
        walk->p++;
    }
    walk->state = INFLUX_AT_FIELD;
    return walk->p == walk->end || walk->p[-1] == ' ';
}

/* name= ; walk->p is behind it. */
static bool take_name(struct influx_walk *walk, struct influx_item *item)
{
    const char *end = word_end(walk, INFLUX_TAG, &item->name_escaped);
    item->name = walk->p;
    item->name_length = (size_t)(end - walk->p);
    walk->p = end + 1;
    return end < walk->end && *end == '=' && item->name_length > 0;
}

static bool take_tag(struct influx_walk *walk, struct influx_item *item, enum refusal *ret)
{
    item->kind = INFLUX_TAG;
    if (!take_name(walk, item)) {
        return stop(walk, ret, REFUSAL_NOT_INFLUX);
    }
    const char *end = word_end(walk, INFLUX_TAG, &item->escaped);
    item->text = walk->p;
    item->length = (size_t)(end - walk->p);
    walk->p = end;
    return (item->length > 0 && after_tag(walk)) || stop(walk, ret, REFUSAL_NOT_INFLUX);
}

/* ---- Fields ------------------------------------------------------------------------------------------------------ */

static size_t digits(const char *text, size_t length)
{
    size_t count = 0;
    while (count < length && text[count] >= '0' && text[count] <= '9') {
        count++;
    }
    return count;
}

static bool is_number(const char *text, size_t length)
{
    size_t at = length > 0 && *text == '-', whole = digits(text + at, length - at), fraction = 0;
    at += whole;
    if (at < length && text[at] == '.') {
        at++;
        fraction = digits(text + at, length - at);
        at += fraction;
    }
    if (whole + fraction == 0) {
        return false;
    }
    if (at < length && (text[at] | 32) == 'e') {
        at++;
        at += at < length && (text[at] == '-' || text[at] == '+');
        size_t exponent = digits(text + at, length - at);
        at = exponent > 0 ? at + exponent : 0;
    }
    return at == length;
}

bool influx_is_bool(const char *text, size_t length)
{
    static const char *const words[] = {"t", "T", "true", "True", "TRUE", "f", "F", "false", "False", "FALSE", NULL};
    for (int i = 0; words[i]; i++) {
        if (strlen(words[i]) == length && memcmp(words[i], text, length) == 0) {
            return true;
        }
    }
    return false;
}

static bool take_bare(struct influx_walk *walk, struct influx_item *item)
{
    const char *end = walk->p;
    while (end < walk->end && *end != ',' && *end != ' ') {
        end++;
    }
    item->text = walk->p;
    item->length = (size_t)(end - walk->p);
    item->escaped = false;
    walk->p = end;
    if (item->length > 1 && *item->text == '+') {
        item->text++;
        item->length--;
    }
    if (item->length == 0) {
        return false;
    }
    char last = item->text[item->length - 1];
    if (last == 'i' || last == 'u') {
        size_t sign = *item->text == '-' && last == 'i';
        item->kind = INFLUX_INTEGER;
        item->length--;
        return item->length > sign && digits(item->text + sign, item->length - sign) == item->length - sign;
    }
    item->kind = INFLUX_NUMBER;
    if (is_number(item->text, item->length)) {
        return true;
    }
    item->kind = INFLUX_BOOL;
    return influx_is_bool(item->text, item->length);
}

static bool take_quoted(struct influx_walk *walk, struct influx_item *item)
{
    walk->p++;
    item->kind = INFLUX_TEXT;
    item->text = walk->p;
    item->escaped = false;
    for (; walk->p < walk->end; walk->p++) {
        if (*walk->p == '\\' && walk->p + 1 < walk->end && is_special(INFLUX_TEXT, walk->p[1])) {
            item->escaped = true;
            walk->p++;
        } else if (*walk->p == '"') {
            item->length = (size_t)(walk->p++ - item->text);
            return true;
        }
    }
    return false;
}

static bool take_field(struct influx_walk *walk, struct influx_item *item, enum refusal *ret)
{
    if (walk->p == walk->end) {
        return stop(walk, ret, REFUSAL_NO_FIELD);
    }
    if (!take_name(walk, item)) {
        return stop(walk, ret, REFUSAL_NOT_INFLUX);
    }
    if (walk->p < walk->end && *walk->p == '"') {
        if (!take_quoted(walk, item)) {
            return stop(walk, ret, REFUSAL_UNCLOSED);
        }
    } else if (!take_bare(walk, item)) {
        return stop(walk, ret, REFUSAL_VALUE);
    }
    if (walk->p < walk->end && *walk->p == ',') {
        walk->p++;
        return true;
    }
    bool good = walk->p == walk->end || *walk->p == ' ';
    while (walk->p < walk->end && *walk->p == ' ') {
        walk->p++;
    }
    walk->state = walk->p == walk->end ? INFLUX_AT_END : INFLUX_AT_STAMP;
    return good || stop(walk, ret, REFUSAL_VALUE);
}

static bool take_stamp(struct influx_walk *walk, struct influx_item *item, enum refusal *ret)
{
    const char *end = walk->end;
    while (end[-1] == ' ') {
        end--;
    }
    size_t length = (size_t)(end - walk->p), sign = *walk->p == '-';
    if (length == sign || digits(walk->p + sign, length - sign) != length - sign) {
        return stop(walk, ret, REFUSAL_STAMP);
    }
    *item = (struct influx_item){.kind = INFLUX_STAMP, .text = walk->p, .length = length};
    walk->state = INFLUX_AT_END;
    return true;
}

bool influx_next(struct influx_walk *walk, struct influx_item *item, enum refusal *ret)
{
    switch (walk->state) {
    case INFLUX_AT_MEASUREMENT:
        *item = (struct influx_item){.kind = INFLUX_MEASUREMENT, .text = walk->p};
        walk->p = word_end(walk, INFLUX_MEASUREMENT, &item->escaped);
        item->length = (size_t)(walk->p - item->text);
        return (item->length > 0 && after_tag(walk)) || stop(walk, ret, REFUSAL_NOT_INFLUX);
    case INFLUX_AT_TAG:
        return take_tag(walk, item, ret);
    case INFLUX_AT_FIELD:
        return take_field(walk, item, ret);
    case INFLUX_AT_STAMP:
        return take_stamp(walk, item, ret);
    default:
        return stop(walk, ret, REFUSAL_NONE);
    }
}
