/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "base/hash.h"
#include "base/memory.h"
#include "flow/plan.h"
#include "measure/attribution.h"

#define NEAR(a, b) assert_true(fabs((double)(a) - (double)(b)) < 1e-9 * (1 + fabs((double)(b))))

static void test_amdahl(void **state)
{
    (void)state;
    assert_true(fabs(amdahl(0.08, INFINITY) - 1.087) < 0.0005);
    assert_true(fabs(amdahl(0.70, 2) - 1.54) < 0.005);
    NEAR(amdahl(0.5, 1), 1);
    NEAR(amdahl(0, 1000), 1);
    assert_true(isinf(amdahl(1, INFINITY)));
}

/* ---- A pipeline: a source's thread, one lane with decoding and two stages, a sink's thread ------------------------
 */

static const struct weir_part source_part = {.kind = WEIR_SOURCE, .name = "file"};
static const struct weir_part normalize_part = {.kind = WEIR_STAGE, .name = "normalize"};
static const struct weir_part rolling_part = {.kind = WEIR_STAGE, .name = "rolling"};
static const struct weir_part sink_part = {.kind = WEIR_SINK, .name = "sqlite"};
static char names[4][16] = {"in", "normalize", "rolling", "out"};
static uint32_t first = 0, second = 1, third = 2;
static struct plan_node nodes[] = {
    {.name = names[0], .part = &source_part},
    {.name = names[1], .part = &normalize_part, .from = &first, .from_count = 1},
    {.name = names[2], .part = &rolling_part, .from = &second, .from_count = 1},
    {.name = names[3], .part = &sink_part, .from = &third, .from_count = 1},
};
static const struct plan plan = {.nodes = nodes, .count = 4};

struct world {
    struct pipeline_thread_time threads[3];
    struct pipeline_cell cells[9];
    struct pipeline_queue_time queues[1];
    struct pipeline_times times;
};

enum { RECORDS = 1000000 };

/* The lane is busy for a second: decode 20 %, normalize 8 %, rolling 70 %, engine 2 %. */
static void fill_world(struct world *world, int64_t unit)
{
    *world = (struct world){
        .threads = {{.name = "in", .kind = THREAD_SOURCE, .busy_ns = 5 * unit, .blocked_ns = 95 * unit},
                    {.name = "lane 0", .kind = THREAD_LANE, .busy_ns = 100 * unit},
                    {.name = "out", .kind = THREAD_SINK, .busy_ns = 10 * unit, .starved_ns = 90 * unit}},
        .cells = {{.thread = 0, .node = 0, .work = WORK_READ, .calls = 10, .records = RECORDS, .own_ns = 5 * unit},
                  {.thread = 1, .node = 0, .work = WORK_DECODE, .calls = 10, .records = RECORDS, .own_ns = 20 * unit},
                  {.thread = 1, .node = 1, .work = WORK_PROCESS, .calls = 10, .records = RECORDS, .own_ns = 8 * unit},
                  {.thread = 1, .node = 2, .work = WORK_PROCESS, .calls = 10, .records = RECORDS, .own_ns = 70 * unit},
                  {.thread = 1, .node = 3, .work = WORK_ENCODE},
                  {.thread = 1, .node = UINT32_MAX, .work = WORK_HAND_OVER, .calls = 10, .own_ns = unit},
                  {.thread = 1, .node = UINT32_MAX, .work = WORK_ENGINE, .own_ns = unit},
                  {.thread = 2, .node = 3, .work = WORK_WRITE, .calls = 10, .records = RECORDS, .own_ns = 9 * unit},
                  {.thread = 2, .node = UINT32_MAX, .work = WORK_ENGINE, .own_ns = unit}},
        .queues = {{.from = "in", .to = "normalize", .batches = 10, .waited_ns = 100 * unit, .full_ns = 50 * unit}},
    };
    for (int i = 0; i < 9; i++)
        world->cells[i].total_ns = world->cells[i].own_ns;
    world->cells[2].total_ns = 78 * unit;
    world->cells[6].total_ns = 100 * unit;
    world->times = (struct pipeline_times){.now = 100 * unit,
                                           .records = RECORDS,
                                           .thread_count = 3,
                                           .cell_count = 9,
                                           .queue_count = 1,
                                           .lane_count = 1,
                                           .threads = world->threads,
                                           .cells = world->cells,
                                           .queues = world->queues};
}

static const struct attribution_row *row_of(const struct attribution *made, const char *name, enum pipeline_work work)
{
    struct attribution_row wanted = {.work = work};
    snprintf(wanted.name, sizeof wanted.name, "%s", name);
    const struct attribution_row *row = attribution_find(made, &wanted);
    assert_non_null(row);
    return row;
}

