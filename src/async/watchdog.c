/* SPDX-License-Identifier: MIT */
/*
 * The watchdog of a loop: a thread that looks, several times in each threshold, whether the loop has switched since the
 * last time. A task that holds the loop for longer is reported by name, and again with the whole time when it is over;
 * meanwhile the watchdog looks every millisecond, so the time is right to about a quarter of the threshold.
 */
#include "async/runtime.h"

#include "base/clock.h"
#include "base/memory.h"
#include "base/system.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

enum { LOOKS_A_THRESHOLD = 4 };

struct watchdog {
    struct loop *loop;
    pthread_t thread;
    pthread_mutex_t lock; /* while it is held no task ends, so the name of one that runs can be read */
    pthread_cond_t stop;
    bool stopping;
    uint64_t seen; /* loop->switches at the last look */
    int64_t since; /* when they were first seen */
    bool told;     /* of this time */
    char name[TASK_NAME];
    int64_t blocked_ns;
    uint64_t blocked_times;
};

static void copy_name(struct watchdog *watchdog, const struct weir_task *task)
{
    memcpy(watchdog->name, task->name, TASK_NAME);
}

/* The lock is held; it is let go around the call. */
static void tell(struct watchdog *watchdog, int64_t held, bool done)
{
    const struct loop_options *options = &watchdog->loop->options;
    pthread_mutex_unlock(&watchdog->lock);
    options->blocked(options->owner, watchdog->name, held, done);
    pthread_mutex_lock(&watchdog->lock);
}

static void finish_time(struct watchdog *watchdog, int64_t now)
{
    if (!watchdog->told)
        return;
    watchdog->told = false;
    watchdog->blocked_ns += now - watchdog->since;
    tell(watchdog, now - watchdog->since, true);
}

static void look(struct watchdog *watchdog)
{
    struct loop *loop = watchdog->loop;
    const struct weir_task *task = atomic_load_explicit(&loop->current, memory_order_acquire);
    uint64_t switches = atomic_load_explicit(&loop->switches, memory_order_relaxed);
    int64_t now = clock_monotonic();
    if (!task || switches != watchdog->seen) {
        finish_time(watchdog, now);
        watchdog->seen = switches;
        watchdog->since = now;
        return;
    }
    if (watchdog->told || now - watchdog->since < loop->options.blocked_ns)
        return;
    copy_name(watchdog, task);
    watchdog->told = true;
    watchdog->blocked_times++;
    tell(watchdog, now - watchdog->since, false);
}

static void *watch(void *argument)
{
    struct watchdog *watchdog = argument;
    int64_t interval = watchdog->loop->options.blocked_ns / LOOKS_A_THRESHOLD;
    if (interval < CLOCK_MILLISECOND)
        interval = CLOCK_MILLISECOND;
    pthread_mutex_lock(&watchdog->lock);
    while (!watchdog->stopping) {
        int64_t next = clock_monotonic() + (watchdog->told ? CLOCK_MILLISECOND : interval);
        struct timespec until = {.tv_sec = next / CLOCK_SECOND, .tv_nsec = next % CLOCK_SECOND};
        (void)pthread_cond_timedwait(&watchdog->stop, &watchdog->lock, &until);
        look(watchdog);
    }
    finish_time(watchdog, clock_monotonic());
    pthread_mutex_unlock(&watchdog->lock);
    return NULL;
}

int watchdog_new(struct loop *loop, struct watchdog **ret)
{
    struct watchdog *watchdog = memory_zeroed(1, sizeof *watchdog);
    if (!watchdog)
        return -ENOMEM;
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&watchdog->lock, NULL);
    pthread_cond_init(&watchdog->stop, &monotonic);
    pthread_condattr_destroy(&monotonic);
    watchdog->loop = loop;
    watchdog->since = clock_monotonic();
    int error = system_must_fail() ? errno : pthread_create(&watchdog->thread, NULL, watch, watchdog);
    if (error) {
        pthread_cond_destroy(&watchdog->stop);
        pthread_mutex_destroy(&watchdog->lock);
        memory_free(watchdog);
        return -error;
    }
    *ret = watchdog;
    return 0;
}

void watchdog_free(struct watchdog *watchdog)
{
    if (!watchdog)
        return;
    pthread_mutex_lock(&watchdog->lock);
    watchdog->stopping = true;
    pthread_cond_signal(&watchdog->stop);
    pthread_mutex_unlock(&watchdog->lock);
    pthread_join(watchdog->thread, NULL);
    pthread_cond_destroy(&watchdog->stop);
    pthread_mutex_destroy(&watchdog->lock);
    memory_free(watchdog);
}

void watchdog_task_ends(struct watchdog *watchdog)
{
    pthread_mutex_lock(&watchdog->lock);
    atomic_store_explicit(&watchdog->loop->current, NULL, memory_order_relaxed);
    pthread_mutex_unlock(&watchdog->lock);
}

void watchdog_count(struct watchdog *watchdog, struct loop_counters *ret)
{
    pthread_mutex_lock(&watchdog->lock);
    ret->blocked_ns = watchdog->blocked_ns;
    ret->blocked_times = watchdog->blocked_times;
    pthread_mutex_unlock(&watchdog->lock);
}
