/* SPDX-License-Identifier: MIT */
/*
 * The rolling kernel against an exact model: __float128 over the window, for many shapes of data and windows.
 * Tolerance: 1e-9 of the exact value, or, where that is 0, 1e-12 of the largest magnitude in the window.
 */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "data/kernel_rolling.h"
#include "data/kernel_test.h"

enum {
    ALL = (1 << ROLLING_STATISTICS) - 1,
    SUMS = 1 << ROLLING_COUNT | 1 << ROLLING_SUM | 1 << ROLLING_MEAN | 1 << ROLLING_VAR | 1 << ROLLING_STDDEV,
    KEYS_MOST = 64
};

/* Looking at a whole window for each row takes most of the time: one row in so many, and all of them in `make soak`. */
static uint32_t one_in(uint32_t rows)
{
    return getenv("WEIR_TEST_SEEDS") ? 1 : rows;
}

static double noise(uint64_t *seed) /* mean 0, stddev 1, about Gaussian */
{
    double sum = -6;
    for (int i = 0; i < 12; i++)
        sum += uniform(seed);
    return sum;
}

/* ---- Shapes of data -----------------------------------------------------------------------------------------------
 */

struct shape {
    const char *name;
    double (*value)(uint32_t i, uint64_t *seed);
};
static double offset_noise(uint32_t i, uint64_t *seed)
{
    (void)i;
    return 1e9 + 1e-3 * noise(seed);
}
static double plain_noise(uint32_t i, uint64_t *seed)
{
    (void)i;
    return noise(seed);
}
static double constant(uint32_t i, uint64_t *seed)
{
    (void)i;
    (void)seed;
    return 0.1;
}
static double plateaus(uint32_t i, uint64_t *seed)
{
    (void)seed;
    return (i / 37) % 3 == 0 ? 0.3 : 1e6 * ((i / 37) % 5) + 0.7;
}
static double zeros_spikes(uint32_t i, uint64_t *seed)
{
    (void)i;
    return uniform(seed) < 0.02 ? noise(seed) * 1e3 : 0;
}
static double quantised(uint32_t i, uint64_t *seed)
{
    (void)i;
    return 20 + 0.1 * (double)(next_random(seed) % 4);
}
static double ramp(uint32_t i, uint64_t *seed)
{
    return i * 1e3 + noise(seed);
}
static double walk_down(uint32_t i, uint64_t *seed)
{
    (void)seed;
    return ldexp(1.5, 900 - (int)(i % 1800));
}
static double alternating(uint32_t i, uint64_t *seed)
{
    (void)seed;
    return i % 2 ? 1e5 : -1e5;
}
static double level_step(uint32_t i, uint64_t *seed)
{
    return (i / 211 % 2 ? 1e9 : 0) + 1e-3 * noise(seed);
}
static double with_nulls(uint32_t i, uint64_t *seed)
{
    (void)i;
    return uniform(seed) < 0.3 ? NAN : 100 + noise(seed);
}
static double mostly_null(uint32_t i, uint64_t *seed)
{
    (void)i;
    return uniform(seed) < 0.95 ? NAN : 1e9 + noise(seed);
}
static double with_infinities(uint32_t i, uint64_t *seed)
{
    (void)i;
    double kind = uniform(seed);
    return kind < 0.01 ? INFINITY : kind < 0.02 ? -INFINITY : kind < 0.05 ? NAN : 1e9 + 1e-3 * noise(seed);
}
static double denormals(uint32_t i, uint64_t *seed)
{
    (void)i;
    return (double)(next_random(seed) % 1000) * 0x1p-1074;
}
static double denormals_rare(uint32_t i, uint64_t *seed)
{
    (void)i;
    return uniform(seed) < 0.1 ? (double)(next_random(seed) % 1000) * 0x1p-1074 : 0;
}
static double small_squares(uint32_t i, uint64_t *seed)
{
    (void)i;
    return 1e-200 * (3 + noise(seed));
}
static double large_squares(uint32_t i, uint64_t *seed)
{
    (void)i;
    return 1e200 * (3 + noise(seed));
}
static double extreme_ends(uint32_t i, uint64_t *seed)
{
    (void)i;
    return (next_random(seed) & 1 ? 1 : -1) * 1.7e308;
}
static double huge_then_one(uint32_t i, uint64_t *seed)
{
    return i % 97 == 5 ? 1e300 : 1 + 1e-3 * noise(seed);
}
static double most_then_little(uint32_t i, uint64_t *seed)
{
    return i % 151 == 5 ? DBL_MAX : i % 151 == 80 ? 0x1p-1074 : i % 302 < 151 ? 25 + noise(seed) : 25;
}
static double magnitudes(uint32_t i, uint64_t *seed)
{
    (void)i;
    return pow(10, 600 * uniform(seed) - 300);
}
static double signed_magnitudes(uint32_t i, uint64_t *seed)
{
    (void)i;
    return (next_random(seed) & 1 ? 1 : -1) * pow(10, 12 * uniform(seed) - 6);
}

