/* SPDX-License-Identifier: MIT */
/* A pipeline's life: made from a plan, opened, started, stopped, closed. Main thread, but for what says otherwise. */
#include "flow/engine.h"

#include "async/coroutine.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/system.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    ONE_HEAP_LEAST = 256, /* parts on all lanes together from which on heaps of their own keep too much */
    MIB = 1024 * 1024,
    BATCH_SHARE_LEAST = 8 * MIB, /* of the memory budget, for batches; the rest is for keyed state and symbols */
    BATCH_SHARE_MOST = 256 * MIB,
    COPIES =
        4, /* a batch on its way is about this many times its raw bytes: block, columns, derived columns, encoded */
    QUEUE_LEAST = 64 * 1024,
    POOL_KEEP = 4 * MIB,
    /* Whether there is room is asked before a batch is read, with a guess at what it will grow to: a wrong guess may
     * take some of what a run may use beyond its `memory`. */
    OVERDRAFT = 8 * MIB,
    GRAIN_LEAST = 4096,
};

/* ---- Failures, notices, counters: slow paths from any thread ----------------------------------------------------- */

bool pipeline_aborting(struct pipeline *pipeline)
{
    return atomic_load_explicit(&pipeline->aborting, memory_order_relaxed);
}

static void wake_machines(struct pipeline *pipeline)
{
    for (uint32_t i = 0; i < pipeline->machine_count; i++)
        waiter_wake(&pipeline->machines[i]->waiter);
}

void pipeline_stop(struct pipeline *pipeline)
{
    uint64_t one = 1;
    atomic_store(&pipeline->stopping, true);
    if (pipeline->cancel_fd >= 0)
        (void)!write(pipeline->cancel_fd, &one, sizeof one);
    for (uint32_t i = 0; i < pipeline->source_count; i++)
        waiter_wake(&pipeline->sources[i].machine.waiter);
}

void pipeline_abort(struct pipeline *pipeline)
{
    atomic_store(&pipeline->aborting, true);
    pipeline_stop(pipeline);
    wake_machines(pipeline);
}

void pipeline_fail(struct pipeline *pipeline, const struct weir_error *error)
{
    pthread_mutex_lock(&pipeline->lock);
    if (!pipeline->error.code)
        pipeline->error = *error;
    pthread_mutex_unlock(&pipeline->lock);
    pipeline_abort(pipeline);
}

void pipeline_fail_memory(struct pipeline *pipeline, const char *part, uint64_t records)
{
    struct weir_error error = {0};
    uint64_t share = pipeline->batch_share >> 20, memory = (uint64_t)pipeline->plan->memory >> 20;
    char batch[64] = "what it holds";
    if (records)
        snprintf(batch, sizeof batch, "a batch of %llu records", (unsigned long long)records);
    weir_fail(&error, -ENOMEM,
              "%s: out of memory: of `memory: %lluMiB`, %llu MiB are for batches, and %s with all that is made of it "
              "takes more; give the run more with run: {memory: ...}, or smaller batches with run: {batch: ...}",
              part, (unsigned long long)memory, (unsigned long long)share, batch);
    pipeline_fail(pipeline, &error);
}

static struct counter **counter_bucket(struct pipeline *pipeline, const char *part, const char *what, const char *field)
{
    uint64_t hash = hash_bytes(part, strlen(part));
    hash = hash_u64(hash ^ hash_bytes(what, strlen(what)));
    hash = hash_u64(hash ^ hash_bytes(field, strlen(field)));
    return &pipeline->counter_buckets[hash % ENGINE_COUNTER_BUCKETS];
}

static void free_counter(struct counter *counter)
{
    memory_free(counter->part);
    memory_free(counter->what);
    memory_free(counter->field);
    memory_free(counter);
}

/* With the lock. Decoders count many fields for each block: so it takes no longer when there are many. */
static struct counter *find_counter(struct pipeline *pipeline, const char *part, const char *what, const char *field)
{
    struct counter **bucket = counter_bucket(pipeline, part, what, field);
    for (struct counter *counter = *bucket; counter; counter = counter->same_bucket)
        if (!strcmp(counter->part, part) && !strcmp(counter->what, what) && !strcmp(counter->field, field))
            return counter;
    if (pipeline->counter_count == ENGINE_COUNTERS_MAX)
        return NULL;
    struct counter *counter = memory_zeroed(1, sizeof *counter);
    if (!counter)
        return NULL;
    counter->part = memory_string(part);
    counter->what = memory_string(what);
    counter->field = memory_string(field);
    if (!counter->part || !counter->what || !counter->field) {
        free_counter(counter);
        return NULL;
    }
    pipeline->counter_count++;
    *(pipeline->last_counter ? &pipeline->last_counter->next : &pipeline->counters) = counter;
    pipeline->last_counter = counter;
    counter->same_bucket = *bucket;
    *bucket = counter;
    return counter;
}

