/* SPDX-License-Identifier: MIT */
/*
 * How many calls may be in flight to one endpoint at a time: fixed, or found while running.
 *
 * The adaptive limit prefers calls that succeed over calls that are made. It works in windows of one mean round trip:
 *
 *   a failure that means "too much" (timeout, 429, 503), or mean round trips beyond mean + k·σ of the windows before,
 *   in two windows in a row (once may be anything that delays everybody for a moment):
 *                                                      the limit is multiplied by `backoff`, once in a window
 *   the limit was reached, and round trips are as before: it grows; doubling until the first sign of trouble, then by
 *                                                      half its root, at least by 1
 *   the limit was not reached: it stays, whatever else; what was not tried says nothing about what would be possible
 *
 * What creeps up is compared with the best round trip. When round trips are twice as long, and every 200 windows, it
 * looks: half the limit for a few windows. If they get shorter, it was for our sake: back off. If not, the server, or
 * the way to it, is slower now, and these are the best round trips.
 *
 * Source: additive increase, multiplicative decrease (Chiu and Jain, 1989) on round trips, as in Vector's adaptive
 * request concurrency; the slow start is TCP's, the look is BBR's ProbeRTT (Cardwell et al., 2016). A floor under σ
 * keeps a server of constant speed from being "congested" by a microsecond.
 *
 * For the tasks of one loop. No allocation.
 */
#ifndef ASYNC_LIMITER_H
#define ASYNC_LIMITER_H

#include <weir/task.h>

enum { LIMITER_MOST = 4096 }; /* default ceiling */

struct limiter_options {
    bool adaptive;
    uint32_t limit;   /* fixed: the limit; adaptive: where it begins, 0: 1 */
    uint32_t most;    /* adaptive: ceiling; 0: LIMITER_MOST */
    double backoff;   /* 0: 0.9 */
    double k;         /* 0: 2.5 */
    double smoothing; /* weight of a new window in mean and variance; 0: 0.4 */
};

enum limiter_outcome {
    LIMITER_GOOD,     /* answered: its round trip counts */
    LIMITER_OVERLOAD, /* the endpoint could not cope: timeout, refused for load */
    LIMITER_OTHER,    /* says nothing about load: cancelled, bad request */
};

struct limiter {
    struct limiter_options options;
    uint32_t limit, in_flight;
    struct weir_event waiting; /* for a place, first come first served */
    uint32_t waiters;
    /* the window that is open */
    int64_t window_ends;
    double rtt_sum, rtt_squares;
    uint64_t rtt_count;
    bool reached, overload;
    /* the windows before */
    double mean, variance, best; /* round trip, ns; 0: none yet */
    bool probing;                /* slow start */
    bool slow;                   /* the last window was */
    bool looking;                /* at half of `held`, for round trips that do not queue */
    uint32_t held, since_look;   /* windows */
    uint32_t settle;             /* windows to let pass after a change before round trips are judged */
    /* for reports */
    uint64_t good, overloads, others, grown, shrunk;
    int64_t waited_ns;
};

void limiter_init(struct limiter *limiter, const struct limiter_options *options);
/* Waits for a place. 0, -ETIMEDOUT, -ECANCELED. Give it back with limiter_release. */
int limiter_acquire(struct weir_context *context, struct limiter *limiter, int64_t deadline_ns);
/* started_ns: weir_now when the call was made, after acquire. */
void limiter_release(struct limiter *limiter, int64_t started_ns, int64_t now_ns, enum limiter_outcome outcome);

#endif
