/* SPDX-License-Identifier: MIT */
/*
 * Windows of event time and what is counted in them, for the keys of one lane.
 *
 *     state of one key (the engine's memory):   | head | values of the key | pane | pane | … |      most_open panes
 *                                                                            ▲
 *     heap of this lane, by end:   (end, state, slot, serial) ───────────────┘
 *
 *     where they do not suffice, instead of them:   head.more ──► | pane | pane | … |      capacity panes, asked for
 *
 *     pane: | bounds, count | cell of each field | trend of each field | values of each field |   what is asked for
 *
 *     closed: | pane, values of the key, quantiles | … |     on their way out, in the order that windows_sort makes
 *
 * A window is closed when event time (the watermark) has come to its end and `lateness` more. Which windows a record
 * still finds open is decided by the watermark that comes with the record, not by when windows_close was called: so the
 * result depends on the order of the records alone, and not on where batches begin. What a record finds closed is put
 * aside then and there, and its slot is free for the record's own window.
 *
 * Tumbling and hopping windows of a key that are open at a time begin within window + lateness + delay, one each
 * `every`; the slot of a window is its number modulo most_open. Sessions are as far apart as `gap`, in any slots.
 *
 * That is with one source. With several, event time is that of the slowest, and the windows of those that are ahead of
 * it stay open: then a key has more panes, as many as there is memory for. The slot of a window is then what its
 * number is hashed to, or one of the next `reach` where that is taken.
 *
 * Windows that overlap keep their values together (parts/window_slices.h); a pane only knows how many are its own. One
 * that is not to have all that the others have, as it is full, takes a copy and keeps its own from then on. Quantiles
 * are worked out when a window closes, and then its values are not kept any longer.
 *
 * Where values are kept there is a limit to those of a window. A record that there is no room for does not go into it;
 * one that would make one session of two whose values are too many together is in neither.
 *
 * One thread. Pointers to states must stay good until windows_free.
 */
#ifndef PARTS_WINDOWS_H
#define PARTS_WINDOWS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "data/kernel_aggregate.h"
#include "data/kernel_quantile.h"
#include "parts/window_slices.h"
#include "parts/window_values.h"

enum {
    WINDOWS_OPEN_MOST = 4096, /* of a key at a time */
    WINDOWS_FIELDS_MOST = 256,
};

struct windows_options {
    int64_t every, window, offset; /* ns: a window begins at each multiple of `every`, from offset; window >= every */
    int64_t gap;                   /* ns; > 0: sessions instead */
    int64_t lateness;              /* ns */
    uint32_t most_open;            /* panes of a key */
    uint32_t fields;               /* cells of a pane */
    uint32_t key_values;           /* 8 bytes each, kept with the key and given out with its windows */
    bool trends;                   /* slopes are asked for */
    bool values, distinct;         /* values are kept; distinct: only different ones matter */
    uint32_t most_values;          /* of a field in a window */
    uint32_t quantiles;            /* are asked for, of these ranks */
    double ranks[QUANTILES_MOST];
};

struct window_pane {
    int64_t start, end; /* [start, end) */
    uint64_t serial;    /* 0: free */
    uint64_t position;  /* of the first of its records */
    int64_t produced;   /* of the newest */
    int64_t records;
    bool own; /* its values are with it, rather than with those of windows that overlap it: there only the count is */
    struct aggregate_cell cells[]; /* fields; see windows_trend and windows_values for what is behind them */
};

struct window_state { /* of a key; begins as zeroes */
    int64_t earliest; /* no open pane ends before this */
    uint32_t open;
    uint32_t capacity; /* of more, a power of two; 0: the panes are behind the values */
    uint32_t reach;    /* no window is further behind its own slot */
    uint32_t latest;   /* slot of the session that ends last, while some are open */
    uint32_t place;    /* among those that have more */
    char *more;        /* owned by struct windows */
    bool begun;        /* key_values are set */
    struct window_slices slices;
    uint64_t values[]; /* key_values, then the panes */
};

struct window_mark; /* an entry of the heap */

