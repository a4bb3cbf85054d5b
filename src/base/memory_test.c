/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <string.h>
#include "base/memory.h"

static void test_the_basics(void **state)
{
    char *text = memory_format("%d-%s", 7, "x");
    char *copy = memory_string("copy");
    uint64_t *zeroed = memory_zeroed(4, sizeof(*zeroed));
    char *aligned = memory_aligned(4096, 10);

    (void)state;
    assert_string_equal(text, "7-x");
    assert_string_equal(copy, "copy");
    assert_int_equal(zeroed[3], 0);
    assert_int_equal((uintptr_t)aligned % 4096, 0);
    copy = memory_resize(copy, 100);
    assert_string_equal(copy, "copy");
    assert_null(memory_zeroed(SIZE_MAX / 2, 4));
    memory_free(text);
    memory_free(copy);
    memory_free(zeroed);
    memory_free(aligned);
    memory_free(NULL);
}

static void test_the_nth_fails(void **state)
{
    void *made[5];

    (void)state;
    memory_fail_nth(3, false);
    for (int i = 0; i < 5; i++) {
        made[i] = memory_allocate(8);
        assert_true((made[i] == NULL) == (i == 2));
        memory_free(made[i]);
    }
    assert_int_equal(memory_fail_nth(2, true), 5);
    for (int i = 0; i < 5; i++) {
        made[i] = memory_zeroed(1, 8);
        assert_true((made[i] == NULL) == (i >= 1));
        memory_free(made[i]);
    }
    assert_int_equal(memory_fail_nth(0, false), 5);
    made[0] = memory_allocate(8);
    assert_non_null(made[0]);
    memory_free(made[0]);
    assert_int_equal(memory_fail_nth(0, false), 0); /* off: not counted */
}

static struct memory_budget budget = {.limit = 1000};

static void *take_and_give(void *argument)
{
    uint64_t bytes = *(uint64_t *)argument;

    for (int i = 0; i < 20000; i++) {
        if (memory_budget_take(&budget, bytes)) {
            assert_true(atomic_load(&budget.used) <= budget.limit);
            memory_budget_give(&budget, bytes);
        }
    }
    return NULL;
}

static void test_a_budget_shared_by_threads(void **state)
{
    uint64_t bytes[3] = {400, 500, 7};
    pthread_t threads[3];

    (void)state;
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, take_and_give, &bytes[i]), 0);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&budget.used), 0);
    assert_true(atomic_load(&budget.peak) <= 1000);
    assert_false(memory_budget_take(&budget, 1001));
    assert_false(memory_budget_take(&budget, UINT64_MAX));
    memory_budget_charge(&budget, 1001); /* what is there already may be more */
    assert_false(memory_budget_take(&budget, 1));
    memory_budget_give(&budget, 1001);
    assert_int_equal(atomic_load(&budget.peak), 1001);
    assert_true(memory_budget_take(&budget, 1000));
    assert_false(memory_budget_take(&budget, 1));
    assert_int_equal(atomic_load(&budget.used), 1000);
    assert_true(atomic_load(&budget.refusals) >= 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_basics),
        cmocka_unit_test(test_the_nth_fails),
        cmocka_unit_test(test_a_budget_shared_by_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
