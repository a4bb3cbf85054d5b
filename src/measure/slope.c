/* SPDX-License-Identifier: MIT */
#include "measure/slope.h"

#include <stdlib.h>

static int compare(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

double slope_median(const double *x, const double *y, size_t count)
{
    double slopes[SLOPE_POINTS_MAX * (SLOPE_POINTS_MAX - 1) / 2];
    size_t pairs = 0;
    if (count > SLOPE_POINTS_MAX) {
        count = SLOPE_POINTS_MAX;
    }
    for (size_t i = 0; i < count; i++) {
        for (size_t j = i + 1; j < count; j++) {
            if (x[j] != x[i]) {
                slopes[pairs++] = (y[j] - y[i]) / (x[j] - x[i]);
            }
        }
    }
    if (pairs == 0) {
        return 0;
    }
    qsort(slopes, pairs, sizeof slopes[0], compare);
    return pairs % 2 ? slopes[pairs / 2] : (slopes[pairs / 2 - 1] + slopes[pairs / 2]) / 2;
}
