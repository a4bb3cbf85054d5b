/* SPDX-License-Identifier: MIT */
/* Tasks, scopes and channels on the simulated clock: what each promises, one by one. */
#include "async/loop.h"

#include "async/simulated.h"
#include "base/clock.h"
#include "base/memory.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define SECOND CLOCK_SECOND

/* A log of what happened, in order. */
struct world {
    struct simulated simulated;
    struct loop *loop;
    char log[256];
    struct weir_channel *channel;
    struct weir_event event;
    int64_t start;
    int counter;
};

static void note(struct world *world, const char *what)
{
    size_t length = strlen(world->log);
    snprintf(world->log + length, sizeof world->log - length, "%s%s", length ? " " : "", what);
}

static int64_t elapsed(struct world *world, struct weir_context *context)
{
    return weir_now(context) - world->start;
}

static int run_root(struct world *world, weir_task_run *root)
{
    struct loop_options options = {.outer = &world->simulated.context, .sequential = world->counter == -1};
    simulated_init(&world->simulated);
    world->start = world->simulated.clock.now;
    assert_int_equal(loop_new(&options, &world->loop), 0);
    int result = loop_run(world->loop, "root", root, world);
    struct loop_counters counters;
    loop_count(world->loop, &counters);
    assert_int_equal(counters.live, 0);
    assert_false(world->simulated.stuck);
    loop_free(world->loop);
    return result;
}

/* ---- Tasks that are used below ---- */

struct sleeper {
    struct world *world;
    const char *name;
    int64_t duration;
    int result;
};

static int sleep_then(struct weir_context *context, void *argument)
{
    struct sleeper *sleeper = argument;
    int error = weir_sleep(context, sleeper->duration);
    note(sleeper->world, error == -ECANCELED ? "cancelled" : sleeper->name);
    return error < 0 ? error : sleeper->result;
}

/* ---- Gather ---- */

static int gather_ten(struct weir_context *context, void *argument)
{
    struct world *world = argument;
    struct sleeper sleepers[10];
    struct weir_scope scope;
    weir_scope_open(context, &scope);
    for (int i = 0; i < 10; i++) {
        sleepers[i] = (struct sleeper){world, (const char *[]){"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"}[i],
                                       (10 - i) * SECOND, 0};
        assert_int_equal(weir_scope_spawn(&scope, sleepers[i].name, sleep_then, &sleepers[i]), 0);
    }
    assert_int_equal(weir_scope_live(&scope), 10);
    assert_int_equal(weir_scope_join(&scope), 0);
    assert_int_equal(elapsed(world, context), 10 * SECOND);
    return 7;
}

static void test_gather(void **state)
{
    (void)state;
    struct world world = {0};
    assert_int_equal(run_root(&world, gather_ten), 7);
    assert_string_equal(world.log, "j i h g f e d c b a");
}

static int gather_failing(struct weir_context *context, void *argument)
{
    struct world *world = argument;
    struct sleeper slow = {world, "slow", 9 * SECOND, 0}, bad = {world, "bad", 2 * SECOND, -EIO};
    struct weir_scope scope;
    weir_scope_open(context, &scope);
    weir_scope_spawn(&scope, "slow", sleep_then, &slow);
    weir_scope_spawn(&scope, "bad", sleep_then, &bad);
    assert_int_equal(weir_scope_join(&scope), -EIO);
    assert_int_equal(elapsed(world, context), 2 * SECOND);
    weir_scope_open(context, &scope); /* our own cancellation is no failure */
    weir_scope_spawn(&scope, "slow", sleep_then, &slow);
    assert_int_equal(weir_yield(context), 0);
    weir_scope_cancel(&scope);
    assert_int_equal(weir_scope_spawn(&scope, "late", sleep_then, &slow), -ECANCELED);
    assert_int_equal(weir_scope_join(&scope), 0);
    weir_scope_open(context, &scope); /* a deadline */
    weir_scope_spawn(&scope, "slow", sleep_then, &slow);
    weir_scope_deadline(&scope, weir_now(context) + SECOND);
    assert_int_equal(weir_scope_join(&scope), -ETIMEDOUT);
    assert_int_equal(elapsed(world, context), 3 * SECOND);
    return 0;
}

static void test_the_first_error_cancels_the_rest(void **state)
{
    (void)state;
    struct world world = {0};
    assert_int_equal(run_root(&world, gather_failing), 0);
    assert_string_equal(world.log, "bad cancelled cancelled cancelled");
}

