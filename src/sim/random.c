/* SPDX-License-Identifier: MIT */
#include "sim/random.h"

#include <errno.h>
#include <math.h>
#include <string.h>

static uint64_t rotate(uint64_t x, int by)
{
    return x << by | x >> (64 - by);
}

/* SplitMix64 (Steele, Lea and Flood, 2014) spreads the seed over the state. */
void random_seed(struct random *random, uint64_t seed)
{
    for (int i = 0; i < 4; i++) {
        uint64_t z = seed += 0x9e3779b97f4a7c15ULL;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
        random->state[i] = z ^ (z >> 31);
    }
}

uint64_t random_next(struct random *random)
{
    uint64_t *s = random->state, result = rotate(s[0] + s[3], 23) + s[0], t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

double random_unit(struct random *random)
{
    return (double)(random_next(random) >> 11) * 0x1p-53;
}

uint64_t random_below(struct random *random, uint64_t most)
{
    return (uint64_t)((unsigned __int128)random_next(random) * most >> 64);
}

double random_normal(struct random *random)
{
    double radius = sqrt(-2 * log(1 - random_unit(random)));
    return radius * cos(2 * 3.14159265358979323846 * random_unit(random));
}

bool random_chance(struct random *random, double ratio)
{
    return ratio > 0 && random_unit(random) < ratio;
}

static const char *const names[] = {
    [DISTRIBUTION_FIXED] = "fixed",         [DISTRIBUTION_UNIFORM] = "uniform",
    [DISTRIBUTION_NORMAL] = "normal",       [DISTRIBUTION_EXPONENTIAL] = "exponential",
    [DISTRIBUTION_LOGNORMAL] = "lognormal",
};

int distribution_named(const char *name, enum distribution_kind *ret)
{
    for (int i = 0; i <= DISTRIBUTION_LOGNORMAL; i++) {
        if (strcmp(name, names[i]) == 0) {
            *ret = (enum distribution_kind)i;
            return 0;
        }
    }
    return -EINVAL;
}

int64_t distribution_draw(const struct distribution *distribution, struct random *random)
{
    double mean = (double)distribution->mean_ns, spread = (double)distribution->spread_ns, drawn = mean;
    switch (distribution->kind) {
    case DISTRIBUTION_FIXED:
        return distribution->mean_ns;
    case DISTRIBUTION_UNIFORM:
        drawn = mean + (2 * random_unit(random) - 1) * spread;
        break;
    case DISTRIBUTION_NORMAL:
        drawn = mean + random_normal(random) * spread;
        break;
    case DISTRIBUTION_EXPONENTIAL:
        drawn = -mean * log(1 - random_unit(random));
        break;
    case DISTRIBUTION_LOGNORMAL: {
        double ratio = mean > 0 ? spread / mean : 0, variance = log(1 + ratio * ratio);
        drawn = mean * exp(sqrt(variance) * random_normal(random) - variance / 2);
        break;
    }
    }
    return drawn > 0 ? drawn < 0x1p62 ? (int64_t)drawn : INT64_C(1) << 62 : 0;
}
