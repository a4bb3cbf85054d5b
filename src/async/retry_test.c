/* SPDX-License-Identifier: MIT */
/* Waits and the budget against models that count in the plainest way. */
#include "async/retry.h"

#include "base/clock.h"
#include "base/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

enum { SEEDS = 200, STEPS = 500 };

/* The step before attempt 2, 3, 4, …: doubled one by one, never beyond the most. */
static int64_t naive_step(int64_t step, int64_t most, uint32_t attempt)
{
    double value = (double)step;
    for (uint32_t i = 2; i < attempt; i++)
        value *= 2;
    return value > (double)most ? most : (int64_t)value;
}

static void test_waits_are_even_up_to_a_step_that_doubles(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        uint64_t random = seed;
        const struct retry_options options = {10, (int64_t)(hash_random(&random) % CLOCK_SECOND) + 1,
                                              (int64_t)(hash_random(&random) % (60 * CLOCK_SECOND)) + 1};
        uint32_t attempt = 2 + (uint32_t)(hash_random(&random) % 70);
        int64_t step = naive_step(options.step_ns, options.most_ns, attempt);
        double sum = 0;
        for (int i = 0; i < STEPS; i++) {
            int64_t wait = retry_wait(&options, attempt, hash_random(&random));
            if (wait < 0 || wait > step)
                fail_msg("seed %llu: attempt %u waits %lld of %lld", (unsigned long long)seed, attempt, (long long)wait,
                         (long long)step);
            sum += (double)wait;
        }
        double mean = sum / STEPS;
        if (step > 1000 && (mean < 0.4 * (double)step || mean > 0.6 * (double)step))
            fail_msg("seed %llu: waits of mean %g are not spread over %lld", (unsigned long long)seed, mean,
                     (long long)step);
    }
}

static void test_no_step_is_no_wait(void **state)
{
    (void)state;
    const struct retry_options options = {3, 0, CLOCK_SECOND};
    assert_int_equal(retry_wait(&options, 2, UINT64_MAX), 0);
    assert_int_equal(retry_wait(&options, 3, UINT64_MAX), 0);
}

/* The model counts in 64ths, so that nothing is rounded. */
static void test_a_budget_is_spent_and_earned(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        uint64_t random = seed, share = hash_random(&random) % 64, most = (1 + hash_random(&random) % 20) * 64,
                 tokens = most;
        uint64_t refused = 0;
        struct retry_budget budget;
        retry_budget_init(&budget, (double)share / 64, (double)most / 64);
        for (int i = 0; i < STEPS; i++) {
            if (hash_random(&random) % 3) {
                retry_budget_earn(&budget);
                tokens = tokens + share > most ? most : tokens + share;
                continue;
            }
            bool expected = tokens >= 64;
            tokens -= expected ? 64 : 0;
            refused += !expected;
            if (retry_budget_take(&budget) != expected)
                fail_msg("seed %llu, step %d: %g tokens, the model has %llu/64", (unsigned long long)seed, i,
                         budget.tokens, (unsigned long long)tokens);
        }
        assert_int_equal(budget.refused, refused);
    }
}

/* What a budget is for: when everything fails, retries are that share of the calls, and what was saved up. */
static void test_retries_do_not_become_the_load(void **state)
{
    (void)state;
    struct retry_budget budget;
    uint32_t retries = 0;
    retry_budget_init(&budget, 0.2, 10);
    for (int call = 0; call < 1000; call++) {
        retry_budget_earn(&budget);
        for (int attempt = 2; attempt <= 4 && retry_budget_take(&budget); attempt++)
            retries++;
    }
    assert_in_range(retries, 205, 211);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_waits_are_even_up_to_a_step_that_doubles),
        cmocka_unit_test(test_no_step_is_no_wait),
        cmocka_unit_test(test_a_budget_is_spent_and_earned),
        cmocka_unit_test(test_retries_do_not_become_the_load),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