static const struct shape shapes[] = {
    {"offset 1e9, noise 1e-3", offset_noise},
    {"noise", plain_noise},
    {"constant", constant},
    {"plateaus", plateaus},
    {"zeros and spikes", zeros_spikes},
    {"quantised", quantised},
    {"ramp", ramp},
    {"halving", walk_down},
    {"alternating", alternating},
    {"level steps", level_step},
    {"nulls", with_nulls},
    {"mostly null", mostly_null},
    {"infinities", with_infinities},
    {"denormals", denormals},
    {"denormals, rare", denormals_rare},
    {"small squares", small_squares},
    {"large squares", large_squares},
    {"near the largest double", extreme_ends},
    {"1e300, then 1", huge_then_one},
    {"largest, smallest, plain", most_then_little},
    {"magnitudes", magnitudes},
    {"signed magnitudes", signed_magnitudes},
};
enum { SHAPES = sizeof(shapes) / sizeof(shapes[0]) };

/* ---- Running the kernel -------------------------------------------------------------------------------------------
 */

struct outputs {
    uint32_t rows;
    double *f64[ROLLING_STATISTICS];
    int64_t *count;
};
static struct outputs outputs_new(uint32_t rows)
{
    struct outputs outputs = {.rows = rows};
    for (int s = 0; s < ROLLING_STATISTICS; s++) {
        outputs.f64[s] = memory_zeroed(rows, sizeof(double));
        assert_non_null(outputs.f64[s]);
    }
    outputs.count = (int64_t *)(void *)outputs.f64[ROLLING_COUNT];
    return outputs;
}
static void outputs_free(struct outputs *outputs)
{
    for (int s = 0; s < ROLLING_STATISTICS; s++)
        memory_free(outputs->f64[s]);
}

/* Runs values through one kernel, record i belonging to key i % keys, in batches of at most `batch` rows (0: random).
 * No keys: as a column without any. */
static struct outputs run_keys(const struct rolling_options *options, const double *values, uint32_t rows,
                               uint32_t keys, uint32_t batch)
{
    struct rolling_column column = {0}, *alone = keys ? NULL : &column;
    keys = keys ? keys : 1;
    struct rolling_kernel kernel;
    assert_int_equal(rolling_kernel_init(&kernel, options, 0), 0);
    char *states[KEYS_MOST];
    for (uint32_t k = 0; k < keys; k++)
        assert_non_null(states[k] = memory_zeroed(1, kernel.state_size));
    void **of_row = memory_zeroed(rows, sizeof(void *));
    struct outputs outputs = outputs_new(rows);
    uint64_t seed = 77;
    for (uint32_t at = 0, size; at < rows; at += size) {
        size = batch ? batch : 1 + (uint32_t)(next_random(&seed) % 300);
        if (size > rows - at)
            size = rows - at;
        for (uint32_t i = 0; i < size; i++)
            of_row[i] = states[(at + i) % keys];
        struct rolling_rows part = {.states = of_row, .count = size, .values = values + at, .column = alone};
        for (int s = 0; s < ROLLING_STATISTICS; s++)
            part.columns[s] = outputs.f64[s] + at;
        rolling_kernel_process(&kernel, &part);
    }
    for (uint32_t k = 0; k < keys; k++)
        memory_free(states[k]);
    memory_free(of_row);
    return outputs;
}
static struct outputs run(const struct rolling_options *options, const double *values, uint32_t rows, uint32_t batch)
{
    return run_keys(options, values, rows, 1, batch);
}

