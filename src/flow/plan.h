/* SPDX-License-Identifier: MIT */
/*
 * The plan: what a configuration file says, checked and resolved, before anything is opened. conf/ makes it, flow/ runs
 * it. It owns all its strings and lives until after the pipeline is closed.
 */
#ifndef FLOW_PLAN_H
#define FLOW_PLAN_H
#include <weir/part.h>

enum plan_policy { PLAN_BLOCK, PLAN_DROP_NEWEST, PLAN_DROP_OLDEST };

struct plan_node {
    char *name; /* unique */
    const struct weir_part *part;
    void *options; /* part->size bytes with the options filled in: copied into each instance */
    struct weir_mark mark;
    uint32_t *from; /* indices of earlier nodes (or any: the plan is acyclic and sorted: from < self) */
    uint32_t from_count;
    enum plan_policy when_full; /* of the edge before a sink, or behind a source */
    int64_t queue_bytes;        /* limit of that edge; 0: default */
    const char *key;            /* a source's key column, from its option "key"; NULL: none */
    int64_t watermark_delay;    /* a source: how much older than the newest a record may still come, ns */
    int64_t idle_timeout;       /* a source: silent for so long, event time no longer waits for it, ns; 0: it does */
    bool side;                  /* stands for the side output of the one stage it reads from (flow/side.h) */
};

struct plan_goals {                                                                    /* 0: not declared */
    int64_t latency_p50, latency_p90, latency_p99, latency_p999, latency_max, max_lag; /* ns */
    double rate;                                                                       /* records per second in */
};

struct plan_serve {
    const char *listen; /* "127.0.0.1:9600"; NULL: nothing is served */
};

struct plan {
    struct plan_node *nodes; /* sorted so that from < self: sources first */
    uint32_t count;
    uint32_t lanes;   /* 0: auto (one for each processor) */
    int64_t memory;   /* bytes */
    int64_t batch;    /* most rows in a batch; 0: adaptive */
    int64_t linger;   /* ns */
    int64_t limit;    /* records to read in all; 0: no limit */
    int64_t duration; /* ns to run; 0: until the end of input */
    uint64_t seed;
    struct plan_goals goals;
    struct plan_serve serve;
    void *arena; /* conf's; freed by plan_free */
};

/* Says, where the file names it, that what comes has no column `key` to group by, which was meant perhaps, and which
 * there are. -EINVAL. */
int plan_no_key(const struct plan_node *node, const struct weir_schema *in, const char *key, struct weir_error *error);
#endif
