/* SPDX-License-Identifier: MIT */
/*
 * What becomes of pipelines of real parts when something under them fails: each allocation in turn, each system call of
 * ours in turn, once or from then on, from opening to closing. Whatever fails: what could not be opened says why, what
 * runs ends with every record accounted for, and neither descriptors nor memory stay behind (the leak check of
 * AddressSanitizer sees the rest). WEIR_TEST_SEEDS above 1000 tries each single call of the runs as well.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "async/fiber.h"
#include "async/network.h"
#include "async/test_loop.h"
#include "base/clock.h"
#include "base/test_descriptors.h"
#include "base/test_failing.h"
#include "conf/conf.h"
#include "flow/pipeline.h"
#include "flow/test_accounts.h"
#include "sim/server.h"

enum { RUNS_TRIED = 12 / FIBER_STACK_FACTOR, SERVED_TRIED = 5 };
#define PATIENCE (2 * CLOCK_SECOND) /* with a server that answers: a failure, and trying again */

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

/* With real sockets, on threads, and a server in a process of its own, in which nothing fails. Of the files, one is
 * there. */
#define QUICKLY "sources: {made: {type: generate, keys: 3, rate: unlimited, count: 12}}\n"
static const char *const served[] = {
    "sources: {plant: {type: http, url: \"http://SERVER/sensor/{0..2}\", every: 1ms, count: 2, timeout: 300ms, "
    "retries: "
    "0}}\n" NOWHERE,
    QUICKLY "stages: [{call: {url: \"http://SERVER/embed\", batch: 4, value: sensor, values: {vector: \"\"}, "
            "fields: {vector: \"f64[4]\"}, " ASK "}}]\n" NOWHERE,
    QUICKLY "stages: [{lookup: {url: \"http://SERVER/{sensor}\", values: {n: /number}, " ASK "}}]\n" NOWHERE,
    QUICKLY "stages: [{lookup: {file: FOLDER/table.csv, key: sensor, file_key: id, ttl: 1ms}}]\n" NOWHERE,
    QUICKLY "sinks: {store: {type: http, url: \"http://SERVER/write\", rejects: FOLDER/rejects.ndjson, batch: 3, " ASK
            "}}\nrun: {lanes: 1, memory: 32MiB}\n",
    "sources: {rows: {type: file, path: FOLDER/table.csv, fields: {id: symbol, limit: f64}}}\n"
    "stages: [{call: {url: \"http://SERVER/ask\", values: {n: /number}, " ASK "}}]\n"
    "sinks: {store: {type: http, url: \"http://SERVER/write\", " ASK
    "}, kept: {type: file, path: FOLDER/kept.ndjson}}\n"
    "run: {lanes: 1, memory: 32MiB}\n",
};

static const char table[] = "id,limit\ns0,1.5\ns1,2.5\nx,3.5\n";
static struct surroundings {
    pid_t server;
    char address[32], folder[32];
} around;

static void tell_port(void *owner, uint16_t port)
{
    if (write(*(int *)owner, &port, sizeof port) != (ssize_t)sizeof port)
        _exit(1);
}

static int serve_until_killed(struct weir_context *context, void *tell)
{
    const struct server_options options = {.workers = 4, .dimensions = 4};
    struct server *server = NULL;
    int error = server_new(&options, &server);
    return error < 0 ? error : server_serve(context, server, "127.0.0.1", 0, tell_port, tell);
}

static void be_a_server(int tell)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)test_loop_run(NULL, serve_until_killed, &tell);
    _exit(1);
}

static int surround(void **state)
{
    int ends[2];
    uint16_t port = 0;
    char path[64];
    (void)state;
    snprintf(around.folder, sizeof around.folder, "/tmp/weir-failing-XXXXXX");
    if (!mkdtemp(around.folder) || pipe(ends) < 0)
        return -1;
    snprintf(path, sizeof path, "%s/table.csv", around.folder);
    FILE *file = fopen(path, "w");
    if (!file || fputs(table, file) < 0 || fclose(file) != 0)
        return -1;
    around.server = fork();
    if (around.server == 0)
        be_a_server(ends[1]);
    close(ends[1]);
    ssize_t size = read(ends[0], &port, sizeof port);
    close(ends[0]);
    snprintf(around.address, sizeof around.address, "127.0.0.1:%u", port);
    return around.server > 0 && size == (ssize_t)sizeof port ? 0 : -1;
}

static int clear_away(void **state)
{
    static const char *const names[] = {"table.csv", "rejects.ndjson", "kept.ndjson"};
    char path[64];
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", around.folder, names[i]);
        (void)unlink(path);
    }
    (void)rmdir(around.folder);
    (void)kill(around.server, SIGKILL);
    return waitpid(around.server, NULL, 0) == around.server ? 0 : -1;
}

static void put_in(const char *text, char *out, size_t size)
{
    size_t used = 0;
    while (*text) {
        bool server = strncmp(text, "SERVER", 6) == 0, folder = strncmp(text, "FOLDER", 6) == 0;
        used += (size_t)snprintf(out + used, size - used, server || folder ? "%s" : "%.1s",
                                 server   ? around.address
                                 : folder ? around.folder
                                          : text);
        assert_true(used < size);
        text += server || folder ? 6 : 1;
    }
}

