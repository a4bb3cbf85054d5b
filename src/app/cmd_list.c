/* SPDX-License-Identifier: MIT */
/* weir list: the parts that there are. */
#include <stdio.h>
#include <string.h>

#include "app/app.h"
#include "base/buffer.h"
#include "base/error.h"

static int print_json(void)
{
    struct weir_buffer out = {0};
    buffer_string(&out, "[");
    for (size_t i = 0; weir_parts[i]; i++) {
        const struct weir_part *part = weir_parts[i];
        buffer_format(&out, "%s\n  {\"kind\": \"%s\", \"name\": \"%s\", \"summary\": ", i ? "," : "",
                      app_kind_name(part->kind), part->name);
        buffer_json_string(&out, part->summary, strlen(part->summary));
        buffer_string(&out, "}");
    }
    buffer_string(&out, "\n]\n");
    return app_put(stdout, &out);
}

static void print_kind(enum weir_kind kind)
{
    static const char *const titles[] = {
        [WEIR_SOURCE] = "Sources: where records come from",
        [WEIR_STAGE] = "Stages: what is done with them",
        [WEIR_SINK] = "Sinks: where they go",
    };
    puts(titles[kind]);
    for (size_t i = 0; weir_parts[i]; i++) {
        if (weir_parts[i]->kind == kind)
            printf("  %-10s %s\n", weir_parts[i]->name, weir_parts[i]->summary);
    }
    for (const struct weir_left_out *part = weir_left_out; part->name; part++) {
        if (part->kind == kind)
            printf("  %-10s (left out of this build: install %s and build weir again)\n", part->name, part->package);
    }
}

/* "sources", "stage", …; -1: none of them. */
static int kind_of(const char *word)
{
    for (int kind = WEIR_SOURCE; kind <= WEIR_SINK; kind++) {
        size_t length = strlen(app_kind_name((enum weir_kind)kind));
        if (strncmp(word, app_kind_name((enum weir_kind)kind), length) == 0 &&
            (!word[length] || strcmp(word + length, "s") == 0))
            return kind;
    }
    return -1;
}

int cmd_list(int argc, char **argv)
{
    bool json = false;
    int operands = 0;
    const struct app_option options[] = {
        {.name = "json", .help = "all parts as one JSON array", .flag = &json},
        {.name = NULL},
    };
    const struct app_usage usage = {
        .synopsis = "list [sources|stages|sinks]",
        .summary = "Lists the parts that pipelines are built of. weir explain PART tells more of one.",
        .options = options,
        .operands_most = 1,
    };
    int status = app_parse(&usage, argc, argv, &operands);
    if (status >= 0)
        return status;
    int only = operands ? kind_of(argv[1]) : -1;
    if (operands && only < 0) {
        static const char *const names[] = {"sources", "stages", "sinks"};
        const char *nearest = error_nearest(argv[1], names, 3);
        app_say("there are sources, stages and sinks, but no \"%s\"%s%s%s", argv[1], nearest ? "; did you mean \"" : "",
                nearest ? nearest : "", nearest ? "\"?" : "");
        return APP_USAGE;
    }
    if (json)
        return print_json();
    for (int kind = WEIR_SOURCE; kind <= WEIR_SINK; kind++) {
        if (only >= 0 && only != kind)
            continue;
        if (only < 0 && kind > WEIR_SOURCE)
            putchar('\n');
        print_kind((enum weir_kind)kind);
    }
    return APP_OK;
}
