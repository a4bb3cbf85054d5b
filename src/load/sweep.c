/* SPDX-License-Identifier: MIT */
#include "load/sweep.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "sim/random.h"

const double sweep_default_levels[] = {1, 5, 10, 25, 50, 100, 200, 500, 1000, 2000};
const uint32_t sweep_default_level_count = sizeof sweep_default_levels / sizeof *sweep_default_levels;

#define GROWTH 4.0       /* users, from one step of an automatic sweep to the next */
#define LITTLE_GAIN 1.25 /* goodput, by so many more users */
#define CLOSE 1.08       /* levels that differ by less are the same to it */
#define LINEAR 0.9       /* of the highest goodput for each user: there is no queue yet */
#define PLATEAU 0.96     /* of the highest goodput */
#define NEAR 0.93        /* just below the knee */
#define NEIGHBOUR 1.2    /* closer than that to the answer */

#define RESTED 3 /* times the first response: it is not at work on something else any more */

enum {
    CONFIRMED = 2, /* times that the answer and its neighbours are measured once more */
    RESTS_MOST = 5
};

/* ---- Levels ----------------------------------------------------------------------------------------------------- */

/* The level of that value, made where it belongs; NULL: there are too many. */
static struct load_level *find_level(struct sweep *sweep, double value)
{
    uint32_t at = 0;
    while (at < sweep->count && sweep->levels[at].value < value)
        at++;
    if (at < sweep->count && sweep->levels[at].value == value)
        return &sweep->levels[at];
    if (sweep->count == SWEEP_LEVELS_MOST)
        return NULL;
    memmove(&sweep->levels[at + 1], &sweep->levels[at], (sweep->count - at) * sizeof *sweep->levels);
    sweep->levels[at] = (struct load_level){.kind = sweep->options.load.kind, .value = value};
    sweep->count++;
    sweep->used = sweep->count;
    return &sweep->levels[at];
}

int sweep_new(const struct sweep_options *options, struct sweep **ret)
{
    struct sweep *sweep = memory_zeroed(1, sizeof *sweep);
    if (!sweep)
        return -ENOMEM;
    sweep->options = *options;
    uint32_t *threads = &sweep->options.threads, *repeats = &sweep->options.repeats;
    *threads = *threads == 0 ? 1 : *threads > LOAD_THREADS_MOST ? LOAD_THREADS_MOST : *threads;
    *repeats = *repeats == 0 ? 1 : *repeats > SWEEP_REPEATS_MOST ? SWEEP_REPEATS_MOST : *repeats;
    sweep->random = options->load.seed;
    sweep->tallies = memory_zeroed(*threads + 1, sizeof *sweep->tallies); /* one for asking whether it lives */
    int error = sweep->tallies ? 0 : -ENOMEM;
    for (uint32_t i = 0; i < options->level_count && !options->automatic && error == 0; i++)
        error = options->levels[i] > 0 && find_level(sweep, options->levels[i]) ? 0 : -EINVAL;
    if (error) {
        sweep_free(sweep);
        return error;
    }
    sweep->runs_wanted = options->automatic ? 0 : sweep->count * *repeats;
    *ret = sweep;
    return 0;
}

void sweep_free(struct sweep *sweep)
{
    if (!sweep)
        return;
    for (uint32_t i = 0; i < sweep->count; i++)
        level_free(&sweep->levels[i]);
    memory_free(sweep->tallies);
    memory_free(sweep);
}

struct judgement sweep_judge(const struct sweep *sweep)
{
    return judge(sweep->levels, sweep->count, &sweep->options.limits);
}

/* ---- Runs ------------------------------------------------------------------------------------------------------- */

static void tell(struct sweep *sweep)
{
    if (sweep->options.changed)
        sweep->options.changed(sweep->options.owner, sweep);
}

static struct load_options options_of(const struct sweep *sweep, double value)
{
    struct load_options options = sweep->options.load;
    if (options.kind == LOAD_OPEN)
        options.rate = value;
    else
        options.concurrency = (uint32_t)value;
    return options;
}

static int run_once(struct sweep *sweep, struct load_options *options, struct load_tally *tallies, uint32_t threads)
{
    memset(tallies, 0, threads * sizeof *tallies);
    options->seed = sweep->random = sweep->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    int error = sweep->options.run(sweep->options.owner, options, tallies);
    for (uint32_t i = 0; i < threads && !sweep->words[0]; i++)
        memcpy(sweep->words, tallies[i].words, sizeof sweep->words);
    return error;
}

static bool found_nobody(const struct load_tally *tally)
{
    return tally->ends[LOAD_REFUSED] + tally->ends[LOAD_CONNECT] + tally->ends[LOAD_TLS] + tally->ends[LOAD_OTHER] > 0;
}

