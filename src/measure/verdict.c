/* SPDX-License-Identifier: MIT */
#include "measure/verdict.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/units.h"
#include "flow/pipeline.h"
#include "measure/slope.h"

#define SLOPE_FLAT 0.01                /* seconds of lag per second below which the lag counts as flat */
#define SATURATED 0.95                 /* share of time from which a thread has no room left */
#define HORIZON (60 * CLOCK_SECOND)    /* what is kept */
#define NEAR (10 * CLOCK_SECOND)       /* what "now" means for rates */
#define REGRESSION (30 * CLOCK_SECOND) /* what a slope of the lag is taken from */
#define EVIDENCE (2 * CLOCK_SECOND)    /* less than this says nothing */
#define SPACING_FIRST (20 * CLOCK_MILLISECOND)
#define LAG_SMALL (200 * CLOCK_MILLISECOND)
enum { STEPS_ENOUGH = 10, REGRESSION_POINTS = 48 };

static double seconds(int64_t ns)
{
    return (double)ns / (double)CLOCK_SECOND;
}

void verdict_init(struct verdict *verdict, const struct verdict_limits *limits)
{
    memset(verdict, 0, sizeof *verdict);
    if (limits) {
        verdict->limits = *limits;
    }
    verdict->spacing = SPACING_FIRST;
}

static const struct verdict_sample *newest(const struct verdict *verdict)
{
    return &verdict->samples[verdict->count - 1];
}

/* The oldest sample that is at most `span` old, or the oldest there is. */
static const struct verdict_sample *since(const struct verdict *verdict, int64_t span)
{
    uint32_t i = verdict->count - 1;
    while (i > 0 && newest(verdict)->now - verdict->samples[i - 1].now <= span) {
        i--;
    }
    return &verdict->samples[i];
}

/* ---- How fast work is done while there is work ------------------------------------------------------------------ */

struct pace {
    bool known;
    double rate;  /* records settled per second */
    int64_t span; /* ns it was taken from */
};

/* Records are settled a batch at a time: counting from one change to another, not from one moment to another, keeps
 * half a batch more or less from being taken for speed. As far back as it takes to have ten seconds and ten batches,
 * but not beyond the moment when there was no work. */
static struct pace pace_of(const struct verdict *verdict)
{
    const struct verdict_sample *last = newest(verdict);
    int64_t from = verdict->busy_since;
    uint64_t settled = verdict->busy_settled, steps = verdict->busy_steps;
    for (uint32_t i = verdict->count; i-- > 0;) {
        const struct verdict_sample *sample = &verdict->samples[i];
        if (sample->steps <= verdict->busy_steps) {
            break;
        }
        uint64_t counted = last->steps - sample->steps;
        if (counted >= 4 || sample->step_at > from + HORIZON) {
            from = sample->step_at;
            settled = sample->settled;
            steps = sample->steps;
        }
        if (last->step_at - sample->step_at >= NEAR && counted >= STEPS_ENOUGH) {
            break;
        }
    }
    struct pace pace = {0};
    steps = last->steps - steps;
    int64_t span = steps > 0 ? last->step_at - from : 0;
    int64_t gap = steps > 0 ? span / (int64_t)steps : 0;
    /* Nothing for far longer than usual: a stall, which counts. */
    int64_t silent = last->now - (steps > 0 ? last->step_at : from) - 3 * gap - CLOCK_SECOND / 2;
    if (silent > 0) {
        span += silent;
    }
    pace.known = span > 0 && last->now - from >= EVIDENCE && (steps >= 2 || silent >= NEAR);
    pace.span = span;
    pace.rate = span > 0 ? (double)(last->settled - settled) / seconds(span) : 0;
    return pace;
}

/* ---- Samples ---------------------------------------------------------------------------------------------------- */

/* Makes room for one more: while the window is shorter than the horizon, every second sample goes and the rest lies
 * twice as far apart; after that the oldest goes. */
static void thin(struct verdict *verdict)
{
    uint32_t kept = 0;
    if (verdict->samples[verdict->count - 1].now - verdict->samples[0].now >= HORIZON) {
        memmove(verdict->samples, verdict->samples + 1, (verdict->count - 1) * sizeof verdict->samples[0]);
        verdict->count--;
        return;
    }
    for (uint32_t i = 0; i < verdict->count; i += 2) {
        verdict->samples[kept++] = verdict->samples[i];
    }
    verdict->count = kept;
    verdict->spacing *= 2;
}

