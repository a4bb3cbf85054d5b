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
    {"concurrency", WEIR_OPTION_STRING, offsetof(type, concurrency), fallback, 0, 0, NULL, 0,                          \
     "calls in flight at a time: a number, `fixed` (as `most` says), or `adaptive`: as many as are answered well"},    \
    {"most", WEIR_OPTION_INTEGER, offsetof(type, most), "1000", 1, LIMITER_MOST, NULL, 0,                              \
     "the number of `concurrency: fixed`, the ceiling of `adaptive`"},                                                 \
    {"order", WEIR_OPTION_CHOICE, offsetof(type, order), "key", 0, 0, calls_order_names, 0,                            \
     "key: calls overlap, records leave in the order in which they came; serial: one call after the other; "           \
     "none: records leave as they are answered"}
/* clang-format on */

struct calls {
    struct limiter limiter;
};

/* Reads `concurrency`; -EINVAL with words. */
int calls_open(struct calls *calls, struct weir_env *env, const char *concurrency, int64_t most, int order);

/* One call, for `count` selected rows of a batch from `first` on. What it found is kept by the caller in `argument`.
 * Sets *outcome for the limiter (it is LIMITER_GOOD before). A negative errno ends the batch and the run. */
typedef int calls_call(struct weir_context *context, void *argument, uint32_t first, uint32_t count,
                       enum limiter_outcome *outcome);

/* Makes the calls for a batch, `group` rows each, as tasks under the limit; returns when all have ended: 0 or the first
 * error. In the task of an asynchronous stage's call. */
int calls_run(struct calls *calls, struct weir_env *env, struct weir_context *context, const struct weir_batch *batch,
              uint32_t group, calls_call *call, void *argument);

/* Facts for the report: limit, and how calls went. */
void calls_report(const struct calls *calls, struct weir_facts *facts);

#endif
