/* SPDX-License-Identifier: MIT */
/* Quantiles and distinct values against the C library's sorting and plain counting. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "data/kernel_quantile.h"
#include "data/kernel_test.h"

enum { VALUES_MOST = 3000 };

static double draw_value(uint64_t *seed, uint32_t i, uint32_t count, int shape)
{
    switch (shape) {
    case 0: /* ascending */
        return i;
    case 1: /* descending */
        return count - i;
    case 2: /* few different ones */
        return (double)(next_random(seed) % 5);
    case 3: /* up and down again */
        return i < count / 2 ? i : count - i;
    case 4: /* with infinite ones */
        return next_random(seed) % 9 ? (double)(next_random(seed) >> 40) : next_random(seed) % 2 ? INFINITY : -INFINITY;
    default:
        return (double)(int64_t)next_random(seed) * 0x1p-30;
    }
}

static void test_against_the_model(void **state)
{
    static double values[VALUES_MOST], model[VALUES_MOST];
    (void)state;
    for (uint64_t round = 1; round <= 600; round++) {
        uint64_t seed = round;
        uint32_t count = (uint32_t)(next_random(&seed) % (round % 10 ? 60 : VALUES_MOST)), different = 0;
        for (uint32_t i = 0; i < count; i++)
            values[i] = model[i] = draw_value(&seed, i, count, (int)(round % 6));
        if (count)
            qsort(model, count, sizeof *model, compare_doubles);
        quantile_sort(values, count);
        for (uint32_t i = 0; i < count; i++) {
            if (values[i] != model[i])
                fail_msg("seed %d: value %u of %u is %g and not %g", (int)round, i, count, values[i], model[i]);
            different += i == 0 || model[i] != model[i - 1];
        }
        double rank = (double)(next_random(&seed) % 1001) / 1000, place = rank * ((double)count - 1);
        double got = quantile_at(values, count, rank);
        if (count) {
            double low = model[(uint32_t)place], high = model[(uint32_t)ceil(place)];
            double want = low == high ? low : low + (high - low) * (place - floor(place));
            assert_true(isinf(low) || isinf(high) ? got >= low && got <= high : fabs(got - want) <= 1e-9 * fabs(want));
        } else {
            assert_true(isnan(got));
        }
        assert_int_equal(quantile_distinct(values, count), different);
        for (uint32_t i = 1; i < different; i++)
            assert_true(values[i - 1] < values[i]);
    }
}

/* Rising and falling in turns, which middle elements say little about. */
static void test_many_values(void **state)
{
    enum { COUNT = 1 << 18 };
    double *values = malloc(COUNT * sizeof *values);
    (void)state;
    assert_non_null(values);
    for (uint32_t i = 0; i < COUNT; i++)
        values[i] = i % 2 ? COUNT - i : i;
    quantile_sort(values, COUNT);
    for (uint32_t i = 1; i < COUNT; i++)
        assert_true(values[i - 1] <= values[i]);
    free(values);
}

static void test_names(void **state)
{
    static const struct {
        const char *name;
        double rank;
    } good[] = {{"median", 0.5}, {"p90", 0.9}, {"p5", 0.05}, {"p999", 0.999}, {"p00", 0}, {"p05", 0.05}};
    static const char *const bad[] = {"p100", "p1000", "p990",    "",    "p",           "90",
                                      "p9x",  "p-1",   "median2", "q90", "p1234567890", "P90"};
    double rank;
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(quantile_read(good[i].name, &rank));
        assert_true(rank == good[i].rank);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(quantile_read(bad[i], &rank));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_the_model),
        cmocka_unit_test(test_many_values),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
