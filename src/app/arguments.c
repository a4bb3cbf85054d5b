/* SPDX-License-Identifier: MIT */
/* Options of commands, from a table that --help is printed from too. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "app/app.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/units.h"

enum { HELP_COLUMN = 26, HELP_WIDTH = 84 };

/* Characters of the command's name in a synopsis: "check" of "check FILE", "spead send" of "spead send HOST:PORT". */
static int name_length(const char *synopsis)
{
    size_t length = strcspn(synopsis, " ");
    while (synopsis[length] && synopsis[length + 1] >= 'a' && synopsis[length + 1] <= 'z')
        length += 1 + strcspn(synopsis + length + 1, " ");
    return (int)length;
}

/* "      --limit N           end after N records"; the help begins in a column, in the next line where there is no
 * room. */
static void add_option(struct weir_buffer *out, const struct app_option *option)
{
    static const char indent[] = "\n                          "; /* HELP_COLUMN blanks */
    char left[64], letter[8] = "    ";
    if (option->letter)
        snprintf(letter, sizeof letter, "-%c, ", option->letter);
    snprintf(left, sizeof left, "  %s--%s%s%s", letter, option->name, option->argument ? " " : "",
             option->argument ? option->argument : "");
    if (strlen(left) + 2 <= HELP_COLUMN)
        buffer_format(out, "%-*s", HELP_COLUMN, left);
    else
        buffer_format(out, "%s%s", left, indent);
    app_wrap(out, option->help, HELP_WIDTH, indent + 1);
    buffer_string(out, "\n");
}

static int print_usage(const struct app_usage *usage)
{
    const struct app_option help = {.name = "help", .letter = 'h', .help = "this text"};
    struct weir_buffer out = {0};
    bool options = usage->options && usage->options->name;
    buffer_format(&out, "Usage: weir %s%s\n\n%s\n", usage->synopsis, options ? " [OPTIONS]" : "", usage->summary);
    if (usage->description)
        buffer_format(&out, "\n%s\n", usage->description);
    buffer_string(&out, "\nOptions:\n");
    for (const struct app_option *option = usage->options; option && option->name; option++)
        add_option(&out, option);
    add_option(&out, &help);
    return app_put(stdout, &out);
}

static int fail_option(const struct app_usage *usage, const char *argument)
{
    const char *names[APP_LIST_MAX] = {"help"};
    size_t count = 1;
    char word[64];
    for (const struct app_option *option = usage->options; option && option->name && count < APP_LIST_MAX; option++)
        names[count++] = option->name;
    snprintf(word, sizeof word, "%.*s", (int)strcspn(argument + strspn(argument, "-"), "="),
             argument + strspn(argument, "-"));
    const char *nearest = error_nearest(word, names, count);
    int command = name_length(usage->synopsis);
    if (nearest)
        app_say("%.*s has no option \"%s\"; did you mean \"--%s\"?", command, usage->synopsis, argument, nearest);
    else
        app_say("%.*s has no option \"%s\"; weir %.*s --help lists them", command, usage->synopsis, argument, command,
                usage->synopsis);
    return APP_USAGE;
}

/* The option that `argument` names; *ret_value: what follows "=", or NULL. */
static const struct app_option *find_option(const struct app_usage *usage, const char *argument, const char **ret_value)
{
    const char *equals = strchr(argument, '=');
    size_t length = equals ? (size_t)(equals - argument) : strlen(argument);
    *ret_value = NULL;
    for (const struct app_option *option = usage->options; option && option->name; option++) {
        if (argument[1] != '-' && option->letter && argument[1] == option->letter) {
            *ret_value = argument[2] ? argument + 2 : NULL;
            return option;
        }
        if (argument[1] == '-' && strlen(option->name) == length - 2 &&
            strncmp(option->name, argument + 2, length - 2) == 0) {
            *ret_value = equals ? equals + 1 : NULL;
            return option;
        }
    }
    return NULL;
}

