/* SPDX-License-Identifier: MIT */
/* The load generator and sweeps against the simulated server, on the simulated clock: there is a truth to compare with.
 * The same seeds give the same runs, so that nothing here depends on the machine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "async/loop.h"
#include "async/network.h"
#include "async/simulated.h"
#include "base/clock.h"
#include "base/memory.h"
#include "load/sweep.h"
#include "sim/random.h"
#include "sim/server.h"

#define SECOND CLOCK_SECOND
#define MILLISECOND CLOCK_MILLISECOND

enum { SEEDS = 20 };

struct world {
    struct simulated simulated;
    struct server_options server;
    struct server *peer;
    struct load_target target;
    struct load_tally *tally;
    struct sweep *sweep;
    struct weir_context *context; /* of the test's task */
    struct weir_scope scope;      /* the server's */
    int (*test)(struct world *world);
    int64_t dies_ns; /* when the server ends; 0: never */
    uint32_t runs;
    const void *more;
};

static int serve(struct weir_context *context, void *argument)
{
    struct world *world = argument;
    return server_serve(context, world->peer, "peer", 80, NULL, NULL);
}

static int serve_for_a_while(struct weir_context *context, void *argument)
{
    struct world *world = argument;
    int error = weir_with_deadline(context, weir_now(context) + world->dies_ns, serve, world);
    return error == -ETIMEDOUT ? 0 : error;
}

static int run_root(struct weir_context *context, void *argument)
{
    struct world *world = argument;
    world->context = context;
    assert_int_equal(server_new(&world->server, &world->peer), 0);
    weir_scope_open(context, &world->scope);
    assert_int_equal(weir_scope_spawn(&world->scope, "server", world->dies_ns ? serve_for_a_while : serve, world), 0);
    (void)weir_yield(context);
    int result = world->test(world);
    weir_scope_close(&world->scope);
    server_free(world->peer);
    return result;
}

static void in_world(struct world *world, int (*test)(struct world *))
{
    struct loop *loop;
    simulated_init(&world->simulated);
    struct network *network = network_new(world->server.seed);
    world->test = test;
    world->target.request.url = "http://peer/";
    world->target.timeout_ns = world->target.timeout_ns ? world->target.timeout_ns : 1000 * SECOND;
    memset(&world->target.statuses[200], true, 100);
    world->tally = memory_zeroed(1, sizeof *world->tally);
    struct loop_options options = {.outer = &world->simulated.context, .network = network};
    assert_int_equal(loop_new(&options, &loop), 0);
    assert_int_equal(loop_run(loop, "test", run_root, world), 0);
    loop_free(loop);
    network_free(network);
    memory_free(world->tally);
}

static void assert_within(double value, double truth, double share, const char *what, uint64_t seed)
{
    if (fabs(value - truth) > share * truth)
        fail_msg("seed %llu: %s is %g, should be %g within %g %%", (unsigned long long)seed, what, value, truth,
                 share * 100);
}

static double rate(const struct load_tally *tally, double attempts)
{
    return attempts / ((double)tally->window_ns * 1e-9);
}

/* ---- Against theory ---------------------------------------------------------------------------------------------- */

/* N users and c workers: X = min(N, c) / s and R = max(s, N s / c). */
static int check_closed(struct world *world)
{
    const struct server_options *server = &world->server;
    double workers = server->workers, service = (double)server->service.mean_ns * 1e-9;
    const double users[] = {1, floor(workers / 2), workers, workers * 3 + 1};
    for (int i = 0; i < 4; i++) {
        struct load_options options = {.target = &world->target,
                                       .concurrency = users[i] < 1 ? 1 : (uint32_t)users[i],
                                       .warmup_ns = 3 * server->service.mean_ns,
                                       .duration_ns = server->service.mean_ns * (300 / server->workers),
                                       .seed = server->seed};
        double n = options.concurrency, least = n < workers ? n : workers, share = 0.05;
        if (n == 1 && server->service.kind != DISTRIBUTION_FIXED)
            options.duration_ns = 400 * server->service.mean_ns; /* one user has the fewest attempts */
        assert_int_equal(load_run(world->context, &options, world->tally), 0);
        struct load_level level = {.kind = LOAD_CLOSED, .value = n};
        assert_int_equal(level_add(&level, world->tally, 1), 0);
        assert_within(level.throughput, least / service, share, "throughput", server->seed);
        assert_within(level.goodput, least / service, share, "goodput", server->seed);
        assert_within(level.response.mean, fmax(service, n * service / workers), share, "response", server->seed);
        assert_within(level.in_flight, n, 0.001, "in flight", server->seed);
        assert_true(level.success > 0.999999 && level.gap < 0.05 && !level.broken && !level.client_bound);
        level_free(&level);
    }
    return 0;
}

