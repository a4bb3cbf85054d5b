/* SPDX-License-Identifier: MIT */
#include "measure/attribution.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "flow/plan.h"

enum { SPREAD_LEAST = 5 }; /* fewer values say nothing about noise */
#define ROOM 0.6           /* of the run: threads that are busy for less are not what sets the pace */
#define NOISE_ERRORS 3.0
#define NOISE_LEAST 0.03      /* what neighbours, frequency and where memory lies change from run to run */
#define NOISE_NANOSECONDS 0.5 /* of a record: nothing to talk about */

double amdahl(double share, double factor)
{
    return 1 / (1 - share + share / factor);
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double middle(const double *sorted, uint32_t count)
{
    return count % 2 ? sorted[count / 2] : (sorted[count / 2 - 1] + sorted[count / 2]) / 2;
}

/* The median absolute deviation, scaled to a standard deviation of normal noise (1.4826), and from it the standard
 * error of a median (√(π/2)/√n). */
struct attribution_spread attribution_spread(double *values, uint32_t count)
{
    struct attribution_spread spread = {.median = NAN, .error = NAN, .count = count};
    if (count == 0)
        return spread;
    qsort(values, count, sizeof *values, compare_doubles);
    spread.median = middle(values, count);
    for (uint32_t i = 0; i < count; i++)
        values[i] = fabs(values[i] - spread.median);
    qsort(values, count, sizeof *values, compare_doubles);
    spread.error = 1.2533 * 1.4826 * middle(values, count) / sqrt(count);
    return spread;
}

/* ---- Rows: cells of the same work of the same part --------------------------------------------------------------- */

static bool same_row(const struct pipeline_cell *a, const struct pipeline_cell *b)
{
    return a->node == b->node && a->work == b->work;
}

/* The first cell of each row. Cells are always in the same order, so these are the same in every look at a pipeline. */
static uint32_t list_rows(const struct pipeline_times *times, uint32_t *firsts)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < times->cell_count; i++) {
        bool known = times->cells[i].work == WORK_OBSERVE;
        for (uint32_t j = 0; j < count && !known; j++)
            known = same_row(&times->cells[firsts[j]], &times->cells[i]);
        if (!known)
            firsts[count++] = i;
    }
    return count;
}

struct sums {
    double calls, records, own, total; /* own, total: ns */
};

/* A thread's busy time without that in which it just waited for a processor. Some of the latter belongs to waits (it
 * was woken, and not yet running): what it did on a processor is never taken out. */
static double net_time(const struct pipeline_thread_time *thread)
{
    double busy = (double)thread->busy_ns, net = busy - (double)thread->queued_ns;
    double least = (double)thread->processor_ns < busy ? (double)thread->processor_ns : busy;
    net = net > least ? net : least;
    return net < 0 ? 0 : net < busy ? net : busy;
}

static struct sums sum_row(const struct pipeline_times *times, uint32_t first)
{
    struct sums sums = {0};
    for (uint32_t i = 0; i < times->cell_count; i++) {
        const struct pipeline_cell *cell = &times->cells[i];
        if (!same_row(cell, &times->cells[first]))
            continue;
        const struct pipeline_thread_time *thread = &times->threads[cell->thread];
        double net = thread->busy_ns > 0 ? net_time(thread) / (double)thread->busy_ns : 1;
        sums.calls += (double)cell->calls;
        sums.records += (double)cell->records;
        sums.own += (double)cell->own_ns * net;
        sums.total += (double)cell->total_ns * net;
    }
    if (times->cells[first].work == WORK_HAND_OVER || times->cells[first].work == WORK_ENGINE)
        sums.records = (double)times->records;
    for (uint32_t i = 0; i < times->cell_count && times->cells[first].work == WORK_ENCODE; i++) {
        const struct pipeline_cell *cell = &times->cells[i]; /* what was encoded is what is written */
        if (cell->node == times->cells[first].node && cell->work == WORK_WRITE)
            sums.records += (double)cell->records;
    }
    return sums;
}

/* ---- Intervals -------------------------------------------------------------------------------------------------- */

