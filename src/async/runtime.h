/* SPDX-License-Identifier: MIT */
/*
 * What loops and tasks are made of, for the files of this folder.
 *
 *               spawn                 switch                    returns
 *      (none) ────────► READY ◄────────────────► RUNNING ─────────────────► (none)
 *                         ▲                         │ task_wait
 *                         └──── task_wake ──── WAITING
 *
 * A task that suspends switches straight to the next that is ready; only when there is none, or it is time to look at
 * the clock, to the loop's own stack ("home"), which fires timers, polls descriptors, and waits when nothing is ready.
 */
#ifndef ASYNC_RUNTIME_H
#define ASYNC_RUNTIME_H

#include "async/fiber.h"
#include "async/loop.h"
#include "async/stacks.h"
#include "async/timers.h"

#include <sys/socket.h>

enum task_state { TASK_READY, TASK_RUNNING, TASK_WAITING, TASK_ENDED };
enum { TASK_NAME = 40, TASK_ALIGNMENT = 64 };

struct defer {
    struct defer *next;
    void (*release)(void *argument);
    void *argument;
};

/* Tasks stand side by side, apart from their stacks, so that what spawns, wakes and collects thousands of them goes
 * through memory in order and touches each stack only to run on it. First what every switch touches, then what begins
 * and ends a task, the name last. */
struct weir_task {
    _Alignas(TASK_ALIGNMENT) struct fiber fiber;
    struct loop *loop;
    struct weir_event *event;                    /* that it waits for */
    struct weir_task *wait_next, *wait_previous; /* in that */
    uint8_t state;                               /* enum task_state */
    bool guarded;                                /* its stack has a guard page */
    bool timed;                                  /* its timer is set */
    bool fresh;                                  /* its stack is to be prepared before it first runs */
    bool uncancellable;
    _Atomic bool cancelled;
    uint32_t shield;
    int woken_with;
    uint32_t timer;
    uint32_t stack_size;
    char *stack;
    struct weir_scope *scope, *scopes; /* that it is in; the innermost that it has opened */
    struct weir_task *scope_next, *scope_previous;
    struct weir_task *spawner; /* on a sequential loop: goes on when this one has ended */
    weir_task_run *run;
    void *argument;
    struct defer *defers;
    struct weir_context context;
    char name[TASK_NAME];
};
enum { TASKS_A_SLAB = 512 };
struct task_slab {
    struct task_slab *next;
    uint32_t used;
    struct weir_task tasks[TASKS_A_SLAB];
};

/* Made ready by another thread: the loop signals the event when it comes by. */
struct loop_notice {
    struct loop_notice *next;
    _Atomic bool queued;
    struct weir_event event;
};

struct descriptors;
struct offload;
struct resolver;
struct watchdog;

struct loop {
    struct loop_options options;
    struct weir_context *outer;
    struct fiber home;
    /* Ready tasks, first in first out: a ring with room for all that were made. */
    struct weir_task **ready;
    uint32_t ready_mask, ready_first, ready_end;
    uint32_t budget;                     /* switches until the loop looks at the clock */
    bool waiting;                        /* in the outer context: a wake of a task must end that */
    struct weir_task *only;              /* sequential: the one that may run */
    _Atomic(struct weir_task *) current; /* for the watchdog */
    _Atomic uint64_t switches;
    struct timers timers;
    struct stacks stacks;
    struct weir_task **free_tasks; /* that have ended, as many entries as were made */
    uint32_t free_count, made_count, task_capacity;
    struct task_slab *slabs;
    struct weir_event parked; /* tasks in context_park */
    _Atomic(struct loop_notice *) notices;
    struct weir_scope root; /* of the one root task */
    int root_result;
    struct descriptors *descriptors; /* NULL on the simulated clock */
    struct offload *offload;         /* from its first use */
    struct resolver *resolver;
    struct watchdog *watchdog;
    int64_t polled_at;  /* when descriptors were looked at */
    uint32_t io_streak; /* reads and writes since a switch: nobody may go on for ever */
    uint64_t io_switches;
    uint32_t live, live_most;
    uint64_t spawned, polls, timers_fired;
};

