/* SPDX-License-Identifier: MIT */
#include "sim/embed.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "base/buffer.h"
#include "base/hash.h"
#include "sim/random.h"

enum { DEPTH_MOST = 64 };

static size_t skip_blanks(const char *json, size_t size, size_t at)
{
    while (at < size && (json[at] == ' ' || json[at] == '\t' || json[at] == '\n' || json[at] == '\r'))
        at++;
    return at;
}

/* The end of the string that begins at `at`, or 0. */
static size_t skip_string(const char *json, size_t size, size_t at)
{
    for (at++; at < size; at++) {
        if (json[at] == '\\')
            at++;
        else if (json[at] == '"')
            return at + 1;
    }
    return 0;
}

/* The end of the value that begins at `at`, or 0: there is none, or its brackets do not match. */
static size_t skip_value(const char *json, size_t size, size_t at)
{
    char open[DEPTH_MOST];
    size_t depth = 0, start = at;
    while (at < size) {
        char c = json[at];
        if (c == '"') {
            at = skip_string(json, size, at);
            if (at == 0)
                return 0;
        } else if (c == '[' || c == '{') {
            if (depth == DEPTH_MOST)
                return 0;
            open[depth++] = c == '[' ? ']' : '}';
            at++;
        } else if ((c == ']' || c == '}') && depth > 0) {
            if (open[--depth] != c)
                return 0;
            at++;
        } else if (depth == 0 && (c == ',' || c == ']' || c == '}')) {
            return at > start ? at : 0;
        } else {
            at++;
            continue;
        }
        if (depth == 0)
            return at;
    }
    return depth == 0 && at > start ? at : 0;
}

static void append_vector(const char *text, size_t length, uint32_t dimensions, struct weir_buffer *out)
{
    struct random random;
    double sum = 0;
    random_seed(&random, hash_bytes(text, length));
    struct random again = random;
    for (uint32_t i = 0; i < dimensions; i++) {
        double value = random_normal(&random);
        sum += value * value;
    }
    for (uint32_t i = 0; i < dimensions; i++)
        buffer_format(out, "%s%.6f", i ? "," : "[", random_normal(&again) / sqrt(sum));
    buffer_append(out, "]", 1);
}

/* Without the blanks around it. */
static void append_value(const char *json, size_t from, size_t to, uint32_t dimensions, struct weir_buffer *out)
{
    while (to > from && strchr(" \t\r\n", json[to - 1]))
        to--;
    append_vector(json + from, to - from, dimensions, out);
}

static int embed_array(const char *json, size_t size, size_t at, uint32_t dimensions, struct weir_buffer *out)
{
    bool first = true;
    buffer_append(out, "[", 1);
    at = skip_blanks(json, size, at + 1);
    while (at < size && !(first && json[at] == ']')) {
        size_t end = skip_value(json, size, at);
        if (end == 0)
            return -EINVAL;
        if (!first)
            buffer_append(out, ",", 1);
        append_value(json, at, end, dimensions, out);
        first = false;
        at = skip_blanks(json, size, end);
        if (at < size && json[at] == ']')
            break;
        if (at >= size || json[at] != ',')
            return -EINVAL;
        at = skip_blanks(json, size, at + 1);
    }
    if (at >= size || skip_blanks(json, size, at + 1) != size)
        return -EINVAL;
    buffer_append(out, "]", 1);
    return 0;
}

int embed(const char *json, size_t size, uint32_t dimensions, struct weir_buffer *out)
{
    size_t at = skip_blanks(json, size, 0);
    int error = 0;
    if (at < size && json[at] == '[') {
        error = embed_array(json, size, at, dimensions, out);
    } else {
        size_t end = at < size ? skip_value(json, size, at) : 0;
        if (end == 0 || skip_blanks(json, size, end) != size)
            return -EINVAL;
        append_value(json, at, end, dimensions, out);
    }
    if (error == 0)
        buffer_append(out, "\n", 1);
    return error ? error : out->failed ? -ENOMEM : 0;
}
