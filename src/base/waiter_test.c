/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include "base/clock.h"
#include "base/waiter.h"

static void test_wake_before_park_is_kept(void **state)
{
    struct weir_waiter waiter;

    (void)state;
    waiter_init(&waiter);
    waiter_wake(&waiter);
    waiter_wake(&waiter);
    assert_true(waiter_park(&waiter, INT64_MAX));
    assert_false(waiter_park(&waiter, clock_monotonic() + CLOCK_MILLISECOND)); /* wakes do not add up */
    waiter_wake(&waiter);
    assert_true(waiter_take(&waiter));
    assert_false(waiter_take(&waiter));
    assert_false(waiter_parked(&waiter));
}

static void test_deadline(void **state)
{
    struct weir_waiter waiter;
    int64_t deadline = clock_monotonic() + 20 * CLOCK_MILLISECOND;

    (void)state;
    waiter_init(&waiter);
    assert_false(waiter_park(&waiter, deadline));
    assert_true(clock_monotonic() >= deadline);
    assert_false(waiter_park(&waiter, 0));
    assert_false(waiter_park(&waiter, -5));
}

/* Two threads hand a number back and forth; `value` is no atomic: the waiter alone has to order it. */
enum { ROUNDS = 20000 };
struct ping_pong {
    struct weir_waiter there, back;
    int value;
};

static void *answer(void *argument)
{
    struct ping_pong *game = argument;

    for (int i = 0; i < ROUNDS; i++) {
        while (!waiter_park(&game->there, INT64_MAX)) {
        }
        game->value++;
        waiter_wake(&game->back);
    }
    return NULL;
}

static void test_ping_pong(void **state)
{
    struct ping_pong game = {.value = 0};
    pthread_t thread;

    (void)state;
    waiter_init(&game.there);
    waiter_init(&game.back);
    assert_int_equal(pthread_create(&thread, NULL, answer, &game), 0);
    for (int i = 0; i < ROUNDS; i++) {
        game.value++;
        waiter_wake(&game.there);
        while (!waiter_park(&game.back, INT64_MAX)) {
        }
        assert_int_equal(game.value, 2 * (i + 1));
    }
    pthread_join(thread, NULL);
}

/* Many producers, one consumer that parks whenever it sees nothing, with and without a deadline: a lost wake hangs. */
enum { PRODUCERS = 3, ITEMS = 20000 };
static struct weir_waiter shared;
static _Atomic int items;

static void *produce(void *argument)
{
    (void)argument;
    for (int i = 0; i < ITEMS; i++) {
        atomic_fetch_add_explicit(&items, 1, memory_order_relaxed);
        waiter_wake(&shared);
    }
    return NULL;
}

static void test_no_wake_is_lost(void **state)
{
    pthread_t threads[PRODUCERS];
    int consumed = 0;

    (void)state;
    waiter_init(&shared);
    for (int i = 0; i < PRODUCERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, produce, NULL), 0);
    for (int round = 0; consumed < PRODUCERS * ITEMS; round++) {
        int found = atomic_exchange_explicit(&items, 0, memory_order_relaxed);

        consumed += found;
        if (found == 0)
            waiter_park(&shared, round % 8 == 0 ? clock_monotonic() + 10000 : INT64_MAX);
    }
    for (int i = 0; i < PRODUCERS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(consumed, PRODUCERS * ITEMS);
}

static int64_t hook_deadline;
static bool hook_wakes;

static void hook(struct weir_waiter *waiter, int64_t deadline_ns)
{
    assert_true(waiter_parked(waiter));
    hook_deadline = deadline_ns;
    if (hook_wakes)
        waiter_wake(waiter);
}

static void test_hook(void **state)
{
    struct weir_waiter waiter;

    (void)state;
    waiter_init(&waiter);
    waiter.park_hook = hook;
    hook_wakes = false;
    assert_false(waiter_park(&waiter, 77));
    assert_int_equal(hook_deadline, 77);
    hook_wakes = true;
    assert_true(waiter_park(&waiter, 78));
    assert_false(waiter_take(&waiter));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wake_before_park_is_kept),
        cmocka_unit_test(test_deadline),
        cmocka_unit_test(test_ping_pong),
        cmocka_unit_test(test_no_wake_is_lost),
        cmocka_unit_test(test_hook),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
