/* SPDX-License-Identifier: MIT */
/* weir simulate: peers that do not exist, to try weir (and other programs) against. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "app/simulate.h"
#include "base/error.h"
#include "base/units.h"
#include "sim/fleet.h"
#include "sim/proxy.h"
#include "sim/server.h"

/* What all kinds take. */
struct common {
    const char *listen, *seed, *script, *duration;
    struct app_list settings;
};
enum { COMMON_OPTIONS = 5, OWN_OPTIONS_MOST = 12 };

/* An option that is a setting of the peer. */
struct setting {
    const char *option, *name, *argument, *help;
};

/* A kind of peer on the command line. */
struct request {
    struct simulation *simulation;
    const char *synopsis, *summary, *description, *listen_help;
    const struct app_option *own; /* ends with name NULL */
    const struct setting *settings;
    struct common common;
    const char *values[OWN_OPTIONS_MOST]; /* of settings */
    long long seed;
};

static void add_common(struct app_option *out, struct common *common, const char *listen_help)
{
    const struct app_option options[COMMON_OPTIONS] = {
        {"listen", 0, "ADDRESS", listen_help, NULL, &common->listen, NULL},
        {"seed", 0, "N", "where chance begins: the same seed, the same run (default 1)", NULL, &common->seed, NULL},
        {"script", 0, "FILE", "changes while it runs: lines like \"10s latency=200ms\"", NULL, &common->script, NULL},
        {"set", 0, "NAME=VALUE", "a setting as scripts have them, at the start; any number of times", NULL, NULL,
         &common->settings},
        {"for", 0, "TIME", "end by itself after so long; else Ctrl-C ends it", NULL, &common->duration, NULL},
    };
    memcpy(out, options, sizeof options);
}

/* The common options' values, before the peer is made. */
static int read_common(struct request *request)
{
    const struct common *common = &request->common;
    struct simulation *simulation = request->simulation;
    request->seed = 1;
    if (common->seed && app_count("--seed", common->seed, 0, INT64_MAX, &request->seed) < 0)
        return -EINVAL;
    if (common->duration && app_time("--for", common->duration, &simulation->duration_ns) < 0)
        return -EINVAL;
    simulation->script_path = common->script;
    return common->listen ? simulation_address("--listen", common->listen, simulation->host, &simulation->port) : 0;
}

/* Its own options, its settings, those of all kinds. -1: go on; else the exit code. */
static int parse(struct request *request, int argc, char **argv)
{
    struct app_option options[2 * OWN_OPTIONS_MOST + COMMON_OPTIONS + 1] = {{0}};
    size_t count = 0;
    for (const struct app_option *own = request->own; own->name; own++)
        options[count++] = *own;
    for (size_t i = 0; request->settings[i].option; i++)
        options[count++] = (struct app_option){.name = request->settings[i].option,
                                               .argument = request->settings[i].argument,
                                               .help = request->settings[i].help,
                                               .value = &request->values[i]};
    add_common(options + count, &request->common, request->listen_help);
    const struct app_usage usage = {.synopsis = request->synopsis,
                                    .summary = request->summary,
                                    .description = request->description,
                                    .options = options};
    int operands, code = app_parse(&usage, argc, argv, &operands);
    if (code >= 0)
        return code;
    return read_common(request) < 0 ? APP_USAGE : -1;
}

/* Its settings, of options and of --set. */
static int apply(struct request *request, void *peer)
{
    struct simulation *simulation = request->simulation;
    simulation->peer = peer;
    for (size_t i = 0; request->settings[i].option; i++) {
        char option[40];
        snprintf(option, sizeof option, "--%s", request->settings[i].option);
        if (simulation_option(simulation, option, request->settings[i].name, request->values[i]) < 0)
            return -EINVAL;
    }
    return simulation_settings(simulation, &request->common.settings);
}

/* Its settings, once it is made; then it runs. A script is rehearsed on `spare`, one like it that never listens:
 * whoever starts it should not hear of a mistake when the line's time comes. */
static int run_peer(struct request *request, void *peer, void *spare)
{
    int status = APP_USAGE;
    bool fine = !spare || (simulation_script(request->simulation) == 0 && apply(request, spare) == 0 &&
                           simulation_rehearse(request->simulation) == 0);
    if (fine && apply(request, peer) == 0)
        status = simulation_run(request->simulation);
    settings_script_free(request->simulation->script);
    return status;
}

/* ---- fleet ------------------------------------------------------------------------------------------------------ */

