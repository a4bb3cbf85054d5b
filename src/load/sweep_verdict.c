/* SPDX-License-Identifier: MIT */
/* A sweep for people: what to do. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/units.h"
#include "load/sweep.h"
#include "load/sweep_private.h"
#include "measure/text.h"

enum { TEXT = 48 };

static bool is_open(const struct sweep *sweep)
{
    return sweep->options.load.kind == LOAD_OPEN;
}

static const char *noun(const struct sweep *sweep)
{
    return is_open(sweep) ? "rate" : "concurrency";
}

/* ---- Why there is no answer ------------------------------------------------------------------------------------- */

static const struct load_level *most_successful(const struct sweep *sweep)
{
    const struct load_level *best = NULL;
    for (uint32_t i = 0; i < sweep->count; i++) {
        const struct load_level *level = &sweep->levels[i];
        if (level->repeats > 0 && (!best || level->success > best->success))
            best = level;
    }
    return best;
}

static void put_none(const struct sweep *sweep, const struct judgement *found, struct weir_buffer *out)
{
    const struct judge_limits *limits = &sweep->options.limits;
    const struct load_level *best = most_successful(sweep);
    char a[TEXT], b[TEXT], c[TEXT];
    switch (found->why) {
    case JUDGE_NO_SUCCESS:
        buffer_format(out, "No %s will do: at none of them %s of the answers were good; at best %s, at %s.\n",
                      noun(sweep), sweep_show_share(limits->success, a, sizeof a),
                      sweep_show_share(best->success, b, sizeof b), sweep_show_level(best, c, sizeof c));
        break;
    case JUDGE_TOO_SLOW:
        buffer_format(out, "No %s will do: wherever enough answers were good, the p99 was over %s; it was %s at %s.\n",
                      noun(sweep), units_show_duration(limits->p99_ns, a, sizeof a),
                      sweep_show_time(sweep->levels[0].response.p99, b, sizeof b),
                      sweep_show_level(&sweep->levels[0], c, sizeof c));
        break;
    case JUDGE_CLIENT:
        buffer_format(out, "No verdict: weir itself was the limit at each level that would do. Give it more threads "
                           "(-t) or a machine of its own.\n");
        break;
    case JUDGE_BROKEN:
        buffer_format(out, "No verdict: the measurement is broken at each level that would do. Measure for longer "
                           "(-d), without other work on this machine.\n");
        break;
    default:
        buffer_string(out, "No verdict: nothing was measured.\n");
    }
    if (sweep->words[0] && found->why <= JUDGE_NO_SUCCESS)
        buffer_format(out, "What went wrong: %s\n", sweep->words);
}

/* ---- The answer ------------------------------------------------------------------------------------------------- */

static void put_answer(const struct sweep *sweep, const struct load_level *sweet, struct weir_buffer *out)
{
    char level[TEXT], rate[TEXT], success[TEXT], p50[TEXT], p99[TEXT];
    buffer_format(out, "Use a %s of %s: %s good answers a second, %s success, p50 %s, p99 %s.\n", noun(sweep),
                  sweep_show_level(sweet, level, sizeof level), text_rate(sweet->goodput, rate, sizeof rate),
                  sweep_show_share(sweet->success, success, sizeof success),
                  sweep_show_time(sweet->response.p50, p50, sizeof p50),
                  sweep_show_time(sweet->response.p99, p99, sizeof p99));
    if (is_open(sweep))
        buffer_format(out, "\n    rate: %.10g/s\n\n", sweet->value);
    else
        buffer_format(out, "\n    concurrency: %.0f\n\n", sweet->value);
}

static uint32_t count_measured(const struct sweep *sweep)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < sweep->count; i++)
        count += sweep->levels[i].repeats > 0;
    return count;
}

/* Far above the answer there is more goodput, though too much fails: the best lies between them. */
static void put_between(const struct sweep *sweep, const struct load_level *here, const struct load_level *next,
                        struct weir_buffer *out)
{
    char level[TEXT], from[TEXT], share[TEXT], rate[TEXT];
    buffer_format(out,
                  "More may do: at %s only %s of the answers are good, but that is %s. Between %s and %s nothing was "
                  "measured: try levels there%s.\n",
                  sweep_show_level(next, level, sizeof level), sweep_show_share(next->success, share, sizeof share),
                  sweep_show_rate(next->goodput, rate, sizeof rate), sweep_show_level(here, from, sizeof from), level,
                  is_open(sweep) || sweep->options.automatic ? "" : ", or --auto");
}

/* It is the last one measured, and clearly better than the one before. */
static bool still_rises(const struct sweep *sweep, uint32_t sweet)
{
    const struct load_level *here = &sweep->levels[sweet];
    for (uint32_t i = sweet + 1; i < sweep->count; i++) {
        if (sweep->levels[i].repeats > 0 && !sweep->levels[i].died)
            return false;
    }
    return sweep->end == SWEEP_WHOLE && (sweet == 0 || here->goodput > 1.1 * sweep->levels[sweet - 1].goodput);
}

