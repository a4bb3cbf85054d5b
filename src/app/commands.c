/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "app/app.h"
#include "base/error.h"

enum { NAMES_MOST = 32 }; /* commands of one table that a misspelt name is compared with */

static void print_help(const struct app_commands *commands, FILE *out)
{
    fputs(commands->heading, out);
    for (size_t i = 0; commands->table[i].name; i++)
        fprintf(out, "  %-9s %s\n", commands->table[i].name, commands->table[i].summary);
    fputs(commands->ending, out);
}

const struct app_command *app_find_command(const struct app_commands *commands, const char *name)
{
    for (const struct app_command *command = commands->table; command->name; command++) {
        if (strcmp(command->name, name) == 0)
            return command;
    }
    return NULL;
}

int app_no_command(const struct app_commands *commands, const char *name)
{
    const char *names[NAMES_MOST], *of = commands->of, *space = *of ? " " : "";
    size_t count = 0;
    for (; count < NAMES_MOST - 2 && commands->table[count].name; count++)
        names[count] = commands->table[count].name;
    names[count++] = "--help";
    if (!*of)
        names[count++] = "--version";
    const char *nearest = error_nearest(name, names, count);
    if (nearest)
        app_say("there is no command \"%s%s%s\"; did you mean \"%s%s%s\"?", of, space, name, of, space, nearest);
    else
        app_say("there is no command \"%s%s%s\"; weir %s%s--help lists them", of, space, name, of, space);
    return APP_USAGE;
}

int app_general(const struct app_commands *commands, int argc, char **argv)
{
    if (argc < 2) {
        print_help(commands, stderr);
        return APP_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        print_help(commands, stdout);
        return APP_OK;
    }
    return -1;
}

int app_dispatch(const struct app_commands *commands, int argc, char **argv)
{
    int status = app_general(commands, argc, argv);
    if (status >= 0)
        return status;
    const struct app_command *command = app_find_command(commands, argv[1]);
    return command ? command->run(argc - 1, argv + 1) : app_no_command(commands, argv[1]);
}
