/* SPDX-License-Identifier: MIT */
/*
 * A running pipeline. main thread: pipeline_open → pipeline_start → (pipeline_snapshot …) → pipeline_wait →
 * pipeline_close.
 */
#ifndef FLOW_PIPELINE_H
#define FLOW_PIPELINE_H
#include "base/histogram.h"
#include "flow/plan.h"

struct pipeline;

/* How the memory of a run is shared: batches on their way, with the queues; and keyed state with symbols. */
void pipeline_share(uint64_t memory, uint64_t *ret_batches, uint64_t *ret_state);

struct pipeline_options {
    bool simulated; /* all machines on the calling thread, seeded order, simulated clock */
    uint64_t seed;
    /* For comparison: sources read one thing after the other, and nothing is consumed before all was produced. */
    bool sequential;
    /* Who worked on records from when to when: a source that waits for them, an asynchronous stage or a sink that works
     * on them. Any thread, at the same time; may be NULL. */
    void (*worked)(void *owner, const char *part, bool consumer, int64_t from_ns, int64_t to_ns);
    struct network *network; /* simulated: whom streams talk through; the caller's; may be NULL */
    /* simulated: whom sources and stages talk to over the network: runs beside the pipeline as the root task of a loop
     * of its own, on the same clock, and is cancelled once all else is done. NULL: nobody. */
    int (*peer)(struct weir_context *context, void *owner);
    void *peer_owner;
    /* A line for the user, already complete; called from any thread, never at the same time from two. */
    void (*notice)(void *owner, const char *line);
    void *owner;
    /* Each batch that was stored, for whoever compares results; NULL: nobody does. `sink` is its index in the plan;
     * `lane` the lane that stored it, or UINT32_MAX: the sink's own thread. Called by that thread: no two calls with
     * the same sink and lane at the same time. */
    void (*stored)(void *observer, uint32_t sink, uint32_t lane, const struct weir_batch *batch,
                   struct weir_symbols *symbols);
    void *observer;
};

/* Opens every part (sinks first, then stages, then sources) or closes again what it opened; error says which and why.
 */
int pipeline_open(const struct plan *plan, const struct pipeline_options *options, struct pipeline **ret,
                  struct weir_error *error);
int pipeline_start(struct pipeline *pipeline);  /* starts the threads; returns at once (simulated: does nothing) */
void pipeline_stop(struct pipeline *pipeline);  /* sources end, what was read drains; any thread, signal-safe */
void pipeline_abort(struct pipeline *pipeline); /* drop what is in flight (counted); any thread, signal-safe */
/* Waits until all is done (after a run that went well its sinks publish what they wrote) or `until_ns` (weir_now's
 * clock) has passed: 1 done, 0 not yet. Simulated: runs the machines on this thread meanwhile; -EDEADLK when none can
 * ever go on, which would be a bug of the engine or of a part. */
int pipeline_wait(struct pipeline *pipeline, int64_t until_ns);
/* After done: 0, or the first failure with words. */
int pipeline_result(struct pipeline *pipeline, struct weir_error *error);
void pipeline_close(struct pipeline *pipeline);
int64_t pipeline_now(struct pipeline *pipeline); /* weir_now's clock */

/* ---- What can be seen of it; any time from open to close, main thread -------------------------------------------- */

struct pipeline_part_view {
    const char *name;
    const struct weir_part *part;
    uint64_t calls, records_in, records_out, busy_ns;
};
struct pipeline_source_view {
    const char *name;
    uint64_t records_read; /* all records that came in, good or not */
    double offered;        /* records/s by its own schedule; 0 unknown */
    bool full_speed, ended;
    int64_t lag_ns; /* now − produced of the oldest unsettled record; 0: none */
    bool waiting;   /* for credit: held back by what is downstream */
};
struct pipeline_edge_view { /* lane → sink, source → lanes */
    const char *from, *to;
    uint64_t bytes, bytes_limit, bytes_peak, batches, dropped_records, blocked_ns;
    bool full;
};
struct pipeline_thread_view {
    char name[32];
    int64_t busy_ns; /* since the start */
};
struct pipeline_counter_view {       /* its words live until pipeline_close */
    const char *part, *what, *field; /* field may be "" */
    uint64_t number;
};
#define PIPELINE_NOT_STORED "not stored" /* the counter of records that a sink was given and that it failed with */
struct pipeline_fact_view {              /* what a part says about itself */
    const char *part;
    char name[64], unit[16];
    double value;
    char *text; /* NULL: a number */
};
struct pipeline_snapshot {
    int64_t now, started; /* weir_now's clock */
    uint64_t records_in;  /* = stored + refused + filtered + dropped + in flight */
    uint64_t records_stored, records_refused, records_filtered, records_dropped;
    uint64_t records_out; /* given to sinks and stored, summed over sinks: a record counts once for each */
    uint64_t unaccounted; /* receipts that did not add up: a bug if not 0 */
    /* How often a lane or a source that waited went on because of a timeout, and not because somebody woke it: a bug if
     * not 0, but for waits for the system's own memory, and for clocks that are faster than threads. */
    uint64_t timed_steps;
    uint64_t in_flight_bytes, in_flight_limit;
    uint64_t memory_used, memory_peak, memory_limit; /* of the budget */
    uint64_t symbols, keys;
    int64_t lag_ns;       /* the largest of the sources' */
    const char *blocking; /* the branch (sink's or stage's name) that holds the pipeline back now; NULL: none */
    uint32_t source_count, part_count, edge_count, thread_count, counter_count, fact_count;
    struct pipeline_source_view *sources;
    struct pipeline_part_view *parts;
    struct pipeline_edge_view *edges;
    struct pipeline_thread_view *threads;
    struct pipeline_counter_view *counters; /* refusals by reason, type mismatches by field, … */
    struct pipeline_fact_view *facts;
    struct histogram latency, late_by, fetch; /* merged; ns */
    struct histogram wait; /* produced → the consumer (the last asynchronous stage, or the sinks) has it */
};
/* Allocates arrays inside; free with pipeline_snapshot_free. -ENOMEM. */
int pipeline_snapshot(struct pipeline *pipeline, struct pipeline_snapshot **ret);
void pipeline_snapshot_free(struct pipeline_snapshot *snapshot);
/* The counters of this name, of all parts together: "reads failed", "calls failed". */
uint64_t pipeline_snapshot_count(const struct pipeline_snapshot *snapshot, const char *what);
#endif
