/* SPDX-License-Identifier: MIT */
/*
 * The robust z-score over a rolling window: (x − median) / (1.4826 · MAD), MAD being the median of |xᵢ − median| over
 * the window, exactly. 1.4826 makes MAD the standard deviation where values are normally distributed (Hampel, "The
 * influence curve and its role in robust estimation", 1974; the constant as R's mad has it).
 *
 *     state of one key:  | head | values: ring | times: ring | values in order |
 *
 * The values are kept in order beside the ring: one that comes takes the place of the one that goes, and what lies
 * between the two moves by one place. MAD needs no second order: the distances to the median are two sequences in
 * order, one to the left of it, one to the right, and their middle is found by halving. So a record takes O(log n)
 * comparisons, and a move of n / 3 values on average, which costs about as much again at a window of 1000.
 *
 * NaN is null: such a record takes its place in the window and does not count. An infinite value is one like others: it
 * lies at an end. The result is null while MAD is 0, and when the median or MAD is infinite or unknown.
 *
 * A window of time holds what is later than newest − span; a key's time does not go back; more than `records` records
 * do not fit: the oldest leaves early, and is counted. As in kernel_rolling_wide.h. A function of the key's own records
 * in their order alone.
 */
#ifndef DATA_KERNEL_ROBUST_H
#define DATA_KERNEL_ROBUST_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ROBUST_SCALE 1.4826
enum { ROBUST_RECORDS_MOST = 1 << 16 };

struct robust_options {
    uint32_t records; /* of the window, or at most in a window of time; 1 … ROBUST_RECORDS_MOST */
    int64_t span;     /* ns; 0: a window of records */
    bool lag;         /* against the window before the record */
};

struct robust_rows {
    void *const *states;       /* of selected row i; the same pointer for the same key; begin as zeroes */
    const uint32_t *selection; /* NULL: row i is i */
    uint32_t count;
    const double *values;
    const int64_t *times; /* INT64_MIN: null; NULL where span is 0 */
    double *out;
    uint64_t early; /* added to: records that left a window of time early */
};

size_t robust_state_size(const struct robust_options *options);

void robust_process(const struct robust_options *options, struct robust_rows *rows);
#endif
