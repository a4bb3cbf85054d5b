/* SPDX-License-Identifier: MIT */
/*
 * The verdict: does the pipeline keep up with what is offered to it? See docs/verdict.md for how it is made and why.
 *
 * Fed with samples, a few each second, it keeps a bounded window of the last minute and answers at any time. Pure: no
 * clock, no allocation, no output; the same samples give the same answer. One thread.
 *
 *     lag ^        /|    /|    /|          lag ^         /|
 *         |      /  |  /  |  /  |              |    /|  /
 *         |    /    |/    |/                   |   / | /
 *         +---+-------------------> time       |  /  |/
 *         bursts of more than can be worked    +-+---------> time: bursts that are worked off in time
 */
#ifndef MEASURE_VERDICT_H
#define MEASURE_VERDICT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pipeline_snapshot;

enum verdict_kind {
    VERDICT_NO_DATA, /* nothing came in yet, or too little to judge by */
    VERDICT_IDLE,    /* nothing came in for a while, and nothing is left to do */
    VERDICT_KEEPING_UP,
    VERDICT_SATURATED, /* the lag is flat, but there is no room left */
    VERDICT_DROPPING,  /* the lag is flat because records are dropped */
    VERDICT_FALLING_BEHIND,
    VERDICT_FULL_SPEED,        /* all the data is there already and is read as fast as it goes: nothing to lag behind */
    VERDICT_NOTHING_DELIVERED, /* records were refused or dropped, and none was stored */
};
enum { VERDICT_KINDS = VERDICT_NOTHING_DELIVERED + 1 };

enum { VERDICT_SAMPLES = 256, VERDICT_THREADS = 32 };

/* What is seen at one moment. Counts are totals since the start. */
struct verdict_sample {
    int64_t now; /* ns */
    int64_t lag; /* ns; 0: nothing is unsettled. In a sample that is kept: see lag_of */
    uint64_t read, settled, dropped;
    uint64_t memory; /* bytes of the budget that are used */
    double offered;  /* records/s of all running sources together by their schedules; 0: unknown for some */
    bool full_speed; /* all sources give what they have as fast as it is taken */
    bool ended;      /* all sources */
    bool waiting;    /* some source waits for credit */
    uint32_t thread_count;
    int64_t busy[VERDICT_THREADS]; /* ns of each thread since the start */
    uint64_t stored;               /* records in the histogram of latencies, and their sum */
    double latency_sum;            /* ns */
    /* Set by verdict_add: */
    uint64_t steps;  /* how often `settled` was seen to change */
    int64_t step_at; /* when it was last seen to change */
};

struct verdict_limits { /* 0: none */
    int64_t lag;        /* ns: the goal max_lag */
    uint64_t memory;    /* bytes */
};

struct verdict {
    struct verdict_limits limits;
    struct verdict_sample samples[VERDICT_SAMPLES]; /* oldest first */
    uint32_t count;
    int64_t spacing;    /* ns between samples that are kept */
    int64_t started;    /* now of the first sample */
    int64_t busy_since; /* when nothing was unsettled the last time, and the count then */
    uint64_t busy_settled, busy_steps;
    double pace;          /* records/s at which the last stretch of work was done; 0: unknown */
    uint64_t last_stored; /* of the sample added last, kept or not */
    double last_latency_sum;
    bool recovered;    /* the lag came back to nothing after records had been settled */
    bool closed;       /* the sources ended: what follows is draining, not keeping up */
    int64_t lag_worst; /* of all samples ever, draining too */
};

enum verdict_limit { VERDICT_LIMIT_NONE, VERDICT_LIMIT_LAG, VERDICT_LIMIT_MEMORY };

struct verdict_answer {
    enum verdict_kind kind;
    double slope;                   /* seconds of lag per second; 0 unless it could be told */
    double seconds_per_minute;      /* slope × 60 when falling behind, else 0 */
    double read_rate, settled_rate; /* records/s over the last ten seconds, or while there was work */
    double offered;                 /* records/s; 0: unknown */
    double dropped_share;           /* of what was settled in the last minute */
    double busiest;                 /* share of time of the busiest thread over the last ten seconds */
    uint32_t busiest_thread;        /* its index in the samples */
    int64_t lag, lag_worst;         /* ns: now; ever */
    enum verdict_limit limit;       /* which limit will be met first as things are */
    double limit_seconds;           /* how long until then */
    uint64_t refused, lost;         /* nothing delivered: records; lost: dropped on their way */
};

void verdict_init(struct verdict *verdict, const struct verdict_limits *limits); /* limits may be NULL */
/* Samples come in order of time; as close together as you like. */
void verdict_add(struct verdict *verdict, const struct verdict_sample *sample);
struct verdict_answer verdict_judge(const struct verdict *verdict);

/* Says so where nothing was delivered: then it does not matter how fast. */
void verdict_look(struct verdict_answer *answer, const struct pipeline_snapshot *snapshot);

struct verdict_sample verdict_sample_of(const struct pipeline_snapshot *snapshot);

/* "keeping up", "falling behind", … */
const char *verdict_name(enum verdict_kind kind);
/* The same with its figure, for a status line: "falling behind, 40 s per minute". Returns out. */
char *verdict_brief(const struct verdict_answer *answer, char *out, size_t size);
/* A sentence for people without a full stop; `busiest` is the name of the busiest thread, or NULL. Returns out. */
char *verdict_sentence(const struct verdict_answer *answer, const char *busiest, char *out, size_t size);
#endif