void pipeline_count(struct pipeline *pipeline, const char *part, const char *what, const char *field, uint64_t number)
{
    pthread_mutex_lock(&pipeline->lock);
    struct counter *counter = find_counter(pipeline, part, what, field ? field : "");
    if (counter)
        counter->number += number;
    pthread_mutex_unlock(&pipeline->lock);
}

/* The first few of a kind are said; the rest only counted, which the report shows. */
void pipeline_notice(struct pipeline *pipeline, const char *part, const char *kind, const char *text)
{
    char line[WEIR_ERROR_MAX + 256];
    pthread_mutex_lock(&pipeline->notice_lock);
    pthread_mutex_lock(&pipeline->lock);
    struct counter *said = find_counter(pipeline, part, kind,
                                        "\n"
                                        "said"); /* not shown: see snapshot.c */
    uint64_t number = said ? ++said->number : ENGINE_NOTICES_MAX;
    pthread_mutex_unlock(&pipeline->lock);
    if (number <= ENGINE_NOTICES_MAX && pipeline->options.notice) {
        snprintf(line, sizeof line, "%s: %s%s", part, text,
                 number == ENGINE_NOTICES_MAX ? " (more of this kind are only counted)" : "");
        pipeline->options.notice(pipeline->options.owner, line);
    }
    pthread_mutex_unlock(&pipeline->notice_lock);
}

/* ---- Making ---------------------------------------------------------------------------------------------------- */

static int fail_memory(struct weir_error *error)
{
    return weir_fail(error, -ENOMEM, "out of memory while starting");
}

static int init_machine(struct pipeline *pipeline, struct machine *machine, const char *name,
                        enum step (*step)(struct machine *), const _Atomic bool *cancelled)
{
    snprintf(machine->name, sizeof machine->name, "%s", name);
    machine->pipeline = pipeline;
    machine->step = step;
    machine->deadline = INT64_MAX;
    waiter_init(&machine->waiter);
    machine->context = (struct weir_context){.clock = &pipeline->clock,
                                             .waiter = &machine->waiter,
                                             .cancelled = cancelled,
                                             .cancel_fd = pipeline->cancel_fd};
    machine->pool = pool_new(&pipeline->batch_budget, pipeline->pool_keep);
    if (!machine->pool)
        return -ENOMEM;
    pipeline->machines[pipeline->machine_count++] = machine;
    return 0;
}

static void count_kinds(struct pipeline *pipeline)
{
    for (uint32_t i = 0; i < pipeline->plan->count; i++) {
        if (pipeline->plan->nodes[i].part->kind == WEIR_SOURCE)
            pipeline->source_count++;
        if (pipeline->plan->nodes[i].part->kind == WEIR_SINK)
            pipeline->sink_count++;
        pipeline->async_count += node_is_async(&pipeline->plan->nodes[i]);
    }
}

void pipeline_share(uint64_t memory, uint64_t *ret_batches, uint64_t *ret_state)
{
    uint64_t batches = memory / 4;
    if (batches < BATCH_SHARE_LEAST)
        batches = BATCH_SHARE_LEAST;
    if (batches > BATCH_SHARE_MOST)
        batches = BATCH_SHARE_MOST;
    if (batches > memory / 2)
        batches = memory / 2;
    *ret_batches = batches;
    *ret_state = memory - batches;
}

static void share_memory(struct pipeline *pipeline)
{
    uint64_t batches, state;
    pipeline_share((uint64_t)pipeline->plan->memory, &batches, &state);
    pipeline->batch_share = batches;
    pipeline->batch_budget.limit = batches + OVERDRAFT;
    pipeline->state_budget.limit = state;
    uint64_t in_flight = batches / COPIES;
    pipeline->queue_bytes = in_flight / 4;
    if (pipeline->queue_bytes < QUEUE_LEAST)
        pipeline->queue_bytes = QUEUE_LEAST;
    uint32_t producers = pipeline->lane_count > pipeline->source_count ? pipeline->lane_count : pipeline->source_count;
    pipeline->grain_bytes = in_flight / 8 / producers;
    if (pipeline->grain_bytes < GRAIN_LEAST)
        pipeline->grain_bytes = GRAIN_LEAST;
    pipeline->pool_keep = batches / 8 * 3 /
                          (pipeline->lane_count + pipeline->source_count + pipeline->sink_count +
                           pipeline->async_count);
    if (pipeline->pool_keep > POOL_KEEP)
        pipeline->pool_keep = POOL_KEEP;
}