/* ---- The model ----------------------------------------------------------------------------------------------------
 */

struct exact {
    double value[ROLLING_STATISTICS];
    double largest;
};
static struct exact model(const double *values, uint32_t begin, uint32_t end, uint32_t ddof)
{
    struct exact exact = {.largest = 0};
    for (int s = 0; s < ROLLING_STATISTICS; s++)
        exact.value[s] = NAN;
    __float128 sum = 0, squares = 0;
    bool infinite = false;
    uint32_t count = 0;
    double *v = exact.value;
    for (uint32_t i = begin; i < end; i++) {
        double x = values[i];
        if (isnan(x))
            continue;
        infinite |= isinf(x);
        v[ROLLING_MIN] = count && v[ROLLING_MIN] < x ? v[ROLLING_MIN] : x;
        v[ROLLING_MAX] = count && v[ROLLING_MAX] > x ? v[ROLLING_MAX] : x;
        v[ROLLING_FIRST] = count ? v[ROLLING_FIRST] : x;
        v[ROLLING_LAST] = x;
        exact.largest = fmax(exact.largest, fabs(x));
        sum += x;
        count++;
    }
    v[ROLLING_COUNT] = count;
    if (count == 0)
        return exact;
    __float128 mean = sum / count;
    v[ROLLING_DELTA] = v[ROLLING_LAST] - v[ROLLING_FIRST];
    v[ROLLING_SUM] = (double)sum;
    v[ROLLING_MEAN] = (double)mean;
    for (uint32_t i = begin; i < end; i++) {
        if (!isnan(values[i]))
            squares += (values[i] - mean) * (values[i] - mean);
    }
    if (count > ddof && !infinite) {
        v[ROLLING_VAR] = (double)(squares / (count - ddof));
        v[ROLLING_STDDEV] = (double)sqrtl((long double)(squares / (count - ddof)));
    }
    return exact;
}

static bool close_enough(double got, double exact, double largest)
{
    if (isnan(exact) || isnan(got))
        return isnan(exact) && isnan(got);
    if (isinf(exact) || isinf(got))
        return got == exact;
    if (exact == 0)
        return fabs(got) <= 1e-12 * largest;
    /* A double cannot be nearer than half of the smallest one. */
    return fabs(got - exact) <= 1e-9 * fabs(exact) + 0x1p-1074;
}

static void check(const char *name, uint64_t seed, const struct rolling_options *options, const struct outputs *outputs,
                  const double *values, uint32_t row, uint32_t begin, uint32_t end)
{
    struct exact exact = model(values, begin, end, options->ddof);
    for (int s = 0; s < ROLLING_STATISTICS; s++) {
        if (!(options->statistics & 1u << s))
            continue;
        double got = s == ROLLING_COUNT ? (double)outputs->count[row] : outputs->f64[s][row];
        double largest = s == ROLLING_VAR ? exact.largest * exact.largest : exact.largest;
        if (!close_enough(got, exact.value[s], largest))
            fail_msg("%s, seed %llu, window %u, row %u: %s is %.17g, exactly %.17g", name, (unsigned long long)seed,
                     options->window, row, rolling_statistic_names[s], got, exact.value[s]);
    }
}

