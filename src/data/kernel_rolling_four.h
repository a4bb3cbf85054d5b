/* SPDX-License-Identifier: MIT */
/*
 * Private to kernel_rolling_moments.c: four rows of four different keys at once, a vector lane each.
 *
 * Exactly the operations of rolling_take, in the same order, so the bits are the same. The heads are read and written
 * in halves of 16 bytes, which two shuffles turn into one vector for each field. Inlined into functions for this or
 * that instruction set.
 */
#ifndef DATA_KERNEL_ROLLING_FOUR_H
#define DATA_KERNEL_ROLLING_FOUR_H
#include "data/kernel_rolling_sums.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpsabi" /* no vector crosses a call: all is inlined */

enum { ROLLING_CHUNK = 128 };

/* The sums after each row. */
struct rolling_notes {
    double sum[ROLLING_CHUNK], sum_low[ROLLING_CHUNK], squares[ROLLING_CHUNK];
    double anchor[ROLLING_CHUNK], unscale[ROLLING_CHUNK], count[ROLLING_CHUNK];
    bool full; /* count is the whole window everywhere, and count[] is not set */
} __attribute__((aligned(64)));

typedef double rolling_two __attribute__((vector_size(16), aligned(8), may_alias));
typedef double rolling_four __attribute__((vector_size(32)));
typedef double rolling_four_loose __attribute__((vector_size(32), aligned(8), may_alias));
typedef int64_t rolling_mask __attribute__((vector_size(32)));

/* Fields next … odd of a head as two words. */
struct rolling_place {
    uint64_t next_finite, laps_flags;
};

/* One 16-byte piece of each head → a vector of its first numbers, and one of its second. */
#define ROLLING_SPLIT(heads, piece, first, second)                                                                     \
    do {                                                                                                               \
        rolling_two a_ = *(const rolling_two *)((heads)[0] + (piece)),                                                 \
                    b_ = *(const rolling_two *)((heads)[1] + (piece));                                                 \
        rolling_two c_ = *(const rolling_two *)((heads)[2] + (piece)),                                                 \
                    d_ = *(const rolling_two *)((heads)[3] + (piece));                                                 \
        rolling_four even_ = __builtin_shufflevector(a_, c_, 0, 1, 2, 3);                                              \
        rolling_four odd_ = __builtin_shufflevector(b_, d_, 0, 1, 2, 3);                                               \
        first = __builtin_shufflevector(even_, odd_, 0, 4, 2, 6);                                                      \
        second = __builtin_shufflevector(even_, odd_, 1, 5, 3, 7);                                                     \
    } while (0)
/* And back. */
#define ROLLING_JOIN(heads, piece, first, second)                                                                      \
    do {                                                                                                               \
        rolling_four even_ = __builtin_shufflevector(first, second, 0, 4, 2, 6);                                       \
        rolling_four odd_ = __builtin_shufflevector(first, second, 1, 5, 3, 7);                                        \
        *(rolling_two *)((heads)[0] + (piece)) = __builtin_shufflevector(even_, even_, 0, 1);                          \
        *(rolling_two *)((heads)[1] + (piece)) = __builtin_shufflevector(odd_, odd_, 0, 1);                            \
        *(rolling_two *)((heads)[2] + (piece)) = __builtin_shufflevector(even_, even_, 2, 3);                          \
        *(rolling_two *)((heads)[3] + (piece)) = __builtin_shufflevector(odd_, odd_, 2, 3);                            \
    } while (0)

_Static_assert(offsetof(struct rolling_head, sum) == 0 && offsetof(struct rolling_head, sum_low) == 8 &&
                   offsetof(struct rolling_head, squares) == 16 && offsetof(struct rolling_head, peak) == 24 &&
                   offsetof(struct rolling_head, anchor) == 32 && offsetof(struct rolling_head, scale) == 40 &&
                   offsetof(struct rolling_head, next) == 48 && offsetof(struct rolling_head, finite) == 52 &&
                   offsetof(struct rolling_head, laps) == 56 && sizeof(struct rolling_head) == 64,
               "the head is read in pieces");