/* ---- Race, wait_below, with_deadline ---- */

static int race(struct weir_context *context, void *argument)
{
    struct world *world = argument;
    struct sleeper slow = {world, "slow", 9 * SECOND, 0}, fast = {world, "fast", 2 * SECOND, 5};
    struct weir_scope scope;
    weir_scope_open(context, &scope);
    weir_scope_spawn(&scope, "slow", sleep_then, &slow);
    weir_scope_spawn(&scope, "fast", sleep_then, &fast);
    assert_int_equal(weir_scope_race(&scope), 5);
    assert_int_equal(elapsed(world, context), 2 * SECOND);
    weir_scope_open(context, &scope);
    assert_int_equal(weir_scope_race(&scope), -ECHILD);
    weir_scope_open(context, &scope);
    weir_scope_spawn(&scope, "slow", sleep_then, &slow);
    weir_scope_deadline(&scope, weir_now(context) + SECOND);
    assert_int_equal(weir_scope_race(&scope), -ETIMEDOUT);
    assert_int_equal(weir_with_deadline(context, weir_now(context) + SECOND, sleep_then, &slow), -ETIMEDOUT);
    assert_int_equal(weir_with_deadline(context, weir_now(context) + 3 * SECOND, sleep_then, &fast), 0);
    return 0;
}

static void test_race_and_deadlines(void **state)
{
    (void)state;
    struct world world = {0};
    assert_int_equal(run_root(&world, race), 0);
    assert_string_equal(world.log, "fast cancelled cancelled cancelled fast");
}

static int few_at_a_time(struct weir_context *context, void *argument)
{
    struct world *world = argument;
    struct sleeper each = {world, "x", SECOND, 0};
    struct weir_scope scope;
    weir_scope_open(context, &scope);
    for (int i = 0; i < 9; i++) {
        assert_int_equal(weir_scope_wait_below(&scope, 2, WEIR_NEVER), 0);
        weir_scope_spawn(&scope, "x", sleep_then, &each);
    }
    assert_int_equal(elapsed(world, context), 2 * SECOND);
    assert_int_equal(weir_scope_wait_below(&scope, 0, weir_now(context) + 1), -ETIMEDOUT);
    assert_int_equal(weir_scope_join(&scope), 0);
    assert_int_equal(elapsed(world, context), 3 * SECOND);
    return 0;
}

static void test_few_at_a_time(void **state)
{
    (void)state;
    struct world world = {0};
    assert_int_equal(run_root(&world, few_at_a_time), 0);
}

/* ---- Cancellation: nested, shielded, with cleanup ---- */

static void note_release(void *argument)
{
    struct sleeper *sleeper = argument;
    note(sleeper->world, sleeper->name);
}

static int clean_up(struct weir_context *context, void *argument)
{
    struct world *world = argument;
    struct sleeper first = {world, "first", 0, 0}, second = {world, "second", 0, 0};
    static struct sleeper kept[2];
    kept[0] = first;
    kept[1] = second;
    weir_defer(context, note_release, &kept[0]);
    weir_defer(context, note_release, &kept[1]);
    assert_int_equal(weir_sleep(context, 100 * SECOND), -ECANCELED);
    assert_true(weir_stopping(context));
    assert_int_equal(weir_sleep(context, SECOND), -ECANCELED);
    assert_int_equal(weir_yield(context), -ECANCELED);
    int64_t before = weir_now(context);
    weir_shield(context, true);
    weir_shield(context, true);
    assert_false(weir_stopping(context));
    assert_int_equal(weir_sleep(context, SECOND), 0);
    weir_shield(context, false);
    assert_int_equal(weir_sleep(context, SECOND), 0);
    weir_shield(context, false);
    assert_int_equal(weir_now(context) - before, 2 * SECOND);
    assert_int_equal(weir_sleep(context, SECOND), -ECANCELED);
    note(world, "end");
    return -ECANCELED;
}

static int nested(struct weir_context *context, void *argument)
{
    struct weir_scope scope;
    weir_scope_open(context, &scope);
    weir_scope_spawn(&scope, "clean_up", clean_up, argument);
    int result = weir_scope_join(&scope);
    assert_int_equal(result, -ECANCELED);
    struct world *world = argument;
    note(world, "nested");
    return result;
}

static int cancel_nested(struct weir_context *context, void *argument)
{
    struct world *world = argument;
    struct weir_scope scope;
    weir_scope_open(context, &scope);
    weir_scope_spawn(&scope, "nested", nested, argument);
    weir_sleep(context, SECOND);
    weir_scope_close(&scope);
    assert_int_equal(elapsed(world, context), 3 * SECOND);
    return 0;
}