static void test_closed_loop(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct random random;
        random_seed(&random, seed);
        int64_t service = (int64_t)(10 + random_below(&random, 190)) * MILLISECOND;
        struct world world = {
            .server = {.workers = 2 + (uint32_t)random_below(&random, 30),
                       .service = {seed % 2 ? DISTRIBUTION_FIXED : DISTRIBUTION_UNIFORM, service, service / 4},
                       .timeout_ns = 10000 * SECOND,
                       .queue = SERVER_QUEUE_MOST,
                       .seed = seed}};
        in_world(&world, check_closed);
    }
}

/* The probability that an arrival has to wait, of c servers with a load of `load` (in servers). */
static double erlang_c(double load, uint32_t servers)
{
    double term = 1, sum = 0;
    for (uint32_t k = 0; k < servers; k++) {
        sum += term;
        term *= load / (k + 1);
    }
    double waiting = term * servers / (servers - load);
    return waiting / (sum + waiting);
}

struct erlang {
    double wait, theory;
};

static int check_open(struct world *world)
{
    const struct server_options *server = &world->server;
    struct erlang *sum = (struct erlang *)(uintptr_t)world->more;
    double service = (double)server->service.mean_ns * 1e-9, load = 0.7 * server->workers;
    struct load_options options = {.target = &world->target,
                                   .kind = LOAD_OPEN,
                                   .rate = load / service,
                                   .warmup_ns = 20 * server->service.mean_ns,
                                   .seed = server->seed};
    options.duration_ns = (int64_t)(5000 / options.rate * 1e9);
    assert_int_equal(load_run(world->context, &options, world->tally), 0);
    double wait = erlang_c(load, server->workers) * service / (server->workers - load);
    double measured = histogram_mean(&world->tally->response) * 1e-9;
    assert_within(measured, service + wait, 0.05, "response", server->seed);
    assert_within(rate(world->tally, world->tally->completed), options.rate, 0.05, "throughput", server->seed);
    assert_within(rate(world->tally, world->tally->offered), options.rate, 0.05, "offered", server->seed);
    assert_within(rate(world->tally, world->tally->in_flight_ns * 1e-9), options.rate * measured, 0.05, "in flight",
                  server->seed);
    sum->wait += (measured - service) / SEEDS;
    sum->theory += wait / SEEDS;
    return 0;
}

static void test_open_loop(void **state)
{
    (void)state;
    struct erlang sum = {0, 0};
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct world world = {.server = {.workers = 8,
                                         .service = {DISTRIBUTION_EXPONENTIAL, 50 * MILLISECOND, 0},
                                         .timeout_ns = 10000 * SECOND,
                                         .queue = SERVER_QUEUE_MOST,
                                         .seed = seed},
                              .more = &sum};
        in_world(&world, check_open);
    }
    assert_within(sum.wait, sum.theory, 0.15, "wait", 0);
}