static uint32_t choose_lanes(const struct pipeline *pipeline)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    uint32_t lanes = pipeline->plan->lanes ? pipeline->plan->lanes : processors > 0 ? (uint32_t)processors : 1;
    return lanes > ENGINE_LANES_MAX ? ENGINE_LANES_MAX : lanes;
}

static void init_node(struct pipeline *pipeline, struct weir_engine_node *node, uint32_t index, struct machine *machine)
{
    node->error = &machine->error;
    node->pipeline = pipeline;
    node->plan = &pipeline->plan->nodes[index];
    node->index = index;
}

static int make_source(struct pipeline *pipeline, uint32_t index, uint64_t credit)
{
    struct source *source = &pipeline->sources[index];
    init_node(pipeline, &source->node, index, &source->machine);
    source->index = index;
    source->ops = (const void *)source->node.plan->part;
    atomic_store(&source->event_time, INT64_MIN);
    atomic_store(&source->allowed_rows, room_rows_at_first(pipeline));
    source->ramp_rows = 64; /* histograms are all zeros as they are: where nothing is recorded they cost no memory */
    int error = init_machine(pipeline, &source->machine, source->node.plan->name, source_step, &pipeline->stopping);
    if (error < 0)
        return error;
    if (source->node.plan->idle_timeout) {
        source->machine.context.idle = source_idle;
        source->machine.context.idle_at = INT64_MAX;
        source->machine.context.owner = source;
    }
    return account_init(&source->account, credit, pipeline->branches, &source->machine.waiter);
}

static int make_lane(struct pipeline *pipeline, uint32_t index)
{
    struct lane *lane = &pipeline->lanes[index];
    char name[32];
    snprintf(name, sizeof name, "lane %u", index);
    lane->index = index;
    lane->nodes = memory_zeroed(pipeline->plan->count, sizeof(struct weir_engine_node *));
    lane->ends = memory_zeroed(pipeline->plan->count, sizeof *lane->ends);
    if (!lane->nodes || !lane->ends || init_machine(pipeline, &lane->machine, name, lane_step, &pipeline->aborting) < 0)
        return -ENOMEM;
    for (uint32_t i = 0; i < pipeline->plan->count; i++) {
        if (pipeline->plan->nodes[i].part->kind != WEIR_STAGE || node_is_async(&pipeline->plan->nodes[i]))
            continue;
        lane->nodes[i] = memory_zeroed(1, sizeof **lane->nodes);
        if (!lane->nodes[i])
            return -ENOMEM;
        init_node(pipeline, lane->nodes[i], i, &lane->machine);
        lane->nodes[i]->lane = lane;
    }
    return 0;
}

static int make_async_stage(struct pipeline *pipeline, uint32_t number, uint32_t index)
{
    struct async_stage *stage = &pipeline->async_stages[number];
    init_node(pipeline, &stage->node, index, &stage->machine);
    stage->ops = stage_ops(stage->node.plan->part);
    stage->lines = memory_zeroed(pipeline->source_count, sizeof *stage->lines);
    if (!stage->lines)
        return -ENOMEM;
    return init_machine(pipeline, &stage->machine, stage->node.plan->name, async_stage_step, &pipeline->aborting);
}

static int make_sink(struct pipeline *pipeline, uint32_t number, uint32_t index)
{
    struct sink *sink = &pipeline->sinks[number];
    init_node(pipeline, &sink->node, index, &sink->machine);
    sink->ops = (const void *)sink->node.plan->part;
    sink->pending_end = &sink->pending;
    sink->machine.pipeline = pipeline;
    return sink->ops->write
               ? init_machine(pipeline, &sink->machine, sink->node.plan->name, sink_step, &pipeline->aborting)
               : 0;
}

