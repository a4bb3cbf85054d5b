/* SPDX-License-Identifier: MIT */
#include "flow/times.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"
#include "flow/engine.h"

static int64_t read_counter(const _Atomic uint64_t *counter)
{
    return (int64_t)atomic_load_explicit((_Atomic uint64_t *)counter, memory_order_relaxed);
}

/* ---- Threads, by themselves ------------------------------------------------------------------------------------- */

void machine_park(struct machine *machine, int64_t deadline_ns, bool blocked)
{
    int64_t before = blocked ? context_waited(&machine->context) : 0;
    machine->timed_out = !context_park(&machine->context, deadline_ns);
    if (blocked)
        atomic_fetch_add_explicit(&machine->blocked_ns, context_waited(&machine->context) - before,
                                  memory_order_relaxed);
}

/* How long a thread of this process was ready to run and did not, as the kernel counts it; 0 where it does not. */
static int64_t read_queued(int thread_id)
{
    char path[64];
    long long ran = 0, queued = 0;
    snprintf(path, sizeof path, "/proc/self/task/%d/schedstat", thread_id);
    FILE *file = fopen(path, "re");
    if (!file)
        return 0;
    int fields = fscanf(file, "%lld %lld", &ran, &queued);
    fclose(file);
    return fields == 2 ? queued : 0;
}

void machine_begin_thread(struct machine *machine)
{
    atomic_store(&machine->thread_id, gettid());
}

void machine_end_thread(struct machine *machine)
{
    atomic_store(&machine->queued_ns, read_queued(gettid()));
    atomic_store(&machine->processor_ns, clock_thread_cpu());
}

/* From the main thread. A thread that has ended left its figures. */
static void look_at_processor(struct machine *machine, struct pipeline_thread_time *time)
{
    clockid_t clock;
    struct timespec spent;
    time->processor_ns = atomic_load(&machine->processor_ns);
    time->queued_ns = atomic_load(&machine->queued_ns);
    if (time->processor_ns || !machine->has_thread || !atomic_load(&machine->thread_id))
        return;
    if (pthread_getcpuclockid(machine->thread, &clock) == 0 && clock_gettime(clock, &spent) == 0)
        time->processor_ns = spent.tv_sec * CLOCK_SECOND + spent.tv_nsec;
    time->queued_ns = read_queued(atomic_load(&machine->thread_id));
}

static void look_at_thread(const struct pipeline *pipeline, struct machine *machine, struct pipeline_times *times,
                           enum pipeline_thread_kind kind)
{
    struct pipeline_thread_time *time = &times->threads[times->thread_count++];
    int64_t ended = atomic_load(&machine->ended_ns), end = ended ? ended : times->now;
    int64_t waited = context_waited(&machine->context), blocked = atomic_load(&machine->blocked_ns);
    int64_t all = end > pipeline->started ? end - pipeline->started : 0;
    memcpy(time->name, machine->name, sizeof time->name);
    time->kind = kind;
    waited = waited < all ? waited : all;
    blocked = blocked < waited ? blocked : waited;
    time->busy_ns = all - waited;
    time->blocked_ns = blocked;
    time->starved_ns = waited - blocked;
    look_at_processor(machine, time);
    if (time->queued_ns > time->busy_ns)
        time->queued_ns = time->busy_ns;
}

/* ---- Cells ------------------------------------------------------------------------------------------------------ */

static struct pipeline_cell *add_cell(struct pipeline_times *times, uint32_t node, enum pipeline_work work)
{
    struct pipeline_cell *cell = &times->cells[times->cell_count++];
    *cell = (struct pipeline_cell){.thread = times->thread_count - 1, .node = node, .work = work};
    return cell;
}

static void fill(struct pipeline_cell *cell, const struct node_counters *counters)
{
    cell->calls = (uint64_t)read_counter(&counters->calls);
    cell->records = (uint64_t)read_counter(&counters->records_in);
    cell->own_ns = read_counter(&counters->busy_ns);
    cell->total_ns = read_counter(&counters->total_ns);
    if (cell->total_ns < cell->own_ns)
        cell->total_ns = cell->own_ns; /* of work that calls nothing, only its own time is counted */
}