struct attribution_sampler {
    uint32_t row_count, count, skip; /* skip: looks between two that are kept, which doubles when they are merged */
    uint32_t seen;
    uint32_t *firsts;
    struct sums *intervals; /* [interval * row_count + row] */
    /* As they were at the last look that was kept: */
    struct pipeline_times last;
    struct pipeline_thread_time *threads;
    struct pipeline_cell *cells;
};

struct attribution_sampler *attribution_sampler_new(const struct plan *plan)
{
    (void)plan;
    return memory_zeroed(1, sizeof(struct attribution_sampler));
}

void attribution_sampler_free(struct attribution_sampler *sampler)
{
    if (!sampler)
        return;
    memory_free(sampler->firsts);
    memory_free(sampler->threads);
    memory_free(sampler->cells);
    memory_free(sampler->intervals);
    memory_free(sampler);
}

static bool begin_sampling(struct attribution_sampler *sampler, const struct pipeline_times *times)
{
    sampler->firsts = memory_zeroed(times->cell_count, sizeof *sampler->firsts);
    if (!sampler->firsts)
        return false;
    sampler->row_count = list_rows(times, sampler->firsts);
    sampler->threads = memory_zeroed(times->thread_count, sizeof *sampler->threads);
    sampler->cells = memory_zeroed(times->cell_count, sizeof *sampler->cells);
    sampler->last = (struct pipeline_times){.threads = sampler->threads, .cells = sampler->cells};
    sampler->intervals = memory_zeroed((size_t)sampler->row_count * ATTRIBUTION_INTERVALS, sizeof *sampler->intervals);
    sampler->skip = 1;
    if (sampler->threads && sampler->cells && sampler->intervals)
        return true;
    sampler->row_count = 0;
    return false;
}

static struct sums add(struct sums a, struct sums b)
{
    return (struct sums){a.calls + b.calls, a.records + b.records, a.own + b.own, a.total + b.total};
}

static void merge_pairs(struct attribution_sampler *sampler)
{
    for (uint32_t i = 0; i < ATTRIBUTION_INTERVALS / 2; i++) {
        for (uint32_t row = 0; row < sampler->row_count; row++)
            sampler->intervals[i * sampler->row_count + row] = add(
                sampler->intervals[2 * i * sampler->row_count + row],
                sampler->intervals[(2 * i + 1) * sampler->row_count + row]);
    }
    sampler->count = ATTRIBUTION_INTERVALS / 2;
    sampler->skip *= 2;
}

/* `last` becomes what came since: each interval has its own share of time without a processor. */
static void subtract_last(struct attribution_sampler *sampler, const struct pipeline_times *times)
{
    struct pipeline_times *last = &sampler->last;
    last->thread_count = times->thread_count;
    last->cell_count = times->cell_count;
    last->records = times->records - last->records;
    for (uint32_t i = 0; i < times->thread_count; i++) {
        last->threads[i].busy_ns = times->threads[i].busy_ns - last->threads[i].busy_ns;
        last->threads[i].queued_ns = times->threads[i].queued_ns - last->threads[i].queued_ns;
        last->threads[i].processor_ns = times->threads[i].processor_ns - last->threads[i].processor_ns;
    }
    for (uint32_t i = 0; i < times->cell_count; i++) {
        struct pipeline_cell before = last->cells[i];
        last->cells[i] = times->cells[i];
        last->cells[i].calls -= before.calls;
        last->cells[i].records -= before.records;
        last->cells[i].own_ns -= before.own_ns;
        last->cells[i].total_ns -= before.total_ns;
    }
}

void attribution_sample(struct attribution_sampler *sampler, const struct pipeline_times *times)
{
    if (!sampler->row_count && !begin_sampling(sampler, times))
        return;
    if (++sampler->seen % sampler->skip)
        return;
    if (sampler->count == ATTRIBUTION_INTERVALS)
        merge_pairs(sampler);
    subtract_last(sampler, times);
    for (uint32_t row = 0; row < sampler->row_count; row++)
        sampler->intervals[sampler->count * sampler->row_count + row] = sum_row(&sampler->last, sampler->firsts[row]);
    sampler->count++;
    memcpy(sampler->threads, times->threads, times->thread_count * sizeof *sampler->threads);
    memcpy(sampler->cells, times->cells, times->cell_count * sizeof *sampler->cells);
    sampler->last.records = times->records;
}

