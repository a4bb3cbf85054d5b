/* SPDX-License-Identifier: MIT */
/*
 * The values of one field in one window, kept until it closes, for the statistics that need them all. Their memory
 * counts against the budget for state.
 */
#ifndef PARTS_WINDOW_VALUES_H
#define PARTS_WINDOW_VALUES_H
#include <weir/part.h>

struct window_values { /* begins as zeroes; may be copied, then one of the two is to be forgotten */
    double *values;    /* no nulls, no −0 */
    uint32_t count, capacity;
    uint32_t different; /* so many, the first, are in order and each other than the rest of them */
};

enum window_room { WINDOW_ROOM, WINDOW_ROOM_OVER_MOST, WINDOW_ROOM_NO_MEMORY };

/* Makes room for `more` values, `most` being all that there may be. Where only different ones count (`distinct`), equal
 * ones make room first. Unless there is room, nothing has changed that could be told from outside. */
enum window_room window_values_reserve(struct window_values *values, struct weir_env *env, uint64_t more, uint32_t most,
                                       bool distinct);
/* Whether the value is among those that are known to be different: then it need not be added. */
bool window_values_known(const struct window_values *values, double value);
/* There is room. Null is passed over. */
void window_values_add(struct window_values *values, double value);
/* Takes over what `from` has, which is empty then. There is room. */
void window_values_merge(struct window_values *values, struct weir_env *env, struct window_values *from);
void window_values_free(struct window_values *values, struct weir_env *env);
#endif
