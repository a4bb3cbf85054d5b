/* SPDX-License-Identifier: MIT */
/*
 * What the commands share. A command is one file cmd_<name>.c with one function `int cmd_<name>(int argc, char
 * **argv)`: argv[0] is the command's name, the result is the exit code. Only this folder reads argv, prints and exits:
 * data goes to stdout, words go to stderr.
 */
#ifndef APP_APP_H
#define APP_APP_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <weir/part.h>

#ifndef WEIR_VERSION
#define WEIR_VERSION "0.1.0"
#endif

enum app_exit {
    APP_OK = 0,
    APP_FAILED = 1,       /* it began and failed: a part, the disk, the network; or came to nothing (delivery.h) */
    APP_USAGE = 2,        /* a mistake on the command line or in the configuration; nothing was started */
    APP_GOAL_MISSED = 3,  /* all went well, but what was asked for is not so: run --enforce, --against, sweep */
    APP_INTERRUPTED = 130 /* Ctrl-C twice, --drain is over: records in flight were dropped (and counted) */
};

int cmd_bench(int argc, char **argv);
int cmd_run(int argc, char **argv);
int cmd_tap(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_compare(int argc, char **argv);
int cmd_init(int argc, char **argv);
int cmd_list(int argc, char **argv);
int cmd_profile(int argc, char **argv);
int cmd_explain(int argc, char **argv);
int cmd_simulate(int argc, char **argv);
int cmd_sweep(int argc, char **argv);
int cmd_spead(int argc, char **argv); /* and what it is made of: */
int cmd_spead_send(int argc, char **argv);
int cmd_spead_recv(int argc, char **argv);
int cmd_spead_inspect(int argc, char **argv);
int cmd_spead_bench(int argc, char **argv);

/* ---- Commands of commands: weir itself, weir spead, weir simulate -------------------------------------------------
 */

struct app_command {
    const char *name, *summary;
    int (*run)(int argc, char **argv);
};
struct app_commands {
    const char *of;      /* "spead": the command whose commands they are; "": weir's own */
    const char *heading; /* the help is heading, table, ending */
    const char *ending;
    const struct app_command *table; /* ends with name NULL */
};

/* Runs the command that argv[1] names, or helps: the exit code. */
int app_dispatch(const struct app_commands *commands, int argc, char **argv);
/* Its pieces. Help, if that is asked for, or nothing is: the exit code; else -1. */
int app_general(const struct app_commands *commands, int argc, char **argv);
const struct app_command *app_find_command(const struct app_commands *commands, const char *name); /* NULL: none */
int app_no_command(const struct app_commands *commands, const char *name); /* says so; the exit code */

/* ---- Options --------------------------------------------------------------------------------------------------- */

enum { APP_LIST_MAX = 64 };
struct app_list {
    const char *values[APP_LIST_MAX + 1]; /* NULL-terminated */
    size_t count;
};

/* One option of a command; exactly one of flag, value and list says where it goes. A table ends with name NULL. */
struct app_option {
    const char *name;     /* "limit": --limit N, --limit=N */
    char letter;          /* 'q': -q; 0: none */
    const char *argument; /* "N"; NULL for a flag */
    const char *help;
    bool *flag;
    const char **value;
    struct app_list *list; /* may be given several times */
};
struct app_usage {
    const char *synopsis;    /* "check FILE": what follows "weir ", without the options */
    const char *summary;     /* one sentence */
    const char *description; /* paragraphs for --help; may be NULL */
    const struct app_option *options;
    size_t operands_least, operands_most;
};

/* Reads argv[1…] and moves the operands (arguments that are no options) to the front: argv[1] … argv[*ret_operands].
 * Returns -1: go on; else the exit code with which the command ends: --help was answered (on stdout), or a mistake was
 * explained (on stderr). "--" ends the options; "-" is an operand. */
int app_parse(const struct app_usage *usage, int argc, char **argv, int *ret_operands);

/* Values of options; a mistake is explained on stderr: returns 0 or -EINVAL. */
int app_count(const char *option, const char *text, long long least, long long most, long long *ret);
int app_duration(const char *option, const char *text, long long *ret_ns);
int app_time(const char *option, const char *text, long long *ret_ns); /* a duration that is longer than nothing */
int app_size(const char *option, const char *text, long long *ret_bytes);

/* ---- Words ----------------------------------------------------------------------------------------------------- */

/* "weir: …" and a newline on stderr. */
void app_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The error with its place, on stderr. Returns APP_USAGE for mistakes of the user's (-EINVAL), else APP_FAILED. */
int app_report(const struct weir_error *error);

/* Writes what is in the buffer to stdout or stderr, flushes, and empties the buffer: APP_OK, or APP_FAILED after words.
 * A reader that has gone (| head) had enough: that is no failure. */
int app_put(FILE *file, struct weir_buffer *out);
/* How wide the terminal is: COLUMNS of the environment, else as the descriptor says, else `otherwise`. */
int app_columns(int descriptor, int otherwise);
/* The text in lines of at most `width` bytes, cut between words; each but the first begins with `indent`. No newline at
 * the end. */
void app_wrap(struct weir_buffer *out, const char *text, size_t width, const char *indent);

/* True when colours are welcome on this descriptor: a terminal, no NO_COLOR, TERM is not dumb. */
bool app_colour(int descriptor);

/* Processors that this process may run on. */
uint32_t app_processors(void);

/* The part, or NULL. */
const struct weir_part *app_part(enum weir_kind kind, const char *name);
const char *app_kind_name(enum weir_kind kind); /* "source", "stage", "sink" */

#endif
