/* SPDX-License-Identifier: MIT */
/*
 * The runner that has all machines on the calling thread, each as a coroutine, and time as a number. Which of the
 * machines that could run goes next is drawn from a seed: another seed, another interleaving; the same seed, the same
 * run. When none can run, time jumps to the next deadline. The simulated machine has one processor: work (weir_burn)
 * takes simulated time from all.
 */
#include "flow/engine.h"

#include "async/coroutine.h"
#include "async/loop.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/memory.h"

#include <errno.h>

enum { PEER_TURNS_MOST = 1000 }; /* until it waits, before anything else begins */

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

/* Whom the pipeline talks to, for as long as any machine of its own runs. */
static void peer_entry(void *argument)
{
    struct machine *machine = argument;
    const struct pipeline_options *options = &machine->pipeline->options;
    const struct loop_options how = {.outer = &machine->context, .network = options->network};
    struct loop *loop = NULL;
    int error = loop_new(&how, &loop);
    if (error == 0)
        error = loop_run(loop, "peer", options->peer, options->peer_owner);
    loop_free(loop);
    if (error < 0 && error != -ECANCELED)
        pipeline_notice(machine->pipeline, "peer", "peer", "whom the simulated network leads to has ended early");
    machine->done = true;
}

/* What parking means here: say until when, and let the scheduler go on. */
static void park(struct weir_waiter *waiter, int64_t deadline_ns)
{
    struct machine *machine = waiter->owner;
    machine->wake_at = deadline_ns;
    coroutine_suspend(machine->coroutine);
}

static int fail_start(struct pipeline *pipeline)
{
    struct weir_error words = {0};
    atomic_store(&pipeline->machines_left, 0); /* none has begun, so none need end */
    (void)weir_fail(&words, -ENOMEM, "out of memory for the stacks of %u machines", pipeline->machine_count);
    pipeline_fail(pipeline, &words);
    return -ENOMEM;
}

static int make_peer(struct pipeline *pipeline)
{
    if (!pipeline->options.peer)
        return 0;
    struct machine *peer = pipeline->peer = memory_zeroed(1, sizeof *peer);
    if (!peer)
        return -ENOMEM;
    peer->pipeline = pipeline;
    waiter_init(&peer->waiter);
    peer->waiter.park_hook = park;
    peer->waiter.owner = peer;
    peer->context = (struct weir_context){
        .clock = &pipeline->clock, .waiter = &peer->waiter, .cancelled = &pipeline->peer_over, .cancel_fd = -1};
    peer->coroutine = coroutine_new(peer_entry, peer, COROUTINE_STACK);
    peer->wake_at = INT64_MAX;
    waiter_wake(&peer->waiter);
    return peer->coroutine ? 0 : -ENOMEM;
}

void simulated_end(struct pipeline *pipeline)
{
    if (pipeline->peer)
        coroutine_free(pipeline->peer->coroutine);
    memory_free(pipeline->peer);
}

static bool runnable(struct machine *machine, int64_t now)
{
    return !machine->done && (!waiter_parked(&machine->waiter) || machine->wake_at <= now);
}

/* Whom the pipeline talks to was there before it. */
static void settle_peer(struct pipeline *pipeline)
{
    for (int turn = 0; pipeline->peer && turn < PEER_TURNS_MOST && runnable(pipeline->peer, pipeline_now(pipeline));
         turn++)
        coroutine_resume(pipeline->peer->coroutine);
}

int simulated_start(struct pipeline *pipeline)
{
    if (make_peer(pipeline) < 0)
        return fail_start(pipeline);
    for (uint32_t i = 0; i < pipeline->machine_count; i++) {
        struct machine *machine = pipeline->machines[i];
        machine->waiter.park_hook = park;
        machine->waiter.owner = machine;
        machine->coroutine = coroutine_new(machine_entry, machine, COROUTINE_STACK);
        if (!machine->coroutine)
            return fail_start(pipeline);
        machine->wake_at = INT64_MAX;
        waiter_wake(&machine->waiter);
    }
    settle_peer(pipeline);
    return 0;
}

static uint64_t draw(struct pipeline *pipeline)
{
    return hash_random(&pipeline->random);
}

/* The peer comes after the pipeline's own. NULL: there is no such machine. */
static struct machine *machine_at(struct pipeline *pipeline, uint32_t index)
{
    return index < pipeline->machine_count ? pipeline->machines[index] : pipeline->peer;
}

static struct machine *choose(struct pipeline *pipeline, int64_t now)
{
    uint32_t count = pipeline->machine_count + (pipeline->peer != NULL);
    uint32_t start = (uint32_t)(draw(pipeline) % count);
    for (uint32_t i = 0; i < count; i++) {
        struct machine *machine = machine_at(pipeline, (start + i) % count);
        if (runnable(machine, now))
            return machine;
    }
    return NULL;
}

static int64_t next_deadline(struct pipeline *pipeline)
{
    int64_t next = INT64_MAX;
    for (uint32_t i = 0; i < pipeline->machine_count + (pipeline->peer != NULL); i++) {
        const struct machine *machine = machine_at(pipeline, i);
        if (!machine->done && machine->wake_at < next)
            next = machine->wake_at;
    }
    return next;
}

/* Everything else is done: the peer cleans up, which may take it time, but time that belongs to no record. */
static void dismiss_peer(struct pipeline *pipeline)
{
    struct machine *peer = pipeline->peer;
    if (!peer || atomic_exchange(&pipeline->peer_over, true))
        return;
    int64_t now = pipeline_now(pipeline);
    waiter_wake(&peer->waiter);
    while (!peer->done) {
        if (!runnable(peer, pipeline_now(pipeline)) && peer->wake_at != INT64_MAX)
            atomic_store(&pipeline->clock.now, peer->wake_at);
        coroutine_resume(peer->coroutine);
    }
    atomic_store(&pipeline->clock.now, now);
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
    dismiss_peer(pipeline);
    return 1;
}
