/* SPDX-License-Identifier: MIT */
/*
 * The runner that has all machines on the calling thread, each as a coroutine, and time as a number. Which of the
 * machines that could run goes next is drawn from a seed: another seed, another interleaving; the same seed, the same
 * run. When none can run, time jumps to the next deadline. The simulated machine has one processor: work (weir_burn)
 * takes simulated time from all.
 */
#include "flow/engine.h"

#include "async/coroutine.h"
#include "base/error.h"
#include "base/hash.h"

#include <errno.h>

static void machine_entry(void *argument)
{
    struct machine *machine = argument;
    for (;;) {
        enum step step = machine->step(machine);
        if (step == STEP_DONE)
            break;
        if (step == STEP_RAN) {
            waiter_wake(&machine->waiter); /* runnable: but let others go first if the seed says so */
            machine->wake_at = INT64_MAX;
            coroutine_suspend(machine->coroutine);
            (void)waiter_take(&machine->waiter);
            continue;
        }
        machine_park(machine, machine->deadline, step == STEP_BLOCKED);
    }
    pipeline_machine_done(machine);
}

/* What parking means here: say until when, and let the scheduler go on. */
static void park(struct weir_waiter *waiter, int64_t deadline_ns)
{
    struct machine *machine = waiter->owner;
    machine->wake_at = deadline_ns;
    coroutine_suspend(machine->coroutine);
}

int simulated_start(struct pipeline *pipeline)
{
    for (uint32_t i = 0; i < pipeline->machine_count; i++) {
        struct machine *machine = pipeline->machines[i];
        machine->waiter.park_hook = park;
        machine->waiter.owner = machine;
        machine->coroutine = coroutine_new(machine_entry, machine, COROUTINE_STACK);
        if (!machine->coroutine) { /* none has begun, so none need end */
            atomic_store(&pipeline->machines_left, 0);
            struct weir_error words = {0};
            (void)weir_fail(&words, -ENOMEM, "out of memory for the stacks of %u machines", pipeline->machine_count);
            pipeline_fail(pipeline, &words);
            return -ENOMEM;
        }
        machine->wake_at = INT64_MAX;
        waiter_wake(&machine->waiter);
    }
    return 0;
}

static uint64_t draw(struct pipeline *pipeline)
{
    pipeline->random += 0x9e3779b97f4a7c15ULL;
    return hash_u64(pipeline->random);
}

static bool runnable(struct machine *machine, int64_t now)
{
    return !machine->done && (!waiter_parked(&machine->waiter) || machine->wake_at <= now);
}

static struct machine *choose(struct pipeline *pipeline, int64_t now)
{
    uint32_t start = (uint32_t)(draw(pipeline) % pipeline->machine_count);
    for (uint32_t i = 0; i < pipeline->machine_count; i++) {
        struct machine *machine = pipeline->machines[(start + i) % pipeline->machine_count];
        if (runnable(machine, now))
            return machine;
    }
    return NULL;
}

static int64_t next_deadline(const struct pipeline *pipeline)
{
    int64_t next = INT64_MAX;
    for (uint32_t i = 0; i < pipeline->machine_count; i++) {
        const struct machine *machine = pipeline->machines[i];
        if (!machine->done && machine->wake_at < next)
            next = machine->wake_at;
    }
    return next;
}

int simulated_run(struct pipeline *pipeline, int64_t until_ns)
{
    while (atomic_load(&pipeline->machines_left)) {
        int64_t now = pipeline_now(pipeline);
        if (now >= until_ns)
            return 0;
        struct machine *machine = choose(pipeline, now);
        if (machine) {
            coroutine_resume(machine->coroutine);
            continue;
        }
        int64_t next = next_deadline(pipeline);
        if (next == INT64_MAX && until_ns == INT64_MAX) {
            struct weir_error error = {0};
            weir_fail(&error, -EDEADLK, "nothing can go on: every machine waits for another");
            if (pipeline_aborting(pipeline))
                return -EDEADLK;
            pipeline_fail(pipeline, &error);
            continue;
        }
        atomic_store(&pipeline->clock.now, next < until_ns ? next : until_ns);
    }
    return 1;
}