/* What is left of the thread's busy time. */
static void add_rest(struct pipeline_times *times, uint32_t first_cell)
{
    const struct pipeline_thread_time *thread = &times->threads[times->thread_count - 1];
    int64_t rest = thread->busy_ns;
    for (uint32_t i = first_cell; i < times->cell_count; i++)
        rest -= times->cells[i].own_ns;
    struct pipeline_cell *cell = add_cell(times, UINT32_MAX, WORK_ENGINE);
    cell->own_ns = rest > 0 ? rest : 0;
    cell->total_ns = thread->busy_ns;
}

static void look_at_source(struct pipeline *pipeline, struct source *source, struct pipeline_times *times)
{
    look_at_thread(pipeline, &source->machine, times, THREAD_SOURCE);
    struct pipeline_cell *cell = add_cell(times, source->node.index, WORK_READ);
    cell->calls = source->sequence; /* read while it counts: a figure for people */
    cell->records = (uint64_t)read_counter(&source->account.read);
    cell->own_ns = cell->total_ns = times->threads[times->thread_count - 1].busy_ns;
    times->records += cell->records;
}

static void look_at_lane(struct pipeline *pipeline, struct lane *lane, struct pipeline_times *times)
{
    look_at_thread(pipeline, &lane->machine, times, THREAD_LANE);
    uint32_t first = times->cell_count;
    for (uint32_t i = 0; i < pipeline->plan->count; i++) {
        enum weir_kind kind = pipeline->plan->nodes[i].part->kind;
        const struct weir_sink *sink = (const void *)pipeline->plan->nodes[i].part;
        if (kind == WEIR_SOURCE)
            fill(add_cell(times, i, WORK_DECODE), &lane->ends[i]);
        else if (kind == WEIR_STAGE && !lane->nodes[i])
            continue; /* asynchronous: has a thread of its own */
        else if (kind == WEIR_STAGE)
            fill(add_cell(times, i, WORK_PROCESS), &lane->nodes[i]->counters);
        else
            fill(add_cell(times, i, sink->write ? WORK_ENCODE : WORK_WRITE), &lane->ends[i]);
    }
    fill(add_cell(times, UINT32_MAX, WORK_HAND_OVER), &lane->hand_over);
    struct pipeline_cell *cell = add_cell(times, UINT32_MAX, WORK_OBSERVE);
    cell->own_ns = cell->total_ns = read_counter(&lane->observed_ns);
    add_rest(times, first);
}

/* What is busy on its thread is the stage's calls between their waits, and the loop. */
static void look_at_async_stage(struct pipeline *pipeline, struct async_stage *stage, struct pipeline_times *times)
{
    look_at_thread(pipeline, &stage->machine, times, THREAD_STAGE);
    struct pipeline_cell *cell = add_cell(times, stage->node.index, WORK_PROCESS);
    fill(cell, &stage->node.counters);
    cell->own_ns = cell->total_ns = times->threads[times->thread_count - 1].busy_ns;
}

static void look_at_sink(struct pipeline *pipeline, struct sink *sink, struct pipeline_times *times)
{
    look_at_thread(pipeline, &sink->machine, times, THREAD_SINK);
    uint32_t first = times->cell_count;
    struct pipeline_cell *cell = add_cell(times, sink->node.index, WORK_WRITE);
    cell->calls = (uint64_t)read_counter(&sink->write_calls);
    cell->records = (uint64_t)read_counter(&sink->node.counters.records_in);
    cell->own_ns = cell->total_ns = read_counter(&sink->write_ns);
    cell = add_cell(times, UINT32_MAX, WORK_OBSERVE);
    cell->own_ns = cell->total_ns = read_counter(&sink->observed_ns);
    add_rest(times, first);
}

/* ---- Queues ----------------------------------------------------------------------------------------------------- */

static void look_at_queue(struct edge *edge, const char *from, const char *to, struct pipeline_times *times)
{
    struct edge_view view;
    edge_look(edge, &view);
    times->queues[times->queue_count++] = (struct pipeline_queue_time){.from = from ? from : view.from,
                                                                       .to = to ? to : view.to,
                                                                       .batches = view.taken,
                                                                       .waited_ns = (int64_t)view.waited_ns,
                                                                       .full_ns = (int64_t)view.blocked_ns};
}

