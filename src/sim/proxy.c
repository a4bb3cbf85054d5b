/* SPDX-License-Identifier: MIT */
#include "sim/proxy.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"

#define STALL_NS (10 * CLOCK_SECOND)
#define CONNECT_NS (10 * CLOCK_SECOND)
#define ACCEPT_PAUSE (10 * CLOCK_MILLISECOND)

struct proxy {
    struct proxy_options options;
    struct random random;
    char *host, *target;
    uint16_t port;
    struct proxy_counters counters;
};

/* One connection: both of its ends. */
struct pair {
    struct proxy *proxy;
    struct weir_stream *near, *far;
    bool reset;
};
struct way {
    struct pair *pair;
    struct weir_stream *from, *to;
    char *piece;
};

/* What becomes of one piece: 0, or negative: the connection ends. *size may shrink. */
static int treat(struct weir_context *context, struct way *way, size_t *size)
{
    struct proxy *proxy = way->pair->proxy;
    struct proxy_options *options = &proxy->options;
    struct random *random = &proxy->random;
    int64_t wait = distribution_draw(&options->delay, random);
    if (random_chance(random, options->stall_ratio)) {
        proxy->counters.stalled++;
        wait += options->stall_ns;
    }
    if (random_chance(random, options->reset_ratio)) {
        proxy->counters.reset++;
        way->pair->reset = true;
        return -ECONNRESET;
    }
    if (random_chance(random, options->corrupt_ratio)) {
        proxy->counters.corrupted++;
        way->piece[random_below(random, *size)] ^= (char)(1 << random_below(random, 8));
    }
    if (random_chance(random, options->cut_ratio)) {
        proxy->counters.cut++;
        *size = random_below(random, *size);
        int error = weir_stream_write(context, way->to, way->piece, *size, WEIR_NEVER);
        return error ? error : -EPIPE;
    }
    return wait > 0 ? weir_sleep(context, wait) : 0;
}

static int pass(struct weir_context *context, void *argument)
{
    struct way *way = argument;
    struct proxy *proxy = way->pair->proxy;
    for (;;) {
        int64_t got = weir_stream_read(context, way->from, way->piece, PROXY_PIECE, WEIR_NEVER);
        if (got <= 0) {
            way->pair->reset |= got == -ECONNRESET;
            return got < 0 ? (int)got : -EPIPE;
        }
        size_t size = (size_t)got;
        proxy->counters.pieces++;
        int error = treat(context, way, &size);
        if (error == 0)
            error = weir_stream_write(context, way->to, way->piece, size, WEIR_NEVER);
        if (error)
            return error;
        proxy->counters.bytes += size;
    }
}

static void pass_both(struct weir_context *context, struct pair *pair)
{
    struct weir_scope scope;
    char *pieces = memory_allocate(2 * (size_t)PROXY_PIECE);
    struct way there = {pair, pair->near, pair->far, pieces};
    struct way back = {pair, pair->far, pair->near, pieces ? pieces + PROXY_PIECE : NULL};
    if (!pieces)
        return;
    weir_scope_open(context, &scope);
    int error = weir_scope_spawn(&scope, "there", pass, &there);
    if (error == 0)
        error = weir_scope_spawn(&scope, "back", pass, &back);
    if (error)
        weir_scope_close(&scope);
    else
        (void)weir_scope_race(&scope); /* either end's end is the other's */
    memory_free(pieces);
}

static int serve_connection(struct weir_context *context, void *argument)
{
    struct pair *pair = argument;
    struct proxy *proxy = pair->proxy;
    if (random_chance(&proxy->random, proxy->options.refuse_ratio)) {
        proxy->counters.refused++;
        pair->reset = true;
    } else if (weir_stream_connect(context, proxy->host, proxy->port, NULL, weir_now(context) + CONNECT_NS,
                                   &pair->far) < 0) {
        proxy->counters.unreachable++;
        pair->reset = true;
    } else {
        pass_both(context, pair);
    }
    weir_stream_close(pair->far, pair->reset);
    weir_stream_close(pair->near, pair->reset);
    proxy->counters.live--;
    memory_free(pair);
    return 0;
}