static int serve_fleet(struct weir_context *context, struct simulation *simulation)
{
    return fleet_serve(context, simulation->peer, simulation->host, simulation->port, simulation->addresses,
                       simulation_ready, simulation);
}

static void describe_fleet(const struct simulation *simulation, uint16_t port)
{
    uint32_t last = fleet_sensors(simulation->peer) - 1;
    if (simulation->addresses) {
        app_say("%u sensors listen, each at its own address: sensor %u is http://127.%u.%u.%u:%u/sensor", last + 1,
                last, 1 + last / 65536, last / 256 % 256, last % 256, port);
        app_say("try, in another terminal:  curl http://127.1.0.0:%u/sensor", port);
    } else {
        app_say("%u sensors listen: http://%s:%u/sensor/0 to /sensor/%u", last + 1, simulation->host, port, last);
        app_say("try, in another terminal:  curl http://%s:%u/sensor/0", simulation->host, port);
    }
    app_say("Ctrl-C ends it");
}

static void report_fleet(const struct simulation *simulation)
{
    struct fleet_counters counters;
    char late[32];
    fleet_count(simulation->peer, &counters);
    app_say("answered %llu requests, at most %u at a time; %llu failed, %llu stalled, %llu broken; "
            "an answer was at most %s late",
            (unsigned long long)counters.answered, counters.in_flight_most, (unsigned long long)counters.failed,
            (unsigned long long)counters.stalled, (unsigned long long)counters.broken,
            units_show_duration(counters.late_ns_most, late, sizeof late));
}

static const struct simulation_kind fleet_kind = {serve_fleet, fleet_set, describe_fleet, report_fleet};

static const struct setting fleet_settings[] = {
    {"latency", "latency", "TIME", "until an answer (default 100ms)"},
    {"jitter", "jitter", "TIME", "how far latencies spread: half-width, or standard deviation"},
    {"latency-distribution", "distribution", "NAME", "fixed, uniform, normal, exponential or lognormal"},
    {"fail", "fail", "RATIO", "of requests: answered 500"},
    {"stall", "stall", "RATIO", "of requests: answered --stall-time later"},
    {"stall-time", "stall_time", "TIME", "(default 10s)"},
    {"restart", "restart_every", "TIME", "every so often all connections end and nobody listens"},
    {"down", "down", "TIME", "for how long nobody listens at a restart (default 2s)"},
    {NULL, NULL, NULL, NULL},
};

static int simulate_fleet(int argc, char **argv)
{
    const char *sensors = NULL;
    struct simulation simulation = {.kind = &fleet_kind, .host = "127.0.0.1", .port = 9700};
    const struct app_option own[] = {
        {"sensors", 0, "N", "how many (default 10)", NULL, &sensors, NULL},
        {"addresses", 0, NULL, "an address for each: 127.1.0.17 is sensor 17", &simulation.addresses, NULL, NULL},
        {.name = NULL},
    };
    struct request request = {
        .simulation = &simulation,
        .synopsis = "simulate fleet",
        .summary = "A fleet of sensors over HTTP: GET /sensor/17 answers JSON; with .csv, .txt or .prom behind it "
                   "another format.",
        .description =
            "Settings for --script, --set and POST /control?name=value: latency, jitter, distribution, fail,\n"
            "stall, stall_time, restart (for how long nobody listens, from now), restart_every, down,\n"
            "sensor (17, 3..5 or all) and the mode of these: ok, hang, reset, garbage, error, cut, nonsense\n"
            "or slow. GET /stats says how it goes.",
        .listen_help = "host:port; port 0: any (default 127.0.0.1:9700)",
        .own = own,
        .settings = fleet_settings,
    };
    long long number = 10;
    int status = parse(&request, argc, argv);
    if (status >= 0)
        return status;
    if (sensors && app_count("--sensors", sensors, 1, FLEET_SENSORS_MOST, &number) < 0)
        return APP_USAGE;
    if (simulation.addresses) /* all of 127.0.0.0/8; others are turned away */
        snprintf(simulation.host, sizeof simulation.host, "0.0.0.0");
    const struct fleet_options fleet = {
        .sensors = (uint32_t)number, .latency = {DISTRIBUTION_FIXED, 100000000, 0}, .seed = (uint64_t)request.seed};
    struct fleet *peer = NULL, *spare = NULL;
    if (fleet_new(&fleet, &peer) < 0 || (simulation.script_path && fleet_new(&fleet, &spare) < 0)) {
        fleet_free(peer);
        app_say("there is no memory for %lld sensors", number);
        return APP_FAILED;
    }
    status = run_peer(&request, peer, spare);
    fleet_free(spare);
    fleet_free(peer);
    return status;
}