/* Moves on in the ring: true when the window is full of finite numbers and stays so without a refresh. */
static inline __attribute__((always_inline)) bool rolling_place_step(const char *head, uint32_t window,
                                                                     uint32_t refresh_laps, struct rolling_place *place)
{
    memcpy(place, head + offsetof(struct rolling_head, next), sizeof(*place));
    uint32_t next = (uint32_t)place->next_finite + 1, laps = (uint32_t)place->laps_flags;
    bool round = next == window;
    bool fine = (place->next_finite >> 32 == window) & (laps + round < refresh_laps);
    place->next_finite = (uint64_t)window << 32 | (round ? 0 : next);
    place->laps_flags += round;
    return fine;
}

/* Takes in values[0 … 3] of four keys and notes them from `at` on. False: nothing is changed; go on one by one. The
 * conditions are those of rolling_take's fast way, and that the keys differ. */
static inline __attribute__((always_inline)) bool rolling_take_four(void *const *states, size_t offset, uint32_t window,
                                                                    uint32_t refresh_laps, const double *values,
                                                                    struct rolling_notes *notes, uint32_t at)
{
    char *heads[4] = {(char *)states[0] + offset, (char *)states[1] + offset, (char *)states[2] + offset,
                      (char *)states[3] + offset};
    bool fine = (heads[0] != heads[1]) & (heads[0] != heads[2]) & (heads[0] != heads[3]) & (heads[1] != heads[2]) &
                (heads[1] != heads[3]) & (heads[2] != heads[3]);
    struct rolling_place places[4];
    double *slots[4];
    for (int k = 0; k < 4; k++) {
        slots[k] = (double *)(heads[k] + sizeof(struct rolling_head)) + ((struct rolling_head *)heads[k])->next;
        fine &= rolling_place_step(heads[k], window, refresh_laps, &places[k]);
    }
    rolling_four sum, low, squares, peak, anchor, scale;
    ROLLING_SPLIT(heads, 0, sum, low);
    ROLLING_SPLIT(heads, 16, squares, peak);
    ROLLING_SPLIT(heads, 32, anchor, scale);

    rolling_four scaled = *(const rolling_four_loose *)values * scale;
    rolling_four scaled_old = (rolling_four){*slots[0], *slots[1], *slots[2], *slots[3]} * scale;
    rolling_four difference = scaled - scaled_old, back = difference - scaled;
    rolling_four error = (scaled - (difference - back)) - (scaled_old + back);
    rolling_four total = sum + difference;
    back = total - sum;
    low += ((sum - (total - back)) + (difference - back)) + error;
    squares += difference * ((scaled - anchor) + (scaled_old - anchor));
    rolling_mask higher = (rolling_mask)(squares > peak);
    peak = (rolling_four)((higher & (rolling_mask)squares) | (~higher & (rolling_mask)peak));

    const double count = window;
    rolling_four both = total + low;
    rolling_mask sound = (rolling_mask)(squares * count - both * both >= peak * count * ROLLING_SQUARES_LOSS) &
                         (rolling_mask)(peak <= ROLLING_SQUARES_MOST);
    fine &= (sound[0] & sound[1] & sound[2] & sound[3]) != 0;
    if (__builtin_expect(!fine, 0))
        return false;

    ROLLING_JOIN(heads, 0, total, low);
    ROLLING_JOIN(heads, 16, squares, peak);
    for (int k = 0; k < 4; k++) {
        memcpy(heads[k] + offsetof(struct rolling_head, next), &places[k], sizeof(places[k]));
        *slots[k] = values[k];
    }
    *(rolling_four_loose *)&notes->sum[at] = total;
    *(rolling_four_loose *)&notes->sum_low[at] = low;
    *(rolling_four_loose *)&notes->squares[at] = squares;
    *(rolling_four_loose *)&notes->anchor[at] = anchor;
    *(rolling_four_loose *)&notes->unscale[at] = (rolling_four)((INT64_C(2046) << 52) - (rolling_mask)scale);
    return true;
}
#pragma GCC diagnostic pop
#endif
