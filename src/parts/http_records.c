/* SPDX-License-Identifier: MIT */
#include "parts/http_records.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/units.h"
#include "codec/json_pointer.h"
#include "data/time_text.h"

const char *const http_format_names[] = {"auto", "json", "csv", "number", "prometheus", NULL};

/* What goes into each line beside what the answer says. */
struct line {
    const struct http_records *records;
    struct weir_buffer *out;
    const char *sensor;
    int64_t wall_ns;
    uint64_t count;
    bool has_key, has_time; /* in the line so far */
    bool empty;
};

static void put_name(struct line *line, const char *name, size_t length)
{
    const struct http_records *records = line->records;
    line->has_key |= records->key && strlen(records->key) == length && memcmp(records->key, name, length) == 0;
    line->has_time |= records->time && strlen(records->time) == length && memcmp(records->time, name, length) == 0;
    buffer_append(line->out, line->empty ? "{" : ",", 1);
    buffer_json_string(line->out, name, length);
    buffer_append(line->out, ":", 1);
    line->empty = false;
}

static void begin_line(struct line *line)
{
    line->has_key = line->has_time = false;
    line->empty = true;
}

/* The sensor and the time, where the answer had none of its own. */
static void put_origin(struct line *line, bool key, bool time)
{
    char text[TIME_TEXT_MAX];
    if (key && line->records->key) {
        put_name(line, line->records->key, strlen(line->records->key));
        buffer_json_string(line->out, line->sensor, strlen(line->sensor));
    }
    if (time && line->records->time) {
        enum time_format format = (enum time_format)line->records->time_format;
        bool number = format >= TIME_EPOCH_S;
        size_t length = number ? time_show(line->wall_ns, format, text) : time_show_rfc3339(line->wall_ns, text);
        put_name(line, line->records->time, strlen(line->records->time));
        buffer_append(line->out, "\"", number ? 0 : 1);
        buffer_append(line->out, text, length);
        buffer_append(line->out, "\"", number ? 0 : 1);
    }
}

static void end_line(struct line *line)
{
    if (!line->has_key || !line->has_time)
        put_origin(line, !line->has_key, !line->has_time);
    buffer_string(line->out, line->empty ? "{}\n" : "}\n");
    line->count++;
}

static int say(struct weir_error *error, const char *words, const char *body, size_t size)
{
    char shown[48];
    size_t length = 0;
    for (size_t i = 0; i < size && length < sizeof shown - 1; i++)
        shown[length++] = isprint((unsigned char)body[i]) ? body[i] : ' ';
    shown[length] = 0;
    return weir_fail(error, -EBADMSG, "%s: \"%s%s\"", words, shown, size > length ? "…" : "");
}

/* ---- JSON -------------------------------------------------------------------------------------------------------- */

/* A record lies on one line: what breaks lines outside of strings is blank to JSON. */
static void put_flat(struct weir_buffer *out, struct json_text text)
{
    size_t from = out->size;
    buffer_append(out, text.data, text.size);
    for (size_t i = from; i < out->size && !out->failed; i++)
        if (out->data[i] == '\n' || out->data[i] == '\r')
            out->data[i] = ' ';
}

static bool has_member(struct json_text record, const char *name)
{
    char pointer[256] = "/";
    size_t length = 1;
    struct json_text found;
    for (const char *p = name; *p && length < sizeof pointer - 3; p++) {
        if (*p == '~' || *p == '/') {
            pointer[length++] = '~';
            pointer[length++] = *p == '~' ? '0' : '1';
        } else {
            pointer[length++] = *p;
        }
    }
    pointer[length] = 0;
    return json_text_find(record, pointer, &found);
}

static bool is_empty_object(struct json_text record)
{
    const char *p = record.data + 1;
    while (isspace((unsigned char)*p))
        p++;
    return *p == '}';
}

/* The members as they are; the sensor and the time go in front of them. */
static void put_whole(struct line *line, struct json_text record)
{
    const struct http_records *records = line->records;
    begin_line(line);
    put_origin(line, records->key && !has_member(record, records->key),
               records->time && !has_member(record, records->time));
    if (is_empty_object(record)) {
        line->has_key = line->has_time = true;
        end_line(line);
        return;
    }
    buffer_append(line->out, line->empty ? "{" : ",", 1);
    put_flat(line->out, (struct json_text){record.data + 1, record.size - 1});
    buffer_string(line->out, "\n");
    line->count++;
}

static void put_values(struct line *line, struct json_text record)
{
    const struct weir_list *values = &line->records->values;
    begin_line(line);
    for (size_t i = 0; i < values->count; i++) {
        struct json_text value;
        if (!json_text_find(record, values->items[i].value.text, &value))
            continue; /* null; the decoder counts what is missing */
        put_name(line, values->items[i].name.text, strlen(values->items[i].name.text));
        put_flat(line->out, value);
    }
    end_line(line);
}

