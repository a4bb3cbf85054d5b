/* SPDX-License-Identifier: MIT */
#include "data/test_data.h"

#include <pthread.h>
#include <stdatomic.h>

#include "data/pool.h"

static void slabs_have_the_room_they_say(void **state)
{
    (void)state;
    struct memory_budget budget = {.limit = 256 << 20};
    struct weir_pool *pool = pool_new(&budget, 1 << 20);
    size_t sizes[] = {
        0, 1, 4096, 4288, 4289, 65536, 65536 + 192, 1 << 20, (1 << 20) + 193, 16 << 20, (16 << 20) + 193, 40 << 20};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        char *slab = pool_take(pool, sizes[i]);
        assert_non_null(slab);
        assert_int_equal((uintptr_t)slab % 64, 0);
        assert_true(pool_slab_size(slab) >= sizes[i]);
        assert_true(pool_slab_size(slab) <= 2 * sizes[i] + 8192);
        memset(slab, 0xa5, pool_slab_size(slab));
        pool_give(slab);
    }
    assert_true(budget.used <= (1 << 20) + 16 * 64);
    assert_null(pool_take(pool, SIZE_MAX));
    assert_null(pool_take(pool, SIZE_MAX / 2));
    pool_close(pool);
    assert_int_equal(budget.used, 0);
}

static void what_is_given_back_is_taken_again(void **state)
{
    (void)state;
    struct weir_pool *pool = pool_new(NULL, 1 << 20);
    void *first = pool_take(pool, 10000);
    pool_give(first);
    assert_ptr_equal(pool_take(pool, 9000), first);
    pool_give(first);
    pool_give(NULL);
    pool_close(pool);
}

static void a_full_budget_frees_what_is_kept(void **state)
{
    (void)state;
    struct memory_budget budget = {.limit = 100000};
    struct weir_pool *pool = pool_new(&budget, 1 << 20);
    void *small[10];
    for (int i = 0; i < 10; i++) {
        small[i] = pool_take(pool, 4096);
        assert_non_null(small[i]);
    }
    assert_null(pool_take(pool, 70000));
    for (int i = 0; i < 10; i++) {
        pool_give(small[i]);
    }
    assert_true(budget.used > 40000); /* kept */
    void *large = pool_take(pool, 65000);
    assert_non_null(large);
    assert_null(pool_take(pool, 65000));
    pool_give(large);
    pool_close(pool);
    assert_int_equal(budget.used, 0);
}

static void a_pool_outlives_its_owner(void **state)
{
    (void)state;
    struct memory_budget budget = {.limit = 1 << 20};
    struct weir_pool *pool = pool_new(&budget, 1 << 20);
    char *a = pool_take(pool, 100), *b = pool_take(pool, 10000), *c = pool_take(pool, 10);
    pool_give(c);
    pool_close(pool);
    memset(a, 1, 100);
    memset(b, 1, 10000);
    pool_give(a);
    pool_give(b);
    assert_int_equal(budget.used, 0);
    pool_close(NULL);
}

static void memory_has_a_zero_tail(void **state)
{
    (void)state;
    struct weir_pool *pool = pool_new(NULL, 1 << 20);
    struct weir_memory *memory = pool_memory(pool, 5000);
    assert_int_equal(memory->size, 5000);
    memset(memory->data, 'x', memory->size);
    for (int i = 0; i < 64; i++) {
        assert_int_equal(((char *)memory->data)[5000 + i], 0);
    }
    weir_memory_reference(memory);
    weir_memory_release(memory);
    pool_close(pool);
    assert_int_equal(((char *)memory->data)[4999], 'x');
    weir_memory_release(memory);
}

static void failing_allocations_leak_nothing(void **state)
{
    (void)state;
    struct memory_budget budget = {.limit = 1 << 20};
    struct weir_pool *pool = NULL;
    void *slab = NULL;
    for (uint64_t nth = 1; !slab; nth++) {
        memory_fail_nth(nth, false);
        pool = pool_new(&budget, 1 << 20);
        slab = pool ? pool_take(pool, 100) : NULL;
        memory_fail_nth(0, false);
        if (!slab) {
            pool_close(pool);
            assert_int_equal(budget.used, 0);
        }
    }
    pool_give(slab);
    pool_close(pool);
}

/* One thread takes, others give back, and the owner closes with slabs still out. */
enum { GIVERS = 3, ROUNDS = 20000, PLACES = 64 };
static _Atomic(unsigned char *) mailbox[PLACES];
static _Atomic bool finished;

static void *give_back(void *seed)
{
    struct random random = {(uintptr_t)seed};
    for (;;) {
        bool last = finished;
        for (int i = 0; i < PLACES; i++) {
            unsigned char *slab = atomic_exchange(&mailbox[random_below(&random, PLACES)], NULL);
            if (slab) {
                if (slab[0] != 0x5a || slab[99] != 0x5a) {
                    return (void *)"a slab was overwritten";
                }
                pool_give(slab);
            }
        }
        if (last) {
            return NULL;
        }
    }
}

static void many_threads_give_back(void **state)
{
    (void)state;
    struct memory_budget budget = {.limit = 64 << 20};
    struct weir_pool *pool = pool_new(&budget, 300000);
    struct random random = random_start();
    pthread_t threads[GIVERS];
    for (uintptr_t i = 0; i < GIVERS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, give_back, (void *)(i + 1)), 0);
    }
    for (int i = 0; i < ROUNDS; i++) {
        unsigned char *slab = pool_take(pool, 100 + random_below(&random, 40000));
        assert_non_null(slab);
        memset(slab, 0x5a, 100);
        pool_give(atomic_exchange(&mailbox[random_below(&random, PLACES)], slab));
    }
    pool_close(pool);
    finished = true;
    for (int i = 0; i < GIVERS; i++) {
        void *complaint;
        pthread_join(threads[i], &complaint);
        assert_null(complaint);
    }
    for (int i = 0; i < PLACES; i++) {
        pool_give(mailbox[i]);
    }
    assert_int_equal(budget.used, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slabs_have_the_room_they_say),     cmocka_unit_test(what_is_given_back_is_taken_again),
        cmocka_unit_test(a_full_budget_frees_what_is_kept), cmocka_unit_test(a_pool_outlives_its_owner),
        cmocka_unit_test(memory_has_a_zero_tail),           cmocka_unit_test(failing_allocations_leak_nothing),
        cmocka_unit_test(many_threads_give_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
