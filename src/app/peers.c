/* SPDX-License-Identifier: MIT */
#include "app/peers.h"

#include <string.h>

#include "async/network.h"
#include "base/clock.h"
#include "base/memory.h"
#include "sim/fleet.h"
#include "sim/settings.h"

enum { SENSORS = 100000, PORT = 80 };

struct peers {
    struct network *network;
    struct fleet *fleet;
};

static int apply(struct peers *peers, const struct app_list *settings)
{
    for (size_t i = 0; i < settings->count; i++) {
        struct weir_error error = {0};
        const char *pair = settings->values[i];
        if (settings_apply(pair, strlen(pair), ' ', fleet_set, peers->fleet, &error) < 0) {
            app_say("--fleet %s: %s", pair, error.text);
            return error.code;
        }
    }
    return 0;
}

int peers_new(const struct app_list *settings, uint64_t seed, struct peers **ret)
{
    const struct fleet_options options = {
        .sensors = SENSORS, .latency = {.mean_ns = 100 * CLOCK_MILLISECOND}, .seed = seed};
    struct peers *peers = memory_zeroed(1, sizeof *peers);
    if (peers)
        peers->network = network_new(seed);
    if (!peers || !peers->network || fleet_new(&options, &peers->fleet) < 0) {
        app_say("out of memory for the simulated network");
        peers_free(peers);
        return APP_FAILED;
    }
    network_lead_to(peers->network, PORT);
    if (apply(peers, settings) < 0) {
        peers_free(peers);
        return APP_USAGE;
    }
    *ret = peers;
    return 0;
}

static int serve(struct weir_context *context, void *owner)
{
    struct peers *peers = owner;
    return fleet_serve(context, peers->fleet, "*", PORT, false, NULL, NULL);
}

void peers_offer(struct peers *peers, struct pipeline_options *options)
{
    if (!peers)
        return;
    options->network = peers->network;
    options->peer = serve;
    options->peer_owner = peers;
}

void peers_free(struct peers *peers)
{
    if (!peers)
        return;
    fleet_free(peers->fleet);
    network_free(peers->network);
    memory_free(peers);
}
