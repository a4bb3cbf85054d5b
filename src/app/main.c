/* SPDX-License-Identifier: MIT */
/* weir: the table of commands. */
#include <stdio.h>
#include <string.h>

#include "app/app.h"
#include "base/error.h"
#include "conf/conf.h"

static const struct command {
    const char *name, *summary;
    int (*run)(int argc, char **argv);
} commands[] = {
    {"run", "run a pipeline, show how it does, report how it went", cmd_run},
    {"tap", "look at the records that leave one part of a pipeline", cmd_tap},
    {"profile", "run a pipeline, tell where its time goes and what could be won", cmd_profile},
    {"compare", "the same work one thing after the other and concurrently, side by side", cmd_compare},
    {"sweep", "put a server under load at rising concurrency, tell which to use", cmd_sweep},
    {"check", "validate a configuration, draw its graph, show what it resolves to", cmd_check},
    {"init", "look at a CSV or NDJSON file and write a first configuration for it", cmd_init},
    {"list", "the parts that pipelines are built of", cmd_list},
    {"simulate", "peers to try pipelines against: a fleet of sensors, a server, a faulty network", cmd_simulate},
    {"explain", "one part and its options, or another topic", cmd_explain},
    {"spead", "SPEAD streams: send, receive, look into captures", cmd_spead},
};
enum { COMMANDS = sizeof commands / sizeof *commands };

static void print_help(FILE *out)
{
    fputs("weir runs pipelines of sensor records: sources → stages → sinks.\n\n"
          "Usage: weir COMMAND [ARGUMENTS]\n\nCommands:\n",
          out);
    for (size_t i = 0; i < COMMANDS; i++)
        fprintf(out, "  %-9s %s\n", commands[i].name, commands[i].summary);
    fputs("\nweir COMMAND --help tells more. A first journey:\n"
          "  weir init data.csv > mine.yaml\n"
          "  weir check mine.yaml\n"
          "  weir run mine.yaml\n"
          "\nExit codes: 0 all went well; 1 it began and failed; 2 a mistake on the command line or in the\n"
          "configuration, nothing was started; 3 a goal was missed (run --enforce); 130 interrupted twice.\n",
          out);
}

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < COMMANDS; i++) {
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    }
    return NULL;
}

static int fail_command(const char *name)
{
    const char *names[COMMANDS];
    for (size_t i = 0; i < COMMANDS; i++)
        names[i] = commands[i].name;
    const char *nearest = error_nearest(name, names, COMMANDS), *dot = strrchr(name, '.');
    if (nearest)
        app_say("there is no command \"%s\"; did you mean \"%s\"?", name, nearest);
    else if (dot && (strcmp(dot, ".yaml") == 0 || strcmp(dot, ".yml") == 0))
        app_say("there is no command \"%s\"; did you mean \"weir run %s\"?", name, name);
    else if (conf_is_data(name))
        app_say("there is no command \"%s\"; did you mean \"weir init %s\"?", name, name);
    else
        app_say("there is no command \"%s\"; weir --help lists them", name);
    return APP_USAGE;
}

static int help(int argc, char **argv)
{
    if (argc < 2) {
        print_help(stdout);
        return APP_OK;
    }
    const struct command *command = find_command(argv[1]);
    if (!command)
        return fail_command(argv[1]);
    char flag[] = "--help", *arguments[] = {argv[1], flag, NULL};
    return command->run(2, arguments);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        print_help(stderr);
        return APP_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        print_help(stdout);
        return APP_OK;
    }
    if (strcmp(argv[1], "help") == 0)
        return help(argc - 1, argv + 1);
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0 || strcmp(argv[1], "version") == 0) {
        puts("weir " WEIR_VERSION);
        return APP_OK;
    }
    const struct command *command = find_command(argv[1]);
    return command ? command->run(argc - 1, argv + 1) : fail_command(argv[1]);
}
