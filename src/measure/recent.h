/* SPDX-License-Identifier: MIT */
/*
 * What happened lately: rates and latencies of the last three seconds, from differences of snapshots,
 * whose counts are totals. For the status line. One thread.
 */
#ifndef MEASURE_RECENT_H
#define MEASURE_RECENT_H

#include <stdint.h>

#include "base/histogram.h"

struct pipeline_snapshot;
struct recent;

struct recent_view {
    double in, out;     /* records/s */
    uint64_t latencies; /* how many records the next two are from; 0: none lately */
    int64_t p50, p99;   /* ns */
};

struct recent *recent_new(void);         /* NULL: out of memory */
void recent_free(struct recent *recent); /* NULL is allowed */
struct recent_view recent_add(struct recent *recent, const struct pipeline_snapshot *snapshot);
#endif
