/* SPDX-License-Identifier: MIT */
#include "measure/plot_axis.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "measure/text.h"

#define LOG_DECADES_MOST 15
#define APART 0.7 /* of the distance between as many ticks as are wanted: room for a name of its own */

uint32_t plot_series_count(const struct plot *plot)
{
    return plot->series_count < PLOT_SERIES_MAX ? plot->series_count : PLOT_SERIES_MAX;
}

uint32_t plot_point_count(const struct plot_series *series)
{
    return series->count < PLOT_POINTS_MAX ? series->count : PLOT_POINTS_MAX;
}

uint32_t plot_mark_count(const struct plot *plot)
{
    return plot->mark_count < PLOT_MARKS_MAX ? plot->mark_count : PLOT_MARKS_MAX;
}

/* On the axis' own scale, where equal distances look equal. */
static double scaled(enum plot_scale scale, double value)
{
    switch (scale) {
    case PLOT_LINEAR:
        break;
    case PLOT_LOG:
        return value > 0 ? log10(value) : NAN;
    case PLOT_PERCENTILE:
        return value >= 0 && value < 1 ? -log10(1 - value) : NAN;
    }
    return isfinite(value) ? value : NAN;
}

double plot_place(const struct plot_ruler *ruler, double value)
{
    return (scaled(ruler->scale, value) - ruler->least) / (ruler->most - ruler->least);
}

/* ---- Limits ----------------------------------------------------------------------------------------------------- */

struct range {
    double least, most; /* scaled; NaN: none yet */
};

static void widen(struct range *range, double value)
{
    if (isfinite(value)) {
        range->least = isnan(range->least) || value < range->least ? value : range->least;
        range->most = isnan(range->most) || value > range->most ? value : range->most;
    }
}

/* Only points that can be shown on both axes count. */
static struct range range_of(const struct plot *plot, bool x)
{
    struct range range = {NAN, NAN};
    for (uint32_t i = 0; i < plot_series_count(plot); i++) {
        const struct plot_series *series = &plot->series[i];
        for (uint32_t j = 0; j < plot_point_count(series); j++) {
            double across = scaled(plot->x.scale, series->x[j]), up = scaled(plot->y.scale, series->y[j]);
            if (isfinite(across) && isfinite(up))
                widen(&range, x ? across : up);
        }
    }
    for (uint32_t i = 0; x && i < plot_mark_count(plot) && !isnan(range.least); i++)
        widen(&range, scaled(plot->x.scale, plot->marks[i].x));
    return range;
}

static bool find_limits(const struct plot *plot, bool x, struct plot_ruler *ruler)
{
    const struct plot_axis *axis = x ? &plot->x : &plot->y;
    struct range range = range_of(plot, x);
    if (isnan(range.least))
        return false;
    if (axis->most > axis->least) {
        range = (struct range){scaled(axis->scale, axis->least), scaled(axis->scale, axis->most)};
        if (!isfinite(range.least) || !isfinite(range.most))
            return false;
    } else if (axis->scale == PLOT_LINEAR) {
        range.least = range.least < 0 ? range.least : 0;
        if (!x && range.most > 0)
            range.most *= 1.05; /* the line does not touch the frame */
    } else if (axis->scale == PLOT_LOG && !x) {
        range.least = floor(range.least * 3 + 1e-9) / 3;
        range.most = ceil(range.most * 3 - 1e-9) / 3;
    }
    if (axis->scale == PLOT_LOG && range.most - range.least > LOG_DECADES_MOST)
        range.least = range.most - LOG_DECADES_MOST;
    if (!(range.most > range.least)) {
        double room = axis->scale == PLOT_LINEAR ? fabs(range.most) * 0.5 : 0.5;
        range.most += room > 0 ? room : 1;
        range.least -= axis->scale == PLOT_LOG ? 0.5 : 0;
    }
    ruler->scale = axis->scale;
    ruler->least = range.least;
    ruler->most = range.most;
    return true;
}

/* ---- Units and numbers ------------------------------------------------------------------------------------------ */

static void choose_unit(const struct plot_axis *axis, struct plot_ruler *ruler)
{
    static const struct {
        double divisor;
        const char *prefix;
    } times[] = {{1, ""}, {1e-3, "m"}, {1e-6, "µ"}, {1e-9, "n"}};
    ruler->divisor = 1;
    ruler->prefix = "";
    if (axis->unit && strcmp(axis->unit, "s") == 0 && axis->scale != PLOT_PERCENTILE) {
        double most = axis->scale == PLOT_LOG ? pow(10, (ruler->least + ruler->most) / 2) : ruler->most;
        size_t i = 0;
        while (i < 3 && most < times[i].divisor)
            i++;
        ruler->divisor = times[i].divisor;
        ruler->prefix = times[i].prefix;
    }
    const char *label = axis->label ? axis->label : "";
    if (axis->unit)
        snprintf(ruler->label, sizeof ruler->label, "%.60s%s(%s%.20s)", label, *label ? " " : "", ruler->prefix,
                 axis->unit);
    else
        snprintf(ruler->label, sizeof ruler->label, "%.90s", label);
}

