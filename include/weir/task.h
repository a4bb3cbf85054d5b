/* SPDX-License-Identifier: MIT */
/*
 * Tasks: functions that wait without holding a thread. A task is a coroutine on a loop, a loop is one thread; while a
 * task waits (for time, a socket, a channel, another task) its loop runs others. A task is only ever switched away from
 * inside a call that takes a `context`: between two of those, nothing else on its loop runs, so tasks of one loop share
 * data without locks.
 *
 *     static int read_sensor(struct weir_context *context, void *argument) { … weir_sleep(context, …); … return 0; }
 *
 *     struct weir_scope scope;
 *     weir_scope_open(context, &scope);
 *     for (i = 0; i < count; i++)
 *         weir_scope_spawn(&scope, sensors[i].name, read_sensor, &sensors[i]);
 *     error = weir_scope_join(&scope);                      // all have ended, on every path
 *
 * Structured concurrency: a task belongs to a scope, a scope to the task that opened it and to the block of code that
 * it stands in. Nothing outlives its scope.
 *
 * All calls are for tasks of one loop (one thread) unless they say otherwise. Whatever waits returns 0, -ECANCELED (the
 * task was cancelled, or the pipeline is stopping: clean up and return) or -ETIMEDOUT; deadlines are absolute times of
 * weir_now, WEIR_NEVER waits for ever. A cancelled task's waits all return -ECANCELED from then on, except inside
 * weir_shield.
 */
#ifndef WEIR_TASK_H
#define WEIR_TASK_H

#include <weir/context.h>

/* What a task runs. 0 or a negative errno; the context is the task's own and ends with it. */
typedef int weir_task_run(struct weir_context *context, void *argument);

/* True on a loop: tasks can be spawned. False on a plain thread, where weir_scope_spawn says -ENOTSUP. */
bool weir_in_task(struct weir_context *context);
/* The name it was spawned with; lives as long as the task. */
const char *weir_task_name(struct weir_context *context);
/* Lets every other task that can run do so first. Returns 0 or -ECANCELED. */
int weir_yield(struct weir_context *context);
/* Registers what must happen when this task ends, on every path: success, error, cancellation. Called in reverse order
 * after its function has returned, under weir_shield. -ENOMEM: not registered, and release was called at once. */
int weir_defer(struct weir_context *context, void (*release)(void *argument), void *argument);
/* While shielded (calls nest), cancellation is put off: waits go on as if it had not come. For cleanup that must wait,
 * always with a deadline. */
void weir_shield(struct weir_context *context, bool on);

/* ---- Scopes ---------------------------------------------------------------------------------------------------- */

struct weir_task;
/* On the stack of the task that opens it, until weir_scope_join (or _close, _race) has returned. All fields private. */
struct weir_scope {
    struct weir_context *owner;
    struct weir_scope *outer;       /* of the same task */
    struct weir_task *first, *last; /* its tasks that live */
    int64_t deadline;
    uint32_t live, wake_below, timer;
    int result, winner; /* of the first that failed; of the first that ended */
    bool cancelled, race, finished;
    uint8_t waiting;
};

/* Opens one; does not wait or fail. */
void weir_scope_open(struct weir_context *context, struct weir_scope *scope);
/* All its tasks together must be done by then: past it they are cancelled, and the join says -ETIMEDOUT. */
void weir_scope_deadline(struct weir_scope *scope, int64_t deadline_ns);
/* Starts run(argument) as a task of the scope; it first runs when the caller next waits. `name` is for people
 * (watchdog, errors) and lives as long as the task. -ENOMEM, -EAGAIN (the loop's limit of tasks), -ECANCELED (the scope
 * is cancelled already), -ENOTSUP: not started. */
int weir_scope_spawn(struct weir_scope *scope, const char *name, weir_task_run *run, void *argument);
/* Cancels its tasks (and, through their scopes, what those have spawned). Does not wait for them. */
void weir_scope_cancel(struct weir_scope *scope);
/* Gather: waits until all have ended. The first that fails cancels the rest; returns its error, or 0. When the caller
 * is cancelled meanwhile, its tasks are too, and the join still waits for them before it says -ECANCELED. */
int weir_scope_join(struct weir_scope *scope);
/* Race: waits until one has ended (well or not), cancels and collects the rest, returns the first one's result. */
int weir_scope_race(struct weir_scope *scope);
/* Cancels and collects: for the path on which the results no longer matter. */
void weir_scope_close(struct weir_scope *scope);
/* How many of its tasks live; waits until at most `most` do. 0, -ECANCELED, -ETIMEDOUT, or a task's first error. */
uint32_t weir_scope_live(const struct weir_scope *scope);
int weir_scope_wait_below(struct weir_scope *scope, uint32_t most, int64_t deadline_ns);

/* Runs it with a deadline: one task in a scope of its own, cancelled and collected when the time has passed. */
int weir_with_deadline(struct weir_context *context, int64_t deadline_ns, weir_task_run *run, void *argument);

/* ---- Descriptors ----------------------------------------------------------------------------------------------- */

/* For client libraries with many descriptors: waits until one of them is ready; revents are filled in as poll does.
 * Returns how many are ready (> 0), -ETIMEDOUT, -ECANCELED or another errno. weir_wait_fd of context.h waits for one.
 */
