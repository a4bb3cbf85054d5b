/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "base/hash.h"
#include "base/histogram.h"
#include "base/memory.h"

enum { VALUES = 20000 };
static uint64_t seed;

/* Spread over all magnitudes: as many values between 1 and 2 as between 2^40 and 2^41. */
static int64_t random_value(uint64_t *state)
{
    uint64_t bits = hash_random(state) % 62;

    return (int64_t)(hash_random(state) >> (63 - bits) >> 1);
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static struct histogram *new_histogram(void)
{
    struct histogram *histogram = memory_allocate(sizeof(*histogram));

    assert_non_null(histogram);
    histogram_init(histogram);
    return histogram;
}

static void test_quantiles_against_sorting(void **state)
{
    static const double quantiles[] = {0.0, 0.001, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999, 0.9999, 1.0};
    struct histogram *histogram = new_histogram();
    int64_t *values = memory_allocate(VALUES * sizeof(*values));
    double sum = 0.0;

    (void)state;
    assert_non_null(values);
    for (int i = 0; i < VALUES; i++) {
        values[i] = random_value(&seed) % (INT64_C(1) << 48); /* the sum must not saturate here */
        histogram_record(histogram, values[i], 1);
        sum += (double)values[i];
    }
    qsort(values, VALUES, sizeof(*values), compare);
    for (size_t i = 0; i < sizeof(quantiles) / sizeof(quantiles[0]); i++) {
        int64_t rank = (int64_t)ceil(quantiles[i] * VALUES);
        int64_t exact = values[rank > 0 ? rank - 1 : 0];
        int64_t shown = histogram_quantile(histogram, quantiles[i]);

        assert_true(fabs((double)shown - (double)exact) <= (double)exact / 128.0);
    }
    assert_int_equal(histogram_quantile(histogram, 0.0), values[0]);
    assert_int_equal(histogram_quantile(histogram, 1.0), values[VALUES - 1]);
    assert_true(fabs(histogram_mean(histogram) - sum / VALUES) <= sum / VALUES * 1e-12);
    memory_free(values);
    memory_free(histogram);
}

/* ---- A million values ------------------------------------------------------------------------------------------- */

enum { MANY = 1000000 };

static double uniform(uint64_t *state)
{
    return ((double)(hash_random(state) >> 11) + 0.5) / 0x1p53;
}

/* Response times in ns as they are found in the field, and what is hard for buckets. */
static int64_t draw(int distribution, uint64_t *state)
{
    double u = uniform(state);
    switch (distribution) {
    case 0: /* evenly, 0 to 10 ms */
        return (int64_t)(u * 1e7);
    case 1: /* exponential, mean 1 ms: a queue */
        return (int64_t)(-log(u) * 1e6);
    case 2: /* log-normal around 100 µs */
        return (int64_t)(1e5 * exp(1.5 * sqrt(-2 * log(u)) * cos(2 * M_PI * uniform(state))));
    case 3: /* Pareto, shape 1.1: a tail without end */
        return (int64_t)(1e3 * pow(u, -1 / 1.1));
    case 4: /* two peaks, far from each other: a cache */
        return u < 0.95 ? (int64_t)(2e3 + 1e2 * u) : (int64_t)(5e8 + 1e6 * u);
    default: /* always the same */
        return 123456789;
    }
}

enum { DISTRIBUTIONS = 6, DIGIT_BITS = 13, DIGITS = 1 << DIGIT_BITS };

/* By counting, digit by digit: qsort of a million takes too long with sanitizers. */
static void sort_values(int64_t *values, int64_t *scratch)
{
    for (int shift = 0; shift < 5 * DIGIT_BITS && shift < 64; shift += DIGIT_BITS) {
        static uint32_t starts[DIGITS + 1];
        memset(starts, 0, sizeof(starts));
        for (int i = 0; i < MANY; i++)
            starts[((uint64_t)values[i] >> shift) % DIGITS + 1]++;
        for (int i = 0; i < DIGITS; i++)
            starts[i + 1] += starts[i];
        for (int i = 0; i < MANY; i++)
            scratch[starts[((uint64_t)values[i] >> shift) % DIGITS]++] = values[i];
        int64_t *swap = values;
        values = scratch;
        scratch = swap;
    }
    memcpy(scratch, values, MANY * sizeof(*values)); /* an odd number of turns: the caller's is the other one */
}

static void check_against_sorted(const struct histogram *histogram, const int64_t *sorted)
{
    static const double quantiles[] = {0, 1e-6, 0.01, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999, 0.9999, 0.99999, 1};
    double sum = 0;

    for (int i = 0; i < MANY; i++)
        sum += (double)sorted[i];
    for (size_t i = 0; i < sizeof(quantiles) / sizeof(quantiles[0]); i++) {
        int64_t rank = (int64_t)ceil(quantiles[i] * MANY - 1e-6);
        int64_t exact = sorted[rank > 0 ? rank - 1 : 0], shown = histogram_quantile(histogram, quantiles[i]);

        if (fabs((double)shown - (double)exact) > (double)exact / 128.0)
            fail_msg("quantile %g: %lld, exactly %lld", quantiles[i], (long long)shown, (long long)exact);
    }
    assert_int_equal(atomic_load(&histogram->count), MANY);
    assert_int_equal(atomic_load(&histogram->least), sorted[0]);
    assert_int_equal(atomic_load(&histogram->most), sorted[MANY - 1]);
    assert_true(fabs(histogram_mean(histogram) - sum / MANY) <= sum / MANY * 1e-9);
}

/* And recorded in parts that are merged, it is the same histogram, bit for bit. */
static void test_a_million_of_each_distribution(void **state)
{
    struct histogram *whole = new_histogram(), *merged = new_histogram(), *parts[4];
    int64_t *values = memory_allocate(MANY * sizeof(*values)), *scratch = memory_allocate(MANY * sizeof(*scratch));

    (void)state;
    assert_true(values && scratch);
    for (int i = 0; i < 4; i++)
        parts[i] = new_histogram();
    for (int distribution = 0; distribution < DISTRIBUTIONS; distribution++) {
        uint64_t random = seed + (uint64_t)distribution;

        histogram_init(whole);
        histogram_init(merged);
        for (int i = 0; i < 4; i++)
            histogram_init(parts[i]);
        for (int i = 0; i < MANY; i++) {
            values[i] = draw(distribution, &random);
            histogram_record(whole, values[i], 1);
            histogram_record(parts[i % 4], values[i], 1);
        }
        for (int i = 0; i < 4; i++)
            histogram_merge(merged, parts[i]);
        assert_memory_equal(whole, merged, sizeof(*whole));
        sort_values(values, scratch);
        for (int i = 1; i < MANY; i++)
            assert_true(values[i - 1] <= values[i]);
        check_against_sorted(whole, values);
    }
    for (int i = 0; i < 4; i++)
        memory_free(parts[i]);
    memory_free(values);
    memory_free(scratch);
    memory_free(whole);
    memory_free(merged);
}

static void test_small_values_are_exact(void **state)
{
    struct histogram *histogram = new_histogram();

    (void)state;
    for (int64_t value = 0; value < 256; value++)
        histogram_record(histogram, value, 1);
    for (int i = 1; i <= 256; i++)
        assert_int_equal(histogram_quantile(histogram, i / 256.0), i - 1);
    memory_free(histogram);
}

static void test_merge_equals_recording_everything(void **state)
{
    struct histogram *whole = new_histogram(), *merged = new_histogram();
    struct histogram *parts[3] = {new_histogram(), new_histogram(), new_histogram()};

    (void)state;
    for (int i = 0; i < VALUES; i++) {
        int64_t value = random_value(&seed);
        uint64_t times = 1 + hash_random(&seed) % 5;

        histogram_record(whole, value, times);
        histogram_record(parts[hash_random(&seed) % 2], value, times); /* the third stays empty */
    }
    for (int i = 2; i >= 0; i--) {
        histogram_merge(merged, parts[i]);
        memory_free(parts[i]);
    }
    assert_memory_equal(whole, merged, sizeof(*whole));
    memory_free(whole);
    memory_free(merged);
}

static void test_edges(void **state)
{
    struct histogram *histogram = new_histogram();

    (void)state;
    assert_int_equal(histogram_quantile(histogram, 0.5), 0);
    assert_true(histogram_mean(histogram) == 0.0);
    histogram_record(histogram, 5, 0);
    assert_int_equal(atomic_load(&histogram->count), 0);
    histogram_record(histogram, -3, 1);
    assert_int_equal(histogram_quantile(histogram, 1.0), 0);
    histogram_record(histogram, INT64_MAX, 3); /* clamped to the range; the sum saturates */
    assert_true(histogram_quantile(histogram, 0.9) > INT64_MAX / 2 - INT64_MAX / 128);
    assert_int_equal(atomic_load(&histogram->sum), INT64_MAX);
    assert_int_equal(atomic_load(&histogram->count), 4);
    memory_free(histogram);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quantiles_against_sorting),
        cmocka_unit_test(test_a_million_of_each_distribution),
        cmocka_unit_test(test_small_values_are_exact),
        cmocka_unit_test(test_merge_equals_recording_everything),
        cmocka_unit_test(test_edges),
    };
    const char *given = getenv("SEED");

    seed = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);
    printf("SEED=%llu\n", (unsigned long long)seed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