/* ---- task.c ---- */

static inline bool task_stopping(const struct weir_task *task)
{
    return atomic_load_explicit(&task->cancelled, memory_order_relaxed) && task->shield == 0;
}
/* Of the running task: waits for the event (may be NULL) until the deadline. What it was woken with, -ETIMEDOUT, or
 * -ECANCELED. */
int task_wait(struct weir_task *task, struct weir_event *event, int64_t deadline);
/* The same, and cancellation does not end it. */
int task_wait_uncancellable(struct weir_task *task, struct weir_event *event, int64_t deadline);
/* If it waits: it will go on, and its wait returns `result`. */
void task_wake(struct weir_task *task, int result);
void task_cancel(struct weir_task *task);
int task_sleep_until(struct weir_task *task, int64_t when);
int task_sleep(struct weir_task *task, int64_t when); /* the same for what is known to lie ahead */
bool task_park(struct weir_task *task, int64_t deadline);
/* Lets others run once a task has done many reads and writes that did not wait. */
void task_breathe(struct weir_task *task);
int task_spawn(struct loop *loop, struct weir_scope *scope, const char *name, weir_task_run *run, void *argument);
void task_free_all(struct loop *loop);

/* ---- scope.c ---- */

void scope_task_ended(struct weir_scope *scope, struct weir_task *task, int result);
void scope_expired(struct weir_scope *scope);
/* Timers are of tasks, and of scopes: those have an odd address here. */
static inline void *scope_as_target(struct weir_scope *scope)
{
    return (char *)scope + 1;
}

/* ---- loop.c ---- */

struct weir_task *loop_take_only(struct loop *loop);
void task_prepare(struct weir_task *task); /* task.c */

static inline void loop_push_ready(struct loop *loop, struct weir_task *task)
{
    task->state = TASK_READY;
    loop->ready[loop->ready_end++ & loop->ready_mask] = task;
    if (__builtin_expect(loop->waiting, false))
        waiter_wake(loop->outer->waiter);
}

/* Tasks and stacks of thousands are in no cache, and the pages of stacks in no table of the processor's: asks for those
 * of the group after next, and of the next, so that several of their pages are looked up at once. Always inline: GCC
 * takes a call of a function that only prefetches for one without an effect, and leaves it out. */
__attribute__((always_inline)) static inline void loop_look_ahead(const struct loop *loop)
{
    enum { GROUP = 4 };
    if (loop->ready_first % GROUP)
        return;
    uint32_t next = loop->ready_first + GROUP, left = loop->ready_end - loop->ready_first;
    for (uint32_t i = next + GROUP; left >= 3 * GROUP && i != next + 2 * GROUP; i++) {
        const char *task = (const char *)loop->ready[i & loop->ready_mask];
        for (uint32_t line = 0; line < 3; line++) /* all but its name */
            __builtin_prefetch(task + line * TASK_ALIGNMENT, 1);
    }
    for (uint32_t i = next; left >= 2 * GROUP && i != next + GROUP; i++)
        fiber_prefetch(&loop->ready[i & loop->ready_mask]->fiber);
}

/* NULL: nobody, or it is time to go home. */
static inline struct weir_task *loop_take_ready(struct loop *loop)
{
    struct weir_task *task = NULL;
    if (loop->budget > 0 && loop->ready_first != loop->ready_end) {
        loop->budget--;
        if (__builtin_expect(loop->only != NULL, false)) {
            task = loop_take_only(loop);
        } else {
            loop_look_ahead(loop);
            task = loop->ready[loop->ready_first++ & loop->ready_mask];
        }
    }
    atomic_store_explicit(&loop->current, task, memory_order_release);
    if (task) {
        task->state = TASK_RUNNING;
        if (__builtin_expect(task->fresh, false))
            task_prepare(task);
        uint64_t switches = atomic_load_explicit(&loop->switches, memory_order_relaxed);
        atomic_store_explicit(&loop->switches, switches + 1, memory_order_relaxed);
    }
    return task;
}
/* Any thread. */
void loop_notify(struct loop *loop, struct loop_notice *notice);
/* The loop's thread: forgets what is queued of it. */
void loop_forget(struct loop *loop, struct loop_notice *notice);