static struct attribution_spread row_spread(const struct attribution_sampler *sampler, uint32_t row)
{
    double values[ATTRIBUTION_INTERVALS];
    uint32_t count = 0;
    for (uint32_t i = 0; sampler && row < sampler->row_count && i < sampler->count; i++) {
        const struct sums *sums = &sampler->intervals[i * sampler->row_count + row];
        if (sums->records > 0 && sums->own >= 0)
            values[count++] = sums->own / sums->records;
    }
    return attribution_spread(values, count);
}

/* ---- Bounds ----------------------------------------------------------------------------------------------------- */

struct work { /* of a thread, ns */
    double net, processor;
};

/* Time with a processor, or waiting for a device; not waiting for a processor, and not comparing outputs. */
static struct work work_of(const struct pipeline_times *times, uint32_t thread)
{
    const struct pipeline_thread_time *time = &times->threads[thread];
    double observed = 0, busy = (double)time->busy_ns;
    for (uint32_t i = 0; i < times->cell_count; i++) {
        if (times->cells[i].thread == thread && times->cells[i].work == WORK_OBSERVE)
            observed += (double)times->cells[i].own_ns;
    }
    double kept = busy > 0 ? 1 - observed / busy : 0;
    kept = kept > 0 ? kept : 0;
    return (struct work){.net = net_time(time) * kept, .processor = (double)time->processor_ns * kept};
}

/* The part of a thread's work that a row is. */
static double part_of(const struct pipeline_times *times, uint32_t thread, uint32_t first)
{
    double own = 0, all = 0;
    for (uint32_t i = 0; i < times->cell_count; i++) {
        const struct pipeline_cell *cell = &times->cells[i];
        if (cell->thread != thread || cell->work == WORK_OBSERVE)
            continue;
        all += (double)cell->own_ns;
        own += same_row(cell, &times->cells[first]) ? (double)cell->own_ns : 0;
    }
    return all > 0 ? own / all : 0;
}

struct pace { /* what limits: ns for all records */
    double needed;
    int32_t thread;
    bool processors;
};

/* With `left` of what row `first` takes; UINT32_MAX: all rows as they are. */
static struct pace pace_of(const struct pipeline_times *times, uint32_t processors, uint32_t first, double left)
{
    struct pace pace = {.thread = -1};
    double all = 0;
    for (uint32_t thread = 0; thread < times->thread_count; thread++) {
        struct work work = work_of(times, thread);
        double kept = first == UINT32_MAX ? 1 : 1 - part_of(times, thread, first) * (1 - left);
        if (work.net * kept > pace.needed) {
            pace.needed = work.net * kept;
            pace.thread = (int32_t)thread;
        }
        all += work.processor * kept;
    }
    if (processors > 0 && all / processors > pace.needed) {
        pace.needed = all / processors;
        pace.processors = true;
    }
    return pace;
}

/* ---- Making ----------------------------------------------------------------------------------------------------- */

const char *attribution_work(enum pipeline_work work)
{
    static const char *const names[WORK_COUNT] = {
        [WORK_READ] = "read",     [WORK_DECODE] = "decode", [WORK_PROCESS] = "process", [WORK_HAND_OVER] = "hand-over",
        [WORK_ENCODE] = "encode", [WORK_WRITE] = "write",   [WORK_ENGINE] = "engine",   [WORK_OBSERVE] = "observe",
    };
    return names[work];
}

static void name_row(const struct plan *plan, const struct pipeline_cell *cell, struct attribution_row *row)
{
    const struct plan_node *node = cell->node < plan->count ? &plan->nodes[cell->node] : NULL;
    snprintf(row->name, sizeof row->name, "%s", node ? node->name : attribution_work(cell->work));
    snprintf(row->type, sizeof row->type, "%s", node ? node->part->name : "");
    row->work = cell->work;
}

static int compare_rows(const void *a, const void *b)
{
    const struct attribution_row *x = a, *y = b;
    if (x->total_seconds != y->total_seconds)
        return x->total_seconds < y->total_seconds ? 1 : -1;
    return strcmp(x->name, y->name);
}