static int make_machines(struct pipeline *pipeline)
{
    uint32_t most = pipeline->source_count + pipeline->sink_count + pipeline->lane_count + pipeline->async_count;
    uint32_t sinks = 0, async_stages = 0;
    pipeline->machines = memory_zeroed(most, sizeof(struct machine *));
    pipeline->sources = memory_zeroed(pipeline->source_count, sizeof *pipeline->sources);
    pipeline->sinks = memory_zeroed(pipeline->sink_count, sizeof *pipeline->sinks);
    pipeline->lanes = memory_zeroed(pipeline->lane_count, sizeof *pipeline->lanes);
    pipeline->schemas = memory_zeroed(pipeline->plan->count, sizeof *pipeline->schemas);
    pipeline->async_stages = memory_zeroed(pipeline->async_count + 1, sizeof *pipeline->async_stages);
    if (!pipeline->machines || !pipeline->sources || !pipeline->sinks || !pipeline->lanes || !pipeline->async_stages ||
        !pipeline->schemas)
        return -ENOMEM;
    uint64_t credit = pipeline->batch_share / COPIES / pipeline->source_count + 1;
    for (uint32_t i = 0; i < pipeline->source_count; i++)
        if (make_source(pipeline, i, credit) < 0)
            return -ENOMEM;
    for (uint32_t i = 0; i < pipeline->lane_count; i++)
        if ((make_lane(pipeline, i) < 0 || lane_open(&pipeline->lanes[i]) < 0))
            return -ENOMEM;
    for (uint32_t i = 0; i < pipeline->plan->count; i++)
        if (node_is_async(&pipeline->plan->nodes[i]) && make_async_stage(pipeline, async_stages++, i) < 0)
            return -ENOMEM;
    for (uint32_t i = 0; i < pipeline->plan->count; i++)
        if (pipeline->plan->nodes[i].part->kind == WEIR_SINK && make_sink(pipeline, sinks++, i) < 0)
            return -ENOMEM;
    return graph_build(pipeline);
}

/* ---- Opening parts --------------------------------------------------------------------------------------------- */

static int open_parts(struct pipeline *pipeline, struct weir_error *error)
{
    for (uint32_t i = 0; i < pipeline->sink_count; i++) {
        struct sink *sink = &pipeline->sinks[i];
        struct machine *machine = sink->ops->write ? &sink->machine : &pipeline->lanes[0].machine;
        int code = node_open(&sink->node, machine);
        if (code < 0)
            return *error = *sink->node.error, code;
    }
    for (uint32_t lane = 0; lane < pipeline->lane_count; lane++) {
        for (uint32_t i = 0; i < pipeline->plan->count; i++) {
            struct weir_engine_node *node = pipeline->lanes[lane].nodes[i];
            int code = node ? node_open(node, &pipeline->lanes[lane].machine) : 0;
            if (code < 0)
                return *error = *node->error, code;
        }
    }
    for (uint32_t i = 0; i < pipeline->async_count; i++) {
        struct async_stage *stage = &pipeline->async_stages[i];
        int code = node_open(&stage->node, &stage->machine);
        if (code < 0)
            return *error = *stage->node.error, code;
        stage->unordered = stage->ops->unordered && stage->ops->unordered(stage->node.self);
    }
    for (uint32_t i = 0; i < pipeline->source_count; i++) {
        struct source *source = &pipeline->sources[i];
        int code = node_open(&source->node, &source->machine);
        if (code < 0)
            return *error = *source->node.error, code;
    }
    return 0;
}

/* How event time goes, for stages that ask. */
static void prepare_event_time(struct pipeline *pipeline)
{
    for (uint32_t i = 0; i < pipeline->plan->count; i++) {
        const struct plan_node *node = &pipeline->plan->nodes[i];
        if (node->part->kind == WEIR_STAGE && stage_ops(node->part)->on_watermark)
            pipeline->row_watermarks = true;
        if (node->part->kind == WEIR_SOURCE && node->watermark_delay > pipeline->watermark_delay)
            pipeline->watermark_delay = node->watermark_delay;
    }
}

