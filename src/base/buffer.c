/* SPDX-License-Identifier: MIT */
#include "base/buffer.h"
#include "base/memory.h"
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

enum { BUFFER_FIRST = 256 };

void buffer_free(struct weir_buffer *buffer)
{
    memory_free(buffer->data);
    *buffer = (struct weir_buffer){0};
}

char *buffer_reserve(struct weir_buffer *buffer, size_t more)
{
    size_t capacity = buffer->capacity > 0 ? buffer->capacity : BUFFER_FIRST;
    char *data;

    if (buffer->failed)
        return NULL;
    if (buffer->data && more <= buffer->capacity - buffer->size)
        return buffer->data + buffer->size;
    if (more > SIZE_MAX / 4 - buffer->size) {
        buffer->failed = true;
        return NULL;
    }
    while (capacity - buffer->size < more)
        capacity *= 2;
    data = memory_resize(buffer->data, capacity);
    if (!data) {
        buffer->failed = true;
        return NULL;
    }
    buffer->data = data;
    buffer->capacity = capacity;
    return data + buffer->size;
}

void buffer_append(struct weir_buffer *buffer, const void *data, size_t size)
{
    char *room = size > 0 ? buffer_reserve(buffer, size) : NULL;

    if (!room)
        return;
    memcpy(room, data, size);
    buffer->size += size;
}

void buffer_format(struct weir_buffer *buffer, const char *format, ...)
{
    va_list arguments;
    char *room;
    int length;

    room = buffer_reserve(buffer, 128);
    if (!room)
        return;
    va_start(arguments, format);
    length = vsnprintf(room, buffer->capacity - buffer->size, format, arguments);
    va_end(arguments);
    if (length < 0) {
        buffer->failed = true;
        return;
    }
    if ((size_t)length >= buffer->capacity - buffer->size) {
        room = buffer_reserve(buffer, (size_t)length + 1);
        if (!room)
            return;
        va_start(arguments, format);
        vsnprintf(room, (size_t)length + 1, format, arguments);
        va_end(arguments);
    }
    buffer->size += (size_t)length;
}

/* How many bytes the well-formed UTF-8 character at `text` has, or 0 if there is none (overlong, surrogate, too large,
 * truncated). */
static size_t utf8_length(const unsigned char *text, size_t left)
{
    unsigned char first = text[0];
    unsigned char least = 0x80, most = 0xbf; /* of the second byte */
    size_t length;

    if (first < 0x80)
        return 1;
    if (first < 0xc2 || first > 0xf4)
        return 0;
    length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (first == 0xe0)
        least = 0xa0;
    else if (first == 0xed)
        most = 0x9f;
    else if (first == 0xf0)
        least = 0x90;
    else if (first == 0xf4)
        most = 0x8f;
    if (left < length || text[1] < least || text[1] > most)
        return 0;
    for (size_t i = 2; i < length; i++) {
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    }
    return length;
}

static void append_escape(struct weir_buffer *buffer, unsigned char c)
{
    static const char short_forms[] = "\"\"\\\\\bb\ff\nn\rr\tt";
    char escape[2] = {'\\', 0};

    for (const char *form = short_forms; *form; form += 2) {
        if ((unsigned char)form[0] == c) {
            escape[1] = form[1];
            buffer_append(buffer, escape, 2);
            return;
        }
    }
    buffer_format(buffer, "\\u%04x", c);
}

void buffer_json_string(struct weir_buffer *buffer, const char *text, size_t length)
{
    const unsigned char *p = (const unsigned char *)text;
    size_t plain = 0; /* start of what needs no change and was not appended yet */
    size_t i = 0;

    buffer_append(buffer, "\"", 1);
    while (i < length) {
        size_t step = utf8_length(p + i, length - i);

        if (step > 0 && p[i] >= 0x20 && p[i] != '"' && p[i] != '\\') {
            i += step;
            continue;
        }
        buffer_append(buffer, p + plain, i - plain);
        if (step == 0)
            buffer_append(buffer, "\xef\xbf\xbd", 3);
        else
            append_escape(buffer, p[i]);
        i++;
        plain = i;
    }
    buffer_append(buffer, p + plain, i - plain);
    buffer_append(buffer, "\"", 1);
}
