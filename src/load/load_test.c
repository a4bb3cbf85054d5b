/* SPDX-License-Identifier: MIT */
/* The load generator against the simulated server, on the simulated clock: there is a truth to compare with. The same
 * seeds give the same runs, so that nothing here depends on the machine. */
#include "load/test_world.h"

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
        cmocka_unit_test(test_closed_loop),
        cmocka_unit_test(test_open_loop),
        cmocka_unit_test(test_overload),
        cmocka_unit_test(test_percentiles),
        cmocka_unit_test(test_coordinated_omission),
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_slow_answers),
        cmocka_unit_test(test_short_windows),
        cmocka_unit_test(test_not_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
