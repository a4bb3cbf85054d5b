/* SPDX-License-Identifier: MIT */
/*
 * The load generator: one level of load on one target, for a while, and what came of it.
 *
 *     closed   so many users, each with one request under way at any time: what is the ceiling at this concurrency?
 *     open     requests leave at a rate, whether or not earlier ones were answered: is the response time fine at this
 *              rate? Times count from when a request should have left, so that a stall is not hidden by the requests
 *              that it kept from leaving (coordinated omission)
 *     once     one burst of so many requests, as simple scripts do
 *
 * A level has a warm-up, then a window. Open, rates count what ended in the window: more than the target can do never
 * ends there, however much piles up. Towards its edges an end weighs less (a tapered window), for where all workers of
 * a target end at once it matters whether an edge comes just before or after; but a handful of ends are counted.
 * Closed, and in a burst, what is under way is given, and each attempt counts with the share of its time that lies in
 * the window: as true on average, and no jump when thousands of attempts begin and end together. Load goes on after the
 * window until the attempts that it cut have ended. Attempts are in the histograms when their middle lies in the
 * window.
 *
 * In flight is measured by itself, as the time integral of the number under way. So Little's law, in flight = rate ×
 * response time, holds only if nothing is missing: a gap means that attempts never ended, that there were too few, or
 * that the client itself fell behind. The rate of that check is the one by shares, for any kind: while requests pile up
 * those that end are not those that are under way.
 */
#ifndef LOAD_LOAD_H
#define LOAD_LOAD_H

#include <weir/context.h>
#include "base/histogram.h"
#include "net/http.h"

enum {
    LOAD_CONCURRENCY_MOST = 100000, /* users, or requests of a burst */
    LOAD_IN_FLIGHT_MOST = 10000,    /* default, open: what would be more is not sent, and counted */
    LOAD_THREADS_MOST = 64,
    LOAD_STATUS_MOST = 1000, /* statuses are below it */
};
#define LOAD_RATE_MOST 1e6 /* requests a second */

enum load_kind { LOAD_CLOSED, LOAD_OPEN, LOAD_ONCE };
enum load_arrivals { LOAD_POISSON, LOAD_CONSTANT };

/* How an attempt ended. */
enum load_end {
    LOAD_GOOD,
    LOAD_STATUS,    /* a status that was not expected */
    LOAD_BODY,      /* a reply without the text that was expected */
    LOAD_TIMEOUT,   /* no reply, or not all of it, in time */
    LOAD_REFUSED,   /* nobody listens */
    LOAD_CONNECT,   /* no connection: name, route, descriptors */
    LOAD_RESET,     /* the connection ended before the reply did */
    LOAD_MALFORMED, /* not HTTP, or too large */
    LOAD_TLS,
    LOAD_NOT_SENT, /* open: so many were under way already */
    LOAD_OTHER,
    LOAD_ENDS
};
const char *load_end_name(enum load_end end);  /* "timeout": for JSON; static */
const char *load_end_words(enum load_end end); /* "timed out"; static */

/* What is asked, and what is a good answer. Texts stay the caller's. */
struct load_target {
    struct http_request request;       /* any status is a reply, and redirects are not followed, whatever it says */
    struct http_client_options client; /* its limits of connections are set by the level */
    int64_t timeout_ns;                /* of an attempt */
    bool statuses[LOAD_STATUS_MOST];   /* that are good */
    const char *body;                  /* a good reply has this text in its body; NULL: any */
};

/* While it runs, for whoever watches from another thread. */
struct load_progress {
    _Atomic uint64_t ended, good;
    _Atomic int32_t in_flight;
};

struct load_options {
    const struct load_target *target;
    enum load_kind kind;
    enum load_arrivals arrivals;
    uint32_t concurrency;    /* closed, once */
    double rate;             /* open: requests a second */
    double rate_offset;      /* open, constant: share of the interval by which this generator is later than the first */
    uint32_t in_flight_most; /* open; 0: LOAD_IN_FLIGHT_MOST */
    int64_t warmup_ns;       /* at least so long; a closed level also until each user has had an answer, an open one
                              * for twice as long as answers take, but not for ever */
    int64_t duration_ns;     /* of the window, or longer where answers take long; once: not used */
    uint64_t seed;
    struct load_progress *progress; /* NULL: nobody watches */
};

/* What one generator counted in one window. */
struct load_tally {
    struct histogram response; /* of all attempts that ended, ns; open: from the time they should have left */
    struct histogram good;     /* of the good ones */
    uint64_t ends[LOAD_ENDS];  /* attempts in `response`, by how they ended; and those not sent */
    uint64_t statuses[LOAD_STATUS_MOST];
    uint64_t unfinished;         /* under way in the window, and still when it was over and waited for */
    uint64_t connections;        /* opened; warm-up and all */
    double completed, succeeded; /* attempts of the window: open, that ended in it; else as `shares` */
    double shares;               /* attempts in the window, each by its share in it: for Little's law */
    double offered;              /* attempts that should have begun in the window */
    double in_flight_ns;         /* time integral of those under way */
    double late_ns, flight_ns;   /* sums over `response`: how late they began; from then to their end */
    int64_t window_ns;
    int64_t cpu_ns, queued_ns; /* processor time of this thread; time it wanted one in vain. 0 on the simulated clock */
    bool interrupted;
    int32_t words_error; /* of an attempt that failed, for people: */
    char words[320];
};

/* One level, from a task of the loop that it is to run on; waits until it is over. *ret is overwritten. 0, also when
 * every attempt failed; -ECANCELED: interrupted, and *ret has what was measured; -ENOMEM, -EAGAIN. */
int load_run(struct weir_context *context, const struct load_options *options, struct load_tally *ret);

/* The same on threads of their own, each with its share of the users (of the rate), on the real clock. tallies: one
 * for each thread. Blocks. `stop_fd` (an eventfd that stays readable) with *stop ends it early: -ECANCELED. */
int load_run_threads(const struct load_options *options, uint32_t threads, const _Atomic bool *stop, int stop_fd,
                     struct load_tally *tallies);
/* Threads that this level keeps busy: no more than it has users. */
uint32_t load_thread_count(const struct load_options *options, uint32_t threads);

#endif
