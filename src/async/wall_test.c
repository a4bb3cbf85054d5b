/* SPDX-License-Identifier: MIT */
/* Tasks that stamp readings by the wall clock while somebody sets it: a window that took the newest stamp for its
 * watermark would find none of them late. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "async/loop.h"
#include "async/simulated.h"
#include "base/clock.h"

#define HOUR (3600 * CLOCK_SECOND)
enum { SENSORS = 7, READINGS = 6000 };

struct world {
    struct simulated simulated;
    int64_t watermark, ahead_most;
    uint32_t stamped, late;
};

static int64_t real(struct world *world)
{
    return CONTEXT_SIMULATED_WALL + weir_now(&world->simulated.context) - CONTEXT_SIMULATED_START +
           atomic_load(&world->simulated.clock.wall_set);
}

static int stamp(struct weir_context *context, void *argument)
{
    struct world *world = argument;
    for (int i = 0; i < READINGS; i++) {
        int64_t now = weir_wall_time(context), ahead = now - real(world);
        world->late += now < world->watermark;
        world->watermark = now > world->watermark ? now : world->watermark;
        world->ahead_most = ahead > world->ahead_most ? ahead : world->ahead_most;
        world->stamped++;
        int error = weir_sleep(context, 10 * CLOCK_SECOND);
        if (error < 0)
            return error;
    }
    return 0;
}

/* Forward by an hour, back by two, forward by half an hour, far apart, and a small step of the kind NTP makes. */
static int set_clock(struct weir_context *context, void *argument)
{
    static const int64_t steps[] = {HOUR, -2 * HOUR, HOUR / 2, -CLOCK_SECOND / 5};
    struct world *world = argument;
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        int error = weir_sleep(context, 1000 * CLOCK_SECOND);
        if (error < 0)
            return error;
        atomic_fetch_add(&world->simulated.clock.wall_set, steps[i]);
    }
    return 0;
}

static int root(struct weir_context *context, void *argument)
{
    struct weir_scope scope;
    weir_scope_open(context, &scope);
    for (int i = 0; i < SENSORS; i++)
        assert_int_equal(weir_scope_spawn(&scope, "stamp", stamp, argument), 0);
    assert_int_equal(weir_scope_spawn(&scope, "set", set_clock, argument), 0);
    return weir_scope_join(&scope);
}

static void test_nothing_is_late(void **state)
{
    (void)state;
    struct world world = {.watermark = INT64_MIN};
    simulated_init(&world.simulated);
    struct loop_options options = {.outer = &world.simulated.context};
    struct loop *loop = NULL;
    assert_int_equal(loop_new(&options, &loop), 0);
    assert_int_equal(loop_run(loop, "root", root, &world), 0);
    loop_free(loop);
    assert_int_equal(world.stamped, SENSORS * READINGS);
    assert_int_equal(world.late, 0);
    assert_in_range(world.ahead_most, HOUR, 2 * HOUR);
    assert_int_equal(weir_wall_time(&world.simulated.context), real(&world)); /* caught up with */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_nothing_is_late)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