static void check_shape(const struct shape *shape, uint32_t window, uint32_t rows, uint32_t statistics, uint32_t every,
                        bool recompute)
{
    uint64_t seed = window * 1000 + rows, first = seed;
    every *= one_in(11);
    double *values = memory_zeroed(rows, sizeof(double));
    for (uint32_t i = 0; i < rows; i++)
        values[i] = shape->value(i, &seed);
    struct rolling_options options = {
        .window = window, .statistics = statistics, .ddof = window % 2, .recompute = recompute};
    const bool sums = (statistics & (statistics - 1)) && !(statistics & ~SUMS) && window >= ROLLING_BLOCK;
    const bool has_column = sums || ((statistics == 1 << ROLLING_MIN || statistics == 1 << ROLLING_MAX) && window < 17);
    for (uint32_t keys = has_column ? 0 : 1; keys < 2; keys++) {
        struct outputs outputs = run_keys(&options, values, rows, keys, 0);
        for (uint32_t i = keys + (uint32_t)(first % every); i < rows; i += every)
            check(shape->name, first, &options, &outputs, values, i, i + 1 > window ? i + 1 - window : 0, i + 1);
        outputs_free(&outputs);
    }
    memory_free(values);
}

static void test_exact(void **state)
{
    (void)state;
    const uint32_t windows[] = {1, 2, 3, 10, 16, 17, 64, 100, 1000};
    const uint32_t sets[] = {ALL,
                             1 << ROLLING_MEAN,
                             1 << ROLLING_MEAN | 1 << ROLLING_STDDEV,
                             1 << ROLLING_COUNT | 1 << ROLLING_SUM | 1 << ROLLING_VAR,
                             1 << ROLLING_MIN,
                             1 << ROLLING_MAX,
                             1 << ROLLING_MIN | 1 << ROLLING_MAX};
    for (size_t s = 0; s < SHAPES; s++) {
        for (size_t w = 0; w < sizeof(windows) / sizeof(windows[0]); w++) {
            uint32_t every = windows[w] > 100 ? 29 : windows[w] > 20 ? 5 : 1;
            for (size_t set = 0; set < sizeof(sets) / sizeof(sets[0]); set++)
                check_shape(&shapes[s], windows[w], windows[w] > 100 ? 3000 : 1500, sets[set], set ? every * 7 : every,
                            false);
            check_shape(&shapes[s], windows[w], 400, ALL, 3, true);
        }
    }
}

static void test_long_windows(void **state)
{
    (void)state;
    for (size_t s = 0; s < SHAPES; s++) {
        check_shape(&shapes[s], 10000, 45000, ALL, 1999, false);
        check_shape(&shapes[s], 10000, 45000, 1 << ROLLING_MEAN | 1 << ROLLING_STDDEV, 1999, false);
        check_shape(&shapes[s], 100000, 3000, ALL, 499, false); /* longer than the data */
    }
}

/* A constant has variance 0, not nearly 0, whatever came before it. */
static void test_constant_is_exact(void **state)
{
    (void)state;
    struct rolling_options options = {.window = 50, .statistics = ALL, .ddof = 1};
    double values[300];
    for (int i = 0; i < 300; i++)
        values[i] = i < 100 ? 1e9 * sin(i) : 0.1;
    struct outputs outputs = run(&options, values, 300, 7);
    for (int i = 150; i < 300; i++) {
        assert_true(outputs.f64[ROLLING_VAR][i] == 0);
        assert_true(outputs.f64[ROLLING_STDDEV][i] == 0);
        assert_true(outputs.f64[ROLLING_MEAN][i] == 0.1);
    }
    outputs_free(&outputs);
}

