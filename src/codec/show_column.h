/* SPDX-License-Identifier: MIT */
/*
 * Private to codec/: numbers of a column → text, some rows at a time. What each row needs is done for all of them
 * before the next step, so that no row waits for the one before and no branch depends on a value. Texts lie in cells of
 * one size: who puts them into a line copies a whole cell, always, and goes on by the text's length.
 */
#ifndef CODEC_SHOW_COLUMN_H
#define CODEC_SHOW_COLUMN_H
#include <stdbool.h>
#include <stdint.h>

enum {
    CELL_SIZE = 32,   /* a time with nanoseconds and its quotes */
    CELL_ROWS = 64,   /* at most so many rows at a time: as many as there are bits that can say which */
    CELL_LONG = 0xff, /* as a length: the text does not fit */
};

struct cells {
    char texts[CELL_ROWS][CELL_SIZE];
    uint8_t lengths[CELL_ROWS];
};

/* One set of instructions' way to do it. */
struct show_kernels {
    const char *name;
    /* As codec_show_f64. Returns for which rows that is still to be done: bit i is row i. They are few: nulls and
     * infinities, numbers that need an exponent, powers of two among numbers of many digits. */
    uint64_t (*f64)(const double *values, uint32_t count, struct cells *cells);
    /* As encode_i64, all of them. */
    void (*i64)(const int64_t *values, uint32_t count, struct cells *cells);
};
extern const struct show_kernels show_plain, show_wide;
bool show_wide_works(void); /* on this processor; otherwise hands off */
/* The best that works. */
static inline const struct show_kernels *show_choose(void)
{
    return show_wide_works() ? &show_wide : &show_plain;
}

/* Where each of 16 bytes behind the first digit comes from when the point is before the digit of this number. */
#define SHOW_BEFORE(point, i) ((i) < (point) ? (i) : (i) == (point) ? 0x80 : (i)-1)
#define SHOW_SHUFFLE(point)                                                                                            \
    {                                                                                                                  \
        SHOW_BEFORE(point, 0), SHOW_BEFORE(point, 1), SHOW_BEFORE(point, 2), SHOW_BEFORE(point, 3),                    \
            SHOW_BEFORE(point, 4), SHOW_BEFORE(point, 5), SHOW_BEFORE(point, 6), SHOW_BEFORE(point, 7),                \
            SHOW_BEFORE(point, 8), SHOW_BEFORE(point, 9), SHOW_BEFORE(point, 10), SHOW_BEFORE(point, 11),              \
            SHOW_BEFORE(point, 12), SHOW_BEFORE(point, 13), SHOW_BEFORE(point, 14), SHOW_BEFORE(point, 15)             \
    }

#endif