/* ---- server ----------------------------------------------------------------------------------------------------- */

static int serve_server(struct weir_context *context, struct simulation *simulation)
{
    return server_serve(context, simulation->peer, simulation->host, simulation->port, simulation_ready, simulation);
}

static void describe_server(const struct simulation *simulation, uint16_t port)
{
    app_say("a server with a capacity of %.6g requests a second listens: http://%s:%u/",
            server_capacity(simulation->peer), simulation->host, port);
    app_say("try, in another terminal:  curl http://%s:%u/   and   curl http://%s:%u/stats", simulation->host, port,
            simulation->host, port);
    app_say("Ctrl-C ends it");
}

static void report_server(const struct simulation *simulation)
{
    struct server_counters counters;
    server_count(simulation->peer, &counters);
    app_say(
        "%llu requests: %llu answered well, %llu timed out, %llu found the queue full; at most %u at a time; the work "
        "on %llu was wasted",
        (unsigned long long)counters.arrived, (unsigned long long)counters.good, (unsigned long long)counters.timed_out,
        (unsigned long long)counters.overflown, counters.in_flight_most, (unsigned long long)counters.wasted);
}

static const struct simulation_kind server_kind = {serve_server, server_set, describe_server, report_server};

static const struct setting server_settings[] = {
    {"service", "service", "TIME", "that a worker needs for a request (default 50ms)"},
    {"distribution", "distribution", "NAME", "of these: fixed (default), uniform, normal, exponential or lognormal"},
    {"jitter", "jitter", "TIME", "how far they spread: half-width, or standard deviation"},
    {"queue", "queue", "N", "requests that may wait (default auto: as many as are served in time)"},
    {"timeout", "timeout", "TIME", "after which a request is answered 503 (default 1s)"},
    {NULL, NULL, NULL, NULL},
};

static int simulate_server(int argc, char **argv)
{
    const char *workers = NULL, *dimensions = NULL;
    struct simulation simulation = {.kind = &server_kind, .host = "127.0.0.1", .port = 9800};
    const struct app_option own[] = {
        {"workers", 0, "N", "requests that are worked on at a time (default 50)", NULL, &workers, NULL},
        {"dimensions", 0, "N", "of the vectors that POST /embed answers (default 8)", NULL, &dimensions, NULL},
        {.name = NULL},
    };
    struct request request = {
        .simulation = &simulation,
        .synopsis = "simulate server",
        .summary = "A server with a capacity. Past it latency climbs and success falls: it keeps working on what was "
                   "given up.",
        .description = "GET /stats says what it measured itself. POST /embed takes a JSON array, and answers a vector\n"
                       "for each element. Settings for --script, --set and POST /control?name=value: workers,\n"
                       "service, distribution, jitter, queue, timeout.",
        .listen_help = "host:port; port 0: any (default 127.0.0.1:9800)",
        .own = own,
        .settings = server_settings,
    };
    long long number = 50, vector = 8;
    int status = parse(&request, argc, argv);
    if (status >= 0)
        return status;
    if ((workers && app_count("--workers", workers, 1, SERVER_WORKERS_MOST, &number) < 0) ||
        (dimensions && app_count("--dimensions", dimensions, 1, SERVER_DIMENSIONS_MOST, &vector) < 0))
        return APP_USAGE;
    const struct server_options server = {.workers = (uint32_t)number,
                                          .service = {DISTRIBUTION_FIXED, 50000000, 0},
                                          .queue = -1,
                                          .dimensions = (uint32_t)vector,
                                          .seed = (uint64_t)request.seed};
    struct server *peer = NULL, *spare = NULL;
    if (server_new(&server, &peer) < 0 || (simulation.script_path && server_new(&server, &spare) < 0)) {
        server_free(peer);
        app_say("there is no memory for the server");
        return APP_FAILED;
    }
    status = run_peer(&request, peer, spare);
    server_free(spare);
    server_free(peer);
    return status;
}

/* ---- proxy ------------------------------------------------------------------------------------------------------ */

static int serve_proxy(struct weir_context *context, struct simulation *simulation)
{
    return proxy_serve(context, simulation->peer, simulation->host, simulation->port, simulation_ready, simulation);
}

static void describe_proxy(const struct simulation *simulation, uint16_t port)
{
    app_say("what comes to %s:%u is passed on to %s", simulation->host, port, proxy_target(simulation->peer));
    app_say("point a pipeline's url at http://%s:%u/ to see how it copes", simulation->host, port);
    app_say("Ctrl-C ends it");
}

