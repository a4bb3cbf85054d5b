/* SPDX-License-Identifier: MIT */
/* The robust z-score against a model that sorts each window anew, bit for bit. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "data/kernel_robust.h"
#include "data/kernel_test.h"

enum { ROWS = 3000, KEYS = 3 };

static double median_model(double *values, uint32_t count)
{
    if (!count)
        return NAN;
    qsort(values, count, sizeof *values, compare_doubles);
    double low = values[(count - 1) / 2], high = values[count / 2];
    return low == high ? low : low + (high - low) * 0.5;
}

struct record {
    double value;
    int64_t time;
    uint32_t key;
};

/* The window of records[at]'s key after it (or before it: lag), as values that are not null. */
static uint32_t window_model(const struct record *records, uint32_t at, const struct robust_options *options,
                             double *values)
{
    int64_t newest = INT64_MIN, times[ROWS];
    uint32_t mine[ROWS], count = 0, made = 0;
    for (uint32_t i = 0; i <= at; i++) {
        if (records[i].key != records[at].key)
            continue;
        newest = records[i].time > newest ? records[i].time : newest;
        times[count] = newest;
        mine[count++] = i;
    }
    for (uint32_t i = count; i-- > 1;) /* before the first time of the key: as of that */
        times[i - 1] = times[i - 1] == INT64_MIN ? times[i] : times[i - 1];
    uint32_t end = options->lag ? count - 1 : count, first = end > options->records ? end - options->records : 0;
    for (uint32_t i = first; i < end; i++) {
        double value = records[mine[i]].value;
        bool inside = !options->span || times[i] > newest - options->span;
        if (inside && !isnan(value))
            values[made++] = value;
    }
    return made;
}

static double score_model(const struct record *records, uint32_t at, const struct robust_options *options)
{
    double values[ROWS], distances[ROWS], x = records[at].value;
    uint32_t count = window_model(records, at, options, values);
    double median = median_model(values, count);
    for (uint32_t i = 0; i < count; i++)
        distances[i] = fabs(values[i] - median);
    double mad = isfinite(median) ? median_model(distances, count) : NAN;
    return mad > 0 && ROBUST_SCALE * mad < INFINITY ? (x - median) / (ROBUST_SCALE * mad) : NAN;
}

static double draw_value(int shape, uint64_t *seed)
{
    uint64_t random = next_random(seed);
    if (random % 23 == 0)
        return NAN;
    if (shape == 3 && random % 5 == 0)
        return random % 2 ? INFINITY : -INFINITY;
    double uniform = (double)(next_random(seed) >> 11) * 0x1p-53;
    return shape == 0 ? (double)(random >> 40 & 7) - 3 : shape == 1 ? uniform : 1e9 + uniform * 1e-3;
}

static void run_shape(int shape, const struct robust_options *options, uint64_t seed)
{
    struct record *records = memory_zeroed(ROWS, sizeof *records);
    double values[ROWS], out[ROWS];
    int64_t times[ROWS], time = 0;
    void *states[ROWS], *keys[KEYS];
    for (uint32_t k = 0; k < KEYS; k++)
        keys[k] = memory_zeroed(1, robust_state_size(options));
    for (uint32_t i = 0; i < ROWS; i++) {
        time += (int64_t)(next_random(&seed) % 40) - 10;
        records[i] = (struct record){draw_value(shape, &seed), time, (uint32_t)(next_random(&seed) % KEYS)};
        if (next_random(&seed) % 50 == 0)
            records[i].time = INT64_MIN;
        values[i] = records[i].value;
        times[i] = records[i].time;
        states[i] = keys[records[i].key];
    }
    struct robust_rows rows = {.values = values, .times = times, .out = out};
    for (uint32_t begin = 0; begin < ROWS; begin += rows.count) { /* in batches of any size, some of them all rows */
        uint32_t selection[ROWS];
        rows.count = 1 + (uint32_t)(next_random(&seed) % 200);
        rows.count = rows.count > ROWS - begin ? ROWS - begin : rows.count;
        for (uint32_t i = 0; i < rows.count; i++)
            selection[i] = begin + i;
        rows.selection = selection;
        rows.states = states + begin;
        robust_process(options, &rows);
    }
    for (uint32_t i = 0; i < ROWS; i += 7) {
        double want = score_model(records, i, options);
        if (memcmp(&want, &out[i], sizeof want) != 0 && !(isnan(want) && isnan(out[i])))
            fail_msg("shape %d window %u span %lld lag %d row %u: %.17g, not %.17g", shape, options->records,
                     (long long)options->span, options->lag, i, out[i], want);
    }
    for (uint32_t k = 0; k < KEYS; k++)
        memory_free(keys[k]);
    memory_free(records);
}

static void test_windows_of_records(void **state)
{
    (void)state;
    static const uint32_t windows[] = {1, 2, 3, 10, 101, 1000};
    for (int shape = 0; shape < 4; shape++)
        for (uint32_t w = 0; w < 6; w++)
            run_shape(shape, &(struct robust_options){.records = windows[w], .lag = w % 2}, 7 * w + (uint64_t)shape);
}

static void test_windows_of_time(void **state)
{
    (void)state;
    static const int64_t spans[] = {1, 30, 300, 5000};
    for (int shape = 0; shape < 4; shape++)
        for (uint32_t s = 0; s < 4; s++)
            run_shape(shape, &(struct robust_options){.records = ROWS, .span = spans[s], .lag = s % 2}, s + 99);
}

static void test_early(void **state)
{
    (void)state;
    const struct robust_options options = {.records = 4, .span = 1000};
    void *key = memory_zeroed(1, robust_state_size(&options)), *states[10];
    double values[10], out[10];
    int64_t times[10];
    for (int i = 0; i < 10; i++) {
        states[i] = key;
        values[i] = i;
        times[i] = i;
    }
    struct robust_rows rows = {.states = states, .count = 10, .values = values, .times = times, .out = out};
    robust_process(&options, &rows);
    assert_int_equal(rows.early, 6);
    assert_true(out[9] == (9 - 7.5) / (ROBUST_SCALE * 1)); /* of 6, 7, 8, 9 */
    memory_free(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_windows_of_records),
        cmocka_unit_test(test_windows_of_time),
        cmocka_unit_test(test_early),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
