/* SPDX-License-Identifier: MIT */
/* Which tags and fields do the first lines have? Line protocol says of what types they are. */
#include <errno.h>
#include <string.h>

#include "base/memory.h"
#include "codec/influx.h"

static bool line_good(const char *line, size_t length)
{
    struct influx_walk walk;
    struct influx_item item;
    enum refusal refusal = REFUSAL_NOT_INFLUX;
    if (!influx_begin(&walk, line, length)) {
        return false;
    }
    while (influx_next(&walk, &item, &refusal)) {
    }
    return refusal == REFUSAL_NONE;
}

bool influx_looks_like(const char *data, size_t size)
{
    const char *newline = size ? memchr(data, '\n', size) : NULL;
    return line_good(data, newline ? (size_t)(newline - data) : size);
}

static void look_at(const struct codec_layout *layout, const struct influx_item *item, struct guess *guess)
{
    switch (item->kind) {
    case INFLUX_MEASUREMENT:
    case INFLUX_TAG:
        guess->tag = true;
        break;
    case INFLUX_STAMP:
        guess->stamp = true;
        break;
    case INFLUX_TEXT:
        guess_string(guess, item->text, item->length, layout->zone);
        break;
    case INFLUX_INTEGER:
        guess->numbers++;
        guess->integers++;
        guess->large = true; /* says that it is one, not how large it is */
        break;
    case INFLUX_NUMBER:
        guess->numbers++;
        break;
    case INFLUX_BOOL:
        guess->bools++;
        break;
    }
}

static int look_at_line(const struct codec_layout *layout, const char *line, size_t length, char *room,
                        struct guesses *guesses)
{
    struct influx_walk walk;
    struct influx_item item;
    enum refusal refusal;
    if (!line_good(line, length)) {
        guesses->refused = guesses->refused ? guesses->refused : "its lines are no line protocol";
        return 0;
    }
    influx_begin(&walk, line, length);
    for (uint32_t k = 0; influx_next(&walk, &item, &refusal); k++) {
        const char *name = item.kind == INFLUX_MEASUREMENT ? "measurement" : item.kind == INFLUX_STAMP ? "time" : room;
        size_t size = strlen("time");
        if (name == room) {
            size = influx_unescape(INFLUX_TAG, item.name, item.name_length, room);
        } else if (item.kind == INFLUX_MEASUREMENT) {
            size = strlen(name);
        }
        struct guess *guess;
        int error = guesses_find(guesses, name, size, k, &guess);
        if (error) {
            return error;
        }
        if (guess) {
            look_at(layout, &item, guess);
        }
    }
    guesses->records++;
    return 0;
}

int influx_guess(const struct codec_layout *layout, const char *data, size_t size, struct guesses *guesses)
{
    size_t line_max = layout->line_max < size ? layout->line_max : size;
    char *room = memory_allocate(line_max + 1);
    int error = room ? 0 : -ENOMEM;
    const char *end = data + size;
    for (int lines = 0; lines < GUESS_LINES && data < end && error == 0; lines++) {
        const char *newline = memchr(data, '\n', (size_t)(end - data));
        size_t length = (size_t)((newline ? newline : end) - data);
        if (length <= line_max && !memchr(data, 0, length) && utf8_valid(data, length)) {
            error = look_at_line(layout, data, length, room, guesses);
        }
        data += length + 1;
    }
    memory_free(room);
    return error;
}
