/* SPDX-License-Identifier: MIT */
/* The runner that gives each machine a thread of its own. */
#include "flow/engine.h"

#include "base/error.h"

#include <signal.h>
#include <string.h>
#include <sys/prctl.h>

static void *machine_main(void *argument)
{
    struct machine *machine = argument;
    char name[16];
    /* Sleeps end when they are due, not up to 50 µs later: a pipeline's latency is made of such waits. */
    (void)prctl(PR_SET_TIMERSLACK, 1UL, 0, 0, 0);
    memcpy(name, machine->name, sizeof name - 1);
    name[sizeof name - 1] = 0;
    (void)pthread_setname_np(pthread_self(), name);
    machine_begin_thread(machine);
    for (;;) {
        enum step step = machine->step(machine);
        if (step == STEP_DONE)
            break;
        if (step != STEP_RAN)
            machine_park(machine, machine->deadline, step == STEP_BLOCKED);
    }
    machine_end_thread(machine);
    pipeline_machine_done(machine);
    return NULL;
}

static int start_thread(struct machine *machine)
{
    sigset_t all, before;
    sigfillset(&all); /* signals are for the main thread */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&machine->thread, NULL, machine_main, machine);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    machine->has_thread = error == 0;
    return -error;
}

int threads_start(struct pipeline *pipeline)
{
    /* Sources last: what they send has somebody to take it. When a thread cannot be had, those that run are stopped;
     * the ones without are done by decree. */
    int failure = 0;
    for (uint32_t i = pipeline->machine_count; i-- > 0;) {
        struct machine *machine = pipeline->machines[i];
        int error = failure ? failure : start_thread(machine);
        if (error < 0 && !failure) {
            struct weir_error words = {0};
            failure = weir_fail(&words, error,
                                "cannot start thread %u of %u: %s; lower run.lanes or raise the limit on "
                                "processes (ulimit -u)",
                                pipeline->machine_count - i, pipeline->machine_count, strerror(-error));
            pipeline_fail(pipeline, &words);
        }
    }
    if (!failure)
        return 0;
    /* Lanes and sinks end when their sources have: with a source missing they never would. */
    for (uint32_t i = 0; i < pipeline->machine_count; i++)
        if (!pipeline->machines[i]->has_thread)
            machine_main(pipeline->machines[i]);
    return failure;
}

void threads_join(struct pipeline *pipeline)
{
    for (uint32_t i = 0; i < pipeline->machine_count; i++) {
        struct machine *machine = pipeline->machines[i];
        if (machine->has_thread)
            pthread_join(machine->thread, NULL);
        machine->has_thread = false;
    }
}
