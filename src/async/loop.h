/* SPDX-License-Identifier: MIT */
/*
 * A loop: one thread's tasks, timers and descriptors. It runs inside a context that can wait (a machine's thread, the
 * main thread, a machine of the simulated runner): when no task can run, the loop waits there until the next timer, a
 * descriptor, or a wake of that context's waiter.
 *
 * Behind it stands a backend: epoll with real time and sockets, or a simulated network on the context's simulated
 * clock, where descriptors do not exist and streams connect to listeners of the same network.
 */
#ifndef ASYNC_LOOP_H
#define ASYNC_LOOP_H

#include "async/context.h"
#include <weir/task.h>

enum {
    LOOP_TASKS_MOST = 1 << 20,      /* default limit of live tasks */
    LOOP_OFFLOAD_MOST = 8,          /* threads of the offload pool; started when first needed */
    LOOP_OFFLOAD_QUEUE_MOST = 1024, /* waiting for one of them: more are told -EAGAIN */
    LOOP_STACK = 64 * 1024,         /* of a task: address space; only what it touches is memory */
    LOOP_STACK_LARGE = 256 * 1024,  /* for TLS and client libraries */
    LOOP_STACK_MOST = 64 * 1024 * 1024,
};

struct loop;
struct network; /* async/network.h: the simulated one */

struct loop_options {
    struct weir_context *outer; /* what the loop waits in; real or simulated clock as it has */
    struct network *network;    /* simulated clock: whom streams talk through; NULL: connecting says -ENETUNREACH */
    uint32_t tasks_most;        /* 0: LOOP_TASKS_MOST */
    size_t stack_size;          /* of each task; 0: LOOP_STACK */
    bool sequential;            /* a spawned task runs to its end before weir_scope_spawn returns: for comparison */
    /* A task has held the loop for longer than blocked_ns: called from the watchdog's thread, once for each such time
     * and again with the whole duration when it is over (done). Not on the simulated clock. NULL: no watchdog. */
    void (*blocked)(void *owner, const char *task, int64_t held_ns, bool done);
    int64_t blocked_ns; /* 0: 100 ms */
    void *owner;
};

int loop_new(const struct loop_options *options, struct loop **ret);
/* Runs `run` as the root task until it and all that it spawned have ended; returns its result. Cancelling the outer
 * context cancels the root task. May be called again. The outer context's thread. */
int loop_run(struct loop *loop, const char *name, weir_task_run *run, void *argument);
/* No task lives. NULL is allowed. */
void loop_free(struct loop *loop);

struct loop_counters {
    uint64_t spawned, switches, polls, timers_fired;
    uint32_t live, live_most;
    int64_t blocked_ns; /* all times over the threshold */
    uint64_t blocked_times;
};
void loop_count(const struct loop *loop, struct loop_counters *ret); /* the loop's thread, or when it is over */

#endif
