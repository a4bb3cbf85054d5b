/* SPDX-License-Identifier: MIT */
/*
 * Texts made of a record's values, to look something up by: an address with columns in it, or the value of one column.
 *
 *     http://host/sensors/{sensor}?at={site}     values are percent-encoded
 */
#ifndef PARTS_KEY_TEXT_H
#define PARTS_KEY_TEXT_H
#include <weir/part.h>

#include "base/buffer.h"

enum { KEY_TEXT_MOST = 4096, KEY_TEXT_PIECES_MOST = 16 };

struct key_text { /* zeroed: none */
    struct key_piece {
        const char *text; /* the caller's */
        size_t length;
        char *column; /* whose value follows the text; NULL: none */
        uint32_t at;  /* in the schema */
    } pieces[KEY_TEXT_PIECES_MOST];
    uint32_t count;
    bool address;
    struct weir_mark mark;
};

/* `address` is kept by the caller. -EINVAL with words when it names no column. */
int key_text_address(struct key_text *text, struct weir_env *env, const char *address);
int key_text_column(struct key_text *text, struct weir_env *env, const struct weir_quoted *column);
void key_text_close(struct key_text *text);
int key_text_bind(struct key_text *text, struct weir_env *env, const struct weir_schema *in);
/* Appends the text for a physical row. False: a value is null, or it is longer than KEY_TEXT_MOST; then anything was
 * appended. */
bool key_text_append(const struct key_text *text, const struct weir_env *env, const struct weir_batch *in, uint32_t row,
                     struct weir_buffer *out);
#endif
