/* SPDX-License-Identifier: MIT */
/* Normalizing, and statistics of rolling windows: by window and kind, over 100 keys in random order. */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "data/kernel_normalize.h"
#include "data/kernel_robust.h"
#include "data/kernel_rolling.h"
#include "data/kernel_rolling_wide.h"
#include "micro/micro.h"
#include "micro/records.h"

enum { KEYS = 100 };

enum kind { NORMALIZE_GIVEN, NORMALIZE_RUNNING, ROLLING, WIDE, ROBUST };
struct settings {
    enum kind kind;
    uint32_t keys, window, statistic; /* ROLLING_… */
    double quantile;
    bool recompute;
};
struct kernel_work {
    struct settings settings;
    struct rolling_kernel rolling;
    struct rolling_wide wide;
    struct robust_options robust;
    char *states;
    void *state_of[MICRO_ROWS];
    double values[MICRO_ROWS], out[MICRO_ROWS];
};

static void close_kernel(void *state)
{
    struct kernel_work *work = state;
    memory_free(work->states);
    memory_free(work);
}

/* Bytes of a key's state. */
static int prepare(struct kernel_work *work, size_t *ret_size)
{
    const struct settings *settings = &work->settings;
    int error = 0;
    *ret_size = sizeof(struct normalize_running);
    if (settings->kind == ROLLING) {
        error = rolling_kernel_init(&work->rolling,
                                    &(struct rolling_options){.window = settings->window,
                                                              .statistics = 1u << settings->statistic,
                                                              .ddof = 1,
                                                              .recompute = settings->recompute},
                                    0);
        *ret_size = work->rolling.state_size;
    } else if (settings->kind == WIDE) {
        error = rolling_wide_init(&work->wide,
                                  &(struct rolling_wide_options){.records = settings->window,
                                                                 .statistics = 1u << settings->statistic,
                                                                 .quantile_count = 1,
                                                                 .quantiles = {settings->quantile}},
                                  0);
        *ret_size = work->wide.state_size;
    } else if (settings->kind == ROBUST) {
        work->robust = (struct robust_options){.records = settings->window};
        *ret_size = (robust_state_size(&work->robust) + 63) / 64 * 64;
    }
    return error;
}

static int process(struct kernel_work *work)
{
    switch (work->settings.kind) {
    case NORMALIZE_GIVEN:
        normalize_given(work->values, MICRO_ROWS, 20, 5, work->out);
        break;
    case NORMALIZE_RUNNING:
        normalize_running_rows(work->state_of, NULL, MICRO_ROWS, work->values, 1, work->out);
        break;
    case ROLLING: {
        struct rolling_rows rows = {.states = work->state_of, .count = MICRO_ROWS, .values = work->values};
        rows.columns[work->settings.statistic] = work->out;
        rolling_kernel_process(&work->rolling, &rows);
        break;
    }
    case WIDE: {
        struct rolling_wide_rows rows = {.states = work->state_of, .count = MICRO_ROWS, .values = work->values};
        rows.columns[work->settings.statistic] = work->out;
        rolling_wide_process(&work->wide, &rows);
        break;
    }
    case ROBUST: {
        struct robust_rows rows = {
            .states = work->state_of, .count = MICRO_ROWS, .values = work->values, .out = work->out};
        robust_process(&work->robust, &rows);
        break;
    }
    }
    return isfinite(work->out[MICRO_ROWS - 1]) ? 0 : -EIO;
}

static int run_kernel(void *state, uint64_t calls)
{
    int error = 0;
    for (uint64_t i = 0; i < calls && !error; i++)
        error = process(state);
    return error;
}

/* What a window costs while it fills is not what it costs afterwards: it begins full. */
static int fill_windows(struct kernel_work *work)
{
    uint64_t needed = (uint64_t)work->settings.window * work->settings.keys * 5 / 4 / MICRO_ROWS + 2;
    return run_kernel(work, needed);
}

static int open_kernel(const struct microbench *bench, void **ret)
{
    struct kernel_work *work = memory_zeroed(1, sizeof *work);
    size_t size;
    uint64_t random = 1;
    if (!work)
        return -ENOMEM;
    work->settings = *(const struct settings *)bench->settings;
    int error = prepare(work, &size);
    work->states = error ? NULL : memory_aligned(64, work->settings.keys * size);
    if (!work->states) {
        memory_free(work);
        return error ? error : -ENOMEM;
    }
    memset(work->states, 0, work->settings.keys * size);
    for (uint32_t row = 0; row < MICRO_ROWS; row++) {
        uint64_t x = micro_random(&random);
        work->state_of[row] = work->states + size * (x % work->settings.keys);
        work->values[row] = (double)(15000 + (x >> 20) % 20000) / 1000;
    }
    error = fill_windows(work);
    if (error) {
        close_kernel(work);
        return error;
    }
    *ret = work;
    return 0;
}

#define KERNEL(title, words, ...) KERNEL_BESIDE(NULL, title, words, __VA_ARGS__)
#define KERNEL_BESIDE(other, title, words, ...)                                                                        \
    {                                                                                                                  \
        .name = title, .summary = words, .slow = other, .item = "record", .items = MICRO_ROWS,                         \
        .settings = &(const struct settings){__VA_ARGS__}, .open = open_kernel, .run = run_kernel,                     \
        .close = close_kernel                                                                                          \
    }
#define WINDOWS(title, words, kind, statistic)                                                                         \
    KERNEL("rolling." title ".10", words " of the last 10, 100 keys", kind, KEYS, 10, statistic),                      \
        KERNEL("rolling." title ".1000", words " of the last 1,000, 100 keys", kind, KEYS, 1000, statistic),           \
        KERNEL("rolling." title ".10000", words " of the last 10,000, 100 keys", kind, KEYS, 10000, statistic)

const struct microbench micro_kernels[] = {
    KERNEL("normalize.given", "against a mean and deviation that are given", NORMALIZE_GIVEN, KEYS),
    KERNEL("normalize.running", "against all so far of the key, 100 keys", NORMALIZE_RUNNING, KEYS),
    WINDOWS("mean", "mean", ROLLING, ROLLING_MEAN),
    WINDOWS("stddev", "standard deviation", ROLLING, ROLLING_STDDEV),
    WINDOWS("max", "largest", ROLLING, ROLLING_MAX),
    KERNEL("rolling.median.10", "median of the last 10, 100 keys", WIDE, KEYS, 10, ROLLING_QUANTILE, 0.5),
    KERNEL("rolling.median.1000", "median of the last 1,000, 100 keys", WIDE, KEYS, 1000, ROLLING_QUANTILE, 0.5),
    KERNEL("rolling.robust.10", "distance from the median in MADs, of the last 10, 100 keys", ROBUST, KEYS, 10),
    KERNEL("rolling.robust.1000", "the same of the last 1,000, 100 keys", ROBUST, KEYS, 1000),
    {.name = NULL},
};

const struct microbench micro_sums[] = {
    KERNEL("sum.recompute", "the sum of the last 1,000, added up again for each record; one key", ROLLING, 1, 1000,
           ROLLING_SUM, .recompute = true),
    KERNEL_BESIDE("sum.recompute", "sum.incremental", "the same, kept up: one value comes, one goes", ROLLING, 1, 1000,
                  ROLLING_SUM),
    {.name = NULL},
};