static int store(const struct app_option *option, const char *value)
{
    if (option->list && option->list->count == APP_LIST_MAX) {
        app_say("--%s is given more than %d times", option->name, APP_LIST_MAX);
        return APP_USAGE;
    }
    if (option->list)
        option->list->values[option->list->count++] = value;
    if (option->value)
        *option->value = value;
    return -1;
}

/* One argument that begins with "-"; moves *at on when it takes the next one as its value. */
static int parse_option(const struct app_usage *usage, int argc, char **argv, int *at)
{
    const char *argument = argv[*at], *value;
    const struct app_option *option = find_option(usage, argument, &value);
    if (!option)
        return fail_option(usage, argument);
    if (option->flag) {
        if (value) {
            app_say("--%s takes no value", option->name);
            return APP_USAGE;
        }
        *option->flag = true;
        return -1;
    }
    if (!value && *at + 1 < argc)
        value = argv[++*at];
    if (!value) {
        app_say("--%s needs a value: --%s %s", option->name, option->name,
                option->argument ? option->argument : "VALUE");
        return APP_USAGE;
    }
    return store(option, value);
}

int app_parse(const struct app_usage *usage, int argc, char **argv, int *ret_operands)
{
    int operands = 0;
    bool options = true;
    for (int i = 1; i < argc; i++) {
        if (options && (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)) {
            return print_usage(usage);
        }
        if (options && strcmp(argv[i], "--") == 0) {
            options = false;
        } else if (options && argv[i][0] == '-' && argv[i][1]) {
            int status = parse_option(usage, argc, argv, &i);
            if (status >= 0)
                return status;
        } else {
            argv[++operands] = argv[i];
        }
    }
    if ((size_t)operands < usage->operands_least || (size_t)operands > usage->operands_most) {
        int command = name_length(usage->synopsis);
        const char *missing = usage->synopsis + command;
        for (int i = 0; i < operands && *missing; i++)
            missing += 1 + strcspn(missing + 1, " ");
        missing += *missing == ' ';
        if ((size_t)operands < usage->operands_least)
            app_say("%.*s is missing: weir %s; weir %.*s --help tells more", (int)strcspn(missing, " "), missing,
                    usage->synopsis, command, usage->synopsis);
        else
            app_say("one argument too many: weir %s", usage->synopsis);
        return APP_USAGE;
    }
    *ret_operands = operands;
    return -1;
}

/* ---- Values ---------------------------------------------------------------------------------------------------- */

int app_count(const char *option, const char *text, long long least, long long most, long long *ret)
{
    int64_t value;
    double number;
    int error = units_integer(text, &value);
    if (error == -EINVAL && units_number(text, &number) == 0 && number >= 0 && number < 0x1p53 &&
        number == (double)(int64_t)number) { /* 1e6 */
        value = (int64_t)number;
        error = 0;
    }
    if (error || value < least || value > most) {
        if (error == -EINVAL)
            app_say("%s %s is not a whole number, for example %s 1000", option, text, option);
        else
            app_say("%s %s is out of range: %lld to %lld", option, text, least, most);
        return -EINVAL;
    }
    *ret = value;
    return 0;
}

int app_duration(const char *option, const char *text, long long *ret_ns)
{
    int64_t value;
    if (units_duration(text, &value) < 0) {
        app_say("%s %s is not a duration, for example %s 30s or %s 500ms", option, text, option, option);
        return -EINVAL;
    }
    *ret_ns = value;
    return 0;
}

int app_time(const char *option, const char *text, long long *ret_ns)
{
    long long value;
    if (app_duration(option, text, &value) < 0)
        return -EINVAL;
    if (value <= 0) {
        app_say("%s %s would be over before it begins; give it some time, for example %s 30s", option, text, option);
        return -EINVAL;
    }
    *ret_ns = value;
    return 0;
}

int app_size(const char *option, const char *text, long long *ret_bytes)
{
    int64_t value;
    if (units_size(text, &value) < 0) {
        app_say("%s %s is not a size, for example %s 256MiB", option, text, option);
        return -EINVAL;
    }
    *ret_bytes = value;
    return 0;
}
