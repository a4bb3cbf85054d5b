/* SPDX-License-Identifier: MIT */
/*
 * A file that keeps the lines a source refused, as NDJSON: {"file", "line", "reason", "detail", "text"}, and records
 * that a stage refused: then "stage" says which, and "text" is the record as it came to it, as NDJSON. Lines come from
 * lanes, so any thread may add. Each record is written as a whole or not at all; what does not fit (the limit, a full
 * disk) is counted and never stops the run.
 */
#ifndef PARTS_REJECTS_H
#define PARTS_REJECTS_H
#include <pthread.h>
#include <weir/part.h>

#include "parts/file_origin.h"

struct rejects_options {
    const char *path; /* NULL: lines are not kept */
    int64_t most;     /* bytes */
};
struct rejects { /* zeroed: none */
    const struct rejects_options *options;
    struct weir_env *env;
    int fd; /* + 1 */
    int64_t size;
    pthread_mutex_t lock;
};

#define REJECTS_OPTIONS(state, member)                                                                                 \
    {.name = "rejects",                                                                                                \
     .type = WEIR_OPTION_STRING,                                                                                       \
     .offset = offsetof(state, member.path),                                                                           \
     .help = "keep refused lines in this file, as NDJSON with file, line, reason, detail and text"},                   \
    {                                                                                                                  \
        .name = "rejects_max", .type = WEIR_OPTION_SIZE, .offset = offsetof(state, member.most), .fallback = "64MiB",  \
        .least = 1024, .most = 1e15, .help = "most bytes that rejects may take; lines beyond are only counted"         \
    }

/* Opens and locks the file: what reads it finds it busy. Fails with words in env->error. */
int rejects_open(struct rejects *rejects, const struct rejects_options *options, struct weir_env *env);
/* Empties it, once it is known that it is nobody's input. */
int rejects_begin(struct rejects *rejects);
/* Goes on behind what is in it already. */
int rejects_continue(struct rejects *rejects);
void rejects_add(struct rejects *rejects, const struct weir_refusal *refusal); /* any thread */
/* The selected rows of `batch`, refused by the stage `stage`, as NDJSON; `detail` may be NULL. Any thread. */
void rejects_add_rows(struct rejects *rejects, struct file_origin *origin, const struct weir_batch *batch,
                      const char *stage, const char *reason, const char *detail);
void rejects_close(struct rejects *rejects);

#endif
