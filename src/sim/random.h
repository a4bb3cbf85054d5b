/* SPDX-License-Identifier: MIT */
/*
 * Random numbers of simulations: xoshiro256++ (Blackman and Vigna, 2019), the same everywhere from the same seed; and
 * distributions of durations.
 */
#ifndef SIM_RANDOM_H
#define SIM_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

struct random {
    uint64_t state[4];
};
void random_seed(struct random *random, uint64_t seed);
uint64_t random_next(struct random *random);
double random_unit(struct random *random);                   /* in [0, 1) */
uint64_t random_below(struct random *random, uint64_t most); /* in [0, most); most > 0 */
double random_normal(struct random *random);                 /* mean 0, deviation 1 */
bool random_chance(struct random *random, double ratio);

enum distribution_kind {
    DISTRIBUTION_FIXED,
    DISTRIBUTION_UNIFORM,     /* mean ± spread */
    DISTRIBUTION_NORMAL,      /* spread: the standard deviation; never below 0 */
    DISTRIBUTION_EXPONENTIAL, /* spread is not used */
    DISTRIBUTION_LOGNORMAL,   /* mean and standard deviation as given; a long tail */
};
/* How long something takes; ns. */
struct distribution {
    enum distribution_kind kind;
    int64_t mean_ns, spread_ns;
};
/* 0, or -EINVAL: no such name. */
int distribution_named(const char *name, enum distribution_kind *ret);
int64_t distribution_draw(const struct distribution *distribution, struct random *random); /* ≥ 0 */

#endif
