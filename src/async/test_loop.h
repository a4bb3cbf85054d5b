/* SPDX-License-Identifier: MIT */
/* For tests: a root task on a loop with real time, on the thread that calls. */
#ifndef ASYNC_TEST_LOOP_H
#define ASYNC_TEST_LOOP_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "async/context.h"
#include "async/loop.h"
#include "base/clock.h"

/* Makes the loop, runs the task to its end, and frees the loop, in which nothing lives any more. `more` may be NULL:
 * its `outer` is not looked at. Returns what the task did, or why there was no loop. */
static inline int test_loop_run(const struct loop_options *more, weir_task_run *root, void *argument)
{
    struct context_clock clock = {0};
    struct weir_waiter waiter;
    struct weir_context context = {.clock = &clock, .waiter = &waiter, .cancel_fd = -1};
    struct loop_options options = more ? *more : (struct loop_options){0};
    struct loop_counters counters;
    struct loop *loop = NULL;
    waiter_init(&waiter);
    options.outer = &context;
    int error = loop_new(&options, &loop);
    if (error < 0)
        return error;
    error = loop_run(loop, "root", root, argument);
    loop_count(loop, &counters);
    assert_int_equal(counters.live, 0);
    loop_free(loop);
    return error;
}

#endif
