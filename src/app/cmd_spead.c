/* SPDX-License-Identifier: MIT */
/* weir spead: the table of what it is made of. */
#include "app/app.h"

static const struct app_command table[] = {
    {"send", "send heaps of test data to one or more receivers", cmd_spead_send},
    {"recv", "receive heaps and list them with their items", cmd_spead_recv},
    {"inspect", "show what is in a capture, or in what comes to a port", cmd_spead_inspect},
    {"bench", "find the rate at which nothing is lost, or what is lost at a given one", cmd_spead_bench},
    {0},
};

int cmd_spead(int argc, char **argv)
{
    static const struct app_commands commands = {
        .of = "spead",
        .heading = "Usage: weir spead COMMAND [ARGUMENTS]\n\n"
                   "Streams of heaps as radio telescopes send them (SPEAD-64-XX).\n\nCommands:\n",
        .ending = "\nweir spead COMMAND --help tells more.\n",
        .table = table,
    };
    return app_dispatch(&commands, argc, argv);
}