static void test_rows_and_bounds(void **state)
{
    struct world world;
    struct attribution *made = NULL;
    (void)state;
    fill_world(&world, 10000000);
    assert_int_equal(attribution_make(&plan, &world.times, 4, NULL, NULL, &made), 0);
    const struct attribution_row *rolling = row_of(made, "rolling", WORK_PROCESS);
    const struct attribution_row *normalize = row_of(made, "normalize", WORK_PROCESS);
    NEAR(rolling->nanoseconds, 700);
    NEAR(rolling->share, 70.0 / 115);
    NEAR(rolling->removed, 100.0 / 30);
    NEAR(rolling->halved, amdahl(0.70, 2)); /* one thread does all that counts */
    NEAR(normalize->removed, amdahl(0.08, INFINITY));
    NEAR(normalize->own_seconds, 0.08);
    NEAR(normalize->total_seconds, 0.78);
    NEAR(row_of(made, "in", WORK_READ)->removed, 1); /* it waits anyway */
    NEAR(row_of(made, "out", WORK_WRITE)->removed, 1);
    assert_int_equal(made->critical, 1);
    assert_false(made->processors_bound);
    NEAR(made->bound_per_second, 1e6);
    for (uint32_t i = 1; i < made->row_count; i++)
        assert_true(made->rows[i - 1].total_seconds >= made->rows[i].total_seconds);
    for (uint32_t i = 0; i < made->row_count; i++)
        assert_true(made->rows[i].work != WORK_ENCODE); /* which nobody did */
    NEAR(made->queues[0].wait_seconds, 0.1);
    NEAR(made->threads[0].blocked_seconds, 0.95);
    attribution_free(made);
}

/* Without its largest part, another thread becomes the critical one. */
static void test_next_thread_limits(void **state)
{
    struct world world;
    struct attribution *made = NULL;
    (void)state;
    fill_world(&world, 10000000);
    world.threads[2].busy_ns = 600000000;
    world.cells[7].own_ns = 590000000;
    assert_int_equal(attribution_make(&plan, &world.times, 4, NULL, NULL, &made), 0);
    NEAR(row_of(made, "rolling", WORK_PROCESS)->removed, 1 / 0.6);
    attribution_free(made);
}

/* Three threads that want two processors' time on one: only less work in all helps. */
static void test_processors_limit(void **state)
{
    struct world world;
    struct attribution *made = NULL;
    (void)state;
    fill_world(&world, 10000000);
    world.threads[0].processor_ns = 50000000;
    world.threads[1].processor_ns = 900000000;
    world.threads[1].queued_ns = 100000000; /* of its second it was without a processor for a tenth */
    world.threads[2].processor_ns = 100000000;
    assert_int_equal(attribution_make(&plan, &world.times, 1, NULL, NULL, &made), 0);
    assert_true(made->processors_bound);
    for (uint32_t i = 0; i < made->thread_count; i++) {
        const struct attribution_thread *thread = &made->threads[i];
        assert_true(thread->queued_seconds >= 0);
        assert_true(fabs(thread->busy_seconds - thread->processor_seconds - thread->queued_seconds) < 1e-12);
    }
    NEAR(made->bound_per_second, 1e6 / 1.05);
    NEAR(row_of(made, "rolling", WORK_PROCESS)->removed, 1.05 / (1.05 - 0.9 * 0.7));
    NEAR(row_of(made, "in", WORK_READ)->removed, 1.05);
    attribution_free(made);
}

/* Threads that wait for others: nothing is to be won, whatever the shares are. */
static void test_room(void **state)
{
    struct world world;
    struct weir_buffer text = {0};
    struct attribution *made = NULL;
    (void)state;
    for (int full = 0; full < 2; full++) {
        fill_world(&world, 10000000);
        world.times.now *= 4; /* the busiest thread, which worked all the time, waits for three quarters of it */
        world.queues[0].full_ns *= full ? 4 : 0;
        assert_int_equal(attribution_make(&plan, &world.times, 4, NULL, NULL, &made), 0);
        NEAR(attribution_busiest(made), 0.25);
        assert_true(attribution_has_room(made));
        text.size = 0;
        attribution_text(made, &text);
        buffer_append(&text, "", 1);
        assert_non_null(strstr(text.data, "No thread is the limit, the busiest worked 25 % of the time"));
        assert_int_equal(strstr(text.data, "waited for its sources") != NULL, !full);
        assert_int_equal(strstr(text.data, "the queue from in to normalize was full") != NULL, full);
        assert_non_null(strstr(text.data, "would allow 1.00 M records/s"));
        assert_null(strstr(text.data, "Most is to be won"));
        attribution_free(made);
    }
    buffer_free(&text);
}

