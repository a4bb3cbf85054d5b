/* SPDX-License-Identifier: MIT */
/* Keyed state against a naive model: an array searched from the front. */
#include "flow/keyed.h"

#include "data/pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

struct state {
    uint64_t key, seen;
};

static void init_state(void *self, void *state)
{
    (*(int *)self)++;
    ((struct state *)state)->seen = 1000;
}

static uint64_t random_state;
static uint64_t draw(uint64_t below)
{
    random_state = random_state * 6364136223846793005ULL + 1442695040888963407ULL;
    return (random_state >> 33) % below;
}

static struct weir_batch *make_batch(struct weir_pool *pool, enum weir_type type, const uint64_t *keys,
                                     const int64_t *times, uint32_t rows)
{
    struct weir_field fields[] = {{.name = "t", .type = WEIR_TIME}, {.name = "k", .type = type}};
    struct weir_schema *schema = weir_schema_new(fields, 2, 0, 1);
    struct weir_batch *batch = weir_batch_new(pool, schema, rows);
    weir_schema_release(schema);
    memcpy(weir_batch_column_data(batch, 0), times, rows * sizeof *times);
    for (uint32_t i = 0; i < rows; i++) {
        void *data = weir_batch_column_data(batch, 1);
        switch (type) {
        case WEIR_SYMBOL:
            ((uint32_t *)data)[i] = (uint32_t)keys[i];
            break;
        case WEIR_F64:
            ((double *)data)[i] = (double)keys[i] * 0.25 - 3;
            break;
        case WEIR_BOOL:
            ((uint8_t *)data)[i] = (uint8_t)(keys[i] & 1);
            break;
        default:
            ((int64_t *)data)[i] = (int64_t)keys[i] - 50;
            break;
        }
    }
    return batch;
}

enum { ROWS = 64, KEYS_MOST = 5000 };

static void compare_with_model(enum weir_type type, uint64_t key_range, uint64_t limit)
{
    int inits = 0;
    struct weir_key_options options = {.size = sizeof(struct state), .init = init_state, .most_keys = limit};
    struct memory_budget budget = {.limit = 64 << 20};
    struct weir_pool *pool = pool_new(NULL, 1 << 20);
    struct keyed *keyed = keyed_new(&options, &inits, &budget, UINT64_MAX, NULL);
    uint64_t *model = calloc(KEYS_MOST, sizeof *model); /* how often a key was seen, 0: never */
    uint64_t known = 0;
    for (int round = 0; round < 300; round++) {
        uint64_t keys[ROWS];
        int64_t times[ROWS];
        void *states[ROWS];
        uint32_t rows = 1 + (uint32_t)draw(ROWS), missing = 0;
        for (uint32_t i = 0; i < rows; i++) {
            keys[i] = draw(key_range);
            if (type == WEIR_BOOL)
                keys[i] &= 1;
            times[i] = round;
        }
        struct weir_batch *batch = make_batch(pool, type, keys, times, rows);
        uint32_t got = keyed_lookup(keyed, batch, 1, states);
        for (uint32_t i = 0; i < rows; i++) {
            if (!model[keys[i]] && limit && known >= limit) {
                assert_null(states[i]);
                missing++;
                continue;
            }
            known += !model[keys[i]];
            struct state *state = states[i];
            assert_non_null(state);
            if (!model[keys[i]])
                state->key = keys[i];
            assert_int_equal(state->key, keys[i]);
            assert_int_equal(state->seen, 1000 + model[keys[i]]);
            model[keys[i]]++;
            state->seen++;
        }
        assert_int_equal(got, missing);
        assert_int_equal(keyed_count(keyed), known);
        weir_batch_release(batch);
    }
    assert_int_equal(inits, known);
    keyed_free(keyed);
    assert_int_equal(budget.used, 0);
    pool_close(pool);
    free(model);
}

static void test_against_model(void **state)
{
    (void)state;
    for (int type = WEIR_TIME; type <= WEIR_SYMBOL; type++) {
        compare_with_model(type, 10, 0);
        compare_with_model(type, KEYS_MOST, 0);
        compare_with_model(type, KEYS_MOST, 100);
    }
}

/* With a limit on idleness a key that was silent for longer starts afresh, however often sweeps came by. */
static void test_idle_keys_are_forgotten(void **state)
{
    (void)state;
    for (int sweeps = 0; sweeps < 2; sweeps++) {
        int inits = 0;
        struct weir_key_options options = {.size = sizeof(struct state), .init = init_state, .idle_ns = 100};
        struct weir_pool *pool = pool_new(NULL, 1 << 20);
        struct keyed *keyed = keyed_new(&options, &inits, NULL, 0, NULL);
        int64_t last[50], now = 0;
        uint64_t seen[50] = {0};
        for (int i = 0; i < 50; i++)
            last[i] = INT64_MIN;
        for (int round = 0; round < 3000; round++) {
            uint64_t key = draw(draw(50) + 1);
            void *slot;
            now += (int64_t)draw(20);
            struct weir_batch *batch = make_batch(pool, round % 2 ? WEIR_I64 : WEIR_I64, &key, &now, 1);
            assert_int_equal(keyed_lookup(keyed, batch, 1, &slot), 0);
            if (last[key] == INT64_MIN || now - last[key] > 100)
                seen[key] = 0;
            assert_int_equal(((struct state *)slot)->seen, 1000 + seen[key]);
            ((struct state *)slot)->seen++;
            seen[key]++;
            last[key] = now;
            weir_batch_release(batch);
            if (sweeps)
                keyed_expire(keyed, now);
        }
        if (sweeps) {
            assert_true(keyed_count(keyed) < 50);
            keyed_expire(keyed, now + 1000);
            assert_int_equal(keyed_count(keyed), 0);
        }
        keyed_free(keyed);
        pool_close(pool);
    }
}

