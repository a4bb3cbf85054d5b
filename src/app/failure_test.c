/* SPDX-License-Identifier: MIT */
/*
 * What becomes of pipelines of real parts when something under them fails: each allocation in turn, each system call of
 * ours in turn, once or from then on, from opening to closing. Whatever fails: what could not be opened says why, what
 * runs ends with every record accounted for, and neither descriptors nor memory stay behind (the leak check of
 * AddressSanitizer sees the rest). WEIR_TEST_SEEDS above 1000 tries each single allocation of the runs as well.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "async/fiber.h"
#include "async/network.h"
#include "base/clock.h"
#include "base/memory.h"
#include "base/system.h"
#include "base/test_descriptors.h"
#include "conf/conf.h"
#include "flow/pipeline.h"
#include "sim/server.h"

enum { RUNS_TRIED = 12 / FIBER_STACK_FACTOR };

#define SOURCE "sources: {made: {type: generate, keys: 3, rate: 100/s, count: 12}}\n"
#define DIGITISER "sources: {digitiser: {type: adc, sample_rate: 1e6, samples: 256, tones: [125e3], count: 6}}\n"
#define NOWHERE "sinks: {none: {type: \"null\"}}\nrun: {lanes: 1, memory: 32MiB}\n"
#define ASK "breaker: 0, retries: 1, timeout: 300ms"

/* With a server in memory that answers everything, on the simulated clock. */
static const char *const in_memory[] = {
    "sources: {plant: {type: http, url: \"http://plant/sensor/{0..2}\", every: 100ms, count: 3, timeout: "
    "50ms}}\n" NOWHERE,
    SOURCE "stages: [{call: {url: \"http://model/embed\", batch: 4, value: sensor, values: {vector: \"\"}, "
           "fields: {vector: \"f64[4]\"}, " ASK "}}]\n" NOWHERE,
    SOURCE
    "stages: [{lookup: {url: \"http://sites/{sensor}\", values: {n: /number}, fields: {n: f64}, cache: 64KiB, " ASK
    "}}]\n" NOWHERE,
    SOURCE "sinks: {store: {type: http, url: \"http://store/write\", format: json, compress: gzip, " ASK "}}\n"
           "run: {lanes: 1, memory: 32MiB}\n",
    SOURCE "stages: [{delay: {time: 5ms}}, {rolling: {field: value, window: 4, compute: [mean, max]}}]\n" NOWHERE,
    SOURCE "stages: [{aggregate: {field: value, every: 20ms, window: 60ms, compute: [median, distinct]}}]\n" NOWHERE,
    SOURCE "stages: [{aggregate: {field: value, gap: 15ms, compute: [p90, slope], max_values: 6}}]\n" NOWHERE,
    DIGITISER "stages: [{unpack: {field: samples, sample_rate: 1e6}}]\n" NOWHERE,
    DIGITISER "stages: [{power: samples}, {spectrum: {field: samples, length: 64, window: hann}}]\n" NOWHERE,
};

/* With real sockets, on threads. Nobody listens where they turn to. */
static const char *const on_threads[] = {
    "sources: {plant: {type: http, url: \"http://127.0.0.1:9/sensor/{0..2}\", every: 1ms, count: 2, timeout: 20ms, "
    "retries: 0}}\n" NOWHERE,
    "sources: {plant: {type: http, url: \"https://127.0.0.1:9/\", every: 1ms, count: 1, timeout: 20ms, retries: "
    "0}}\n" NOWHERE,
    "sources: {heaps: {type: spead, listen: \"127.0.0.1:0\", heap_memory: 1MiB, max_heap_bytes: 64KiB}}\n" NOWHERE,
    DIGITISER "sinks: {out: {type: spead, to: \"127.0.0.1:9\", ids: {timestamp: 0x1600, samples: 0x3300}}}\n"
              "run: {lanes: 1, memory: 32MiB}\n",
};

/* Which call fails. */
struct failing {
    uint64_t nth;
    int error;             /* of a system call; 0: an allocation */
    bool forever, opening; /* opening: none fails after that */
};

static void begin(const struct failing *failing)
{
    if (failing->error)
        system_fail_nth(failing->nth, failing->error);
    else
        memory_fail_nth(failing->nth, failing->forever);
}

/* How many calls there were. */
static uint64_t end(const struct failing *failing)
{
    return failing->error ? system_fail_nth(0, 0) : memory_fail_nth(0, false);
}

/* ---- One run ---------------------------------------------------------------------------------------------------- */

static void check_accounts(struct pipeline *pipeline)
{
    struct weir_error error = {0};
    struct pipeline_snapshot *snapshot = NULL;
    if (pipeline_result(pipeline, &error) < 0)
        assert_true(error.text[0] != 0);
    assert_int_equal(pipeline_snapshot(pipeline, &snapshot), 0);
    assert_int_equal(snapshot->unaccounted, 0);
    assert_int_equal(snapshot->in_flight_bytes, 0);
    assert_int_equal(snapshot->records_in, snapshot->records_stored + snapshot->records_refused +
                                               snapshot->records_filtered + snapshot->records_dropped);
    pipeline_snapshot_free(snapshot);
}

