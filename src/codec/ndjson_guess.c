/* SPDX-License-Identifier: MIT */
/* Which fields do the first lines have, and of what types are their values? */
#include <errno.h>
#include <string.h>

#include "base/memory.h"
#include "codec/json_walk.h"
#include "codec/layout.h"
#include "codec/ndjson_simdjson.h"

struct sample {
    const struct codec_layout *layout;
    struct guesses *guesses;
    struct json_scanner *scanner;
    char *line, *scratch; /* the line, with readable bytes behind it, and room as large */
};

static void look_at(const struct sample *sample, const struct json_walk *walk, uint32_t i, struct guess *guess)
{
    const char *text = walk->data + walk->marks[i];
    size_t length;
    switch (*text) {
    case '"':
        length = json_scalar(walk, i) - 2;
        if (json_unescape(text + 1, length, sample->scratch, &length)) {
            guess_string(guess, sample->scratch, length, sample->layout->zone);
        }
        break;
    case 't':
    case 'f':
        guess->bools++;
        break;
    case 'n':
    case '{':
    case '[':
        break;
    default:
        guess_number(guess, text, json_scalar(walk, i));
        break;
    }
}

/* The fields of an object that was found to be good. */
static int look_at_object(const struct sample *sample, const struct json_walk *walk)
{
    uint32_t i = 1;
    for (uint32_t k = 0; walk->data[walk->marks[i]] == '"'; k++) {
        const char *key = walk->data + walk->marks[i];
        size_t length = json_scalar(walk, i) - 2;
        struct guess *guess;
        if (!json_unescape(key + 1, length, sample->scratch, &length)) {
            return 0;
        }
        int error = guesses_find(sample->guesses, sample->scratch, length, k, &guess);
        if (error) {
            return error;
        }
        i += 2;
        if (guess) {
            look_at(sample, walk, i, guess);
        }
        json_skip(walk, &i);
        i++; /* the comma, or the closing brace, behind which marks end */
        if (i >= walk->count) {
            break;
        }
    }
    return 0;
}

static int look_at_line(const struct sample *sample, const char *text, size_t length)
{
    struct json_walk walk = {.data = sample->line, .limit = (uint32_t)length};
    memcpy(sample->line, text, length);
    memset(sample->line + length, ' ', 64);
    enum json_scan scan = json_scan(sample->scanner, sample->line, length, &walk.marks, &walk.count);
    if (scan == JSON_SCAN_MEMORY) {
        return -ENOMEM;
    }
    if (scan == JSON_SCAN_GOOD && walk.count == 0) {
        return 0;
    }
    uint32_t end = 0;
    bool good = scan == JSON_SCAN_GOOD && walk.data[walk.marks[0]] == '{' &&
                json_skip(&walk, &end) == JSON_VALUE_GOOD && end == walk.count;
    if (!good) {
        sample->guesses->refused = "its lines are no JSON objects";
        return 0;
    }
    sample->guesses->records++;
    return look_at_object(sample, &walk);
}

int ndjson_guess(const struct codec_layout *layout, const char *data, size_t size, struct guesses *guesses)
{
    size_t line_max = layout->line_max < size ? layout->line_max : size;
    struct sample sample = {
        .layout = layout,
        .guesses = guesses,
        .scanner = json_scanner_new(),
        .line = memory_allocate(line_max + 64),
        .scratch = memory_allocate(line_max + 64),
    };
    int error = sample.scanner && sample.line && sample.scratch ? 0 : -ENOMEM;
    const char *end = data + size;
    for (int lines = 0; lines < GUESS_LINES && data < end && error == 0; lines++) {
        const char *newline = memchr(data, '\n', (size_t)(end - data));
        size_t length = (size_t)((newline ? newline : end) - data);
        if (length <= line_max) {
            error = look_at_line(&sample, data, length);
        }
        data += length + 1;
    }
    json_scanner_free(sample.scanner);
    memory_free(sample.line);
    memory_free(sample.scratch);
    return error;
}
