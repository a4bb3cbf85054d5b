/* SPDX-License-Identifier: MIT */
/* The cells of windows against a walk over all values in __float128. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "data/kernel_aggregate.h"
#include "data/kernel_test.h"

enum { VALUES_MOST = 300 };

struct reading {
    int64_t time;
    double value;
};

static double model(const struct reading *readings, uint32_t count, enum aggregate_statistic statistic, uint32_t ddof)
{
    const struct reading *first = NULL, *last = NULL, *least = NULL, *most = NULL;
    __float128 sum = 0, squares = 0;
    int64_t n = 0;
    for (const struct reading *r = readings; r < readings + count; r++) {
        if (isnan(r->value))
            continue;
        n++;
        sum += r->value;
        first = !first || r->time < first->time ? r : first;
        last = !last || r->time >= last->time ? r : last;
        least = !least || r->value < least->value ? r : least;
        most = !most || r->value > most->value ? r : most;
    }
    if (statistic == AGGREGATE_COUNT)
        return (double)n;
    if (statistic == AGGREGATE_SUM)
        return (double)sum;
    if (n == 0)
        return NAN;
    for (const struct reading *r = readings; r < readings + count; r++)
        squares += isnan(r->value) ? 0 : (r->value - sum / n) * (r->value - sum / n);
    __float128 mean_time = 0, time_squares = 0, products = 0;
    for (const struct reading *r = readings; r < readings + count; r++)
        mean_time += isnan(r->value) ? 0 : (__float128)r->time / n;
    for (const struct reading *r = readings; r < readings + count; r++) {
        time_squares += isnan(r->value) ? 0 : (r->time - mean_time) * (r->time - mean_time);
        products += isnan(r->value) ? 0 : (r->time - mean_time) * (r->value - sum / n);
    }
    const bool apart = first->time < last->time;
    const double delta = last->value - first->value;
    const double var = n > ddof ? (double)(squares / (n - ddof)) : NAN;
    const double results[] = {0,
                              0,
                              (double)(sum / n),
                              var,
                              sqrt(var),
                              least->value,
                              most->value,
                              first->value,
                              last->value,
                              delta,
                              most->value - least->value,
                              apart ? delta / ((double)(last->time - first->time) / 1e9) : NAN,
                              var > 0 ? (double)(last->value - sum / n) / sqrt(var) : NAN,
                              apart ? (double)(products / time_squares * 1000000000) : NAN};
    return results[statistic];
}

static bool close_enough(double got, double want)
{
    if (isnan(got) || isnan(want))
        return isnan(got) && isnan(want);
    return fabs(got - want) <= 1e-11 * fabs(want) + 1e-14;
}

static double draw_value(uint64_t *seed, int shape)
{
    double unit = (double)(next_random(seed) >> 11) * 0x1p-53;
    if (next_random(seed) % 20 == 0)
        return NAN;
    switch (shape) {
    case 0:
        return floor(unit * 1000) - 500;
    case 1:
        return floor(unit * 4096) / 64;
    default:
        return 1e5 + unit;
    }
}

static void test_against_the_model(void **state)
{
    struct reading readings[VALUES_MOST];
    (void)state;
    for (uint64_t round = 1; round <= 2000; round++) {
        uint64_t seed = round;
        struct aggregate_cell cell = {0}, parts[2] = {{0}, {0}};
        struct aggregate_trend trend = {0}, trends[2] = {{0}, {0}};
        uint32_t count = (uint32_t)(next_random(&seed) % VALUES_MOST), cut = (uint32_t)(next_random(&seed) % 300);
        int shape = (int)(round % 3);
        for (uint32_t i = 0; i < count; i++) {
            readings[i] = (struct reading){(int64_t)(next_random(&seed) % 100), draw_value(&seed, shape)};
            aggregate_add(&cell, readings[i].time, readings[i].value);
            aggregate_trend_add(&trend, &cell, readings[i].time, readings[i].value);
            aggregate_add(&parts[i >= cut], readings[i].time, readings[i].value);
            aggregate_trend_add(&trends[i >= cut], &parts[i >= cut], readings[i].time, readings[i].value);
        }
        aggregate_trend_merge(&trends[0], &parts[0], &trends[1], &parts[1]);
        aggregate_merge(&parts[0], &parts[1]);
        for (int s = 0; s < AGGREGATE_STATISTICS; s++) {
            double want = model(readings, count, s, (uint32_t)(round % 2));
            double whole = aggregate_result(&cell, s, (uint32_t)(round % 2));
            double merged = aggregate_result(&parts[0], s, (uint32_t)(round % 2));
            if (s == AGGREGATE_SLOPE) {
                whole = aggregate_slope(&trend);
                merged = aggregate_slope(&trends[0]);
            }
            bool exact = shape < 2 && (s < AGGREGATE_VAR || (s > AGGREGATE_STDDEV && s < AGGREGATE_ZSCORE));
            if (!close_enough(whole, want) || !close_enough(merged, want) || (exact && !isnan(want) && whole != want))
                fail_msg("seed %d, %u values, %s: %.17g, merged %.17g, and not %.17g", (int)round, count,
                         aggregate_statistic_names[s], whole, merged, want);
        }
    }
}

static void test_infinite_values(void **state)
{
    struct aggregate_cell cell = {0};
    (void)state;
    aggregate_add(&cell, 1, 3);
    aggregate_add(&cell, 2, INFINITY);
    aggregate_add(&cell, 3, 5);
    assert_true(aggregate_result(&cell, AGGREGATE_SUM, 1) == INFINITY);
    assert_true(aggregate_result(&cell, AGGREGATE_MEAN, 1) == INFINITY);
    assert_true(isnan(aggregate_result(&cell, AGGREGATE_VAR, 1)));
    assert_true(isnan(aggregate_result(&cell, AGGREGATE_STDDEV, 1)));
    assert_true(aggregate_result(&cell, AGGREGATE_MIN, 1) == 3 && aggregate_result(&cell, AGGREGATE_LAST, 1) == 5);
    aggregate_add(&cell, 4, -INFINITY);
    assert_true(isnan(aggregate_result(&cell, AGGREGATE_SUM, 1)));
    assert_true(aggregate_result(&cell, AGGREGATE_RANGE, 1) == INFINITY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_the_model),
        cmocka_unit_test(test_infinite_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