static void test_nothing_came(void **state)
{
    struct pipeline_thread_time threads[1] = {{.name = "in"}};
    struct pipeline_times times = {.thread_count = 1, .threads = threads};
    struct weir_buffer text = {0}, json = {0};
    struct attribution *made = NULL, *read = NULL;
    (void)state;
    assert_int_equal(attribution_make(&plan, &times, 2, NULL, NULL, &made), 0);
    attribution_text(made, &text);
    attribution_json(made, NULL, &json);
    assert_non_null(strstr(text.data, "No records came in"));
    assert_null(memmem(json.data, json.size, "nan", 3));
    assert_int_equal(attribution_read(json.data, json.size, &read, NULL), 0);
    attribution_free(read);
    attribution_free(made);
    buffer_free(&text);
    buffer_free(&json);
}

/* ---- Noise ------------------------------------------------------------------------------------------------------- */

static void test_spread(void **state)
{
    double values[] = {5, 1, 3, 2, 100};
    struct attribution_spread spread = attribution_spread(values, 5);
    (void)state;
    NEAR(spread.median, 3);
    NEAR(spread.error, 1.2533 * 1.4826 * 2 / sqrt(5)); /* deviations 0 1 2 2 97 */
    assert_true(isnan(attribution_spread(NULL, 0).median));
}

/* A run seen in `looks` steps whose costs are noisy by `noise`; `factor` scales the rolling stage. */
static struct attribution *noisy_run(uint64_t *random, double factor, double noise, uint32_t looks)
{
    struct world world;
    struct attribution *made = NULL;
    struct attribution_sampler *sampler = attribution_sampler_new(&plan);
    assert_non_null(sampler);
    fill_world(&world, 10000000);
    world.times.records = 0;
    for (int i = 0; i < 9; i++)
        world.cells[i].own_ns = (int64_t)(world.cells[i].records = 0);
    for (int i = 0; i < 3; i++)
        world.threads[i].busy_ns = 0;
    for (uint32_t look = 0; look < looks; look++) {
        world.times.records += 1000;
        for (int i = 0; i < 9; i++) {
            double chance = (double)(hash_random(random) >> 11) * 0x1p-53 - 0.5;
            double cost = (i == 3 ? 700000 * factor : 80000) * (1 + noise * chance);
            /* Now and then another process has the processor for as long again: that is not the part's doing. */
            bool disturbed = look % 3 == 0;
            world.cells[i].records += 1000;
            world.cells[i].own_ns += (int64_t)(disturbed ? 2 * cost : cost);
            world.threads[world.cells[i].thread].busy_ns += (int64_t)(disturbed ? 2 * cost : cost);
            world.threads[world.cells[i].thread].queued_ns += (int64_t)(disturbed ? cost : 0);
        }
        attribution_sample(sampler, &world.times);
    }
    assert_int_equal(attribution_make(&plan, &world.times, 4, sampler, NULL, &made), 0);
    attribution_sampler_free(sampler);
    return made;
}

static enum attribution_change change_of(const struct attribution *before, const struct attribution *after)
{
    const struct attribution_row *row = row_of(after, "rolling", WORK_PROCESS);
    return attribution_difference(attribution_find(before, row), row).change;
}

static void test_noise_is_told_from_change(void **state)
{
    uint64_t random = 20241121;
    int wrong = 0;
    (void)state;
    for (int i = 0; i < 50; i++) {
        struct attribution *before = noisy_run(&random, 1, 0.2, 100), *same = noisy_run(&random, 1, 0.2, 200);
        struct attribution *slower = noisy_run(&random, 1.15, 0.2, 100), *faster = noisy_run(&random, 0.5, 0.2, 1000);
        wrong += change_of(before, same) != CHANGE_NOISE;
        assert_int_equal(change_of(before, slower), CHANGE_SLOWER);
        assert_int_equal(change_of(before, faster), CHANGE_FASTER);
        attribution_free(before);
        attribution_free(same);
        attribution_free(slower);
        attribution_free(faster);
    }
    assert_true(wrong <= 2);
    struct attribution *one = noisy_run(&random, 1, 0.2, 3), *other = noisy_run(&random, 2, 0.2, 3);
    assert_int_equal(change_of(one, other), CHANGE_UNKNOWN);
    attribution_free(one);
    attribution_free(other);
    /* Means and medians that moved apart say nothing. */
    const struct attribution_row then = {.nanoseconds = 100, .spread = {.median = 50, .error = 0.1, .count = 100}};
    struct attribution_row now = {.nanoseconds = 80, .spread = {.median = 90, .error = 0.1, .count = 100}};
    assert_int_equal(attribution_difference(&then, &now).change, CHANGE_UNCLEAR);
    now.nanoseconds = 120;
    assert_int_equal(attribution_difference(&then, &now).change, CHANGE_SLOWER);
    now.nanoseconds = 102; /* "+2.0 % SLOWER" would contradict itself */
    assert_int_equal(attribution_difference(&then, &now).change, CHANGE_UNCLEAR);
}