/* The lag, or, where nothing is unsettled just now, how late the records were that were stored since the last sample: a
 * source that is behind its schedule has more that is due. In a simulation of one processor that is always so when a
 * batch is done; on threads it is when the source itself is too slow. */
static int64_t lag_of(const struct verdict *verdict, const struct verdict_sample *sample)
{
    if (sample->lag > 0 && sample->settled < sample->read) {
        return sample->lag;
    }
    if (sample->stored <= verdict->last_stored) {
        return 0;
    }
    double mean = (sample->latency_sum - verdict->last_latency_sum) / (double)(sample->stored - verdict->last_stored);
    return mean > (double)LAG_SMALL ? (int64_t)mean : 0;
}

/* The newest sample is always kept; it takes the place of the one before when that one is not far enough from its own
 * predecessor. Changes of `settled` are noted with the time of the sample that first saw them, kept or not. */
void verdict_add(struct verdict *verdict, const struct verdict_sample *sample)
{
    struct verdict_sample added = *sample;
    added.lag = lag_of(verdict, sample);
    verdict->last_stored = sample->stored;
    verdict->last_latency_sum = sample->latency_sum;
    if (added.lag > verdict->lag_worst) {
        verdict->lag_worst = added.lag;
    }
    if (verdict->closed) {
        return;
    }
    if (sample->ended) {
        verdict->closed = true;
        if (verdict->count > 0) {
            /* Full speed is said once the sources know, which may be as late as now. */
            verdict->samples[verdict->count - 1].full_speed |= sample->full_speed;
            return;
        }
    }
    if (verdict->count == 0) {
        verdict->started = verdict->busy_since = added.step_at = added.now;
        verdict->busy_settled = added.settled;
        added.steps = 0;
    } else {
        const struct verdict_sample *last = &verdict->samples[verdict->count - 1];
        bool stepped = added.settled != last->settled;
        added.steps = last->steps + stepped;
        added.step_at = stepped ? added.now : last->step_at;
    }
    if (added.lag <= 0) {
        struct pace pace = verdict->count > 0 ? pace_of(verdict) : (struct pace){0};
        verdict->pace = pace.known ? pace.rate : verdict->pace;
        verdict->busy_since = added.now;
        verdict->busy_settled = added.settled;
        verdict->busy_steps = added.steps;
        verdict->recovered |= added.settled > 0;
    }
    if (verdict->count >= 2 &&
        verdict->samples[verdict->count - 1].now - verdict->samples[verdict->count - 2].now < verdict->spacing) {
        verdict->count--;
    } else if (verdict->count == VERDICT_SAMPLES) {
        thin(verdict);
    }
    verdict->samples[verdict->count++] = added;
}

/* ---- Slopes ----------------------------------------------------------------------------------------------------- */

struct trend {
    bool known;
    double slope;
    int64_t span;
};

/* The slope of the lag over the last half minute: the median over all pairs, so that an outlier does nothing. A lag
 * that comes down again to where it was has no slope, wherever in its saw we are. */
static struct trend trend_of_lag(const struct verdict *verdict)
{
    const struct verdict_sample *first = since(verdict, REGRESSION);
    uint32_t count = (uint32_t)(verdict->samples + verdict->count - first);
    uint32_t stride = count / REGRESSION_POINTS + 1;
    double x[REGRESSION_POINTS + 1], y[REGRESSION_POINTS + 1];
    uint32_t points = 0;
    struct trend trend = {.span = newest(verdict)->now - first->now};
    for (uint32_t i = (count - 1) % stride; i < count; i += stride) { /* the newest is one of them */
        x[points] = seconds(first[i].now - first->now);
        y[points++] = seconds(first[i].lag);
    }
    if (points < 6 || trend.span < EVIDENCE) {
        return trend;
    }
    trend.known = true;
    trend.slope = slope_median(x, y, points);
    double least[2] = {INFINITY, INFINITY};
    for (uint32_t i = 0; i < count; i++) {
        bool late = first[i].now - first->now > trend.span / 2;
        least[late] = fmin(least[late], seconds(first[i].lag));
    }
    if (trend.slope > 0 && least[1] - least[0] < 0.25 * trend.slope * seconds(trend.span)) {
        trend.slope = 0;
    }
    return trend;
}