/* Not one bit depends on how the rows are cut into batches, on what other keys come between, or on the selection. */
static void test_batches_make_no_difference(void **state)
{
    (void)state;
    enum { ROWS = 3000 };
    const uint32_t sets[] = {ALL, 1 << ROLLING_MEAN | 1 << ROLLING_STDDEV, 1 << ROLLING_MEAN, 1 << ROLLING_VAR,
                             1 << ROLLING_MAX};
    double *values = memory_zeroed(ROWS, sizeof(double)), *spread = memory_zeroed(ROWS * 3, sizeof(double));
    for (size_t s = 0; s < SHAPES; s++) {
        uint64_t seed = s;
        for (uint32_t i = 0; i < ROWS; i++) {
            values[i] = shapes[s].value(i, &seed);
            for (uint32_t k = 0; k < 3; k++)
                spread[i * 3 + k] = k == 1 ? values[i] : shapes[(s + k) % SHAPES].value(i, &seed);
        }
        for (size_t set = 0; set < sizeof(sets) / sizeof(sets[0]); set++) {
            for (uint32_t window = 5; window <= 500; window *= 10) {
                struct rolling_options options = {.window = window, .statistics = sets[set], .ddof = 1};
                struct outputs whole = run(&options, values, ROWS, ROWS), ones = run(&options, values, ROWS, 1);
                struct outputs random = run(&options, values, ROWS, 0),
                               keyed = run_keys(&options, spread, ROWS * 3, 3, 0);
                for (int t = 0; t < ROLLING_STATISTICS; t++) {
                    assert_memory_equal(whole.f64[t], ones.f64[t], sizeof(double) * ROWS);
                    assert_memory_equal(whole.f64[t], random.f64[t], sizeof(double) * ROWS);
                    for (uint32_t i = 0; i < ROWS; i++)
                        assert_memory_equal(&whole.f64[t][i], &keyed.f64[t][3 * i + 1], sizeof(double));
                }
                outputs_free(&whole);
                outputs_free(&ones);
                outputs_free(&random);
                outputs_free(&keyed);
            }
        }
    }
    memory_free(values);
    memory_free(spread);
}

/* Nor on how many rows of different keys are taken in at once. Keys in random order, each with values of its own shape,
 * many of them ordinary for long stretches, in batches of any size and one by one. */
static void test_many_keys_at_once(void **state)
{
    (void)state;
    enum { ROWS = 40000, KEYS = KEYS_MOST };
    const uint32_t sets[] = {1 << ROLLING_MEAN | 1 << ROLLING_STDDEV, SUMS};
    double *values = memory_zeroed(ROWS, sizeof(double));
    void **states = memory_zeroed(ROWS, sizeof(void *));
    for (uint32_t round = 0; round < 8; round++) {
        const struct rolling_options options = {
            .window = (const uint32_t[]){2, 5, 10, 100}[round / 2], .statistics = sets[round % 2], .ddof = 1};
        struct rolling_kernel kernel;
        assert_int_equal(rolling_kernel_init(&kernel, &options, 8), 0);
        const size_t stride = kernel.state_size + 8;
        char *all[2] = {memory_zeroed(KEYS, stride), memory_zeroed(KEYS, stride)};
        struct outputs many = outputs_new(ROWS), ones = outputs_new(ROWS);
        uint64_t seed = round;
        uint32_t seen[KEYS] = {0}, *keys = memory_zeroed(ROWS, sizeof(uint32_t));
        for (uint32_t i = 0; i < ROWS; i++) {
            keys[i] = (uint32_t)(next_random(&seed) % KEYS);
            const struct shape *shape = &shapes[round < 4 || keys[i] % 8 == 0 ? keys[i] % SHAPES : keys[i] % 2];
            values[i] = shape->value(seen[keys[i]]++, &seed);
        }
        for (uint32_t turn = 0; turn < 2; turn++) {
            struct outputs *outputs = turn ? &ones : &many;
            for (uint32_t i = 0; i < ROWS; i++)
                states[i] = all[turn] + stride * keys[i];
            for (uint32_t at = 0, size; at < ROWS; at += size) {
                size = turn ? 1 : 1 + (uint32_t)(next_random(&seed) % 3000);
                size = size < ROWS - at ? size : ROWS - at;
                struct rolling_rows rows = {.states = states + at, .count = size, .values = values + at};
                for (int s = 0; s < ROLLING_STATISTICS; s++)
                    rows.columns[s] = outputs->f64[s] + at;
                rolling_kernel_process(&kernel, &rows);
            }
        }
        for (int s = 0; s < ROLLING_STATISTICS; s++)
            assert_memory_equal(many.f64[s], ones.f64[s], sizeof(double) * ROWS);
        assert_memory_equal(all[0], all[1], KEYS * stride); /* the states too */
        outputs_free(&many);
        outputs_free(&ones);
        memory_free(all[0]);
        memory_free(all[1]);
        memory_free(keys);
    }
    memory_free(values);
    memory_free(states);
}