static void put_last(const struct sweep *sweep, uint32_t sweet, struct weir_buffer *out)
{
    if (count_measured(sweep) == 1)
        buffer_string(out, "Only one level was measured: others may do better.\n");
    else if (still_rises(sweep, sweet))
        buffer_string(out, "That is the highest level measured, and goodput still rises: try higher ones.\n");
}

/* The level measured next above the answer; NULL: there is none. */
static const struct load_level *next_above(const struct sweep *sweep, int sweet)
{
    for (uint32_t i = (uint32_t)sweet + 1; i < sweep->count; i++) {
        if (sweep->levels[i].repeats > 0 && !sweep->levels[i].died)
            return &sweep->levels[i];
    }
    return NULL;
}

/* Where rates peak, if that is elsewhere and more than noise; NULL: here. */
struct peaks {
    const struct load_level *raw, *good;
};

static struct peaks find_peaks(const struct sweep *sweep, const struct judgement *found)
{
    const struct load_level *here = &sweep->levels[found->sweet], *raw = &sweep->levels[found->raw_peak],
                            *good = &sweep->levels[found->good_peak];
    return (struct peaks){raw->throughput > here->throughput * (1 + found->tolerance) ? raw : NULL,
                          good != here ? good : NULL};
}

/* Though too much fails there, goodput is clearly higher: something between may do. */
static bool is_beyond(const struct sweep *sweep, const struct load_level *here, const struct load_level *next)
{
    return next->success < sweep->options.limits.success && next->goodput > 1.1 * here->goodput;
}

static const char *peak_words(const struct load_level *level, const struct peaks *peaks)
{
    bool raw = level == peaks->raw, good = level == peaks->good;
    return raw && good ? ", where throughput and goodput peak,"
           : raw       ? ", where raw throughput peaks,"
           : good      ? ", where goodput peaks,"
                       : "";
}

/* What the next level brought. */
static void put_next(const struct sweep *sweep, const struct judgement *found, const struct peaks *peaks,
                     struct weir_buffer *out)
{
    const struct load_level *here = &sweep->levels[found->sweet], *next = next_above(sweep, found->sweet);
    char level[TEXT], a[TEXT], b[TEXT], p50[TEXT], before[TEXT];
    if (!next) {
        put_last(sweep, (uint32_t)found->sweet, out);
        return;
    }
    sweep_show_level(next, level, sizeof level);
    const char *peak = peak_words(next, peaks);
    if (next->client_bound)
        buffer_format(out, "More may do: at %s weir itself was the limit (%.0f %% of a processor); try -t %u.\n", level,
                      next->cpu * 100, sweep->options.threads + 1);
    else if (is_beyond(sweep, here, next))
        put_between(sweep, here, next, out);
    else if (next->success < sweep->options.limits.success)
        buffer_format(out, "More does not help: at %s%s only %s of the answers are good, %s of %s.\n", level, peak,
                      sweep_show_share(next->success, a, sizeof a), sweep_show_rate(next->goodput, b, sizeof b),
                      sweep_show_rate(next->throughput, p50, sizeof p50));
    else if (next->unsustained)
        buffer_format(out, "More does not help: at %s%s only %s are answered, and the others pile up.\n", level, peak,
                      sweep_show_rate(next->throughput, a, sizeof a));
    else
        buffer_format(out, "More does not help: at %s%s it is %s, and an answer takes %s (p50) instead of %s.\n", level,
                      peak, sweep_show_rate(next->goodput, a, sizeof a),
                      sweep_show_time(next->response.p50, p50, sizeof p50),
                      sweep_show_time(here->response.p50, before, sizeof before));
}

/* ---- Where rates peak, and what that costs -----------------------------------------------------------------------
 */

/* "26.7 % of its requests fail, and an answer takes 18 times as long (p50)". */
static void put_cost(const struct load_level *here, const struct load_level *peak, struct weir_buffer *out)
{
    char share[TEXT];
    double failing = 1 - peak->success, slower = here->response.p50 > 0 ? peak->response.p50 / here->response.p50 : 1;
    if (failing > 0.0005)
        buffer_format(out, "%s of all requests fail", sweep_show_share(failing, share, sizeof share));
    if (slower >= 1.05)
        buffer_format(out, "%san answer takes %.3g times as long (p50)", failing > 0.0005 ? ", and " : "", slower);
    if (failing <= 0.0005 && slower < 1.05)
        buffer_string(out, "nothing");
    buffer_string(out, ".\n");
}

static void put_raw_peak(const struct load_level *here, const struct peaks *peaks, struct weir_buffer *out)
{
    char level[TEXT], rate[TEXT], other[TEXT];
    buffer_format(out, "%s at %s with %s, of which %s are good. It costs: ",
                  peaks->raw == peaks->good ? "Throughput and goodput peak" : "Raw throughput peaks",
                  sweep_show_level(peaks->raw, level, sizeof level),
                  sweep_show_rate(peaks->raw->throughput, rate, sizeof rate),
                  sweep_show_rate(peaks->raw->goodput, other, sizeof other));
    put_cost(here, peaks->raw, out);
}

