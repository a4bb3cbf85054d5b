/* SPDX-License-Identifier: MIT */
/*
 * What a running pipeline shows on stderr: one line that is redrawn, on a terminal only, and notices, which push it
 * down. Any thread may give a notice; the line is drawn by one.
 */
#ifndef APP_STATUS_H
#define APP_STATUS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "measure/recent.h"
#include "measure/verdict.h"

enum { STATUS_LINE_MAX = 1024 };

struct status_view {
    struct recent_view recent;
    struct verdict_answer verdict;
    uint64_t memory, memory_limit;
    const char *blocking; /* the branch that holds the others back, or NULL */
    bool draining;
};

/* The line, at most `columns` wide: what matters least is left out first. Returns out. */
char *status_format(const struct status_view *view, int columns, bool colour, char *out, size_t size);

struct status {
    pthread_mutex_t lock;
    bool on, colour, drawn;
};
/* `wanted` false: no line, whatever stderr is. */
void status_init(struct status *status, bool wanted);
void status_draw(struct status *status, const struct status_view *view);
/* Writes a line of words above the status line; adds "weir: " and the newline. */
void status_notice(struct status *status, const char *line);
/* Takes the line away for good. */
void status_end(struct status *status);
#endif