int pipeline_open(const struct plan *plan, const struct pipeline_options *options, struct pipeline **ret,
                  struct weir_error *error)
{
    struct pipeline *pipeline = memory_zeroed(1, sizeof *pipeline);
    if (!pipeline)
        return fail_memory(error);
    pipeline->plan = plan;
    pipeline->options = *options;
    pipeline->random = options->seed ? options->seed : plan->seed;
    pipeline->clock.simulated = options->simulated;
    atomic_store(&pipeline->clock.now, CONTEXT_SIMULATED_START);
    atomic_store(&pipeline->read_limit_left, plan->limit > 0 ? (uint64_t)plan->limit : UINT64_MAX);
    pthread_mutex_init(&pipeline->lock, NULL);
    pthread_mutex_init(&pipeline->notice_lock, NULL);
    waiter_init(&pipeline->waiter);
    pipeline->cancel_fd = SYSTEM_CALL(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    int woken = pipeline->cancel_fd < 0 ? -errno : 0;
    count_kinds(pipeline);
    pipeline->lane_count = choose_lanes(pipeline);
    if ((uint64_t)plan->count * pipeline->lane_count >= ONE_HEAP_LEAST)
        memory_one_heap();
    share_memory(pipeline);
    pipeline->branches = graph_branches(pipeline);
    prepare_event_time(pipeline);
    pipeline->started = context_clock_now(&pipeline->clock);
    pipeline->symbols = symbols_new(&pipeline->state_budget, 0);
    int code = pipeline->symbols ? make_machines(pipeline) : -ENOMEM;
    if (woken < 0)
        code = weir_fail(error, woken, "no descriptor to be woken by: %s", strerror(-woken));
    else if (code < 0)
        fail_memory(error);
    else
        code = open_parts(pipeline, error);
    if (code < 0) {
        error->code = code;
        if (!error->text[0])
            snprintf(error->text, sizeof error->text, "%s", strerror(-code));
        pipeline_close(pipeline);
        return code;
    }
    *ret = pipeline;
    return 0;
}

/* ---- Running --------------------------------------------------------------------------------------------------- */

int64_t pipeline_now(struct pipeline *pipeline)
{
    return context_clock_now(&pipeline->clock);
}

int pipeline_start(struct pipeline *pipeline)
{
    pipeline->started = pipeline_now(pipeline);
    for (uint32_t i = 0; i < pipeline->machine_count; i++)
        pipeline->machines[i]->started_ns = pipeline->started;
    atomic_store(&pipeline->machines_left, pipeline->machine_count);
    atomic_store(&pipeline->sources_left, pipeline->source_count);
    pipeline->started_machines = true;
    return pipeline->options.simulated ? simulated_start(pipeline) : threads_start(pipeline);
}

/* Any thread: the machine's own. */
void pipeline_machine_done(struct machine *machine)
{
    machine->done = true;
    machine->ended_ns = weir_now(&machine->context);
    if (atomic_fetch_sub(&machine->pipeline->machines_left, 1) == 1)
        waiter_wake(&machine->pipeline->waiter);
}

/* All machines are done. */
static void publish(struct pipeline *pipeline)
{
    if (pipeline->published)
        return;
    pipeline->published = true;
    for (uint32_t i = 0; i < pipeline->sink_count && !pipeline_aborting(pipeline); i++) {
        struct sink *sink = &pipeline->sinks[i];
        if (!sink->ops->publish || !sink->node.opened)
            continue;
        sink->node.error->code = 0;
        int error = sink->ops->publish(sink->node.self, &sink->node.env);
        if (error < 0) {
            weir_fail(sink->node.error, error, "%s: %s", sink->node.plan->name, strerror(-error));
            pipeline_fail(pipeline, sink->node.error);
        }
    }
}

int pipeline_wait(struct pipeline *pipeline, int64_t until_ns)
{
    const struct plan *plan = pipeline->plan;
    for (;;) {
        int64_t now = pipeline_now(pipeline), deadline = until_ns;
        if (!atomic_load(&pipeline->machines_left)) {
            publish(pipeline);
            return 1;
        }
        if (now >= until_ns)
            return 0;
        if (plan->duration > 0 && !atomic_load(&pipeline->stopping)) {
            int64_t end = pipeline->started + plan->duration;
            if (now >= end)
                pipeline_stop(pipeline);
            if (now < end && end < deadline)
                deadline = end;
        }
        int stuck = 0;
        if (pipeline->options.simulated)
            stuck = simulated_run(pipeline, deadline);
        else
            waiter_park(&pipeline->waiter, deadline);
        if (stuck < 0)
            return stuck;
    }
}

int pipeline_result(struct pipeline *pipeline, struct weir_error *error)
{
    pthread_mutex_lock(&pipeline->lock);
    int code = pipeline->error.code;
    if (code && error)
        *error = pipeline->error;
    pthread_mutex_unlock(&pipeline->lock);
    return code;
}

/* ---- Closing: everything in the reverse of the order it was opened in ---------------------------------------------
 */

static void close_sources(struct pipeline *pipeline)
{
    for (uint32_t i = pipeline->source_count; pipeline->sources && i-- > 0;) {
        struct source *source = &pipeline->sources[i];
        if (source->node.plan)
            node_close(&source->node);
        weir_schema_release(source->schema);
    }
}

static void close_lanes(struct pipeline *pipeline)
{
    for (uint32_t i = pipeline->lane_count; pipeline->lanes && i-- > 0;) {
        struct lane *lane = &pipeline->lanes[i];
        for (uint32_t j = pipeline->plan->count; lane->nodes && j-- > 0;)
            if (lane->nodes[j])
                node_close(lane->nodes[j]);
        decoder_free(lane->decoder);
        for (uint32_t j = 0; j < WEIR_SCRATCHES; j++)
            memory_free(lane->scratches[j].data);
        for (uint32_t j = 0; j < lane->input_count; j++) {
            turn_free(lane->inputs[j].halved);
            lane->inputs[j].halved = NULL;
            if (lane->inputs[j].stuck)
                turn_discard_data(lane->inputs[j].stuck, OUTCOME_DROPPED);
            turn_free(lane->inputs[j].stuck);
            lane->inputs[j].stuck = NULL;
        }
    }
}

static void close_async_stages(struct pipeline *pipeline)
{
    for (uint32_t i = pipeline->async_count; pipeline->async_stages && i-- > 0;)
        if (pipeline->async_stages[i].node.plan)
            node_close(&pipeline->async_stages[i].node);
}

static void close_sinks(struct pipeline *pipeline)
{
    for (uint32_t i = pipeline->sink_count; pipeline->sinks && i-- > 0;) {
        struct sink *sink = &pipeline->sinks[i];
        if (sink->current) {
            turn_discard_data(sink->current, OUTCOME_DROPPED);
            turn_free(sink->current);
        }
        if (sink->node.plan)
            node_close(&sink->node);
        weir_schema_release(sink->schema);
    }
}

static void free_counters(struct pipeline *pipeline)
{
    for (struct counter *counter = pipeline->counters, *next; counter; counter = next) {
        next = counter->next;
        free_counter(counter);
    }
}

static void free_machines(struct pipeline *pipeline)
{
    for (uint32_t i = 0; i < pipeline->machine_count; i++) {
        coroutine_free(pipeline->machines[i]->coroutine);
        pool_close(pipeline->machines[i]->pool);
    }
    for (uint32_t i = 0; pipeline->sources && i < pipeline->source_count; i++)
        if (pipeline->sources[i].account.waiter)
            account_destroy(&pipeline->sources[i].account);
    for (uint32_t i = 0; pipeline->lanes && i < pipeline->lane_count; i++) {
        for (uint32_t j = 0; pipeline->lanes[i].nodes && j < pipeline->plan->count; j++)
            memory_free(pipeline->lanes[i].nodes[j]);
        memory_free(pipeline->lanes[i].nodes);
        memory_free(pipeline->lanes[i].ends);
    }
    memory_free(pipeline->machines);
    memory_free(pipeline->sources);
    memory_free(pipeline->sinks);
    for (uint32_t i = 0; pipeline->async_stages && i < pipeline->async_count; i++)
        memory_free(pipeline->async_stages[i].lines);
    memory_free(pipeline->async_stages);
    memory_free(pipeline->lanes);
    for (uint32_t i = 0; pipeline->schemas && i < pipeline->plan->count; i++)
        weir_schema_release(pipeline->schemas[i]);
    memory_free(pipeline->schemas);
}

void pipeline_close(struct pipeline *pipeline)
{
    if (!pipeline)
        return;
    if (pipeline->started_machines && atomic_load(&pipeline->machines_left)) {
        pipeline_abort(pipeline);
        (void)pipeline_wait(pipeline, INT64_MAX);
    }
    if (!pipeline->options.simulated)
        threads_join(pipeline);
    close_sources(pipeline);
    close_async_stages(pipeline);
    close_lanes(pipeline);
    close_sinks(pipeline);
    graph_destroy(pipeline);
    symbols_free(pipeline->symbols);
    simulated_end(pipeline);
    free_machines(pipeline);
    free_counters(pipeline);
    if (pipeline->cancel_fd >= 0)
        close(pipeline->cancel_fd);
    pthread_mutex_destroy(&pipeline->lock);
    pthread_mutex_destroy(&pipeline->notice_lock);
    memory_free(pipeline);
}
