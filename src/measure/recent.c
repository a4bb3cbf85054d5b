/* SPDX-License-Identifier: MIT */
#include "measure/recent.h"

#include "base/clock.h"
#include "base/memory.h"
#include "flow/pipeline.h"

/* Points half a second apart: the last three seconds. Less, and rates would dance with the batches of a slow part. */
#define SPACING (CLOCK_SECOND / 2)
enum { POINTS = 6 };

struct point {
    int64_t now;
    uint64_t in, out;
    struct histogram latency;
};

struct recent {
    struct point points[POINTS]; /* a ring */
    uint32_t count, newest;
    struct histogram difference;
};

struct recent *recent_new(void)
{
    return memory_zeroed(1, sizeof(struct recent));
}

void recent_free(struct recent *recent)
{
    memory_free(recent);
}

static void histogram_difference(const struct histogram *now, const struct histogram *then, struct histogram *ret)
{
    uint64_t total = 0;
    histogram_init(ret);
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        uint64_t count = now->buckets[i] - then->buckets[i];
        ret->buckets[i] = count;
        total += count;
    }
    ret->count = total;
    ret->least = now->least; /* bounds of the whole run: the quantiles only need not go beyond them */
    ret->most = now->most;
}

static const struct point *point_back(const struct recent *recent, uint32_t back)
{
    back = back < recent->count ? back : recent->count - 1;
    return &recent->points[(recent->newest + POINTS - back) % POINTS];
}

static void remember(struct recent *recent, const struct pipeline_snapshot *snapshot)
{
    if (recent->count > 0 && snapshot->now - point_back(recent, 0)->now < SPACING) {
        return;
    }
    recent->newest = recent->count > 0 ? (recent->newest + 1) % POINTS : 0;
    recent->count += recent->count < POINTS;
    struct point *point = &recent->points[recent->newest];
    point->now = snapshot->now;
    point->in = snapshot->records_in;
    point->out = snapshot->records_out;
    histogram_init(&point->latency);
    histogram_merge(&point->latency, &snapshot->latency);
}

struct recent_view recent_add(struct recent *recent, const struct pipeline_snapshot *snapshot)
{
    struct recent_view view = {0};
    if (recent->count == 0) { /* the first: all since the start is recent */
        recent->points[0].now = snapshot->started;
        recent->count = 1;
    }
    const struct point *then = point_back(recent, POINTS - 1);
    double seconds = (double)(snapshot->now - then->now) / 1e9;
    if (seconds > 0) {
        view.in = (double)(snapshot->records_in - then->in) / seconds;
        view.out = (double)(snapshot->records_out - then->out) / seconds;
    }
    histogram_difference(&snapshot->latency, &point_back(recent, POINTS - 1)->latency, &recent->difference);
    view.latencies = recent->difference.count;
    if (view.latencies > 0) {
        view.p50 = histogram_quantile(&recent->difference, 0.5);
        view.p99 = histogram_quantile(&recent->difference, 0.99);
    }
    remember(recent, snapshot);
    return view;
}