static int put_record(struct line *line, struct json_text record, struct weir_error *error)
{
    if (line->records->values.count) {
        put_values(line, record);
    } else if (record.data[0] == '{') {
        put_whole(line, record);
    } else if (record.data[0] == '-' || isdigit((unsigned char)record.data[0])) {
        begin_line(line);
        put_name(line, "value", 5);
        put_flat(line->out, record);
        end_line(line);
    } else {
        return say(error, "the answer's record is no JSON object", record.data, record.size);
    }
    return 0;
}

static int append_json(struct line *line, const char *body, size_t size, struct weir_error *error)
{
    const char *pointer = line->records->records ? line->records->records : "";
    struct json_text found, element;
    const char *state = NULL;
    if (!json_text_find((struct json_text){body, size}, pointer, &found))
        return *pointer ? weir_fail(error, -EBADMSG, "the answer has nothing at `records: %s`", pointer)
                        : say(error, "the answer is not JSON", body, size);
    if (found.data[0] != '[')
        return put_record(line, found, error);
    int code = 0;
    while (code >= 0 && json_text_element(found, &state, &element)) {
        if (line->count == HTTP_RECORDS_MOST)
            return weir_fail(error, -EBADMSG, "the answer has more than %d records", HTTP_RECORDS_MOST);
        code = put_record(line, element, error);
    }
    return code;
}

/* ---- Text -------------------------------------------------------------------------------------------------------- */

static struct json_text trim(const char *begin, const char *end)
{
    while (begin < end && isspace((unsigned char)*begin))
        begin++;
    while (end > begin && isspace((unsigned char)end[-1]))
        end--;
    return (struct json_text){begin, (size_t)(end - begin)};
}

static bool parse_number(struct json_text text, double *ret)
{
    char copy[64];
    if (!text.size || text.size >= sizeof copy)
        return false;
    memcpy(copy, text.data, text.size);
    copy[text.size] = 0;
    return units_number(copy, ret) == 0;
}

/* A number is written as it came where JSON can, else as a string that the decoder knows ("nan", "inf"). */
static void put_number(struct line *line, struct json_text text)
{
    bool plain = isdigit((unsigned char)text.data[text.data[0] == '-']) && text.data[0] != '+';
    for (size_t i = 0; i < text.size && plain; i++)
        plain = strchr("0123456789.eE+-", text.data[i]) != NULL;
    bool leading_zero = text.size > 1 && text.data[0] == '0' && isdigit((unsigned char)text.data[1]);
    if (plain && !leading_zero && isdigit((unsigned char)text.data[text.size - 1])) {
        buffer_append(line->out, text.data, text.size);
    } else {
        double value;
        char shown[32];
        if (parse_number(text, &value) && value == value && value - value == 0)
            buffer_append(line->out, shown, (size_t)snprintf(shown, sizeof shown, "%.17g", value));
        else
            buffer_string(line->out, "null");
    }
}

static int append_number(struct line *line, const char *body, size_t size, struct weir_error *error)
{
    struct json_text text = trim(body, body + size);
    double value;
    if (!parse_number(text, &value))
        return say(error, "the answer is not a number", body, size);
    begin_line(line);
    put_name(line, "value", 5);
    put_number(line, text);
    end_line(line);
    return 0;
}

enum { CSV_FIELDS_MOST = 256 };

/* The next field of a line; quotes are taken off and doubled ones made one, in place of the copy. */
static const char *csv_field(const char *p, const char *end, char *out, size_t size, size_t *ret_length)
{
    size_t length = 0;
    bool quoted = p < end && *p == '"';
    for (p += quoted; p < end; p++) {
        if (quoted && *p == '"') {
            if (p + 1 < end && p[1] == '"')
                p++;
            else
                quoted = false;
            if (!quoted)
                continue;
        } else if (!quoted && *p == ',') {
            break;
        }
        if (length < size)
            out[length++] = *p;
    }
    *ret_length = length;
    return p < end ? p + 1 : NULL;
}

static const char *line_end(const char *p, const char *end)
{
    const char *newline = memchr(p, '\n', (size_t)(end - p));
    return newline ? newline : end;
}

