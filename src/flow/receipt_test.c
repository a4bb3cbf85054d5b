/* SPDX-License-Identifier: MIT */
/*
 * Receipts against a naive model: random batches of random sources are cut, copied and merged, and their rows settled
 * in random order from several threads. What the books say in the end must be what was done to each row.
 */
#include "flow/receipt.h"

#include "base/memory.h"
#include "data/pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

enum { ROWS_MOST = 40, BATCHES = 6, THREADS = 3 };

static uint64_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
    return *state >> 33;
}

static uint64_t first_seed(void)
{
    uint64_t seed = (uint64_t)time(NULL);
    print_message("seed %llu\n", (unsigned long long)seed);
    return seed;
}

struct world {
    struct weir_pool *pool;
    struct weir_schema *schema;
    struct weir_waiter waiter;
    struct account account;
    uint64_t expected[OUTCOME_COUNT], read;
};

static void open_world(struct world *world, bool branches)
{
    static const struct weir_field fields[] = {{.name = "n", .type = WEIR_I64}};
    memset(world, 0, sizeof *world);
    world->pool = pool_new(NULL, 1 << 20);
    world->schema = weir_schema_new(fields, 1, -1, -1);
    waiter_init(&world->waiter);
    assert_int_equal(account_init(&world->account, 1 << 20, branches, &world->waiter), 0);
}

static void close_world(struct world *world)
{
    uint64_t sum = 0;
    for (int i = 0; i < OUTCOME_COUNT; i++) {
        assert_int_equal(world->account.outcomes[i], world->expected[i]);
        sum += world->expected[i];
    }
    assert_int_equal(world->account.read, world->read);
    assert_int_equal(world->account.read, sum);
    assert_int_equal(world->account.unaccounted, 0);
    assert_int_equal(world->account.bytes, 0);
    assert_int_equal(account_oldest(&world->account), 0);
    account_destroy(&world->account);
    weir_schema_release(world->schema);
    pool_close(world->pool);
}

static struct weir_batch *new_batch(struct world *world, uint32_t rows, uint64_t position)
{
    struct weir_batch *batch = weir_batch_new(world->pool, world->schema, rows);
    struct receipt *receipt = receipt_new(&world->account, 5, 100);
    assert_non_null(batch);
    assert_non_null(receipt);
    batch->position = position;
    assert_int_equal(receipt_set_records(receipt, rows + 1, rows), 0);
    receipt_settle_unseen(receipt, 1, OUTCOME_REFUSED); /* one line that was no record */
    world->expected[OUTCOME_REFUSED]++;
    world->read += rows + 1;
    batch_set_receipt(batch, &receipt->head);
    return batch;
}

/* The outcome that counts, of all that a row had. */
static int counts_as(unsigned marks)
{
    static const int order[] = {OUTCOME_STORED, OUTCOME_REFUSED, OUTCOME_DROPPED, OUTCOME_FILTERED};
    for (int i = 0; i < OUTCOME_COUNT; i++)
        if (marks & 1U << order[i])
            return order[i];
    return -1;
}

struct settling {
    struct weir_batch *batch;
    uint8_t marks[BATCHES * ROWS_MOST]; /* to be given to each row by this thread; 0: none */
};

static void *settle_rows(void *argument)
{
    const struct settling *settling = argument;
    for (uint32_t row = 0; row < settling->batch->rows; row++)
        for (unsigned outcome = 0; outcome < OUTCOME_COUNT; outcome++)
            if (settling->marks[row] & 1U << outcome)
                receipt_settle(settling->batch, &row, 1, (enum outcome)outcome);
    weir_batch_release(settling->batch);
    return NULL;
}

static void round_of(uint64_t seed, bool branches)
{
    struct world world;
    struct weir_batch *batches[BATCHES];
    struct settling settling[THREADS] = {0};
    pthread_t threads[THREADS];
    uint32_t rows = 0, count = 1 + (uint32_t)(next_random(&seed) % BATCHES);
    open_world(&world, branches);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t size = 1 + (uint32_t)(next_random(&seed) % ROWS_MOST);
        batches[i] = new_batch(&world, size, next_random(&seed) % 50);
        rows += size;
    }
    struct weir_batch *merged = weir_batch_merge(world.pool, batches, count);
    assert_non_null(merged);
    assert_int_equal(merged->rows, rows);
    for (uint32_t row = 0; row < rows; row++) {
        unsigned all = 0;
        for (unsigned i = 0; branches && i < 3; i++) {
            unsigned mark = 1U << next_random(&seed) % OUTCOME_COUNT;
            settling[next_random(&seed) % THREADS].marks[row] |= (uint8_t)mark;
            all |= mark;
        }
        if (!branches) {
            all = 1U << next_random(&seed) % OUTCOME_COUNT;
            settling[next_random(&seed) % THREADS].marks[row] = (uint8_t)all;
        }
        world.expected[counts_as(all)]++;
    }
    for (uint32_t i = 0; i < count; i++)
        weir_batch_release(batches[i]);
    for (int i = 0; i < THREADS; i++) {
        settling[i].batch = weir_batch_reference(merged);
        assert_int_equal(pthread_create(&threads[i], NULL, settle_rows, &settling[i]), 0);
    }
    weir_batch_release(merged);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    close_world(&world);
}

static void test_against_the_model(void **state)
{
    (void)state;
    uint64_t seed = first_seed();
    for (uint64_t round = 0; round < 150; round++)
        round_of(seed + round, round % 2);
}

/* The window opens from its oldest end only, and the source is told. */
static void test_credit(void **state)
{
    (void)state;
    struct world world;
    struct receipt *held[ACCOUNT_WINDOW];
    open_world(&world, false);
    for (int i = 0; i < ACCOUNT_WINDOW; i++) {
        assert_true(account_credit(&world.account));
        held[i] = receipt_new(&world.account, 1000 + i, 1);
        assert_non_null(held[i]);
    }
    assert_false(account_credit(&world.account));
    for (int i = ACCOUNT_WINDOW - 1; i > 0; i--)
        receipt_release(held[i]);
    assert_false(account_credit(&world.account));
    (void)waiter_take(&world.waiter);
    assert_int_equal(account_oldest(&world.account), 1000);
    receipt_release(held[0]);
    assert_true(waiter_take(&world.waiter));
    assert_true(account_credit(&world.account));
    struct receipt *large = receipt_new(&world.account, 1, 1 << 20);
    assert_false(account_credit(&world.account)); /* by bytes */
    receipt_release(large);
    assert_true(account_credit(&world.account));
    close_world(&world);
}

static void test_no_memory_for_marks(void **state)
{
    (void)state;
    struct world world;
    open_world(&world, true);
    struct receipt *receipt = receipt_new(&world.account, 1, 1);
    memory_fail_nth(1, false);
    assert_true(receipt_set_records(receipt, 7, 7) < 0);
    memory_fail_nth(0, false);
    receipt_settle_unseen(receipt, 7, OUTCOME_REFUSED);
    receipt_release(receipt);
    world.read = world.expected[OUTCOME_REFUSED] = 7;
    close_world(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_the_model),
        cmocka_unit_test(test_credit),
        cmocka_unit_test(test_no_memory_for_marks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
