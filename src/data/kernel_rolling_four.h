/* SPDX-License-Identifier: MIT */
/*
 * Private to kernel_rolling_moments.c: four rows of four different keys at once, a vector lane each, or twice four.
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
typedef int64_t rolling_mask_loose __attribute__((vector_size(32), aligned(8), may_alias));
typedef int32_t rolling_words __attribute__((vector_size(16)));
typedef int32_t rolling_words_loose __attribute__((vector_size(16), aligned(8), may_alias));

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

_Static_assert(offsetof(struct rolling_compact, sum) == 0 && offsetof(struct rolling_compact, sum_low) == 8 &&
                   offsetof(struct rolling_compact, squares) == 16 && offsetof(struct rolling_compact, peak) == 24 &&
                   offsetof(struct rolling_compact, anchor) == 32 && offsetof(struct rolling_compact, rest) == 40,
               "a compact one too");
_Static_assert(offsetof(struct rolling_head, sum) == 0 && offsetof(struct rolling_head, sum_low) == 8 &&
                   offsetof(struct rolling_head, squares) == 16 && offsetof(struct rolling_head, peak) == 24 &&
                   offsetof(struct rolling_head, anchor) == 32 && offsetof(struct rolling_head, scale) == 40 &&
                   offsetof(struct rolling_head, next) == 48 && offsetof(struct rolling_head, finite) == 52 &&
                   offsetof(struct rolling_head, since) == 56 && sizeof(struct rolling_head) == 64,
               "the head is read in pieces");

/* No two of the eight (four) keys are the same. */
static inline __attribute__((always_inline)) bool rolling_differ(void *const *states, const int fours)
{
    rolling_mask a = *(const rolling_mask_loose *)states;
    rolling_mask same = (a == __builtin_shufflevector(a, a, 1, 2, 3, 0)) |
                        (a == __builtin_shufflevector(a, a, 2, 3, 0, 1));
    if (fours == 2) {
        rolling_mask b = *(const rolling_mask_loose *)(states + 4), turned = __builtin_shufflevector(b, b, 1, 2, 3, 0);
        same |= (b == turned) | (a == b) | (a == turned);
        turned = __builtin_shufflevector(b, b, 2, 3, 0, 1);
        same |= (b == turned) | (a == turned) | (a == __builtin_shufflevector(b, b, 3, 0, 1, 2));
    }
    return (same[0] | same[1] | same[2] | same[3]) == 0;
}

/* A step in the rings of four keys. Lanes: next, finite, since, flags of a head. True when the windows are full of
 * finite numbers and no refresh is due. */
static inline __attribute__((always_inline)) bool rolling_step_four(char *const *heads, rolling_words limits,
                                                                    rolling_words *places)
{
    rolling_words all = {-1, -1, -1, -1}, any = {0, 0, 0, 0};
    for (int k = 0; k < 4; k++) {
        rolling_words place = *(const rolling_words_loose *)(heads[k] + offsetof(struct rolling_head, next));
        place += (rolling_words){1, 0, 1, 0};
        rolling_words reached = place == limits;
        all &= reached;
        any |= reached;
        places[k] = place & ~(reached & (rolling_words){-1, 0, 0, 0});
    }
    return (all[1] & ~any[2]) != 0;
}

/* The same of compact heads: a lane is what one has in its last eight bytes. */
static inline __attribute__((always_inline)) bool rolling_step_compact(rolling_mask *rest, uint32_t window,
                                                                       uint32_t refresh_records)
{
    const rolling_mask none = {0, 0, 0, 0}, size = none + (int64_t)window, due = none + (int64_t)refresh_records;
    rolling_mask moved = *rest + (1 | INT64_C(1) << ROLLING_SINCE_AT);
    moved -= size & ((moved & 0xff) == size);
    const rolling_mask fine = ((moved >> ROLLING_FINITE_AT & 0xff) == size) &
                              ((moved >> ROLLING_SINCE_AT & 0xffff) != due);
    *rest = moved;
    return fine[0] & fine[1] & fine[2] & fine[3];
}

/*
 * Takes in values[0 … 4 · fours − 1] of as many keys and notes them from `at` on. False: nothing is changed; go on one
 * by one. The conditions are those of rolling_take's fast way, and that the keys differ. Two fours at once keep the
 * processor busy while it waits for results.
 */
