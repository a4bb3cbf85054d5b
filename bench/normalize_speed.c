/* SPDX-License-Identifier: MIT */
/*
 * Nanoseconds for a value of the normalize kernel, without an engine: 4 M values from memory in batches of 4096 into a
 * column that stays in the cache, as in a pipeline. Processor time; best of seven runs.
 */
#include <stdio.h>

#include "base/clock.h"
#include "base/memory.h"
#include "data/kernel_normalize.h"

enum { ROWS = 4096, BATCHES = 1024, RUNS = 7 };

int main(void)
{
    double *values = memory_aligned(64, sizeof(double) * ROWS * BATCHES);
    double *out = memory_aligned(64, sizeof(double) * ROWS);
    double best = 0, sum = 0;

    if (!values || !out) {
        fprintf(stderr, "normalize_speed: not enough memory\n");
        return 1;
    }
    for (int i = 0; i < ROWS * BATCHES; i++)
        values[i] = 15 + (double)((unsigned)i * 2654435761u % 10000) / 1000;
    for (int i = 0; i < RUNS; i++) {
        int64_t start = clock_thread_cpu();
        for (int b = 0; b < BATCHES; b++) {
            normalize_given(values + (size_t)b * ROWS, ROWS, 20, 5, out);
            sum += out[b];
        }
        double ns = (double)(clock_thread_cpu() - start) / ((double)ROWS * BATCHES);
        best = i == 0 || ns < best ? ns : best;
    }
    printf("normalize %8.3f ns a value (sum %.3f)\n", best, sum);
    memory_free(values);
    memory_free(out);
    return 0;
}
