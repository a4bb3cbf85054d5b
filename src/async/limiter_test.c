/* SPDX-License-Identifier: MIT */
/*
 * The limit against a model of a server: `workers` that each take a service time, a queue without end, and clients that
 * give up after a timeout while the server goes on with what they asked. Time is a number; nothing waits.
 */
#include "async/limiter.h"

#include "base/clock.h"
#include "base/hash.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

enum { CALLS = 512 };
struct call {
    int64_t started, ends; /* ends: when the client hears of it, or gives up */
    bool good, busy;
};
struct model {
    struct limiter limiter;
    struct call calls[CALLS];
    int64_t free_at[256]; /* when each worker is done with what it has */
    uint32_t workers;
    double service;
    bool exponential;
    int64_t timeout, now;
    uint64_t random, good, failed;
    double noise;              /* exponential, on the client's side */
    int64_t pause, next_pause; /* now and then it hears of nothing for so long */
    uint32_t offered;          /* most that the client ever wants in flight; 0: no limit */
};

static double uniform(struct model *model)
{
    return (double)(hash_random(&model->random) >> 11) * 0x1p-53;
}

/* When the client hears of it: a busy machine is not punctual, and at times stands still. */
static int64_t heard_at(struct model *model, int64_t answered)
{
    int64_t heard = answered;
    if (model->noise > 0)
        heard += (int64_t)(-model->noise * log(1 - uniform(model)));
    while (model->pause && model->next_pause + model->pause < heard)
        model->next_pause += model->pause + (int64_t)(-10 * (double)model->pause * log(1 - uniform(model)));
    return model->pause && heard >= model->next_pause ? model->next_pause + model->pause : heard;
}

static void make_call(struct model *model, struct call *call)
{
    uint32_t worker = 0;
    for (uint32_t i = 1; i < model->workers; i++)
        if (model->free_at[i] < model->free_at[worker])
            worker = i;
    double service = model->exponential ? -model->service * log(1 - uniform(model)) : model->service;
    int64_t begins = model->free_at[worker] > model->now ? model->free_at[worker] : model->now;
    model->free_at[worker] = begins + (int64_t)service;
    call->busy = true;
    call->started = model->now;
    call->good = model->free_at[worker] - model->now <= model->timeout;
    call->ends = call->good ? heard_at(model, model->free_at[worker]) : model->now + model->timeout;
}

static void run(struct model *model, int64_t duration)
{
    int64_t end = model->now + duration;
    struct limiter *limiter = &model->limiter;
    model->good = model->failed = 0;
    while (model->now < end) {
        struct call *next = NULL, *spare = NULL;
        for (int i = 0; i < CALLS; i++) {
            struct call *call = &model->calls[i];
            if (call->busy && (!next || call->ends < next->ends))
                next = call;
            if (!call->busy)
                spare = call;
        }
        if (spare && limiter->in_flight < limiter->limit && (!model->offered || limiter->in_flight < model->offered)) {
            assert_int_equal(limiter_acquire(NULL, limiter, WEIR_NEVER), 0);
            make_call(model, spare);
            continue;
        }
        assert_non_null(next);
        model->now = next->ends;
        next->busy = false;
        model->good += next->good;
        model->failed += !next->good;
        limiter_release(limiter, next->started, model->now, next->good ? LIMITER_GOOD : LIMITER_OVERLOAD);
    }
}

static void set_workers(struct model *model, uint32_t workers)
{
    for (uint32_t i = model->workers; i < workers; i++)
        model->free_at[i] = model->now;
    model->workers = workers;
}

static void expect_good(struct model *model, const char *when)
{
    double seconds = 10, best = model->workers / (model->service * 1e-9) * seconds;
    double success = (double)model->good / (double)(model->good + model->failed), share = (double)model->good / best;
    print_message("%s: limit %u, success %.4f, goodput %.3f of the best\n", when, model->limiter.limit, success, share);
    assert_true(success >= 0.995);
    assert_true(share >= 0.9);
}

/* Ten seconds to settle, ten judged; then the capacity halves, and doubles. */
static void follow_capacity(bool exponential, uint64_t seed)
{
    static struct model model;
    model = (struct model){
        .service = 50e6, .exponential = exponential, .timeout = CLOCK_SECOND, .now = 1, .random = seed};
    const struct limiter_options options = {.adaptive = true, .most = CALLS};
    limiter_init(&model.limiter, &options);
    set_workers(&model, 50);
    run(&model, 10 * CLOCK_SECOND);
    run(&model, 10 * CLOCK_SECOND);
    expect_good(&model, "at first");
    set_workers(&model, 25);
    run(&model, 10 * CLOCK_SECOND);
    run(&model, 10 * CLOCK_SECOND);
    expect_good(&model, "capacity halved");
    set_workers(&model, 50);
    run(&model, 10 * CLOCK_SECOND);
    run(&model, 10 * CLOCK_SECOND);
    expect_good(&model, "capacity doubled");
}

static void test_follows_a_server_of_constant_speed(void **state)
{
    (void)state;
    follow_capacity(false, 1);
}

