/* SPDX-License-Identifier: MIT */
/* Which level is the one to use, from figures that are made up; and what they look like. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "base/json.h"
#include "base/memory.h"
#include "load/sweep.h"

static struct load_level made(double value, double throughput, double success, double p99)
{
    return (struct load_level){.value = value,
                               .repeats = 3,
                               .throughput = throughput,
                               .goodput = throughput * success,
                               .success = success,
                               .response = {.mean = p99 / 2, .p50 = p99 / 2, .p90 = p99, .p99 = p99, .most = p99},
                               .in_flight = value};
}

static const struct judge_limits limits = {.success = 0.99};

/* The table of the concurrency trap: the raw rate rises with each level, goodput is highest where four in ten fail. */
static void test_trap(void **state)
{
    (void)state;
    const struct load_level levels[] = {made(1, 0.41, 1, 2), made(500, 45.5, 0.998, 11), made(1000, 90.8, 0.574, 11),
                                        made(2000, 181, 0.273, 11)};
    struct judgement found = judge(levels, 4, &limits);
    assert_int_equal(found.why, JUDGE_FOUND);
    assert_int_equal(found.sweet, 1);
    assert_int_equal(found.raw_peak, 3);
    assert_int_equal(found.good_peak, 2); /* 52.1/s */
    /* Who takes any success gets that. */
    const struct judge_limits any = {.success = 0.5};
    assert_int_equal(judge(levels, 4, &any).sweet, 2);
    /* And who wants a p99 that none has, gets none. */
    const struct judge_limits fast = {.success = 0.99, .p99_ns = 1000000000};
    assert_int_equal(judge(levels, 4, &fast).sweet, -1);
    assert_int_equal(judge(levels, 4, &fast).why, JUDGE_TOO_SLOW);
    const struct judge_limits slower = {.success = 0.99, .p99_ns = INT64_C(5000000000)};
    assert_int_equal(judge(levels, 4, &slower).sweet, 0);
}

static void test_plateau(void **state)
{
    (void)state;
    struct load_level levels[] = {made(25, 500, 1, 0.05), made(50, 985, 1, 0.05), made(100, 1000, 1, 0.1),
                                  made(500, 1003, 1, 0.5)};
    assert_int_equal(judge(levels, 4, &limits).sweet, 1); /* the lowest of those that are equally good */
    assert_int_equal(judge(levels, 4, &limits).best, 3);
    levels[1].goodput = levels[1].throughput = 900;
    assert_int_equal(judge(levels, 4, &limits).sweet, 2);
    /* Where repeats differ by more, a larger difference may be chance; but not any difference. */
    levels[1].goodput = 945;
    levels[1].goodput_deviation = levels[3].goodput_deviation = 50;
    assert_int_equal(judge(levels, 4, &limits).sweet, 1);
    levels[1].goodput = 900;
    assert_int_equal(judge(levels, 4, &limits).sweet, 2);
}

static void test_what_cannot_be_trusted(void **state)
{
    (void)state;
    struct load_level levels[] = {made(1, 10, 1, 0.1), made(2, 20, 1, 0.1), made(4, 40, 1, 0.1)};
    levels[2].client_bound = true;
    assert_int_equal(judge(levels, 3, &limits).sweet, 1);
    assert_int_equal(judge(levels, 3, &limits).good_peak, 1);
    levels[1].broken = true;
    assert_int_equal(judge(levels, 3, &limits).sweet, 0);
    assert_int_equal(judge(levels, 3, &limits).raw_peak, 0);
    levels[0].died = true;
    struct judgement found = judge(levels, 3, &limits);
    assert_true(found.sweet == -1 && found.why != JUDGE_FOUND && found.why != JUDGE_NOTHING);
    levels[0].died = false;
    levels[0].client_bound = levels[1].client_bound = true;
    assert_int_equal(judge(levels, 3, &limits).why, JUDGE_CLIENT);
    assert_int_equal(judge(levels, 0, &limits).why, JUDGE_NOTHING);
    levels[0].repeats = levels[1].repeats = levels[2].repeats = 0;
    found = judge(levels, 3, &limits);
    assert_true(found.why == JUDGE_NOTHING && found.raw_peak == -1 && found.good_peak == -1);
}

static int run_nothing(void *owner, const struct load_options *options, struct load_tally *tallies)
{
    (void)owner;
    (void)options;
    (void)tallies;
    return 0;
}

/* The text of a form, terminated; the caller frees the buffer. */
static const char *form(const struct sweep *sweep, struct weir_buffer *out,
                        void (*write)(const struct sweep *, const struct sweep_words *, struct weir_buffer *))
{
    const struct sweep_words words = {"http://[::1]:80/\"", "0", 80, false};
    buffer_free(out);
    write(sweep, &words, out);
    buffer_append(out, "", 1);
    assert_false(out->failed);
    return out->data;
}

/* Of levels that nobody measures. */
static struct sweep *new_sweep(const struct load_target *target, const double *levels, uint32_t count)
{
    const struct sweep_options options = {.load = {.target = target},
                                          .levels = levels,
                                          .level_count = count,
                                          .repeats = 1,
                                          .limits = limits,
                                          .run = run_nothing};
    struct sweep *sweep;
    assert_int_equal(sweep_new(&options, &sweep), 0);
    return sweep;
}

