/* SPDX-License-Identifier: MIT */
#include "app/signals.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "app/app.h"
#include "app/status.h"
#include "flow/pipeline.h"

static void answer(struct signals *signals, uint32_t number)
{
    struct pipeline *pipeline = atomic_load(&signals->pipeline);
    if (!pipeline) {
        _exit(APP_INTERRUPTED);
    }
    if (atomic_fetch_add(&signals->received, 1) == 0) {
        status_notice(signals->status, "draining what was read; press Ctrl-C again to stop at once");
        atomic_store(&signals->terminated, number == SIGTERM);
        pipeline_stop(pipeline);
    } else {
        pipeline_abort(pipeline);
    }
}

static void *listen_to_signals(void *argument)
{
    struct signals *signals = argument;
    struct pollfd descriptors[2] = {{.fd = signals->wanted, .events = POLLIN}, {.fd = signals->over, .events = POLLIN}};
    for (;;) {
        if (poll(descriptors, 2, -1) < 0 && errno != EINTR) {
            return NULL;
        }
        if (descriptors[1].revents) {
            return NULL;
        }
        struct signalfd_siginfo info;
        if (descriptors[0].revents && read(signals->wanted, &info, sizeof info) == (ssize_t)sizeof info) {
            answer(signals, info.ssi_signo);
        }
    }
}

static int start_thread(struct signals *signals, const sigset_t *set)
{
    signals->wanted = signalfd(-1, set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (signals->wanted < 0) {
        return -errno;
    }
    signals->over = eventfd(0, EFD_CLOEXEC);
    if (signals->over < 0) {
        return -errno;
    }
    return -pthread_create(&signals->thread, NULL, listen_to_signals, signals);
}

static void close_descriptors(struct signals *signals)
{
    if (signals->wanted >= 0) {
        close(signals->wanted);
    }
    if (signals->over >= 0) {
        close(signals->over);
    }
    signals->wanted = signals->over = -1;
}

int signals_start(struct signals *signals, struct status *status)
{
    sigset_t set;
    memset(signals, 0, sizeof *signals);
    signals->status = status;
    signals->wanted = signals->over = -1;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    int error = -pthread_sigmask(SIG_BLOCK, &set, &signals->before);
    if (error == 0) {
        error = start_thread(signals, &set);
    }
    if (error < 0) {
        close_descriptors(signals);
        pthread_sigmask(SIG_SETMASK, &signals->before, NULL);
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
    pthread_sigmask(SIG_SETMASK, &signals->before, NULL);
    signals->running = false;
}
