/* SPDX-License-Identifier: MIT */
/* weir explain: a part and its options, from the table that the configuration is read with. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "app/app.h"
#include "app/topics.h"
#include "base/buffer.h"
#include "base/error.h"
#include "conf/option.h"

enum { NAMES_MAX = 128, HELP_WIDTH = 70 };

static const char *const type_names[] = {
    [WEIR_OPTION_BOOL] = "true or false",
    [WEIR_OPTION_INTEGER] = "whole number",
    [WEIR_OPTION_NUMBER] = "number",
    [WEIR_OPTION_STRING] = "text",
    [WEIR_OPTION_DURATION] = "duration",
    [WEIR_OPTION_SIZE] = "size",
    [WEIR_OPTION_RATE] = "rate",
    [WEIR_OPTION_CHOICE] = "choice",
    [WEIR_OPTION_EXPRESSION] = "expression",
    [WEIR_OPTION_COLUMN] = "column",
    [WEIR_OPTION_QUOTED] = "text",
    [WEIR_OPTION_STRINGS] = "text or list",
    [WEIR_OPTION_NUMBERS] = "number or list",
    [WEIR_OPTION_MAP] = "map",
};

static bool has_limits(const struct weir_option *option)
{
    return option->most > option->least;
}

static void add_limit(struct weir_buffer *out, const struct weir_option *option, double limit)
{
    char text[64];
    if (option->type == WEIR_OPTION_DURATION)
        option_show_duration((int64_t)limit, text, sizeof text);
    else if (option->type == WEIR_OPTION_SIZE)
        option_show_size((int64_t)limit, text, sizeof text);
    else if (option->type == WEIR_OPTION_RATE)
        option_show_rate(limit, text, sizeof text);
    else
        option_show_number(limit, text, sizeof text);
    buffer_string(out, text);
}

/* "whole number, 1 to 256; default auto" */
static void add_form(struct weir_buffer *out, const struct weir_option *option)
{
    if (option->type == WEIR_OPTION_CHOICE) {
        for (size_t i = 0; option->choices[i]; i++)
            buffer_format(out, "%s%s", i ? " | " : "", option->choices[i]);
    } else {
        buffer_string(out, option->type == WEIR_OPTION_MAP && option->flags & WEIR_OPTION_EXPRESSIONS
                               ? "map of expressions"
                               : type_names[option->type]);
    }
    bool above = has_limits(option) &&
                 option->least > 1; /* 0 and 1 go without saying, as do limits that nobody meets */
    bool below = has_limits(option) && option->most < 1e9 && option->type == WEIR_OPTION_INTEGER;
    below = below || (has_limits(option) && option->type == WEIR_OPTION_NUMBER && option->most < 1e9);
    if (below) {
        buffer_string(out, ", ");
        add_limit(out, option, option->least);
        buffer_string(out, " to ");
        add_limit(out, option, option->most);
    } else if (above) {
        buffer_string(out, ", at least ");
        add_limit(out, option, option->least);
    }
    if (option->flags & WEIR_OPTION_REQUIRED)
        buffer_string(out, "; required");
    else if (option->fallback)
        buffer_format(out, "; default %s", *option->fallback ? option->fallback : "\"\"");
    if (option->flags & WEIR_OPTION_MAIN)
        buffer_string(out, "; main");
}

static void add_options(struct weir_buffer *out, const struct weir_option *table)
{
    static const char indent[] = "                 ";
    for (const struct weir_option *option = table; option && option->type != WEIR_OPTION_END; option++) {
        buffer_format(out, "  %-12s ", option->name);
        add_form(out, option);
        buffer_format(out, "\n%s", indent);
        app_wrap(out, option->help ? option->help : "", HELP_WIDTH, indent);
        buffer_string(out, "\n");
    }
}

static void add_part(struct weir_buffer *out, const struct weir_part *part)
{
    const struct weir_option *table = part->options;
    buffer_format(out, "%s (%s): %s\n", part->name, app_kind_name(part->kind), part->summary);
    if (!table || table->type == WEIR_OPTION_END)
        buffer_string(out, "\nIt has no options.\n");
    else
        buffer_string(out, "\nOptions:\n");
    add_options(out, table);
    const struct weir_option *main_option = option_main(table);
    if (main_option && part->kind == WEIR_STAGE && main_option->type != WEIR_OPTION_MAP)
        buffer_format(out, "\nThe main option can be given without its name: - %s: VALUE\n", part->name);
    else if (main_option && main_option->type == WEIR_OPTION_MAP)
        buffer_format(out, "\nKeys that are no options go into %s: - %s: {NAME: VALUE}\n", main_option->name,
                      part->name);
    static const char *const others[] = {
        [WEIR_SOURCE] = "when_full, queue, watermark and idle",
        [WEIR_STAGE] = "name and from",
        [WEIR_SINK] = "from, when_full and queue",
    };
    buffer_format(out, "\n%s are options too: weir explain wiring\n", others[part->kind]);
    if (!part->example)
        return;
    buffer_string(out, "\nExample:\n");
    for (const char *line = part->example; *line;) {
        size_t length = strcspn(line, "\n");
        buffer_format(out, "  %.*s\n", (int)length, line);
        line += length + (line[length] == '\n');
    }
}

/* ---- JSON ------------------------------------------------------------------------------------------------------ */

static void add_json_string(struct weir_buffer *out, const char *key, const char *text)
{
    buffer_format(out, ", \"%s\": ", key);
    if (text)
        buffer_json_string(out, text, strlen(text));
    else
        buffer_string(out, "null");
}