static void start_connection(struct proxy *proxy, struct weir_scope *scope, struct weir_stream *stream)
{
    struct pair *pair = proxy->counters.live < PROXY_CONNECTIONS_MOST ? memory_zeroed(1, sizeof *pair) : NULL;
    if (pair)
        *pair = (struct pair){.proxy = proxy, .near = stream};
    proxy->counters.connections++;
    proxy->counters.live++;
    if (pair && weir_scope_spawn(scope, "connection", serve_connection, pair) == 0)
        return;
    proxy->counters.refused++;
    proxy->counters.live--;
    memory_free(pair);
    weir_stream_close(stream, true);
}

int proxy_new(const struct proxy_options *options, const char *to_host, uint16_t to_port, struct proxy **ret)
{
    struct proxy *proxy = memory_zeroed(1, sizeof *proxy);
    char *host = memory_string(to_host), *target = memory_format("%s:%u", to_host, to_port);
    if (!proxy || !host || !target) {
        memory_free(proxy);
        memory_free(host);
        memory_free(target);
        return -ENOMEM;
    }
    proxy->options = *options;
    proxy->options.stall_ns = options->stall_ns ? options->stall_ns : STALL_NS;
    proxy->host = host;
    proxy->target = target;
    proxy->port = to_port;
    random_seed(&proxy->random, options->seed);
    *ret = proxy;
    return 0;
}

void proxy_free(struct proxy *proxy)
{
    if (!proxy)
        return;
    memory_free(proxy->host);
    memory_free(proxy->target);
    memory_free(proxy);
}

const char *proxy_target(const struct proxy *proxy)
{
    return proxy->target;
}

void proxy_count(const struct proxy *proxy, struct proxy_counters *ret)
{
    *ret = proxy->counters;
}

int proxy_serve(struct weir_context *context, struct proxy *proxy, const char *host, uint16_t port,
                void (*ready)(void *owner, uint16_t port), void *owner)
{
    struct weir_listener *listener;
    struct weir_scope scope;
    int error = weir_stream_listen(context, host, port, &listener);
    if (error)
        return error;
    if (ready)
        ready(owner, weir_listener_port(listener));
    weir_scope_open(context, &scope);
    while (error != -ECANCELED) {
        struct weir_stream *stream;
        error = weir_stream_accept(context, listener, WEIR_NEVER, &stream);
        if (error == 0)
            start_connection(proxy, &scope, stream);
        else if (error != -ECANCELED && error != -ECONNABORTED)
            error = weir_sleep(context, ACCEPT_PAUSE);
    }
    weir_scope_close(&scope);
    weir_listener_close(listener);
    return error;
}

int proxy_set(void *owner, const char *name, const char *value, struct weir_error *error)
{
    struct proxy_options *options = &((struct proxy *)owner)->options;
    const struct {
        const char *name;
        double *ratio;
    } ratios[] = {{"cut", &options->cut_ratio},
                  {"stall", &options->stall_ratio},
                  {"corrupt", &options->corrupt_ratio},
                  {"reset", &options->reset_ratio},
                  {"refuse", &options->refuse_ratio}};
    for (size_t i = 0; i < sizeof ratios / sizeof *ratios; i++) {
        if (strcmp(name, ratios[i].name) == 0)
            return settings_ratio(name, value, ratios[i].ratio, error);
    }
    if (strcmp(name, "delay") == 0)
        return settings_duration(name, value, &options->delay.mean_ns, error);
    if (strcmp(name, "jitter") == 0)
        return settings_jitter(value, &options->delay, error);
    if (strcmp(name, "stall_time") == 0)
        return settings_duration(name, value, &options->stall_ns, error);
    if (strcmp(name, "distribution") == 0)
        return settings_distribution(value, &options->delay, error);
    return weir_fail(error, -EINVAL,
                     "there is no setting \"%s\": delay, jitter, distribution, cut, stall, stall_time, corrupt, reset, "
                     "refuse",
                     name);
}
