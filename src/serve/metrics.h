/* SPDX-License-Identifier: MIT */
/*
 * The metrics: one table, from which come the text that Prometheus reads, `weir explain metrics` and docs/metrics.md.
 *
 * Names follow Prometheus' conventions: the prefix weir_, base units (seconds, bytes), _total for what only grows.
 * Labels have few values: names of parts, threads and queues from the configuration, and words of weir's own; never
 * what came in with the data. Pure.
 */
#ifndef SERVE_METRICS_H
#define SERVE_METRICS_H
#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "flow/pipeline.h"
#include "measure/goals.h"
#include "measure/verdict.h"

enum { METRICS_REASONS_MAX = 100, METRICS_READY_WORDS = 512 };

/* What is known of a run at one moment. */
struct metrics_view {
    const struct pipeline_snapshot *snapshot;
    struct verdict_answer verdict;
    const struct goal *goals; /* lately: see board.h */
    uint32_t goal_count;
    bool ready;
    double started; /* seconds since 1970 */
};

/* The text of /metrics. */
void metrics_text(const struct metrics_view *view, struct weir_buffer *out);
/* The table for people: a line for each metric; `markdown`: as a table in Markdown. */
void metrics_describe(bool markdown, struct weir_buffer *out);

#endif
