/* SPDX-License-Identifier: MIT */
/*
 * Rolling statistics that need more than sums: windows of time, quantiles, distinct values, rates and slopes, moving
 * averages. One state of fixed size for each key; O(log n) for a record, n being the records in the window, or a short
 * move of values.
 *
 *     state of one key:  | head | values: ring | times: ring | values in order, or two heaps for each quantile | table
 * of distinct values |
 *
 * A window is the last `records` records, or those of the last `span`: later than newest − span. A key's time never
 * goes back: a record that comes late, or has no time, counts as of the newest time of its key. A window of time holds
 * `records` records at most; when one more comes, the oldest leaves early and is counted.
 *
 * Definitions of count … delta as in kernel_rolling.h; and, nulls never counting:
 *
 *     range     max − min
 *     rate      (last − first) / (time of last − time of first), per second; null when no time lies between
 *     slope     of the least-squares line through the values, per second, or per record where there is no time
 *     ewma      m += a · (x − m), m being the first value at first; a = alpha, or 1 − 2^(−Δ / half-life), where Δ is
 * the time since the value before, or 1 when the half-life is in records. Looks back without end. zscore    (x − mean)
 * / stddev of the window; null while stddev is 0. With lag: of the window before x distinct  how many different values
 *     quantile  linear between the two nearest: at rank p · (count − 1), ranks from 0
 *
 * A function of the key's own records in their order alone, like the others.
 */
#ifndef DATA_KERNEL_ROLLING_WIDE_H
#define DATA_KERNEL_ROLLING_WIDE_H
#include "data/kernel_rolling.h"

enum rolling_wide_statistic { /* go on where enum rolling_statistic ends */
                              ROLLING_RANGE = ROLLING_STATISTICS,
                              ROLLING_RATE,
                              ROLLING_SLOPE,
                              ROLLING_EWMA,
                              ROLLING_ZSCORE,
                              ROLLING_DISTINCT, /* int64_t, like count */
                              ROLLING_QUANTILE, /* the first of them */
                              ROLLING_QUANTILES_MOST = 8,
                              ROLLING_WIDE_STATISTICS = ROLLING_QUANTILE + ROLLING_QUANTILES_MOST
};
extern const char *const rolling_wide_names[]; /* range … distinct; NULL-terminated */

enum { ROLLING_WIDE_RECORDS_MOST = 1 << 24 };

struct rolling_wide_options {
    uint32_t records;    /* of the window, or at most in a window of time */
    int64_t span;        /* ns; 0: a window of records */
    uint32_t statistics; /* set of 1 << ROLLING_… */
    uint32_t ddof;
    bool lag;         /* before the record; all null for the first */
    bool timed;       /* there are times; needed for span, rate, half-life in time */
    double alpha;     /* ewma; 0: by half-life */
    double half_life; /* records, or ns when half_life_timed */
    bool half_life_timed;
    bool heaps;      /* for the order of values, as of a long window, whatever its length: for tests */
    bool one_by_one; /* never many records at once: for tests */
    uint32_t quantile_count;
    double quantiles[ROLLING_QUANTILES_MOST]; /* 0 … 1 */
};

struct rolling_wide_rows {
    void *const *states; /* as in struct rolling_rows */
    const uint32_t *selection;
    uint32_t count;
    const double *values;
    const int64_t *times; /* INT64_MIN: null; NULL without */
    void *columns[ROLLING_WIDE_STATISTICS];
    uint64_t early; /* out, added to: records that left a window of time early */
};

struct rolling_wide {
    struct rolling_wide_options options;
    size_t state_size; /* bytes for each key, a multiple of 64; begins as zeroes */
    /* Private: */
    size_t state_offset, times, heaps, table;
    bool sorted; /* the values are kept in order, where the heaps would be */
    bool quantiles_only;
    uint32_t many; /* so many records at once are put in order together; 0: none are */
    uint32_t heap_count, table_size, refresh_records;
    double ranks[ROLLING_QUANTILES_MOST + 2]; /* of the heaps: the quantiles, 0 for min, 1 for max */
    uint32_t least, most;                     /* the heaps of min and max */
};

/* -EINVAL when the options make no sense. state_offset: a multiple of 8. */
int rolling_wide_init(struct rolling_wide *wide, const struct rolling_wide_options *options, size_t state_offset);

void rolling_wide_process(const struct rolling_wide *wide, struct rolling_wide_rows *rows);
#endif
