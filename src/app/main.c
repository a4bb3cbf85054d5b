/* SPDX-License-Identifier: MIT */
/* weir: the table of commands. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "app/app.h"
#include "base/buffer.h"
#include "conf/conf.h"

static const struct app_command table[] = {
    {"run", "run a pipeline, show how it does, report how it went", cmd_run},
    {"tap", "look at the records that leave one part of a pipeline", cmd_tap},
    {"profile", "run a pipeline, tell where its time goes and what could be won", cmd_profile},
    {"bench", "how long small things take, and whether they take longer than they did", cmd_bench},
    {"compare", "the same work one thing after the other and concurrently, side by side", cmd_compare},
    {"sweep", "put a server under load at rising concurrency, tell which to use", cmd_sweep},
    {"check", "validate a configuration, draw its graph, show what it resolves to", cmd_check},
    {"init", "look at a CSV or NDJSON file and write a first configuration for it", cmd_init},
    {"list", "the parts that pipelines are built of", cmd_list},
    {"simulate", "peers to try pipelines against: a fleet of sensors, a server, a faulty network", cmd_simulate},
    {"explain", "one part and its options, or another topic", cmd_explain},
    {"spead", "SPEAD streams: send, receive, look into captures", cmd_spead},
    {0},
};

static const struct app_commands commands = {
    .of = "",
    .heading = "weir runs pipelines of sensor records: sources → stages → sinks.\n\n"
               "Usage: weir COMMAND [ARGUMENTS]\n\nCommands:\n",
    .ending = "\nweir COMMAND --help tells more. A first journey:\n"
              "  weir init data.csv > mine.yaml\n"
              "  weir check mine.yaml\n"
              "  weir run mine.yaml\n"
              "\nExit codes: 0 all went well; 1 it began and failed; 2 a mistake on the command line or in the\n"
              "configuration, nothing was started; 3 a goal was missed (run --enforce); 130 interrupted twice.\n"
              "weir explain exit-codes tells more.\n",
    .table = table,
};

/* Somebody who names a file means what is done with such files. */
static int fail_command(const char *name)
{
    const char *dot = strrchr(name, '.');
    if (dot && (strcmp(dot, ".yaml") == 0 || strcmp(dot, ".yml") == 0))
        app_say("there is no command \"%s\"; did you mean \"weir run %s\"?", name, name);
    else if (conf_is_data(name))
        app_say("there is no command \"%s\"; did you mean \"weir init %s\"?", name, name);
    else
        return app_no_command(&commands, name);
    return APP_USAGE;
}

static int help(int argc, char **argv)
{
    char flag[] = "--help", *arguments[] = {argv[argc < 2 ? 0 : 1], flag, NULL};
    if (argc < 2)
        return app_general(&commands, 2, arguments);
    const struct app_command *command = app_find_command(&commands, argv[1]);
    return command ? command->run(2, arguments) : fail_command(argv[1]);
}

/* Descriptors 0 to 2 that we were started without: the first file that is opened must not become the output. Each is
 * opened the wrong way round, so that who uses it hears of it. */
static void hold_standard_descriptors(void)
{
    for (int descriptor = 0; descriptor <= 2; descriptor++) {
        if (fcntl(descriptor, F_GETFD) < 0)
            (void)open("/dev/null", descriptor == 0 ? O_WRONLY : O_RDONLY);
    }
}

/* Data that did not go out, because the disk is full, is no success. A reader that has gone (| head) had enough. */
static int finish(int status)
{
    struct weir_buffer nothing = {0};
    bool lost = ferror(stdout);
    int written = app_put(stdout, &nothing);
    if (lost && written == APP_OK)
        app_say("not all could be written to stdout");
    return status != APP_OK ? status : lost ? APP_FAILED : written;
}

static int run(int argc, char **argv)
{
    int status = app_general(&commands, argc, argv);
    if (status >= 0)
        return status;
    if (strcmp(argv[1], "help") == 0)
        return help(argc - 1, argv + 1);
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0 || strcmp(argv[1], "version") == 0) {
        puts("weir " WEIR_VERSION);
        return APP_OK;
    }
    const struct app_command *command = app_find_command(&commands, argv[1]);
    return command ? command->run(argc - 1, argv + 1) : fail_command(argv[1]);
}

int main(int argc, char **argv)
{
    hold_standard_descriptors();
    return finish(run(argc, argv));
}