/* The queues to the lanes of one exchange are one to the user; they are full when all are, or nearly. */
static void look_at_exchange(struct pipeline *pipeline, const struct exchange *exchange, struct pipeline_times *times)
{
    const struct plan_node *from = &pipeline->plan->nodes[exchange->producers[0]];
    const struct plan_node *to = &pipeline->plan->nodes[exchange->consumers[0]];
    uint32_t first = times->queue_count;
    for (uint32_t i = 0; i < exchange->targets && exchange->edges[i]; i++) {
        look_at_queue(exchange->edges[i], from->name, to->name, times);
        if (times->queue_count - first == 1)
            continue;
        struct pipeline_queue_time *sum = &times->queues[first], *more = &times->queues[--times->queue_count];
        sum->batches += more->batches;
        sum->waited_ns += more->waited_ns;
        sum->full_ns = more->full_ns > sum->full_ns ? more->full_ns : sum->full_ns;
    }
}

static const char *first_reader(const struct pipeline *pipeline, uint32_t source)
{
    for (uint32_t i = source + 1; i < pipeline->plan->count; i++)
        for (uint32_t j = 0; j < pipeline->plan->nodes[i].from_count; j++)
            if (pipeline->plan->nodes[i].from[j] == source)
                return pipeline->plan->nodes[i].name;
    return NULL;
}

static void look_at_queues(struct pipeline *pipeline, struct pipeline_times *times)
{
    for (uint32_t i = 0; i < pipeline->source_count; i++)
        look_at_queue(pipeline->sources[i].edge, NULL, first_reader(pipeline, i), times);
    for (uint32_t i = 0; i < pipeline->exchange_count; i++)
        look_at_exchange(pipeline, &pipeline->exchanges[i], times);
    for (uint32_t i = 0; i < pipeline->async_count; i++)
        look_at_queue(pipeline->async_stages[i].out, NULL, NULL, times);
    for (uint32_t i = 0; i < pipeline->sink_count; i++)
        if (pipeline->sinks[i].edge)
            look_at_queue(pipeline->sinks[i].edge, NULL, NULL, times);
}

/* ---- All of it -------------------------------------------------------------------------------------------------- */

int pipeline_times(struct pipeline *pipeline, struct pipeline_times **ret)
{
    struct pipeline_times *times = memory_zeroed(1, sizeof *times);
    if (!times)
        return -ENOMEM;
    uint32_t lane_cells = pipeline->lane_count * (pipeline->plan->count + 3);
    times->threads = memory_zeroed(pipeline->machine_count, sizeof *times->threads);
    times->cells = memory_zeroed(lane_cells + pipeline->source_count + pipeline->async_count + 3 * pipeline->sink_count,
                                 sizeof *times->cells);
    times->queues = memory_zeroed(pipeline->source_count + 2 * pipeline->exchange_count + pipeline->async_count +
                                      pipeline->sink_count,
                                  sizeof *times->queues);
    if (!times->threads || !times->cells || !times->queues) {
        pipeline_times_free(times);
        return -ENOMEM;
    }
    times->now = pipeline_now(pipeline);
    times->started = pipeline->started;
    times->lane_count = pipeline->lane_count;
    for (uint32_t i = 0; i < pipeline->source_count; i++)
        look_at_source(pipeline, &pipeline->sources[i], times);
    for (uint32_t i = 0; i < pipeline->lane_count; i++)
        look_at_lane(pipeline, &pipeline->lanes[i], times);
    for (uint32_t i = 0; i < pipeline->async_count; i++)
        look_at_async_stage(pipeline, &pipeline->async_stages[i], times);
    for (uint32_t i = 0; i < pipeline->sink_count; i++)
        if (pipeline->sinks[i].ops->write)
            look_at_sink(pipeline, &pipeline->sinks[i], times);
    look_at_queues(pipeline, times);
    *ret = times;
    return 0;
}

void pipeline_times_free(struct pipeline_times *times)
{
    if (!times)
        return;
    memory_free(times->threads);
    memory_free(times->cells);
    memory_free(times->queues);
    memory_free(times);
}
