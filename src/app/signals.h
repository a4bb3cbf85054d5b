/* SPDX-License-Identifier: MIT */
/*
 * Ctrl-C (SIGINT) and SIGTERM while a pipeline runs, handled by a thread of its own, so that they are answered at once
 * whatever the other threads do: the first drains, the second stops at once.
 */
#ifndef APP_SIGNALS_H
#define APP_SIGNALS_H

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>

struct pipeline;
struct status;

struct signals {
    pthread_t thread;
    bool running;
    int wanted, over; /* descriptors: signals; the end */
    sigset_t before;
    struct status *status;
    _Atomic(struct pipeline *) pipeline;
    _Atomic int received;    /* how many */
    _Atomic bool terminated; /* the first was SIGTERM: nobody may be there to send a second one */
};

/* Blocks the signals in this thread and those it starts from now on, and starts to listen. Before a pipeline is given,
 * a signal ends the process with 130. Negative errno: nothing was changed. */
int signals_start(struct signals *signals, struct status *status);
void signals_attach(struct signals *signals, struct pipeline *pipeline);
/* Stops listening; the pipeline may be closed afterwards. Signals do again what they did before. */
void signals_end(struct signals *signals);
#endif
