/* SPDX-License-Identifier: MIT */
#include "load/level.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "base/memory.h"

#define UNSUSTAINED 0.95     /* of what was due */
#define UNSUSTAINED_ERRORS 2 /* and by so many standard errors: what is under way varies by its root, at either end */
/* Of goodput. Nobody should wait longer for less than that, and it is as much as weir's own turn-around costs. */
#define TOLERANCE_LEAST 0.04
#define TOLERANCE_MOST 0.06

/* ---- Adding up -------------------------------------------------------------------------------------------------- */

static void merge(struct load_tally *into, const struct load_tally *from)
{
    histogram_merge(&into->response, &from->response);
    histogram_merge(&into->good, &from->good);
    for (int i = 0; i < LOAD_ENDS; i++)
        into->ends[i] += from->ends[i];
    for (int i = 0; i < LOAD_STATUS_MOST; i++)
        into->statuses[i] += from->statuses[i];
    into->unfinished += from->unfinished;
    into->connections += from->connections;
    into->completed += from->completed;
    into->shares += from->shares;
    into->succeeded += from->succeeded;
    into->late_ns += from->late_ns;
    into->flight_ns += from->flight_ns;
    into->interrupted = into->interrupted || from->interrupted;
    if (!into->words[0]) {
        into->words_error = from->words_error;
        memcpy(into->words, from->words, sizeof into->words);
    }
}

static struct level_times times_of(const struct histogram *histogram)
{
    return (struct level_times){
        .mean = histogram_mean(histogram) * 1e-9,
        .p50 = (double)histogram_quantile(histogram, 0.50) * 1e-9,
        .p90 = (double)histogram_quantile(histogram, 0.90) * 1e-9,
        .p99 = (double)histogram_quantile(histogram, 0.99) * 1e-9,
        .most = (double)histogram_quantile(histogram, 1.0) * 1e-9,
    };
}

/* A sample's, of n values. */
static double deviation(double sum, double squares, uint32_t n)
{
    double variance = n < 2 ? 0 : (squares - sum * sum / n) / (n - 1);
    return variance > 0 ? sqrt(variance) : 0;
}

static bool is_unsustained(const struct load_level *level)
{
    double missing = (level->offered - level->throughput) * level->sum_seconds;
    double error = sqrt(2 * level->in_flight * level->repeats);
    return level->kind == LOAD_OPEN && level->throughput < UNSUSTAINED * level->offered &&
           missing > UNSUSTAINED_ERRORS * error;
}

static void conclude(struct load_level *level)
{
    double n = level->repeats, not_sent = (double)level->all->ends[LOAD_NOT_SENT];
    double due = level->all->completed + not_sent;
    level->offered = level->sum_offered / n;
    level->throughput = level->sum_throughput / n;
    level->goodput = level->sum_goodput / n;
    level->goodput_deviation = deviation(level->sum_goodput, level->sum_goodput_squares, level->repeats);
    level->success = due > 0 ? level->all->succeeded / due : 0;
    level->response = times_of(&level->all->response);
    level->good = times_of(&level->all->good);
    level->in_flight = level->sum_in_flight / n;
    level->cpu = level->sum_cpu / n;
    double count = (double)atomic_load_explicit(&level->all->response.count, memory_order_relaxed);
    double flight = count > 0 ? level->all->flight_ns * 1e-9 / count : 0;
    level->late = count > 0 ? level->all->late_ns * 1e-9 / count : 0;
    double rate = level->sum_shares / n;
    level->gap = level->in_flight > 0 ? fabs(level->in_flight - rate * flight) / level->in_flight : 0;
    level->empty = count == 0;
    level->client_bound = level->cpu * 100 >= LEVEL_THREADS_BUSY_PERCENT;
    level->unsustained = is_unsustained(level);
    level->broken = level->empty ? level->in_flight > 0 : level->gap * 100 > LEVEL_GAP_PERCENT && !level->unsustained;
    level->interrupted = level->all->interrupted;
}

int level_add(struct load_level *level, const struct load_tally *tallies, uint32_t threads)
{
    double throughput = 0, goodput = 0, cpu = 0;
    if (!level->all && !(level->all = memory_zeroed(1, sizeof *level->all)))
        return -ENOMEM;
    for (uint32_t i = 0; i < threads; i++) {
        const struct load_tally *tally = &tallies[i];
        double seconds = (double)tally->window_ns * 1e-9;
        merge(level->all, tally);
        if (seconds <= 0)
            continue;
        double busy = (double)(tally->cpu_ns + tally->queued_ns) * 1e-9 / seconds;
        throughput += tally->completed / seconds;
        level->sum_shares += tally->shares / seconds;
        goodput += tally->succeeded / seconds;
        level->sum_offered += tally->offered / seconds;
        level->sum_in_flight += tally->in_flight_ns * 1e-9 / seconds;
        level->sum_seconds += seconds / threads;
        cpu = busy > cpu ? busy : cpu;
    }
    level->repeats++;
    level->sum_throughput += throughput;
    level->sum_goodput += goodput;
    level->sum_goodput_squares += goodput * goodput;
    level->sum_cpu += cpu;
    conclude(level);
    return 0;
}