/* ---- Keeping ------------------------------------------------------------------------------------------------------
 */

static void test_saved_is_read(void **state)
{
    uint64_t random = 7;
    struct weir_buffer text = {0}, again = {0};
    struct attribution *read = NULL, *made = noisy_run(&random, 1, 0.2, 100);
    (void)state;
    attribution_json(made, NULL, &text);
    assert_int_equal(attribution_read(text.data, text.size, &read, NULL), 0);
    assert_int_equal(read->row_count, made->row_count);
    for (uint32_t i = 0; i < made->row_count; i++) {
        assert_string_equal(read->rows[i].name, made->rows[i].name);
        assert_true(fabs(read->rows[i].spread.error - made->rows[i].spread.error) < 1e-6);
        struct attribution_difference same = attribution_difference(&read->rows[i], &made->rows[i]);
        assert_true(same.change == CHANGE_NOISE);
    }
    for (uint64_t nth = 1;; nth++) {
        struct attribution *partly = NULL;
        memory_fail_nth(nth, true);
        int code = attribution_read(text.data, text.size, &partly, NULL);
        memory_fail_nth(0, false);
        attribution_free(partly);
        if (code == 0)
            break;
        assert_int_equal(code, -ENOMEM);
    }
    attribution_json(made, read, &again);
    assert_non_null(memmem(again.data, again.size, "\"outputs_same\": null", 20));
    attribution_free(made);
    attribution_free(read);
    buffer_free(&text);
    buffer_free(&again);
}

static void test_other_versions_are_refused(void **state)
{
    static const struct {
        const char *text, *words;
    } wrong[] = {
        {"{\"format\": \"weir profile\", \"version\": 0, \"rows\": []}", "version 0"},
        {"{\"format\": \"weir profile\", \"version\": 2, \"rows\": []}", "version 2"},
        {"{\"format\": \"weir profile\", \"rows\": []}", "version 0"},
        {"{\"format\": \"weir profile\", \"version\": 1}", "no rows"},
        {"{\"format\": \"weir profile\", \"version\": 1, \"rows\": [{\"name\": \"a\"}]}", "row 1"},
        {"{\"format\": \"weir profile\", \"version\": 1, \"rows\": [], \"outputs\": [{}]}", "output 1"},
        {"{\"records_in\": 5}", "no profile"},
        {"[1, 2]", "no profile"},
        {"records", "line 1"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct attribution *read = NULL;
        struct weir_error error = {0};
        assert_int_equal(attribution_read(wrong[i].text, strlen(wrong[i].text), &read, &error), -EINVAL);
        assert_null(read);
        if (!strstr(error.text, wrong[i].words))
            fail_msg("%s: %s", wrong[i].text, error.text);
    }
}

static void test_folded(void **state)
{
    struct world world;
    struct weir_buffer out = {0};
    (void)state;
    fill_world(&world, 10000000);
    attribution_folded(&plan, &world.times, &out);
    buffer_append(&out, "", 1);
    assert_string_equal(out.data, "in;in (read) 50000\n"
                                  "lane 0;in (decode) 200000\n"
                                  "lane 0;normalize 80000\n"
                                  "lane 0;normalize;rolling 700000\n"
                                  "lane 0;hand-over 10000\n"
                                  "lane 0;engine 10000\n"
                                  "out;out (write) 90000\n"
                                  "out;engine 10000\n");
    buffer_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_amdahl),
        cmocka_unit_test(test_rows_and_bounds),
        cmocka_unit_test(test_next_thread_limits),
        cmocka_unit_test(test_processors_limit),
        cmocka_unit_test(test_room),
        cmocka_unit_test(test_nothing_came),
        cmocka_unit_test(test_spread),
        cmocka_unit_test(test_noise_is_told_from_change),
        cmocka_unit_test(test_saved_is_read),
        cmocka_unit_test(test_other_versions_are_refused),
        cmocka_unit_test(test_folded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