/* More arrivals than can be worked on: no more end than the server can do, and none of it is Little's fault. */
static int check_overload(struct world *world)
{
    const struct server_options *server = &world->server;
    double capacity = server->workers / ((double)server->service.mean_ns * 1e-9), load = *(const double *)world->more;
    struct load_options options = {.target = &world->target,
                                   .kind = LOAD_OPEN,
                                   .arrivals = world->runs % 2 ? LOAD_CONSTANT : LOAD_POISSON,
                                   .rate = load * capacity,
                                   .warmup_ns = SECOND / 2,
                                   .duration_ns = 2 * SECOND,
                                   .seed = server->seed};
    struct load_level level = {.kind = LOAD_OPEN, .value = options.rate};
    assert_int_equal(load_run(world->context, &options, world->tally), 0);
    assert_int_equal(level_add(&level, world->tally, 1), 0);
    if (level.throughput > capacity * 1.01 || level.goodput > level.throughput)
        fail_msg("seed %llu: %g/s of at most %g/s", (unsigned long long)server->seed, level.throughput, capacity);
    if (load > 1.1) {
        assert_within(level.throughput, capacity, 0.01, "throughput", server->seed);
        assert_true(level.unsustained && !level.broken);
    }
    const struct judge_limits limits = {.success = 0.99};
    assert_true(load < 1.1 || !judge_acceptable(&level, &limits));
    level_free(&level);
    return 0;
}

static void test_overload(void **state)
{
    (void)state;
    static const double loads[] = {0.95, 1.02, 1.2, 2, 10};
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct random random;
        random_seed(&random, seed);
        int64_t service = (int64_t)(10 + random_below(&random, 90)) * MILLISECOND;
        struct world world = {.server = {.workers = 2 + (uint32_t)random_below(&random, 10),
                                         .service = {DISTRIBUTION_FIXED, service, 0},
                                         .timeout_ns = 10000 * SECOND,
                                         .queue = SERVER_QUEUE_MOST,
                                         .seed = seed},
                              .runs = (uint32_t)(seed / 5),
                              .more = &loads[seed % 5]};
        in_world(&world, check_overload);
    }
}

static int check_percentiles(struct world *world)
{
    double mean = (double)world->server.service.mean_ns * 1e-9;
    bool uniform = world->server.service.kind == DISTRIBUTION_UNIFORM;
    struct load_options options = {
        .target = &world->target, .concurrency = 50, .warmup_ns = SECOND, .duration_ns = 10 * SECOND};
    assert_int_equal(load_run(world->context, &options, world->tally), 0);
    static const double shares[] = {0.5, 0.9, 0.99};
    for (int i = 0; i < 3; i++) {
        double truth = uniform ? mean / 2 + mean * shares[i] : -log(1 - shares[i]) * mean;
        double measured = (double)histogram_quantile(&world->tally->response, shares[i]) * 1e-9;
        assert_within(measured, truth, 0.05, uniform ? "uniform quantile" : "exponential quantile", 1);
    }
    return 0;
}

/* More workers than users: response times are those of the service. */
static void test_percentiles(void **state)
{
    (void)state;
    for (int uniform = 0; uniform < 2; uniform++) {
        struct world world = {.server = {.workers = 60,
                                         .service = {uniform ? DISTRIBUTION_UNIFORM : DISTRIBUTION_EXPONENTIAL,
                                                     50 * MILLISECOND, 25 * MILLISECOND},
                                         .timeout_ns = 100 * SECOND,
                                         .seed = 1}};
        in_world(&world, check_percentiles);
    }
}

/* ---- Sweeps ------------------------------------------------------------------------------------------------------ */

static int run_level(void *owner, const struct load_options *options, struct load_tally *tallies)
{
    struct world *world = owner;
    world->runs++;
    return load_run(world->context, options, tallies);
}

static struct sweep_options sweep_options(struct world *world)
{
    return (struct sweep_options){
        .load = {.target = &world->target, .warmup_ns = SECOND / 2, .duration_ns = SECOND, .seed = world->server.seed},
        .levels = sweep_default_levels,
        .level_count = sweep_default_level_count,
        .repeats = 1,
        .limits = {.success = 0.99},
        .collapse = 0.5,
        .run = run_level,
        .owner = world,
    };
}

