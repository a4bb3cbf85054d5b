/* SPDX-License-Identifier: MIT */
/*
 * Nanoseconds for a value of the rolling kernel, without an engine: unkeyed, 1000 keys and a million keys, windows of
 * 10 and 10,000 records; the median, unkeyed, of 1000 records. The keys come in random order, in batches of 4096 rows.
 * Processor time; best of five runs after warming up until the windows are full.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "data/kernel_rolling_wide.h"

enum { BATCH = 4096 };

static uint64_t next_random(uint64_t *seed)
{
    uint64_t x = (*seed += UINT64_C(0x9e3779b97f4a7c15));
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

struct work {
    struct rolling_kernel kernel;
    double *values;
    void **states;
    uint32_t total;
    struct rolling_column column;
    struct rolling_rows rows;
};

static double run(struct work *work)
{
    int64_t start = clock_thread_cpu();
    for (uint32_t at = 0; at < work->total; at += BATCH) {
        work->rows.states = work->states + at;
        work->rows.values = work->values + at;
        work->rows.count = work->total - at < BATCH ? work->total - at : BATCH;
        rolling_kernel_process(&work->kernel, &work->rows);
    }
    return (double)(clock_thread_cpu() - start) / work->total;
}

static int measure(const char *what, uint32_t statistics, uint32_t keys, uint32_t window, uint32_t total)
{
    struct rolling_options options = {.window = window, .statistics = statistics, .ddof = 1};
    struct work work = {.total = total};
    if (rolling_kernel_init(&work.kernel, &options, 0) < 0)
        return 1;
    const size_t page = MEMORY_HUGE_PAGE; /* as flow/keyed.c has them */
    char *states = memory_huge((keys * work.kernel.state_size + page - 1) / page * page);
    work.values = memory_aligned(64, sizeof(double) * total); /* as in batches */
    work.states = memory_allocate(sizeof(void *) * total);
    void *columns = memory_aligned(64, sizeof(double) * BATCH * ROLLING_STATISTICS);
    if (!states || !work.values || !work.states || !columns) {
        fprintf(stderr, "not enough memory for %" PRIu32 " keys with a window of %" PRIu32 "\n", keys, window);
        return 1;
    }
    memset(states, 0, keys * work.kernel.state_size);
    uint64_t seed = 1;
    for (uint32_t i = 0; i < total; i++) {
        work.values[i] = 20 + (double)next_random(&seed) / 0x1p64 + (double)next_random(&seed) / 0x1p64;
        work.states[i] = states + work.kernel.state_size * (next_random(&seed) % keys);
    }
    for (unsigned s = 0; s < ROLLING_STATISTICS; s++)
        work.rows.columns[s] = (double *)columns + s * BATCH;
    work.rows.column = keys == 1 ? &work.column : NULL;
    double best = run(&work), time;
    for (uint64_t taken = total; taken < (uint64_t)keys * window * 5 / 4; taken += total)
        best = run(&work); /* until nearly every window is full */
    for (int i = 0; i < 5; i++) {
        time = run(&work);
        best = time < best ? time : best;
    }
    printf("%-12s  keys %7" PRIu32 "  window %5" PRIu32 "  %7.2f ns a value  %8zu bytes a key\n", what, keys, window,
           best, work.kernel.state_size);
    memory_free(states);
    memory_free(work.values);
    memory_free(work.states);
    memory_free(columns);
    return 0;
}

static double run_median(const struct rolling_wide *wide, void **states, const double *values, double *out,
                         uint32_t total)
{
    int64_t start = clock_thread_cpu();
    for (uint32_t at = 0; at < total; at += BATCH) {
        struct rolling_wide_rows rows = {
            .states = states, .count = total - at < BATCH ? total - at : BATCH, .values = values + at};
        rows.columns[ROLLING_QUANTILE] = out;
        rolling_wide_process(wide, &rows);
    }
    return (double)(clock_thread_cpu() - start) / total;
}

static int measure_median(uint32_t window, uint32_t total)
{
    struct rolling_wide wide;
    const struct rolling_wide_options options = {
        .records = window, .statistics = 1u << ROLLING_QUANTILE, .quantile_count = 1, .quantiles = {0.5}};
    if (rolling_wide_init(&wide, &options, 0) < 0)
        return 1;
    char *state = memory_aligned(64, wide.state_size);
    double *values = memory_aligned(64, sizeof(double) * (total + BATCH));
    if (!state || !values) {
        fprintf(stderr, "not enough memory for a median of %" PRIu32 "\n", window);
        return 1;
    }
    memset(state, 0, wide.state_size);
    void *states[BATCH];
    uint64_t seed = 1;
    for (uint32_t i = 0; i < BATCH; i++)
        states[i] = state;
    for (uint32_t i = 0; i < total; i++)
        values[i] = 20 + (double)next_random(&seed) / 0x1p64 + (double)next_random(&seed) / 0x1p64;
    double best = run_median(&wide, states, values, values + total, total);
    for (int i = 0; i < 5; i++) {
        double time = run_median(&wide, states, values, values + total, total);
        best = time < best ? time : best;
    }
    printf("%-12s  keys %7d  window %5" PRIu32 "  %7.2f ns a value  %8zu bytes a key\n", "median", 1, window, best,
           wide.state_size);
    memory_free(state);
    memory_free(values);
    return 0;
}

int main(int argc, char **argv)
{
    uint32_t total = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 4000000;
    const uint32_t mean_stddev = 1u << ROLLING_MEAN | 1u << ROLLING_STDDEV, most = 1u << ROLLING_MAX;
    const uint32_t keys[] = {1, 1000, 1000000};
    int failed = measure_median(1000, total / 4);
    for (int k = 0; k < 3; k++) {
        for (uint32_t window = 10; window <= 10000; window *= 1000) {
            if (keys[k] > 1000 && window > 10)
                continue; /* 80 GB */
            failed |= measure("mean, stddev", mean_stddev, keys[k], window, total);
            failed |= measure("max", most, keys[k], window, total);
        }
    }
    return failed;
}
