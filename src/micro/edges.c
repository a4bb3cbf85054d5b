/* SPDX-License-Identifier: MIT */
/* Handing batches over: onto an edge and off it, with the account that each has. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "base/memory.h"
#include "data/pool.h"
#include "flow/edge.h"
#include "micro/micro.h"
#include "micro/records.h"

/* What a hand-over costs somewhere else, and is simulated here: a transaction, a request, a system call that waits. */
#define OVERHEAD_NS 500000
enum { RECORDS = 50 };

struct edge_work {
    struct weir_pool *pool;
    struct weir_schema *schema;
    struct account account;
    struct weir_waiter source, consumer, producer, done;
    struct edge *edge;
    uint64_t sequence;
    bool account_open;
    /* The other thread: */
    pthread_t thread;
    bool thread_runs;
    _Atomic bool stop;
    _Atomic uint64_t taken;
};

static void close_edge(void *state)
{
    struct edge_work *work = state;
    if (work->thread_runs) {
        atomic_store(&work->stop, true);
        waiter_wake(&work->consumer);
        pthread_join(work->thread, NULL);
    }
    if (work->edge)
        edge_free(work->edge);
    if (work->account_open)
        account_destroy(&work->account);
    weir_schema_release(work->schema);
    if (work->pool)
        pool_close(work->pool);
    memory_free(work);
}

static int open_edge(const struct microbench *bench, void **ret)
{
    static const struct weir_field fields[] = {{.name = "value", .type = WEIR_F64}};
    static const uint32_t parts[] = {1};
    const struct edge_options options = {.from = "here",
                                         .to = "there",
                                         .limit = 1 << 20,
                                         .policy = PLAN_BLOCK,
                                         .sources = 1,
                                         .parts = parts,
                                         .ordered = true};
    (void)bench;
    struct edge_work *work = memory_zeroed(1, sizeof *work);
    if (!work)
        return -ENOMEM;
    waiter_init(&work->source);
    waiter_init(&work->consumer);
    waiter_init(&work->producer);
    waiter_init(&work->done);
    work->pool = pool_new(NULL, 16 << 20);
    work->schema = weir_schema_new(fields, 1, -1, -1);
    work->edge = edge_new(&options);
    work->account_open = account_init(&work->account, UINT64_MAX, false, &work->source) == 0;
    if (!work->pool || !work->schema || !work->edge || !work->account_open ||
        edge_add_consumer(work->edge, &work->consumer) < 0 || edge_add_producer(work->edge, &work->producer) < 0) {
        close_edge(work);
        return -ENOMEM;
    }
    *ret = work;
    return 0;
}

/* A batch of `rows`, handed in. */
static int submit(struct edge_work *work, uint32_t rows)
{
    struct turn *turn = turn_new(0, work->sequence);
    struct receipt *receipt = receipt_new(&work->account, 1, 1);
    struct weir_batch *batch = weir_batch_new(work->pool, work->schema, rows);
    struct message *message = turn && receipt && batch ? turn_append(turn, MESSAGE_DATA) : NULL;
    if (!message || receipt_set_records(receipt, rows, rows) < 0) {
        weir_batch_release(batch);
        turn_free(turn);
        if (receipt)
            receipt_release(receipt);
        return -ENOMEM;
    }
    batch_set_receipt(batch, &receipt->head);
    message->batch = batch;
    work->sequence++;
    edge_submit(work->edge, turn, 0, work->pool);
    return 0;
}

/* What the consumer does. The records that it got. */
static uint64_t take(struct edge_work *work)
{
    struct turn *turn = edge_take(work->edge);
    uint64_t records = turn ? turn_discard_data(turn, OUTCOME_STORED) : 0;
    turn_free(turn);
    return records;
}

static int run_handover(void *state, uint64_t calls)
{
    struct edge_work *work = state;
    for (uint64_t i = 0; i < calls; i++) {
        int error = edge_credit(work->edge) ? submit(work, MICRO_ROWS) : -EIO;
        if (error || take(work) != MICRO_ROWS)
            return error ? error : -EIO;
    }
    return 0;
}

