/* SPDX-License-Identifier: MIT */
/*
 * usage: http_limit URL adaptive|LIMIT SETTLE_SECONDS MEASURE_SECONDS
 *
 * As many calls as the limit lets through against `weir simulate server`, which goes on working on what was given up.
 * First it has 50 workers of 50 ms, then 25, then 100. After each change the limit has SETTLE seconds to find its
 * place; then good answers are counted for MEASURE seconds. Prints {"phases": [{"workers", "good_per_second",
 * "success", "limit"}, …]}.
 */
#include "async/limiter.h"
#include "async/loop.h"
#include "base/clock.h"
#include "net/http.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CALLERS = 1024, PHASES = 3 };
#define TIMEOUT CLOCK_SECOND

struct bench {
    const char *url;
    struct http_client *client;
    struct limiter limiter;
    int64_t settle, measure;
    uint64_t good, bad;
};

static int call_for_ever(struct weir_context *context, void *argument)
{
    struct bench *bench = argument;
    const struct http_request request = {.url = bench->url};
    for (;;) {
        int error = limiter_acquire(context, &bench->limiter, WEIR_NEVER);
        if (error < 0)
            return 0;
        struct http_reply reply;
        int64_t started = weir_now(context);
        error = http_request(context, bench->client, &request, started + TIMEOUT, &reply);
        bool overload = error == -ETIMEDOUT || reply.status == 503 || reply.status == 429;
        http_reply_release(&reply);
        limiter_release(&bench->limiter, started, weir_now(context),
                        error == 0 ? LIMITER_GOOD
                        : overload ? LIMITER_OVERLOAD
                                   : LIMITER_OTHER);
        if (error == -ECANCELED)
            return 0;
        bench->good += error == 0;
        bench->bad += error != 0;
    }
}

static int set_workers(struct weir_context *context, struct bench *bench, unsigned workers)
{
    char url[256];
    struct http_reply reply;
    const char *slash = strrchr(bench->url, '/');
    snprintf(url, sizeof url, "%.*s/control?workers=%u", (int)(slash - bench->url), bench->url, workers);
    const struct http_request request = {.url = url, .method = "POST"};
    int error = http_request(context, bench->client, &request, weir_now(context) + 10 * CLOCK_SECOND, &reply);
    http_reply_release(&reply);
    return error;
}

static int run_phases(struct weir_context *context, void *argument)
{
    static const unsigned workers[PHASES] = {50, 25, 100};
    struct bench *bench = argument;
    struct weir_scope scope;
    weir_scope_open(context, &scope);
    printf("{\"phases\": [");
    for (int phase = 0; phase < PHASES; phase++) {
        int error = set_workers(context, bench, workers[phase]);
        for (int i = 0; phase == 0 && i < CALLERS && error == 0; i++)
            error = weir_scope_spawn(&scope, "caller", call_for_ever, bench);
        if (error < 0) {
            weir_scope_close(&scope);
            return error;
        }
        weir_sleep(context, bench->settle);
        uint64_t good = bench->good, bad = bench->bad;
        weir_sleep(context, bench->measure);
        good = bench->good - good;
        bad = bench->bad - bad;
        printf("%s{\"workers\": %u, \"good_per_second\": %.1f, \"success\": %.5f, \"limit\": %u}", phase ? ", " : "",
               workers[phase], (double)good * 1e9 / (double)bench->measure,
               good ? (double)good / (double)(good + bad) : 0.0, bench->limiter.limit);
    }
    printf("]}\n");
    weir_scope_close(&scope);
    return 0;
}

int main(int argc, char **argv)
{
    struct bench bench = {0};
    struct context_clock clock = {0};
    struct weir_waiter waiter;
    struct weir_context context = {.clock = &clock, .waiter = &waiter, .cancel_fd = -1};
    const struct http_client_options client = {.connections_most = CALLERS + 1};
    const struct loop_options options = {.outer = &context};
    struct loop *loop;
    if (argc != 5)
        return fprintf(stderr, "usage: http_limit URL adaptive|LIMIT SETTLE_SECONDS MEASURE_SECONDS\n"), 2;
    bench.url = argv[1];
    bench.settle = (int64_t)(strtod(argv[3], NULL) * 1e9);
    bench.measure = (int64_t)(strtod(argv[4], NULL) * 1e9);
    struct limiter_options limit = {.adaptive = strcmp(argv[2], "adaptive") == 0};
    limit.limit = limit.adaptive ? 0 : (uint32_t)strtoul(argv[2], NULL, 10);
    limiter_init(&bench.limiter, &limit);
    waiter_init(&waiter);
    if (http_client_new(&client, &bench.client) < 0 || loop_new(&options, &loop) < 0)
        return 1;
    int error = loop_run(loop, "bench", run_phases, &bench);
    loop_free(loop);
    http_client_free(bench.client);
    if (error < 0)
        fprintf(stderr, "http_limit: %s\n", strerror(-error));
    return error < 0;
}
