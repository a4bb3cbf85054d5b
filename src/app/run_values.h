/* SPDX-License-Identifier: MIT */
/* Options that all commands share which run a pipeline. */
#ifndef APP_RUN_VALUES_H
#define APP_RUN_VALUES_H
#include <stdint.h>

#include "app/app.h"
#include "conf/conf.h"

struct run_values {
    struct conf_overrides overrides;
    struct app_list set;
    int64_t seed;                                              /* negative: not given */
    const char *limit, *lanes, *memory, *duration, *seed_text; /* as given; NULL: not */
};

/* The rows of an option table for them; `values` is a struct run_values. */
#define RUN_VALUE_OPTIONS(values)                                                                                      \
    {"limit", 0, "N", "end after N records", .value = &(values)->limit},                                               \
        {"duration", 0, "TIME", "end after this long: 30s, 5min", .value = &(values)->duration},                       \
        {"to", 0, "TYPE", "one sink of this type instead of those in the file: stdout, null",                          \
         .value = &(values)->overrides.to},                                                                            \
        {"set", 0, "PATH=VALUE", "another value for an option: sources.factory.rate=10/s; may be repeated",            \
         .list = &(values)->set},                                                                                      \
        {"lanes", 0, "N", "worker threads (default: one for each processor)", .value = &(values)->lanes},              \
        {"memory", 0, "SIZE", "memory that the run may use: 96MiB", .value = &(values)->memory},

/* Reads the texts. -1: go on; else the exit code, and the mistake was explained. */
int run_values_read(struct run_values *values);

#endif
