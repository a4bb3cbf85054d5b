/* SPDX-License-Identifier: MIT */
/*
 * Bringing values to a common scale. NaN is null, in and out.
 *
 * Running: against the mean and standard deviation of all values of the key so far, this one included. These two are
 * kept by Welford's recurrence with mean and squares in two doubles each (a mean near 1e9 with noise of 1e-3 loses
 * nothing, 1e8 values do not drift) and values multiplied by a power of two (neither 1e200 nor 1e-310 overflows or
 * vanishes when squared). An infinite value is not learnt from, else one would spoil all that follow it; it is itself
 * null.
 */
#ifndef DATA_KERNEL_NORMALIZE_H
#define DATA_KERNEL_NORMALIZE_H
#include <stddef.h>
#include <stdint.h>

/* out[i] = (values[i] − offset) / divisor for all rows, also such that are not selected; null when divisor is 0. */
void normalize_given(const double *values, uint32_t rows, double offset, double divisor, double *out);

/* State of one key; begins as zeroes. */
struct normalize_running {
    uint64_t count;
    double mean, mean_low;       /* of x · scale */
    double squares, squares_low; /* Σ(x · scale − mean)² */
    double scale;                /* a power of two; 0: nothing seen yet */
};

/* One value: takes it in and returns (value − mean) / stddev; null while stddev is 0 or count <= ddof. */
double normalize_running_value(struct normalize_running *state, double value, uint32_t ddof);

/* The same for the selected rows (NULL: row i is i) of a batch; states[i] is that of selected row i. */
void normalize_running_rows(void *const *states, const uint32_t *selection, uint32_t count, const double *values,
                            uint32_t ddof, double *out);
#endif
