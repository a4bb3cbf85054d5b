/* SPDX-License-Identifier: MIT */
/* Private to kernel_rolling*.c: asks for the memory of keys some rows ahead. It matters when there are a million of
 * them. */
#ifndef DATA_KERNEL_ROLLING_FETCH_H
#define DATA_KERNEL_ROLLING_FETCH_H
#include "data/kernel_rolling.h"
#include "data/kernel_rolling_sums.h"

/* First the head is asked for, then, when that has come, the place in the ring that it names. A state of few cache
 * lines is asked for as a whole: to wait for its head would take longer than to bring a line in vain. */
enum { ROLLING_FETCH_HEAD = 32, ROLLING_FETCH_RING = 16, ROLLING_FETCH_LINE = 64, ROLLING_FETCH_WHOLE = 192 };
/* Keys whose states lie within so many bytes are near anyway, and asking for them is what would take time. */
enum { ROLLING_NEAR = 512 << 10, ROLLING_FETCH_SAMPLES = 16 };

/* Whether the key changes from row to row: a guess from a few. */
static inline bool rolling_scattered(const struct rolling_rows *rows)
{
    return rows->count > 2 && (rows->states[0] != rows->states[rows->count / 2] || rows->states[0] != rows->states[1]);
}

/* Whether it pays to ask for keys ahead: another guess. */
static inline bool rolling_far(const struct rolling_rows *rows)
{
    const uint32_t step = rows->count / ROLLING_FETCH_SAMPLES + 1;
    uintptr_t least = UINTPTR_MAX, most = 0;
    for (uint32_t i = 0; i < rows->count; i += step) {
        uintptr_t state = (uintptr_t)rows->states[i];
        least = state < least ? state : least;
        most = state > most ? state : most;
    }
    return most - least > ROLLING_NEAR;
}

/* These are inlined whatever happens: gcc 12 takes a function that only asks ahead for one without effect, and leaves
 * calls of it out.
 *
 * Of a row at least ROLLING_FETCH_HEAD before the last. */
static inline __attribute__((always_inline)) void rolling_prefetch_both(const struct rolling_kernel *kernel,
                                                                        void *const *states)
{
    char *ahead = (char *)states[ROLLING_FETCH_HEAD] + kernel->state_offset;
    __builtin_prefetch(ahead, 1);
    if (kernel->state_size <= ROLLING_FETCH_WHOLE) {
        __builtin_prefetch(ahead + ROLLING_FETCH_LINE, 1);
        if (kernel->state_size > 2 * ROLLING_FETCH_LINE)
            __builtin_prefetch(ahead + 2 * ROLLING_FETCH_LINE, 1);
        return;
    }
    char *near = (char *)states[ROLLING_FETCH_RING] + kernel->state_offset;
    const size_t size = rolling_head_size(kernel->compact);
    const uint32_t next = kernel->compact ? ((struct rolling_compact *)(void *)near)->rest & 0xff
                                          : ((struct rolling_head *)(void *)near)->next;
    if (kernel->compact) /* it may lie across two cache lines */
        __builtin_prefetch(ahead + size - 1, 1);
    __builtin_prefetch(near + size + next * sizeof(double), 1);
}

/* Of the next eight rows, as long as that is so. left: rows that there are yet, 0: none is to be asked for. */
static inline __attribute__((always_inline)) void rolling_prefetch_eight(const struct rolling_kernel *kernel,
                                                                         void *const *states, uint32_t left)
{
    for (uint32_t k = 0; k < 8 && left >= 8 + ROLLING_FETCH_HEAD; k++)
        rolling_prefetch_both(kernel, states + k);
}

static inline __attribute__((always_inline)) void rolling_prefetch(const struct rolling_kernel *kernel,
                                                                   const struct rolling_rows *rows, uint32_t i)
{
    if (i + ROLLING_FETCH_HEAD < rows->count)
        rolling_prefetch_both(kernel, rows->states + i);
}
#endif