static void add_json_option(struct weir_buffer *out, const struct weir_option *option)
{
    buffer_string(out, "{\"name\": ");
    buffer_json_string(out, option->name, strlen(option->name));
    add_json_string(out, "type", type_names[option->type]);
    add_json_string(out, "default", option->fallback);
    buffer_format(out, ", \"required\": %s, \"main\": %s", option->flags & WEIR_OPTION_REQUIRED ? "true" : "false",
                  option->flags & WEIR_OPTION_MAIN ? "true" : "false");
    if (has_limits(option))
        buffer_format(out, ", \"least\": %.17g, \"most\": %.17g", option->least, option->most);
    if (option->type == WEIR_OPTION_CHOICE) {
        buffer_string(out, ", \"choices\": [");
        for (size_t i = 0; option->choices[i]; i++)
            buffer_format(out, "%s\"%s\"", i ? ", " : "", option->choices[i]);
        buffer_string(out, "]");
    }
    add_json_string(out, "help", option->help);
    buffer_string(out, "}");
}

static void add_json_part(struct weir_buffer *out, const struct weir_part *part)
{
    buffer_format(out, "{\"kind\": \"%s\"", app_kind_name(part->kind));
    add_json_string(out, "name", part->name);
    add_json_string(out, "summary", part->summary);
    add_json_string(out, "example", part->example);
    buffer_string(out, ", \"options\": [");
    for (const struct weir_option *option = part->options; option && option->type != WEIR_OPTION_END; option++) {
        buffer_string(out, option == part->options ? "\n  " : ",\n  ");
        add_json_option(out, option);
    }
    buffer_string(out, "]}");
}

/* ---- The command ----------------------------------------------------------------------------------------------- */

static void add_overview(struct weir_buffer *out)
{
    buffer_string(out, "weir explain PART    (weir list shows the parts)\n\nOther topics:\n");
    for (size_t i = 0; topics[i].name; i++)
        buffer_format(out, "  %-14s %s\n", topics[i].name, topics[i].summary);
}

/* Explains everything of that name: `file` is a source and a sink. Returns how many that are. */
static size_t add_all(struct weir_buffer *out, const char *kind, const char *name, bool json, bool markdown)
{
    size_t count = 0;
    for (size_t i = 0; weir_parts[i]; i++) {
        const struct weir_part *part = weir_parts[i];
        if (strcmp(part->name, name) != 0 || (kind && strcmp(kind, app_kind_name(part->kind)) != 0))
            continue;
        if (json)
            buffer_string(out, count++ ? ",\n" : "[");
        else
            buffer_string(out, count++ ? "\n--\n\n" : "");
        if (json)
            add_json_part(out, part);
        else
            add_part(out, part);
    }
    if (json && count)
        buffer_string(out, "]\n");
    for (size_t i = 0; !kind && !json && topics[i].name; i++) {
        if (strcmp(topics[i].name, name) != 0)
            continue;
        buffer_format(out, "%s%s", count++ ? "\n--\n\n" : "", topics[i].text);
        if (topics[i].options)
            buffer_string(out, "\nOptions:\n");
        add_options(out, topics[i].options);
        if (topics[i].put)
            topics[i].put(markdown, out);
    }
    return count;
}

static int fail_name(const char *kind, const char *name)
{
    const char *names[NAMES_MAX];
    size_t count = 0;
    for (size_t i = 0; weir_parts[i] && count < NAMES_MAX; i++)
        names[count++] = weir_parts[i]->name;
    for (size_t i = 0; topics[i].name && count < NAMES_MAX; i++)
        names[count++] = topics[i].name;
    const struct weir_left_out *left_out = weir_left_out;
    while (left_out->name &&
           (strcmp(left_out->name, name) != 0 || (kind && strcmp(kind, app_kind_name(left_out->kind)) != 0)))
        left_out++;
    if (left_out->name) {
        app_say("the %s %s was left out of this build: install %s and build weir again", name,
                app_kind_name(left_out->kind), left_out->package);
        return APP_USAGE;
    }
    const char *nearest = error_nearest(name, names, count);
    const char *kinds[] = {"source", "stage", "sink"}, *meant = kind ? error_nearest(kind, kinds, 3) : NULL;
    if (meant && strcmp(meant, kind) != 0)
        app_say("there is no kind of part called \"%s\"; did you mean \"weir explain %s %s\"?", kind, meant, name);
    else if (nearest && strcmp(nearest, name) != 0)
        app_say("there is nothing called \"%s\" to explain; did you mean \"%s\"?", name, nearest);
    else
        app_say("there is no %s \"%s\" to explain; weir list shows the parts, weir explain the topics",
                kind ? kind : "part or topic", name);
    return APP_USAGE;
}

int cmd_explain(int argc, char **argv)
{
    bool json = false, markdown = false;
    int operands = 0;
    const struct app_option options[] = {
        {.name = "json", .help = "the option tables as JSON (parts only)", .flag = &json},
        {.name = "markdown", .help = "the table as Markdown (metrics only)", .flag = &markdown},
        {.name = NULL},
    };
    const struct app_usage usage = {
        .synopsis = "explain [source|stage|sink] [PART|TOPIC]",
        .summary = "Explains a part with all its options, or a topic. Without an argument: lists the topics.",
        .options = options,
        .operands_most = 2,
    };
    int status = app_parse(&usage, argc, argv, &operands);
    if (status >= 0)
        return status;
    struct weir_buffer out = {0};
    const char *kind = operands == 2 ? argv[1] : NULL;
    status = APP_OK;
    if (operands == 0)
        add_overview(&out);
    else if (add_all(&out, kind, argv[operands], json, markdown) == 0)
        status = fail_name(kind, argv[operands]);
    int written = app_put(stdout, &out);
    return status == APP_OK ? written : status;
}
