/* SPDX-License-Identifier: MIT */
#include "conf/option.h"
#include "conf/secret.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/units.h"
#include "conf/conf.h"
#include "expr/expr.h"

enum { OPTIONS_MAX = 128, HINT_HELP = 180 };

const struct weir_option *option_find(const struct weir_option *table, const char *name)
{
    for (const struct weir_option *option = table; option && option->type != WEIR_OPTION_END; option++) {
        if (strcmp(option->name, name) == 0)
            return option;
    }
    return NULL;
}

const struct weir_option *option_main(const struct weir_option *table)
{
    for (const struct weir_option *option = table; option && option->type != WEIR_OPTION_END; option++) {
        if (option->flags & WEIR_OPTION_MAIN)
            return option;
    }
    return NULL;
}

/* ---- One scalar ------------------------------------------------------------------------------------------------ */

static const struct {
    const char *is_not, *examples;
} forms[] = {
    [WEIR_OPTION_BOOL] = {"is neither true nor false", "write true or false"},
    [WEIR_OPTION_INTEGER] = {"is not a whole number", "for example 10, 1000 or 1_000_000"},
    [WEIR_OPTION_NUMBER] = {"is not a number", "for example 20, -0.5 or 1e-3"},
    [WEIR_OPTION_DURATION] = {"is not a duration", "for example 500ms, 10s, 15min or 1.5h (units: ns us ms s min h d)"},
    [WEIR_OPTION_SIZE] = {"is not a size", "for example 64KiB, 96MiB or 1GiB (units: B KiB MiB GiB TiB, kB MB GB TB)"},
    [WEIR_OPTION_RATE] = {"is not a rate", "for example 5000/s, 10/min or unlimited (units: /s /min /h)"},
    [WEIR_OPTION_NUMBERS] = {"is not a number", "for example 20, -0.5 or 1e-3"},
};

/* Units as people slip, and what they mean. */
static const struct {
    const char *slip, *unit;
} slips[] = {
    {"sec", "s"},           {"secs", "s"},   {"second", "s"},        {"seconds", "s"},      {"minute", "min"},
    {"minutes", "min"},     {"mins", "min"}, {"hour", "h"},          {"hours", "h"},        {"hr", "h"},
    {"hrs", "h"},           {"day", "d"},    {"days", "d"},          {"msec", "ms"},        {"millis", "ms"},
    {"milliseconds", "ms"}, {"usec", "us"},  {"microseconds", "us"}, {"nanoseconds", "ns"}, {"K", "KiB"},
    {"M", "MiB"},           {"G", "GiB"},    {"bytes", "B"},         {"/sec", "/s"},        {"/second", "/s"},
    {"per second", "/s"},   {"ps", "/s"},    {"Hz", "/s"},           {"/minute", "/min"},   {"per minute", "/min"},
    {"/m", "/min"},         {"/hour", "/h"}, {"per hour", "/h"},
};
static const char *const duration_units[] = {"ns", "us", "ms", "s", "min", "h", "d", NULL};
static const char *const size_units[] = {"B", "KiB", "MiB", "GiB", "TiB", "kB", "MB", "GB", "TB", NULL};
static const char *const rate_units[] = {"/s", "/min", "/h", NULL};

/* "96Mib" → "96MiB", when the number is good and the unit nearly so. */
static const char *unit_meant(enum weir_option_type type, const char *text, char *out, size_t size)
{
    const char *const *units = type == WEIR_OPTION_DURATION ? duration_units
                               : type == WEIR_OPTION_SIZE   ? size_units
                               : type == WEIR_OPTION_RATE   ? rate_units
                                                            : NULL;
    size_t number = strspn(text, "0123456789._"), count = 0;
    if (!units || number == 0 || number > 30)
        return NULL;
    const char *unit = text + number, *meant = NULL;
    unit += strspn(unit, " ");
    while (units[count])
        count++;
    for (size_t i = 0; i < sizeof slips / sizeof *slips && !meant; i++) {
        for (size_t j = 0; j < count && !meant; j++) {
            if (strcasecmp(unit, slips[i].slip) == 0 && strcmp(slips[i].unit, units[j]) == 0)
                meant = units[j];
        }
    }
    if (!meant)
        meant = error_nearest(unit, units, count);
    if (!meant)
        return NULL;
    snprintf(out, size, "%.*s%s", (int)number, text, meant);
    return out;
}