/* Seconds until the memory budget is used up, if it fills steadily; 0: it does not. Queues that fill once and stay full
 * do not count: the second half of the window must add as the first did. */
static double until_memory(const struct verdict *verdict)
{
    const struct verdict_sample *first = since(verdict, REGRESSION), *last = newest(verdict);
    uint64_t limit = verdict->limits.memory;
    const struct verdict_sample *middle = first + (last - first) / 2;
    if (limit == 0 || last->now - first->now < NEAR || last->memory < limit / 10 || last->memory >= limit) {
        return 0;
    }
    double early = (double)middle->memory - (double)first->memory, late = (double)last->memory - (double)middle->memory;
    if (early <= 0 || late < early / 2) {
        return 0;
    }
    return (double)(limit - last->memory) / ((early + late) / seconds(last->now - first->now));
}

static void until_limits(const struct verdict *verdict, struct verdict_answer *answer)
{
    int64_t most = verdict->limits.lag;
    if (answer->kind == VERDICT_FALLING_BEHIND && most > 0) {
        answer->limit = VERDICT_LIMIT_LAG;
        answer->limit_seconds = answer->lag >= most ? 0 : seconds(most - answer->lag) / answer->slope;
    }
    double memory = until_memory(verdict);
    if (memory > 0 && memory < 24 * 3600 && (answer->limit == VERDICT_LIMIT_NONE || memory < answer->limit_seconds)) {
        answer->limit = VERDICT_LIMIT_MEMORY;
        answer->limit_seconds = memory;
    }
}

/* ---- The verdict ------------------------------------------------------------------------------------------------ */

static void fill_rates(const struct verdict *verdict, struct verdict_answer *answer)
{
    const struct verdict_sample *last = newest(verdict), *first = since(verdict, NEAR);
    double span = seconds(last->now - first->now);
    answer->lag = last->lag;
    answer->lag_worst = verdict->lag_worst;
    answer->offered = last->offered;
    if (last->settled > verdict->samples[0].settled) {
        answer->dropped_share = (double)(last->dropped - verdict->samples[0].dropped) /
                                (double)(last->settled - verdict->samples[0].settled);
    }
    if (span <= 0) {
        return;
    }
    answer->read_rate = (double)(last->read - first->read) / span;
    answer->settled_rate = (double)(last->settled - first->settled) / span;
    for (uint32_t i = 0; i < last->thread_count && i < VERDICT_THREADS; i++) {
        int64_t before = i < first->thread_count ? first->busy[i] : 0;
        double share = seconds(last->busy[i] - before) / span;
        if (share > answer->busiest) {
            answer->busiest = fmin(share, 1);
            answer->busiest_thread = i;
        }
    }
}

/* Sources held back nearly all the time: no room left either, even if what they wait for is not a processor. */
static bool held_back(const struct verdict *verdict)
{
    uint32_t waiting = 0, count = 0;
    for (const struct verdict_sample *sample = since(verdict, NEAR); sample <= newest(verdict); sample++) {
        waiting += sample->waiting;
        count++;
    }
    return count >= 10 && waiting >= SATURATED * count;
}

/* With a schedule: the lag of bursts is a saw, but how fast work is done while there is work, against how fast it comes
 * on average, is a steady thing. The lag must bear it out: a rate that is a little off says nothing while the lag is
 * small. */
static void judge_scheduled(const struct verdict *verdict, struct verdict_answer *answer)
{
    const struct verdict_sample *last = newest(verdict);
    struct pace pace = pace_of(verdict);
    bool idle = verdict->busy_since == last->now;
    double rate = pace.known ? pace.rate : verdict->pace;
    bool room = answer->busiest < SATURATED || last->offered < SATURATED * rate;
    answer->kind = VERDICT_KEEPING_UP;
    if (!idle && pace.known) {
        answer->slope = 1 - pace.rate / last->offered;
        answer->settled_rate = pace.rate;
        if (answer->slope >= SLOPE_FLAT && seconds(last->lag) >= 0.5 * answer->slope * seconds(pace.span)) {
            answer->kind = VERDICT_FALLING_BEHIND;
            return;
        }
    } else if (!verdict->recovered && last->lag > LAG_SMALL) {
        answer->kind = VERDICT_NO_DATA;
        return;
    }
    if (!room && last->now - verdict->started >= EVIDENCE) {
        answer->kind = VERDICT_SATURATED;
    }
}

