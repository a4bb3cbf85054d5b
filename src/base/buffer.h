/* SPDX-License-Identifier: MIT */
/* Growing bytes. After an allocation failed, `failed` stays set and appends do nothing: check once at the end. */
#ifndef BASE_BUFFER_H
#define BASE_BUFFER_H
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct weir_buffer {
    char *data;
    size_t size, capacity;
    bool failed;
};
void buffer_free(struct weir_buffer *buffer); /* and zeroes it */
/* Room for `more` bytes at data + size; NULL (and failed) when there is none. The caller then adds to size. */
char *buffer_reserve(struct weir_buffer *buffer, size_t more);
void buffer_append(struct weir_buffer *buffer, const void *data, size_t size);
void buffer_format(struct weir_buffer *buffer, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Appends `text` as a JSON string with its quotes; invalid UTF-8 becomes U+FFFD. */
void buffer_json_string(struct weir_buffer *buffer, const char *text, size_t length);
static inline void buffer_string(struct weir_buffer *buffer, const char *text)
{
    buffer_append(buffer, text, strlen(text));
}
#endif