static int fail_form(struct conf *conf, const struct option_target *target, const struct weir_option *option,
                     const struct tree *value)
{
    char meant[64], hint[200], shown[80];
    size_t begin, end;
    bool hides = conf_is_secret(option->name) || conf_secret_in_text(value->value, value->size, 0, &begin, &end);
    bool bare = option->type == WEIR_OPTION_DURATION && value->size > 0 && value->size < 20 &&
                !value->value[strspn(value->value, "0123456789.")];
    const char *nearest = unit_meant(option->type, value->value, meant, sizeof meant);
    const char *examples = forms[option->type].examples;
    if (nearest)
        snprintf(hint, sizeof hint, "did you mean \"%s\"? %s", nearest, examples);
    else if (bare)
        snprintf(hint, sizeof hint, "a unit is missing: %sms, or %ss? units: ns us ms s min h d", value->value,
                 value->value);
    snprintf(shown, sizeof shown, "%.60s", hides ? "***" : value->value);
    return conf_fail(conf, value, nearest || bare ? hint : examples, "%s of %s: \"%s\" %s", option->name, target->what,
                     shown, forms[option->type].is_not);
}

static char *show_limit(const struct weir_option *option, double limit, char *out, size_t size)
{
    if (option->type == WEIR_OPTION_DURATION)
        return option_show_duration((int64_t)limit, out, size);
    if (option->type == WEIR_OPTION_SIZE)
        return option_show_size((int64_t)limit, out, size);
    if (option->type == WEIR_OPTION_RATE)
        return option_show_rate(limit, out, size);
    return option_show_number(limit, out, size);
}

static int check_limits(struct conf *conf, const struct option_target *target, const struct weir_option *option,
                        const struct tree *value, double number)
{
    if (!(option->most > option->least) || (number >= option->least && number <= option->most))
        return 0;
    char least[48], most[48], hint[128];
    show_limit(option, option->least, least, sizeof least);
    show_limit(option, option->most, most, sizeof most);
    if (number < option->least)
        snprintf(hint, sizeof hint, "at least %s", least);
    else
        snprintf(hint, sizeof hint, "at most %s", most);
    return conf_fail(conf, value, hint, "%s of %s: %.60s is too %s", option->name, target->what, value->value,
                     number < option->least ? "small" : "large");
}

static int parse_bool(const char *text, bool *ret)
{
    static const char *const yes[] = {"true", "yes", "on"}, *const no[] = {"false", "no", "off"};
    for (size_t i = 0; i < 3; i++) {
        if (strcasecmp(text, yes[i]) == 0 || strcasecmp(text, no[i]) == 0) {
            *ret = strcasecmp(text, yes[i]) == 0;
            return 0;
        }
    }
    return -EINVAL;
}

/* Also 1e6, which is as whole as a number can be. */
static int parse_integer(const struct weir_option *option, const char *text, int64_t *ret)
{
    double number;
    if (option->fallback && strcmp(option->fallback, "auto") == 0 && strcmp(text, "auto") == 0) {
        *ret = 0;
        return 0;
    }
    int error = units_integer(text, ret);
    if (error != -EINVAL || units_number(text, &number) < 0)
        return error;
    if (number != nearbyint(number))
        return -EINVAL;
    if (fabs(number) > 0x1p53)
        return -ERANGE;
    *ret = (int64_t)number;
    return 0;
}