struct pollfd;
int weir_wait_any(struct weir_context *context, struct pollfd *descriptors, uint32_t count, int64_t deadline_ns);

/* ---- Events and channels --------------------------------------------------------------------------------------- */

/* A condition among the tasks of one loop: waits are woken by signals, and look again at what they wait for. Zeroed:
 * ready to use. */
struct weir_event {
    struct weir_task *first, *last; /* private: who waits */
};
int weir_event_wait(struct weir_context *context, struct weir_event *event, int64_t deadline_ns);
void weir_event_signal(struct weir_event *event, bool all); /* the one that waits longest, or all */

/* A bounded queue of items of one size between tasks of one loop, first in first out. */
struct weir_channel;
/* capacity ≥ 1. NULL: out of memory. The caller frees it when no task waits on it any more. */
struct weir_channel *weir_channel_new(size_t item_size, uint32_t capacity);
void weir_channel_free(struct weir_channel *channel);
/* Copies the item in; waits while it is full. -EPIPE: closed. */
int weir_channel_send(struct weir_context *context, struct weir_channel *channel, const void *item,
                      int64_t deadline_ns);
/* Copies the oldest out; waits while it is empty. -EPIPE: closed, and everything sent before was received. */
int weir_channel_receive(struct weir_context *context, struct weir_channel *channel, void *item, int64_t deadline_ns);
/* -EAGAIN instead of waiting. */
int weir_channel_try_send(struct weir_channel *channel, const void *item);
int weir_channel_try_receive(struct weir_channel *channel, void *item);
/* No more will be sent: the sentinel. Who waits is woken; calling it again changes nothing. */
void weir_channel_close(struct weir_channel *channel);
uint32_t weir_channel_count(const struct weir_channel *channel);

/* The same from other threads into a task: many producers, one receiver. */
struct weir_mpsc;
struct weir_mpsc *weir_mpsc_new(size_t item_size, uint32_t capacity);
void weir_mpsc_free(struct weir_mpsc *channel);
int weir_mpsc_try_send(struct weir_mpsc *channel, const void *item); /* any thread: 0, -EAGAIN: full, -EPIPE */
/* Any thread or task; waits while it is full. */
int weir_mpsc_send(struct weir_context *context, struct weir_mpsc *channel, const void *item, int64_t deadline_ns);
int weir_mpsc_receive(struct weir_context *context, struct weir_mpsc *channel, void *item, int64_t deadline_ns);
void weir_mpsc_close(struct weir_mpsc *channel); /* any thread */

/* ---- Blocking work --------------------------------------------------------------------------------------------- */

/* Runs work(argument) on a thread of the loop's pool and waits for its result: for what can only block (name
 * resolution, files, a library without descriptors). At most LOOP_OFFLOAD_MOST at once, the others queue. When the wait
 * ends early (-ETIMEDOUT, -ECANCELED) the argument is the pool's: work that has begun goes on by itself, what still
 * stands in the queue is left out, and then `release(argument)` is called, by whichever thread is last. In every other
 * case the caller still owns the argument; so a work's own -ETIMEDOUT comes back as -ETIME, its -ECANCELED as -EINTR.
 * On the simulated clock, and on a plain thread, it runs at once in the caller. */
int weir_offload(struct weir_context *context, int (*work)(void *argument), void *argument,
                 void (*release)(void *argument), int64_t deadline_ns);

/* ---- Streams: sockets of a loop, real or simulated --------------------------------------------------------------- */

struct weir_stream;
struct weir_listener;

/* Connects over TCP, trying each address of the name in turn until the deadline. `local` (may be NULL) is the address
 * to bind to. -ECONNREFUSED, -EHOSTUNREACH, -ENXIO (no such name), -ETIMEDOUT, … The stream belongs to the caller. */
int weir_stream_connect(struct weir_context *context, const char *host, uint16_t port, const char *local,
                        int64_t deadline_ns, struct weir_stream **ret);
/* Reads what is there, at least one byte; 0: the peer has ended its side; negative errno. Bytes are written only when
 * it returns, with no other task in between: tasks of a loop may wait with one buffer for all. */
int64_t weir_stream_read(struct weir_context *context, struct weir_stream *stream, void *bytes, size_t size,
                         int64_t deadline_ns);
/* Writes all of it, or fails; returns 0. */
int weir_stream_write(struct weir_context *context, struct weir_stream *stream, const void *bytes, size_t size,
                      int64_t deadline_ns);
/* True when the peer has closed or sent something unasked: a kept-alive connection that must not be used again. */
bool weir_stream_stale(struct weir_stream *stream);
/* "127.0.0.1:9700" of the peer; lives as long as the stream. */
const char *weir_stream_peer(const struct weir_stream *stream);
/* `reset`: the peer sees a reset instead of an end. NULL is allowed. */
void weir_stream_close(struct weir_stream *stream, bool reset);

/* port 0: any free one; weir_listener_port says which. */
int weir_stream_listen(struct weir_context *context, const char *host, uint16_t port, struct weir_listener **ret);
uint16_t weir_listener_port(const struct weir_listener *listener);
int weir_stream_accept(struct weir_context *context, struct weir_listener *listener, int64_t deadline_ns,
                       struct weir_stream **ret);
void weir_listener_close(struct weir_listener *listener);

#endif