/* ---- descriptors.c: epoll ---- */

struct pollfd;
int descriptors_new(struct loop *loop, struct descriptors **ret);
void descriptors_free(struct descriptors *descriptors);
/* Waits until something happens, the deadline, or a wake of the outer waiter; then, or at once with `wait` false, makes
 * ready whom it concerns. True: woken. */
bool descriptors_poll(struct descriptors *descriptors, bool wait, int64_t deadline);
int task_poll(struct weir_task *task, struct pollfd *polled, uint32_t count, int64_t deadline);
int context_poll(struct weir_context *context, struct pollfd *polled, uint32_t count, int64_t deadline);

/* A socket of ours, registered once, edge-triggered. */
struct socket_watch {
    struct descriptors *descriptors;
    int fd;
    bool readable, writable; /* as far as we know: try */
    bool ended;              /* the peer has closed its side, or the socket failed */
    struct weir_event readers, writers;
};
int socket_watch_add(struct descriptors *descriptors, struct socket_watch *watch, int fd);

/* ---- offload.c, resolve.c, watchdog.c ---- */

void offload_free(struct offload *offload);
enum { ADDRESSES_MOST = 8 }; /* of one name that are tried */
struct addresses {
    int error; /* or a negative errno: -ENXIO: no such name */
    uint32_t count;
    struct sockaddr_storage items[ADDRESSES_MOST]; /* without the port */
};
/* Numeric addresses at once, names in the pool (on a plain thread: in the caller), those asked for lately from memory.
 * `passive`: to listen at; host NULL or "*": any. 0 or a negative errno. */
int resolve(struct weir_context *context, const char *host, bool passive, int64_t deadline, struct addresses *ret);
void resolver_free(struct resolver *resolver);
int watchdog_new(struct loop *loop, struct watchdog **ret);
void watchdog_free(struct watchdog *watchdog);
/* The task's name may be gone after this. */
void watchdog_task_ends(struct watchdog *watchdog);
void watchdog_count(struct watchdog *watchdog, struct loop_counters *ret);

/* ---- stream.c, network.c ---- */

struct weir_stream {
    const struct stream_ops *ops;
};
struct weir_listener {
    const struct listener_ops *ops;
    uint16_t port;
};
struct stream_ops {
    int64_t (*read)(struct weir_context *context, struct weir_stream *stream, void *bytes, size_t size,
                    int64_t deadline);
    int (*write)(struct weir_context *context, struct weir_stream *stream, const void *bytes, size_t size,
                 int64_t deadline);
    bool (*stale)(struct weir_stream *stream);
    const char *(*peer)(const struct weir_stream *stream);
    void (*close)(struct weir_stream *stream, bool reset);
};
struct listener_ops {
    int (*accept)(struct weir_context *context, struct weir_listener *listener, int64_t deadline,
                  struct weir_stream **ret);
    void (*close)(struct weir_listener *listener);
};
int socket_connect(struct weir_context *context, const char *host, uint16_t port, const char *local, int64_t deadline,
                   struct weir_stream **ret);
int socket_listen(struct weir_context *context, const char *host, uint16_t port, struct weir_listener **ret);
int network_connect(struct weir_context *context, struct network *network, const char *host, uint16_t port,
                    int64_t deadline, struct weir_stream **ret);
int network_listen(struct weir_context *context, struct network *network, const char *host, uint16_t port,
                   struct weir_listener **ret);

#endif
