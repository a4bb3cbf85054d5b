/* SPDX-License-Identifier: MIT */
#include "async/limiter.h"

#include "base/clock.h"

#include <math.h>
#include <string.h>

#define WINDOW_LEAST CLOCK_MILLISECOND
#define WINDOW_FIRST (50 * CLOCK_MILLISECOND) /* until a round trip is known */
enum { WINDOW_SAMPLES = 16 };                 /* a window with fewer answers goes on, unless something failed */
static const double DEVIATION_LEAST = 0.05;   /* of the mean: less is not told from noise */
static const double CREEP_MOST = 2;    /* round trips this many times the best are too long, however they came about */
static const double BEST_DECAY = 0.01; /* of the way from the best to the mean, each window: servers change */

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
    uint32_t smaller = (uint32_t)floor(limiter->limit * limiter->options.backoff);
    limiter->probing = false;
    if (limiter->limit > 1) {
        limiter->limit = smaller ? smaller : 1;
        limiter->shrunk++;
    }
    limiter->settle = 1; /* what is in flight was sent under the old limit */
}

static void grow(struct limiter *limiter)
{
    uint32_t larger = limiter->probing ? limiter->limit * 2 : limiter->limit + 1;
    if (limiter->limit >= limiter->options.most)
        return;
    limiter->limit = larger < limiter->options.most ? larger : limiter->options.most;
    limiter->grown++;
}

/* The mean of n answers strays from the true one by σ/√n. */
static bool too_slow(const struct limiter *limiter, double current)
{
    double deviation = sqrt(limiter->variance / (double)limiter->rtt_count), least = limiter->mean * DEVIATION_LEAST;
    deviation = deviation > least ? deviation : least;
    return current > limiter->mean + limiter->options.k * deviation || limiter->mean > limiter->best * CREEP_MOST;
}

/* Takes a window into the long ones. One that was too slow moves the mean too, or a server that has become slower for
 * good would be backed off from for ever; the best round trip follows at its own pace. */
static void learn(struct limiter *limiter)
{
    double weight = limiter->options.smoothing, count = (double)limiter->rtt_count;
    double current = limiter->rtt_sum / count, spread = limiter->rtt_squares / count - current * current;
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
    else
        limiter->best += BEST_DECAY * (limiter->mean - limiter->best);
}

static void close_window(struct limiter *limiter, int64_t now_ns)
{
    double current = limiter->rtt_count ? limiter->rtt_sum / (double)limiter->rtt_count : 0;
    bool slow = current > 0 && limiter->mean > 0 && too_slow(limiter, current);
    if (limiter->settle && !limiter->overload)
        limiter->settle--;
    else if (limiter->overload || slow)
        shrink(limiter);
    else if (limiter->reached && current > 0)
        grow(limiter);
    if (current > 0)
        learn(limiter);
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