static void put_good_peak(const struct load_level *here, const struct load_level *good, double tolerance,
                          struct weir_buffer *out)
{
    char level[TEXT], rate[TEXT];
    double more = good->goodput / here->goodput - 1;
    sweep_show_level(good, level, sizeof level);
    if (more < tolerance)
        buffer_format(out, "Goodput peaks at %s, but by %.1f %% only, which is within noise. It costs: ", level,
                      more * 100);
    else
        buffer_format(out, "Goodput alone peaks at %s with %s, %.1f %% more. It costs: ", level,
                      sweep_show_rate(good->goodput, rate, sizeof rate), more * 100);
    put_cost(here, good, out);
}

/* What was not said of the next level already. */
static void put_peaks(const struct sweep *sweep, const struct judgement *found, const struct peaks *peaks,
                      struct weir_buffer *out)
{
    const struct load_level *here = &sweep->levels[found->sweet], *next = next_above(sweep, found->sweet);
    if (next && is_beyond(sweep, here, next))
        next = NULL;
    if (peaks->raw && peaks->raw != next)
        put_raw_peak(here, peaks, out);
    if (!peaks->good && count_measured(sweep) > 1 && !still_rises(sweep, (uint32_t)found->sweet))
        buffer_string(out, "Goodput peaks here.\n");
    else if (peaks->good && peaks->good != next && peaks->good != peaks->raw)
        put_good_peak(here, peaks->good, found->tolerance, out);
}

/* ---- Doubts ----------------------------------------------------------------------------------------------------- */

static void put_list(const struct sweep *sweep, bool (*has)(const struct load_level *), struct weir_buffer *out)
{
    bool first = true;
    char level[TEXT];
    for (uint32_t i = 0; i < sweep->count; i++) {
        if (sweep->levels[i].repeats == 0 || !has(&sweep->levels[i]))
            continue;
        buffer_format(out, "%s%s", first ? "At " : ", ", sweep_show_level(&sweep->levels[i], level, sizeof level));
        first = false;
    }
}

static bool is_client_bound(const struct load_level *level)
{
    return level->client_bound;
}

static bool is_broken(const struct load_level *level)
{
    return level->broken && !level->client_bound && !level->died;
}

static bool any(const struct sweep *sweep, bool (*has)(const struct load_level *))
{
    for (uint32_t i = 0; i < sweep->count; i++) {
        if (sweep->levels[i].repeats > 0 && has(&sweep->levels[i]))
            return true;
    }
    return false;
}

static void put_doubts(const struct sweep *sweep, struct weir_buffer *out)
{
    if (any(sweep, is_client_bound)) {
        put_list(sweep, is_client_bound, out);
        buffer_string(out, " weir itself was the limit: these say nothing about the target. Give it more threads (-t) "
                           "or a machine of its own.\n");
    }
    if (any(sweep, is_broken)) {
        put_list(sweep, is_broken, out);
        buffer_format(out,
                      " the measurement is broken: what was in flight is more than %d %% off what rate and response "
                      "time say (Little's law). Too few attempts ended: measure for longer (-d).\n",
                      LEVEL_GAP_PERCENT);
    }
}

static void put_end(const struct sweep *sweep, struct weir_buffer *out)
{
    char level[TEXT], share[TEXT];
    const struct load_level died = {.kind = sweep->options.load.kind, .value = sweep->died_at};
    switch (sweep->end) {
    case SWEEP_COLLAPSED:
        buffer_format(out, "Ended at %s, where less than %s of the answers are good; --keep-going measures the rest.\n",
                      sweep_show_level(&sweep->levels[sweep->used - 1], level, sizeof level),
                      sweep_show_share(sweep->options.collapse, share, sizeof share));
        break;
    case SWEEP_DIED:
        buffer_format(out,
                      "Ended early: the target died at %s; nobody listens there any more. What was measured "
                      "before stands.\n",
                      sweep_show_level(&died, level, sizeof level));
        break;
    case SWEEP_INTERRUPTED:
        buffer_string(out, "Interrupted: this is what was measured until then.\n");
        break;
    default:
        break;
    }
}

void sweep_verdict(const struct sweep *sweep, const struct sweep_words *words, struct weir_buffer *out)
{
    struct judgement found = sweep_judge(sweep);
    (void)words;
    if (found.sweet < 0) {
        put_none(sweep, &found, out);
    } else {
        const struct peaks peaks = find_peaks(sweep, &found);
        put_answer(sweep, &sweep->levels[found.sweet], out);
        put_next(sweep, &found, &peaks, out);
        put_peaks(sweep, &found, &peaks, out);
    }
    put_doubts(sweep, out);
    put_end(sweep, out);
}
