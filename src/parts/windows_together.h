/* SPDX-License-Identifier: MIT */
/* For parts/windows.c alone: values of windows that overlap, which they keep together, and what values come to. */
#ifndef PARTS_WINDOWS_TOGETHER_H
#define PARTS_WINDOWS_TOGETHER_H
#include "parts/windows.h"

/* The slice that a time lies in, which is in window `number` and not in the next. */
int64_t windows_slice(const struct windows *windows, int64_t number, int64_t time);
/* Forgets what no window of the key needs that begins at `start` or later; all, when none is open. */
void windows_drop_slices(const struct windows *windows, struct weir_env *env, struct window_state *state,
                         int64_t start);
/* Are there values already of the time of a pane that is being opened? */
bool windows_have_values(const struct windows *windows, const struct window_state *state,
                         const struct window_pane *pane);

/* Room to put together so many values of a window. False: no memory, as below. */
bool windows_reserve_scratch(struct windows *windows, struct weir_env *env, uint32_t count);
void windows_free_scratch(struct windows *windows, struct weir_env *env); /* no window is open */
/* Room for a record's values in a pane that has them together with others; one that is full takes its own. */
bool windows_room_together(struct windows *windows, struct weir_env *env, const struct window_state *state,
                           struct window_pane *pane, const struct windows_record *record);

/* What the values of a closing window come to: for each field how many are different, then the quantiles. They are used
 * up. */
void windows_work_out(const struct windows *windows, const struct window_state *state, const struct window_pane *pane,
                      double *results);
#endif
