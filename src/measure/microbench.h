/* SPDX-License-Identifier: MIT */
/*
 * Microbenchmarks (`weir bench`): how long one small thing takes, with figures that can be trusted.
 *
 *     calibrate      1, 2, 5, 10, 20, 50 … calls, until they take as long as a sample should
 *     warm up        a tenth of the time, thrown away
 *     sample         `samples` times so many calls, each sample timed as a whole
 *
 * Those that are compared (a pair) are sampled in turns, so that a busy moment of the machine is unfair to none.
 *
 * What is said of the samples is their median, the median absolute deviation from it (MAD), and an interval that holds
 * the true median with at least 95 % confidence: from the k-th smallest to the k-th largest sample, k by the binomial
 * distribution (Conover, "Practical Nonparametric Statistics", 3.2). Nothing is assumed of how samples are distributed,
 * which is never normal: a machine disturbs in one direction only.
 *
 * Pure but for the clock and what is measured; one thread.
 */
#ifndef MEASURE_MICROBENCH_H
#define MEASURE_MICROBENCH_H
#include <stdbool.h>
#include <stdint.h>

#include <weir/part.h>
#include "base/buffer.h"

enum {
    MICROBENCH_NAME = 64,
    MICROBENCH_GROUP_MAX = 4,
    MICROBENCH_SAMPLES_LEAST = 7, /* fewer than 6 cannot give 95 % */
    MICROBENCH_SAMPLES_MOST = 1000,
    MICROBENCH_RESULTS_MAX = 1024, /* in a file that is read */
    MICROBENCH_VERSION = 1,
};

struct microbench {
    const char *name;     /* "rolling.mean.1000": words with dots, from the general to the particular */
    const char *summary;  /* for the list */
    const char *item;     /* what one of its things is called: "record" */
    uint32_t items;       /* in one call */
    const char *slow;     /* of a pair: the name of what this is the better way of; NULL */
    bool wall;            /* several threads: the time that passes counts, not that of this thread's processor */
    const void *settings; /* for open */
    /* Makes what it works on. 0 or a negative errno. */
    int (*open)(const struct microbench *bench, void **ret);
    /* Does the thing `calls` times. 0, or a negative errno: also when the result is not what it must be. */
    int (*run)(void *state, uint64_t calls);
    void (*close)(void *state); /* NULL is allowed */
};

struct microbench_options {
    int64_t time;     /* ns, for all samples of one; about */
    uint32_t samples; /* wanted; a call that takes long gets fewer, at least MICROBENCH_SAMPLES_LEAST */
    int64_t (*clock)(void *owner, bool wall); /* NULL: the thread's processor time, or monotonic time */
    void *owner;
};

struct microbench_spread {
    uint32_t count, outliers; /* outliers: further from the median than 5 MADs (as deviations: 1.4826 times) */
    double median, mad, low, high, confidence; /* that the true median lies in [low, high] */
    double least, most, mean, deviation;
};
struct microbench_result {
    char name[MICROBENCH_NAME], item[MICROBENCH_NAME], slow[MICROBENCH_NAME]; /* slow: "" if of no pair */
    uint32_t items;
    uint64_t calls; /* in a sample */
    bool wall;
    struct microbench_spread time; /* ns for one item */
    double drift;                  /* median of the second half over that of the first */
    struct microbench_spread gain; /* of a pair: how many times as fast, sample by sample; count 0: none */
};

/* What two sorted-out sets of numbers say. Sorts the values. count 0: all zero. */
void microbench_spread(double *values, uint32_t count, struct microbench_spread *ret);
/* The k for the interval from the k-th smallest to the k-th largest of `count` numbers that holds their median with at
 * least `confidence`, as narrow as that goes; 1 when none does. *ret: the confidence that it has. */
uint32_t microbench_rank(uint32_t count, double confidence, double *ret);

/* Measures them in turns; results[i] is that of benches[i], count ≤ MICROBENCH_GROUP_MAX. Negative errno: that of a
 * benchmark, *ret_failed says whose. */
int microbench_measure(const struct microbench *const *benches, uint32_t count,
                       const struct microbench_options *options, struct microbench_result *results,
                       uint32_t *ret_failed);

/* ---- Comparing -------------------------------------------------------------------------------------------------- */

enum microbench_change { MICROBENCH_SAME, MICROBENCH_FASTER, MICROBENCH_SLOWER, MICROBENCH_NEW };
/* Beyond noise: the two intervals have nothing in common, and the medians differ by more than `tolerance` (0.05: 5 %),
 * which is for what changes from one process to the next and no interval of one run can know. */
enum microbench_change microbench_compare(const struct microbench_result *before, const struct microbench_result *after,
                                          double tolerance);
const struct microbench_result *microbench_find(const struct microbench_result *results, uint32_t count,
                                                const char *name);

/* ---- Showing and keeping ---------------------------------------------------------------------------------------- */

/* Where it was measured. */
struct microbench_machine {
    char processor[96]; /* model */
    char governor[32];  /* "performance"; "": not known */
    uint32_t processors;
    int32_t pinned;         /* to this processor; −1: to none */
    double megahertz;       /* as the system says; 0: it does not */
    double measured_before; /* MHz: additions, one in a cycle, counted against processor time */
    double measured_after;  /* 0: not measured */
    double load;            /* average of the last minute; negative: not known */
};
struct microbench_set {
    struct microbench_machine machine;
    char weir[32]; /* version */
    uint32_t count;
    struct microbench_result *results;
};
struct microbench_against {
    const char *name;
    const struct microbench_set *before;
    double tolerance;
};

/* A duration with three digits: "38.2 ns". Returns out. */
char *microbench_show_time(double ns, char *out, size_t size);
/* One line of the table and the one above it. `width`: of the column of names. */
void microbench_text_head(int width, bool against, struct weir_buffer *out);
void microbench_text_row(const struct microbench_result *result, int width, const struct microbench_against *against,
                         struct weir_buffer *out);
/* What pairs teach; nothing if there is none. */
void microbench_text_pairs(const struct microbench_set *set, struct weir_buffer *out);
/* Where it is measured, and what disturbs; and, at the end, whether the processor's speed changed. */
void microbench_text_machine(const struct microbench_machine *machine, struct weir_buffer *out);
void microbench_text_changes(const struct microbench_machine *machine, struct weir_buffer *out);
/* One object; `against` may be NULL. Without it, it is what microbench_read reads. */
void microbench_json(const struct microbench_set *set, const struct microbench_against *against,
                     struct weir_buffer *out);
/* -EINVAL with words: no measurements, or of a version that this program does not know. -ENOMEM. */
int microbench_read(const char *text, size_t size, struct microbench_set *ret, struct weir_error *error);
void microbench_set_free(struct microbench_set *set);

#endif
