/* SPDX-License-Identifier: MIT */
/*
 * A fleet of sensors that do not exist, over HTTP: each answers after a latency drawn from a distribution, and some
 * fail, stall, hang, reset or speak garbage, all from one seed. Serves real sockets and the simulated network alike.
 *
 *     GET /sensor/17          {"ts":1732147200.123,"sensor":"s17","value":25.276,"seq":0}
 *     GET /sensor/17.csv      with a header line
 *     GET /sensor/17.txt      the value alone
 *     GET /sensor/17.prom     Prometheus' text format
 *     GET /sensor             the sensor whose address was asked: 127.1.0.17 is 17 (Host header)
 *     GET /stats              what the fleet has measured itself, JSON
 *     POST /control?latency=200ms&sensor=3..5&mode=hang
 *
 * A value is 20 ± 5: a level of the sensor's own, a slow wave and noise; about one in a thousand jumps by 25.
 */
#ifndef SIM_FLEET_H
#define SIM_FLEET_H

#include <weir/task.h>
#include "net/http_server.h"
#include "sim/random.h"
#include "sim/settings.h"

enum { FLEET_SENSORS_MOST = 1000000 };

/* How one sensor behaves. */
enum fleet_mode {
    FLEET_OK,
    FLEET_HANG,     /* takes the request and never answers */
    FLEET_RESET,    /* resets the connection instead */
    FLEET_GARBAGE,  /* answers with bytes that are not HTTP */
    FLEET_ERROR,    /* answers 500 */
    FLEET_CUT,      /* ends in the middle of its answer */
    FLEET_NONSENSE, /* answers with something that is not JSON */
    FLEET_SLOW,     /* an answer byte by byte */
    FLEET_MODES
};

struct fleet_options {
    uint32_t sensors;
    struct distribution latency;
    double fail_ratio;                         /* of requests: 500 at once */
    double stall_ratio;                        /* of requests: stall_ns later */
    int64_t stall_ns;                          /* 0: 10 s */
    int64_t restart_every_ns, restart_down_ns; /* 0: never; nobody listens for so long, 0: 2 s */
    uint64_t seed;
    http_answerer *others; /* answers what is no sensor's, nor the fleet's own; NULL: 404 */
    void *others_owner;
};

struct fleet;
int fleet_new(const struct fleet_options *options, struct fleet **ret); /* -EINVAL, -ENOMEM */
void fleet_free(struct fleet *fleet);
/* Listens at host and port and serves until the task is cancelled. `ready` (may be NULL) is called once, with the port.
 * Where it cannot listen: the error, at once. loopback_only: other peers are turned away. */
int fleet_serve(struct weir_context *context, struct fleet *fleet, const char *host, uint16_t port, bool loopback_only,
                void (*ready)(void *owner, uint16_t port), void *owner);
/* latency, jitter, distribution, fail, stall, stall_time, restart (how long nobody listens, from now), restart_every,
 * down, mode (of the sensors chosen by `sensor` before it: "17", "3..5", "all"). */
int fleet_set(void *fleet, const char *name, const char *value, struct weir_error *error);

uint32_t fleet_sensors(const struct fleet *fleet);

struct fleet_counters {
    uint64_t answered, failed, stalled, broken, restarts, unknown;
    uint32_t in_flight, in_flight_most, connections, connections_most;
    uint64_t accepted;
    int64_t late_ns_most; /* how much later than its time an answer was sent: the fleet itself was slow */
};
void fleet_count(const struct fleet *fleet, struct fleet_counters *ret);

#endif
