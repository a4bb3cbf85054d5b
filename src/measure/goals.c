/* SPDX-License-Identifier: MIT */
#include "measure/goals.h"

#include "flow/pipeline.h"

#define RATE_TOLERANCE 0.01

static void hold(struct goal *results, uint32_t *count, const char *name, int64_t wanted_ns, int64_t got_ns,
                 bool measured)
{
    if (wanted_ns > 0) {
        results[(*count)++] = (struct goal){
            .name = name,
            .wanted = (double)wanted_ns / 1e9,
            .got = measured ? (double)got_ns / 1e9 : 0,
            .measured = measured,
            .met = measured && got_ns <= wanted_ns,
        };
    }
}

uint32_t goals_check(const struct plan_goals *goals, const struct pipeline_snapshot *snapshot, int64_t lag_worst,
                     struct goal results[GOALS_MAX])
{
    const struct histogram *latency = &snapshot->latency;
    bool any = latency->count > 0;
    uint32_t count = 0;
    hold(results, &count, "latency_p50", goals->latency_p50, histogram_quantile(latency, 0.5), any);
    hold(results, &count, "latency_p90", goals->latency_p90, histogram_quantile(latency, 0.9), any);
    hold(results, &count, "latency_p99", goals->latency_p99, histogram_quantile(latency, 0.99), any);
    hold(results, &count, "latency_p999", goals->latency_p999, histogram_quantile(latency, 0.999), any);
    hold(results, &count, "latency_max", goals->latency_max, any ? latency->most : 0, any);
    hold(results, &count, "max_lag", goals->max_lag, lag_worst, snapshot->records_in > 0);
    if (goals->rate > 0) {
        double seconds = (double)(snapshot->now - snapshot->started) / 1e9;
        struct goal *goal = &results[count++];
        *goal = (struct goal){.name = "rate", .wanted = goals->rate, .at_least = true};
        goal->measured = snapshot->records_in > 0 && seconds > 0;
        goal->got = goal->measured ? (double)snapshot->records_in / seconds : 0;
        goal->met = goal->measured && goal->got >= goal->wanted * (1 - RATE_TOLERANCE);
    }
    return count;
}

bool goals_met(const struct goal *results, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (!results[i].met) {
            return false;
        }
    }
    return true;
}
