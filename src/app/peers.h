/* SPDX-License-Identifier: MIT */
/*
 * Whom a pipeline on the simulated clock talks to: a network that exists in memory alone, and in it, at every host and
 * port, a fleet of sensors (sim/fleet.h) that answers as `weir simulate fleet` does, and a server (sim/server.h) that
 * answers all else as `weir simulate server` does. Main thread.
 */
#ifndef APP_PEERS_H
#define APP_PEERS_H

#include "app/app.h"
#include "flow/pipeline.h"

struct peers;

/* What the command line says of them: name=value, as scripts of `weir simulate` have them. */
struct peers_values {
    struct app_list fleet, server;
};
/* Rows of an option table; `values` is a struct peers_values. */
#define PEERS_OPTIONS(values)                                                                                          \
    {"fleet", 0, "NAME=VALUE", "--simulated: of the sensors that are read: latency=50ms; may be repeated",             \
     .list = &(values)->fleet},                                                                                        \
    {                                                                                                                  \
        "server", 0, "NAME=VALUE", "--simulated: of the server of calls, lookups and http sinks: workers=50",          \
            .list = &(values)->server                                                                                  \
    }

/* For a run that is simulated; for any other *ret is NULL, and values are a mistake. 0, or APP_USAGE or APP_FAILED
 * after having said why. */
int peers_new(const struct peers_values *values, bool simulated, uint64_t seed, struct peers **ret);
/* For pipeline_open. NULL: nobody, and nothing is done. */
void peers_offer(struct peers *peers, struct pipeline_options *options);
/* After pipeline_close. NULL is allowed. */
void peers_free(struct peers *peers);

#endif
