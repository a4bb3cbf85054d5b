/* SPDX-License-Identifier: MIT */
/*
 * The report at the end of a run: the same facts for people (text) and for programs (one JSON object, all times in
 * seconds, all sizes in bytes; docs/verdict.md lists its keys). Pure: from a snapshot into a buffer; check the buffer's
 * `failed`.
 */
#ifndef MEASURE_REPORT_H
#define MEASURE_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "measure/goals.h"
#include "measure/verdict.h"

struct attribution;
struct pipeline_snapshot;

struct report {
    const char *configuration;                /* name of the file */
    const struct pipeline_snapshot *snapshot; /* taken after the end */
    struct verdict_answer verdict;
    const struct goal *goals;
    uint32_t goal_count;
    uint32_t lanes;
    uint64_t peak_memory;        /* resident, of the process; bytes */
    bool simulated, interrupted; /* interrupted: what was in flight was dropped */
    const char *failure;         /* words, or NULL */
    /* For the advice. */
    const struct attribution *attribution; /* NULL: not known, as in a simulation */
    int64_t batch, linger;                 /* as configured: 0: auto; ns */
};

void report_text(const struct report *report, struct weir_buffer *out);
void report_json(const struct report *report, struct weir_buffer *out);

/* Name of the busiest thread, or NULL. */
const char *report_busiest(const struct report *report);
/* What held the rest back: the sink behind the edge that was full for the largest share of the run, or, behind a
 * source's edge, the stage that took the most time. NULL if no edge was full for a twentieth of the run. */
const char *report_bottleneck(const struct report *report, double *ret_share);
/* The stage that took the most processor time so far, or NULL. */
const char *report_slowest_stage(const struct pipeline_snapshot *snapshot);
#endif
