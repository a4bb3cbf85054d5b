/* SPDX-License-Identifier: MIT */
/* Option tables: a map, list or scalar of the tree → the fields of a part's private state. */
#ifndef CONF_OPTION_H
#define CONF_OPTION_H
#include "conf/tree.h"

/* What is being filled in. */
struct option_target {
    const char *what;                /* for messages: "filter", "run" */
    const struct weir_option *table; /* NULL: no options */
    void *base;                      /* zeroed; offsets count from here */
    const struct tree *at;           /* where the part stands */
    const char *const *others; /* keys of the map that mean something to somebody else; NULL-terminated, or NULL */
};

/* Sets every option of the table: from `values` (NULL, nothing: all defaults), else its fallback. Strings live in
 * conf's arena. Expressions are parsed, to find mistakes now. */
int option_fill(struct conf *conf, const struct option_target *target, const struct tree *values);

/* The option called `name`, or NULL. `table` may be NULL. */
const struct weir_option *option_find(const struct weir_option *table, const char *name);
const struct weir_option *option_main(const struct weir_option *table);

/* "256MiB", "500ms", "5000/s": exact, as one would write it in the file. */
char *option_show_size(int64_t bytes, char *out, size_t size);
char *option_show_duration(int64_t ns, char *out, size_t size);
char *option_show_rate(double rate, char *out, size_t size);
char *option_show_number(double number, char *out, size_t size);

#endif
