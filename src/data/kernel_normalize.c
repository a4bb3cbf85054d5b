/* SPDX-License-Identifier: MIT */
#include "data/kernel_normalize.h"

#include <math.h>

/* Scaled deviations above this are brought down before they are squared. */
#define DEVIATION_MOST 0x1p400

/* Keeps scale and 1 / scale ordinary numbers. */
enum { EXPONENT_MOST = 1000 };

enum { PREFETCH = 12 };

void normalize_given(const double *values, uint32_t rows, double offset, double divisor, double *out)
{
    if (divisor == 0)
        divisor = NAN;
    for (uint32_t i = 0; i < rows; i++)
        out[i] = (values[i] - offset) / divisor; /* not × 1/divisor: that rounds twice */
}

/* Adds to a sum that is held in two doubles, by which almost nothing is lost. */
static void add(double *high, double *low, double value)
{
    double total = *high + value, back = total - *high;
    *low += (*high - (total - back)) + (value - back);
    *high = total;
}

/* A power of two that brings `value` near 1. For 0 the largest: nothing that may come then vanishes when squared. */
static double scale_for(double value)
{
    int exponent = value == 0 ? EXPONENT_MOST : -ilogb(value);
    return ldexp(1, exponent > EXPONENT_MOST ? EXPONENT_MOST : exponent < -EXPONENT_MOST ? -EXPONENT_MOST : exponent);
}

static void rescale(struct normalize_running *state, double value)
{
    double scale = scale_for(value), factor = scale / state->scale;
    state->mean *= factor;
    state->mean_low *= factor;
    state->squares = state->squares * factor * factor;
    state->squares_low = state->squares_low * factor * factor;
    state->scale = scale;
}

double normalize_running_value(struct normalize_running *state, double value, uint32_t ddof)
{
    if (!isfinite(value))
        return NAN;
    if (state->count++ == 0) {
        state->scale = scale_for(value);
        state->mean = value * state->scale;
        return NAN;
    }
    double before = (value * state->scale - state->mean) - state->mean_low;
    if (__builtin_expect(!(fabs(before) <= DEVIATION_MOST), 0)) {
        rescale(state, value);
        before = (value * state->scale - state->mean) - state->mean_low;
    }
    add(&state->mean, &state->mean_low, before / (double)state->count);
    double after = (value * state->scale - state->mean) - state->mean_low;
    add(&state->squares, &state->squares_low, before * after);

    double squares = state->squares + state->squares_low;
    if (state->count <= ddof || !(squares > 0))
        return NAN;
    return after / sqrt(squares / (double)(state->count - ddof));
}

void normalize_running_rows(void *const *states, const uint32_t *selection, uint32_t count, const double *values,
                            uint32_t ddof, double *out)
{
    for (uint32_t i = 0; i < count; i++) {
        if (i + PREFETCH < count)
            __builtin_prefetch(states[i + PREFETCH], 1);
        uint32_t row = selection ? selection[i] : i;
        out[row] = normalize_running_value(states[i], values[row], ddof);
    }
}
