/* SPDX-License-Identifier: MIT */
/*
 * What a weir_context is made of. Each machine of the engine (source, lane, sink) has one; it waits on the machine's
 * waiter, so that a wake from anywhere ends the wait.
 */
#ifndef ASYNC_CONTEXT_H
#define ASYNC_CONTEXT_H

#include <pthread.h>
#include <weir/context.h>
#include "base/clock.h"
#include "base/waiter.h"

/* The clock that all contexts of a pipeline share. All zero: the real one. */
struct context_clock {
    bool simulated;
    _Atomic int64_t now;      /* simulated time, ns; starts at CONTEXT_SIMULATED_START */
    _Atomic int64_t wall_set; /* simulated: so far was the wall clock set ahead (tests); negative: back */
    pthread_mutex_t lock;     /* of wall; any thread may look at it */
    struct clock_steady wall;
};
#define CONTEXT_SIMULATED_START INT64_C(1000000000)
#define CONTEXT_SIMULATED_WALL                                                                                         \
    INT64_C(1700000000000000000) /* 2023-11-14T22:13:20Z: what simulated wall time starts at */

struct weir_task;

struct weir_context {
    struct weir_task *task; /* whose context it is; NULL: a thread's (or a machine's of the simulated runner) */
    struct context_clock *clock;
    struct weir_waiter *waiter;    /* a task's: its loop's */
    const _Atomic bool *cancelled; /* every wait ends with -ECANCELED once this is set; not for tasks */
    int cancel_fd;                 /* readable once cancelled; -1: none (then descriptors are polled in slices) */
    /* Called from inside a wait of this context once weir_now() has come to idle_at; it moves idle_at on. It must not
     * wait. NULL: no such thing. */
    void (*idle)(struct weir_context *context);
    int64_t idle_at;
    void *owner;                   /* for idle */
    _Atomic int64_t waited_ns;     /* time spent in waits that are over: what is not busy */
    _Atomic int64_t waiting_since; /* start of the wait that goes on now, or 0 */
};

int64_t context_clock_now(struct context_clock *clock);

/* Waited so far, ns; any thread. */
int64_t context_waited(struct weir_context *context);

/* Parks on the context's waiter until a wake or the deadline; counts the time. True: woken, or cancelled. A task lets
 * the others of its loop run meanwhile; a wake resumes all tasks of the loop that are parked, and each looks again. */
bool context_park(struct weir_context *context, int64_t deadline_ns);

/* For what waits by itself inside a thread's context, a loop: the time counted as waited, and the call of `idle` when
 * it is due (returns when it is due next). */
int64_t context_begin_wait(struct weir_context *context);
void context_end_wait(struct weir_context *context, int64_t since);
int64_t context_next_idle(struct weir_context *context);

#endif
