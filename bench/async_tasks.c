/* SPDX-License-Identifier: MIT */
/*
 * What waiting costs: a task switch, spawning and collecting a task, an item through a channel, and N tasks that sleep.
 * Prints one JSON object of nanoseconds (or milliseconds) each, the best of several rounds; bench/async_peers.py does
 * the same with asyncio.
 */
#include "async/loop.h"
#include "base/clock.h"
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ROUNDS = 5, SWITCHES = 4000000, SPAWNS = 1000000, ITEMS = 4000000, CHANNEL = 256, CYCLES = 5 };

struct bench {
    struct weir_channel *channel;
    int rounds;
    uint64_t turns;
    int64_t sleep_ns;
    uint32_t tasks;
    double best[3];
    double cycles_ms[CYCLES], cycles_cpu_ms[CYCLES];
    uint64_t resident;
};

static uint64_t resident_bytes(void)
{
    unsigned long long pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (!file || fscanf(file, "%*u %llu", &pages) != 1)
        pages = 0;
    if (file)
        fclose(file);
    return pages * (uint64_t)getpagesize();
}

static int switch_often(struct weir_context *context, void *argument)
{
    for (uint64_t turns = ((struct bench *)argument)->turns; turns; turns--)
        weir_yield(context);
    return 0;
}

static int end_at_once(struct weir_context *context, void *argument)
{
    (void)context;
    (void)argument;
    return 0;
}

static int send_items(struct weir_context *context, void *argument)
{
    struct bench *bench = argument;
    for (uint64_t i = 0; i < ITEMS; i++)
        weir_channel_send(context, bench->channel, &i, WEIR_NEVER);
    weir_channel_close(bench->channel);
    return 0;
}

static int receive_items(struct weir_context *context, void *argument)
{
    struct bench *bench = argument;
    uint64_t item, sum = 0;
    while (weir_channel_receive(context, bench->channel, &item, WEIR_NEVER) == 0)
        sum += item;
    return sum == (uint64_t)ITEMS * (ITEMS - 1) / 2 ? 0 : -1;
}

static int sleep_once(struct weir_context *context, void *argument)
{
    return weir_sleep(context, ((struct bench *)argument)->sleep_ns);
}

static void keep_best(double *best, int64_t start, uint64_t count)
{
    double each = (double)(clock_thread_cpu() - start) / (double)count;
    if (*best == 0 || each < *best)
        *best = each;
}

static int measure(struct weir_context *context, void *argument)
{
    struct bench *bench = argument;
    struct weir_scope scope;
    for (int round = 0; round < bench->rounds; round++) {
        int64_t start = clock_thread_cpu();
        bench->turns = SWITCHES / 2;
        weir_scope_open(context, &scope);
        weir_scope_spawn(&scope, "one", switch_often, bench);
        weir_scope_spawn(&scope, "two", switch_often, bench);
        weir_scope_join(&scope);
        keep_best(&bench->best[0], start, SWITCHES);
        start = clock_thread_cpu();
        weir_scope_open(context, &scope);
        for (int i = 0; i < SPAWNS; i++) {
            weir_scope_spawn(&scope, "short", end_at_once, NULL);
            weir_yield(context);
        }
        weir_scope_join(&scope);
        keep_best(&bench->best[1], start, SPAWNS);
        bench->channel = weir_channel_new(sizeof(uint64_t), CHANNEL);
        start = clock_thread_cpu();
        weir_scope_open(context, &scope);
        weir_scope_spawn(&scope, "send", send_items, bench);
        weir_scope_spawn(&scope, "receive", receive_items, bench);
        weir_scope_join(&scope);
        keep_best(&bench->best[2], start, ITEMS);
        weir_channel_free(bench->channel);
    }
    uint64_t before = resident_bytes();
    for (int cycle = 0; cycle < CYCLES; cycle++) {
        int64_t start = clock_monotonic(), cpu = clock_thread_cpu();
        weir_scope_open(context, &scope);
        for (uint32_t i = 0; i < bench->tasks; i++)
            weir_scope_spawn(&scope, "sleeper", sleep_once, bench);
        weir_scope_join(&scope);
        bench->cycles_ms[cycle] = (double)(clock_monotonic() - start) / 1e6;
        bench->cycles_cpu_ms[cycle] = (double)(clock_thread_cpu() - cpu) / 1e6;
    }
    bench->resident = resident_bytes() - before;
    return 0;
}

int main(int argc, char **argv)
{
    struct bench bench = {.sleep_ns = 100 * CLOCK_MILLISECOND, .tasks = 100000, .rounds = ROUNDS};
    struct context_clock clock = {0};
    struct weir_waiter waiter;
    struct weir_context context = {.clock = &clock, .waiter = &waiter, .cancel_fd = -1};
    struct loop *loop;
    if (argc > 1)
        bench.tasks = (uint32_t)strtoul(argv[1], NULL, 10);
    if (argc > 2)
        bench.rounds = atoi(argv[2]);
    waiter_init(&waiter);
    struct loop_options options = {.outer = &context};
    if (loop_new(&options, &loop) < 0 || loop_run(loop, "measure", measure, &bench) < 0)
        return 1;
    loop_free(loop);
    printf("{\"switch_ns\": %.1f, \"spawn_ns\": %.1f, \"channel_ns\": %.1f, \"sleepers\": %u, \"cycles_ms\": [",
           bench.best[0], bench.best[1], bench.best[2], bench.tasks);
    for (int i = 0; i < CYCLES; i++)
        printf("%s%.1f", i ? ", " : "", bench.cycles_ms[i]);
    printf("], \"cycles_cpu_ms\": [");
    for (int i = 0; i < CYCLES; i++)
        printf("%s%.1f", i ? ", " : "", bench.cycles_cpu_ms[i]);
    printf("], \"sleeper_bytes\": %.0f}\n", (double)bench.resident / bench.tasks);
    return 0;
}
