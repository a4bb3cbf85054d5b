/* SPDX-License-Identifier: MIT */
/*
 * A context on a simulated clock of its own, without an engine: a loop in it runs on the calling thread, and when all
 * its tasks wait, time jumps to the next timer. For tests of whatever waits, and for simulations.
 */
#ifndef ASYNC_SIMULATED_H
#define ASYNC_SIMULATED_H

#include "async/context.h"

struct simulated {
    struct weir_context context;
    struct context_clock clock;
    struct weir_waiter waiter;
    _Atomic bool cancelled;
    bool stuck; /* everybody waited, for nothing that could come: cancelled was set */
};

void simulated_init(struct simulated *simulated);

#endif
