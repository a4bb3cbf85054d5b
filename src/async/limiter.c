/* SPDX-License-Identifier: MIT */
#include "async/limiter.h"

#include "base/clock.h"

#include <math.h>
#include <string.h>

#define WINDOW_LEAST CLOCK_MILLISECOND
#define WINDOW_FIRST (50 * CLOCK_MILLISECOND) /* until a round trip is known */
enum { WINDOW_SAMPLES = 16 };                 /* a window with fewer answers goes on, unless something failed */
static const double DEVIATION_LEAST = 0.05;   /* of the mean: less is not told from noise */
static const double CREEP_MOST = 2; /* round trips this many times the best are too long, however they came about */
enum { LOOK_EVERY = 200, LOOK_SETTLE = 2 }; /* windows between looks; until what was sent before is answered */
static const double LOOK_FELL = 0.75; /* round trips that fall to so much with half the limit were long for its sake */

void limiter_init(struct limiter *limiter, const struct limiter_options *options)
{
    *limiter = (struct limiter){.options = *options};
    struct limiter_options *chosen = &limiter->options;
    if (!chosen->limit)
        chosen->limit = 1;
    if (!chosen->most)
        chosen->most = LIMITER_MOST;
    if (chosen->backoff <= 0)
        chosen->backoff = 0.9;
    if (chosen->k <= 0)
        chosen->k = 2.5;
    if (chosen->smoothing <= 0)
        chosen->smoothing = 0.4;
    limiter->limit = chosen->limit < chosen->most ? chosen->limit : chosen->most;
    limiter->probing = true;
}

int limiter_acquire(struct weir_context *context, struct limiter *limiter, int64_t deadline_ns)
{
    int error = 0;
    if (limiter->in_flight < limiter->limit && !limiter->waiters) {
        limiter->in_flight++;
        limiter->reached |= limiter->in_flight >= limiter->limit;
        return 0;
    }
    int64_t since = weir_now(context);
    limiter->waiters++;
    limiter->reached = true;
    do
        error = weir_event_wait(context, &limiter->waiting, deadline_ns);
    while (error >= 0 && limiter->in_flight >= limiter->limit);
    limiter->waiters--;
    limiter->waited_ns += weir_now(context) - since;
    if (error < 0) { /* a place that was meant for us goes to the next */
        if (limiter->in_flight < limiter->limit)
            weir_event_signal(&limiter->waiting, false);
        return error;
    }
    limiter->in_flight++;
    if (limiter->in_flight < limiter->limit && limiter->waiters)
        weir_event_signal(&limiter->waiting, false);
    return 0;
}

static void shrink(struct limiter *limiter)
{
    uint32_t from = limiter->looking ? limiter->held : limiter->limit;
    uint32_t smaller = (uint32_t)floor(from * limiter->options.backoff);
    limiter->probing = limiter->looking = false;
    limiter->limit = smaller ? smaller : 1;
    limiter->shrunk += limiter->limit < from;
    limiter->settle = 1; /* what is in flight was sent under the old limit */
}

static void grow(struct limiter *limiter)
{
    uint32_t step = (uint32_t)(sqrt(limiter->limit) / 2);
    uint32_t larger = limiter->probing ? limiter->limit * 2 : limiter->limit + (step ? step : 1);
    if (limiter->limit >= limiter->options.most)
        return;
    limiter->limit = larger < limiter->options.most ? larger : limiter->options.most;
    limiter->grown++;
}

/* The mean of n answers strays from the true one by σ/√n. */
static bool beyond_deviation(const struct limiter *limiter, double current)
{
    double deviation = sqrt(limiter->variance / (double)limiter->rtt_count), least = limiter->mean * DEVIATION_LEAST;
    deviation = deviation > least ? deviation : least;
    return current > limiter->mean + limiter->options.k * deviation;
}

static bool beyond_best(const struct limiter *limiter)
{
    return limiter->mean > limiter->best * CREEP_MOST;
}

/* Takes a window into the long ones. One that was too slow moves the mean too, or a server that has become slower for
 * good would be backed off from for ever. */