static void test_budget_refuses(void **state)
{
    (void)state;
    int inits = 0;
    struct weir_key_options options = {.size = 4096, .init = NULL};
    struct memory_budget budget = {.limit = 300 * 1024};
    struct weir_pool *pool = pool_new(NULL, 1 << 20);
    struct keyed *keyed = keyed_new(&options, &inits, &budget, UINT64_MAX, NULL);
    uint64_t keys[ROWS], refused = 0;
    int64_t times[ROWS] = {0};
    void *states[ROWS];
    for (int round = 0; round < 10; round++) {
        for (uint32_t i = 0; i < ROWS; i++)
            keys[i] = (uint64_t)round * ROWS + i;
        struct weir_batch *batch = make_batch(pool, WEIR_SYMBOL, keys, times, ROWS);
        refused += keyed_lookup(keyed, batch, 1, states);
        weir_batch_release(batch);
    }
    assert_true(refused > 0 && keyed_count(keyed) + refused == 10 * ROWS);
    assert_true(budget.used <= budget.limit);
    keyed_free(keyed);
    assert_int_equal(budget.used, 0);
    pool_close(pool);
}

/* So many that they lie in blocks of huge pages; and when the budget has no more room for a block, in chunks. */
static void test_blocks(void **state)
{
    (void)state;
    enum { SIZE = 2048, KEYS = 3000 };
    struct weir_key_options options = {.size = SIZE};
    struct memory_budget budget = {.limit = 5 << 20};
    struct weir_pool *pool = pool_new(NULL, 1 << 20);
    struct keyed *keyed = keyed_new(&options, NULL, &budget, 0, NULL);
    int64_t times[ROWS] = {0};
    uint64_t keys[ROWS];
    void *states[ROWS];
    uint32_t known[2] = {0};
    for (int round = 0; round < 2; round++) {
        for (uint32_t key = 0; key < KEYS; key += ROWS) {
            for (uint32_t i = 0; i < ROWS; i++)
                keys[i] = key + i;
            struct weir_batch *batch = make_batch(pool, WEIR_SYMBOL, keys, times, ROWS);
            keyed_lookup(keyed, batch, 1, states);
            weir_batch_release(batch);
            for (uint32_t i = 0; i < ROWS && states[i]; i++) {
                uint32_t *words = states[i], expected = round ? key + i : 0;
                for (uint32_t word = 0; word < SIZE / sizeof *words; word++)
                    assert_int_equal(words[word], expected);
                for (uint32_t word = 0; word < SIZE / sizeof *words; word++)
                    words[word] = key + i;
                known[round]++;
            }
        }
    }
    assert_int_equal(known[0], known[1]);
    assert_true(known[0] * SIZE > budget.limit - budget.limit / 20 && budget.used <= budget.limit);
    keyed_free(keyed);
    assert_int_equal(budget.used, 0);
    pool_close(pool);
}

/* Two sources may have symbols and numbers in the column of the key; and times may lie further apart than an int64_t.
 */
static void test_two_kinds_of_keys_are_forgotten(void **state)
{
    (void)state;
    enum { KEYS = 200 };
    int inits = 0;
    struct weir_key_options options = {.size = sizeof(struct state), .init = init_state, .idle_ns = 1000};
    struct weir_pool *pool = pool_new(NULL, 1 << 20);
    struct keyed *keyed = keyed_new(&options, &inits, NULL, 0, NULL);
    uint64_t numbers[KEYS], symbols[KEYS];
    int64_t times[KEYS];
    void *states[KEYS];
    for (uint32_t i = 0; i < KEYS; i++) {
        numbers[i] = i % 2 ? i + 50 : 1000000000U + i; /* as an index by symbol, far outside; or somebody else's */
        symbols[i] = i + 1;
        times[i] = INT64_MIN + 10;
    }
    for (int round = 0; round < 3; round++) {
        struct weir_batch *batches[] = {make_batch(pool, WEIR_I64, numbers, times, KEYS),
                                        make_batch(pool, WEIR_SYMBOL, symbols, times, KEYS)};
        for (int i = 0; i < 2; i++) {
            assert_int_equal(keyed_lookup(keyed, batches[(i + round) % 2], 1, states), 0);
            assert_int_equal(((struct state *)states[KEYS - 1])->seen, 1000);
        }
        weir_batch_release(batches[0]);
        weir_batch_release(batches[1]);
        assert_int_equal(keyed_count(keyed), 2 * KEYS);
        keyed_expire(keyed, INT64_MAX - 1 - 10000 * (2 - round));
        assert_int_equal(keyed_count(keyed), 0);
        assert_int_equal(inits, (round + 1) * 2 * KEYS);
    }
    keyed_free(keyed);
    pool_close(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_model),
        cmocka_unit_test(test_idle_keys_are_forgotten),
        cmocka_unit_test(test_budget_refuses),
        cmocka_unit_test(test_blocks),
        cmocka_unit_test(test_two_kinds_of_keys_are_forgotten),
    };
    random_state = (uint64_t)time(NULL);
    print_message("seed %llu\n", (unsigned long long)random_state);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
