/* SPDX-License-Identifier: MIT */
/* The normalize kernels against an exact model in __float128; within 1e-9 of the exact value, or 1e-12 where that is 0.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "data/kernel_normalize.h"
#include "data/kernel_test.h"

enum { ROWS = 20000 };

static double noise(uint64_t *seed) /* in −1 … 1 */
{
    return (double)(next_random(seed) >> 11) * 0x1p-52 - 1;
}

static bool close_enough(double got, double exact)
{
    if (isnan(exact) || isnan(got))
        return isnan(exact) && isnan(got);
    return exact == 0 ? fabs(got) <= 1e-12 : fabs(got - exact) <= 1e-9 * fabs(exact);
}

static void test_given(void **state)
{
    (void)state;
    double values[] = {20, 25, 12.5, NAN, INFINITY, -INFINITY, 0x1p-1074}, out[7];
    normalize_given(values, 7, 20, 5, out);
    assert_true(out[0] == 0 && out[1] == 1 && out[2] == -1.5 && isnan(out[3]));
    assert_true(out[4] == INFINITY && out[5] == -INFINITY && out[6] == -4);
    normalize_given(values, 7, 0, 3, out);
    for (int i = 0; i < 3; i++)
        assert_true(out[i] == values[i] / 3); /* rounded once */
    normalize_given(values, 7, 20, 0, out);
    for (int i = 0; i < 7; i++)
        assert_true(isnan(out[i]));
}

static double shape_value(int shape, uint32_t i, uint64_t *seed)
{
    switch (shape) {
    case 0:
        return 1e9 + 1e-3 * noise(seed);
    case 1:
        return noise(seed);
    case 2:
        return i < 5 ? 0.1 : i % 9 ? 0.1 : NAN;
    case 3:
        return (double)(next_random(seed) % 1000) * 0x1p-1074;
    case 4:
        return 1e200 * noise(seed);
    case 5:
        return 1e-200 * (noise(seed) + 7);
    case 6:
        return i == 0 ? 1e12 : 20 + noise(seed);
    case 7:
        return i * 0.5 + noise(seed);
    case 8:
        return pow(10, 200 * noise(seed));
    case 9:
        return i % 10 ? 25 + noise(seed) : NAN;
    case 10:
        return (double)(next_random(seed) % 3);
    case 11:
        return i < 100 ? 0x1p-1074 * (i % 7) : 25 + noise(seed);
    default:
        return i % 1000 == 17 ? INFINITY : 25 + noise(seed);
    }
}
enum { SHAPES = 13 };

/* The model: exact sums over the values as whole prefixes, about an offset that is exact. */
static void test_running(void **state)
{
    (void)state;
    for (int shape = 0; shape < SHAPES; shape++) {
        for (uint32_t ddof = 0; ddof < 2; ddof++) {
            static double values[ROWS];
            uint64_t seed = 1000 + (uint64_t)shape;
            struct normalize_running running = {0};
            uint32_t count = 0;
            for (uint32_t i = 0; i < ROWS; i++) {
                double value = shape_value(shape, i, &seed), got = normalize_running_value(&running, value, ddof);
                if (isfinite(value))
                    values[count++] = value;
                if (i > 50 && i % 1999)
                    continue;
                __float128 sum = 0, squares = 0;
                for (uint32_t j = 0; j < count; j++)
                    sum += values[j];
                __float128 mean = count ? sum / count : 0;
                for (uint32_t j = 0; j < count; j++)
                    squares += (values[j] - mean) * (values[j] - mean);
                double exact = NAN;
                if (isfinite(value) && count > ddof && squares > 0)
                    exact = (double)((long double)(value - mean) / sqrtl((long double)(squares / (count - ddof))));
                if (!close_enough(got, exact))
                    fail_msg("shape %d, ddof %u, row %u: %.17g, exactly %.17g", shape, ddof, i, got, exact);
            }
        }
    }
}

static void test_running_rows(void **state)
{
    (void)state;
    const double values[] = {1, 100, 3, 50, 5, 100};
    const uint32_t selection[] = {0, 1, 2, 4, 5};
    struct normalize_running one = {0}, two = {0};
    void *states[] = {&one, &two, &one, &one, &two};
    double out[6] = {0, 0, 0, -7, 0, 0};
    normalize_running_rows(states, selection, 5, values, 0, out);
    assert_true(isnan(out[0]) && isnan(out[1]) && out[2] == 1 && out[3] == -7);
    assert_true(fabs(out[4] - 2 / sqrt(8.0 / 3)) < 1e-15);
    assert_true(isnan(out[5])); /* 100, 100: stddev 0 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_given),
        cmocka_unit_test(test_running),
        cmocka_unit_test(test_running_rows),
    };
    return cmocka_run_group_tests_name("normalize kernel", tests, NULL, NULL);
}
