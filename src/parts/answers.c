/* SPDX-License-Identifier: MIT */
#include "parts/answers.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/units.h"
#include "data/pool.h"
#include "data/symbols.h"
#include "data/time_text.h"
#include "net/http_url.h"
#include "parts/values.h"

enum { NUMBER_MOST = 64 };

/* ---- Columns ----------------------------------------------------------------------------------------------------- */

/* "f64", or "f64[384]". */
static int parse_type(struct weir_env *env, const struct weir_quoted *text, struct weir_field *field)
{
    char name[32];
    const char *bracket = strchr(text->text, '[');
    size_t length = bracket ? (size_t)(bracket - text->text) : strlen(text->text);
    snprintf(name, sizeof name, "%.*s", (int)(length < sizeof name ? length : sizeof name - 1), text->text);
    int type = weir_type_parse(name);
    if (!bracket && type >= 0 && type != WEIR_ARRAY) {
        field->type = (enum weir_type)type;
        return 0;
    }
    char *end = NULL;
    unsigned long long elements = bracket ? strtoull(bracket + 1, &end, 10) : 0;
    if (bracket && (type == WEIR_F64 || type == WEIR_I64) && end > bracket + 1 && strcmp(end, "]") == 0 && elements &&
        elements <= ANSWERS_ELEMENTS_MOST) {
        *field = (struct weir_field){field->name, WEIR_ARRAY, (enum weir_type)type, (uint32_t)elements};
        return 0;
    }
    return weir_fail_at(env->error, -EINVAL, text->mark,
                        "\"%.40s\" is no type: there are time, f64, i64, bool, symbol, text, and f64[N] or i64[N] for "
                        "lists of N numbers (up to %d)",
                        text->text, ANSWERS_ELEMENTS_MOST);
}

int answers_add(struct answers *answers, struct weir_env *env, const char *name, const char *pointer,
                const struct weir_list *fields, enum weir_type fallback, struct weir_mark mark)
{
    struct answer_column column = {.field = {.name = name, .type = fallback}, .pointer = pointer, .mark = mark};
    size_t length = strlen(name);
    if (!length || length > WEIR_NAME_MAX)
        return weir_fail_at(env->error, -EINVAL, mark, "the name of a column has 1 to %d bytes", WEIR_NAME_MAX);
    if (*pointer && *pointer != '/')
        return weir_fail_at(env->error, -EINVAL, mark,
                            "\"%.60s\" is no JSON pointer: it begins with a slash, as in /data/0, or is empty for the "
                            "whole answer",
                            pointer);
    if (answers->count == ANSWERS_COLUMNS_MOST)
        return weir_fail_at(env->error, -E2BIG, mark, "more than %d `values`", ANSWERS_COLUMNS_MOST);
    for (size_t i = 0; fields && i < fields->count; i++)
        if (strcmp(fields->items[i].name.text, name) == 0) {
            int error = parse_type(env, &fields->items[i].value, &column.field);
            if (error < 0)
                return error;
        }
    struct answer_column *columns = memory_resize(answers->columns, (answers->count + 1) * sizeof *columns);
    if (!columns)
        return weir_fail(env->error, -ENOMEM, "out of memory");
    answers->columns = columns;
    columns[answers->count++] = column;
    return 0;
}

static bool has_value(const struct weir_list *values, const char *name)
{
    for (size_t i = 0; i < values->count; i++)
        if (strcmp(values->items[i].name.text, name) == 0)
            return true;
    return false;
}

int answers_open(struct answers *answers, struct weir_env *env, const struct weir_list *values,
                 const struct weir_list *fields, enum weir_type fallback)
{
    int error = 0;
    for (size_t i = 0; i < values->count && error >= 0; i++)
        error = answers_add(answers, env, values->items[i].name.text, values->items[i].value.text, fields, fallback,
                            values->items[i].name.mark);
    for (size_t i = 0; values->count && i < fields->count && error >= 0; i++)
        if (!has_value(values, fields->items[i].name.text))
            error = weir_fail_at(env->error, -EINVAL, fields->items[i].name.mark,
                                 "`fields` has a type for \"%s\", which is not among `values`",
                                 fields->items[i].name.text);
    return error;
}

void answers_close(struct answers *answers)
{
    memory_free(answers->columns);
    weir_schema_release(answers->schema);
    *answers = (struct answers){0};
}

int answers_bind(struct answers *answers, struct weir_env *env, struct weir_schema *in, struct weir_schema **out)
{
    struct weir_schema *schema = weir_schema_reference(in);
    for (uint32_t i = 0; i < answers->count && schema; i++) {
        const struct answer_column *column = &answers->columns[i];
        int32_t old = weir_schema_find(schema, column->field.name);
        bool special = old >= 0 && (old == schema->time || old == schema->key);
        if (special || (old < 0 && schema->count >= WEIR_FIELDS_MAX)) {
            weir_schema_release(schema);
            return special ? weir_fail_at(env->error, -EINVAL, column->mark,
                                          "\"%s\" is the time or the key of the records; give the answer another name",
                                          column->field.name)
                           : weir_fail_at(env->error, -EINVAL, column->mark, "a record has at most %d columns",
                                          WEIR_FIELDS_MAX);
        }
        struct weir_schema *extended = weir_schema_extend(schema, &column->field, 1);
        weir_schema_release(schema);
        schema = extended;
    }
    if (!schema)
        return weir_fail(env->error, -ENOMEM, "out of memory");
    for (uint32_t i = 0; i < answers->count; i++)
        answers->columns[i].at = (uint32_t)weir_schema_find(schema, answers->columns[i].field.name);
    weir_schema_release(answers->schema);
    answers->schema = schema;
    *out = weir_schema_reference(schema);
    return 0;
}