static void test_follows_a_server_of_random_speed(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 8; seed++)
        follow_capacity(true, seed);
}

/* Round trips of 5 ms, 200 at a time are right: a client that is late, or stands still for as long as a round trip,
 * must not be taken for a server that is too busy. */
static void test_noise_does_not_hold_it_down(void **state)
{
    (void)state;
    static const double noises[] = {0.2e6, 1e6};
    for (int i = 0; i < 4; i++) {
        static struct model model;
        model = (struct model){.service = 5e6,
                               .timeout = CLOCK_SECOND,
                               .now = 1,
                               .random = (uint64_t)i,
                               .noise = noises[i % 2],
                               .pause = i < 2 ? 0 : 5 * CLOCK_MILLISECOND};
        const struct limiter_options options = {.adaptive = true, .most = CALLS};
        limiter_init(&model.limiter, &options);
        set_workers(&model, 200);
        run(&model, 1000 * CLOCK_MILLISECOND);
        run(&model, 250 * CLOCK_MILLISECOND);
        double share = (double)model.good / (200 / 5e-3 * 0.25);
        print_message("noise %g ms, pause %g ms: limit %u, %.3f of the best\n", model.noise / 1e6,
                      (double)model.pause / 1e6, model.limiter.limit, share);
        assert_true(share >= 0.9);
        assert_true(model.failed == 0);
    }
}

/* Nothing ever fails, as there is no timeout: round trips alone keep it from creeping up. */
static void test_does_not_creep(void **state)
{
    (void)state;
    for (int exponential = 0; exponential < 2; exponential++) {
        static struct model model;
        model = (struct model){
            .service = 5e6, .exponential = exponential, .timeout = 1000 * CLOCK_SECOND, .now = 1, .random = 3};
        const struct limiter_options options = {.adaptive = true, .most = CALLS};
        limiter_init(&model.limiter, &options);
        set_workers(&model, 20);
        for (int second = 0; second < 12; second++) {
            run(&model, CLOCK_SECOND);
            assert_true(second < 5 || model.limiter.limit <= 20 * 4);
        }
        assert_true(model.limiter.limit >= 18);
    }
}

/* A server that takes four times as long for good: that is no reason to do less at a time. */
static void test_a_slower_server_is_not_starved(void **state)
{
    (void)state;
    static struct model model;
    model = (struct model){.service = 5e6, .timeout = CLOCK_SECOND, .now = 1, .random = 5};
    const struct limiter_options options = {.adaptive = true, .most = CALLS};
    limiter_init(&model.limiter, &options);
    set_workers(&model, 50);
    run(&model, 5 * CLOCK_SECOND);
    model.service = 20e6;
    run(&model, 10 * CLOCK_SECOND);
    run(&model, 10 * CLOCK_SECOND);
    expect_good(&model, "four times slower");
}

/* A client that never wants more than 5 at a time must not end up with a limit of hundreds. */
static void test_does_not_grow_when_its_limit_was_not_reached(void **state)
{
    (void)state;
    static struct model model;
    model = (struct model){.service = 50e6, .timeout = CLOCK_SECOND, .now = 1, .random = 7, .offered = 5};
    const struct limiter_options options = {.adaptive = true, .limit = 8};
    limiter_init(&model.limiter, &options);
    set_workers(&model, 50);
    run(&model, 20 * CLOCK_SECOND);
    assert_int_equal(model.limiter.limit, 8);
}

static void test_failures_shrink_it_to_one_and_no_further(void **state)
{
    (void)state;
    struct limiter limiter;
    const struct limiter_options options = {.adaptive = true, .limit = 100};
    limiter_init(&limiter, &options);
    for (int64_t now = CLOCK_SECOND; now < 200 * CLOCK_SECOND; now += CLOCK_SECOND) {
        assert_int_equal(limiter_acquire(NULL, &limiter, WEIR_NEVER), 0);
        limiter_release(&limiter, now - CLOCK_SECOND, now, LIMITER_OVERLOAD);
    }
    assert_int_equal(limiter.limit, 1);
    assert_int_equal(limiter.in_flight, 0);
}

static void test_fixed_stays(void **state)
{
    (void)state;
    struct limiter limiter;
    const struct limiter_options options = {.limit = 3};
    limiter_init(&limiter, &options);
    for (int i = 0; i < 3; i++)
        assert_int_equal(limiter_acquire(NULL, &limiter, WEIR_NEVER), 0);
    limiter_release(&limiter, 0, 1, LIMITER_OVERLOAD);
    assert_int_equal(limiter.limit, 3);
    assert_int_equal(limiter.in_flight, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_follows_a_server_of_constant_speed),
        cmocka_unit_test(test_follows_a_server_of_random_speed),
        cmocka_unit_test(test_noise_does_not_hold_it_down),
        cmocka_unit_test(test_does_not_creep),
        cmocka_unit_test(test_a_slower_server_is_not_starved),
        cmocka_unit_test(test_does_not_grow_when_its_limit_was_not_reached),
        cmocka_unit_test(test_failures_shrink_it_to_one_and_no_further),
        cmocka_unit_test(test_fixed_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