/* "2.5", "150", "20k", "3M", "1e-05". */
static void show_number(double value, char *out, size_t size)
{
    double size_of = fabs(value);
    if (size_of >= 1e15 || (size_of > 0 && size_of < 1e-4))
        snprintf(out, size, "%.3g", value);
    else if (size_of >= 9999.5e6)
        snprintf(out, size, "%.6gG", value / 1e9);
    else if (size_of >= 9999.5e3)
        snprintf(out, size, "%.6gM", value / 1e6);
    else if (size_of >= 9999.5)
        snprintf(out, size, "%.6gk", value / 1e3);
    else
        snprintf(out, size, "%.6g", value);
}

/* ---- Ticks ------------------------------------------------------------------------------------------------------ */

static struct plot_tick *add_tick(struct plot_ruler *ruler, double on_scale)
{
    double at = (on_scale - ruler->least) / (ruler->most - ruler->least);
    if (at < -1e-9 || at > 1 + 1e-9 || ruler->tick_count == PLOT_TICKS_MAX)
        return NULL;
    struct plot_tick *tick = &ruler->ticks[ruler->tick_count++];
    tick->at = at < 0 ? 0 : at > 1 ? 1 : at;
    return tick;
}

/* Steps of 1, 2 or 5 times a power of ten. */
static void place_linear(struct plot_ruler *ruler, uint32_t wanted)
{
    double span = (ruler->most - ruler->least) / ruler->divisor, rough = span / wanted;
    double power = pow(10, floor(log10(rough))), step = power;
    for (int i = 0; i < 3 && step < rough * 0.999; i++)
        step = power * (i == 0 ? 2 : i == 1 ? 5 : 10);
    double first = ceil(ruler->least / ruler->divisor / step - 1e-9);
    for (int i = 0; i < PLOT_TICKS_MAX; i++) {
        double value = (first + i) * step;
        struct plot_tick *tick = add_tick(ruler, value * ruler->divisor);
        if (!tick)
            return;
        show_number(fabs(value) < step * 1e-6 ? 0 : value, tick->text, sizeof tick->text);
    }
}

/* Powers of ten, with 2 and 5 between them where there is room, or only some of them where there is not. */
static void place_log(struct plot_ruler *ruler, uint32_t wanted)
{
    static const double factors[] = {1, 2, 5};
    double decades = ruler->most - ruler->least, shift = log10(ruler->divisor);
    int every = (int)ceil(decades / wanted), factor_count = decades * 3 <= wanted ? 3 : 1;
    int first = (int)floor(ruler->least - shift);
    every = every > 0 ? every : 1;
    for (int decade = first; decade <= first + LOG_DECADES_MOST + 1; decade++) {
        for (int i = 0; i < factor_count && decade % every == 0; i++) {
            struct plot_tick *tick = add_tick(ruler, decade + log10(factors[i]) + shift);
            if (tick)
                show_number(factors[i] * pow(10, decade), tick->text, sizeof tick->text);
        }
    }
}

/* The last and the first, then those between that are far enough from their neighbours. */
static void place_given(const struct plot_axis *axis, uint32_t wanted, struct plot_ruler *ruler)
{
    double apart = APART / wanted * (ruler->most - ruler->least), before = -INFINITY;
    uint32_t count = axis->tick_count;
    double last = scaled(axis->scale, axis->ticks[count - 1]);
    for (uint32_t i = 0; i < count; i++) {
        double at = scaled(axis->scale, axis->ticks[i]);
        if (!isfinite(at) || at - before < apart || (i + 1 < count && last - at < apart))
            continue;
        struct plot_tick *tick = add_tick(ruler, at);
        if (tick)
            show_number(axis->ticks[i] / ruler->divisor, tick->text, sizeof tick->text);
        before = at;
    }
}

static void place_percentiles(struct plot_ruler *ruler)
{
    for (int nines = 0; nines < PLOT_TICKS_MAX; nines++) {
        struct plot_tick *tick = add_tick(ruler, nines);
        if (tick)
            snprintf(tick->text, sizeof tick->text, "%.*f%%", nines > 2 ? nines - 2 : 0,
                     nines ? 100 - pow(10, 2 - nines) : 0);
    }
}

static bool measure(const struct plot *plot, bool x, uint32_t wanted, struct plot_ruler *ret)
{
    *ret = (struct plot_ruler){0};
    if (!find_limits(plot, x, ret))
        return false;
    const struct plot_axis *axis = x ? &plot->x : &plot->y;
    choose_unit(axis, ret);
    if (axis->tick_count > 0)
        place_given(axis, wanted, ret);
    else if (ret->scale == PLOT_LINEAR)
        place_linear(ret, wanted);
    else if (ret->scale == PLOT_LOG)
        place_log(ret, wanted);
    else
        place_percentiles(ret);
    return true;
}

bool plot_ruler_x(const struct plot *plot, uint32_t wanted, struct plot_ruler *ret)
{
    return measure(plot, true, wanted, ret);
}

bool plot_ruler_y(const struct plot *plot, uint32_t wanted, struct plot_ruler *ret)
{
    return measure(plot, false, wanted, ret);
}
