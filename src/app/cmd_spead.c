/* SPDX-License-Identifier: MIT */
/* weir spead: the table of what it is made of. */
#include <stdio.h>
#include <string.h>

#include "app/app.h"
#include "base/error.h"

static const struct command {
    const char *name, *summary;
    int (*run)(int argc, char **argv);
} commands[] = {
    {"send", "send heaps of test data to one or more receivers", cmd_spead_send},
    {"recv", "receive heaps and list them with their items", cmd_spead_recv},
    {"inspect", "show what is in a capture, or in what comes to a port", cmd_spead_inspect},
    {"bench", "find the rate at which nothing is lost, or what is lost at a given one", cmd_spead_bench},
};
enum { COMMANDS = sizeof commands / sizeof *commands };

static void print_help(FILE *out)
{
    fputs("Usage: weir spead COMMAND [ARGUMENTS]\n\nStreams of heaps as radio telescopes send them (SPEAD-64-XX).\n\n"
          "Commands:\n",
          out);
    for (size_t i = 0; i < COMMANDS; i++)
        fprintf(out, "  %-9s %s\n", commands[i].name, commands[i].summary);
    fputs("\nweir spead COMMAND --help tells more.\n", out);
}

int cmd_spead(int argc, char **argv)
{
    const char *names[COMMANDS];
    if (argc < 2) {
        print_help(stderr);
        return APP_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        print_help(stdout);
        return APP_OK;
    }
    for (size_t i = 0; i < COMMANDS; i++) {
        if (strcmp(commands[i].name, argv[1]) == 0)
            return commands[i].run(argc - 1, argv + 1);
        names[i] = commands[i].name;
    }
    const char *nearest = error_nearest(argv[1], names, COMMANDS);
    if (nearest)
        app_say("there is no command \"spead %s\"; did you mean \"spead %s\"?", argv[1], nearest);
    else
        app_say("there is no command \"spead %s\"; weir spead --help lists them", argv[1]);
    return APP_USAGE;
}