/* Rates that can be sustained are, however long an answer takes; and the highest of them is the one to use. */
static int check_rates(struct world *world)
{
    double service = (double)world->server.service.mean_ns * 1e-9, capacity = world->server.workers / service;
    const double levels[] = {0.25 * capacity, 0.5 * capacity, 0.9 * capacity, 1.3 * capacity, 3 * capacity};
    struct sweep_options options = sweep_options(world);
    options.load.kind = LOAD_OPEN;
    options.load.arrivals = LOAD_CONSTANT;
    options.levels = levels;
    options.level_count = 5;
    options.repeats = 3; /* in random order: what one leaves behind is not the next one's */
    options.keep_going = true;
    assert_int_equal(sweep_new(&options, &world->sweep), 0);
    sweep_run(world->sweep);
    for (int i = 0; i < 3; i++) {
        const struct load_level *level = &world->sweep->levels[i];
        assert_within(level->throughput, levels[i], 0.05, "throughput", world->server.seed);
        assert_within(level->response.mean, service, 0.05, "response", world->server.seed);
        assert_true(!level->unsustained && !level->broken);
    }
    assert_true(world->sweep->levels[3].unsustained && world->sweep->levels[4].unsustained);
    assert_true(!world->sweep->levels[3].broken && !world->sweep->levels[4].broken);
    assert_int_equal(sweep_judge(world->sweep).sweet, 2);
    sweep_free(world->sweep);
    return 0;
}

static void test_rates(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        struct world world = {.server = {.workers = 50 * (uint32_t)seed,
                                         .service = {DISTRIBUTION_FIXED, (int64_t)seed * 700 * MILLISECOND, 0},
                                         .timeout_ns = 10000 * SECOND,
                                         .queue = SERVER_QUEUE_MOST,
                                         .seed = seed}};
        in_world(&world, check_rates);
    }
}

/* The knee is at as many users as there are workers. */
static int check_sweet_spot(struct world *world)
{
    const struct server_options *server = &world->server;
    struct sweep_options options = sweep_options(world);
    options.automatic = true;
    options.most = 10000;
    options.load.warmup_ns = 3 * server->service.mean_ns;
    options.load.duration_ns = server->service.mean_ns * (15 + 100 / server->workers);
    assert_int_equal(sweep_new(&options, &world->sweep), 0);
    sweep_run(world->sweep);
    struct judgement found = sweep_judge(world->sweep);
    assert_int_equal(world->sweep->end, SWEEP_WHOLE);
    assert_true(found.sweet >= 0 && found.why == JUDGE_FOUND);
    assert_within(world->sweep->levels[found.sweet].value, server->workers, 0.1, "sweet spot", server->seed);
    assert_true(world->runs <= 24);
    sweep_free(world->sweep);
    return 0;
}

static void test_sweet_spot(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct random random;
        random_seed(&random, seed);
        int64_t service = (int64_t)(10 + random_below(&random, 90)) * MILLISECOND;
        struct world world = {
            .server = {.workers = 3 + (uint32_t)random_below(&random, 40),
                       .service = {seed % 2 ? DISTRIBUTION_FIXED : DISTRIBUTION_UNIFORM, service, service / 4},
                       .timeout_ns = 8 * service,
                       .queue = -1,
                       .seed = seed}};
        in_world(&world, check_sweet_spot);
    }
}

/* The concurrency trap: the raw rate rises with each level, the useful one stalls, and the level to use is where it
 * does. As measured on a real server in bursts: 0.41/s at 1; 45.5/s at 500, 99.8 % good; 90.8/s at 1000, 57.4 % good;
 * 181/s at 2000, 27.3 % good. */
static int check_trap(struct world *world)
{
    const double levels[] = {1, 10, 100, 500, 1000, 2000};
    struct sweep_options options = sweep_options(world);
    options.load.kind = LOAD_ONCE;
    options.levels = levels;
    options.level_count = 6;
    options.collapse = 0.2;
    assert_int_equal(sweep_new(&options, &world->sweep), 0);
    sweep_run(world->sweep);
    const struct load_level *level = world->sweep->levels;
    assert_int_equal(world->sweep->end, SWEEP_WHOLE);
    assert_within(level[0].throughput, 0.41, 0.1, "rate at 1", 1);
    assert_within(level[3].throughput, 45.5, 0.1, "rate at 500", 1);
    assert_within(level[4].throughput, 90.8, 0.1, "rate at 1000", 1);
    assert_within(level[5].throughput, 181, 0.1, "rate at 2000", 1);
    assert_true(level[3].success > 0.99);
    assert_within(level[4].success, 0.5, 0.15, "success at 1000", 1);
    assert_within(level[5].success, 0.25, 0.15, "success at 2000", 1);
    assert_within(level[4].goodput, level[3].goodput, 0.15, "goodput at 1000", 1);
    assert_within(level[5].goodput, level[3].goodput, 0.15, "goodput at 2000", 1);
    struct judgement found = sweep_judge(world->sweep);
    assert_int_equal(found.sweet, 3);
    assert_int_equal(found.raw_peak, 5);
    for (int i = 0; i < 6; i++)
        assert_true(level[i].gap < 0.001 && !level[i].broken);
    sweep_free(world->sweep);
    return 0;
}