static void learn(struct limiter *limiter, double current)
{
    double weight = limiter->options.smoothing, count = (double)limiter->rtt_count;
    double spread = limiter->rtt_squares / count - current * current;
    spread = spread > 0 ? spread : 0;
    if (limiter->mean <= 0) {
        limiter->mean = limiter->best = current;
        limiter->variance = spread;
        return;
    }
    limiter->mean += weight * (current - limiter->mean);
    limiter->variance += weight * (spread - limiter->variance);
    if (limiter->mean < limiter->best)
        limiter->best = limiter->mean;
}

/* How long are round trips that do not queue? Half the limit for a few windows tells. */
static void begin_look(struct limiter *limiter)
{
    limiter->looking = true;
    limiter->held = limiter->limit;
    limiter->limit = (limiter->limit + 1) / 2;
    limiter->settle = LOOK_SETTLE;
    limiter->since_look = 0;
}

static void end_look(struct limiter *limiter, double current)
{
    bool ours = limiter->held > 1 && current < limiter->mean * LOOK_FELL;
    if (!ours || current < limiter->best)
        limiter->best = current;
    if (ours && current > limiter->best * CREEP_MOST) { /* half of it is still too much */
        limiter->held = limiter->limit;
        limiter->shrunk++;
        limiter->mean = current;
    } else if (ours && beyond_best(limiter)) {
        shrink(limiter);
        limiter->held = limiter->limit;
        limiter->mean *= limiter->options.backoff;
    } else if (!ours) {
        limiter->mean = current;
    }
    limiter->limit = limiter->held;
    limiter->looking = false;
    limiter->settle = 1;
}

/* What a window says of the limit; false: it is too early to believe it. */
static bool judge(struct limiter *limiter, double current)
{
    bool slow = current > 0 && limiter->mean > 0 && (beyond_deviation(limiter, current) || beyond_best(limiter));
    bool again = limiter->slow;
    limiter->slow = slow;
    limiter->since_look++;
    if (limiter->overload)
        shrink(limiter);
    else if (slow && !again)
        return false; /* whatever delays everybody for a moment looks like it */
    else if (beyond_best(limiter) || (limiter->since_look >= LOOK_EVERY && limiter->reached && !limiter->probing))
        begin_look(limiter);
    else if (slow)
        shrink(limiter);
    else if (limiter->reached && current > 0)
        grow(limiter);
    return true;
}

static void close_window(struct limiter *limiter, int64_t now_ns)
{
    double current = limiter->rtt_count ? limiter->rtt_sum / (double)limiter->rtt_count : 0;
    bool looking = limiter->looking, believed = true;
    if (limiter->settle && !limiter->overload)
        limiter->settle--;
    else if (looking && !limiter->overload)
        end_look(limiter, current);
    else
        believed = judge(limiter, current);
    if (current > 0 && believed && !looking)
        learn(limiter, current);
    double window = limiter->mean > 0 ? limiter->mean : (double)WINDOW_FIRST;
    limiter->window_ends = now_ns + (int64_t)(window > (double)WINDOW_LEAST ? window : (double)WINDOW_LEAST);
    limiter->rtt_sum = limiter->rtt_squares = 0;
    limiter->rtt_count = 0;
    limiter->overload = false;
    limiter->reached = limiter->in_flight >= limiter->limit;
}

void limiter_release(struct limiter *limiter, int64_t started_ns, int64_t now_ns, enum limiter_outcome outcome)
{
    limiter->in_flight--;
    limiter->good += outcome == LIMITER_GOOD;
    limiter->overloads += outcome == LIMITER_OVERLOAD;
    limiter->others += outcome == LIMITER_OTHER;
    if (limiter->options.adaptive) {
        if (outcome == LIMITER_GOOD) {
            double rtt = (double)(now_ns - started_ns);
            limiter->rtt_sum += rtt;
            limiter->rtt_squares += rtt * rtt;
            limiter->rtt_count++;
        }
        limiter->overload |= outcome == LIMITER_OVERLOAD;
        if (!limiter->window_ends)
            limiter->window_ends = now_ns;
        if (now_ns >= limiter->window_ends && (limiter->rtt_count >= WINDOW_SAMPLES || limiter->overload))
            close_window(limiter, now_ns);
    }
    if (limiter->in_flight < limiter->limit && limiter->waiters)
        weir_event_signal(&limiter->waiting, false);
}