static void test_cancellation_cleans_up(void **state)
{
    (void)state;
    struct world world = {0};
    assert_int_equal(run_root(&world, cancel_nested), 0);
    assert_string_equal(world.log, "end second first nested");
}

static int forever(struct weir_context *context, void *argument)
{
    struct world *world = argument;
    world->simulated.cancelled = true; /* the outer context, from outside */
    assert_int_equal(weir_sleep(context, 1000 * SECOND), -ECANCELED);
    return -ECANCELED;
}

static void test_the_outer_context_is_cancelled(void **state)
{
    (void)state;
    struct world world = {0};
    assert_int_equal(run_root(&world, forever), -ECANCELED);
}

/* ---- Channels ---- */

static int produce(struct weir_context *context, void *argument)
{
    struct world *world = argument;
    for (uint64_t i = 0; i < 100; i++)
        assert_int_equal(weir_channel_send(context, world->channel, &i, WEIR_NEVER), 0);
    weir_channel_close(world->channel);
    uint64_t item = 0;
    assert_int_equal(weir_channel_send(context, world->channel, &item, WEIR_NEVER), -EPIPE);
    return 0;
}

static int consume(struct weir_context *context, void *argument)
{
    struct world *world = argument;
    uint64_t item;
    for (uint64_t i = 0; i < 100; i++) {
        assert_int_equal(weir_channel_receive(context, world->channel, &item, WEIR_NEVER), 0);
        assert_int_equal(item, i);
        if (i % 10 == 0)
            weir_sleep(context, SECOND);
    }
    assert_int_equal(weir_channel_receive(context, world->channel, &item, WEIR_NEVER), -EPIPE);
    return 0;
}

static int pass_items(struct weir_context *context, void *argument)
{
    struct world *world = argument;
    struct weir_scope scope;
    uint64_t item;
    assert_int_equal(weir_channel_try_receive(world->channel, &item), -EAGAIN);
    assert_int_equal(weir_channel_receive(context, world->channel, &item, weir_now(context) + SECOND), -ETIMEDOUT);
    weir_scope_open(context, &scope);
    weir_scope_spawn(&scope, "consume", consume, world);
    weir_scope_spawn(&scope, "produce", produce, world);
    return weir_scope_join(&scope);
}

static void test_channels(void **state)
{
    (void)state;
    for (uint32_t capacity = 1; capacity < 200; capacity += 7) {
        struct world world = {.channel = weir_channel_new(sizeof(uint64_t), capacity)};
        assert_int_equal(run_root(&world, pass_items), 0);
        assert_int_equal(weir_channel_count(world.channel), 0);
        weir_channel_free(world.channel);
    }
    assert_null(weir_channel_new(8, 0));
    assert_null(weir_channel_new(SIZE_MAX / 2, 4));
}

/* ---- One after the other ---- */

static int two_in_sequence(struct weir_context *context, void *argument)
{
    struct world *world = argument;
    struct sleeper slow = {world, "slow", 3 * SECOND, 0}, fast = {world, "fast", SECOND, 0};
    struct weir_scope scope;
    weir_scope_open(context, &scope);
    weir_scope_spawn(&scope, "slow", sleep_then, &slow);
    assert_int_equal(elapsed(world, context), 3 * SECOND);
    weir_scope_spawn(&scope, "fast", sleep_then, &fast);
    assert_int_equal(weir_yield(context), 0);
    assert_int_equal(weir_scope_join(&scope), 0);
    assert_int_equal(elapsed(world, context), 4 * SECOND);
    assert_int_equal(weir_with_deadline(context, weir_now(context) + SECOND, sleep_then, &slow), -ETIMEDOUT);
    return 0;
}

static void test_sequential(void **state)
{
    (void)state;
    struct world world = {.counter = -1};
    assert_int_equal(run_root(&world, two_in_sequence), 0);
    assert_string_equal(world.log, "slow fast cancelled");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gather),
        cmocka_unit_test(test_the_first_error_cancels_the_rest),
        cmocka_unit_test(test_race_and_deadlines),
        cmocka_unit_test(test_few_at_a_time),
        cmocka_unit_test(test_cancellation_cleans_up),
        cmocka_unit_test(test_the_outer_context_is_cancelled),
        cmocka_unit_test(test_channels),
        cmocka_unit_test(test_sequential),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