static void test_trap(void **state)
{
    (void)state;
    struct world world = {.server = {.workers = 125,
                                     .service = {DISTRIBUTION_LOGNORMAL, 2400 * MILLISECOND, 200 * MILLISECOND},
                                     .timeout_ns = 11 * SECOND,
                                     .queue = 515, /* all that come at once wait first */
                                     .seed = 1}};
    in_world(&world, check_trap);
}

/* The default levels: ends where success collapses, visits the others again, and tells it in all forms. */
static int check_list(struct world *world)
{
    struct sweep_options options = sweep_options(world);
    options.repeats = 2;
    options.collapse = 0.95;
    assert_int_equal(sweep_new(&options, &world->sweep), 0);
    sweep_run(world->sweep);
    const struct sweep *sweep = world->sweep;
    assert_int_equal(sweep->end, SWEEP_COLLAPSED);
    assert_int_equal(sweep->used, 9); /* at 1000 users 100 find the queue full */
    assert_int_equal(sweep->levels[8].repeats, 2);
    assert_int_equal(sweep->levels[9].repeats, 0);
    assert_int_equal(world->runs, 18 + 1); /* and one request to see whether somebody listens */
    struct judgement found = sweep_judge(sweep);
    assert_true(found.sweet == 4 && sweep->levels[4].value == 50);
    assert_within(sweep->levels[4].goodput, 1000, 0.02, "goodput", 1);
    assert_within(sweep->levels[8].success, 0.90, 0.03, "success", 1);

    struct weir_buffer text = {0};
    const struct sweep_words words = {"http://peer/", "1.2.3", 80, false};
    sweep_table(sweep, &words, &text);
    sweep_verdict(sweep, &words, &text);
    sweep_json(sweep, &words, &text);
    buffer_append(&text, "", 1);
    assert_false(text.failed);
    assert_non_null(strstr(text.data, "◄ use this"));
    assert_non_null(strstr(text.data, "left out"));
    assert_non_null(strstr(text.data, "Use a concurrency of 50: "));
    assert_non_null(strstr(text.data, "\n    concurrency: 50\n"));
    assert_non_null(strstr(text.data, "Ended at 1,000, where less than 95.0 % of the answers are good"));
    assert_non_null(strstr(text.data, "\"sweet_spot\":{\"concurrency\":50,"));
    buffer_free(&text);
    sweep_free(world->sweep);
    return 0;
}

static void test_list(void **state)
{
    (void)state;
    struct world world = {
        .server = {.workers = 50, .service = {DISTRIBUTION_FIXED, 50 * MILLISECOND, 0}, .queue = -1, .seed = 1}};
    in_world(&world, check_list);
}

static int check_death(struct world *world)
{
    const double levels[] = {1, 2, 4, 8, 16, 32};
    struct sweep_options options = sweep_options(world);
    options.levels = levels;
    options.level_count = 6;
    options.keep_going = true;
    assert_int_equal(sweep_new(&options, &world->sweep), 0);
    sweep_run(world->sweep);
    const struct sweep *sweep = world->sweep;
    assert_int_equal(sweep->end, SWEEP_DIED);
    assert_true(sweep->died_at == 4 && sweep->levels[2].died);
    assert_int_equal(sweep->levels[3].repeats, 0);
    assert_true(level_ended(&sweep->levels[2], LOAD_REFUSED) > 0);
    struct judgement found = sweep_judge(sweep);
    assert_int_equal(found.sweet, 1);
    assert_int_equal(found.good_peak, 1);
    struct weir_buffer text = {0};
    const struct sweep_words words = {"http://peer/", "1.2.3", 80, false};
    sweep_json(sweep, &words, &text);
    buffer_append(&text, "", 1);
    assert_non_null(strstr(text.data, " The target died at 4.\""));
    assert_non_null(strstr(text.data, "\"verdict\":\"Use a concurrency of 2: "));
    text.size = 0;
    sweep_verdict(sweep, &words, &text);
    buffer_append(&text, "", 1);
    assert_null(strstr(text.data, "More does not help"));
    buffer_free(&text);
    sweep_free(world->sweep);
    return 0;
}

