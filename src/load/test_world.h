/* SPDX-License-Identifier: MIT */
/* For the tests of load: a simulated server on the simulated clock, and a task that puts it under load. */
#ifndef LOAD_TEST_WORLD_H
#define LOAD_TEST_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "async/loop.h"
#include "async/network.h"
#include "async/simulated.h"
#include "base/clock.h"
#include "base/memory.h"
#include "load/sweep.h"
#include "sim/random.h"
#include "sim/server.h"

#define SECOND CLOCK_SECOND
#define MILLISECOND CLOCK_MILLISECOND

enum { SEEDS = 20 };

struct world {
    struct simulated simulated;
    struct server_options server;
    struct server *peer;
    struct load_target target;
    struct load_tally *tally;
    struct sweep *sweep;
    struct weir_context *context; /* of the test's task */
    struct weir_scope scope;      /* the server's */
    int (*test)(struct world *world);
    int64_t dies_ns; /* when the server ends; 0: never */
    uint32_t runs;
    const void *more;
};

static inline int serve(struct weir_context *context, void *argument)
{
    struct world *world = argument;
    return server_serve(context, world->peer, "peer", 80, NULL, NULL);
}

static inline int serve_for_a_while(struct weir_context *context, void *argument)
{
    struct world *world = argument;
    int error = weir_with_deadline(context, weir_now(context) + world->dies_ns, serve, world);
    return error == -ETIMEDOUT ? 0 : error;
}

static inline int run_root(struct weir_context *context, void *argument)
{
    struct world *world = argument;
    world->context = context;
    assert_int_equal(server_new(&world->server, &world->peer), 0);
    weir_scope_open(context, &world->scope);
    assert_int_equal(weir_scope_spawn(&world->scope, "server", world->dies_ns ? serve_for_a_while : serve, world), 0);
    (void)weir_yield(context);
    int result = world->test(world);
    weir_scope_close(&world->scope);
    server_free(world->peer);
    return result;
}

static inline void in_world(struct world *world, int (*test)(struct world *))
{
    struct loop *loop;
    simulated_init(&world->simulated);
    struct network *network = network_new(world->server.seed);
    world->test = test;
    world->target.request.url = "http://peer/";
    world->target.timeout_ns = world->target.timeout_ns ? world->target.timeout_ns : 1000 * SECOND;
    memset(&world->target.statuses[200], true, 100);
    world->tally = memory_zeroed(1, sizeof *world->tally);
    struct loop_options options = {.outer = &world->simulated.context, .network = network};
    assert_int_equal(loop_new(&options, &loop), 0);
    assert_int_equal(loop_run(loop, "test", run_root, world), 0);
    loop_free(loop);
    network_free(network);
    memory_free(world->tally);
}

static inline void assert_within(double value, double truth, double share, const char *what, uint64_t seed)
{
    if (fabs(value - truth) > share * truth)
        fail_msg("seed %llu: %s is %g, should be %g within %g %%", (unsigned long long)seed, what, value, truth,
                 share * 100);
}

#endif
