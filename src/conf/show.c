/* SPDX-License-Identifier: MIT */
/* Resolved options as text, in the form in which they would be written. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/memory.h"
#include "conf/conf.h"
#include "conf/option.h"
#include "conf/secret.h"

struct unit {
    int64_t factor;
    const char *name;
};

static char *show_unit(int64_t value, const struct unit *units, char *out, size_t size)
{
    while (units->factor > 1 && (value == 0 || value % units->factor != 0))
        units++;
    snprintf(out, size, "%" PRId64 "%s", value / units->factor, units->name);
    return out;
}

char *option_show_size(int64_t bytes, char *out, size_t size)
{
    static const struct unit units[] = {
        {INT64_C(1) << 40, "TiB"}, {1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}, {1, "B"},
    };
    return show_unit(bytes, units, out, size);
}

char *option_show_duration(int64_t ns, char *out, size_t size)
{
    static const struct unit units[] = {
        {INT64_C(86400000000000), "d"},
        {INT64_C(3600000000000), "h"},
        {INT64_C(60000000000), "min"},
        {1000000000, "s"},
        {1000000, "ms"},
        {1000, "us"},
        {1, "ns"},
    };
    if (ns == 0)
        snprintf(out, size, "0s");
    return ns == 0 ? out : show_unit(ns, units, out, size);
}

char *option_show_number(double number, char *out, size_t size)
{
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(out, size, "%.*g", digits, number);
        if (strtod(out, NULL) == number)
            break;
    }
    return out;
}

char *option_show_rate(double rate, char *out, size_t size)
{
    char number[40];
    snprintf(out, size, rate == 0 ? "unlimited" : "%s/s", option_show_number(rate, number, sizeof number));
    return out;
}

/* As YAML would need it: in quotes when it could be read otherwise. */
static void add_text(struct weir_buffer *out, const char *text)
{
    struct weir_buffer masked = {0};
    conf_mask_text(text, &masked);
    buffer_append(&masked, "", 1);
    out->failed |= masked.failed;
    text = masked.failed ? "" : masked.data;
    bool plain = *text && !strpbrk(text, "\"'\\{}[],#&*!|>%@`\n\t") && !strstr(text, ": ") && text[0] != ' ' &&
                 text[0] != '-' && text[0] != '?' && text[strlen(text) - 1] != ':' && text[strlen(text) - 1] != ' ';
    if (plain)
        buffer_string(out, text);
    else
        buffer_json_string(out, text, strlen(text));
    buffer_free(&masked);
}

static void add_list(struct weir_buffer *out, const struct weir_list *list, bool map)
{
    buffer_string(out, map ? "{" : "[");
    for (size_t i = 0; i < list->count; i++) {
        buffer_string(out, i ? ", " : "");
        if (map) {
            add_text(out, list->items[i].name.text);
            buffer_string(out, ": ");
        }
        if (map && conf_is_secret(list->items[i].name.text))
            buffer_string(out, "***");
        else
            add_text(out, list->items[i].value.text);
    }
    buffer_string(out, map ? "}" : "]");
}

static void add_numbers(struct weir_buffer *out, const struct weir_numbers *numbers)
{
    char text[48];
    buffer_string(out, "[");
    for (size_t i = 0; i < numbers->count; i++)
        buffer_format(out, "%s%s", i ? ", " : "", option_show_number(numbers->values[i], text, sizeof text));
    buffer_string(out, "]");
}

/* Zero without a default is as good as not given. */
static bool is_nothing(const struct weir_option *option, double number)
{
    return number == 0 && !option->fallback && !(option->flags & WEIR_OPTION_REQUIRED);
}

static void add_whole(struct weir_buffer *out, const struct weir_option *option, int64_t whole)
{
    char text[64];
    if (is_nothing(option, (double)whole))
        return;
    if (option->type == WEIR_OPTION_DURATION)
        buffer_string(out, option_show_duration(whole, text, sizeof text));
    else if (option->type == WEIR_OPTION_SIZE)
        buffer_string(out, option_show_size(whole, text, sizeof text));
    else if (whole == 0 && option->fallback && strcmp(option->fallback, "auto") == 0)
        buffer_string(out, "auto");
    else
        buffer_format(out, "%" PRId64, whole);
}

/* Nothing is appended for an option that was not given and has no default. */
static void add_value(struct weir_buffer *out, const struct weir_option *option, const void *field)
{
    char text[64];
    const struct weir_list *list = field;
    switch (option->type) {
    case WEIR_OPTION_BOOL:
        buffer_string(out, *(const bool *)field ? "true" : "false");
        break;
    case WEIR_OPTION_INTEGER:
    case WEIR_OPTION_DURATION:
    case WEIR_OPTION_SIZE:
        add_whole(out, option, *(const int64_t *)field);
        break;
    case WEIR_OPTION_NUMBER:
        if (!is_nothing(option, *(const double *)field))
            buffer_string(out, option_show_number(*(const double *)field, text, sizeof text));
        break;
    case WEIR_OPTION_RATE:
        if (!is_nothing(option, *(const double *)field))
            buffer_string(out, option_show_rate(*(const double *)field, text, sizeof text));
        break;
    case WEIR_OPTION_CHOICE:
        buffer_string(out, option->choices[*(const int *)field]);
        break;
    case WEIR_OPTION_STRING:
        if (*(const char *const *)field)
            add_text(out, *(const char *const *)field);
        break;
    case WEIR_OPTION_EXPRESSION:
    case WEIR_OPTION_COLUMN:
    case WEIR_OPTION_QUOTED:
        if (((const struct weir_quoted *)field)->text)
            buffer_string(out, ((const struct weir_quoted *)field)->text);
        break;
    case WEIR_OPTION_STRINGS:
    case WEIR_OPTION_MAP:
        if (list->items)
            add_list(out, list, option->type == WEIR_OPTION_MAP);
        break;
    case WEIR_OPTION_NUMBERS:
        if (((const struct weir_numbers *)field)->values)
            add_numbers(out, field);
        break;
    case WEIR_OPTION_END:
        break;
    }
}

bool conf_option_is_default(const struct weir_option *option, const void *options)
{
    struct weir_error error = {0};
    struct arena *arena = arena_new();
    struct conf conf = {.arena = arena, .error = &error};
    struct weir_option table[2] = {*option, {.type = WEIR_OPTION_END}};
    struct tree_text text = {.name = option->name, .data = ""};
    struct tree at = {.text = &text};
    void *base = arena ? arena_allocate(arena, option->offset + sizeof(struct weir_quoted)) : NULL;
    struct option_target target = {.what = option->name, .table = table, .base = base, .at = &at};
    bool same = false;
    if (base && option->fallback && !(option->flags & WEIR_OPTION_REQUIRED) && option_fill(&conf, &target, NULL) == 0) {
        char *is = conf_option_text(option, options), *would_be = conf_option_text(option, base);
        same = is && would_be && strcmp(is, would_be) == 0;
        memory_free(is);
        memory_free(would_be);
    }
    arena_free(arena);
    return same;
}

char *conf_option_text(const struct weir_option *option, const void *options)
{
    struct weir_buffer out = {0};
    add_value(&out, option, (const char *)options + option->offset);
    if (out.size > 0 && conf_is_secret(option->name)) {
        out.size = 0;
        buffer_string(&out, "***");
    }
    buffer_append(&out, "", 1);
    if (out.failed) {
        buffer_free(&out);
        return NULL;
    }
    return out.data;
}
