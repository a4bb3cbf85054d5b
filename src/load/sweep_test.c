/* SPDX-License-Identifier: MIT */
/* Sweeps over the simulated server, on the simulated clock: the answer is known beforehand. */
#include "load/test_world.h"

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
int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rates),       cmocka_unit_test(test_sweet_spot),  cmocka_unit_test(test_trap),
        cmocka_unit_test(test_list),        cmocka_unit_test(test_target_dies), cmocka_unit_test(test_nobody_listens),
        cmocka_unit_test(test_interrupted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