static int set_number(struct conf *conf, const struct option_target *target, const struct weir_option *option,
                      const struct tree *value, void *field)
{
    int64_t whole = 0;
    double number = 0;
    int error;
    bool integer = true, special = strcmp(value->value, "auto") == 0 || strcmp(value->value, "unlimited") == 0;
    if (option->type == WEIR_OPTION_INTEGER)
        error = parse_integer(option, value->value, &whole);
    else if (option->type == WEIR_OPTION_DURATION)
        error = units_duration(value->value, &whole);
    else if (option->type == WEIR_OPTION_SIZE)
        error = units_size(value->value, &whole);
    else {
        error = option->type == WEIR_OPTION_RATE ? units_rate(value->value, &number)
                                                 : units_number(value->value, &number);
        integer = false;
    }
    if (error == -ERANGE)
        return conf_fail(conf, value, forms[option->type].examples, "%s of %s: %.60s is out of range", option->name,
                         target->what, value->value);
    if (error)
        return fail_form(conf, target, option, value);
    if (!special)
        error = check_limits(conf, target, option, value, integer ? (double)whole : number);
    if (!error && integer)
        *(int64_t *)field = whole;
    else if (!error)
        *(double *)field = number;
    return error;
}

static int set_choice(struct conf *conf, const struct option_target *target, const struct weir_option *option,
                      const struct tree *value, int *field)
{
    for (int i = 0; option->choices[i]; i++) {
        if (strcmp(value->value, option->choices[i]) == 0) {
            *field = i;
            return 0;
        }
    }
    return conf_fail_unknown(conf, value, option->choices, "%s of %s cannot be \"%.60s\"", option->name, target->what,
                             value->value);
}

static int check_expression(struct conf *conf, struct weir_quoted source)
{
    struct expr *expr = NULL;
    int error = expr_parse(source, &expr, conf->error);
    expr_free(expr);
    return error;
}

/* ---- Lists and maps -------------------------------------------------------------------------------------------- */

static int fail_shape(struct conf *conf, const struct option_target *target, const struct weir_option *option,
                      const struct tree *value, const char *wanted)
{
    static const char *const names[] = {[TREE_SCALAR] = "a single value", [TREE_LIST] = "a list", [TREE_MAP] = "a map"};
    return conf_fail(conf, value, NULL, "%s of %s is %s, not %s", option->name, target->what, wanted,
                     names[value->kind]);
}

static int set_strings(struct conf *conf, const struct option_target *target, const struct weir_option *option,
                       const struct tree *value, struct weir_list *field)
{
    struct tree_item one = {.value = (struct tree *)value};
    const struct tree_item *items = value->kind == TREE_LIST ? value->items : &one;
    size_t count = value->kind == TREE_LIST ? value->count : 1;
    if (value->kind == TREE_MAP)
        return fail_shape(conf, target, option, value, "one word or a list of them");
    struct weir_pair *pairs = arena_allocate(conf->arena, (count + 1) * sizeof *pairs);
    if (!pairs)
        return conf_no_memory(conf);
    count = 0;
    for (const struct tree_item *item = items; item; item = item->next) {
        if (item->value->kind != TREE_SCALAR)
            return fail_shape(conf, target, option, item->value, "a list of words");
        if (tree_is_null(item->value))
            return conf_fail(conf, item->value, NULL, "%s of %s: an entry is empty", option->name, target->what);
        pairs[count++].value = tree_quoted(item->value);
    }
    *field = (struct weir_list){.items = pairs, .count = count};
    return 0;
}

static int set_numbers(struct conf *conf, const struct option_target *target, const struct weir_option *option,
                       const struct tree *value, struct weir_numbers *field)
{
    struct tree_item one = {.value = (struct tree *)value};
    const struct tree_item *items = value->kind == TREE_LIST ? value->items : &one;
    size_t count = value->kind == TREE_LIST ? value->count : 1;
    if (value->kind == TREE_MAP)
        return fail_shape(conf, target, option, value, "one number or a list of them");
    double *values = arena_allocate(conf->arena, (count + 1) * sizeof *values);
    if (!values)
        return conf_no_memory(conf);
    count = 0;
    for (const struct tree_item *item = items; item; item = item->next) {
        if (item->value->kind != TREE_SCALAR)
            return fail_shape(conf, target, option, item->value, "a list of numbers");
        int error = set_number(conf, target, option, item->value, &values[count++]);
        if (error)
            return error;
    }
    *field = (struct weir_numbers){.values = values, .count = count};
    return 0;
}

