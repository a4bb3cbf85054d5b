/* SPDX-License-Identifier: MIT */
#include "data/kernel_aggregate.h"

#include <math.h>
#include <stddef.h>

const char *const aggregate_statistic_names[] = {"count", "sum",   "mean",  "var",  "stddev", "min",   "max", "first",
                                                 "last",  "delta", "range", "rate", "zscore", "slope", NULL};

/* What is lost of the smaller one in a sum is kept beside it. Nothing is lost of what is infinite. */
static void add_compensated(struct aggregate_cell *cell, double value)
{
    double sum = cell->sum + value;
    if (isfinite(sum))
        cell->compensation += fabs(cell->sum) >= fabs(value) ? (cell->sum - sum) + value : (value - sum) + cell->sum;
    cell->sum = sum;
}

static void set_first(struct aggregate_cell *cell, int64_t time, double value)
{
    cell->first = value;
    cell->first_time = time;
}

static void set_last(struct aggregate_cell *cell, int64_t time, double value)
{
    cell->last = value;
    cell->last_time = time;
}

void aggregate_add(struct aggregate_cell *cell, int64_t time, double value)
{
    if (isnan(value))
        return;
    if (cell->count == 0) {
        cell->anchor = cell->min = cell->max = value;
        set_first(cell, time, value);
        set_last(cell, time, value);
    }
    cell->count++;
    add_compensated(cell, value);
    double anchored = value - cell->anchor, distance = anchored - cell->mean;
    cell->mean += distance / (double)cell->count;
    cell->squares += distance * (anchored - cell->mean);
    cell->min = value < cell->min ? value : cell->min;
    cell->max = value > cell->max ? value : cell->max;
    if (time < cell->first_time)
        set_first(cell, time, value);
    if (time >= cell->last_time)
        set_last(cell, time, value);
}

void aggregate_merge(struct aggregate_cell *cell, const struct aggregate_cell *from)
{
    if (from->count == 0)
        return;
    if (cell->count == 0) {
        *cell = *from;
        return;
    }
    double mine = (double)cell->count, theirs = (double)from->count, all = mine + theirs;
    double distance = (from->anchor - cell->anchor) + (from->mean - cell->mean);
    cell->squares += from->squares + distance * distance * (mine * theirs / all);
    cell->mean += distance * (theirs / all);
    cell->count += from->count;
    add_compensated(cell, from->sum);
    cell->compensation += from->compensation;
    cell->min = from->min < cell->min ? from->min : cell->min;
    cell->max = from->max > cell->max ? from->max : cell->max;
    if (from->first_time < cell->first_time)
        set_first(cell, from->first_time, from->first);
    if (from->last_time >= cell->last_time)
        set_last(cell, from->last_time, from->last);
}

void aggregate_trend_add(struct aggregate_trend *trend, const struct aggregate_cell *cell, int64_t time, double value)
{
    if (isnan(value))
        return;
    if (cell->count == 1)
        trend->anchor = time;
    double anchored = (double)(time - trend->anchor), distance = anchored - trend->mean;
    trend->mean += distance / (double)cell->count;
    trend->squares += distance * (anchored - trend->mean);
    trend->products += distance * ((value - cell->anchor) - cell->mean);
}

void aggregate_trend_merge(struct aggregate_trend *trend, const struct aggregate_cell *cell,
                           const struct aggregate_trend *from, const struct aggregate_cell *from_cell)
{
    if (from_cell->count == 0)
        return;
    if (cell->count == 0) {
        *trend = *from;
        return;
    }
    double mine = (double)cell->count, theirs = (double)from_cell->count, all = mine + theirs;
    double time_apart = (double)(from->anchor - trend->anchor) + (from->mean - trend->mean);
    double apart = (from_cell->anchor - cell->anchor) + (from_cell->mean - cell->mean);
    trend->squares += from->squares + time_apart * time_apart * (mine * theirs / all);
    trend->products += from->products + time_apart * apart * (mine * theirs / all);
    trend->mean += time_apart * (theirs / all);
}

double aggregate_slope(const struct aggregate_trend *trend)
{
    return trend->squares > 0 && isfinite(trend->products) ? trend->products / trend->squares * 1e9 : NAN;
}

static double rate(const struct aggregate_cell *cell)
{
    int64_t apart = cell->last_time - cell->first_time;
    return apart > 0 ? (cell->last - cell->first) / ((double)apart / 1e9) : NAN;
}

static double zscore(const struct aggregate_cell *cell, double stddev)
{
    return stddev > 0 ? ((cell->last - cell->anchor) - cell->mean) / stddev : NAN;
}

static double variance(const struct aggregate_cell *cell, uint32_t ddof)
{
    double divisor = (double)cell->count - ddof;
    return divisor > 0 && isfinite(cell->squares) ? cell->squares / divisor : NAN;
}

double aggregate_result(const struct aggregate_cell *cell, enum aggregate_statistic statistic, uint32_t ddof)
{
    double sum = cell->sum + (isfinite(cell->sum) ? cell->compensation : 0);
    if (statistic == AGGREGATE_COUNT)
        return (double)cell->count;
    if (statistic == AGGREGATE_SUM)
        return sum;
    if (cell->count == 0)
        return NAN;
    switch (statistic) {
    case AGGREGATE_MEAN:
        return sum / (double)cell->count;
    case AGGREGATE_VAR:
        return variance(cell, ddof);
    case AGGREGATE_STDDEV:
        return sqrt(variance(cell, ddof));
    case AGGREGATE_MIN:
        return cell->min;
    case AGGREGATE_MAX:
        return cell->max;
    case AGGREGATE_FIRST:
        return cell->first;
    case AGGREGATE_LAST:
        return cell->last;
    case AGGREGATE_DELTA:
        return cell->last - cell->first;
    case AGGREGATE_RANGE:
        return cell->max - cell->min;
    case AGGREGATE_RATE:
        return rate(cell);
    case AGGREGATE_ZSCORE:
        return zscore(cell, sqrt(variance(cell, ddof)));
    default:
        return NAN;
    }
}