/* Tallies become figures; a sweep of nothing can be told in all forms. */
static void test_forms(void **state)
{
    (void)state;
    const double values[] = {8, 2, 8, 4};
    static struct load_tally tally;
    static struct load_target target;
    memset(&target.statuses[200], true, 100);
    struct sweep *sweep = new_sweep(&target, values, 4);
    struct weir_buffer text = {0};
    assert_true(sweep->count == 3 && sweep->levels[0].value == 2 && sweep->levels[2].value == 8);
    assert_non_null(strstr(form(sweep, &text, sweep_verdict), "nothing was measured"));
    assert_non_null(strstr(form(sweep, &text, sweep_plot_svg), "no data"));
    assert_non_null(strstr(form(sweep, &text, sweep_table), "concurrency"));

    memset(&tally, 0, sizeof tally);
    histogram_init(&tally.response);
    histogram_init(&tally.good);
    histogram_record(&tally.response, 10000000, 100);
    histogram_record(&tally.good, 10000000, 60);
    tally.flight_ns = 1e9;
    tally.completed = tally.shares = 100;
    tally.succeeded = 60;
    tally.window_ns = 1000000000;
    tally.in_flight_ns = 2e9; /* twice what 100/s of 10 ms make */
    tally.ends[LOAD_GOOD] = 60;
    tally.ends[LOAD_STATUS] = 30;
    tally.ends[LOAD_TIMEOUT] = 10;
    tally.statuses[200] = 60;
    tally.statuses[500] = 10;
    tally.statuses[503] = 20;
    assert_int_equal(level_add(&sweep->levels[0], &tally, 1), 0);
    assert_int_equal(level_add(&sweep->levels[0], &tally, 1), 0);
    const struct load_level *level = &sweep->levels[0];
    assert_true(level->throughput == 100 && level->goodput == 60 && level->success == 0.6 && level->repeats == 2);
    assert_true(level->gap > 0.49 && level->gap < 0.51 && level->broken);
    struct level_status statuses[2];
    assert_int_equal(level_bad_statuses(level, &target, statuses, 2), 2);
    assert_true(statuses[0].status == 503 && statuses[0].count == 40 && statuses[1].status == 500);
    assert_int_equal(level_bad_statuses(level, &target, statuses, 1), 1);
    assert_int_equal(statuses[0].status, 503);
    assert_non_null(strstr(form(sweep, &text, sweep_table), "at 2: 40 answered 503, 20 answered 500, 20 timed out"));

    struct json_tree *tree;
    struct weir_error error = {0};
    form(sweep, &text, sweep_json);
    assert_int_equal(json_tree_parse(text.data, text.size - 1, &tree, &error), 0);
    const struct json_node *root = json_tree_root(tree), *levels = json_member(root, "levels");
    assert_string_equal(json_member_text(root, "url", ""), "http://[::1]:80/\"");
    assert_true(json_member(root, "sweet_spot")->kind == JSON_NULL);
    assert_true(levels->first && !levels->first->next);
    assert_true(json_member_number(json_member(levels->first, "errors"), "timeout", 0) == 20);
    json_tree_free(tree);
    buffer_free(&text);
    sweep_free(sweep);
}

/* What is said of the levels beside the answer. */
static void test_words(void **state)
{
    (void)state;
    const double values[] = {10, 1000, 1200};
    const struct load_level rising[] = {made(10, 4, 1, 2.4), made(1000, 84, 0.55, 11), made(1200, 90, 0.4, 11)};
    static struct load_target target;
    struct sweep *sweep = new_sweep(&target, values, 3);
    struct weir_buffer text = {0};
    memcpy(sweep->levels, rising, sizeof rising);
    form(sweep, &text, sweep_verdict);
    assert_non_null(strstr(text.data, "Between 10 and 1,000 nothing was measured: try levels there, or --auto."));
    assert_null(strstr(text.data, "More does not help"));
    sweep->levels[1] = made(1000, 4, 1, 11);
    sweep->levels[2].died = true;
    form(sweep, &text, sweep_verdict);
    assert_non_null(strstr(text.data, "More does not help: at 1,000 "));
    sweep->levels[1] = made(1000, 84, 1, 11);
    form(sweep, &text, sweep_verdict);
    assert_non_null(strstr(text.data, "goodput still rises"));
    assert_null(strstr(text.data, "peaks here"));
    /* Each peak is told once: of the next level with it, else by itself. */
    sweep->levels[0] = made(10, 80, 1, 1);
    sweep->levels[1] = made(1000, 90, 0.9, 11);
    sweep->levels[2] = made(1200, 85, 0.9, 11);
    form(sweep, &text, sweep_verdict);
    assert_non_null(strstr(text.data,
                           "at 1,000, where throughput and goodput peak, only 90.0 % of the answers are good, "
                           "81/s of 90/s."));
    assert_null(strstr(text.data, "It costs"));
    sweep->levels[2] = made(1200, 95, 0.9, 11);
    form(sweep, &text, sweep_verdict);
    assert_non_null(strstr(text.data, "at 1,000 only 90.0 %"));
    assert_non_null(strstr(text.data, "Throughput and goodput peak at 1,200 with 95/s, of which 85.5/s are good. "
                                      "It costs: 10.0 % of all requests fail, and an answer takes 11 times as long"));
    assert_null(strstr(text.data, "Goodput alone"));
    sweep->levels[1].repeats = sweep->levels[2].repeats = 0;
    form(sweep, &text, sweep_verdict);
    assert_non_null(strstr(text.data, "Only one level was measured"));
    assert_null(strstr(text.data, "peaks here"));
    assert_null(strstr(text.data, "still rises"));
    buffer_free(&text);
    sweep_free(sweep);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trap),  cmocka_unit_test(test_plateau), cmocka_unit_test(test_what_cannot_be_trusted),
        cmocka_unit_test(test_forms), cmocka_unit_test(test_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