struct weir_batch *answers_batch(const struct answers *answers, struct weir_env *env, struct weir_batch *in)
{
    struct weir_batch *batch = weir_batch_derive(env->pool, in, answers->schema);
    for (uint32_t i = 0; batch && i < answers->count; i++) {
        const struct answer_column *column = &answers->columns[i];
        void *data = weir_batch_add_column(batch, column->at);
        if (!data) {
            weir_batch_release(batch);
            return NULL;
        }
        for (uint32_t row = 0; row < batch->rows; row++)
            value_set_null(&column->field, data, row);
    }
    return batch;
}

/* ---- Values ------------------------------------------------------------------------------------------------------ */

bool answers_check(const char *url, struct json_text answer, char *words, size_t size)
{
    char shown[256], begins[32] = "";
    if (json_text_whole(answer))
        return true;
    size_t length = answer.size < sizeof begins - 1 ? answer.size : sizeof begins - 1;
    for (size_t i = 0; i < length; i++)
        begins[i] = answer.data[i] >= ' ' && answer.data[i] < 0x7f ? answer.data[i] : '.';
    http_url_show(url, shown, sizeof shown);
    if (answer.size)
        snprintf(words, size, "%s: the answer is no JSON; it begins with \"%s\"", shown, begins);
    else
        snprintf(words, size, "%s: the answer is empty, and no JSON", shown);
    return false;
}

void answers_find(const struct answers *answers, struct json_text answer, struct json_text *values)
{
    for (uint32_t i = 0; i < answers->count; i++)
        if (!json_text_find(answer, answers->columns[i].pointer, &values[i]))
            values[i] = (struct json_text){0};
}

static bool is_null(struct json_text value)
{
    return value.size == 4 && memcmp(value.data, "null", 4) == 0;
}

static bool parse_number(struct json_text value, double *ret)
{
    char text[NUMBER_MOST];
    if (value.size >= sizeof text || !(value.data[0] == '-' || (value.data[0] >= '0' && value.data[0] <= '9')) ||
        memchr(value.data, '_', value.size))
        return false;
    memcpy(text, value.data, value.size);
    text[value.size] = 0;
    return units_number(text, ret) == 0;
}

static bool parse_integer(struct json_text value, int64_t *ret)
{
    char text[NUMBER_MOST];
    double number;
    if (!parse_number(value, &number))
        return false;
    memcpy(text, value.data, value.size);
    text[value.size] = 0;
    if (units_integer(text, ret) == 0)
        return true;
    if (number != floor(number) || fabs(number) > 0x1p53)
        return false;
    *ret = (int64_t)number;
    return true;
}

static bool parse_time(struct json_text value, const char *text, size_t length, int64_t *ret)
{
    double number;
    if (value.data[0] == '"')
        return time_parse(text, length, TIME_AUTO, NULL, ret) == 0;
    return parse_number(value, &number) && time_parse_epoch(value.data, value.size, time_unit_guess(number), ret) == 0;
}

static bool put_array(const struct weir_field *field, void *column, uint32_t row, struct json_text value)
{
    uint64_t *to = (uint64_t *)column + (size_t)row * field->elements;
    const char *state = NULL;
    struct json_text element;
    uint32_t count = 0;
    bool good = value.data[0] == '[';
    for (; good && json_text_element(value, &state, &element); count++) {
        double number;
        int64_t integer;
        good = count < field->elements;
        if (good && field->element == WEIR_F64 && (good = parse_number(element, &number)))
            memcpy(&to[count], &number, sizeof number);
        else if (good && field->element == WEIR_I64 && (good = parse_integer(element, &integer)))
            memcpy(&to[count], &integer, sizeof integer);
    }
    if (!good || count != field->elements)
        value_set_null(field, column, row);
    return good && count == field->elements;
}

/* A string is taken as it reads, anything else as it is written. */
static int put_text(struct weir_env *env, const struct weir_field *field, struct weir_batch *batch, void *column,
                    uint32_t row, struct json_text value)
{
    char *text = weir_batch_allocate(batch, value.size ? value.size : 1);
    size_t length = value.size;
    if (!text)
        return -ENOMEM;
    if (value.data[0] != '"')
        memcpy(text, value.data, value.size);
    else if (!json_text_string(value, text, &length))
        return -EINVAL;
    if (field->type == WEIR_TEXT) {
        ((struct weir_text *)column)[row] = (struct weir_text){text, (uint32_t)length};
        return 0;
    }
    uint32_t symbol = symbols_intern(env->symbols, text, length);
    if (symbol == SYMBOLS_FULL) {
        weir_count(env, "symbol table full", field->name, 1);
        return 0;
    }
    ((uint32_t *)column)[row] = symbol;
    return 0;
}

