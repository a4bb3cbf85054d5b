/* SPDX-License-Identifier: MIT */
/*
 * Ctrl-C (SIGINT) and SIGTERM while a pipeline runs, handled by a thread of its own, so that they are answered at once
 * whatever the other threads do: the first drains, the second stops at once.
 *
 * What asks once may send twice: timeout(1) and supervisors send a signal to the process and then to its group. So a
 * SIGTERM within a second of the first signal is the same request, and so is a SIGINT so soon that nobody can have
 * pressed the key again. A second Ctrl-C counts.
 */
#ifndef APP_SIGNALS_H
#define APP_SIGNALS_H

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pipeline;
struct status;

/* Which of the signals that come are requests of their own. Zeroed at first. */
struct signals_count {
    int requests;
    int first;        /* its number */
    int64_t first_ns; /* clock_monotonic when it came */
};
/* True: signal `number`, which came at now_ns, is one, and was counted. */
bool signals_counts(struct signals_count *count, int number, int64_t now_ns);
/* For when signals are about to be unblocked again: where a SIGTERM was answered, one that comes late is ignored from
 * now on. It would kill a program that has done what it asked for and only has its result to give; Ctrl-C still does.
 */
void signals_settle(const struct signals_count *count);
/* What is told after the first: within which time (ns; 0: no limit) draining has to end, and how to end it. Returns
 * out.
 */
char *signals_tell(int number, int64_t limit_ns, char *out, size_t size);

/* Both signals as a descriptor, for commands that wait for it themselves. */
struct signals_wait {
    int descriptor; /* readable when one came; -1: none */
    sigset_t before;
    struct signals_count count;
};
/* Blocks the signals in this thread and those it starts from now on. Negative errno: nothing was changed. */
int signals_wait_open(struct signals_wait *wait);
/* Takes one that came: its number, or 0 when none did, or it was the same request as the first. */
int signals_wait_take(struct signals_wait *wait);
/* Signals do again what they did before, but for a SIGTERM that was answered (signals_settle), and for those that have
 * come as the same request as the first. */
void signals_wait_close(struct signals_wait *wait);

struct signals {
    pthread_t thread;
    bool running;
    struct signals_wait wait; /* the thread's */
    int over;                 /* descriptor: the end */
    struct status *status;
    _Atomic(struct pipeline *) pipeline;
    int64_t drain_ns, drain_terminated_ns; /* to tell, and set by the owner: limits of draining; 0: none */
    _Atomic int received;                  /* requests */
    _Atomic bool terminated;               /* the first was SIGTERM: nobody may be there to send a second one */
};

/* Blocks the signals in this thread and those it starts from now on, and starts to listen. Before a pipeline is given,
 * a signal ends the process with 130. Negative errno: nothing was changed. Keeps the limits in `signals`, clears the
 * rest. */
int signals_start(struct signals *signals, struct status *status);
void signals_attach(struct signals *signals, struct pipeline *pipeline);
/* Stops listening; the pipeline may be closed afterwards. Signals do again what they did before, but for a SIGTERM that
 * was answered (signals_settle). */
void signals_end(struct signals *signals);
#endif
