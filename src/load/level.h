/* SPDX-License-Identifier: MIT */
/* What is known of one level of load, over all its repeats and threads; and which level is the one to use. Pure. */
#ifndef LOAD_LEVEL_H
#define LOAD_LEVEL_H

#include <stddef.h>

#include "load/load.h"

enum { LEVEL_THREADS_BUSY_PERCENT = 95, LEVEL_GAP_PERCENT = 5 };

struct level_times { /* seconds; 0 when there was nothing */
    double mean, p50, p90, p99, most;
};

struct load_level {
    enum load_kind kind;
    double value; /* concurrency; open: requests a second */
    uint32_t repeats;
    /* Sums of repeats, kept for merging. */
    struct load_tally *all; /* owned; NULL until the first repeat */
    double sum_seconds, sum_throughput, sum_goodput, sum_goodput_squares, sum_offered, sum_in_flight, sum_cpu;
    double sum_shares; /* as `shares` of tallies, a second */
    /* What they come to. */
    double offered;           /* attempts a second that should have begun */
    double throughput;        /* attempts a second that ended, well or not */
    double goodput;           /* good ones */
    double goodput_deviation; /* standard deviation between repeats; 0 with fewer than two */
    double success;           /* share of good ones in all that ended, and those not sent */
    struct level_times response, good;
    double in_flight;  /* mean */
    double late;       /* open: how much later than they should have attempts began, mean; s */
    double gap;        /* |in flight − rate × time in flight| / in flight; the rate by shares */
    double cpu;        /* share of its time that the busiest thread of the client worked, or waited for a processor */
    bool client_bound; /* weir itself was the limit: no more is known of the target than that it can do this */
    bool broken;       /* Little's law does not hold, though nothing piles up: the measurement cannot be trusted */
    bool empty;        /* not one attempt ended */
    bool unsustained;  /* open: clearly fewer ended than were due; what is measured is how they pile up */
    bool died;         /* nobody listened any more at its end */
    bool interrupted;
};

/* Adds one repeat: the tallies of its threads. -ENOMEM. */
int level_add(struct load_level *level, const struct load_tally *tallies, uint32_t threads);
void level_free(struct load_level *level);

/* Attempts by how they ended; statuses other than good ones, the most frequent first, at most `most`. */
uint64_t level_ended(const struct load_level *level, enum load_end end);
struct level_status {
    int status;
    uint64_t count;
};
uint32_t level_bad_statuses(const struct load_level *level, const struct load_target *target, struct level_status *out,
                            uint32_t most);

/* ---- Which level to use ------------------------------------------------------------------------------------------ */

struct judge_limits {
    double success; /* least share of good answers */
    int64_t p99_ns; /* of all attempts; 0: none */
};

enum judge_why { /* why there is none */
                 JUDGE_FOUND,
                 JUDGE_NOTHING,    /* nothing was measured */
                 JUDGE_NO_SUCCESS, /* no level had enough good answers */
                 JUDGE_TOO_SLOW,   /* those that had were over the p99 */
                 JUDGE_CLIENT,     /* of all that would do, weir was the limit */
                 JUDGE_BROKEN,     /* or the measurement was broken */
};

struct judgement {
    enum judge_why why;
    int sweet;        /* index, or -1: the least level whose goodput is as good as the highest of all that will do */
    int best;         /* of these, the one with the highest goodput itself */
    int raw_peak;     /* highest throughput of all levels that can be trusted, good or not; -1: there are none */
    int good_peak;    /* highest goodput of these */
    double tolerance; /* goodputs that differ by less than this share are as good as each other */
};
bool judge_acceptable(const struct load_level *level, const struct judge_limits *limits);
/* levels in rising order. */
struct judgement judge(const struct load_level *levels, uint32_t count, const struct judge_limits *limits);

#endif