/* The first records of many keys, that take turns: eight windows which are filling, of every shape, as one by one. */
static void test_first_records(void **state)
{
    (void)state;
    enum { KEYS = KEYS_MOST, LAPS = 3 };
    const uint32_t windows[] = {1, 2, 10, 255}, sets[] = {1 << ROLLING_MEAN | 1 << ROLLING_STDDEV, SUMS};
    for (uint32_t round = 0; round < SHAPES * 8; round++) {
        const uint32_t window = windows[round / 2 % 4], rows = KEYS * (window < 12 ? LAPS * window : window + 9);
        const struct rolling_options options = {.window = window, .statistics = sets[round % 2], .ddof = round / 8 % 3};
        struct rolling_kernel kernel;
        assert_int_equal(rolling_kernel_init(&kernel, &options, 0), 0);
        char *all[2] = {memory_zeroed(KEYS, kernel.state_size), memory_zeroed(KEYS, kernel.state_size)};
        double *values = memory_zeroed(rows, sizeof(double));
        void **states = memory_zeroed(rows, sizeof(void *));
        struct outputs outputs[2] = {outputs_new(rows), outputs_new(rows)};
        uint64_t seed = round;
        for (uint32_t i = 0; i < rows; i++)
            values[i] = shapes[round / 8].value(round % 3 ? i : i / KEYS, &seed);
        for (uint32_t turn = 0; turn < 2; turn++) {
            for (uint32_t i = 0; i < rows; i++)
                states[i] = all[turn] + kernel.state_size * (i % KEYS);
            for (uint32_t at = 0, size; at < rows; at += size) {
                size = turn ? 1 : 8 + (uint32_t)(next_random(&seed) % 500);
                size = size < rows - at ? size : rows - at;
                struct rolling_rows part = {.states = states + at, .count = size, .values = values + at};
                for (int s = 0; s < ROLLING_STATISTICS; s++)
                    part.columns[s] = outputs[turn].f64[s] + at;
                rolling_kernel_process(&kernel, &part);
            }
        }
        for (int s = 0; s < ROLLING_STATISTICS; s++)
            assert_memory_equal(outputs[0].f64[s], outputs[1].f64[s], sizeof(double) * rows);
        assert_memory_equal(all[0], all[1], KEYS * kernel.state_size);
        for (uint32_t turn = 0; turn < 2; turn++) {
            memory_free(all[turn]);
            outputs_free(&outputs[turn]);
        }
        memory_free(values);
        memory_free(states);
    }
}

/* The same of a column without keys, whose sums are made eight at a time. Its results may differ from those of a key in
 * the last bits, not among themselves: whole, in ones, in pieces, and through a selection. */
