/* SPDX-License-Identifier: MIT */
/*
 * Statistics that need all values of a window at once: quantiles and how many different ones there are. No engine, no
 * allocation; the values are put in order once, when the window is complete.
 *
 *     quantile  linear between the two nearest: at rank p · (count − 1), ranks from 0; as kernel_rolling_wide.h has it
 *     distinct  how many different values; 0 and −0 are the same
 *
 * Results are a function of the set of values, whatever the order in which they came.
 */
#ifndef DATA_KERNEL_QUANTILE_H
#define DATA_KERNEL_QUANTILE_H
#include <stdbool.h>
#include <stdint.h>

enum { QUANTILES_MOST = 8 }; /* of one stage */

/* "median", or "p" and digits: p90 is 0.90, p5 is 0.05; with more than two, those after the second are a fraction: p999
 * is 0.999. False: the name of something else. */
bool quantile_read(const char *name, double *ret_rank);

/* In ascending order, in place. No NaN. */
void quantile_sort(double *values, uint32_t count);

/* Of values in order; NaN: there are none. rank: 0 … 1. */
double quantile_at(const double *values, uint32_t count, double rank);

/* Moves each different one of values in order to the front; returns how many these are. */
uint32_t quantile_distinct(double *values, uint32_t count);
#endif