/* ---- To another thread ------------------------------------------------------------------------------------------ */

/* On another processor than the one thread that measures, where there is one. */
static void move_away(void)
{
    cpu_set_t here, others;
    CPU_ZERO(&here);
    CPU_ZERO(&others);
    if (sched_getaffinity(0, sizeof here, &here) < 0 || CPU_COUNT(&here) != 1)
        return;
    for (size_t i = 0; i < CPU_SETSIZE; i++) {
        if (!CPU_ISSET(i, &here))
            CPU_SET(i, &others);
    }
    (void)sched_setaffinity(0, sizeof others, &others); /* fails where there is no other: then here */
}

static void *consume(void *argument)
{
    struct edge_work *work = argument;
    move_away();
    while (!atomic_load(&work->stop)) {
        uint64_t records = take(work);
        if (records) {
            atomic_fetch_add(&work->taken, records);
            waiter_wake(&work->done);
        } else {
            waiter_park(&work->consumer, INT64_MAX);
        }
    }
    return NULL;
}

static int open_threads(const struct microbench *bench, void **ret)
{
    void *state = NULL;
    int error = open_edge(bench, &state);
    if (error)
        return error;
    struct edge_work *work = state;
    error = pthread_create(&work->thread, NULL, consume, work);
    work->thread_runs = error == 0;
    if (error) {
        close_edge(work);
        return -error;
    }
    *ret = work;
    return 0;
}

static int run_threads(void *state, uint64_t calls)
{
    struct edge_work *work = state;
    for (uint64_t i = 0; i < calls; i++) {
        uint64_t wanted = atomic_load(&work->taken) + MICRO_ROWS;
        int error = submit(work, MICRO_ROWS);
        if (error)
            return error;
        while (atomic_load(&work->taken) < wanted)
            waiter_park(&work->done, INT64_MAX);
    }
    return 0;
}

const struct microbench micro_edges[] = {
    {.name = "edge.handover",
     .summary = "a batch onto an edge and off it, with its account; one thread",
     .item = "batch",
     .items = 1,
     .open = open_edge,
     .run = run_handover,
     .close = close_edge},
    {.name = "edge.threads",
     .summary = "a batch to a thread that sleeps, and word back from it",
     .item = "batch",
     .items = 1,
     .wall = true,
     .open = open_threads,
     .run = run_threads,
     .close = close_edge},
    {.name = NULL},
};

/* ---- Fifty records ---------------------------------------------------------------------------------------------- */

static void spend(int64_t ns)
{
    int64_t end = clock_thread_cpu() + ns;
    while (clock_thread_cpu() < end) {
    }
}

static int hand_over(struct edge_work *work, uint32_t times, uint32_t records)
{
    for (uint32_t i = 0; i < times; i++) {
        int error = submit(work, records);
        if (error || take(work) != records)
            return error ? error : -EIO;
        spend(OVERHEAD_NS);
    }
    return 0;
}

static int run_each(void *state, uint64_t calls)
{
    int error = 0;
    for (uint64_t i = 0; i < calls && !error; i++)
        error = hand_over(state, RECORDS, 1);
    return error;
}

static int run_batch(void *state, uint64_t calls)
{
    int error = 0;
    for (uint64_t i = 0; i < calls && !error; i++)
        error = hand_over(state, 1, RECORDS);
    return error;
}

const struct microbench micro_handovers[] = {
    {.name = "handover.each",
     .summary = "50 records in 50 hand-overs, with a simulated 0.5 ms of overhead each",
     .item = "fifty",
     .items = 1,
     .open = open_edge,
     .run = run_each,
     .close = close_edge},
    {.name = "handover.batch",
     .summary = "50 records in one hand-over, with a simulated 0.5 ms of overhead",
     .item = "fifty",
     .items = 1,
     .slow = "handover.each",
     .open = open_edge,
     .run = run_batch,
     .close = close_edge},
    {.name = NULL},
};