static void fill_rows(const struct plan *plan, const struct pipeline_times *times, const uint32_t *firsts,
                      struct attribution_sampler *sampler, struct attribution *made)
{
    double all = 0;
    struct pace now = pace_of(times, made->processors, UINT32_MAX, 1);
    uint32_t count = made->row_count;
    made->row_count = 0;
    for (uint32_t i = 0; i < count; i++)
        all += sum_row(times, firsts[i]).own;
    for (uint32_t i = 0; i < count; i++) {
        struct sums sums = sum_row(times, firsts[i]);
        if (sums.calls == 0 && sums.own == 0)
            continue; /* a file of frames is not decoded, a sink of rows does not encode */
        struct attribution_row *row = &made->rows[made->row_count++];
        name_row(plan, &times->cells[firsts[i]], row);
        row->calls = (uint64_t)sums.calls;
        row->records = (uint64_t)sums.records;
        row->own_seconds = sums.own / 1e9;
        row->total_seconds = sums.total / 1e9;
        row->nanoseconds = sums.records > 0 ? sums.own / sums.records : NAN;
        row->share = all > 0 ? sums.own / all : 0;
        double removed = pace_of(times, made->processors, firsts[i], 0).needed;
        double halved = pace_of(times, made->processors, firsts[i], 0.5).needed;
        row->removed = removed > 0 ? now.needed / removed : NAN;
        row->halved = halved > 0 ? now.needed / halved : NAN;
        row->spread = row_spread(sampler, i);
    }
    qsort(made->rows, made->row_count, sizeof *made->rows, compare_rows);
}

static void fill_threads(const struct pipeline_times *times, struct attribution *made)
{
    for (uint32_t i = 0; i < times->thread_count; i++) {
        const struct pipeline_thread_time *time = &times->threads[i];
        struct attribution_thread *thread = &made->threads[made->thread_count++];
        snprintf(thread->name, sizeof thread->name, "%s", time->name);
        thread->busy_seconds = (double)time->busy_ns / 1e9;
        thread->blocked_seconds = (double)time->blocked_ns / 1e9;
        thread->starved_seconds = (double)time->starved_ns / 1e9;
        thread->processor_seconds = net_time(time) / 1e9;
        thread->queued_seconds = thread->busy_seconds - thread->processor_seconds;
        thread->nanoseconds = times->records ? work_of(times, i).net / (double)times->records : NAN;
    }
    for (uint32_t i = 0; i < times->cell_count; i++) { /* wherever it was spent */
        if (times->cells[i].work == WORK_OBSERVE)
            made->observed_seconds += (double)times->cells[i].own_ns / 1e9;
    }
    struct pace pace = pace_of(times, made->processors, UINT32_MAX, 1);
    made->critical = times->records ? pace.thread : -1;
    made->processors_bound = pace.processors;
    made->bound_per_second = times->records && pace.needed > 0 ? (double)times->records * 1e9 / pace.needed : NAN;
}

static void fill_queues(const struct pipeline_times *times, struct attribution *made)
{
    for (uint32_t i = 0; i < times->queue_count; i++) {
        const struct pipeline_queue_time *time = &times->queues[i];
        struct attribution_queue *queue = &made->queues[made->queue_count++];
        snprintf(queue->from, sizeof queue->from, "%s", time->from);
        snprintf(queue->to, sizeof queue->to, "%s", time->to);
        queue->batches = time->batches;
        queue->wait_seconds = time->batches ? (double)time->waited_ns / (double)time->batches / 1e9 : 0;
        queue->full_seconds = (double)time->full_ns / 1e9;
    }
}

/* -ENOMEM. */
static int fill_outputs(const struct fingerprints *prints, struct attribution *made)
{
    struct fingerprint print;
    uint32_t count = 0;
    while (prints && fingerprints_get(prints, count, &print))
        count++;
    made->outputs = memory_zeroed(count + 1, sizeof *made->outputs);
    for (; made->outputs && made->output_count < count; made->output_count++)
        (void)fingerprints_get(prints, made->output_count, &made->outputs[made->output_count]);
    return made->outputs ? 0 : -ENOMEM;
}

