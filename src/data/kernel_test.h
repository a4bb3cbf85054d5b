/* SPDX-License-Identifier: MIT */
/* What the tests of the kernels share: numbers from a seed, and an order of doubles for qsort. */
#ifndef DATA_KERNEL_TEST_H
#define DATA_KERNEL_TEST_H
#include <stdint.h>
#include <string.h>

/* SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014). */
static inline uint64_t next_random(uint64_t *seed)
{
    uint64_t x = (*seed += UINT64_C(0x9e3779b97f4a7c15));
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static inline double uniform(uint64_t *seed) /* 0 … 1 */
{
    return (double)(next_random(seed) >> 11) * 0x1p-53;
}

static inline int compare_doubles(const void *a, const void *b)
{
    double x, y;
    memcpy(&x, a, sizeof(x));
    memcpy(&y, b, sizeof(y));
    return (x > y) - (x < y);
}
#endif
