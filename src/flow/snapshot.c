/* SPDX-License-Identifier: MIT */
/* What can be seen of a running pipeline. Main thread; reads counters that other threads write, none of their data. */
#include "flow/engine.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static uint64_t read_counter(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit((_Atomic uint64_t *)counter, memory_order_relaxed);
}

static void look_at_source(struct source *source, struct pipeline_source_view *view, int64_t now)
{
    int64_t oldest = account_oldest(&source->account);
    view->name = source->node.plan->name;
    view->records_read = read_counter(&source->account.read);
    view->offered = atomic_load_explicit(&source->offered, memory_order_relaxed);
    view->full_speed = atomic_load_explicit(&source->full_speed, memory_order_relaxed);
    view->ended = atomic_load_explicit(&source->ended, memory_order_relaxed);
    view->waiting = atomic_load_explicit(&source->waiting, memory_order_relaxed);
    view->lag_ns = oldest && oldest < now ? now - oldest : 0;
}

static void look_at_sources(struct pipeline *pipeline, struct pipeline_snapshot *snapshot)
{
    for (uint32_t i = 0; i < pipeline->source_count; i++) {
        struct source *source = &pipeline->sources[i];
        struct account *account = &source->account;
        /* Outcomes first, then what was read: so in flight is never negative. */
        snapshot->records_stored += read_counter(&account->outcomes[OUTCOME_STORED]);
        snapshot->records_refused += read_counter(&account->outcomes[OUTCOME_REFUSED]);
        snapshot->records_filtered += read_counter(&account->outcomes[OUTCOME_FILTERED]);
        snapshot->records_dropped += read_counter(&account->outcomes[OUTCOME_DROPPED]);
        snapshot->unaccounted += read_counter(&account->unaccounted);
        look_at_source(source, &snapshot->sources[i], snapshot->now);
        snapshot->records_in += snapshot->sources[i].records_read;
        if (snapshot->sources[i].lag_ns > snapshot->lag_ns)
            snapshot->lag_ns = snapshot->sources[i].lag_ns;
        pthread_mutex_lock(&account->lock);
        snapshot->in_flight_bytes += account->bytes;
        snapshot->in_flight_limit += account->bytes_limit;
        pthread_mutex_unlock(&account->lock);
        histogram_merge(&snapshot->late_by, &source->late_by);
        histogram_merge(&snapshot->fetch, &source->fetch);
    }
}

static void add_counters(struct pipeline_part_view *view, const struct node_counters *counters)
{
    view->calls += read_counter(&counters->calls);
    view->records_in += read_counter(&counters->records_in);
    view->records_out += read_counter(&counters->records_out);
    view->busy_ns += read_counter(&counters->busy_ns);
}

/* Its tasks are busy when its thread is. */
static void look_at_async_stage(struct async_stage *stage, struct pipeline_snapshot *snapshot)
{
    struct pipeline_part_view *view = &snapshot->parts[stage->node.index];
    int64_t ended = atomic_load(&stage->machine.ended_ns), started = stage->machine.started_ns;
    int64_t busy = (ended ? ended : snapshot->now) - started - context_waited(&stage->machine.context);
    add_counters(view, &stage->node.counters);
    view->busy_ns = started && busy > 0 ? (uint64_t)busy : 0;
}

static void look_at_parts(struct pipeline *pipeline, struct pipeline_snapshot *snapshot)
{
    for (uint32_t i = 0; i < pipeline->plan->count; i++) {
        struct pipeline_part_view *view = &snapshot->parts[i];
        view->name = pipeline->plan->nodes[i].name;
        view->part = pipeline->plan->nodes[i].part;
        if (i < pipeline->source_count) {
            add_counters(view, &pipeline->sources[i].node.counters);
            view->records_out = snapshot->sources[i].records_read;
        }
        for (uint32_t lane = 0; lane < pipeline->lane_count; lane++)
            if (pipeline->lanes[lane].nodes[i]) {
                add_counters(view, &pipeline->lanes[lane].nodes[i]->counters);
                snapshot->keys += read_counter(&pipeline->lanes[lane].nodes[i]->counters.keys);
            }
    }
    for (uint32_t i = 0; i < pipeline->async_count; i++)
        look_at_async_stage(&pipeline->async_stages[i], snapshot);
    for (uint32_t i = 0; i < pipeline->sink_count; i++) {
        struct sink *sink = &pipeline->sinks[i];
        struct pipeline_part_view *view = &snapshot->parts[sink->node.index];
        add_counters(view, &sink->node.counters);
        view->records_out = sink->ops->write ? read_counter(&sink->records_stored) : view->records_in;
        snapshot->records_out += view->records_out;
        histogram_merge(&snapshot->latency, &sink->latency);
    }
    for (uint32_t lane = 0; lane < pipeline->lane_count; lane++)
        histogram_merge(&snapshot->latency, &pipeline->lanes[lane].latency);
}

