/* SPDX-License-Identifier: MIT */
/*
 * Private to kernel_rolling_wide.c: quantiles of many records of one key at a time, whose window is full.
 *
 * The values that leave are known beforehand, and so are those that come: all are put in order once, by radix, and each
 * is a bit from then on, at its place in that order. A window is the set of its bits: a record clears one and sets
 * another, and a quantile moves by one bit at most, to the next one that is set. What is left to do for a record does
 * not grow with the window (the idea, with lists in place of bits: J. Suomela, "Median filtering is equivalent to
 * sorting", 2014).
 *
 * −0 counts as 0. What comes out is the same, to the bit, as one record after the other.
 */
#ifndef DATA_KERNEL_ROLLING_RANKS_H
#define DATA_KERNEL_ROLLING_RANKS_H
#include <stdint.h>

enum { RANKS_WINDOW_MOST = 2048, RANKS_ROWS_MOST = 4096 };

struct ranks_rows {
    const double *ring; /* the window: `window` finite values, the oldest in slot `oldest` */
    uint32_t window, oldest;
    const double *values;      /* finite, by physical row */
    const uint32_t *selection; /* NULL: row i is begin + i */
    uint32_t begin, count;     /* at most RANKS_ROWS_MOST */
    uint32_t quantile_count;
    const double *quantiles; /* 0 … 1 */
    void *const *columns;    /* one for each, by physical row */
    double *sorted;          /* out: the values of the last window in order */
};

/* Some 160 KiB of stack. */
void rolling_ranks_process(const struct ranks_rows *rows);
#endif
