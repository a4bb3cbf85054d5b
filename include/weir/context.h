/* SPDX-License-Identifier: MIT */
/*
 * A context is what waits: a thread or a task, the same code runs on either. Parts never call a blocking function of
 * the system where one of these exists, so that the same part runs on threads, on a loop with thousands of others, or
 * on the simulated clock.
 *
 * Every wait returns 0, or -ETIMEDOUT when its deadline passed, or -ECANCELED when the pipeline is stopping: then
 * the caller cleans up and returns. Deadlines are absolute times of weir_now's clock, in nanoseconds;
 * WEIR_NEVER waits for ever.
 */
#ifndef WEIR_CONTEXT_H
#define WEIR_CONTEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct weir_context;

#define WEIR_NEVER INT64_MAX

/* Monotonic time that produced, stored and deadlines are measured with; ns. */
int64_t weir_now(struct weir_context *context);

/* Wall-clock time, ns since 1970, for stamps: it never runs backwards, in none of the threads of a pipeline. When the
 * machine's clock is set forward it follows at once; when that is set back it goes on at nine tenths of its speed until
 * it is caught up with. On the simulated clock it starts at a fixed date. */
int64_t weir_wall_time(struct weir_context *context);

/* Waits until weir_now() >= when_ns. Returns 0 or -ECANCELED. */
int weir_sleep_until(struct weir_context *context, int64_t when_ns);
int weir_sleep(struct weir_context *context, int64_t duration_ns);

/* Waits until the descriptor is ready for `events` (POLLIN, POLLOUT) or has failed. */
int weir_wait_fd(struct weir_context *context, int fd, short events, int64_t deadline_ns);

/* True once the pipeline wants its sources to end. Cheap; any time. */
bool weir_stopping(struct weir_context *context);

/* Spends `duration_ns` of processor time: turns in a loop, or moves the simulated clock. */
void weir_burn(struct weir_context *context, int64_t duration_ns);

#endif