static void look_at_edge(struct edge *edge, struct pipeline_edge_view *view)
{
    struct edge_view look;
    edge_look(edge, &look);
    *view = (struct pipeline_edge_view){.from = look.from,
                                        .to = look.to,
                                        .bytes = look.bytes,
                                        .bytes_limit = look.limit,
                                        .bytes_peak = look.peak,
                                        .batches = look.turns,
                                        .dropped_records = look.dropped,
                                        .blocked_ns = look.blocked_ns,
                                        .full = look.full};
}

/* The branch that holds the pipeline back is the sink whose edge is full; if none is, and a source waits, the lanes. */
static void look_at_edges(struct pipeline *pipeline, struct pipeline_snapshot *snapshot)
{
    uint32_t count = 0;
    uint64_t most = 0;
    for (uint32_t i = 0; i < pipeline->source_count; i++) {
        look_at_edge(pipeline->sources[i].edge, &snapshot->edges[count]);
        if (snapshot->edges[count].full || snapshot->sources[i].waiting)
            snapshot->blocking = "the stages";
        count++;
    }
    for (uint32_t i = 0; i < pipeline->async_count; i++) {
        look_at_edge(pipeline->async_stages[i].in, &snapshot->edges[count]);
        if (snapshot->edges[count].full)
            snapshot->blocking = snapshot->edges[count].to;
        look_at_edge(pipeline->async_stages[i].out, &snapshot->edges[count + 1]);
        count += 2;
    }
    for (uint32_t i = 0; i < pipeline->sink_count; i++) {
        if (!pipeline->sinks[i].edge)
            continue;
        struct pipeline_edge_view *view = &snapshot->edges[count++];
        look_at_edge(pipeline->sinks[i].edge, view);
        uint64_t waiting = view->bytes + pipeline->sinks[i].pending_bytes;
        bool holds = snapshot->blocking || view->full;
        if (holds && waiting > most && (view->full || waiting * 2 > view->bytes_limit)) {
            most = waiting;
            snapshot->blocking = view->to;
        }
    }
    snapshot->edge_count = count;
}

/* What a part says of itself goes to the snapshot. */
struct weir_facts {
    struct pipeline_snapshot *snapshot;
    const char *part;
    uint32_t left;
};

static struct pipeline_fact_view *add_fact(struct weir_facts *facts, const char *name)
{
    struct pipeline_snapshot *snapshot = facts->snapshot;
    struct pipeline_fact_view *views = facts->left
                                           ? memory_resize(snapshot->facts, (snapshot->fact_count + 1) * sizeof *views)
                                           : NULL;
    if (!views)
        return NULL;
    facts->left--;
    snapshot->facts = views;
    struct pipeline_fact_view *view = &views[snapshot->fact_count++];
    *view = (struct pipeline_fact_view){.part = facts->part};
    snprintf(view->name, sizeof view->name, "%s", name);
    return view;
}

void weir_fact(struct weir_facts *facts, const char *name, double value, const char *unit)
{
    struct pipeline_fact_view *view = add_fact(facts, name);
    if (view) {
        view->value = value;
        snprintf(view->unit, sizeof view->unit, "%s", unit);
    }
}

void weir_fact_text(struct weir_facts *facts, const char *name, const char *text)
{
    struct pipeline_fact_view *view = add_fact(facts, name);
    if (view)
        view->text = memory_string(text);
    if (view && !view->text)
        facts->snapshot->fact_count--;
}

static void ask_node(struct weir_engine_node *node, struct pipeline_snapshot *snapshot)
{
    struct weir_facts facts = {.snapshot = snapshot, .part = node->plan->name, .left = WEIR_FACTS_MOST};
    if (node->opened && node->plan->part->report)
        node->plan->part->report(node->self, &facts);
}

static void look_at_facts(struct pipeline *pipeline, struct pipeline_snapshot *snapshot)
{
    for (uint32_t i = 0; i < pipeline->source_count; i++)
        ask_node(&pipeline->sources[i].node, snapshot);
    for (uint32_t i = 0; i < pipeline->async_count; i++)
        ask_node(&pipeline->async_stages[i].node, snapshot);
    for (uint32_t i = 0; i < pipeline->sink_count; i++)
        ask_node(&pipeline->sinks[i].node, snapshot);
}