static void test_batches_of_a_column(void **state)
{
    (void)state;
    enum { ROWS = 4000 };
    const uint32_t sets[] = {SUMS, 1 << ROLLING_MEAN | 1 << ROLLING_STDDEV};
    double *values = memory_zeroed(ROWS, sizeof(double)), *spread = memory_zeroed(ROWS * 2, sizeof(double));
    uint32_t *selection = memory_zeroed(ROWS, sizeof(uint32_t));
    void **states = memory_zeroed(ROWS, sizeof(void *));
    for (size_t s = 0; s < SHAPES; s++) {
        uint64_t seed = s;
        for (uint32_t i = 0; i < ROWS; i++) {
            selection[i] = 2 * i + (uint32_t)(next_random(&seed) % 2);
            values[i] = spread[selection[i]] = shapes[s].value(i, &seed);
        }
        for (uint32_t window = 8; window <= 300; window += 50 + window) {
            struct rolling_options options = {.window = window, .statistics = sets[window % 3 > 0], .ddof = 1};
            struct rolling_kernel kernel;
            struct rolling_column column = {0};
            assert_int_equal(rolling_kernel_init(&kernel, &options, 0), 0);
            for (uint32_t i = 0; i < ROWS; i++)
                states[i] = i ? states[0] : memory_zeroed(1, kernel.state_size);
            struct outputs whole = run_keys(&options, values, ROWS, 0, ROWS),
                           ones = run_keys(&options, values, ROWS, 0, 1);
            struct outputs random = run_keys(&options, values, ROWS, 0, 0), selected = outputs_new(2 * ROWS);
            for (uint32_t at = 0, size; at < ROWS; at += size) {
                size = 1 + (uint32_t)(next_random(&seed) % 700) % (ROWS - at);
                struct rolling_rows rows = {
                    .states = states, .selection = selection + at, .count = size, .values = spread, .column = &column};
                for (int t = 0; t < ROLLING_STATISTICS; t++)
                    rows.columns[t] = selected.f64[t];
                rolling_kernel_process(&kernel, &rows);
            }
            for (int t = 0; t < ROLLING_STATISTICS; t++) {
                assert_memory_equal(whole.f64[t], ones.f64[t], sizeof(double) * ROWS);
                assert_memory_equal(whole.f64[t], random.f64[t], sizeof(double) * ROWS);
                for (uint32_t i = 0; i < ROWS; i++)
                    assert_memory_equal(&whole.f64[t][i], &selected.f64[t][selection[i]], sizeof(double));
            }
            outputs_free(&whole);
            outputs_free(&ones);
            outputs_free(&random);
            outputs_free(&selected);
            memory_free(states[0]);
        }
    }
    memory_free(values);
    memory_free(spread);
    memory_free(selection);
    memory_free(states);
}

static void test_selection(void **state)
{
    (void)state;
    struct rolling_options options = {.window = 3, .statistics = ALL, .ddof = 1};
    struct rolling_kernel kernel;
    assert_int_equal(rolling_kernel_init(&kernel, &options, 0), 0);
    void *one = memory_zeroed(1, kernel.state_size), *states[3] = {one, one, one};
    const double values[] = {99, 1, 99, 2, 6, 99};
    const uint32_t selection[] = {1, 3, 4};
    struct outputs outputs = outputs_new(6);
    struct rolling_rows rows = {.states = states, .selection = selection, .count = 3, .values = values};
    for (int s = 0; s < ROLLING_STATISTICS; s++)
        rows.columns[s] = outputs.f64[s];
    rolling_kernel_process(&kernel, &rows);
    assert_true(outputs.f64[ROLLING_MEAN][4] == 3 && outputs.f64[ROLLING_VAR][4] == 7 && outputs.count[4] == 3);
    assert_true(outputs.f64[ROLLING_FIRST][4] == 1 && outputs.f64[ROLLING_DELTA][4] == 5);
    assert_true(outputs.f64[ROLLING_MEAN][2] == 0 && outputs.f64[ROLLING_MEAN][5] == 0); /* not written */
    outputs_free(&outputs);
    memory_free(one);
}

/* ---- Step and lag: examples by hand -------------------------------------------------------------------------------
 */

static void expect_sums(struct rolling_options options, const double *values, const double *sums, uint32_t rows)
{
    for (int recompute = 0; recompute < 2; recompute++) {
        options.recompute = recompute;
        struct outputs outputs = run(&options, values, rows, 2);
        for (uint32_t i = 0; i < rows; i++) {
            double got = outputs.f64[ROLLING_SUM][i];
            if (!(isnan(sums[i]) ? isnan(got) : got == sums[i]))
                fail_msg("row %u: sum %g, expected %g", i, got, sums[i]);
        }
        outputs_free(&outputs);
    }
}

