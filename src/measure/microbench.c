/* SPDX-License-Identifier: MIT */
#include "measure/microbench.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/memory.h"

/* A MAD is 0.6745 standard deviations where values are normally distributed. */
#define MAD_TO_DEVIATION 1.4826
#define OUTLIER 5
#define CONFIDENCE 0.95

/* ---- Statistics ------------------------------------------------------------------------------------------------- */

static int compare_values(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double middle(const double *sorted, uint32_t count)
{
    return count % 2 ? sorted[count / 2] : (sorted[count / 2 - 1] + sorted[count / 2]) / 2;
}

/* How many of `count` numbers lie below the median is binomially distributed, as of coins: the interval from the k-th
 * smallest to the k-th largest misses it when fewer than k lie on one side. */
uint32_t microbench_rank(uint32_t count, double confidence, double *ret)
{
    double below = 0, chosen = 0;
    uint32_t rank = 1;
    for (uint32_t k = 1; 2 * k <= count; k++) {
        below += exp(lgamma(count + 1.0) - lgamma(k) - lgamma(count - k + 2.0) - count * M_LN2); /* of k − 1 */
        double covered = 1 - 2 * below;
        if (k > 1 && covered < confidence)
            break;
        rank = k;
        chosen = covered;
    }
    if (ret)
        *ret = chosen > 0 ? chosen : 0;
    return rank;
}

/* Sorted values; `scratch` has room for them. */
static double absolute_deviation(const double *sorted, uint32_t count, double median, double *scratch)
{
    for (uint32_t i = 0; i < count; i++)
        scratch[i] = fabs(sorted[i] - median);
    qsort(scratch, count, sizeof *scratch, compare_values);
    return middle(scratch, count);
}

void microbench_spread(double *values, uint32_t count, struct microbench_spread *ret)
{
    double scratch[MICROBENCH_SAMPLES_MOST], sum = 0, squares = 0;
    *ret = (struct microbench_spread){0};
    count = count < MICROBENCH_SAMPLES_MOST ? count : MICROBENCH_SAMPLES_MOST;
    if (!count)
        return;
    qsort(values, count, sizeof *values, compare_values);
    ret->count = count;
    ret->least = values[0];
    ret->most = values[count - 1];
    ret->median = middle(values, count);
    ret->mad = absolute_deviation(values, count, ret->median, scratch);
    uint32_t rank = microbench_rank(count, CONFIDENCE, &ret->confidence);
    ret->low = values[rank - 1];
    ret->high = values[count - rank];
    for (uint32_t i = 0; i < count; i++)
        sum += values[i];
    ret->mean = sum / count;
    for (uint32_t i = 0; i < count; i++) {
        squares += (values[i] - ret->mean) * (values[i] - ret->mean);
        ret->outliers += ret->mad > 0 && fabs(values[i] - ret->median) > OUTLIER * MAD_TO_DEVIATION * ret->mad;
    }
    ret->deviation = count > 1 ? sqrt(squares / (count - 1)) : 0;
}

/* ---- Measuring -------------------------------------------------------------------------------------------------- */

struct subject {
    const struct microbench *bench;
    void *state;
    uint64_t calls;
    int64_t took;    /* the last sample, ns */
    double *samples; /* ns for one item, in the order of time */
};

static int64_t read_clock(const struct microbench_options *options, bool wall)
{
    if (options->clock)
        return options->clock(options->owner, wall);
    return wall ? clock_monotonic() : clock_thread_cpu();
}

static int sample(struct subject *subject, const struct microbench_options *options)
{
    bool wall = subject->bench->wall;
    int64_t start = read_clock(options, wall);
    int error = subject->bench->run(subject->state, subject->calls);
    subject->took = read_clock(options, wall) - start;
    return error;
}

/* 1, 2, 5, 10, 20, 50 … until a sample is long enough. */
static int calibrate(struct subject *subject, const struct microbench_options *options, int64_t wanted)
{
    static const uint64_t steps[] = {1, 2, 5};
    for (uint64_t decade = 1; decade < UINT64_C(1) << 58; decade *= 10) {
        for (int i = 0; i < 3; i++) {
            subject->calls = decade * steps[i];
            int error = sample(subject, options);
            if (error < 0 || subject->took >= wanted)
                return error;
        }
    }
    return 0;
}

static int warm_up(struct subject *subject, const struct microbench_options *options)
{
    for (int64_t spent = 0, turns = 0; spent < options->time / 10 && turns < MICROBENCH_SAMPLES_MOST; turns++) {
        int error = sample(subject, options);
        if (error < 0)
            return error;
        spent += subject->took;
    }
    return 0;
}

static uint32_t samples_of(const struct microbench_options *options)
{
    uint32_t samples = options->samples;
    if (samples < MICROBENCH_SAMPLES_LEAST)
        return MICROBENCH_SAMPLES_LEAST;
    return samples < MICROBENCH_SAMPLES_MOST ? samples : MICROBENCH_SAMPLES_MOST;
}

/* Calls that are so long that the wanted samples would take much more than the time: fewer. */
static uint32_t affordable(const struct subject *subject, const struct microbench_options *options, uint32_t samples)
{
    int64_t fit = subject->took > 0 ? 3 * options->time / subject->took : samples;
    if (fit < MICROBENCH_SAMPLES_LEAST)
        return MICROBENCH_SAMPLES_LEAST;
    return fit < samples ? (uint32_t)fit : samples;
}

static int sample_all(struct subject *subjects, uint32_t count, const struct microbench_options *options,
                      uint32_t samples, uint32_t *ret_failed)
{
    for (uint32_t turn = 0; turn < samples; turn++) {
        for (uint32_t i = 0; i < count; i++) {
            struct subject *subject = &subjects[i];
            int error = sample(subject, options);
            if (error < 0) {
                *ret_failed = i;
                return error;
            }
            subject->samples[turn] = (double)subject->took / ((double)subject->calls * subject->bench->items);
        }
    }
    return 0;
}

static const struct subject *find_slow(const struct subject *subjects, uint32_t count, const struct subject *subject)
{
    for (uint32_t i = 0; i < count && subject->bench->slow; i++) {
        if (strcmp(subjects[i].bench->name, subject->bench->slow) == 0)
            return &subjects[i];
    }
    return NULL;
}

/* Samples are in the order of time until here. */
static void conclude(const struct subject *subject, const struct subject *slow, uint32_t samples,
                     struct microbench_result *ret)
{
    double values[MICROBENCH_SAMPLES_MOST];
    const struct microbench *bench = subject->bench;
    struct microbench_spread half;
    *ret = (struct microbench_result){.items = bench->items, .calls = subject->calls, .wall = bench->wall};
    snprintf(ret->name, sizeof ret->name, "%s", bench->name);
    snprintf(ret->item, sizeof ret->item, "%s", bench->item);
    if (slow) {
        snprintf(ret->slow, sizeof ret->slow, "%s", bench->slow);
        for (uint32_t i = 0; i < samples; i++)
            values[i] = slow->samples[i] / subject->samples[i];
        microbench_spread(values, samples, &ret->gain);
    }
    memcpy(values, subject->samples, samples / 2 * sizeof *values);
    microbench_spread(values, samples / 2, &half);
    double first = half.median;
    memcpy(values, subject->samples + samples - samples / 2, samples / 2 * sizeof *values);
    microbench_spread(values, samples / 2, &half);
    ret->drift = first > 0 ? half.median / first : 1;
    memcpy(values, subject->samples, samples * sizeof *values);
    microbench_spread(values, samples, &ret->time);
}

static int prepare(struct subject *subject, const struct microbench_options *options, uint32_t *samples)
{
    uint32_t wanted = samples_of(options);
    subject->samples = memory_zeroed(wanted, sizeof *subject->samples);
    int error = subject->samples ? subject->bench->open(subject->bench, &subject->state) : -ENOMEM;
    if (!error)
        error = calibrate(subject, options, options->time / wanted);
    if (!error)
        error = warm_up(subject, options);
    if (!error) {
        uint32_t fit = affordable(subject, options, wanted);
        *samples = fit < *samples ? fit : *samples;
    }
    return error;
}

int microbench_measure(const struct microbench *const *benches, uint32_t count,
                       const struct microbench_options *options, struct microbench_result *results,
                       uint32_t *ret_failed)
{
    struct subject subjects[MICROBENCH_GROUP_MAX] = {0};
    uint32_t samples = samples_of(options), failed = 0;
    int error = count <= MICROBENCH_GROUP_MAX ? 0 : -EINVAL;
    for (uint32_t i = 0; !error && i < count; i++) {
        subjects[i].bench = benches[i];
        failed = i;
        error = prepare(&subjects[i], options, &samples);
    }
    if (!error)
        error = sample_all(subjects, count, options, samples, &failed);
    for (uint32_t i = 0; !error && i < count; i++)
        conclude(&subjects[i], find_slow(subjects, count, &subjects[i]), samples, &results[i]);
    for (uint32_t i = 0; i < count && i < MICROBENCH_GROUP_MAX; i++) {
        if (subjects[i].state && subjects[i].bench->close)
            subjects[i].bench->close(subjects[i].state);
        memory_free(subjects[i].samples);
    }
    if (error)
        *ret_failed = failed;
    return error;
}

/* ---- Comparing -------------------------------------------------------------------------------------------------- */

const struct microbench_result *microbench_find(const struct microbench_result *results, uint32_t count,
                                                const char *name)
{
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(results[i].name, name) == 0)
            return &results[i];
    }
    return NULL;
}

enum microbench_change microbench_compare(const struct microbench_result *before, const struct microbench_result *after,
                                          double tolerance)
{
    if (!before)
        return MICROBENCH_NEW;
    if (after->time.low > before->time.high && after->time.median > before->time.median * (1 + tolerance))
        return MICROBENCH_SLOWER;
    if (after->time.high < before->time.low && before->time.median > after->time.median * (1 + tolerance))
        return MICROBENCH_FASTER;
    return MICROBENCH_SAME;
}
