/* SPDX-License-Identifier: MIT */
/*
 * A server with a capacity: so many workers, each busy with one request for the service time. Requests that find all of
 * them busy wait in a queue; when that is full too, they wait in vain, as behind a listen backlog that overflows, and
 * are answered 503 when the timeout has passed. A request whose client has given up, or that has timed out, is worked
 * on all the same. So past its capacity latency climbs and success falls: the raw rate of answers goes on rising with
 * the number of requests in flight, the rate of good ones stalls.
 *
 *     GET or POST /…          {"number":7,"waited":0.0123,"served":0.05}
 *     POST /embed             a JSON array in, an array of vectors out, one for each element; else one vector
 *     GET /stats              what the server has measured itself, JSON
 *     POST /control?workers=25&service=80ms
 */
#ifndef SIM_SERVER_H
#define SIM_SERVER_H

#include <weir/task.h>
#include "net/http_server.h"
#include "sim/random.h"
#include "sim/settings.h"

enum { SERVER_WORKERS_MOST = 100000, SERVER_QUEUE_MOST = 10000000, SERVER_DIMENSIONS_MOST = 4096 };

struct server_options {
    uint32_t workers;
    struct distribution service;
    int64_t timeout_ns;  /* 0: 1 s */
    int64_t queue;       /* requests that wait; negative: as many as are served within 90 % of the timeout */
    uint32_t dimensions; /* of a vector; 0: 8 */
    uint64_t seed;
};

struct server;
int server_new(const struct server_options *options, struct server **ret); /* -EINVAL, -ENOMEM */
void server_free(struct server *server);
/* Listens and serves until the task is cancelled; as fleet_serve. */
int server_serve(struct weir_context *context, struct server *server, const char *host, uint16_t port,
                 void (*ready)(void *owner, uint16_t port), void *owner);
/* Its two halves, for who listens himself: keeps the workers until the task is cancelled; and what one request gets
 * (http_answerer), meanwhile, on the same loop. */
int server_work(struct weir_context *context, struct server *server);
int server_answer(struct weir_context *context, void *server, struct http_question *question);
/* workers, service, distribution, jitter, queue (a number or auto), timeout. */
int server_set(void *server, const char *name, const char *value, struct weir_error *error);

double server_capacity(const struct server *server); /* requests a second */

struct server_counters {
    uint64_t arrived;
    uint64_t good;      /* answered 200 in time */
    uint64_t timed_out; /* taken in, but 503 because its turn or its end came too late */
    uint64_t overflown; /* 503: the queue was full */
    uint64_t worked;    /* requests that workers have finished */
    uint64_t wasted;    /* of these, those that nobody waited for any more */
    uint32_t in_flight, in_flight_most, queued, queued_most, busy, workers;
    int64_t wait_ns; /* how long good ones waited for a worker, all together */
};
void server_count(const struct server *server, struct server_counters *ret);

#endif
