/* SPDX-License-Identifier: MIT */
/*
 * The values of one key that windows which overlap have together: kept once, in slices of time that no window begins or
 * ends within, and put together when a window closes. In a slice they are in the order in which they came.
 *
 *     windows    |─────────────────|                 begins at each multiple of `every`
 *                     |─────────────────|
 *                          |─────────────────|
 *     slices     |────|────|────|──…                  one for each `every`; two where the windows' length is no
 * multiple
 */
#ifndef PARTS_WINDOW_SLICES_H
#define PARTS_WINDOW_SLICES_H
#include "parts/window_values.h"

struct window_slices { /* begins as zeroes */
    char *items;       /* by number, the earliest first */
    uint32_t count, capacity;
    uint64_t records; /* whose values are in them */
};

/* Room for a value more in slice `number` in those of `fields` fields whose value is not null. False: no memory, and
 * nothing has changed that could be told from outside. */
bool window_slices_reserve(struct window_slices *slices, struct weir_env *env, uint32_t fields, int64_t number,
                           const double *values);
/* There is room. */
void window_slices_add(struct window_slices *slices, uint32_t fields, int64_t number, const double *values);
/* The values of a field in slices [first, end), copied into `out` (NULL: counted). Returns how many. */
uint64_t window_slices_gather(const struct window_slices *slices, uint32_t fields, uint32_t field, int64_t first,
                              int64_t end, double *out);
/* Forgets the slices before `first`. */
void window_slices_drop(struct window_slices *slices, struct weir_env *env, uint32_t fields, int64_t first);
void window_slices_free(struct window_slices *slices, struct weir_env *env, uint32_t fields);
#endif