/* Nobody listens any more after four seconds: in the middle of the third level. */
static void test_target_dies(void **state)
{
    (void)state;
    struct world world = {
        .server = {.workers = 4, .service = {DISTRIBUTION_FIXED, 10 * MILLISECOND, 0}, .queue = -1, .seed = 1},
        .dies_ns = 4 * SECOND};
    in_world(&world, check_death);
}

static int check_nobody(struct world *world)
{
    world->target.request.url = "http://peer:81/";
    struct sweep_options options = sweep_options(world);
    assert_int_equal(sweep_new(&options, &world->sweep), 0);
    sweep_run(world->sweep);
    assert_int_equal(world->sweep->end, SWEEP_GONE);
    assert_int_equal(world->runs, 1);
    assert_non_null(strstr(world->sweep->words, "refused"));
    assert_int_equal(sweep_judge(world->sweep).why, JUDGE_NOTHING);
    sweep_free(world->sweep);
    return 0;
}

static void test_nobody_listens(void **state)
{
    (void)state;
    struct world world = {.server = {.workers = 1, .service = {DISTRIBUTION_FIXED, 1, 0}, .queue = -1, .seed = 1}};
    in_world(&world, check_nobody);
}

/* ---- One level --------------------------------------------------------------------------------------------------- */

static int stall(struct weir_context *context, void *argument)
{
    struct world *world = argument;
    struct weir_error ignored = {0};
    int error = weir_sleep(context, 3 * SECOND);
    assert_int_equal(server_set(world->peer, "service", "2s", &ignored), 0);
    if (error == 0)
        error = weir_sleep(context, 5 * MILLISECOND);
    assert_int_equal(server_set(world->peer, "service", "1ms", &ignored), 0);
    return error;
}

static int check_omission(struct world *world)
{
    struct weir_scope scope;
    weir_scope_open(world->context, &scope);
    assert_int_equal(weir_scope_spawn(&scope, "stall", stall, world), 0);
    bool open = world->more != NULL;
    struct load_options options = {.target = &world->target,
                                   .kind = open ? LOAD_OPEN : LOAD_CLOSED,
                                   .arrivals = LOAD_CONSTANT,
                                   .concurrency = 1,
                                   .rate = 200,
                                   .warmup_ns = SECOND,
                                   .duration_ns = 8 * SECOND};
    assert_int_equal(load_run(world->context, &options, world->tally), 0);
    assert_within((double)world->tally->response.most * 1e-9, 2, 0.02, "longest", 1);
    if (open) /* the 160th longest of 1,600 came 0.8 s after the first, and had 160 before it, of 1 ms each */
        assert_within((double)histogram_quantile(&world->tally->response, 0.9) * 1e-9, 1.36, 0.03, "p90", 1);
    else /* one request saw it */
        assert_true(histogram_quantile(&world->tally->response, 0.99) < 2 * MILLISECOND);
    weir_scope_close(&scope);
    return 0;
}

/* A server that does nothing for two seconds: an open loop knows of all the requests that should have been sent. */
static void test_coordinated_omission(void **state)
{
    (void)state;
    for (int open = 0; open < 2; open++) {
        struct world world = {.server = {.workers = 1,
                                         .service = {DISTRIBUTION_FIXED, MILLISECOND, 0},
                                         .timeout_ns = 100 * SECOND,
                                         .queue = SERVER_QUEUE_MOST,
                                         .seed = 1},
                              .more = open ? "open" : NULL};
        in_world(&world, check_omission);
    }
}

