/* SPDX-License-Identifier: MIT */
/*
 * The simulated network: streams and listeners of any number of loops on one simulated clock, with latency, loss of
 * connections, stalls and resets drawn from a seed. The same seed and the same program make the same run.
 * One thread: that of the simulated runner.
 */
#ifndef ASYNC_NETWORK_H
#define ASYNC_NETWORK_H

#include <stdbool.h>
#include <stdint.h>

struct network;
struct weir_stream;

/* Each is drawn for each connection or message. Ratios are of 1. */
struct network_faults {
    int64_t latency_least_ns, latency_most_ns; /* one way, uniform */
    double refuse_ratio;                       /* connects that are refused */
    double reset_ratio;                        /* writes that reset the connection instead */
    double stall_ratio;                        /* writes that take stall_ns longer */
    int64_t stall_ns;
    double cut_ratio; /* writes of which only a part arrives before the end */
};
struct network *network_new(uint64_t seed);
void network_free(struct network *network); /* no stream is open */
/* From now on. `host` NULL: everywhere, else for connections to that host name. At most NETWORK_FAULTS_MOST hosts. */
enum { NETWORK_FAULTS_MOST = 1024 };
int network_set_faults(struct network *network, const char *host, const struct network_faults *faults);
/* The host neither answers nor refuses: connects and writes to it vanish until it is set up again. A stream on which
 * something has vanished stays silent in that direction. -ENOMEM. */
int network_set_down(struct network *network, const char *host, bool down);
/* Connections to a port where nobody listens lead to who listens at `port` of any address; 0: they are refused. */
void network_lead_to(struct network *network, uint16_t port);

#endif
