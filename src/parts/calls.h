/* SPDX-License-Identifier: MIT */
/*
 * What asynchronous stages and sinks share: so many calls at a time, fixed or found while running, one task each.
 */
#ifndef PARTS_CALLS_H
#define PARTS_CALLS_H
#include <weir/part.h>
#include <weir/task.h>

#include "async/limiter.h"

enum calls_order { CALLS_ORDER_KEY, CALLS_ORDER_SERIAL, CALLS_ORDER_NONE };
extern const char *const calls_order_names[];

/* Rows of a part's option table; `concurrency` and `most` and `order` are fields of its private state. */
/* clang-format off */
#define CALLS_OPTIONS(type, fallback)                                                                                  \
    CALLS_LIMIT_OPTIONS(type, fallback, "1000"),                                                                       \
    {"order", WEIR_OPTION_CHOICE, offsetof(type, order), "key", 0, 0, calls_order_names, 0,                            \
     "key: calls overlap, records leave in the order in which they came; serial: one call after the other; "           \
     "none: records leave as they are answered"}
#define CALLS_LIMIT_OPTIONS(type, fallback, most_fallback)                                                             \
    {"concurrency", WEIR_OPTION_STRING, offsetof(type, concurrency), fallback, 0, 0, NULL, 0,                          \
     "calls in flight at a time: a number, `fixed` (as `most` says), or `adaptive`: as many as are answered well"},    \
    {"most", WEIR_OPTION_INTEGER, offsetof(type, most), most_fallback, 1, LIMITER_MOST, NULL, 0,                       \
     "the number of `concurrency: fixed`, the ceiling of `adaptive`"}
/* clang-format on */

struct calls_work;
struct calls {
    struct limiter limiter;
    struct calls_work *first, *last; /* things to call for, in the order in which they came */
    bool led;                        /* one of the tasks that wait for them makes the calls */
    /* Copies for the report, which comes from another thread. */
    _Atomic uint32_t limit;
    _Atomic uint64_t good, overloads, others, grown, shrunk;
    _Atomic int64_t waited_ns;
};

/* Reads `concurrency`; -EINVAL with words. */
int calls_open(struct calls *calls, struct weir_env *env, const char *concurrency, int64_t most, int order);

/* Things of one calls_run: `count` from `first` on. */
struct calls_piece {
    void *argument; /* as given to calls_run */
    uint32_t first, count;
    struct calls_work *work; /* private */
};
/* One call, for the things of `count` pieces. What it found is kept by the caller in their arguments. Sets *outcome for
 * the limiter (it is LIMITER_GOOD before). A negative errno ends the batches and the run. */
typedef int calls_call(struct weir_context *context, const struct calls_piece *pieces, uint32_t count,
                       enum limiter_outcome *outcome);

/* Has calls made for `count` things, up to `group` of them in each, as tasks under the limit; returns when all have
 * ended: 0 or the first error. In the task of an asynchronous stage's call. While the limit is reached, what comes
 * meanwhile waits and then goes along in one call, whichever batch it is from. With a `batch` the things are its
 * selected rows, of which is told when each is begun with. */
int calls_run(struct calls *calls, struct weir_env *env, struct weir_context *context, const struct weir_batch *batch,
              uint32_t count, uint32_t group, calls_call *call, void *argument);

/* After the limiter was used by other ways than calls_run: what the report shows. */
void calls_publish(struct calls *calls);
/* Facts for the report: the limit and how it came about; `answers`: also how calls went. */
void calls_report(struct calls *calls, struct weir_facts *facts, bool answers);

#endif