static int append_csv(struct line *line, const char *body, size_t size, struct weir_error *error)
{
    const char *end = body + size, *header = body, *header_end = line_end(body, end);
    struct json_text trimmed = trim(header, header_end);
    char name[256], value[1024];
    if (!trimmed.size || header_end == end)
        return say(error, "the answer is not CSV with a header line", body, size);
    for (const char *p = header_end + 1; p < end;) {
        struct json_text row = trim(p, line_end(p, end));
        p = line_end(p, end) + 1;
        if (!row.size)
            continue;
        if (line->count == HTTP_RECORDS_MOST)
            return weir_fail(error, -EBADMSG, "the answer has more than %d records", HTTP_RECORDS_MOST);
        const char *names = trimmed.data, *values = row.data;
        begin_line(line);
        for (int i = 0; i < CSV_FIELDS_MOST && names && values; i++) {
            size_t name_length, value_length;
            double number;
            names = csv_field(names, trimmed.data + trimmed.size, name, sizeof name, &name_length);
            values = csv_field(values, row.data + row.size, value, sizeof value, &value_length);
            if (!value_length)
                continue;
            put_name(line, name, name_length);
            if (parse_number((struct json_text){value, value_length}, &number))
                put_number(line, (struct json_text){value, value_length});
            else
                buffer_json_string(line->out, value, value_length);
        }
        end_line(line);
    }
    return 0;
}

/* name{label="value",…} value [ms]; https://prometheus.io/docs/instrumenting/exposition_formats/ */
static bool put_sample(struct line *line, const char *p, const char *end)
{
    const char *name = p;
    while (p < end && *p != '{' && !isspace((unsigned char)*p))
        p++;
    if (p == name)
        return false;
    begin_line(line);
    put_name(line, "metric", 6);
    buffer_json_string(line->out, name, (size_t)(p - name));
    if (p < end && *p == '{') {
        for (p++; p < end && *p != '}';) {
            const char *label = p;
            while (p < end && *p != '=')
                p++;
            size_t length = (size_t)(p - label);
            struct json_text text;
            if (p == end || !length)
                return false;
            p++;
            if (!json_text_value(&p, end, &text) || text.data[0] != '"')
                return false;
            put_name(line, label, length);
            buffer_append(line->out, text.data, text.size); /* escapes are those of JSON strings: \\ \" \n */
            while (p < end && (*p == ',' || *p == ' '))
                p++;
        }
        p += p < end;
    }
    struct json_text rest = trim(p, end);
    size_t length = 0;
    while (length < rest.size && !isspace((unsigned char)rest.data[length]))
        length++;
    double number;
    if (!parse_number((struct json_text){rest.data, length}, &number))
        return false;
    put_name(line, "value", 5);
    put_number(line, (struct json_text){rest.data, length});
    end_line(line);
    return true;
}

static int append_prometheus(struct line *line, const char *body, size_t size, struct weir_error *error)
{
    const char *end = body + size;
    for (const char *p = body; p < end; p = line_end(p, end) + 1) {
        struct json_text text = trim(p, line_end(p, end));
        if (!text.size || text.data[0] == '#')
            continue;
        if (line->count == HTTP_RECORDS_MOST)
            return weir_fail(error, -EBADMSG, "the answer has more than %d records", HTTP_RECORDS_MOST);
        if (!put_sample(line, text.data, text.data + text.size))
            return say(error, "the answer is not Prometheus' text format", text.data, text.size);
    }
    return 0;
}

/* ---- Which ------------------------------------------------------------------------------------------------------- */

static enum http_format guess(const char *content_type, const char *body, size_t size)
{
    struct json_text text = trim(body, body + size);
    double number;
    if (content_type && strstr(content_type, "csv"))
        return RECORDS_CSV;
    if (text.size && (text.data[0] == '{' || text.data[0] == '['))
        return RECORDS_JSON;
    if (parse_number(text, &number))
        return RECORDS_NUMBER;
    if (content_type && (strstr(content_type, "version=0.0.4") || strstr(content_type, "openmetrics")))
        return RECORDS_PROMETHEUS;
    return text.size > 2 && text.data[0] == '#' ? RECORDS_PROMETHEUS : RECORDS_JSON;
}

int http_records_append(const struct http_records *records, const char *content_type, const char *body, size_t size,
                        const char *sensor, int64_t wall_ns, struct weir_buffer *out, uint64_t *ret_count,
                        struct weir_error *error)
{
    struct line line = {.records = records, .out = out, .sensor = sensor, .wall_ns = wall_ns};
    enum http_format format = records->format;
    size_t before = out->size;
    int code;
    if (format == RECORDS_AUTO)
        format = guess(content_type, body, size);
    if (format == RECORDS_CSV)
        code = append_csv(&line, body, size, error);
    else if (format == RECORDS_NUMBER)
        code = append_number(&line, body, size, error);
    else if (format == RECORDS_PROMETHEUS)
        code = append_prometheus(&line, body, size, error);
    else
        code = append_json(&line, body, size, error);
    if (out->failed)
        return weir_fail(error, -ENOMEM, "out of memory for an answer of %zu bytes", size);
    if (code < 0) {
        out->size = before;
        return code;
    }
    *ret_count = line.count;
    return 0;
}