int attribution_make(const struct plan *plan, const struct pipeline_times *times, uint32_t processors,
                     struct attribution_sampler *sampler, const struct fingerprints *prints, struct attribution **ret)
{
    struct attribution *made = memory_zeroed(1, sizeof *made);
    uint32_t *firsts = memory_zeroed(times->cell_count + 1, sizeof *firsts);
    int error = made && firsts ? 0 : -ENOMEM;
    if (!error) {
        made->row_count = list_rows(times, firsts);
        made->rows = memory_zeroed(made->row_count + 1, sizeof *made->rows);
        made->threads = memory_zeroed(times->thread_count + 1, sizeof *made->threads);
        made->queues = memory_zeroed(times->queue_count + 1, sizeof *made->queues);
        error = made->rows && made->threads && made->queues ? fill_outputs(prints, made) : -ENOMEM;
    }
    if (!error) {
        made->records = times->records;
        made->lanes = times->lane_count;
        made->processors = processors;
        made->seconds = (double)(times->now - times->started) / 1e9;
        made->records_per_second = made->seconds > 0 ? (double)times->records / made->seconds : 0;
        fill_rows(plan, times, firsts, sampler, made);
        fill_threads(times, made);
        fill_queues(times, made);
        *ret = made;
    } else {
        attribution_free(made);
    }
    memory_free(firsts);
    return error;
}

void attribution_free(struct attribution *attribution)
{
    if (!attribution)
        return;
    memory_free(attribution->rows);
    memory_free(attribution->threads);
    memory_free(attribution->queues);
    memory_free(attribution->outputs);
    memory_free(attribution);
}

double attribution_busiest(const struct attribution *made)
{
    double most = 0;
    for (uint32_t i = 0; i < made->thread_count && made->seconds > 0; i++)
        most = fmax(most, made->threads[i].busy_seconds / made->seconds);
    return most;
}

bool attribution_has_room(const struct attribution *made)
{
    return attribution_busiest(made) < ROOM;
}

/* ---- Comparing -------------------------------------------------------------------------------------------------- */

const struct attribution_row *attribution_find(const struct attribution *before, const struct attribution_row *row)
{
    for (uint32_t i = 0; i < before->row_count; i++) {
        if (before->rows[i].work == row->work && strcmp(before->rows[i].name, row->name) == 0)
            return &before->rows[i];
    }
    return NULL;
}

struct attribution_difference attribution_difference(const struct attribution_row *before,
                                                     const struct attribution_row *after)
{
    struct attribution_difference difference = {.before = NAN, .after = after->nanoseconds, .ratio = NAN};
    if (!before || !(before->nanoseconds > 0)) {
        difference.change = before && !(after->nanoseconds > 0) ? CHANGE_NONE : CHANGE_NEW;
        return difference;
    }
    difference.before = before->nanoseconds;
    difference.ratio = after->nanoseconds / before->nanoseconds;
    if (before->spread.count < SPREAD_LEAST || after->spread.count < SPREAD_LEAST) {
        difference.change = CHANGE_UNKNOWN;
        return difference;
    }
    double error = sqrt(before->spread.error * before->spread.error + after->spread.error * after->spread.error);
    double moved = after->spread.median - before->spread.median, noise = NOISE_LEAST * before->spread.median;
    noise = NOISE_ERRORS * error > noise ? NOISE_ERRORS * error : noise;
    noise = noise > NOISE_NANOSECONDS ? noise : NOISE_NANOSECONDS;
    difference.change = fabs(moved) <= noise ? CHANGE_NOISE : moved < 0 ? CHANGE_FASTER : CHANGE_SLOWER;
    /* The mean, which is shown, moved the other way than the median, or hardly: a few slow calls more, or fewer. */
    double shown = difference.after - difference.before;
    if (difference.change != CHANGE_NOISE &&
        ((shown < 0) != (moved < 0) || fabs(shown) <= fmax(NOISE_LEAST * difference.before, NOISE_NANOSECONDS)))
        difference.change = CHANGE_UNCLEAR;
    return difference;
}
