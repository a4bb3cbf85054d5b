/* SPDX-License-Identifier: MIT */
/*
 * Plots: lines of one or several series on two axes, as an SVG picture or as text for a terminal; and what is made of
 * histograms with them: the percentile spectrum, and HdrHistogram's text format.
 *
 *     const double n[] = {1, 5, 10}, rate[] = {9.8, 49, 95}, good[] = {9.8, 49, 80};
 *     const struct plot_series series[] = {{"throughput", n, rate, 3}, {"goodput", n, good, 3}};
 *     const struct plot_mark marks[] = {{10, "sweet spot"}};
 *     const struct plot plot = {.title = "What the server takes",
 *                               .x = {.label = "concurrency", .scale = PLOT_LOG},
 *                               .y = {.label = "rate", .unit = "/s"},
 *                               .series = series, .series_count = 2, .marks = marks, .mark_count = 1};
 *     plot_svg(&plot, &buffer);
 *
 * Pure: into a buffer; check the buffer's `failed`. Values that are not finite, or not above 0 on a logarithmic axis,
 * interrupt their line. A plot without any value says "no data".
 */
#ifndef MEASURE_PLOT_H
#define MEASURE_PLOT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"

struct histogram;

enum { PLOT_SERIES_MAX = 8, PLOT_MARKS_MAX = 8, PLOT_POINTS_MAX = 4096 }; /* what is beyond them is left out */

enum plot_scale {
    PLOT_LINEAR,
    PLOT_LOG,
    PLOT_PERCENTILE, /* values are shares q in [0, 1]: 0 %, 90 %, 99 %, 99.9 % … at equal distances */
};
struct plot_axis {
    const char *label; /* "response time" */
    const char *unit;  /* of the values: "s" (shown as ns, µs, ms or s, whatever fits), "/s", "%"; NULL: none */
    enum plot_scale scale;
    double least, most;  /* of the axis; both 0: from the values. A linear axis begins at 0 unless values are below */
    const double *ticks; /* rising values that are named on it, as many as there is room for, the last and the first */
    uint32_t tick_count; /* before all others; 0: round values */
};
struct plot_series {
    const char *name; /* in the legend */
    const double *x, *y;
    uint32_t count;
};
struct plot_mark { /* a vertical line */
    double x;
    const char *name; /* beside it */
};
struct plot {
    const char *title;
    struct plot_axis x, y;
    const struct plot_series *series;
    uint32_t series_count;
    const struct plot_mark *marks;
    uint32_t mark_count;
};

/* A whole SVG document, 800 × 480: title, axes with units, grid, lines with points, legend. */
void plot_svg(const struct plot *plot, struct weir_buffer *out);
/* Lines of text (UTF-8), at most `columns` wide (at least 40) with `rows` rows of plot (at least 5), and a legend when
 * there is more than one series. */
void plot_text(const struct plot *plot, int columns, int rows, struct weir_buffer *out);

/* ---- Histograms (of times in nanoseconds) ------------------------------------------------------------------------ */

struct plot_histogram {
    const char *name;
    const struct histogram *histogram;
};
/* The percentile spectrum: the time (y) within which a share of all (x) were done. Empty histograms are left out. */
void plot_spectrum_svg(const char *title, const struct plot_histogram *histograms, uint32_t count,
                       struct weir_buffer *out);
void plot_spectrum_text(const char *title, const struct plot_histogram *histograms, uint32_t count, int columns,
                        int rows, struct weir_buffer *out);
/* HdrHistogram's percentile output (.hgrm), 5 ticks per half distance, values in milliseconds. */
void plot_hgrm(const struct histogram *histogram, struct weir_buffer *out);

#endif