static void judge_unscheduled(const struct verdict *verdict, struct verdict_answer *answer)
{
    const struct verdict_sample *last = newest(verdict), *near = since(verdict, NEAR);
    struct trend trend = trend_of_lag(verdict);
    answer->kind = VERDICT_KEEPING_UP;
    if (verdict->busy_since == last->now && near->read == last->read && last->now - near->now >= NEAR / 2) {
        answer->kind = VERDICT_IDLE;
        return;
    }
    if (trend.known) {
        answer->slope = trend.slope;
        if (trend.slope >= SLOPE_FLAT && seconds(last->lag) >= 0.5 * trend.slope * seconds(trend.span)) {
            answer->kind = VERDICT_FALLING_BEHIND;
        } else if (answer->busiest >= SATURATED || held_back(verdict)) {
            answer->kind = VERDICT_SATURATED;
        }
    } else if (!verdict->recovered && last->lag > LAG_SMALL) {
        answer->kind = VERDICT_NO_DATA;
    }
}

struct verdict_answer verdict_judge(const struct verdict *verdict)
{
    struct verdict_answer answer = {.kind = VERDICT_NO_DATA, .lag_worst = verdict->lag_worst};
    if (verdict->count == 0) {
        return answer;
    }
    const struct verdict_sample *last = newest(verdict);
    fill_rates(verdict, &answer);
    if (last->full_speed) {
        answer.kind = last->read > 0 || verdict->closed ? VERDICT_FULL_SPEED : VERDICT_NO_DATA;
        return answer;
    }
    if (last->read == 0) {
        return answer;
    }
    if (last->offered > 0) {
        judge_scheduled(verdict, &answer);
    } else {
        judge_unscheduled(verdict, &answer);
    }
    if (answer.kind == VERDICT_FALLING_BEHIND) {
        answer.seconds_per_minute = answer.slope * 60;
    } else if (answer.dropped_share > 0 && answer.kind != VERDICT_NO_DATA) {
        answer.kind = VERDICT_DROPPING;
    }
    until_limits(verdict, &answer);
    return answer;
}

/* A line that is refused now and then, where others are filtered or still on their way, does not make it so; a sink
 * that failed does. */
void verdict_look(struct verdict_answer *answer, const struct pipeline_snapshot *snapshot)
{
    uint64_t lost = snapshot->records_refused + snapshot->records_dropped;
    if (lost == 0 || snapshot->records_out > 0 ||
        (2 * lost < snapshot->records_in && pipeline_snapshot_count(snapshot, PIPELINE_NOT_STORED) == 0)) {
        return;
    }
    answer->kind = VERDICT_NOTHING_DELIVERED;
    answer->refused = snapshot->records_refused;
    answer->lost = snapshot->records_dropped;
    answer->slope = answer->seconds_per_minute = 0;
    answer->limit = VERDICT_LIMIT_NONE;
}

struct verdict_sample verdict_sample_of(const struct pipeline_snapshot *snapshot)
{
    struct verdict_sample sample = {
        .now = snapshot->now,
        .lag = snapshot->lag_ns,
        .read = snapshot->records_in,
        .settled = snapshot->records_stored + snapshot->records_refused + snapshot->records_filtered +
                   snapshot->records_dropped,
        .dropped = snapshot->records_dropped,
        .memory = snapshot->memory_used,
        .stored = snapshot->latency.count,
        .latency_sum = (double)snapshot->latency.sum,
        .ended = snapshot->source_count > 0,
        .full_speed = snapshot->source_count > 0,
    };
    bool scheduled = true;
    for (uint32_t i = 0; i < snapshot->source_count; i++) {
        const struct pipeline_source_view *source = &snapshot->sources[i];
        sample.full_speed &= source->full_speed;
        if (source->ended) {
            continue;
        }
        sample.ended = false;
        sample.waiting |= source->waiting;
        scheduled &= source->offered > 0;
        sample.offered += source->offered;
    }
    if (!scheduled) {
        sample.offered = 0;
    }
    for (uint32_t i = 0; i < snapshot->thread_count && i < VERDICT_THREADS; i++) {
        sample.busy[i] = snapshot->threads[i].busy_ns;
        sample.thread_count = i + 1;
    }
    return sample;
}
