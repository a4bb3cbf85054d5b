/* SPDX-License-Identifier: MIT */
/* Private to the plots: an axis with its limits found and its ticks placed. */
#ifndef MEASURE_PLOT_AXIS_H
#define MEASURE_PLOT_AXIS_H

#include "measure/plot.h"

enum { PLOT_TICKS_MAX = 16, PLOT_TICK_TEXT = 24 };

struct plot_tick {
    double at; /* 0 … 1 along the axis */
    char text[PLOT_TICK_TEXT];
};
struct plot_ruler {
    enum plot_scale scale;
    double least, most; /* on the scale: of logarithms, for PLOT_LOG and PLOT_PERCENTILE */
    double divisor;     /* values are divided by it before they are shown */
    const char *prefix; /* of the unit: "m" */
    char label[96];     /* "response time (ms)" */
    struct plot_tick ticks[PLOT_TICKS_MAX];
    uint32_t tick_count;
};

/* Limits and about `wanted` ticks for the x axis or the y axis of a plot. False: there is no value to show. */
bool plot_ruler_x(const struct plot *plot, uint32_t wanted, struct plot_ruler *ret);
bool plot_ruler_y(const struct plot *plot, uint32_t wanted, struct plot_ruler *ret);
/* Where a value is along the axis: 0 … 1 within it. NaN when it cannot be shown at all. */
double plot_place(const struct plot_ruler *ruler, double value);
/* How much of each is drawn. */
uint32_t plot_series_count(const struct plot *plot);
uint32_t plot_point_count(const struct plot_series *series);
uint32_t plot_mark_count(const struct plot *plot);

#endif
