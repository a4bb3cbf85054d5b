/* SPDX-License-Identifier: MIT */
/*
 * Quantiles of many records at a time against a model that sorts each window, bit for bit: batches cut anywhere, keys
 * that come in turns, rows that are left out, values that are hard to put in order.
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
#include "data/kernel_rolling_wide.h"
#include "data/kernel_test.h"

enum { ROWS = 9000, KEYS_MOST = 3, QUANTILES_MOST = 3, SHAPES = 9 };

static double draw_value(int shape, uint32_t i, uint64_t *seed)
{
    const double draw = uniform(seed), other = uniform(seed);
    switch (shape) {
    case 0:
        return 20 + draw + other;
    case 1: /* about 0, both of them among it */
        return draw < 0.1 ? 0.0 : draw < 0.2 ? -0.0 : draw - 0.5;
    case 2: /* few different ones */
        return floor(draw * 7);
    case 3: /* what tells most of them apart is far behind their leading bits */
        return draw < 0.01 ? -1e300 : 1e9 + 1e-3 * other;
    case 4: /* of all magnitudes */
        return ldexp(other - 0.5, (int)(draw * 2000) - 1060);
    case 5: /* in order, up and then down */
        return i < ROWS / 2 ? i : -(double)i;
    case 6: /* nulls and infinities, not many */
        return draw < 0.0005 ? NAN : draw < 0.001 ? INFINITY : draw < 0.0015 ? -INFINITY : other;
    case 7: /* of the largest, far apart */
        return draw < 0.5 ? -DBL_MAX * other : DBL_MAX * other;
    default:
        return 0.1;
    }
}

/* ---- The model --------------------------------------------------------------------------------------------------- */

static double model_quantile(const double *sorted, uint32_t count, double quantile)
{
    if (count == 0)
        return NAN;
    const double place = quantile * (count - 1), fraction = place - floor(place);
    const double low = sorted[(uint32_t)place];
    if (fraction == 0 || sorted[(uint32_t)place + 1] == low)
        return low;
    const double high = sorted[(uint32_t)place + 1], apart = high - low;
    return apart <= 1.7e308 ? low + apart * fraction : low * (1 - fraction) + high * fraction;
}

/* The last `window` rows of row `at`'s key up to it, without nulls, sorted; how many. */
static uint32_t model_window(const double *values, const uint8_t *keys, const bool *taken, uint32_t at, uint32_t window,
                             double *sorted)
{
    uint32_t count = 0, records = 0;
    for (uint32_t i = at + 1; i-- > 0 && records < window;) {
        if (keys[i] != keys[at] || !taken[i])
            continue;
        records++;
        if (!isnan(values[i]))
            sorted[count++] = values[i] + 0.0;
    }
    qsort(sorted, count, sizeof(*sorted), compare_doubles);
    return count;
}

/* ---- Running ----------------------------------------------------------------------------------------------------- */

static struct {
    double values[ROWS], out[QUANTILES_MOST][ROWS];
    uint8_t keys[ROWS];
    bool taken[ROWS];
} data;

static void make_data(int shape, uint32_t key_count, bool left_out, uint64_t *seed)
{
    uint32_t key = 0;
    for (uint32_t i = 0, run = 0; i < ROWS; i++, run--) {
        if (run == 0) {
            key = (uint32_t)(next_random(seed) % key_count);
            run = 1 + (uint32_t)(next_random(seed) % (next_random(seed) % 2 ? 2000 : 20));
        }
        data.values[i] = draw_value(shape, i, seed);
        data.keys[i] = (uint8_t)key;
        data.taken[i] = !left_out || next_random(seed) % 5;
    }
    for (uint32_t q = 0; q < QUANTILES_MOST; q++)
        memset(data.out[q], 0, sizeof(data.out[q]));
}

static void run(const struct rolling_wide_options *options, uint32_t key_count, bool left_out, uint32_t batch_most,
                uint64_t *seed)
{
    static void *states[ROWS];
    static uint32_t selection[ROWS];
    struct rolling_wide wide;
    assert_int_equal(rolling_wide_init(&wide, options, 0), 0);
    char *all = memory_zeroed(key_count, wide.state_size);
    for (uint32_t at = 0, size; at < ROWS; at += size) {
        size = 1 + (uint32_t)(next_random(seed) % batch_most);
        size = size < ROWS - at ? size : ROWS - at;
        struct rolling_wide_rows rows = {
            .states = states, .selection = left_out ? selection : NULL, .values = data.values + at};
        for (uint32_t q = 0; q < options->quantile_count; q++)
            rows.columns[ROLLING_QUANTILE + q] = data.out[q] + at;
        for (uint32_t i = 0; i < size; i++) {
            if (!data.taken[at + i])
                continue;
            selection[rows.count] = i;
            states[rows.count++] = all + data.keys[at + i] * wide.state_size;
        }
        rolling_wide_process(&wide, &rows);
    }
    memory_free(all);
}

static void check(const struct rolling_wide_options *options, uint64_t seed, uint32_t every)
{
    static double sorted[ROWS];
    for (uint32_t i = (uint32_t)(seed % every); i < ROWS; i += every) {
        uint32_t count = data.taken[i] ? model_window(data.values, data.keys, data.taken, i, options->records, sorted)
                                       : 0;
        for (uint32_t q = 0; q < options->quantile_count && data.taken[i]; q++) {
            double want = model_quantile(sorted, count, options->quantiles[q]), got = data.out[q][i];
            if (isnan(want) ? !isnan(got) : memcmp(&want, &got, sizeof(want)) != 0)
                fail_msg("seed %llu, window %u, row %u, quantile %g: %.17g and not %.17g", (unsigned long long)seed,
                         options->records, i, options->quantiles[q], got, want);
        }
    }
}

static void test_against_model(void **state)
{
    (void)state;
    const uint32_t windows[] = {1, 2, 3, 10, 64, 100, 255, 1000, 1001, 2048};
    const uint32_t rounds = getenv("WEIR_TEST_SEEDS") ? 2000 : 180;
    for (uint32_t round = 1; round <= rounds; round++) {
        uint64_t seed = round;
        struct rolling_wide_options options = {
            .records = windows[next_random(&seed) % (sizeof(windows) / sizeof(windows[0]))],
            .quantile_count = 1 + (uint32_t)(next_random(&seed) % QUANTILES_MOST),
            .quantiles = {0.5, next_random(&seed) % 2 ? 0.9 : uniform(&seed), next_random(&seed) % 2 ? 1 : 0},
        };
        options.statistics = ((1u << options.quantile_count) - 1) << ROLLING_QUANTILE;
        const uint32_t keys = 1 + (uint32_t)(next_random(&seed) % KEYS_MOST);
        const bool left_out = next_random(&seed) % 2;
        make_data((int)(round % SHAPES), keys, left_out, &seed);
        run(&options, keys, left_out, next_random(&seed) % 3 ? ROWS : 700, &seed);
        check(&options, round, 97);
        static double before[QUANTILES_MOST][ROWS];
        memcpy(before, data.out, sizeof(before));
        options.one_by_one = true;
        run(&options, keys, left_out, ROWS, &seed);
        if (memcmp(before, data.out, sizeof(before)) != 0)
            fail_msg("seed %u: one by one it is something else", round);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_model),
    };
    return cmocka_run_group_tests_name("quantiles of many records at a time", tests, NULL, NULL);
}
