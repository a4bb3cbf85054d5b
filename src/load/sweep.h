/* SPDX-License-Identifier: MIT */
/*
 * A sweep: one target under load at one level after the other, to find out how much concurrency it really takes.
 *
 * The first pass rises through the levels, so that it can end where success collapses; the following ones visit those
 * that are left in random order, so that what drifts (caches, neighbours, a target that warms up) is spread over all of
 * them. With `automatic` the levels are found: four times as many users until that gains little or fails, then, from
 * what one user gets and what all got at most, the knee itself; then what lies beside it.
 */
#ifndef LOAD_SWEEP_H
#define LOAD_SWEEP_H

#include "base/buffer.h"
#include "load/level.h"

enum {
    SWEEP_LEVELS_MOST = 64,
    SWEEP_REPEATS_MOST = 100,
    SWEEP_STEPS_MOST = 24, /* of an automatic sweep */
};

/* The levels of a sweep for which none were given. */
extern const double sweep_default_levels[];
extern const uint32_t sweep_default_level_count;

struct sweep;

enum sweep_end {
    SWEEP_WHOLE,     /* all that was asked for */
    SWEEP_COLLAPSED, /* success fell so low that higher levels were left out */
    SWEEP_GONE,      /* nobody listens, or listened from the start */
    SWEEP_DIED,      /* from some moment on nobody listened any more */
    SWEEP_INTERRUPTED,
    SWEEP_FAILED, /* memory, threads */
};

struct sweep_options {
    struct load_options load; /* target, kind, arrivals, warm-up, seed; duration of one run */
    const double *levels;     /* concurrencies, or rates; sorted and without doubles by sweep_new */
    uint32_t level_count;
    bool automatic;
    uint32_t most; /* automatic: highest concurrency */
    uint32_t repeats, threads;
    struct judge_limits limits;
    double collapse; /* success below it ends the first pass */
    bool keep_going; /* it does not */
    /* Runs a level: as load_run_threads. */
    int (*run)(void *owner, const struct load_options *options, struct load_tally *tallies);
    /* Something has changed; NULL: nobody wants to know. */
    void (*changed)(void *owner, const struct sweep *sweep);
    void *owner;
};

struct sweep {
    struct sweep_options options;
    struct load_level levels[SWEEP_LEVELS_MOST]; /* rising */
    uint32_t count, used;                        /* levels; those that are not left out */
    struct load_tally *tallies;
    uint64_t random;
    enum sweep_end end;
    int error;                  /* of SWEEP_FAILED */
    bool restless;              /* the target may still be at work on what was given up */
    int64_t alone_ns;           /* what a request took before there was any load */
    double running;             /* the level under way; 0: none */
    uint32_t round;             /* from 0 */
    uint32_t runs, runs_wanted; /* so far; 0: not known beforehand */
    double died_at;             /* level at which the target died */
    char words[320];            /* of an attempt that failed, for people; may be empty */
};

/* -EINVAL: a limit was passed; -ENOMEM. */
int sweep_new(const struct sweep_options *options, struct sweep **ret);
/* Measures; the answer is in `levels` and `end`. Blocks as `run` does. */
void sweep_run(struct sweep *sweep);
struct judgement sweep_judge(const struct sweep *sweep);
void sweep_free(struct sweep *sweep);

/* ---- Telling (into a buffer; check its `failed`) ------------------------------------------------------------------
 */

struct sweep_words {
    const char *url;     /* without secrets */
    const char *version; /* of weir */
    int columns;         /* of the terminal */
    bool colour;
};
/* The table of what was measured so far, with what is wrong with levels below it. */
void sweep_table(const struct sweep *sweep, const struct sweep_words *words, struct weir_buffer *out);
/* The verdict: one sentence, a line to paste, why; and where rates peak and what that would cost. */
void sweep_verdict(const struct sweep *sweep, const struct sweep_words *words, struct weir_buffer *out);
void sweep_plot_text(const struct sweep *sweep, const struct sweep_words *words, struct weir_buffer *out);
void sweep_plot_svg(const struct sweep *sweep, const struct sweep_words *words, struct weir_buffer *out);
void sweep_csv(const struct sweep *sweep, struct weir_buffer *out);
void sweep_json(const struct sweep *sweep, const struct sweep_words *words, struct weir_buffer *out);

#endif