/* Takes over the pairs of `map` for which option_find finds nothing else when `rest` is set (the MAIN map of a part).
 */
static int set_map(struct conf *conf, const struct option_target *target, const struct weir_option *option,
                   const struct tree *map, bool rest, struct weir_list *field)
{
    if (map->kind != TREE_MAP)
        return fail_shape(conf, target, option, map, "a map (name: value)");
    struct weir_pair *pairs = arena_allocate(conf->arena, (map->count + 1) * sizeof *pairs);
    if (!pairs)
        return conf_no_memory(conf);
    size_t count = 0;
    for (const struct tree_item *item = map->items; item; item = item->next) {
        bool other = option_find(target->table, item->key->value);
        for (size_t i = 0; target->others && target->others[i]; i++)
            other = other || strcmp(target->others[i], item->key->value) == 0;
        if (rest && other)
            continue;
        if (item->value->kind != TREE_SCALAR)
            return fail_shape(conf, target, option, item->value, "a map of single values");
        if (tree_is_null(item->value))
            return conf_fail(conf, item->key, NULL, "%s has no value", item->key->value);
        pairs[count] = (struct weir_pair){.name = tree_quoted(item->key), .value = tree_quoted(item->value)};
        int error = option->flags & WEIR_OPTION_EXPRESSIONS ? check_expression(conf, pairs[count].value) : 0;
        if (error)
            return error;
        count++;
    }
    *field = (struct weir_list){.items = pairs, .count = count};
    return 0;
}

/* ---- One option ------------------------------------------------------------------------------------------------ */

static int set_option(struct conf *conf, const struct option_target *target, const struct weir_option *option,
                      const struct tree *value)
{
    void *field = (char *)target->base + option->offset;
    if (option->type == WEIR_OPTION_STRINGS)
        return set_strings(conf, target, option, value, field);
    if (option->type == WEIR_OPTION_NUMBERS)
        return set_numbers(conf, target, option, value, field);
    if (option->type == WEIR_OPTION_MAP)
        return set_map(conf, target, option, value, false, field);
    if (value->kind != TREE_SCALAR)
        return fail_shape(conf, target, option, value, "a single value");
    switch (option->type) {
    case WEIR_OPTION_BOOL:
        return parse_bool(value->value, field) ? fail_form(conf, target, option, value) : 0;
    case WEIR_OPTION_STRING:
        *(const char **)field = value->value;
        return 0;
    case WEIR_OPTION_CHOICE:
        return set_choice(conf, target, option, value, field);
    case WEIR_OPTION_EXPRESSION:
        *(struct weir_quoted *)field = tree_quoted(value);
        return check_expression(conf, tree_quoted(value));
    case WEIR_OPTION_COLUMN:
        if (value->size == 0)
            return conf_fail(conf, value, NULL, "%s of %s: the name of a column is missing", option->name,
                             target->what);
        *(struct weir_quoted *)field = tree_quoted(value);
        return 0;
    case WEIR_OPTION_QUOTED:
        *(struct weir_quoted *)field = tree_quoted(value);
        return 0;
    default:
        return set_number(conf, target, option, value, field);
    }
}

/* A default, read as if it stood in the file. One of a list or a map is YAML, the others are the text itself. */
static int set_fallback(struct conf *conf, const struct option_target *target, const struct weir_option *option)
{
    struct tree *value = tree_scalar(conf, target->at, option->fallback);
    struct tree_text *text = arena_allocate(conf->arena, sizeof *text);
    if (!value || !text)
        return conf_no_memory(conf);
    if (option->fallback[0] == '[' || option->fallback[0] == '{') {
        *text = (struct tree_text){.name = target->what, .data = option->fallback, .size = strlen(option->fallback)};
        int error = tree_parse(conf, text, &value);
        if (error)
            return error;
    }
    return set_option(conf, target, option, value);
}

