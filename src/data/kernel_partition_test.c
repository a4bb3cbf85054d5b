/* SPDX-License-Identifier: MIT */
/* Rows by lane, against going through them one by one. */
#include "data/test_data.h"

#include "data/kernel_partition.h"

enum { MOST = 700, LANES = 64 };

static uint32_t symbols[MOST], selection[MOST], rows[MOST + PARTITION_SLACK], others[MOST + PARTITION_SLACK];
static uint8_t lane_of[MOST];

/* A selection of `count` ascending rows below MOST, or NULL. */
static const uint32_t *random_selection(struct random *random, uint32_t *count)
{
    *count = (uint32_t)random_below(random, MOST);
    for (uint32_t i = 0; i < MOST; i++) {
        symbols[i] = (uint32_t)random_next(random) >> random_below(random, 32);
    }
    if (random_below(random, 2)) {
        return NULL;
    }
    uint32_t kept = 0;
    for (uint32_t row = 0; row < MOST && kept < *count; row++) {
        if (random_below(random, 4)) {
            selection[kept++] = row;
        }
    }
    *count = kept;
    return selection;
}

static void test_rows(void **state)
{
    (void)state;
    struct random random = random_start();
    for (int round = 0; round < 2000; round++) {
        uint32_t count, starts[LANES + 1], lanes = 1 + (uint32_t)random_below(&random, round % 2 ? LANES : 9);
        const uint32_t *selected = random_selection(&random, &count);
        partition_symbols(symbols, selected, count, lanes, lane_of);
        partition_rows(lane_of, selected, count, lanes, rows, starts);
        assert_int_equal(starts[0], 0);
        assert_int_equal(starts[lanes], count);
        uint32_t at[LANES];
        memcpy(at, starts, lanes * sizeof *at);
        for (uint32_t i = 0; i < count; i++) {
            uint32_t row = selected ? selected[i] : i;
            assert_int_equal(lane_of[i], (uint64_t)(symbols[row] * 2654435761U) * lanes >> 32);
            assert_int_equal(rows[at[lane_of[i]]++], row);
        }
        for (uint32_t lane = 0; lane < lanes; lane++) {
            assert_int_equal(at[lane], starts[lane + 1]);
            uint32_t picked = partition_pick(lane_of, (uint8_t)lane, selected, count, others);
            assert_int_equal(picked, starts[lane + 1] - starts[lane]);
            assert_memory_equal(others, rows + starts[lane], picked * sizeof *rows);
        }
    }
}

static void test_halves(void **state)
{
    (void)state;
    struct random random = random_start();
    for (int round = 0; round < 2000; round++) {
        uint32_t count, starts[3], first[MOST + PARTITION_SLACK], second[MOST + PARTITION_SLACK];
        (void)random_selection(&random, &count);
        partition_symbols(symbols, NULL, count, 2, lane_of);
        partition_rows(lane_of, NULL, count, 2, rows, starts);
        assert_int_equal(partition_halves(symbols, count, first, second), starts[1]);
        assert_memory_equal(first, rows, starts[1] * sizeof *rows);
        assert_memory_equal(second, rows + starts[1], (count - starts[1]) * sizeof *rows);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows), cmocka_unit_test(test_halves)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
