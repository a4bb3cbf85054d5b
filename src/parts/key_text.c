/* SPDX-License-Identifier: MIT */
#include "parts/key_text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "codec/codec.h"

static int add_piece(struct key_text *text, struct weir_env *env, const char *before, size_t length, const char *column,
                     size_t column_length)
{
    if (text->count == KEY_TEXT_PIECES_MOST)
        return weir_fail_at(env->error, -E2BIG, env->mark, "`url` names more than %d columns",
                            KEY_TEXT_PIECES_MOST - 1);
    struct key_piece *piece = &text->pieces[text->count++];
    *piece = (struct key_piece){.text = before, .length = length};
    if (!column)
        return 0;
    piece->column = memory_format("%.*s", (int)column_length, column);
    return piece->column ? 0 : weir_fail(env->error, -ENOMEM, "out of memory");
}

int key_text_address(struct key_text *text, struct weir_env *env, const char *address)
{
    const char *from = address, *open = strchr(from, '{');
    int error = 0;
    text->address = true;
    text->mark = env->mark;
    for (; error >= 0 && open; open = strchr(from, '{')) {
        const char *close = strchr(open, '}');
        if (!close || close == open + 1)
            break;
        error = add_piece(text, env, from, (size_t)(open - from), open + 1, (size_t)(close - open - 1));
        from = close + 1;
    }
    if (error >= 0 && !text->count)
        return weir_fail_at(env->error, -EINVAL, env->mark,
                            "`url` is the same for each record; name a column in it, as in "
                            "http://127.0.0.1:8000/sensors/{sensor}");
    return error < 0 ? error : add_piece(text, env, from, strlen(from), NULL, 0);
}

int key_text_column(struct key_text *text, struct weir_env *env, const struct weir_quoted *column)
{
    text->mark = column->mark;
    return add_piece(text, env, "", 0, column->text, strlen(column->text));
}

void key_text_close(struct key_text *text)
{
    for (uint32_t i = 0; i < text->count; i++)
        memory_free(text->pieces[i].column);
    text->count = 0;
}

int key_text_bind(struct key_text *text, struct weir_env *env, const struct weir_schema *in)
{
    for (uint32_t i = 0; i < text->count; i++) {
        struct key_piece *piece = &text->pieces[i];
        int32_t found = piece->column ? weir_schema_find(in, piece->column) : 0;
        if (found < 0)
            return weir_fail_at(env->error, -EINVAL, text->mark, "there is no column \"%s\" to look up by",
                                piece->column);
        if (piece->column && in->fields[found].type == WEIR_ARRAY)
            return weir_fail_at(env->error, -EINVAL, text->mark,
                                "\"%s\" is a list of numbers, which nothing is looked up by", piece->column);
        piece->at = (uint32_t)found;
    }
    return 0;
}

/* False: it is null. */
static bool append_value(const struct weir_env *env, const struct weir_field *field, const struct weir_column *column,
                         uint32_t row, struct weir_buffer *out)
{
    char number[64];
    struct weir_text text = {NULL, 0};
    switch (field->type) {
    case WEIR_SYMBOL:
        text = symbols_text(env->symbols, column->symbols[row]);
        break;
    case WEIR_TEXT:
        text = column->texts[row];
        break;
    case WEIR_F64:
        if (column->f64[row] == column->f64[row])
            text = (struct weir_text){number, (uint32_t)codec_show_f64(column->f64[row], number)};
        break;
    case WEIR_BOOL:
        if (column->bools[row] != WEIR_BOOL_NULL)
            text = (struct weir_text){column->bools[row] ? "true" : "false", column->bools[row] ? 4 : 5};
        break;
    case WEIR_I64:
        if (column->i64[row] != WEIR_I64_NULL)
            text = (struct weir_text){number,
                                      (uint32_t)snprintf(number, sizeof number, "%lld", (long long)column->i64[row])};
        break;
    default:
        if (column->i64[row] != WEIR_TIME_NULL)
            text = (struct weir_text){number, (uint32_t)time_show_rfc3339(column->i64[row], number)};
        break;
    }
    if (text.data)
        buffer_append(out, text.data, text.length);
    return text.data != NULL;
}

/* What is no letter, digit or one of "-._~" (RFC 3986) is written as %XX, from `from` on. */
static void encode_from(struct weir_buffer *out, size_t from)
{
    static const char digits[] = "0123456789ABCDEF";
    char value[KEY_TEXT_MOST];
    size_t size = out->size - from;
    if (size > sizeof value || out->failed)
        return;
    memcpy(value, out->data + from, size);
    out->size = from;
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)value[i];
        bool plain = (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || (c && strchr("-._~", c));
        char encoded[3] = {'%', digits[c >> 4], digits[c & 15]};
        buffer_append(out, plain ? (const char *)&c : encoded, plain ? 1 : 3);
    }
}

bool key_text_append(const struct key_text *text, const struct weir_env *env, const struct weir_batch *in, uint32_t row,
                     struct weir_buffer *out)
{
    size_t begin = out->size;
    for (uint32_t i = 0; i < text->count; i++) {
        const struct key_piece *piece = &text->pieces[i];
        buffer_append(out, piece->text, piece->length);
        if (!piece->column)
            continue;
        size_t from = out->size;
        if (!append_value(env, &in->schema->fields[piece->at], &in->columns[piece->at], row, out) ||
            out->size - from > KEY_TEXT_MOST)
            return false;
        if (text->address)
            encode_from(out, from);
    }
    return out->size - begin <= KEY_TEXT_MOST;
}