struct windows {
    struct windows_options options;
    size_t trends_at, values_at, pane_size, state_size; /* trends_at, values_at: in a pane */
    size_t results_at;                                  /* in a closed row */
    bool shares;                                        /* windows that overlap keep their values together */
    int64_t slices;                                     /* of `every`: 1 or 2 */
    double *scratch;                                    /* room for those of the window that has most */
    uint32_t scratch_capacity;
    struct window_mark *heap;
    size_t heap_count, heap_capacity;
    char *closed; /* rows of closed_size bytes: a pane, then the values of its key, then what its values came to */
    size_t closed_count, closed_capacity, closed_size;
    size_t *order; /* of the rows, by windows_sort */
    size_t order_capacity, sorted_count;
    int64_t until;    /* of the rows, those whose window ends later are not to go out yet */
    size_t out_count; /* how many are, the first in order */
    uint64_t serial;
    uint64_t missing;            /* how many times a record was not in a window, but in others */
    struct window_state **grown; /* those that have more panes */
    size_t grown_count, grown_capacity;
};

struct windows_record {
    int64_t time, watermark;
    uint64_t position;
    int64_t produced;
    const double *values; /* a value for each field */
};

enum windows_verdict {
    WINDOWS_TAKEN,
    WINDOWS_LATE,
    WINDOWS_FULL,
    WINDOWS_OVER_MOST,
    WINDOWS_NO_MEMORY,
    WINDOWS_OUT_OF_RANGE
};

/* How many windows of a key can be open at a time when records are at most `delay` older than the newest; 0: more than
 * WINDOWS_OPEN_MOST. */
uint32_t windows_most_open(const struct windows_options *options, int64_t delay);

void windows_init(struct windows *windows, const struct windows_options *options);
void windows_free(struct windows *windows, struct weir_env *env); /* of a zeroed one too */

/* Adds a record to the windows of its key that it belongs to. Returns a windows_verdict (anything but TAKEN: it is in
 * no window, because all are closed; because there was no memory for one more; no room for its values, by most_values
 * or by the budget; because of a time too near the ends of time), or -ENOMEM. */
int windows_add(struct windows *windows, struct weir_env *env, struct window_state *state,
                const struct windows_record *record);

/* Event time has come to `watermark` (INT64_MAX: the end): closes what ends there, the earliest end first, until there
 * are `most` of them; all with the same end together. 0; 1: there are more; or -ENOMEM. */
int windows_close(struct windows *windows, struct weir_env *env, int64_t watermark, size_t most);

/* Puts the closed rows in order: by end, then by the position of the first record, then by key. 0 or -ENOMEM. Then the
 * first out_count of them may go out. */
int windows_sort(struct windows *windows);
static inline const struct window_pane *windows_closed(const struct windows *windows, size_t i)
{
    return (const struct window_pane *)(const void *)(windows->closed + windows->order[i] * windows->closed_size);
}
static inline const uint64_t *windows_closed_values(const struct windows *windows, size_t i)
{
    return (const uint64_t *)(const void *)((const char *)windows_closed(windows, i) + windows->pane_size);
}
/* What the values of a field came to: how many different ones there were, then the quantiles. */
static inline const double *windows_results(const struct windows *windows, size_t i, uint32_t field)
{
    const char *row = (const char *)windows_closed(windows, i) + windows->results_at;
    return (const double *)(const void *)row + field * (1 + windows->options.quantiles);
}
/* Beside cells[field] of a pane, where they are asked for. */
static inline struct aggregate_trend *windows_trend(const struct windows *windows, const struct window_pane *pane,
                                                    uint32_t field)
{
    return (struct aggregate_trend *)(void *)((char *)pane + windows->trends_at) + field;
}
static inline struct window_values *windows_values(const struct windows *windows, const struct window_pane *pane,
                                                   uint32_t field)
{
    return (struct window_values *)(void *)((char *)pane + windows->values_at) + field;
}
void windows_forget_closed(struct windows *windows); /* those that were to go out have */
#endif
