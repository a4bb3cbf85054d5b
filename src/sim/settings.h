/* SPDX-License-Identifier: MIT */
/*
 * What can be changed in a simulated peer while it runs: "name=value" pairs, from POST /control?name=value&… or from a
 * script, whose lines are a time since the start and pairs:
 *
 *     # the capacity halves after ten seconds, and doubles after twenty
 *     10s workers=25
 *     20s workers=100 service=20ms
 */
#ifndef SIM_SETTINGS_H
#define SIM_SETTINGS_H

#include <weir/part.h>
#include <weir/task.h>
#include "sim/random.h"

enum { SETTINGS_SCRIPT_MOST = 10000 /* lines */, SETTINGS_TEXT_MOST = 200, SETTINGS_FILE_MOST = 1 << 20 };

/* Sets one; 0, or -EINVAL with words in `error`. */
typedef int settings_set(void *owner, const char *name, const char *value, struct weir_error *error);

struct settings_script;
/* Every line is read before the first is carried out; names and values are checked when they are set (or rehearsed).
 * `name` is for messages. Times must not go back. */
int settings_script_parse(const char *text, size_t size, const char *name, struct settings_script **ret,
                          struct weir_error *error);
int settings_script_read(const char *path, struct settings_script **ret, struct weir_error *error);
void settings_script_free(struct settings_script *script);
/* Sets everything at once, in an `owner` that is not needed any more: finds mistakes before their time comes. */
int settings_script_rehearse(const struct settings_script *script, settings_set *set, void *owner,
                             struct weir_error *error);
/* Carries it out from now on; returns when it is over, or with the first error, which it describes. */
int settings_script_run(struct weir_context *context, const struct settings_script *script, settings_set *set,
                        void *owner, struct weir_error *error);

/* "a=1&b=2" (mark '&') or "a=1 b=2" (mark ' '): sets each; stops at the first error. */
int settings_apply(const char *pairs, size_t length, char mark, settings_set *set, void *owner,
                   struct weir_error *error);

/* "normal"; and a spread, which makes what was fixed uniform. Those that have none do not go with one. */
int settings_distribution(const char *value, struct distribution *distribution, struct weir_error *error);
int settings_jitter(const char *value, struct distribution *distribution, struct weir_error *error);

/* Values; a mistake is described. */
int settings_duration(const char *name, const char *value, int64_t *ret, struct weir_error *error);
int settings_ratio(const char *name, const char *value, double *ret, struct weir_error *error); /* 0 to 1, or 5% */
int settings_count(const char *name, const char *value, int64_t least, int64_t most, int64_t *ret,
                   struct weir_error *error);

#endif
