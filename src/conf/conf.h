/* SPDX-License-Identifier: MIT */
/*
 * YAML → plan. Mistakes are found here as far as they can be without opening anything: unknown keys, parts, names,
 * units and choices, each with file, line, column, the line itself with a caret, and the nearest valid word.
 */
#ifndef CONF_CONF_H
#define CONF_CONF_H
#include <stdbool.h>

#include "flow/plan.h"

enum { CONF_FILE_MAX = 4 << 20, CONF_NODES_MAX = 1000, CONF_DEPTH_MAX = 32 };

/* One sink, stdout, that reads what leaves a part, through a filter if `where` is given. */
struct conf_tap {
    const char *part;   /* a source, stage or side output; of a sink: what comes to it */
    const char *where;  /* an expression, or NULL */
    const char *format; /* the sink's, or NULL */
    int64_t limit;      /* > 0: records to show */
    bool keep_sinks;    /* beside those in the file, not instead of them */
};

/* What the command line overrides. */
struct conf_overrides {
    const char *to;             /* replaces all sinks by one of this type fed by the last stage; NULL: no */
    const struct conf_tap *tap; /* a look at what passes one part; NULL: no */
    int64_t limit;              /* > 0: records */
    int64_t duration;           /* > 0: ns */
    int64_t lanes;              /* > 0 */
    int64_t memory;             /* > 0 */
    const char *const
        *set; /* "section.path=value" overrides, NULL-terminated, e.g. "sources.factory.rate=10/s"; may be NULL */
};
/* Loads a file ("-" is stdin). ${VAR} and ${VAR:-default} come from the environment, in values only. */
int conf_load(const char *path, const struct conf_overrides *overrides, struct plan **ret, struct weir_error *error);
int conf_parse(const char *name, const char *text, size_t size, const struct conf_overrides *overrides,
               struct plan **ret, struct weir_error *error);
void plan_free(struct plan *plan); /* NULL is allowed */

/* The keys of the sections run and goals, for `weir explain`. Offsets are conf's own business. */
extern const struct weir_option conf_run_options[], conf_goal_options[], conf_serve_options[];

/* The options of a part as they were resolved, as text for `weir check` (caller frees with memory_free). Secrets
 * (options named password, token, secret) are shown as ***. Empty for an option that was not given (or is zero) and has
 * no default. */
char *conf_option_text(const struct weir_option *option, const void *options);
/* True when it has the value that it would have if it were not given. */
bool conf_option_is_default(const struct weir_option *option, const void *options);
/* Does this name look like one of a data file (.csv, .tsv, .ndjson, .jsonl)? */
bool conf_is_data(const char *path);
#endif
