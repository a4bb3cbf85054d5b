/* SPDX-License-Identifier: MIT */
#include "data/kernel_normalize.h"

#include <math.h>

/* Scaled deviations outside of this range are brought back into it before they are squared. */
#define DEVIATION_MOST 0x1p400
#define DEVIATION_LEAST 0x1p-400

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

/* A power of two that brings `deviation` near 1, for a state whose squares can be rescaled without loss. */
static void rescale(struct normalize_running *state, double deviation)
{
    int exponent = -ilogb(deviation);
    double scale = ldexp(1, exponent > 1000 ? 1000 : exponent < -1000 ? -1000 : exponent);
    double factor = scale / state->scale;
    state->squares = state->squares * factor * factor;
    state->squares_low = state->squares_low * factor * factor;
    state->scale = scale;
}

double normalize_running_value(struct normalize_running *state, double value, uint32_t ddof)
{
    if (!isfinite(value))
        return NAN;
    if (state->count++ == 0) {
        state->mean = value;
        state->scale = 1;
        return NAN;
    }
    double before = (value - state->mean) - state->mean_low;
    add(&state->mean, &state->mean_low, before / (double)state->count);
    double after = (value - state->mean) - state->mean_low;

    double size = fabs(before * state->scale);
    if (__builtin_expect(!(size <= DEVIATION_MOST), 0) && isfinite(before))
        rescale(state, before);
    else if (__builtin_expect(size < DEVIATION_LEAST && before != 0 && state->squares < DEVIATION_LEAST, 0))
        rescale(state, before);
    add(&state->squares, &state->squares_low, (before * state->scale) * (after * state->scale));

    double squares = state->squares + state->squares_low;
    if (state->count <= ddof || !(squares > 0))
        return NAN;
    return after * state->scale / sqrt(squares / (double)(state->count - ddof));
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
