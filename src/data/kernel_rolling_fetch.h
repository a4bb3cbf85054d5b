/* SPDX-License-Identifier: MIT */
/* Private to kernel_rolling*.c: asks for the memory of keys some rows ahead. It matters when there are a million of
 * them. */
#ifndef DATA_KERNEL_ROLLING_FETCH_H
#define DATA_KERNEL_ROLLING_FETCH_H
#include "data/kernel_rolling.h"
#include "data/kernel_rolling_sums.h"

/* First the head is asked for, then, when that has come, the place in the ring that it names. */
enum { ROLLING_FETCH_HEAD = 16, ROLLING_FETCH_RING = 8 };

/* Whether it pays: a guess from a few rows. */
static inline bool rolling_scattered(const struct rolling_rows *rows)
{
    return rows->count > 2 && (rows->states[0] != rows->states[rows->count / 2] || rows->states[0] != rows->states[1]);
}

/* Of a row at least ROLLING_FETCH_HEAD before the last. */
static inline void rolling_prefetch_both(const struct rolling_kernel *kernel, void *const *states)
{
    __builtin_prefetch((char *)states[ROLLING_FETCH_HEAD] + kernel->state_offset, 1); /* it fills a cache line */
    struct rolling_head *head = (void *)((char *)states[ROLLING_FETCH_RING] + kernel->state_offset);
    __builtin_prefetch((double *)(head + 1) + head->next, 1);
}

static inline void rolling_prefetch(const struct rolling_kernel *kernel, const struct rolling_rows *rows, uint32_t i)
{
    if (i + ROLLING_FETCH_HEAD < rows->count)
        rolling_prefetch_both(kernel, rows->states + i);
}
#endif