static void test_step_and_lag(void **state)
{
    (void)state;
    const double values[] = {1, 2, 4, 8, 16, 32, 64, 128, 256};
    struct rolling_options options = {.window = 3, .statistics = ALL, .ddof = 1};
    expect_sums(options, values, (double[]){1, 3, 7, 14, 28, 56, 112, 224, 448}, 9);
    options.step = 2;
    expect_sums(options, values, (double[]){1, 3, 7, 7, 28, 28, 112, 112, 448}, 9);
    options.step = 3;
    expect_sums(options, values, (double[]){1, 3, 7, 7, 7, 56, 56, 56, 448}, 9);
    options.step = 4; /* further than the window is long: a record is passed over */
    expect_sums(options, values, (double[]){1, 3, 7, 7, 7, 7, 112, 112, 112}, 9);
    options.step = 1;
    options.lag = true;
    expect_sums(options, values, (double[]){NAN, 1, 3, 7, 14, 28, 56, 112, 224}, 9);
    options.step = 2;
    expect_sums(options, values, (double[]){NAN, 1, 3, 7, 7, 28, 28, 112, 112}, 9);

    options = (struct rolling_options){.window = 3, .statistics = ALL, .ddof = 1, .lag = true};
    struct outputs outputs = run(&options, (double[]){NAN, 5, 7}, 3, 0);
    assert_true(outputs.count[0] == INT64_MIN && outputs.count[1] == 0 && outputs.count[2] == 1);
    assert_true(isnan(outputs.f64[ROLLING_MEAN][1]) && outputs.f64[ROLLING_MEAN][2] == 5);
    assert_true(isnan(outputs.f64[ROLLING_MIN][0]) && outputs.f64[ROLLING_LAST][2] == 5);
    outputs_free(&outputs);
}

static void test_step_against_model(void **state)
{
    (void)state;
    enum { ROWS = 2000 };
    double values[ROWS];
    for (size_t s = 0; s < SHAPES; s++) {
        uint64_t seed = s;
        for (uint32_t i = 0; i < ROWS; i++)
            values[i] = shapes[s].value(i, &seed);
        for (uint32_t window = 1; window < 200; window = window * 3 + 1) {
            for (uint32_t step = 2; step < 60; step = step * 2 + 3) {
                struct rolling_options options = {.window = window, .statistics = ALL, .ddof = 1, .step = step};
                struct outputs plain = run(&options, values, ROWS, 0);
                options.lag = true;
                struct outputs lagging = run(&options, values, ROWS, 0);
                const uint32_t first = (window + step) % (3 * one_in(17));
                for (uint32_t i = first; i < ROWS; i += 3 * one_in(17)) {
                    uint32_t end = i < window ? i + 1 : window + (i + 1 - window) / step * step;
                    check(shapes[s].name, s, &options, &plain, values, i, end > window ? end - window : 0, end);
                    end = i == 0 ? 0 : i - 1 < window ? i : window + (i - window) / step * step;
                    if (i > 0)
                        check(shapes[s].name, s, &options, &lagging, values, i, end > window ? end - window : 0, end);
                }
                outputs_free(&plain);
                outputs_free(&lagging);
            }
        }
    }
}

static void test_bad_options(void **state)
{
    (void)state;
    struct rolling_kernel kernel;
    assert_int_equal(rolling_kernel_init(&kernel, &(struct rolling_options){.window = 0, .statistics = 1}, 0), -22);
    assert_int_equal(rolling_kernel_init(&kernel, &(struct rolling_options){.window = 5, .statistics = 0}, 0), -22);
    assert_int_equal(rolling_kernel_init(&kernel, &(struct rolling_options){.window = 5, .statistics = 1}, 4), -22);
    struct rolling_options usual = {.window = 10, .statistics = 1 << ROLLING_MEAN | 1 << ROLLING_STDDEV};
    assert_int_equal(rolling_kernel_init(&kernel, &usual, 0), 0);
    assert_true(kernel.state_size <= 144); /* what the documents promise for a key */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exact),
        cmocka_unit_test(test_long_windows),
        cmocka_unit_test(test_constant_is_exact),
        cmocka_unit_test(test_batches_make_no_difference),
        cmocka_unit_test(test_many_keys_at_once),
        cmocka_unit_test(test_first_records),
        cmocka_unit_test(test_batches_of_a_column),
        cmocka_unit_test(test_selection),
        cmocka_unit_test(test_step_and_lag),
        cmocka_unit_test(test_step_against_model),
        cmocka_unit_test(test_bad_options),
    };
    return cmocka_run_group_tests_name("rolling kernel", tests, NULL, NULL);
}
