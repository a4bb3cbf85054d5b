/* SPDX-License-Identifier: MIT */
/* What weir compare says of two runs, from numbers that are made up. */
#include "measure/compare.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "base/clock.h"
#include "flow/pipeline.h"

struct world {
    struct pipeline_snapshot before, after;
    struct compare compare;
    struct weir_buffer out;
};

/* Two runs of ten records, of so many ms, with records that wait so many ms on average. */
static void make(struct world *world, int64_t before, int64_t after, int64_t wait_before, int64_t wait_after)
{
    *world = (struct world){.compare = {.configuration = "made.yaml"}};
    struct pipeline_snapshot *snapshots[] = {&world->before, &world->after};
    struct compare_side *sides[] = {&world->compare.sequential, &world->compare.concurrent};
    const int64_t waits[] = {wait_before, wait_after}, durations[] = {before, after};
    for (int i = 0; i < 2; i++) {
        histogram_init(&snapshots[i]->wait);
        histogram_init(&snapshots[i]->latency);
        histogram_record(&snapshots[i]->wait, waits[i] * CLOCK_MILLISECOND, 10);
        snapshots[i]->records_in = 10;
        sides[i]->snapshot = snapshots[i];
        sides[i]->duration = durations[i] * CLOCK_MILLISECOND;
    }
}

static void free_world(struct world *world)
{
    buffer_free(&world->out);
}

static void expect_words(int64_t before, int64_t after, int64_t wait_before, int64_t wait_after, const char *words)
{
    static struct world world;
    make(&world, before, after, wait_before, wait_after);
    compare_text(&world.compare, &world.out);
    buffer_append(&world.out, "", 1);
    assert_false(world.out.failed);
    if (!strstr(world.out.data, words))
        fail_msg("no \"%s\" in:\n%s", words, world.out.data);
    free_world(&world);
}

static void test_the_sentence_says_which_way_it_went(void **state)
{
    (void)state;
    expect_words(3000, 300, 500, 50, "takes 3.00 s; at the same time it is 10 times faster, and a record waits");
    expect_words(3000, 300, 500, 0, "10 times faster, and no record waits any more.");
    expect_words(3000, 3000, 500, 50, "it is no faster, but a record waits 10 times less.");
    expect_words(3000, 2900, 500, 500, "it is no faster, and a record waits as long as before.");
    expect_words(3000, 6000, 50, 500, "it is 2 times slower, and a record waits 10 times longer.");
    expect_words(3000, 300, 50, 500, "it is 10 times faster, but a record waits 10 times longer.");
    expect_words(0, 0, 0, 0, "Neither takes any time");
}

static void expect_difference(struct world *world, const char *words)
{
    char found[COMPARE_WORDS];
    assert_false(compare_same_work(&world->compare, found));
    if (!strstr(found, words))
        fail_msg("no \"%s\" in: %s", words, found);
    compare_text(&world->compare, &world->out);
    compare_json(&world->compare, &world->out);
    buffer_append(&world->out, "", 1);
    assert_null(strstr(world->out.data, " x\n"));
    assert_null(strstr(world->out.data, "times faster"));
    assert_non_null(strstr(world->out.data, "\"same_work\": false, \"difference\": \""));
    assert_non_null(strstr(world->out.data, "\"speedup\": null, \"wait_ratio\": null}"));
    free_world(world);
}

static void test_different_work_has_no_ratio(void **state)
{
    (void)state;
    static struct world world;
    make(&world, 3000, 300, 500, 50);
    world.before.records_in = world.after.records_in = 0;
    expect_difference(&world, "nothing was compared: no record was read in either run");
    make(&world, 3000, 300, 500, 50);
    world.after.records_in = 0;
    world.compare.concurrent.failed = 7;
    expect_difference(&world, "no record was read concurrently, since 0 and 7 reads or calls failed");
    make(&world, 3000, 300, 500, 50);
    world.compare.sequential.failed = world.compare.concurrent.failed = 3;
    expect_difference(&world, "3 reads or calls failed sequentially, 3 concurrently");
    make(&world, 3000, 300, 500, 50);
    world.after.records_in = 9;
    expect_difference(&world, "10 records were read sequentially, 9 concurrently");
    make(&world, 3000, 300, 500, 50);
    world.after.records_dropped = 1;
    expect_difference(&world, "0 records were dropped sequentially, 1 concurrently");
}

/* Three things at once for a tenth of a column, and one after the other else: the mean of the column hides the three.
 */
static void test_the_timeline_says_the_most_at_a_time(void **state)
{
    (void)state;
    static struct world world;
    struct compare_span spans[] = {{0, 0, 1000}, {0, 1000, 2000}, {0, 1500, 1510}, {0, 1500, 1510}, {1, 0, 4000}};
    make(&world, 0, 0, 0, 0);
    for (size_t i = 0; i < sizeof spans / sizeof *spans; i++) {
        spans[i].from *= CLOCK_MILLISECOND;
        spans[i].to *= CLOCK_MILLISECOND;
    }
    world.compare.sequential.duration = world.compare.concurrent.duration = 4000 * CLOCK_MILLISECOND;
    world.compare.sequential.spans = spans;
    world.compare.sequential.span_count = sizeof spans / sizeof *spans;
    world.compare.sequential.row_count = 2;
    world.compare.sequential.rows[0] = (struct compare_row){"calls", true};
    world.compare.sequential.rows[1] = (struct compare_row){"reads", false};
    compare_timeline(&world.compare, 60, &world.out);
    buffer_append(&world.out, "", 1);
    const char *calls = strstr(world.out.data, "calls"), *reads = strstr(world.out.data, "reads");
    assert_non_null(calls);
    assert_non_null(reads);
    assert_true(reads < calls);
    assert_non_null(strstr(calls, "| at most 3 at a time\n"));
    assert_memory_equal(strstr(reads, "| at"), "| at most 1 at a time\n", 22);
    free_world(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_sentence_says_which_way_it_went),
        cmocka_unit_test(test_different_work_has_no_ratio),
        cmocka_unit_test(test_the_timeline_says_the_most_at_a_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
