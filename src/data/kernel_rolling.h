/* SPDX-License-Identifier: MIT */
/*
 * Rolling statistics of one column, one state for each key. No engine, no allocation, no clock: values in, values out.
 *
 *     state of one key:  | head: 64 bytes | ring: window × 8 bytes | suffixes (min, max of long windows) | tail |
 *
 * Of a short window of which only sums are asked for, the head takes 48 bytes, so that a window of 10 fills two cache
 * lines: with a million keys it is their number that counts.
 *
 * Sums are kept of (value − anchor), where the anchor is a value of the window, so that a large offset costs no digits:
 *
 *     sum = Σ(x − a), compensated            mean = a + sum / n
 *     squares = Σ(x − a)²                    variance = (squares − sum² / n) / (n − ddof)
 *
 * A record adds one value and removes one: O(1). What subtraction does lose is noticed and repaired from the ring, with
 * a new anchor ("refresh"): each time the ring has come round often enough (no drift on endless streams), when the
 * squares fall far below their peak (a value that dominated has left), and when the mean falls far below the anchor.
 * Each kind is paid for by the records before it, so the time for a record does not grow with the window. Values are
 * held multiplied by a power of two near 1 / spread: squares of 1e200 or of 1e-310 neither overflow nor vanish.
 *
 * Everything is a function of the key's own records, in their order: where batches begin, how keys
 * interleave and how many lanes there are makes no difference to any bit.
 *
 * NaN is null: the record takes its place in the window and does not count. ±inf is a value: while it is in the window
 * the sum and mean are infinite (null with both signs), var and stddev are null; when it has left nothing is left of
 * it.
 */
#ifndef DATA_KERNEL_ROLLING_H
#define DATA_KERNEL_ROLLING_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum rolling_statistic {
    ROLLING_COUNT, /* values that are not null; int64_t */
    ROLLING_SUM,   /* the others: double; NaN is null */
    ROLLING_MEAN,
    ROLLING_VAR,
    ROLLING_STDDEV,
    ROLLING_MIN,
    ROLLING_MAX,
    ROLLING_FIRST, /* the oldest value in the window that is not null */
    ROLLING_LAST,  /* the newest */
    ROLLING_DELTA, /* last − first */
    ROLLING_STATISTICS
};
extern const char *const rolling_statistic_names[]; /* in this order; NULL-terminated */

enum { ROLLING_WINDOW_MOST = 1 << 28 };

struct rolling_options {
    uint32_t window;     /* records; 1 … ROLLING_WINDOW_MOST */
    uint32_t statistics; /* set of 1 << ROLLING_… */
    uint32_t ddof;       /* the divisor of var is count − ddof; null when that is not positive */
    uint32_t step;       /* a full window moves so many records at a time; 0 or 1: with each */
    bool lag;            /* statistics before the record; all null for the first */
    bool recompute;      /* walk over the window for each record: slow, simple; the oracle */
};

/* What a column without keys has beside its state: begins as zeroes too. It makes the sums several times faster and may
 * change the last bit of them, so a key has one from its first record on or never. */
enum { ROLLING_BLOCK = 8 };
struct rolling_column { /* private */
    uint32_t pending;   /* values of a block that is not full yet */
    uint32_t wait;      /* records that are still to be taken in one by one */
    bool filling;       /* that is until the window is full of finite numbers */
    bool blocks;        /* peaks[] is what counts, not the peak of the state */
    double values[ROLLING_BLOCK], peaks[ROLLING_BLOCK];
};

/* `values` and the columns are indexed by physical row; only selected rows are read and written. */
struct rolling_rows {
    void *const *states;       /* of selected row i; the same pointer for the same key */
    const uint32_t *selection; /* NULL: row i is i */
    uint32_t count;
    const double *values;
    void *columns[ROLLING_STATISTICS]; /* one for each statistic asked for */
    struct rolling_column *column;     /* all rows are of this one key; NULL: of any */
};

struct rolling_work;

struct rolling_kernel {
    struct rolling_options options;
    size_t state_size; /* bytes for each key, a multiple of 8; begins as zeroes */
    /* Private: */
    size_t state_offset;                 /* of this field's part within a key's state */
    size_t suffix_min, suffix_max, tail; /* 0: none */
    uint32_t refresh_records;
    bool compact; /* heads are of 48 bytes */
    void (*process)(const struct rolling_kernel *kernel, const struct rolling_rows *rows);
    bool (*column_work)(struct rolling_work *work, uint32_t whole, uint32_t padded, uint32_t asked); /* or NULL */
};

/* -EINVAL when the options make no sense. state_offset: where in a key's state this kernel's begins (multiple of 8). */
int rolling_kernel_init(struct rolling_kernel *kernel, const struct rolling_options *options, size_t state_offset);

/* Takes in the rows in order and writes the statistics after each (before each: lag). */
void rolling_kernel_process(const struct rolling_kernel *kernel, const struct rolling_rows *rows);
#endif
