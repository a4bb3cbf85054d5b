/* SPDX-License-Identifier: MIT */
/*
 * Whom a pipeline on the simulated clock talks to: a network that exists in memory alone, and in it a fleet of sensors
 * (sim/fleet.h) that answers at every host and port as `weir simulate fleet` does. Main thread.
 */
#ifndef APP_PEERS_H
#define APP_PEERS_H

#include "app/app.h"
#include "flow/pipeline.h"

struct peers;

#define PEERS_OPTION(to)                                                                                               \
    {                                                                                                                  \
        "fleet", 0, "NAME=VALUE",                                                                                      \
            "--simulated: of the sensors that answer http sources: latency=50ms; may be repeated", .list = (to)        \
    }

/* `settings`: name=value, as scripts of `weir simulate fleet` have them. 0, or APP_USAGE or APP_FAILED after having
 * said why. */
int peers_new(const struct app_list *settings, uint64_t seed, struct peers **ret);
/* For pipeline_open. NULL: nobody, and nothing is done. */
void peers_offer(struct peers *peers, struct pipeline_options *options);
/* After pipeline_close. NULL is allowed. */
void peers_free(struct peers *peers);

#endif