/* The wait of a record ends where the last asynchronous stage begins with it; without one, at the sinks. */
static void look_at_waits(struct pipeline *pipeline, struct pipeline_snapshot *snapshot)
{
    for (uint32_t i = pipeline->async_count; i-- > 0;) {
        struct async_stage *stage = &pipeline->async_stages[i];
        if (!atomic_load(&stage->begins))
            continue;
        histogram_merge(&snapshot->wait, &stage->wait);
        return;
    }
    for (uint32_t i = 0; i < pipeline->sink_count; i++)
        histogram_merge(&snapshot->wait, &pipeline->sinks[i].wait);
    for (uint32_t i = 0; i < pipeline->lane_count; i++) /* sinks that store on the lane, at once */
        histogram_merge(&snapshot->wait, &pipeline->lanes[i].latency);
}

static void look_at_threads(struct pipeline *pipeline, struct pipeline_snapshot *snapshot)
{
    for (uint32_t i = 0; i < pipeline->machine_count; i++) {
        struct machine *machine = pipeline->machines[i];
        struct pipeline_thread_view *view = &snapshot->threads[i];
        int64_t ended = atomic_load(&machine->ended_ns);
        memcpy(view->name, machine->name, sizeof view->name);
        view->busy_ns = (ended ? ended : snapshot->now) - pipeline->started - context_waited(&machine->context);
        if (view->busy_ns < 0)
            view->busy_ns = 0;
    }
    snapshot->thread_count = pipeline->machine_count;
}

static int copy_counters(struct pipeline *pipeline, struct pipeline_snapshot *snapshot)
{
    pthread_mutex_lock(&pipeline->lock);
    snapshot->counters = memory_zeroed(pipeline->counter_count + 1, sizeof *snapshot->counters);
    for (const struct counter *counter = pipeline->counters; counter && snapshot->counters; counter = counter->next) {
        if (counter->field[0] == '\n')
            continue; /* how often something was said */
        snapshot->counters[snapshot->counter_count++] = (struct pipeline_counter_view){counter->part, counter->what,
                                                                                       counter->field, counter->number};
    }
    pthread_mutex_unlock(&pipeline->lock);
    return snapshot->counters ? 0 : -ENOMEM;
}

static void look_at_memory(struct pipeline *pipeline, struct pipeline_snapshot *snapshot)
{
    const struct memory_budget *batches = &pipeline->batch_budget, *state = &pipeline->state_budget;
    snapshot->memory_used = read_counter(&batches->used) + read_counter(&state->used);
    snapshot->memory_peak = read_counter(&batches->peak) + read_counter(&state->peak);
    snapshot->memory_limit = pipeline->batch_share + state->limit;
    snapshot->timed_steps = read_counter(&pipeline->timed_steps);
    snapshot->symbols = symbols_count(pipeline->symbols);
}

int pipeline_snapshot(struct pipeline *pipeline, struct pipeline_snapshot **ret)
{
    struct pipeline_snapshot *snapshot = memory_zeroed(1, sizeof *snapshot); /* histograms of zeros are empty ones */
    if (!snapshot)
        return -ENOMEM;
    snapshot->now = pipeline_now(pipeline);
    snapshot->started = pipeline->started;
    snapshot->source_count = pipeline->source_count;
    snapshot->part_count = pipeline->plan->count;
    snapshot->sources = memory_zeroed(pipeline->source_count, sizeof *snapshot->sources);
    snapshot->parts = memory_zeroed(pipeline->plan->count, sizeof *snapshot->parts);
    snapshot->edges = memory_zeroed(pipeline->source_count + pipeline->sink_count + 2 * pipeline->async_count,
                                    sizeof *snapshot->edges);
    snapshot->threads = memory_zeroed(pipeline->machine_count, sizeof *snapshot->threads);
    if (!snapshot->sources || !snapshot->parts || !snapshot->edges || !snapshot->threads ||
        copy_counters(pipeline, snapshot) < 0) {
        pipeline_snapshot_free(snapshot);
        return -ENOMEM;
    }
    look_at_sources(pipeline, snapshot);
    look_at_parts(pipeline, snapshot);
    look_at_edges(pipeline, snapshot);
    look_at_facts(pipeline, snapshot);
    look_at_waits(pipeline, snapshot);
    look_at_threads(pipeline, snapshot);
    look_at_memory(pipeline, snapshot);
    *ret = snapshot;
    return 0;
}

void pipeline_snapshot_free(struct pipeline_snapshot *snapshot)
{
    if (!snapshot)
        return;
    memory_free(snapshot->sources);
    memory_free(snapshot->parts);
    memory_free(snapshot->edges);
    memory_free(snapshot->threads);
    memory_free(snapshot->counters);
    for (uint32_t i = 0; i < snapshot->fact_count; i++)
        memory_free(snapshot->facts[i].text);
    memory_free(snapshot->facts);
    memory_free(snapshot);
}

uint64_t pipeline_snapshot_count(const struct pipeline_snapshot *snapshot, const char *what)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < snapshot->counter_count; i++)
        if (strcmp(snapshot->counters[i].what, what) == 0)
            sum += snapshot->counters[i].number;
    return sum;
}