static int check_ends(struct world *world)
{
    struct load_options options = {
        .target = &world->target, .concurrency = 4, .warmup_ns = 0, .duration_ns = 10 * SECOND};
    /* Two are worked on, two wait in vain until the timeout of the server: 503. */
    assert_int_equal(load_run(world->context, &options, world->tally), 0);
    assert_within((double)world->tally->statuses[503], 20, 0.1, "503", 1);
    assert_int_equal(world->tally->ends[LOAD_STATUS], world->tally->statuses[503]);
    assert_within((double)world->tally->ends[LOAD_GOOD], 40, 0.1, "good", 1);
    /* What is expected decides. */
    world->target.statuses[503] = true;
    assert_int_equal(load_run(world->context, &options, world->tally), 0);
    assert_int_equal(world->tally->ends[LOAD_STATUS], 0);
    world->target.body = "timed out";
    assert_int_equal(load_run(world->context, &options, world->tally), 0);
    assert_within((double)world->tally->ends[LOAD_BODY], 40, 0.1, "another body", 1);
    assert_within((double)world->tally->ends[LOAD_GOOD], 20, 0.1, "that body", 1);
    /* The client gives up before the server does. */
    world->target.timeout_ns = 700 * MILLISECOND;
    assert_int_equal(load_run(world->context, &options, world->tally), 0);
    assert_within((double)world->tally->ends[LOAD_TIMEOUT], 28, 0.1, "timeouts", 1);
    return 0;
}

static void test_ends(void **state)
{
    (void)state;
    struct world world = {.server = {.workers = 2,
                                     .service = {DISTRIBUTION_FIXED, 500 * MILLISECOND, 0},
                                     .timeout_ns = SECOND,
                                     .queue = 0,
                                     .seed = 1}};
    in_world(&world, check_ends);
}

/* Answers that take longer than anything that was asked for. */
static int check_slow(struct world *world)
{
    struct load_options options = {
        .target = &world->target, .concurrency = 6, .warmup_ns = SECOND / 2, .duration_ns = SECOND};
    struct load_level level = {.value = 6};
    assert_int_equal(load_run(world->context, &options, world->tally), 0);
    assert_int_equal(level_add(&level, world->tally, 1), 0);
    assert_within(level.throughput, 6 / 8.0, 0.01, "throughput", 1);
    assert_within(level.response.mean, 8, 0.01, "response", 1);
    assert_true(!level.broken && world->tally->unfinished == 0);
    level_free(&level);
    return 0;
}

static void test_slow_answers(void **state)
{
    (void)state;
    struct world world = {.server = {.workers = 10,
                                     .service = {DISTRIBUTION_FIXED, 8 * SECOND, 0},
                                     .timeout_ns = 100 * SECOND,
                                     .seed = 1},
                          .target.timeout_ns = 10 * SECOND};
    in_world(&world, check_slow);
}

/* A window that is shorter than an attempt, and one that no attempt ends in. */
static int check_short(struct world *world)
{
    struct load_options options = {
        .target = &world->target, .concurrency = 1, .warmup_ns = 0, .duration_ns = 20 * MILLISECOND};
    struct load_level level = {.value = 1};
    assert_int_equal(load_run(world->context, &options, world->tally), 0);
    assert_int_equal(level_add(&level, world->tally, 1), 0);
    assert_within(level.throughput, 2, 0.01, "throughput", 1); /* a share of one attempt */
    assert_within(level.response.mean, 0.5, 0.01, "response", 1);
    assert_true(!level.broken && !level.empty);
    level_free(&level);

    /* An open level waits for first answers, but not for ever. */
    options.kind = LOAD_OPEN;
    options.rate = 200;
    options.duration_ns = SECOND;
    level = (struct load_level){.kind = LOAD_OPEN, .value = 200};
    struct weir_error ignored = {0};
    assert_int_equal(server_set(world->peer, "service", "100s", &ignored), 0);
    assert_int_equal(load_run(world->context, &options, world->tally), 0);
    assert_within((double)world->tally->unfinished, 6 * 200, 0.1, "unfinished", 1);
    assert_int_equal(level_add(&level, world->tally, 1), 0);
    assert_true(level.broken && level.empty && level.throughput == 0);
    assert_within(level.gap, 1, 0.01, "gap", 1);
    level_free(&level);
    return 0;
}

