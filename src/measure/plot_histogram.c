/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdio.h>

#include "base/histogram.h"
#include "base/memory.h"
#include "measure/plot.h"
#include "measure/text.h"

enum { TICKS_PER_HALF_DISTANCE = 5, SPECTRUM_POINTS = 256, POINTS_PER_DECADE = 40 };

/* ---- Spectrum --------------------------------------------------------------------------------------------------- */

struct curve {
    double q[SPECTRUM_POINTS], seconds[SPECTRUM_POINTS];
};

/* Up to the last share that the number of values can tell: with 1000 values nothing is known of 99.99 %. */
static uint32_t trace(const struct histogram *histogram, struct curve *curve)
{
    uint64_t count = atomic_load_explicit(&histogram->count, memory_order_relaxed);
    double decades = log10((double)count);
    uint32_t points = (uint32_t)(decades * POINTS_PER_DECADE) + 2;
    points = points < SPECTRUM_POINTS ? points : SPECTRUM_POINTS;
    for (uint32_t i = 0; i < points; i++) {
        double q = 1 - pow(10, -decades * i / (points - 1));
        curve->q[i] = q;
        curve->seconds[i] = (double)histogram_quantile(histogram, i + 1 == points ? 1.0 : q) / 1e9;
    }
    return points;
}

struct spectrum {
    struct curve *curves;
    struct plot_series series[PLOT_SERIES_MAX];
    struct plot plot;
};

static void set_axes(struct spectrum *spectrum)
{
    double least = INFINITY, most = 0;
    for (uint32_t i = 0; i < spectrum->plot.series_count; i++) {
        const struct plot_series *series = &spectrum->series[i];
        least = series->y[0] < least ? series->y[0] : least;
        most = series->y[series->count - 1] > most ? series->y[series->count - 1] : most;
    }
    spectrum->plot.x = (struct plot_axis){.label = "percentile", .scale = PLOT_PERCENTILE, .unit = "%"};
    spectrum->plot.y = (struct plot_axis){.label = "time", .unit = "s"};
    if (least > 0 && most / least > 30)
        spectrum->plot.y.scale = PLOT_LOG;
}

/* False: out of memory. */
static bool prepare(const char *title, const struct plot_histogram *histograms, uint32_t count,
                    struct spectrum *spectrum)
{
    *spectrum = (struct spectrum){.plot = {.title = title, .series = spectrum->series}};
    spectrum->curves = memory_zeroed(PLOT_SERIES_MAX, sizeof *spectrum->curves);
    if (!spectrum->curves)
        return false;
    for (uint32_t i = 0; i < count && spectrum->plot.series_count < PLOT_SERIES_MAX; i++) {
        struct curve *curve = &spectrum->curves[spectrum->plot.series_count];
        if (atomic_load_explicit(&histograms[i].histogram->count, memory_order_relaxed) == 0)
            continue;
        spectrum->series[spectrum->plot.series_count++] = (struct plot_series){
            .name = histograms[i].name,
            .x = curve->q,
            .y = curve->seconds,
            .count = trace(histograms[i].histogram, curve)};
    }
    set_axes(spectrum);
    return true;
}

void plot_spectrum_svg(const char *title, const struct plot_histogram *histograms, uint32_t count,
                       struct weir_buffer *out)
{
    struct spectrum spectrum;
    if (prepare(title, histograms, count, &spectrum))
        plot_svg(&spectrum.plot, out);
    else
        out->failed = true;
    memory_free(spectrum.curves);
}

void plot_spectrum_text(const char *title, const struct plot_histogram *histograms, uint32_t count, int columns,
                        int rows, struct weir_buffer *out)
{
    struct spectrum spectrum;
    if (prepare(title, histograms, count, &spectrum))
        plot_text(&spectrum.plot, columns, rows, out);
    else
        out->failed = true;
    memory_free(spectrum.curves);
}

/* ---- .hgrm ------------------------------------------------------------------------------------------------------ */

/* The share at which the next line is due: with each halving of what is left, five more lines. */
static double next_share(double share)
{
    double half_distances = exp2(floor(log2(1 / (1 - share))) + 1);
    return share + 1 / (TICKS_PER_HALF_DISTANCE * half_distances);
}

static void put_line(struct weir_buffer *out, double ms, double share, uint64_t count)
{
    if (share < 1)
        buffer_format(out, "%12.6f %14.12f %10llu %14.2f\n", ms, share, (unsigned long long)count, 1 / (1 - share));
    else
        buffer_format(out, "%12.6f %14.12f %10llu\n", ms, 1.0, (unsigned long long)count);
}

void plot_hgrm(const struct histogram *histogram, struct weir_buffer *out)
{
    uint64_t total = 0, below = 0;
    double share = 0;
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        total += atomic_load_explicit(&histogram->buckets[i], memory_order_relaxed);
    buffer_format(out, "%12s %14s %10s %14s\n\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)");
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS && below < total; i++) {
        uint64_t here = atomic_load_explicit(&histogram->buckets[i], memory_order_relaxed);
        below += here;
        double most = (double)atomic_load_explicit(&histogram->most, memory_order_relaxed);
        double top = (double)histogram_bucket_most(i), ms = (top < most ? top : most) / 1e6;
        for (; here && below < total && (double)below >= share * (double)total; share = next_share(share))
            put_line(out, ms, share, below);
        if (below == total)
            put_line(out, most / 1e6, 1, total);
    }
    buffer_format(out, "#[Mean    = %12.6f, StdDeviation   = %12.6f]\n", histogram_mean(histogram) / 1e6,
                  histogram_deviation(histogram) / 1e6);
    buffer_format(out, "#[Max     = %12.6f, Total count    = %12llu]\n",
                  total ? (double)atomic_load_explicit(&histogram->most, memory_order_relaxed) / 1e6 : 0.0,
                  (unsigned long long)total);
    buffer_format(out, "#[Buckets = %12d, SubBuckets     = %12d]\n", 63 - HISTOGRAM_SUB_BITS, 1 << HISTOGRAM_SUB_BITS);
}
