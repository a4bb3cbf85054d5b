/* SPDX-License-Identifier: MIT */
#include "app/signals.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "app/app.h"
#include "app/status.h"
#include "base/clock.h"
#include "base/units.h"
#include "flow/pipeline.h"

#define SAME_SIGTERM CLOCK_SECOND            /* so close to the first signal it is the same request */
#define SAME_SIGINT (20 * CLOCK_MILLISECOND) /* and nobody is that quick with two fingers on the keys */

bool signals_counts(struct signals_count *count, int number, int64_t now_ns)
{
    int64_t same = number == SIGTERM ? SAME_SIGTERM : SAME_SIGINT;
    if (count->requests > 0 && now_ns - count->first_ns < same) {
        return false;
    }
    if (count->requests++ == 0) {
        count->first = number;
        count->first_ns = now_ns;
    }
    return true;
}

void signals_settle(const struct signals_count *count)
{
    if (count->requests > 0 && count->first == SIGTERM) {
        signal(SIGTERM, SIG_IGN);
    }
}

char *signals_tell(int number, int64_t limit_ns, char *out, size_t size)
{
    char limit[32], within[64] = "";
    if (limit_ns > 0) {
        units_show_duration(limit_ns, limit, sizeof limit);
        snprintf(within, sizeof within, " for at most %s (--drain)", limit);
    }
    snprintf(out, size, "draining what was read%s; %s", within,
             number == SIGTERM ? "a second signal, later than 1 s after this one, stops at once"
                               : "press Ctrl-C again to stop at once");
    return out;
}

int signals_wait_open(struct signals_wait *wait)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    *wait = (struct signals_wait){.descriptor = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)};
    if (wait->descriptor < 0)
        return -errno;
    int error = -pthread_sigmask(SIG_BLOCK, &set, &wait->before);
    if (error < 0) {
        close(wait->descriptor);
        wait->descriptor = -1;
    }
    return error;
}

int signals_wait_take(struct signals_wait *wait)
{
    struct signalfd_siginfo info;
    if (read(wait->descriptor, &info, sizeof info) != (ssize_t)sizeof info)
        return 0;
    return signals_counts(&wait->count, (int)info.ssi_signo, clock_monotonic()) ? (int)info.ssi_signo : 0;
}

void signals_wait_close(struct signals_wait *wait)
{
    if (wait->descriptor < 0)
        return;
    /* One of each may wait. What is another request does what it would have done without us. */
    signals_settle(&wait->count);
    for (int i = 0; i < 2 && wait->count.requests > 0; i++) {
        int number = signals_wait_take(wait);
        if (number)
            raise(number);
    }
    close(wait->descriptor);
    wait->descriptor = -1;
    pthread_sigmask(SIG_SETMASK, &wait->before, NULL);
}

static void answer(struct signals *signals)
{
    char line[160];
    struct pipeline *pipeline = atomic_load(&signals->pipeline);
    if (!pipeline) {
        _exit(APP_INTERRUPTED);
    }
    int number = signals_wait_take(&signals->wait), requests = signals->wait.count.requests;
    if (!number) {
        return;
    }
    if (requests > 1) {
        atomic_store(&signals->received, requests);
        pipeline_abort(pipeline);
        return;
    }
    bool terminated = number == SIGTERM;
    int64_t limit = signals->drain_ns > 0 ? signals->drain_ns : terminated ? signals->drain_terminated_ns : 0;
    atomic_store(&signals->terminated, terminated);
    atomic_store(&signals->received, 1);
    status_notice(signals->status, signals_tell(number, limit, line, sizeof line));
    pipeline_stop(pipeline);
}

static void *listen_to_signals(void *argument)
{
    struct signals *signals = argument;
    struct pollfd descriptors[2] = {{.fd = signals->wait.descriptor, .events = POLLIN},
                                    {.fd = signals->over, .events = POLLIN}};
    for (;;) {
        if (poll(descriptors, 2, -1) < 0 && errno != EINTR) {
            return NULL;
        }
        if (descriptors[1].revents) {
            return NULL;
        }
        if (descriptors[0].revents) {
            answer(signals);
        }
    }
}

static int start_thread(struct signals *signals)
{
    int error = signals_wait_open(&signals->wait);
    if (error < 0) {
        return error;
    }
    signals->over = eventfd(0, EFD_CLOEXEC);
    if (signals->over < 0) {
        return -errno;
    }
    return -pthread_create(&signals->thread, NULL, listen_to_signals, signals);
}

static void close_descriptors(struct signals *signals)
{
    if (signals->over >= 0) {
        close(signals->over);
    }
    signals->over = -1;
    signals_wait_close(&signals->wait);
}

int signals_start(struct signals *signals, struct status *status)
{
    *signals = (struct signals){.drain_ns = signals->drain_ns, .drain_terminated_ns = signals->drain_terminated_ns};
    signals->status = status;
    signals->wait.descriptor = signals->over = -1;
    int error = start_thread(signals);
    if (error < 0) {
        close_descriptors(signals);
        return error;
    }
    signals->running = true;
    return 0;
}

void signals_attach(struct signals *signals, struct pipeline *pipeline)
{
    atomic_store(&signals->pipeline, pipeline);
}

void signals_end(struct signals *signals)
{
    uint64_t one = 1;
    if (!signals->running) {
        return;
    }
    if (write(signals->over, &one, sizeof one) == (ssize_t)sizeof one) {
        pthread_join(signals->thread, NULL);
    }
    close_descriptors(signals);
    signals->running = false;
}