static inline __attribute__((always_inline)) bool rolling_take_fours(const int fours, const bool compact,
                                                                     void *const *states, size_t offset,
                                                                     uint32_t window, uint32_t refresh_records,
                                                                     const double *values, struct rolling_notes *notes,
                                                                     uint32_t at)
{
    const rolling_words limits = {(int32_t)window, (int32_t)window, (int32_t)refresh_records, -1};
    const double count = window;
    char *heads[8];
    double *slots[8];
    rolling_words places[8];
    rolling_four sum[2], low[2], squares[2], peak[2], anchor[2], scale[2];
    rolling_mask rest[2];
    bool fine = rolling_differ(states, fours);
    for (int k = 0; k < 4 * fours; k++) {
        heads[k] = (char *)states[k] + offset;
        const uint32_t next = compact ? ((struct rolling_compact *)heads[k])->rest & 0xff
                                      : ((struct rolling_head *)heads[k])->next;
        slots[k] = (double *)(heads[k] + rolling_head_size(compact)) + next;
    }
    rolling_mask sound = {-1, -1, -1, -1};
    for (int g = 0; g < fours; g++) {
        ROLLING_SPLIT(heads + 4 * g, 0, sum[g], low[g]);
        ROLLING_SPLIT(heads + 4 * g, 16, squares[g], peak[g]);
        ROLLING_SPLIT(heads + 4 * g, 32, anchor[g], scale[g]);
        if (compact) {
            rest[g] = (rolling_mask)scale[g];
            scale[g] = (rolling_four)(rest[g] & (int64_t)ROLLING_SCALE_BITS);
            fine &= rolling_step_compact(&rest[g], window, refresh_records);
        } else {
            fine &= rolling_step_four(heads + 4 * g, limits, places + 4 * g);
        }
        double *const *slot = slots + 4 * g;
        rolling_four scaled = *(const rolling_four_loose *)(values + 4 * g) * scale[g];
        rolling_four scaled_old = (rolling_four){*slot[0], *slot[1], *slot[2], *slot[3]} * scale[g];
        rolling_four difference = scaled - scaled_old, back = difference - scaled;
        rolling_four error = (scaled - (difference - back)) - (scaled_old + back);
        rolling_four total = sum[g] + difference;
        back = total - sum[g];
        low[g] += ((sum[g] - (total - back)) + (difference - back)) + error;
        sum[g] = total;
        squares[g] += difference * ((scaled - anchor[g]) + (scaled_old - anchor[g]));
        rolling_mask higher = (rolling_mask)(squares[g] > peak[g]);
        peak[g] = (rolling_four)((higher & (rolling_mask)squares[g]) | (~higher & (rolling_mask)peak[g]));
        rolling_four both = total + low[g];
        sound &= (rolling_mask)(squares[g] * count - both * both >= peak[g] * count * ROLLING_SQUARES_LOSS) &
                 (rolling_mask)(peak[g] <= ROLLING_SQUARES_MOST);
    }
    if (__builtin_expect(!(fine & (sound[0] & sound[1] & sound[2] & sound[3])), 0))
        return false;

    for (int g = 0; g < fours; g++) {
        ROLLING_JOIN(heads + 4 * g, 0, sum[g], low[g]);
        ROLLING_JOIN(heads + 4 * g, 16, squares[g], peak[g]);
        if (compact)
            ROLLING_JOIN(heads + 4 * g, 32, anchor[g], (rolling_four)rest[g]);
        *(rolling_four_loose *)&notes->sum[at + 4 * g] = sum[g];
        *(rolling_four_loose *)&notes->sum_low[at + 4 * g] = low[g];
        *(rolling_four_loose *)&notes->squares[at + 4 * g] = squares[g];
        *(rolling_four_loose *)&notes->anchor[at + 4 * g] = anchor[g];
        *(rolling_four_loose *)&notes->unscale[at + 4 * g] = (rolling_four)((INT64_C(2046) << 52) -
                                                                            (rolling_mask)scale[g]);
    }
    for (int k = 0; k < 4 * fours; k++) {
        if (!compact)
            *(rolling_words_loose *)(heads[k] + offsetof(struct rolling_head, next)) = places[k];
        *slots[k] = values[k];
    }
    return true;
}
#pragma GCC diagnostic pop
#endif
