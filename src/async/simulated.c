/* SPDX-License-Identifier: MIT */
#include "async/simulated.h"

/* What parking means here: the time until then passes at once. */
static void park(struct weir_waiter *waiter, int64_t deadline_ns)
{
    struct simulated *simulated = waiter->owner;
    if (deadline_ns == WEIR_NEVER) {
        simulated->stuck = true;
        atomic_store(&simulated->cancelled, true);
    } else if (deadline_ns > atomic_load_explicit(&simulated->clock.now, memory_order_relaxed)) {
        atomic_store_explicit(&simulated->clock.now, deadline_ns, memory_order_relaxed);
    }
}

void simulated_init(struct simulated *simulated)
{
    *simulated = (struct simulated){.clock = {.simulated = true, .now = CONTEXT_SIMULATED_START}};
    waiter_init(&simulated->waiter);
    simulated->waiter.park_hook = park;
    simulated->waiter.owner = simulated;
    simulated->context = (struct weir_context){
        .clock = &simulated->clock,
        .waiter = &simulated->waiter,
        .cancelled = &simulated->cancelled,
        .cancel_fd = -1,
    };
}