/* One request, by itself. */
static int ask(struct sweep *sweep, const struct load_tally **ret)
{
    struct load_options options = sweep->options.load;
    struct load_tally *tally = &sweep->tallies[sweep->options.threads];
    options.kind = LOAD_ONCE;
    options.concurrency = 1;
    options.progress = NULL;
    *ret = tally;
    return run_once(sweep, &options, tally, 1);
}

/* True too when that cannot be told. */
static bool somebody_listens(struct sweep *sweep)
{
    const struct load_tally *tally;
    int error = ask(sweep, &tally);
    if (sweep->runs == 0 && error == 0)
        sweep->alone_ns = tally->window_ns;
    return error < 0 || !found_nobody(tally);
}

/* What a level left behind, a target may go on working on: the next would be measured behind that. A request at the end
 * of its queue waits for it all; with luck the first that takes no longer than at the beginning. */
static int let_rest(struct sweep *sweep)
{
    const struct load_tally *tally;
    int error = 0;
    for (int i = 0; i < RESTS_MOST && sweep->restless && error == 0; i++) {
        error = ask(sweep, &tally);
        sweep->restless = error == 0 && tally->window_ns > RESTED * sweep->alone_ns;
    }
    sweep->restless = false;
    return error;
}

static bool left_something(const struct sweep *sweep, uint32_t threads)
{
    uint64_t left = 0;
    for (uint32_t i = 0; i < threads; i++)
        left += sweep->tallies[i].unfinished + sweep->tallies[i].ends[LOAD_TIMEOUT];
    return left > 0 || sweep->options.load.kind == LOAD_OPEN; /* which sends until its very end */
}

static bool stop(struct sweep *sweep, enum sweep_end end)
{
    sweep->end = end;
    return false;
}

/* After Ctrl-C: what was measured of a level that has nothing else is kept. */
static bool interrupt(struct sweep *sweep, double value, uint32_t threads)
{
    struct load_level *level = find_level(sweep, value);
    uint64_t measured = 0;
    for (uint32_t i = 0; i < threads; i++)
        measured += atomic_load(&sweep->tallies[i].response.count);
    if (level && level->repeats == 0 && measured > 0)
        (void)level_add(level, sweep->tallies, threads);
    return stop(sweep, SWEEP_INTERRUPTED);
}

static bool fail(struct sweep *sweep, int error)
{
    sweep->error = error;
    return stop(sweep, SWEEP_FAILED);
}

/* Runs the level once more. False: the sweep is over. */
static bool run_level(struct sweep *sweep, double value)
{
    struct load_options options = options_of(sweep, value);
    uint32_t threads = load_thread_count(&options, sweep->options.threads);
    bool refused = false;
    sweep->running = value;
    tell(sweep);
    if (let_rest(sweep) == -ECANCELED)
        return stop(sweep, SWEEP_INTERRUPTED);
    int error = run_once(sweep, &options, sweep->tallies, threads);
    sweep->running = 0;
    if (error == -ECANCELED)
        return interrupt(sweep, value, threads);
    sweep->restless = left_something(sweep, threads);
    struct load_level *level = error ? NULL : find_level(sweep, value);
    if (!level)
        return fail(sweep, error ? error : -E2BIG);
    for (uint32_t i = 0; i < threads; i++)
        refused = refused || sweep->tallies[i].ends[LOAD_REFUSED] > 0;
    bool died = refused && !somebody_listens(sweep);
    if (died && level->repeats > 0) { /* what was measured before it died is kept as it is */
        sweep->died_at = value;
        return stop(sweep, SWEEP_DIED);
    }
    error = level_add(level, sweep->tallies, threads);
    if (error)
        return fail(sweep, error);
    sweep->runs++;
    level->died = died;
    sweep->died_at = died ? value : 0;
    tell(sweep);
    return died ? stop(sweep, SWEEP_DIED) : true;
}

static bool collapsed(const struct sweep *sweep, const struct load_level *level)
{
    return !sweep->options.keep_going && (level->success < sweep->options.collapse || level->empty);
}

/* ---- Given levels ----------------------------------------------------------------------------------------------- */

static void shuffle(uint32_t *order, uint32_t count, struct random *random)
{
    for (uint32_t i = 0; i < count; i++)
        order[i] = i;
    for (uint32_t i = count; i > 1; i--) {
        uint32_t other = (uint32_t)random_below(random, i), kept = order[i - 1];
        order[i - 1] = order[other];
        order[other] = kept;
    }
}

static void measure_list(struct sweep *sweep)
{
    uint32_t order[SWEEP_LEVELS_MOST];
    struct random random;
    random_seed(&random, sweep->options.load.seed);
    for (uint32_t i = 0; i < sweep->used; i++) {
        if (!run_level(sweep, sweep->levels[i].value))
            return;
        if (collapsed(sweep, &sweep->levels[i]) && i + 1 < sweep->count) {
            sweep->end = SWEEP_COLLAPSED;
            sweep->used = i + 1;
            sweep->runs_wanted = sweep->used * sweep->options.repeats;
        }
    }
    for (sweep->round = 1; sweep->round < sweep->options.repeats; sweep->round++) {
        shuffle(order, sweep->used, &random);
        for (uint32_t i = 0; i < sweep->used; i++) {
            if (!run_level(sweep, sweep->levels[order[i]].value))
                return;
        }
    }
}

