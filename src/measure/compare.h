/* SPDX-License-Identifier: MIT */
/*
 * Two runs of the same pipeline on the same work, side by side: one thing after the other, and all at the same time.
 * Pure: from what was measured into a buffer; check the buffer's `failed`.
 */
#ifndef MEASURE_COMPARE_H
#define MEASURE_COMPARE_H

#include <stdbool.h>

#include "base/buffer.h"
#include "base/histogram.h"

struct pipeline_snapshot;

enum { COMPARE_ROWS_MAX = 64, COMPARE_SPANS_MAX = 1 << 16 };

struct compare_span { /* somebody worked on something */
    uint32_t row;
    int64_t from, to; /* ns since the start of the run */
};
struct compare_row {
    const char *part; /* lives as long as the plan */
    bool consumer;
};
struct compare_side {
    const struct pipeline_snapshot *snapshot;
    int64_t duration; /* ns */
    uint64_t failed;  /* reads and calls */
    struct compare_row rows[COMPARE_ROWS_MAX];
    uint32_t row_count;
    struct compare_span *spans;
    uint32_t span_count;
    uint64_t spans_lost; /* beyond COMPARE_SPANS_MAX */
};
struct compare {
    const char *configuration;
    struct compare_side sequential, concurrent;
    bool simulated, interrupted; /* interrupted: there is nothing to compare; the JSON says so */
};

enum { COMPARE_WORDS = 256 };
/* Whether the two runs have done the same work, which was some, and all of it: else their times say nothing about each
 * other. False: `words` says why. */
bool compare_same_work(const struct compare *compare, char words[COMPARE_WORDS]);

/* Of the same work: how many times faster the concurrent run was, and how many times shorter records waited (times are
 * at least the microsecond that clocks tell apart). compare_wait_ratio is 0 where no record came to a consumer. */
double compare_speedup(const struct compare *compare);
double compare_wait_ratio(const struct compare *compare);

void compare_text(const struct compare *compare, struct weir_buffer *out);
void compare_json(const struct compare *compare, struct weir_buffer *out);
/* Who produced and consumed when: a row for each part, `columns` wide, both runs on one scale of time. */
void compare_timeline(const struct compare *compare, uint32_t columns, struct weir_buffer *out);

#endif
