/* SPDX-License-Identifier: MIT */
/* Layouts: from declared fields, a CSV header and a sample of the data to columns. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "codec/frame.h"
#include "codec/layout.h"
#include "codec/ndjson_simdjson.h"

struct codec_layout *codec_layout_reference(struct codec_layout *layout)
{
    if (layout) {
        atomic_fetch_add_explicit(&layout->references, 1, memory_order_relaxed);
    }
    return layout;
}

void codec_layout_release(struct codec_layout *layout)
{
    if (!layout || atomic_fetch_sub_explicit(&layout->references, 1, memory_order_acq_rel) != 1) {
        return;
    }
    for (uint32_t i = 0; layout->fields && i < layout->field_count; i++) {
        memory_free(layout->fields[i].name);
    }
    memory_free(layout->fields);
    if (layout->zone) {
        time_zone_close(layout->zone);
    }
    weir_schema_release(layout->schema);
    memory_free(layout);
}

struct weir_schema *codec_layout_schema(const struct codec_layout *layout)
{
    return layout->schema;
}

/* ---- CSV: the fields of a line ----------------------------------------------------------------------------------- */

static bool name_taken(const struct codec_layout *layout, const char *name)
{
    for (uint32_t i = 0; i < layout->field_count; i++) {
        if (strcmp(layout->fields[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

/* Takes over `name`. A name that is empty or too long becomes c<place>; one that was there before gets a number. */
static int add_field(struct codec_layout *layout, char *name)
{
    uint32_t place = layout->field_count + 1;
    if (name && (*name == '\0' || strlen(name) > WEIR_NAME_MAX - 8)) {
        memory_free(name);
        name = memory_format("c%u", place);
    }
    for (uint32_t copy = 2; name && name_taken(layout, name); copy++) {
        char *other = memory_format("%s_%u", name, copy);
        if (!other || !name_taken(layout, other)) {
            memory_free(name);
            name = other;
            break;
        }
        memory_free(other);
    }
    struct layout_field *fields = name ? memory_resize(layout->fields, place * sizeof *fields) : NULL;
    if (!fields) {
        memory_free(name);
        return -ENOMEM;
    }
    fields[place - 1] = (struct layout_field){.name = name, .column = -1};
    layout->fields = fields;
    layout->field_count = place;
    return 0;
}

/* The name without blanks around it. */
static char *name_of(const struct csv_field *field)
{
    const char *text = field->text;
    size_t length = field->length;
    while (length > 0 && (*text == ' ' || *text == '\t')) {
        text++;
        length--;
    }
    while (length > 0 && (text[length - 1] == ' ' || text[length - 1] == '\t')) {
        length--;
    }
    char *name = memory_allocate(length + 1);
    if (name) {
        size_t size = length;
        memcpy(name, text, length);
        if (field->doubled) {
            size = csv_undouble(text, length, name);
        }
        name[size] = '\0';
    }
    return name;
}

/* Names from the header line, from the declared fields in their order, or c1, c2, … */
static int name_fields(struct codec_layout *layout, const struct codec_read_options *options, struct weir_env *env,
                       const char *line, const char *end)
{
    struct csv_field field;
    uint32_t place = 0;
    for (const char *p = line; p; place++) {
        p = csv_field_next(p, end, layout->delimiter, &field);
        if (place == WEIR_FIELDS_MAX) {
            return weir_fail_at(env->error, -E2BIG, env->mark,
                                "a line is over the limit on fields, which is %d; is `delimiter` right?",
                                (int)WEIR_FIELDS_MAX);
        }
        char *name = options->header                 ? name_of(&field)
                     : place < options->fields.count ? memory_string(options->fields.items[place].name.text)
                                                     : memory_format("c%u", place + 1);
        if (!name || add_field(layout, name) != 0) {
            return -ENOMEM;
        }
    }
    return 0;
}

/* ---- Columns ----------------------------------------------------------------------------------------------------- */

static const char *nearest_field(const char *name, const struct weir_field *fields, uint32_t count)
{
    const char **names = memory_zeroed(count ? count : 1, sizeof *names);
    for (uint32_t i = 0; names && i < count; i++) {
        names[i] = fields[i].name;
    }
    const char *nearest = names ? error_nearest(name, names, count) : NULL;
    memory_free(names);
    return nearest;
}

static int find_column(struct weir_env *env, const struct weir_quoted *wanted, const char *option,
                       const struct weir_field *fields, uint32_t count, bool declared, int32_t *ret)
{
    *ret = -1;
    if (!wanted->text || *wanted->text == '\0') {
        return 0;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(fields[i].name, wanted->text) == 0) {
            *ret = (int32_t)i;
            return 0;
        }
    }
    const char *nearest = nearest_field(wanted->text, fields, count);
    const char *where = declared ? "`fields` does not declare it" : "no record at the beginning of the data has it";
    struct weir_mark mark = wanted->mark.file ? wanted->mark : env->mark;
    if (nearest) {
        return weir_fail_at(env->error, -EINVAL, mark, "%s: there is no field '%s': %s; did you mean '%s'?", option,
                            wanted->text, where, nearest);
    }
    return weir_fail_at(env->error, -EINVAL, mark, "%s: there is no field '%s': %s", option, wanted->text, where);
}

static int make_schema(struct codec_layout *layout, const struct codec_read_options *options, struct weir_env *env,
                       struct weir_field *fields, uint32_t count, bool declared)
{
    int32_t time, key;
    int error = find_column(env, &options->time, "time", fields, count, declared, &time);
    if (error == 0) {
        error = find_column(env, &options->key, "key", fields, count, declared, &key);
    }
    if (error) {
        return error;
    }
    if (time >= 0) {
        fields[time].type = WEIR_TIME;
    }
    for (uint32_t i = 0; time < 0 && i < count; i++) {
        time = fields[i].type == WEIR_TIME && (int32_t)i != key ? (int32_t)i : -1;
    }
    layout->schema = weir_schema_new(fields, count, time, key);
    return layout->schema ? 0 : -ENOMEM;
}

static int declared_columns(struct codec_layout *layout, const struct codec_read_options *options, struct weir_env *env)
{
    const struct weir_list *list = &options->fields;
    if (list->count > WEIR_FIELDS_MAX) {
        return weir_fail_at(env->error, -E2BIG, list->items[0].name.mark, "more than %d fields", (int)WEIR_FIELDS_MAX);
    }
    struct weir_field *fields = memory_zeroed(list->count, sizeof *fields);
    if (!fields) {
        return -ENOMEM;
    }
    int error = 0;
    for (size_t i = 0; i < list->count && error == 0; i++) {
        const struct weir_pair *pair = &list->items[i];
        int type = pair->value.text ? weir_type_parse(pair->value.text) : -1;
        fields[i] = (struct weir_field){.name = pair->name.text, .type = (enum weir_type)type};
        if (type < 0 || type == WEIR_ARRAY) {
            error = weir_fail_at(env->error, -EINVAL, pair->value.mark,
                                 "field '%s': '%s' is no type; there are time, f64, i64, bool, symbol and text",
                                 pair->name.text, pair->value.text ? pair->value.text : "");
        }
    }
    if (error == 0) {
        error = make_schema(layout, options, env, fields, (uint32_t)list->count, true);
    }
    memory_free(fields);
    return error;
}

static int inferred_columns(struct codec_layout *layout, const struct codec_read_options *options, struct weir_env *env,
                            const char *data, size_t size)
{
    struct guesses guesses = {0};
    struct weir_field *fields = NULL;
    bool is_csv = layout->format == CODEC_CSV;
    int error = is_csv                           ? csv_guess(layout, data, size, &guesses)
                : layout->format == CODEC_INFLUX ? influx_guess(layout, data, size, &guesses)
                                                 : ndjson_guess(layout, data, size, &guesses);
    if (error == 0 && guesses.count == 0) {
        error = weir_fail_at(env->error, -EINVAL, env->mark,
                             "no fields can be told from the data: %s; declare them with `fields`, or check `format`",
                             guesses.refused ? guesses.refused : "there is no record");
    }
    if (error == 0) {
        fields = memory_zeroed(guesses.count, sizeof *fields);
        error = fields ? 0 : -ENOMEM;
    }
    for (uint32_t i = 0; error == 0 && i < guesses.count; i++) {
        const char *name = guesses.items[i].name;
        bool is_key = options->key.text && strcmp(options->key.text, name) == 0;
        fields[i] = (struct weir_field){.name = name, .type = guess_type(&guesses.items[i], is_key, is_csv)};
    }
    if (error == 0) {
        error = make_schema(layout, options, env, fields, guesses.count, false);
    }
    memory_free(fields);
    guesses_free(&guesses);
    return error;
}

/* Columns of the first good frame. */
static int frame_columns(struct codec_layout *layout, const struct codec_read_options *options, struct weir_env *env,
                         const char *data, size_t size)
{
    struct frame_head head;
    struct frame_column column;
    size_t length = 0, at = FRAME_LINE;
    while (size > 0 && !frame_describes(data, size, &head)) {
        frame_find(data, size, true, &head, &length);
        data += length;
        size -= length;
    }
    if (size == 0) {
        return weir_fail_at(env->error, -EINVAL, env->mark,
                            "no fields can be told from the data: there is no frame in it; check `format`");
    }
    struct weir_field *fields = memory_zeroed(head.columns, sizeof *fields);
    char(*names)[WEIR_NAME_MAX + 1] = memory_zeroed(head.columns, sizeof *names);
    int error = fields && names ? 0 : -ENOMEM;
    for (uint32_t i = 0; i < head.columns && error == 0; i++) {
        const char *name = frame_column_next(data, &at, &column);
        memcpy(names[i], name, column.name_length);
        fields[i] = (struct weir_field){.name = names[i],
                                        .type = (enum weir_type)column.type,
                                        .element = column.element,
                                        .elements = column.elements};
    }
    struct codec_read_options with = *options;
    bool has_key = options->key.text && *options->key.text, has_time = options->time.text && *options->time.text;
    if (error == 0 && !has_key && head.key >= 0) {
        with.key.text = names[head.key];
    }
    if (error == 0 && !has_time && head.time >= 0) {
        with.time.text = names[head.time];
    }
    if (error == 0) {
        error = make_schema(layout, &with, env, fields, head.columns, false);
    }
    memory_free(fields);
    memory_free(names);
    return error;
}

static int find_columns(struct codec_layout *layout, const struct codec_read_options *options, struct weir_env *env,
                        const char *data, size_t size, struct codec_layout *previous)
{
    int error = 0;
    if (previous) {
        layout->schema = weir_schema_reference(previous->schema);
    } else if (options->fields.count > 0) {
        error = declared_columns(layout, options, env);
    } else if (layout->format == CODEC_FRAME) {
        error = frame_columns(layout, options, env, data, size);
    } else {
        error = inferred_columns(layout, options, env, data, size);
    }
    for (uint32_t i = 0; error == 0 && i < layout->field_count; i++) {
        layout->fields[i].column = weir_schema_find(layout->schema, layout->fields[i].name);
    }
    return error;
}

/* ---- A new layout ------------------------------------------------------------------------------------------------ */

static int check_options(struct codec_layout *layout, const struct codec_read_options *options, struct weir_env *env)
{
    const char *delimiter = options->delimiter;
    bool is_one = !delimiter || delimiter[0] == '\0' || delimiter[1] == '\0' || strcmp(delimiter, "\\t") == 0;
    if (!is_one || strchr("\"\n\r", codec_delimiter(options)) || (unsigned char)codec_delimiter(options) > 127) {
        return weir_fail_at(env->error, -EINVAL, env->mark,
                            "delimiter: '%s' is not one plain character, such as \",\", \";\" or \"\\t\"", delimiter);
    }
    const char *zone = options->time_zone;
    if (zone && *zone && strcmp(zone, "UTC") != 0) {
        int error = time_zone_open(zone, &layout->zone);
        if (error == -ENOMEM) {
            return error;
        }
        if (error) {
            return weir_fail_at(
                env->error, -EINVAL, env->mark,
                "time_zone: '%s' is not known here; write UTC, local, +01:00 or a name such as Europe/Berlin", zone);
        }
    }
    return 0;
}

/* The header: a byte order mark, and for CSV the first line that is not blank. Names the fields. */
static int read_header(struct codec_layout *layout, const struct codec_read_options *options, struct weir_env *env,
                       const char *data, size_t size, size_t *skip, uint64_t *lines)
{
    if (layout->format != CODEC_FRAME && size >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0) {
        *skip = 3;
    }
    if (layout->format != CODEC_CSV) {
        return 0;
    }
    size_t at = *skip;
    while (at < size) {
        size_t length;
        csv_record_end(data + at, size - at, layout->delimiter, layout->line_max, &length);
        const char *line = data + at, *end = csv_trim_end(line, line + length);
        at += length;
        if (end == line) {
            continue;
        }
        size_t size_of_line = (size_t)(end - line);
        if (options->header && (!utf8_valid(line, size_of_line) || memchr(line, 0, size_of_line))) {
            return weir_fail(env->error, -EINVAL,
                             "the first line, which should name the fields, is not text: this is no CSV file; look at "
                             "`path` and `format`");
        }
        int error = name_fields(layout, options, env, line, end);
        if (error == 0 && options->header) {
            for (const char *p = data + *skip; (p = memchr(p, '\n', (size_t)(data + at - p))); p++) {
                ++*lines;
            }
            *skip = at;
        }
        return error;
    }
    return 0;
}

int codec_layout_new(enum codec_format format, const struct codec_read_options *options, struct weir_env *env,
                     const char *data, size_t size, bool whole, struct codec_layout *previous,
                     struct codec_layout **ret, size_t *ret_skip, uint64_t *ret_lines)
{
    struct codec_layout *layout = memory_zeroed(1, sizeof *layout);
    if (!layout) {
        return weir_fail(env->error, -ENOMEM, "out of memory");
    }
    atomic_init(&layout->references, 1);
    layout->format = format == CODEC_AUTO ? codec_guess(NULL, data, size) : format;
    layout->delimiter = codec_delimiter(options);
    layout->line_max = options->line_max > 0 ? (size_t)options->line_max : 1 << 20;
    layout->time_format = (enum time_format)options->time_format;

    size_t skip = 0;
    uint64_t lines = 0;
    int error = check_options(layout, options, env);
    if (error == 0) {
        error = read_header(layout, options, env, data, size, &skip, &lines);
    }
    if (error == 0) {
        size_t cut = whole || layout->format == CODEC_FRAME ? size : codec_cut(layout->format, options, data, size);
        size_t sample = cut > skip ? cut - skip : 0;
        error = find_columns(layout, options, env, data + skip, sample, previous);
    }
    if (error) {
        codec_layout_release(layout);
        return error == -ENOMEM ? weir_fail(env->error, error, "out of memory") : error;
    }
    *ret = layout;
    *ret_skip = skip;
    *ret_lines = lines;
    return 0;
}