static int fail_unknown_key(struct conf *conf, const struct option_target *target, const struct tree *key)
{
    const char *names[OPTIONS_MAX + 1];
    size_t count = 0;
    for (const struct weir_option *option = target->table; option && option->type != WEIR_OPTION_END; option++) {
        if (count < OPTIONS_MAX)
            names[count++] = option->name;
    }
    for (size_t i = 0; target->others && target->others[i] && count < OPTIONS_MAX; i++)
        names[count++] = target->others[i];
    names[count] = NULL;
    return conf_fail_unknown(conf, key, names, "%s has no option \"%.60s\"", target->what, key->value);
}

static int fill_from_map(struct conf *conf, const struct option_target *target, const struct tree *map, bool *given)
{
    const struct weir_option *rest = option_main(target->table);
    bool collects = rest && rest->type == WEIR_OPTION_MAP, some = false;
    for (const struct tree_item *item = map->items; item; item = item->next) {
        const struct weir_option *option = option_find(target->table, item->key->value);
        bool other = false;
        int error = 0;
        for (size_t i = 0; target->others && target->others[i]; i++)
            other = other || strcmp(target->others[i], item->key->value) == 0;
        if (!option && other)
            continue;
        if (!option && !collects)
            return fail_unknown_key(conf, target, item->key);
        some = some || !option;
        if (!option || tree_is(item->value, "~"))
            continue;
        if (tree_is_null(item->value))
            error = conf_fail(conf, item->key, "write a value after the colon, or remove the line",
                              "%s of %s has no value", option->name, target->what);
        else
            error = set_option(conf, target, option, item->value);
        if (error)
            return error;
        given[option - target->table] = true;
    }
    if (!some)
        return 0;
    given[rest - target->table] = true;
    return set_map(conf, target, rest, map, true, (void *)((char *)target->base + rest->offset));
}

static int fill_main(struct conf *conf, const struct option_target *target, const struct tree *value, bool *given)
{
    const struct weir_option *option = option_main(target->table);
    if (!option) {
        const char *first = target->table && target->table->type != WEIR_OPTION_END ? target->table->name : NULL;
        char hint[160];
        if (!first)
            return conf_fail(conf, value, "write just its name", "%s takes no options", target->what);
        snprintf(hint, sizeof hint, "for example {%s: …}; all of them: weir explain %s", first, target->what);
        return conf_fail(conf, value, hint, "%s takes options with names, not a bare value", target->what);
    }
    given[option - target->table] = true;
    return set_option(conf, target, option, value);
}

/* "compute: what of them: count, sum, …": as much of the help as fits, in whole words. */
static void show_help(const struct weir_option *option, char *out, size_t size)
{
    const char *help = option->help ? option->help : "";
    size_t length = strlen(help);
    if (length > HINT_HELP) {
        length = HINT_HELP;
        while (length > 0 && help[length] != ' ')
            length--;
    }
    snprintf(out, size, "%s: %.*s%s", option->name, (int)length, help, help[length] ? " …" : "");
}

int option_fill(struct conf *conf, const struct option_target *target, const struct tree *values)
{
    bool given[OPTIONS_MAX] = {false};
    int error = 0;
    if (values && values->kind == TREE_MAP)
        error = fill_from_map(conf, target, values, given);
    else if (values && !tree_is_null(values))
        error = fill_main(conf, target, values, given);
    const struct weir_option *table = target->table;
    for (size_t i = 0; !error && table && i < OPTIONS_MAX && table[i].type != WEIR_OPTION_END; i++) {
        if (given[i])
            continue;
        if (table[i].flags & WEIR_OPTION_REQUIRED) {
            char hint[256];
            show_help(&table[i], hint, sizeof hint);
            error = conf_fail(conf, target->at, hint, "%s needs the option \"%s\"", target->what, table[i].name);
        } else if (table[i].fallback) {
            error = set_fallback(conf, target, &table[i]);
        }
    }
    return error;
}
