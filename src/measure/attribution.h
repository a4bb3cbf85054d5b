/* SPDX-License-Identifier: MIT */
/*
 * Where the time of a pipeline went and what could be won (`weir profile`): pipeline_times (flow/times.h) as rows, one
 * for each part and kind of work, with
 *
 *   share       its own time, of that of all rows;
 *   removed     how many times as fast the pipeline would be if the row took no time (Amdahl's bound),
 *   halved      and if it took half.
 *
 * The pace of a pipeline is set by its critical thread, the one with the most work for each record, or by the
 * processors, when all threads together have more work than they. So the bound is
 *
 *               max(largest thread, sum / processors)  now
 *   removed  =  ───────────────────────────────────────────────
 *               the same, less what the row takes of each thread
 *
 * which is Amdahl's 1 / (1 − share) where one thread does all the work, and 1 for work on threads that wait anyway.
 * Time for which a thread was ready and had no processor is taken out of everything first: it is the neighbours'.
 *
 * Pure but for memory; one thread.
 */
#ifndef MEASURE_ATTRIBUTION_H
#define MEASURE_ATTRIBUTION_H
#include <stdbool.h>
#include <stdint.h>

#include "flow/times.h"
#include "measure/fingerprint.h"

enum { ATTRIBUTION_NAME = 96, ATTRIBUTION_INTERVALS = 64, ATTRIBUTION_VERSION = 1 };

/* Amdahl's law: a share of the time becomes `factor` times as fast (INFINITY: takes no time). */
double amdahl(double share, double factor);

/* The middle of measurements and how sure it is. */
struct attribution_spread {
    double median, error; /* error: one standard error of the median, from the median absolute deviation */
    uint32_t count;
};
struct attribution_spread attribution_spread(double *values, uint32_t count); /* sorts the values */

struct attribution_row {
    char name[ATTRIBUTION_NAME]; /* of the part; "engine" and "hand-over" are of none */
    char type[ATTRIBUTION_NAME]; /* "rolling"; "" */
    enum pipeline_work work;
    uint64_t calls, records;
    double own_seconds, total_seconds; /* total: with what it called */
    double nanoseconds;                /* own, for each of its records; NAN: no records */
    double share, removed, halved;
    struct attribution_spread spread; /* of nanoseconds, over intervals of the run */
};
struct attribution_thread {
    char name[32];
    double busy_seconds, blocked_seconds, starved_seconds;
    double processor_seconds, queued_seconds; /* of busy: with a processor (or a device), and without one; their sum */
    double nanoseconds;                       /* of work (busy less queued) for each record of the pipeline */
};
struct attribution_queue {
    char from[ATTRIBUTION_NAME], to[ATTRIBUTION_NAME];
    uint64_t batches;
    double wait_seconds, full_seconds; /* wait: of a batch, on average */
};
struct attribution {
    char configuration[256];
    uint64_t records;
    double seconds, records_per_second;
    double bound_per_second; /* 1 / the critical thread's work for a record, or the processors'; NAN: no records */
    double observed_seconds; /* spent on comparing outputs, left out of everything else */
    uint32_t lanes, processors;
    int32_t critical;      /* thread; −1: none */
    bool processors_bound; /* the sum of all threads limits, not one of them */
    bool interrupted;      /* by a signal: of the whole work it is a part */
    uint32_t row_count, thread_count, queue_count, output_count;
    struct attribution_row *rows; /* by total time, largest first */
    struct attribution_thread *threads;
    struct attribution_queue *queues;
    struct fingerprint *outputs; /* output_count 0: not taken */
};

/* ---- Taking ----------------------------------------------------------------------------------------------------- */

/* Looks at the times now and then and keeps what each interval cost; when there are ATTRIBUTION_INTERVALS of them, two
 * become one. NULL: out of memory. */
struct attribution_sampler;
struct attribution_sampler *attribution_sampler_new(const struct plan *plan);
void attribution_sampler_free(struct attribution_sampler *sampler);
void attribution_sample(struct attribution_sampler *sampler, const struct pipeline_times *times);

/* `sampler` may be NULL. `prints` may be NULL. -ENOMEM. */
int attribution_make(const struct plan *plan, const struct pipeline_times *times, uint32_t processors,
                     struct attribution_sampler *sampler, const struct fingerprints *prints, struct attribution **ret);
void attribution_free(struct attribution *attribution);

/* The largest share of the run in which a thread worked, or was ready to. */
double attribution_busiest(const struct attribution *made);
/* True when something else than processors sets the pace: sources that wait, or the work of others. */
bool attribution_has_room(const struct attribution *made);

/* ---- Comparing -------------------------------------------------------------------------------------------------- */

enum attribution_change {
    CHANGE_NONE,
    CHANGE_NOISE,
    CHANGE_FASTER,
    CHANGE_SLOWER,
    CHANGE_NEW,
    CHANGE_UNKNOWN,
    CHANGE_UNCLEAR
};
struct attribution_difference {
    double before, after; /* ns for each record of the row; or records/s of the pipeline */
    double ratio;         /* after / before */
    enum attribution_change change;
};
/* The row of `before` that is the same work of the same part as `row`, or NULL. */
const struct attribution_row *attribution_find(const struct attribution *before, const struct attribution_row *row);
/* Beyond noise: by more than three standard errors of both, by more than 3 %, and more than half a
 * nanosecond. UNKNOWN: too few intervals to tell.
 */
struct attribution_difference attribution_difference(const struct attribution_row *before,
                                                     const struct attribution_row *after);

/* ---- Showing and keeping ---------------------------------------------------------------------------------------- */

const char *attribution_work(enum pipeline_work work); /* "decode" */
void attribution_text(const struct attribution *attribution, struct weir_buffer *out);
/* What changed since `before`; *ret_same: false when some output is not what it was. */
void attribution_text_against(const struct attribution *before, const struct attribution *after, bool *ret_same,
                              struct weir_buffer *out);
/* One object; `before` may be NULL. Without `before` it is what attribution_read reads. */
void attribution_json(const struct attribution *attribution, const struct attribution *before, struct weir_buffer *out);
/* Lines "thread;part;part microseconds", for flame graphs. */
void attribution_folded(const struct plan *plan, const struct pipeline_times *times, struct weir_buffer *out);
/* -EINVAL with words: not a profile, or of a version that this program does not know. -ENOMEM. */
int attribution_read(const char *text, size_t size, struct attribution **ret, struct weir_error *error);

#endif
