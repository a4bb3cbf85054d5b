/* SPDX-License-Identifier: MIT */
/* The breaker against a model that remembers everything that was reported, and around a server on the simulated clock.
 */
#include "async/breaker.h"

#include "async/loop.h"
#include "async/simulated.h"
#include "base/clock.h"
#include "base/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

enum { SEEDS = 300, STEPS = 400, FAILURES = 3 };

/* The words of the header, taken literally: a history of good and bad, and the time of the last opening. */
struct model {
    char history[STEPS + 1]; /* 'g', 'b' of calls while it was not open */
    int length;
    bool open, probe_allowed; /* probe_allowed: somebody was let through since it has opened */
    int64_t since, pause, first, most;
    int64_t times[STEPS]; /* of the history */
};

static int bad_in_a_row(const struct model *model)
{
    int count = 0;
    while (count < model->length && model->history[model->length - 1 - count] == 'b')
        count++;
    return count;
}

static bool model_allow(struct model *model, int64_t now)
{
    if (!model->open)
        return true;
    if (now < model->since + model->pause || model->probe_allowed)
        return false;
    model->probe_allowed = true;
    return true;
}

static void model_report(struct model *model, int64_t now, bool good)
{
    if (model->open && now < model->since + model->pause && !model->probe_allowed)
        return;
    bool half_open = model->open;
    model->times[model->length] = now;
    model->history[model->length++] = good ? 'g' : 'b';
    model->probe_allowed = false;
    if (good) {
        model->open = false;
        model->pause = model->first;
    } else if (half_open || bad_in_a_row(model) >= FAILURES) {
        if (half_open)
            model->pause = model->pause * 2 > model->most ? model->most : model->pause * 2;
        model->open = true;
        model->since = now;
    }
}

/* One caller: asks, and reports or withdraws. */
static void follow_model(uint64_t seed)
{
    uint64_t random = seed;
    int64_t now = 1;
    const struct breaker_options options = {FAILURES, CLOCK_SECOND, 5 * CLOCK_SECOND};
    struct breaker breaker;
    struct model model = {.pause = CLOCK_SECOND, .first = CLOCK_SECOND, .most = 5 * CLOCK_SECOND};
    uint64_t badness = hash_random(&random) % 100;
    breaker_init(&breaker, &options);
    for (int i = 0; i < STEPS; i++) {
        now += (int64_t)(hash_random(&random) % (2 * CLOCK_SECOND));
        bool expected = model_allow(&model, now);
        if (breaker_allow(&breaker, now) != expected)
            fail_msg("seed %llu, step %d: %s, the model says the opposite", (unsigned long long)seed, i,
                     expected ? "refused" : "allowed");
        if (!expected)
            continue;
        now += (int64_t)(hash_random(&random) % CLOCK_SECOND);
        if (hash_random(&random) % 10 == 0) {
            breaker_withdraw(&breaker);
            model.probe_allowed = false;
            continue;
        }
        bool good = hash_random(&random) % 100 >= badness;
        breaker_report(&breaker, now, good);
        model_report(&model, now, good);
        assert_int_equal(breaker.state == BREAKER_CLOSED, !model.open);
        if (!good)
            assert_int_equal(breaker.failing_since, model.times[model.length - bad_in_a_row(&model)]);
        if (breaker.state == BREAKER_OPEN)
            assert_int_equal(breaker_next(&breaker), model.since + model.pause);
    }
}

static void test_follows_a_model(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        follow_model(seed);
}

static void test_never_opens_without_a_number(void **state)
{
    (void)state;
    struct breaker breaker;
    breaker_init(&breaker, &(struct breaker_options){0, CLOCK_SECOND, CLOCK_SECOND});
    for (int i = 0; i < 1000; i++) {
        assert_true(breaker_allow(&breaker, i));
        breaker_report(&breaker, i, false);
    }
    assert_int_equal(breaker.opened, 0);
}

static void test_late_answers_change_nothing(void **state)
{
    (void)state;
    struct breaker breaker;
    breaker_init(&breaker, &(struct breaker_options){2, 10, 100});
    for (int i = 0; i < 4; i++)
        assert_true(breaker_allow(&breaker, 1));
    breaker_report(&breaker, 2, false);
    breaker_report(&breaker, 3, false);
    assert_int_equal(breaker.state, BREAKER_OPEN);
    breaker_report(&breaker, 4, true); /* asked before it has opened */
    breaker_report(&breaker, 4, false);
    assert_int_equal(breaker.state, BREAKER_OPEN);
    assert_int_equal(breaker_next(&breaker), 13);
    assert_false(breaker_allow(&breaker, 12));
    assert_true(breaker_allow(&breaker, 13));
    assert_false(breaker_allow(&breaker, 13)); /* one probe at a time */
    breaker_report(&breaker, 14, true);
    assert_int_equal(breaker.state, BREAKER_CLOSED);
    assert_string_equal(breaker_state_name(breaker.state), "closed");
}

/* ---- Around a server ----------------------------------------------------------------------------------------------
 */

/* Up, but for a minute in the middle of three. */
struct world {
    struct breaker breaker;
    uint64_t random, asked_down, asked_up, refused;
};

static int call_server(struct weir_context *context, void *argument)
{
    struct world *world = argument;
    while (weir_now(context) < 180 * CLOCK_SECOND) {
        int64_t now = weir_now(context);
        bool down = now >= 60 * CLOCK_SECOND && now < 120 * CLOCK_SECOND;
        if (breaker_allow(&world->breaker, now)) {
            *(down ? &world->asked_down : &world->asked_up) += 1;
            int error = weir_sleep(context, (int64_t)(hash_random(&world->random) % (20 * CLOCK_MILLISECOND)));
            if (error < 0)
                return error;
            breaker_report(&world->breaker, weir_now(context), !down);
        } else {
            world->refused++;
        }
        int error = weir_sleep(context, (int64_t)(hash_random(&world->random) % (200 * CLOCK_MILLISECOND)));
        if (error < 0)
            return error;
    }
    return 0;
}

static int call_from_tasks(struct weir_context *context, void *argument)
{
    struct weir_scope scope;
    weir_scope_open(context, &scope);
    for (int i = 0; i < 10; i++)
        assert_int_equal(weir_scope_spawn(&scope, "caller", call_server, argument), 0);
    return weir_scope_join(&scope);
}

static void test_leaves_a_dead_server_alone(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct simulated simulated;
        struct loop *loop;
        struct world world = {.random = seed};
        simulated_init(&simulated);
        breaker_init(&world.breaker, &(struct breaker_options){5, CLOCK_SECOND, 10 * CLOCK_SECOND});
        const struct loop_options options = {.outer = &simulated.context};
        assert_int_equal(loop_new(&options, &loop), 0);
        assert_int_equal(loop_run(loop, "root", call_from_tasks, &world), 0);
        loop_free(loop);
        print_message("seed %llu: asked %llu times while it was up, %llu while it was down\n", (unsigned long long)seed,
                      (unsigned long long)world.asked_up, (unsigned long long)world.asked_down);
        assert_in_range(world.asked_down, 5 + 6, 5 + 10 + 10); /* until it opens; 1 + 2 + 4 + 8 + 10 + 10 + … s */
        assert_true(world.asked_up > 7000); /* ten callers, eleven times a second each, but for the last pause */
        assert_int_equal(world.breaker.state, BREAKER_CLOSED);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_follows_a_model),
        cmocka_unit_test(test_never_opens_without_a_number),
        cmocka_unit_test(test_late_answers_change_nothing),
        cmocka_unit_test(test_leaves_a_dead_server_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
