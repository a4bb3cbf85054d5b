/* SPDX-License-Identifier: MIT */
#include "async/coroutine.h"

#include "base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct counter {
    struct coroutine *self;
    int steps, at;
    double value; /* floating-point state must live through switches */
};

static void count_steps(void *argument)
{
    struct counter *counter = argument;
    volatile char frame[4096];
    memset((char *)frame, counter->steps, sizeof frame);
    for (counter->at = 1; counter->at < counter->steps; counter->at++) {
        counter->value = counter->value * 0.5 + 1.0 / counter->at;
        coroutine_suspend(counter->self);
        assert_int_equal(frame[counter->at % (int)sizeof frame], (char)counter->steps);
    }
}

static void test_suspends_and_resumes(void **state)
{
    (void)state;
    struct counter counter = {.steps = 1000};
    double expected = 0;
    counter.self = coroutine_new(count_steps, &counter, COROUTINE_STACK);
    assert_non_null(counter.self);
    for (int i = 1; i < counter.steps; i++) {
        assert_true(coroutine_resume(counter.self));
        expected = expected * 0.5 + 1.0 / i;
        assert_int_equal(counter.at, i);
        assert_true(memcmp(&counter.value, &expected, sizeof expected) == 0);
    }
    assert_false(coroutine_resume(counter.self));
    assert_false(coroutine_resume(counter.self)); /* stays ended */
    coroutine_free(counter.self);
}

static void test_many_interleaved(void **state)
{
    (void)state;
    enum { MANY = 100 };
    struct counter counters[MANY];
    int left = MANY;
    for (int i = 0; i < MANY; i++) {
        counters[i] = (struct counter){.steps = 2 + i};
        counters[i].self = coroutine_new(count_steps, &counters[i], 64 * 1024);
        assert_non_null(counters[i].self);
    }
    for (int round = 1; left; round++)
        for (int i = 0; i < MANY; i++)
            if (round <= counters[i].steps && !coroutine_resume(counters[i].self)) {
                assert_int_equal(round, counters[i].steps);
                left--;
            }
    for (int i = 0; i < MANY; i++)
        coroutine_free(counters[i].self);
}

static void nest(void *argument)
{
    struct counter *counter = argument;
    if (counter->steps > 1) {
        struct counter inner = {.steps = counter->steps - 1};
        inner.self = coroutine_new(nest, &inner, 64 * 1024);
        assert_non_null(inner.self);
        while (coroutine_resume(inner.self))
            coroutine_suspend(counter->self);
        counter->at = inner.at + 1;
        coroutine_free(inner.self);
    }
}

static void test_nested(void **state)
{
    (void)state;
    struct counter counter = {.steps = 20};
    counter.self = coroutine_new(nest, &counter, 64 * 1024);
    while (coroutine_resume(counter.self)) {
    }
    assert_int_equal(counter.at, 19);
    coroutine_free(counter.self);
}

static void test_without_memory(void **state)
{
    (void)state;
    memory_fail_nth(1, false);
    assert_null(coroutine_new(count_steps, NULL, COROUTINE_STACK));
    memory_fail_nth(0, false);
    assert_null(coroutine_new(count_steps, NULL, (size_t)1 << 50)); /* more address space than there is */
    coroutine_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_suspends_and_resumes),
        cmocka_unit_test(test_many_interleaved),
        cmocka_unit_test(test_nested),
        cmocka_unit_test(test_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