static bool put_scalar(const struct weir_field *field, void *column, uint32_t row, struct json_text value)
{
    double number;
    int64_t integer;
    char text[NUMBER_MOST];
    size_t length = 0;
    bool whole;
    switch (field->type) {
    case WEIR_F64:
        return parse_number(value, &number) ? ((double *)column)[row] = number, true : false;
    case WEIR_I64:
        return parse_integer(value, &integer) ? ((int64_t *)column)[row] = integer, true : false;
    case WEIR_TIME:
        if (value.data[0] == '"' && (value.size > sizeof text || !json_text_string(value, text, &length)))
            return false;
        return parse_time(value, text, length, &integer) ? ((int64_t *)column)[row] = integer, true : false;
    default:
        whole = value.size == 4 && memcmp(value.data, "true", 4) == 0;
        if (!whole && !(value.size == 5 && memcmp(value.data, "false", 5) == 0))
            return false;
        ((uint8_t *)column)[row] = whole;
        return true;
    }
}

int answers_put(const struct answers *answers, struct weir_env *env, struct weir_batch *batch, uint32_t row,
                const struct json_text *values)
{
    for (uint32_t i = 0; i < answers->count; i++) {
        const struct answer_column *column = &answers->columns[i];
        const struct weir_field *field = &column->field;
        void *data = weir_batch_column_data(batch, column->at);
        int error = 0;
        if (!values[i].data) {
            weir_count(env, "missing in the answer", field->name, 1);
            continue;
        }
        if (is_null(values[i]))
            continue;
        if (field->type == WEIR_TEXT || field->type == WEIR_SYMBOL)
            error = put_text(env, field, batch, data, row, values[i]);
        else if (!(field->type == WEIR_ARRAY ? put_array(field, data, row, values[i])
                                             : put_scalar(field, data, row, values[i])))
            error = -EINVAL;
        if (error == -ENOMEM)
            return error;
        if (error < 0)
            weir_count(env, "type mismatch in the answer", field->name, 1);
    }
    return 0;
}

/* ---- Keeping ----------------------------------------------------------------------------------------------------- */

void answers_pack(const struct answers *answers, const struct json_text *values, struct weir_buffer *out)
{
    for (uint32_t i = 0; i < answers->count; i++) {
        uint32_t size = values[i].data ? (uint32_t)values[i].size : UINT32_MAX;
        buffer_append(out, &size, sizeof size);
        if (values[i].data)
            buffer_append(out, values[i].data, values[i].size);
    }
}

void answers_unpack(const struct answers *answers, const char *bytes, size_t size, struct json_text *values)
{
    size_t at = 0;
    for (uint32_t i = 0; i < answers->count; i++) {
        uint32_t length = UINT32_MAX;
        if (size - at >= sizeof length)
            memcpy(&length, bytes + at, sizeof length);
        at += size - at >= sizeof length ? sizeof length : 0;
        bool there = length != UINT32_MAX && length <= size - at;
        values[i] = there ? (struct json_text){bytes + at, length} : (struct json_text){0};
        at += there ? length : 0;
    }
}

/* ---- Failures ---------------------------------------------------------------------------------------------------- */

const char *const answers_failure_names[] = {"refuse", "null", "stop", NULL};

int answers_fail(struct weir_env *env, enum answers_failure on_failure, const char *kind, const char *words)
{
    weir_notice(env, kind, "%s", words);
    if (on_failure != ANSWERS_FAILURE_STOP)
        return 0;
    return weir_fail(env->error, -EIO, "%s: %s (on_failure: stop)", env->name, words);
}

/* ---- Rows without ------------------------------------------------------------------------------------------------ */

int answers_refuse(struct weir_env *env, struct weir_batch *in, struct weir_batch **made, const uint8_t *refused,
                   uint32_t count, const char *reason)
{
    uint32_t kept = 0, out = 0, *rows = pool_take(env->pool, in->count * sizeof *rows);
    struct weir_batch *rest = rows ? weir_batch_derive(env->pool, *made, (*made)->schema) : NULL;
    uint32_t *selection = rest ? weir_batch_allocate(rest, in->count * sizeof *selection) : NULL;
    if (!selection) {
        if (rows)
            pool_give(rows);
        weir_batch_release(rest);
        return weir_fail(env->error, -ENOMEM, "out of memory for a batch of %u records", in->count);
    }
    for (uint32_t i = 0; i < in->count; i++) {
        uint32_t row = weir_batch_row(in, i);
        if (refused[i] && out < count)
            rows[out++] = row;
        else
            selection[kept++] = row;
    }
    weir_refuse(env, in, rows, out, reason);
    pool_give(rows);
    weir_batch_release(*made);
    if (kept) {
        weir_batch_select(rest, selection, kept);
    } else {
        weir_batch_release(rest);
        rest = NULL;
    }
    *made = rest;
    return 0;
}