/* Until it ends by itself, or is told to: a source may have no end, or have lost whom it asks. */
static uint64_t run(struct pipeline *pipeline, const struct failing *failing, bool simulated)
{
    int64_t patience = simulated ? 60 * CLOCK_SECOND : 20 * CLOCK_MILLISECOND;
    int ended = pipeline_start(pipeline) < 0 ? 1 : pipeline_wait(pipeline, pipeline_now(pipeline) + patience);
    uint64_t made = end(failing); /* who waited for memory has some now */
    if (!ended) {
        pipeline_stop(pipeline);
        ended = pipeline_wait(pipeline, pipeline_now(pipeline) + patience);
    }
    if (!ended) { /* a sink that sends again until somebody takes it */
        pipeline_abort(pipeline);
        ended = pipeline_wait(pipeline, pipeline_now(pipeline) + 600 * CLOCK_SECOND);
    }
    assert_int_equal(ended, 1);
    check_accounts(pipeline);
    return made;
}

static int serve(struct weir_context *context, void *owner)
{
    return server_serve(context, owner, "*", 80, NULL, NULL);
}

/* Opens, runs and closes. What surrounds the pipeline does not fail when it is made. Returns how many calls there were.
 */
static uint64_t try(const char *text, const struct failing *failing, bool simulated)
{
    const struct server_options serving = {.workers = 4, .service = {.mean_ns = CLOCK_MILLISECOND}, .dimensions = 4};
    struct network *network = simulated ? network_new(7) : NULL;
    struct server *server = NULL;
    struct pipeline *pipeline = NULL;
    struct plan *plan = NULL;
    struct weir_error error = {0};
    uint64_t made = 0;
    if (conf_parse("test.yaml", text, strlen(text), NULL, &plan, &error) < 0)
        fail_msg("%s", error.text);
    struct pipeline_options options = {.simulated = simulated, .seed = 3, .network = network};
    if (simulated) {
        assert_int_equal(server_new(&serving, &server), 0);
        network_lead_to(network, 80);
        options.peer = serve;
        options.peer_owner = server;
    }
    if (failing->opening)
        begin(failing);
    int code = pipeline_open(plan, &options, &pipeline, &error);
    if (failing->opening)
        made = end(failing);
    if (code < 0) {
        assert_true(error.text[0] != 0);
    } else if (!failing->opening) {
        begin(failing);
        made = run(pipeline, failing, simulated);
    }
    if (code == 0)
        pipeline_close(pipeline);
    server_free(server);
    network_free(network);
    plan_free(plan);
    if (code < 0 && !failing->opening)
        fail_msg("%s", error.text);
    return made;
}

/* ---- All of them ------------------------------------------------------------------------------------------------ */

static bool thoroughly(void)
{
    const char *seeds = getenv("WEIR_TEST_SEEDS");
    return seeds && strtoull(seeds, NULL, 10) > 1000;
}

/* Once without a failure, to see how many calls there are; then each of them, or as many as there is time for. */
static void sweep(const char *text, struct failing failing, bool simulated)
{
    failing.nth = UINT64_MAX;
    uint64_t calls = try(text, &failing, simulated);
    uint64_t step = calls / RUNS_TRIED + 1;
    uint32_t before = test_open_descriptors();
    if (failing.opening || thoroughly())
        step = 1;
    if (simulated)
        assert_true(calls > 10);
    for (failing.nth = 1; failing.nth <= calls + 1; failing.nth += step) {
        (void)try(text, &failing, simulated);
        assert_int_equal(test_open_descriptors(), before);
    }
}

static void test_allocations_on_the_way_to_open(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof in_memory / sizeof *in_memory; i++)
        sweep(in_memory[i], (struct failing){.opening = true}, true);
    for (size_t i = 0; i < sizeof on_threads / sizeof *on_threads; i++)
        sweep(on_threads[i], (struct failing){.opening = true}, false);
}

static void test_allocations_of_a_run(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof in_memory / sizeof *in_memory; i++) {
        sweep(in_memory[i], (struct failing){.forever = false}, true);
        sweep(in_memory[i], (struct failing){.forever = true}, true);
    }
}

static void test_system_calls(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof on_threads / sizeof *on_threads; i++) {
        sweep(on_threads[i], (struct failing){.error = EMFILE, .opening = true}, false);
        sweep(on_threads[i], (struct failing){.error = ENOMEM}, false);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_allocations_on_the_way_to_open),
        cmocka_unit_test(test_allocations_of_a_run),
        cmocka_unit_test(test_system_calls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
