/* SPDX-License-Identifier: MIT */
/* What the tests in this folder share: cmocka in its order, and random numbers whose seed is printed. */
#ifndef DATA_TEST_DATA_H
#define DATA_TEST_DATA_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/hash.h"

struct random {
    uint64_t state;
};

static inline uint64_t random_next(struct random *random)
{
    return hash_random(&random->state);
}

static inline uint64_t random_below(struct random *random, uint64_t limit)
{
    return limit ? random_next(random) % limit : 0;
}

/* A new seed each time, or the one in WEIR_TEST_SEED. */
static inline struct random random_start(void)
{
    const char *wanted = getenv("WEIR_TEST_SEED");
    uint64_t seed = wanted ? strtoull(wanted, NULL, 10) : (uint64_t)clock_wall();
    print_message("WEIR_TEST_SEED=%llu\n", (unsigned long long)seed);
    return (struct random){seed};
}
#endif
