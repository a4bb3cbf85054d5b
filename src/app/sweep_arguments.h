/* SPDX-License-Identifier: MIT */
/* The command line of weir sweep. */
#ifndef APP_SWEEP_ARGUMENTS_H
#define APP_SWEEP_ARGUMENTS_H

#include "app/app.h"
#include "base/buffer.h"
#include "load/sweep.h"

struct sweep_arguments {
    const char *url;
    bool json, quiet, automatic, once, keep_going, remote, insecure;
    const char *csv, *svg;
    /* As they stood. */
    const char *concurrency, *connections, *threads, *duration, *warmup, *repeats, *rate, *arrivals, *most, *in_flight;
    const char *method, *body_text, *timeout, *status, *expect, *success, *p99, *stop_below, *seed, *ca_file;
    struct app_list headers;
    /* What they come to. */
    double levels[SWEEP_LEVELS_MOST];
    struct http_pair fields[APP_LIST_MAX];
    char *field_names[APP_LIST_MAX]; /* owned */
    struct weir_buffer body;
    struct load_target target;
    struct sweep_options options; /* but run, changed and owner */
};

/* -1: go on; else the exit code. Free in any case. */
int sweep_arguments_read(int argc, char **argv, struct sweep_arguments *ret);
void sweep_arguments_free(struct sweep_arguments *arguments);

#endif