/* What is tried. */
struct trial {
    const char *text;
    bool simulated;
    bool opening;     /* nothing fails after that */
    int64_t patience; /* with who answers: how long until it is told to end; 0: as it is usual */
};

/* ---- One run ---------------------------------------------------------------------------------------------------- */

/* Until it ends by itself, or is told to: a source may have no end, or have lost whom it asks. */
static uint64_t run(struct pipeline *pipeline, const struct failing *failing, const struct trial *trial)
{
    int64_t patience = trial->simulated ? 60 * CLOCK_SECOND : 20 * CLOCK_MILLISECOND;
    patience = trial->patience ? trial->patience : patience;
    int ended = pipeline_start(pipeline) < 0 ? 1 : pipeline_wait(pipeline, pipeline_now(pipeline) + patience);
    uint64_t made = failing_end(failing), records; /* who waited for memory has some now */
    if (!ended) {
        pipeline_stop(pipeline);
        ended = pipeline_wait(pipeline, pipeline_now(pipeline) + patience);
    }
    if (!ended) { /* a sink that sends again until somebody takes it */
        pipeline_abort(pipeline);
        ended = pipeline_wait(pipeline, pipeline_now(pipeline) + 600 * CLOCK_SECOND);
    }
    assert_int_equal(ended, 1);
    (void)test_accounts(pipeline, &records);
    return made;
}

static int serve(struct weir_context *context, void *owner)
{
    return server_serve(context, owner, "*", 80, NULL, NULL);
}

/* Opens, runs and closes. What surrounds the pipeline does not fail when it is made. Returns how many calls there were.
 */
static uint64_t try(const struct trial *trial, const struct failing *failing)
{
    const struct server_options serving = {.workers = 4, .service = {.mean_ns = CLOCK_MILLISECOND}, .dimensions = 4};
    struct network *network = trial->simulated ? network_new(7) : NULL;
    struct server *server = NULL;
    struct pipeline *pipeline = NULL;
    struct plan *plan = NULL;
    struct weir_error error = {0};
    uint64_t made = 0;
    char text[1024];
    put_in(trial->text, text, sizeof text);
    if (conf_parse("test.yaml", text, strlen(text), NULL, &plan, &error) < 0)
        fail_msg("%s", error.text);
    struct pipeline_options options = {.simulated = trial->simulated, .seed = 3, .network = network};
    if (trial->simulated) {
        assert_int_equal(server_new(&serving, &server), 0);
        network_lead_to(network, 80);
        options.peer = serve;
        options.peer_owner = server;
    }
    if (trial->opening)
        failing_begin(failing);
    int code = pipeline_open(plan, &options, &pipeline, &error);
    if (trial->opening)
        made = failing_end(failing);
    if (code < 0) {
        assert_true(error.text[0] != 0);
    } else if (!trial->opening) {
        failing_begin(failing);
        made = run(pipeline, failing, trial);
    }
    if (code == 0)
        pipeline_close(pipeline);
    server_free(server);
    network_free(network);
    plan_free(plan);
    if (code < 0 && !trial->opening)
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
static void sweep(const struct trial *trial, struct failing failing)
{
    failing.nth = UINT64_MAX;
    uint64_t calls = try(trial, &failing);
    uint64_t tried = trial->patience ? SERVED_TRIED : RUNS_TRIED;
    uint64_t step = trial->opening || thoroughly() ? 1 : calls / tried + 1;
    uint32_t before = test_open_descriptors();
    if (trial->simulated)
        assert_true(calls > 10);
    for (failing.nth = 1; failing.nth <= calls + 1; failing.nth += step) {
        (void)try(trial, &failing);
        assert_int_equal(test_open_descriptors(), before);
    }
}

static void sweep_all(const char *const *texts, size_t count, struct trial trial, struct failing failing)
{
    for (size_t i = 0; i < count; i++) {
        trial.text = texts[i];
        sweep(&trial, failing);
    }
}
#define SWEEP(texts, trial, ...) sweep_all(texts, sizeof(texts) / sizeof *(texts), trial, (struct failing){__VA_ARGS__})

static const struct trial opening_simulated = {.simulated = true, .opening = true}, simulated = {.simulated = true};
static const struct trial opening = {.opening = true}, running = {.opening = false};
static const struct trial conversing = {.patience = PATIENCE};

static void test_allocations_on_the_way_to_open(void **state)
{
    (void)state;
    SWEEP(in_memory, opening_simulated, .forever = false);
    SWEEP(on_threads, opening, .forever = false);
    SWEEP(served, opening, .forever = false);
}

static void test_allocations_of_a_run(void **state)
{
    (void)state;
    SWEEP(in_memory, simulated, .forever = false);
    SWEEP(in_memory, simulated, .forever = true);
    SWEEP(served, conversing, .forever = false);
}

static void test_system_calls(void **state)
{
    (void)state;
    SWEEP(on_threads, opening, .error = EMFILE);
    SWEEP(on_threads, running, .error = ENOMEM);
    SWEEP(served, opening, .error = EMFILE);
    SWEEP(served, conversing, .error = EMFILE);
    SWEEP(served, conversing, .error = ECONNRESET);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_allocations_on_the_way_to_open),
        cmocka_unit_test(test_allocations_of_a_run),
        cmocka_unit_test(test_system_calls),
    };
    return cmocka_run_group_tests(tests, surround, clear_away);
}
