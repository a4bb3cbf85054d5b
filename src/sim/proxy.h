/* SPDX-License-Identifier: MIT */
/*
 * A TCP proxy that does to connections what networks do: it delays what passes, cuts, stalls and resets connections,
 * and flips bits. Ratios are of the pieces (reads) that pass, in either direction.
 */
#ifndef SIM_PROXY_H
#define SIM_PROXY_H

#include <weir/task.h>
#include "sim/random.h"
#include "sim/settings.h"

enum { PROXY_CONNECTIONS_MOST = 10000, PROXY_PIECE = 16 * 1024 };

struct proxy_options {
    struct distribution delay; /* of each piece */
    double cut_ratio;          /* a part of the piece passes, then the connection ends */
    double stall_ratio;        /* the piece passes stall_ns later */
    int64_t stall_ns;          /* 0: 10 s */
    double corrupt_ratio;      /* one bit of the piece is flipped */
    double reset_ratio;        /* both ends see a reset instead */
    double refuse_ratio;       /* of connections: reset as soon as they are made */
    uint64_t seed;
};

struct proxy;
int proxy_new(const struct proxy_options *options, const char *to_host, uint16_t to_port, struct proxy **ret);
void proxy_free(struct proxy *proxy);
/* Listens and passes on until the task is cancelled; as fleet_serve. */
int proxy_serve(struct weir_context *context, struct proxy *proxy, const char *host, uint16_t port,
                void (*ready)(void *owner, uint16_t port), void *owner);
/* delay, jitter, distribution, cut, stall, stall_time, corrupt, reset, refuse. */
int proxy_set(void *proxy, const char *name, const char *value, struct weir_error *error);

const char *proxy_target(const struct proxy *proxy); /* "127.0.0.1:9700"; as long as the proxy */

struct proxy_counters {
    uint64_t connections, unreachable, pieces, bytes, cut, stalled, corrupted, reset, refused;
    uint32_t live;
};
void proxy_count(const struct proxy *proxy, struct proxy_counters *ret);

#endif