static void test_short_windows(void **state)
{
    (void)state;
    struct world world = {.server = {.workers = 1,
                                     .service = {DISTRIBUTION_FIXED, 500 * MILLISECOND, 0},
                                     .timeout_ns = 1000 * SECOND,
                                     .queue = -1,
                                     .seed = 1}};
    in_world(&world, check_short);
}

static int interrupt(struct weir_context *context, void *argument)
{
    struct world *world = argument;
    const double levels[] = {2, 4, 8};
    struct sweep_options options = sweep_options(world);
    options.levels = levels;
    options.level_count = 3;
    struct weir_context *before = world->context;
    world->context = context;
    assert_int_equal(sweep_new(&options, &world->sweep), 0);
    sweep_run(world->sweep);
    world->context = before;
    return 0;
}

/* Ctrl-C in the middle of the second level. */
static int check_interrupted(struct world *world)
{
    int64_t deadline = weir_now(world->context) + SECOND * 3 / 2 + SECOND * 6 / 5;
    assert_int_equal(weir_with_deadline(world->context, deadline, interrupt, world), -ETIMEDOUT);
    const struct sweep *sweep = world->sweep;
    assert_int_equal(sweep->end, SWEEP_INTERRUPTED);
    assert_true(sweep->levels[0].repeats == 1 && !sweep->levels[0].interrupted);
    assert_true(sweep->levels[1].repeats == 1 && sweep->levels[1].interrupted);
    assert_int_equal(sweep->levels[2].repeats, 0);
    assert_within(sweep->levels[1].throughput, 400, 0.05, "what was measured", 1);
    assert_int_equal(sweep_judge(sweep).sweet, 1);
    sweep_free(world->sweep);
    return 0;
}

static void test_interrupted(void **state)
{
    (void)state;
    struct world world = {
        .server = {.workers = 4, .service = {DISTRIBUTION_FIXED, 10 * MILLISECOND, 0}, .queue = -1, .seed = 1}};
    in_world(&world, check_interrupted);
}

/* More arrivals than may be under way: they are not sent, counted, and no success. */
static int check_not_sent(struct world *world)
{
    struct load_options options = {.target = &world->target,
                                   .kind = LOAD_OPEN,
                                   .rate = 1000,
                                   .in_flight_most = 50,
                                   .warmup_ns = SECOND,
                                   .duration_ns = 4 * SECOND};
    struct load_level level = {.kind = LOAD_OPEN, .value = 1000};
    assert_int_equal(load_run(world->context, &options, world->tally), 0);
    assert_int_equal(level_add(&level, world->tally, 1), 0);
    assert_within(level.throughput, 400, 0.02, "throughput", 1);
    assert_within(level.in_flight, 50, 0.02, "in flight", 1);
    assert_within((double)level_ended(&level, LOAD_NOT_SENT), 2400, 0.1, "not sent", 1);
    assert_within(level.success, 0.4, 0.1, "success", 1);
    assert_true(level.unsustained);
    level_free(&level);
    return 0;
}

static void test_not_sent(void **state)
{
    (void)state;
    struct world world = {.server = {.workers = 4,
                                     .service = {DISTRIBUTION_FIXED, 10 * MILLISECOND, 0},
                                     .timeout_ns = 100 * SECOND,
                                     .queue = 1000,
                                     .seed = 1}};
    in_world(&world, check_not_sent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_closed_loop),    cmocka_unit_test(test_open_loop),
        cmocka_unit_test(test_overload),       cmocka_unit_test(test_rates),
        cmocka_unit_test(test_slow_answers),   cmocka_unit_test(test_percentiles),
        cmocka_unit_test(test_sweet_spot),     cmocka_unit_test(test_trap),
        cmocka_unit_test(test_list),           cmocka_unit_test(test_target_dies),
        cmocka_unit_test(test_nobody_listens), cmocka_unit_test(test_coordinated_omission),
        cmocka_unit_test(test_ends),           cmocka_unit_test(test_short_windows),
        cmocka_unit_test(test_interrupted),    cmocka_unit_test(test_not_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
