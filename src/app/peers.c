/* SPDX-License-Identifier: MIT */
#include "app/peers.h"

#include <string.h>

#include "async/network.h"
#include "base/clock.h"
#include "base/memory.h"
#include "sim/fleet.h"
#include "sim/server.h"
#include "sim/settings.h"

enum { SENSORS = 100000, WORKERS = 1000, PORT = 80 };

struct peers {
    struct network *network;
    struct fleet *fleet;
    struct server *server;
};

static int apply(const char *option, const struct app_list *settings, settings_set *set, void *owner)
{
    for (size_t i = 0; i < settings->count; i++) {
        struct weir_error error = {0};
        const char *pair = settings->values[i];
        if (settings_apply(pair, strlen(pair), ' ', set, owner, &error) < 0) {
            app_say("%s %s: %s", option, pair, error.text);
            return error.code;
        }
    }
    return 0;
}

static int make_peers(struct peers *peers, uint64_t seed)
{
    const struct server_options server = {
        .workers = WORKERS, .service = {.mean_ns = 50 * CLOCK_MILLISECOND}, .queue = -1, .seed = seed};
    struct fleet_options fleet = {
        .sensors = SENSORS, .latency = {.mean_ns = 100 * CLOCK_MILLISECOND}, .seed = seed, .others = server_answer};
    peers->network = network_new(seed);
    if (!peers->network || server_new(&server, &peers->server) < 0)
        return -1;
    fleet.others_owner = peers->server;
    return fleet_new(&fleet, &peers->fleet);
}

int peers_new(const struct peers_values *values, bool simulated, uint64_t seed, struct peers **ret)
{
    *ret = NULL;
    if (!simulated && (values->fleet.count > 0 || values->server.count > 0)) {
        const char *given = values->fleet.count > 0 ? "fleet" : "server";
        app_say("--%s sets what answers in memory with --simulated: add it; for real sockets there is weir simulate %s",
                given, given);
        return APP_USAGE;
    }
    if (!simulated)
        return APP_OK;
    struct peers *peers = memory_zeroed(1, sizeof *peers);
    if (!peers || make_peers(peers, seed) < 0) {
        app_say("out of memory for the simulated network");
        peers_free(peers);
        return APP_FAILED;
    }
    network_lead_to(peers->network, PORT);
    if (apply("--fleet", &values->fleet, fleet_set, peers->fleet) < 0 ||
        apply("--server", &values->server, server_set, peers->server) < 0) {
        peers_free(peers);
        return APP_USAGE;
    }
    *ret = peers;
    return APP_OK;
}

static int run_server(struct weir_context *context, void *owner)
{
    return server_work(context, ((struct peers *)owner)->server);
}

static int run_fleet(struct weir_context *context, void *owner)
{
    return fleet_serve(context, ((struct peers *)owner)->fleet, "*", PORT, false, NULL, NULL);
}

static int serve(struct weir_context *context, void *owner)
{
    struct weir_scope scope;
    weir_scope_open(context, &scope);
    int error = weir_scope_spawn(&scope, "server", run_server, owner);
    if (error == 0)
        error = weir_scope_spawn(&scope, "fleet", run_fleet, owner);
    if (error)
        weir_scope_cancel(&scope);
    int joined = weir_scope_join(&scope);
    return error ? error : joined;
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
    server_free(peers->server);
    network_free(peers->network);
    memory_free(peers);
}