/* ---- Levels that are found --------------------------------------------------------------------------------------- */

/* What one user gets while there is no queue, and what all get at most. */
static void estimate(const struct sweep *sweep, double *ret_each, double *ret_peak)
{
    double most = 0, sum = 0, users = 0, peak = 0;
    for (uint32_t i = 0; i < sweep->count; i++) {
        const struct load_level *level = &sweep->levels[i];
        most = fmax(most, level->goodput / level->value);
        if (!level->client_bound)
            peak = fmax(peak, level->goodput);
    }
    /* Of all levels without a queue together: the lowest have the fewest attempts, and are the least certain. */
    for (uint32_t i = 0; i < sweep->count; i++) {
        const struct load_level *level = &sweep->levels[i];
        if (level->goodput / level->value >= LINEAR * most) {
            sum += level->goodput;
            users += level->value;
        }
    }
    *ret_each = users > 0 ? sum / users : 0;
    *ret_peak = peak;
}

static bool is_near_a_level(const struct sweep *sweep, double value)
{
    for (uint32_t i = 0; i < sweep->count; i++) {
        double level = sweep->levels[i].value;
        if (fabs(level - value) < 1 || (level / value < (1 + CLOSE) / 2 && value / level < (1 + CLOSE) / 2))
            return true;
    }
    return false;
}

/* A level between two others, unless they are as good as neighbours. */
static bool between(double low, double high, double wanted, double *ret)
{
    if (high - low <= 1 || high / low <= CLOSE)
        return false;
    double value = round(wanted);
    *ret = value <= low ? low + 1 : value >= high ? high - 1 : value;
    return true;
}

/* The level to look at next; false: the answer is clear enough. */
static bool next_level(const struct sweep *sweep, double *ret)
{
    struct judgement found = sweep_judge(sweep);
    double each, peak;
    if (found.sweet < 0)
        return false;
    estimate(sweep, &each, &peak);
    double knee = each > 0 ? round(peak / each) : 0, most = sweep->levels[sweep->count - 1].value;
    if (knee >= 1 && knee < most && !is_near_a_level(sweep, knee)) {
        *ret = knee;
        return true;
    }
    uint32_t sweet = (uint32_t)found.sweet;
    double at = sweep->levels[sweet].value;
    if (sweep->levels[sweet].goodput < PLATEAU * peak && sweet + 1 < sweep->count) { /* more might still do */
        double above = sweep->levels[sweet + 1].value;
        return between(at, above, sqrt(at * above), ret);
    }
    if (sweet == 0)
        return false;
    double below = sweep->levels[sweet - 1].value;
    /* Where a little less should be too little already, a look there settles it. */
    bool settled = each * at * NEAR < PLATEAU * peak && at * NEAR > below;
    return between(below, at, settled ? at * NEAR : sqrt(below * at), ret);
}

/* Once more, for certainty: the answer, what is close to it, and what it is compared with. */
static void confirm(struct sweep *sweep)
{
    struct judgement found = sweep_judge(sweep);
    double sweet = found.sweet < 0 ? 0 : sweep->levels[found.sweet].value;
    for (sweep->round = 1; found.sweet >= 0 && sweep->round <= CONFIRMED; sweep->round++) {
        for (uint32_t i = 0; i < sweep->count; i++) {
            double value = sweep->levels[i].value;
            bool close = value <= sweet * NEIGHBOUR && value >= sweet / NEIGHBOUR;
            if ((close || (int)i == found.best) && !run_level(sweep, value))
                return;
        }
    }
}

static void search(struct sweep *sweep)
{
    double value = 1, before = 0;
    uint32_t steps = 0;
    for (; steps < SWEEP_STEPS_MOST; steps++) {
        if (!run_level(sweep, value))
            return;
        const struct load_level *level = &sweep->levels[sweep->count - 1];
        if (!judge_acceptable(level, &sweep->options.limits) || level->goodput < before * LITTLE_GAIN ||
            value >= sweep->options.most)
            break;
        before = level->goodput;
        value = fmin(value * GROWTH, sweep->options.most);
    }
    for (; steps < SWEEP_STEPS_MOST && next_level(sweep, &value); steps++) {
        if (!run_level(sweep, value))
            return;
    }
    confirm(sweep);
}

void sweep_run(struct sweep *sweep)
{
    if (!somebody_listens(sweep)) {
        sweep->end = SWEEP_GONE;
    } else if (sweep->options.automatic) {
        search(sweep);
    } else {
        measure_list(sweep);
    }
    sweep->running = 0;
    tell(sweep);
}
