/* SPDX-License-Identifier: MIT */
#ifndef MEASURE_SLOPE_H
#define MEASURE_SLOPE_H
#include <stddef.h>

enum { SLOPE_POINTS_MAX = 64 };
/* Theil–Sen: the median slope over all pairs of points (of which there are at most SLOPE_POINTS_MAX; more are ignored).
 * Up to a quarter of the points may be anything. Pairs with the same x do not count; 0 when there is none. */
double slope_median(const double *x, const double *y, size_t count);
#endif
