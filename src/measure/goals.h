/* SPDX-License-Identifier: MIT */
/* Declared goals against what was measured. Pure. */
#ifndef MEASURE_GOALS_H
#define MEASURE_GOALS_H

#include <stdbool.h>
#include <stdint.h>

struct pipeline_snapshot;
struct plan_goals;

enum { GOALS_MAX = 7 };

struct goal {
    const char *name;   /* as in the configuration: "latency_p99" */
    double wanted, got; /* seconds, or records/s for "rate" */
    bool at_least;      /* got must not be below wanted (a rate); else not above it */
    bool measured;      /* false: no record, nothing to measure: not met */
    bool met;
};

/* Fills in those that are declared and returns how many. `lag_worst` is the largest lag that was seen, ns. A rate
 * counts as met from 99 %: a source with a schedule never has more than it was asked for. */
uint32_t goals_check(const struct plan_goals *goals, const struct pipeline_snapshot *snapshot, int64_t lag_worst,
                     struct goal results[GOALS_MAX]);
bool goals_met(const struct goal *results, uint32_t count);
#endif
