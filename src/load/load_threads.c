/* SPDX-License-Identifier: MIT */
/* A level on threads of its own: each has a loop, and its share of the users. */
#include <errno.h>
#include <pthread.h>

#include "async/loop.h"
#include "base/memory.h"
#include "load/load.h"

struct load_thread {
    pthread_t thread;
    struct load_options options; /* its share */
    struct load_tally *tally;
    const _Atomic bool *stop;
    int stop_fd, result;
    bool started;
};

static int run_root(struct weir_context *context, void *argument)
{
    struct load_thread *thread = argument;
    thread->result = load_run(context, &thread->options, thread->tally);
    return thread->result;
}

static void *run_thread(void *argument)
{
    struct load_thread *thread = argument;
    struct context_clock clock = {0};
    struct weir_waiter waiter;
    struct loop *loop;
    waiter_init(&waiter);
    struct weir_context outer = {
        .clock = &clock, .waiter = &waiter, .cancelled = thread->stop, .cancel_fd = thread->stop_fd};
    struct loop_options options = {.outer = &outer};
    thread->result = loop_new(&options, &loop);
    if (thread->result < 0)
        return NULL;
    int error = loop_run(loop, "load", run_root, thread);
    if (thread->result == 0)
        thread->result = error;
    loop_free(loop);
    return NULL;
}

uint32_t load_thread_count(const struct load_options *options, uint32_t threads)
{
    threads = threads == 0 ? 1 : threads > LOAD_THREADS_MOST ? LOAD_THREADS_MOST : threads;
    return options->kind != LOAD_OPEN && threads > options->concurrency ? options->concurrency : threads;
}

/* The users, or the rate, of thread `index` of `count`. */
static struct load_options share_of(const struct load_options *options, uint32_t index, uint32_t count)
{
    struct load_options share = *options;
    uint32_t most = options->in_flight_most ? options->in_flight_most : LOAD_IN_FLIGHT_MOST;
    share.concurrency = options->concurrency / count + (index < options->concurrency % count);
    share.rate = options->rate / count;
    share.rate_offset = (double)index / count;
    share.in_flight_most = most / count + (index < most % count);
    share.seed = options->seed + index * UINT64_C(0x9e3779b97f4a7c15);
    return share;
}

int load_run_threads(const struct load_options *options, uint32_t threads, const _Atomic bool *stop, int stop_fd,
                     struct load_tally *tallies)
{
    uint32_t count = load_thread_count(options, threads);
    struct load_thread *all = memory_zeroed(count, sizeof *all);
    if (!all)
        return -ENOMEM;
    int error = 0;
    for (uint32_t i = 0; i < count; i++) {
        all[i] = (struct load_thread){
            .options = share_of(options, i, count), .tally = &tallies[i], .stop = stop, .stop_fd = stop_fd};
        int created = -pthread_create(&all[i].thread, NULL, run_thread, &all[i]);
        all[i].started = created == 0;
        if (created < 0)
            error = created;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (all[i].started)
            pthread_join(all[i].thread, NULL);
        if (all[i].result < 0 && (error == 0 || error == -ECANCELED))
            error = all[i].result;
    }
    memory_free(all);
    return error;
}