static void report_proxy(const struct simulation *simulation)
{
    struct proxy_counters counters;
    proxy_count(simulation->peer, &counters);
    app_say(
        "%llu connections, %llu pieces: %llu cut, %llu stalled, %llu corrupted, %llu reset; %llu connections refused, "
        "%llu found nobody behind the proxy",
        (unsigned long long)counters.connections, (unsigned long long)counters.pieces, (unsigned long long)counters.cut,
        (unsigned long long)counters.stalled, (unsigned long long)counters.corrupted,
        (unsigned long long)counters.reset, (unsigned long long)counters.refused,
        (unsigned long long)counters.unreachable);
}

static const struct simulation_kind proxy_kind = {serve_proxy, proxy_set, describe_proxy, report_proxy};

static const struct setting proxy_settings[] = {
    {"delay", "delay", "TIME", "of each piece, either way"},
    {"jitter", "jitter", "TIME", "how far delays spread: half-width, or standard deviation"},
    {"distribution", "distribution", "NAME", "of delays: fixed, uniform, normal, exponential or lognormal"},
    {"cut", "cut", "RATIO", "of pieces: a part passes, then the connection ends"},
    {"stall", "stall", "RATIO", "of pieces: pass --stall-time later"},
    {"stall-time", "stall_time", "TIME", "(default 10s)"},
    {"corrupt", "corrupt", "RATIO", "of pieces: one bit is flipped"},
    {"reset", "reset", "RATIO", "of pieces: the connection is reset instead"},
    {"refuse", "refuse", "RATIO", "of connections: reset at once"},
    {NULL, NULL, NULL, NULL},
};

static int simulate_proxy(int argc, char **argv)
{
    const char *to = NULL;
    char host[SIMULATION_HOST] = "127.0.0.1";
    uint16_t port;
    struct simulation simulation = {.kind = &proxy_kind, .host = "127.0.0.1", .port = 9900};
    const struct app_option own[] = {
        {"to", 0, "ADDRESS", "host:port that it passes on to", NULL, &to, NULL},
        {.name = NULL},
    };
    struct request request = {
        .simulation = &simulation,
        .synopsis = "simulate proxy --to ADDRESS",
        .summary = "A TCP proxy that does to connections what networks do.",
        .description = "A piece is what one read of the proxy gets, in either direction.\n"
                       "Settings for --script and --set: delay, jitter, distribution, cut, stall, stall_time,\n"
                       "corrupt, reset, refuse.",
        .listen_help = "host:port; port 0: any (default 127.0.0.1:9900)",
        .own = own,
        .settings = proxy_settings,
    };
    int status = parse(&request, argc, argv);
    if (status >= 0)
        return status;
    if (!to) {
        app_say("--to is missing: weir simulate proxy --to 127.0.0.1:9700 passes on to a fleet");
        return APP_USAGE;
    }
    if (simulation_address("--to", to, host, &port) < 0)
        return APP_USAGE;
    const struct proxy_options proxy = {.seed = (uint64_t)request.seed};
    struct proxy *peer = NULL, *spare = NULL;
    if (proxy_new(&proxy, host, port, &peer) < 0 ||
        (simulation.script_path && proxy_new(&proxy, host, port, &spare) < 0)) {
        proxy_free(peer);
        app_say("there is no memory for the proxy");
        return APP_FAILED;
    }
    status = run_peer(&request, peer, spare);
    proxy_free(spare);
    proxy_free(peer);
    return status;
}

/* ----------------------------------------------------------------------------------------------------------------- */

static const struct app_command kinds[] = {
    {"fleet", "sensors that answer over HTTP after a while", simulate_fleet},
    {"server", "an HTTP server with a capacity, and a stand-in for an embedding model", simulate_server},
    {"proxy", "a TCP proxy that delays, cuts, stalls, corrupts and resets", simulate_proxy},
    {0},
};

int cmd_simulate(int argc, char **argv)
{
    static const struct app_commands commands = {
        .of = "simulate",
        .heading = "Usage: weir simulate fleet|server|proxy [OPTIONS]\n\n"
                   "Peers that do not exist, to try weir against.\n\n",
        .ending = "\nweir simulate fleet --help tells more. A first journey, in two terminals:\n"
                  "  weir simulate fleet --sensors 1000 --latency 100ms\n"
                  "  curl http://127.0.0.1:9700/sensor/17\n",
        .table = kinds,
    };
    return app_dispatch(&commands, argc, argv);
}
