/* SPDX-License-Identifier: MIT */
/*
 * Where the time of a running pipeline went: for each thread and each piece of work. All of a thread's time is in it:
 *
 *     started ──────────────────────────────────────────────────────────► now (or its end)
 *     │ decode │ process │ … │ hand-over │ engine │ blocked │ starved │
 *     └─────────────── busy ──────────────────────┘ └─── waited ──────┘
 *
 * Busy time includes the moments in which the thread was ready but had no processor (`queued_ns`, as the kernel counts
 * it) and those in which it waited inside a system call, such as for a disk. Read by the main thread while others
 * write: sums are consistent to within the batches that are worked on.
 */
#ifndef FLOW_TIMES_H
#define FLOW_TIMES_H
#include "flow/pipeline.h"

enum pipeline_work {
    WORK_READ,      /* a source's own thread: reading, generating, cutting into blocks */
    WORK_DECODE,    /* a source's bytes to columns, on a lane */
    WORK_PROCESS,   /* a stage */
    WORK_HAND_OVER, /* rows to other lanes, batches to sinks */
    WORK_ENCODE,    /* a sink's columns to bytes, on a lane */
    WORK_WRITE,     /* a sink's own thread, or, without one, what it costs a lane to store */
    WORK_ENGINE,    /* what is left of a thread's busy time: taking turns, accounts, latencies, memory */
    WORK_OBSERVE,   /* options.stored: not the pipeline's own */
    WORK_COUNT
};
enum pipeline_thread_kind { THREAD_SOURCE, THREAD_LANE, THREAD_SINK, THREAD_STAGE }; /* stage: an asynchronous one */

struct pipeline_thread_time {
    char name[32];
    enum pipeline_thread_kind kind;
    int64_t busy_ns, blocked_ns, starved_ns;
    int64_t processor_ns, queued_ns; /* 0: not known */
};
struct pipeline_cell {
    uint32_t thread;
    uint32_t node; /* plan index; UINT32_MAX: of no part */
    enum pipeline_work work;
    uint64_t calls, records;  /* records 0: not counted */
    int64_t own_ns, total_ns; /* total: with what it called, on the same thread */
};
struct pipeline_queue_time {
    const char *from, *to; /* names of parts */
    uint64_t batches;      /* that were taken from it */
    int64_t waited_ns;     /* all of them together */
    int64_t full_ns;
};
struct pipeline_times {
    int64_t now, started;
    uint64_t records; /* that came in */
    uint32_t thread_count, cell_count, queue_count, lane_count;
    struct pipeline_thread_time *threads;
    struct pipeline_cell *cells;
    struct pipeline_queue_time *queues;
};
/* Not for simulated pipelines, whose times mean nothing. Free with pipeline_times_free. -ENOMEM. */
int pipeline_times(struct pipeline *pipeline, struct pipeline_times **ret);
void pipeline_times_free(struct pipeline_times *times); /* NULL is allowed */
#endif
