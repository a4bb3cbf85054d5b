/* SPDX-License-Identifier: MIT */
/*
 * The notice board between a run and those who ask about it: the thread that watches the run pins up what it saw,
 * others read it from there. Nobody who asks touches the pipeline.
 *
 * It also judges whether the run is ready: the goals as they were met in the last 30 to 60 seconds (a run that was slow
 * once is not damned for ever), the verdict as it is now.
 */
#ifndef SERVE_BOARD_H
#define SERVE_BOARD_H
#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "flow/pipeline.h"
#include "measure/verdict.h"

struct board;
/* NULL: out of memory. `goals` lives as long as the board. */
struct board *board_new(const struct plan_goals *goals);
void board_free(struct board *board); /* NULL is allowed */

/* Takes over the snapshot. One thread. */
void board_pin(struct board *board, struct pipeline_snapshot *snapshot, const struct verdict_answer *verdict);
/* The sources end, or something failed: not ready any more. Any thread. */
void board_end(struct board *board, bool failed);

/* Any thread: the page, and the HTTP status that goes with it. */
unsigned board_metrics(struct board *board, struct weir_buffer *out); /* 503 before the first snapshot */
unsigned board_health(struct board *board, struct weir_buffer *out);  /* 200, or 503 once the run has failed */
unsigned board_ready(struct board *board, struct weir_buffer *out);   /* 200, or 503 with the reasons, one a line */

#endif
