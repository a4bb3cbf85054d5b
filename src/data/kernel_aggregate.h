/* SPDX-License-Identifier: MIT */
/*
 * Statistics of the values in one window of time. No engine, no allocation: values in, numbers out.
 *
 * A cell takes values one by one, in the order in which they arrive, and never gives one back:
 *
 *     sum        Σx with Neumaier's compensation: exact for integers as long as they fit, else within 1 ulp or so
 *     mean       sum / count
 *     var        Σ(x − mean)² / (count − ddof), by Welford's update
 *     range      max − min
 *     first, last, delta   by event time, not by arrival: of equal times the first that came, the last that came
 *     rate       delta / (time of last − time of first), per second; null when no time lies between
 *     slope      of the least-squares line through the values, per second, by Welford's update of Σ(t − t̄)(x − x̄)
 *     zscore     (last − mean) / stddev: how far the last one lies from the others; null while stddev is 0
 *
 * NaN is null: it is not counted. With ±inf among the values sum and mean are infinite (null with both signs), var,
 * stddev, slope and zscore are null. An empty cell has count 0, and all else is null but the sum, which is 0.
 */
#ifndef DATA_KERNEL_AGGREGATE_H
#define DATA_KERNEL_AGGREGATE_H
#include <stdint.h>

enum aggregate_statistic {
    AGGREGATE_COUNT,
    AGGREGATE_SUM,
    AGGREGATE_MEAN,
    AGGREGATE_VAR,
    AGGREGATE_STDDEV,
    AGGREGATE_MIN,
    AGGREGATE_MAX,
    AGGREGATE_FIRST,
    AGGREGATE_LAST,
    AGGREGATE_DELTA,
    AGGREGATE_RANGE,
    AGGREGATE_RATE,
    AGGREGATE_ZSCORE,
    AGGREGATE_SLOPE, /* needs a trend beside the cell */
    AGGREGATE_STATISTICS
};
extern const char *const aggregate_statistic_names[]; /* in this order; NULL-terminated */

struct aggregate_cell { /* begins as zeroes */
    int64_t count;
    double sum, compensation;
    double anchor; /* the value that came first: what follows is of distances to it, so that a large offset costs */
    double mean, squares; /* no digits. Welford's: squares is Σ(x − mean)² */
    double min, max, first, last;
    int64_t first_time, last_time;
};

/* What slope needs more, beside a cell with the same values. */
struct aggregate_trend {            /* begins as zeroes */
    int64_t anchor;                 /* the time of the value that came first */
    double mean, squares, products; /* of distances to it, ns: Σ(t − t̄)², Σ(t − t̄)(x − x̄) */
};

/* A value at a time (ns). */
void aggregate_add(struct aggregate_cell *cell, int64_t time, double value);

/* Takes in all that `from` has, as if it had come after what `cell` has. Sums may differ in the last bits from those of
 * one cell that had it all (Chan, Golub, LeVeque 1979). */
void aggregate_merge(struct aggregate_cell *cell, const struct aggregate_cell *from);

/* The same for its trend, to be called after aggregate_add, but before aggregate_merge. */
void aggregate_trend_add(struct aggregate_trend *trend, const struct aggregate_cell *cell, int64_t time, double value);
void aggregate_trend_merge(struct aggregate_trend *trend, const struct aggregate_cell *cell,
                           const struct aggregate_trend *from, const struct aggregate_cell *from_cell);
double aggregate_slope(const struct aggregate_trend *trend); /* NaN: null */

/* The statistic, but for slope; NaN: null. The count too comes as a double here. */
double aggregate_result(const struct aggregate_cell *cell, enum aggregate_statistic statistic, uint32_t ddof);
#endif