void level_free(struct load_level *level)
{
    memory_free(level->all);
    level->all = NULL;
}

/* ---- Errors ----------------------------------------------------------------------------------------------------- */

uint64_t level_ended(const struct load_level *level, enum load_end end)
{
    return level->all ? level->all->ends[end] : 0;
}

uint32_t level_bad_statuses(const struct load_level *level, const struct load_target *target, struct level_status *out,
                            uint32_t most)
{
    uint32_t count = 0;
    for (int status = 0; level->all && status < LOAD_STATUS_MOST; status++) {
        uint64_t number = target->statuses[status] ? 0 : level->all->statuses[status];
        if (number == 0)
            continue;
        uint32_t at = count < most ? count++ : count;
        for (; at > 0 && out[at - 1].count < number; at--) {
            if (at < most)
                out[at] = out[at - 1];
        }
        if (at < most)
            out[at] = (struct level_status){status, number};
    }
    return count;
}

/* ---- Which level to use ------------------------------------------------------------------------------------------ */

static bool good_enough(const struct load_level *level, const struct judge_limits *limits)
{
    return !level->empty && level->goodput > 0 && level->success >= limits->success - 1e-9;
}

static bool fast_enough(const struct load_level *level, const struct judge_limits *limits)
{
    return limits->p99_ns <= 0 || level->response.p99 <= (double)limits->p99_ns * 1e-9;
}

bool judge_acceptable(const struct load_level *level, const struct judge_limits *limits)
{
    return good_enough(level, limits) && fast_enough(level, limits) && !level->client_bound && !level->broken &&
           !level->died && !level->unsustained;
}

static enum judge_why why_none(const struct load_level *levels, uint32_t count, const struct judge_limits *limits)
{
    enum judge_why why = JUDGE_NOTHING;
    for (uint32_t i = 0; i < count; i++) {
        const struct load_level *level = &levels[i];
        enum judge_why this = level->repeats == 0           ? JUDGE_NOTHING
                              : !good_enough(level, limits) ? JUDGE_NO_SUCCESS
                              : !fast_enough(level, limits) ? JUDGE_TOO_SLOW
                              : level->client_bound         ? JUDGE_CLIENT
                              : level->broken               ? JUDGE_BROKEN
                                                            : JUDGE_NO_SUCCESS;
        why = this > why ? this : why;
    }
    return why;
}

/* Of the goodput's mean over repeats; unknown (negative) from one alone. */
static double standard_error(const struct load_level *level)
{
    return level->repeats > 1 ? level->goodput_deviation / sqrt(level->repeats) : -1;
}

/* How much less goodput is as good as the best: two standard errors of the difference, within limits. */
static double tolerance_of(const struct load_level *best, const struct load_level *level)
{
    double error = standard_error(best), other = standard_error(level);
    error = error < 0 ? 0 : error;
    other = other < 0 ? error : other;
    double noise = 2 * sqrt(error * error + other * other) / best->goodput;
    return noise < TOLERANCE_LEAST ? TOLERANCE_LEAST : noise > TOLERANCE_MOST ? TOLERANCE_MOST : noise;
}

/* True when it was the target that was measured: not weir itself, nor how it died. */
static bool tells(const struct load_level *level)
{
    return !level->died && !level->broken && !level->client_bound;
}

struct judgement judge(const struct load_level *levels, uint32_t count, const struct judge_limits *limits)
{
    struct judgement result = {JUDGE_FOUND, -1, -1, -1, -1, TOLERANCE_LEAST};
    for (uint32_t i = 0; i < count; i++) {
        const struct load_level *level = &levels[i];
        if (level->repeats == 0 || !tells(level))
            continue;
        if (result.raw_peak < 0 || level->throughput > levels[result.raw_peak].throughput)
            result.raw_peak = (int)i;
        if (result.good_peak < 0 || level->goodput > levels[result.good_peak].goodput)
            result.good_peak = (int)i;
        if (judge_acceptable(level, limits) && (result.best < 0 || level->goodput > levels[result.best].goodput))
            result.best = (int)i;
    }
    if (result.best < 0) {
        result.why = why_none(levels, count, limits);
        return result;
    }
    const struct load_level *best = &levels[result.best];
    for (uint32_t i = 0; i < count && result.sweet < 0; i++) {
        result.tolerance = best->kind == LOAD_OPEN ? 0 : tolerance_of(best, &levels[i]);
        if (levels[i].repeats > 0 && judge_acceptable(&levels[i], limits) &&
            levels[i].goodput >= best->goodput * (1 - result.tolerance))
            result.sweet = (int)i;
    }
    return result;
}
