/* SPDX-License-Identifier: MIT */
/*
 * The pool of threads for what can only block. Threads start when work waits and all are busy, and stay until the loop
 * ends. A job belongs to its task while that waits, and to the pool once the task has gone; the pool belongs to the
 * loop and to each of its threads, so that work which never ends holds up nobody.
 */
#include "async/runtime.h"

#include "base/clock.h"
#include "base/memory.h"
#include "base/system.h"

#include <errno.h>
#include <pthread.h>

enum { GRACE_NS = 200 * CLOCK_MILLISECOND }; /* how long the end of a loop waits for work that still runs */

enum job_state { JOB_QUEUED, JOB_RUNNING, JOB_DONE };

struct job {
    struct job *next;
    int (*work)(void *argument);
    void (*release)(void *argument);
    void *argument;
    enum job_state state;
    bool abandoned; /* its task has gone */
    int result;
    struct loop_notice notice;
};

struct offload {
    pthread_mutex_t lock;
    pthread_cond_t work, gone;
    struct loop *loop; /* NULL: it has ended */
    struct job *first, *last;
    uint32_t queued, threads, idle;
    bool closing;
    uint32_t references;
};

static void drop_job(struct job *job)
{
    if (job->release)
        job->release(job->argument);
    memory_free(job);
}

static void let_go(struct offload *offload)
{
    pthread_mutex_lock(&offload->lock);
    bool last = --offload->references == 0;
    pthread_mutex_unlock(&offload->lock);
    if (!last)
        return;
    pthread_cond_destroy(&offload->work);
    pthread_cond_destroy(&offload->gone);
    pthread_mutex_destroy(&offload->lock);
    memory_free(offload);
}

static struct job *next_job(struct offload *offload)
{
    while (!offload->first && !offload->closing) {
        offload->idle++;
        pthread_cond_wait(&offload->work, &offload->lock);
        offload->idle--;
    }
    struct job *job = offload->first;
    if (!job)
        return NULL;
    offload->first = job->next;
    if (!job->next)
        offload->last = NULL;
    offload->queued--;
    job->state = JOB_RUNNING;
    return job;
}

static void *work_on(void *argument)
{
    struct offload *offload = argument;
    struct job *job;
    pthread_mutex_lock(&offload->lock);
    while ((job = next_job(offload))) {
        pthread_mutex_unlock(&offload->lock);
        int result = job->work(job->argument);
        pthread_mutex_lock(&offload->lock);
        if (job->abandoned) {
            pthread_mutex_unlock(&offload->lock);
            drop_job(job);
            pthread_mutex_lock(&offload->lock);
        } else {
            job->result = result;
            job->state = JOB_DONE;
            loop_notify(offload->loop, &job->notice); /* under the lock: the job is the task's from here on */
        }
    }
    offload->threads--;
    pthread_cond_signal(&offload->gone);
    pthread_mutex_unlock(&offload->lock);
    let_go(offload);
    return NULL;
}

static int start_thread(struct offload *offload)
{
    pthread_t thread;
    offload->threads++;
    offload->references++;
    int error = system_must_fail() ? errno : pthread_create(&thread, NULL, work_on, offload);
    if (error) {
        offload->threads--;
        offload->references--;
        return -error;
    }
    pthread_detach(thread);
    return 0;
}

static struct offload *offload_of(struct loop *loop)
{
    if (loop->offload)
        return loop->offload;
    struct offload *offload = memory_zeroed(1, sizeof *offload);
    if (!offload)
        return NULL;
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&offload->lock, NULL);
    pthread_cond_init(&offload->work, NULL);
    pthread_cond_init(&offload->gone, &monotonic);
    pthread_condattr_destroy(&monotonic);
    offload->loop = loop;
    offload->references = 1;
    return loop->offload = offload;
}

/* No task waits any more: all jobs that are left have been abandoned. */
void offload_free(struct offload *offload)
{
    if (!offload)
        return;
    int64_t end = clock_monotonic() + GRACE_NS;
    struct timespec until = {.tv_sec = end / CLOCK_SECOND, .tv_nsec = end % CLOCK_SECOND};
    pthread_mutex_lock(&offload->lock);
    offload->closing = true;
    offload->loop = NULL;
    pthread_cond_broadcast(&offload->work);
    while (offload->threads && pthread_cond_timedwait(&offload->gone, &offload->lock, &until) != ETIMEDOUT) {
    }
    pthread_mutex_unlock(&offload->lock);
    let_go(offload);
}

static int submit(struct offload *offload, struct job *job)
{
    pthread_mutex_lock(&offload->lock);
    int error = offload->queued >= LOOP_OFFLOAD_QUEUE_MOST ? -EAGAIN : 0;
    if (error == 0 && offload->queued >= offload->idle && offload->threads < LOOP_OFFLOAD_MOST)
        error = start_thread(offload);
    if (error < 0 && offload->threads && offload->queued < LOOP_OFFLOAD_QUEUE_MOST)
        error = 0; /* no further thread to be had: those there are will come to it */
    if (error == 0) {
        if (offload->last)
            offload->last->next = job;
        else
            offload->first = job;
        offload->last = job;
        offload->queued++;
        pthread_cond_signal(&offload->work);
    }
    pthread_mutex_unlock(&offload->lock);
    return error;
}

static void unqueue(struct offload *offload, struct job *job)
{
    struct job **at = &offload->first, *previous = NULL;
    for (; *at != job; at = &(*at)->next)
        previous = *at;
    *at = job->next;
    if (offload->last == job)
        offload->last = previous;
    offload->queued--;
}

/* The wait is over. True: the job is done, and the caller's again. */
static bool settle(struct offload *offload, struct job *job)
{
    pthread_mutex_lock(&offload->lock);
    enum job_state state = job->state;
    if (state == JOB_QUEUED)
        unqueue(offload, job);
    job->abandoned = state != JOB_DONE;
    pthread_mutex_unlock(&offload->lock);
    if (state == JOB_QUEUED)
        drop_job(job);
    return state == JOB_DONE;
}

static bool job_done(struct offload *offload, const struct job *job)
{
    pthread_mutex_lock(&offload->lock);
    bool done = job->state == JOB_DONE;
    pthread_mutex_unlock(&offload->lock);
    return done;
}

/* What a wait says, a work may not: the caller tells by it to whom the argument belongs. */
static int result_of(int result)
{
    return result == -ETIMEDOUT ? -ETIME : result == -ECANCELED ? -EINTR : result;
}

int weir_offload(struct weir_context *context, int (*work)(void *argument), void *argument,
                 void (*release)(void *argument), int64_t deadline_ns)
{
    if (weir_stopping(context)) {
        if (release)
            release(argument);
        return -ECANCELED;
    }
    if (!context->task || context->clock->simulated)
        return result_of(work(argument));
    struct loop *loop = context->task->loop;
    struct offload *offload = offload_of(loop);
    struct job *job = offload ? memory_zeroed(1, sizeof *job) : NULL;
    if (!job)
        return -ENOMEM;
    *job = (struct job){.work = work, .release = release, .argument = argument};
    int result = submit(offload, job);
    if (result < 0) {
        memory_free(job);
        return result;
    }
    do
        result = task_wait(context->task, &job->notice.event, deadline_ns);
    while (result == 0 && !job_done(offload, job));
    if (!settle(offload, job))
        return result;
    result = result_of(job->result);
    loop_forget(loop, &job->notice);
    memory_free(job);
    return result;
}
