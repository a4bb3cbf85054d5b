/* SPDX-License-Identifier: MIT */
/*
 * The engine with parts made for the test: a source that counts, stages that sum by key, filter and fail, a sink that
 * collects. Every run must account for each record, whatever the lanes, the batches, the seed and the moment it is
 * stopped.
 */
#include "flow/pipeline_test_parts.h"
#include "flow/test_accounts.h"

/* ---- Tests ----------------------------------------------------------------------------------------------------- */

static void chain(struct rig *rig, uint32_t lanes, const struct weir_sink *sink)
{
    rig_init(rig, lanes);
    rig->sieve[0].of = 5;
    rig->summing[0].by = "";
    uint32_t source = add(rig, &source_counting.part, "counting", &rig->counting[0], -1, -1);
    uint32_t sieve = add(rig, &stage_sieve.part, "sieve", &rig->sieve[0], (int)source, -1);
    uint32_t sum = add(rig, &stage_summing.part, "summing", &rig->summing[0], (int)sieve, -1);
    add(rig, &sink->part, sink->part.name, &rig->collecting[0], (int)sum, -1);
}

static void test_chain_any_lanes(void **state)
{
    (void)state;
    for (uint32_t lanes = 1; lanes <= 4; lanes++) {
        struct rig rig;
        chain(&rig, lanes, &sink_collecting);
        struct pipeline_snapshot *snapshot = run(&rig, false, 0, 0);
        assert_int_equal(snapshot->records_in, 20000);
        assert_int_equal(snapshot->records_filtered, 4000);
        assert_int_equal(snapshot->records_stored, 16000);
        assert_int_equal(snapshot->keys, 37);
        assert_true(rig.collections[0].in_order);
        check_sums(&rig.collections[0], 20000, 37, 5);
        pipeline_snapshot_free(snapshot);
        rig_free(&rig);
    }
}

static void test_chain_simulated_seeds(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct rig rig;
        chain(&rig, 1 + (uint32_t)(seed % 4), seed % 2 ? &sink_collecting : &sink_committing);
        rig.counting[0].records = 3000;
        rig.counting[0].most_rows = 1 + (int64_t)(seed * 7 % 200);
        rig.collecting[0].pause_ns = seed % 3 ? 0 : 1000000;
        struct pipeline_snapshot *snapshot = run(&rig, true, seed, 0);
        assert_int_equal(snapshot->records_stored, 2400);
        check_sums(&rig.collections[0], 3000, 37, 5);
        pipeline_snapshot_free(snapshot);
        rig_free(&rig);
    }
}

/* Keyed by one column, then by another: two exchanges, and rows of a key must meet in the order of the source. */
static void test_two_keys(void **state)
{
    (void)state;
    for (uint32_t lanes = 1; lanes <= 4; lanes++) {
        struct rig rig;
        rig_init(&rig, lanes);
        rig.sieve[0].of = 5;
        rig.summing[1].by = "t"; /* every record a key of its own … */
        rig.summing[0].by = "key";
        uint32_t source = add(&rig, &source_counting.part, "counting", &rig.counting[0], -1, -1);
        uint32_t sieve = add(&rig, &stage_sieve.part, "sieve", &rig.sieve[0], (int)source, -1);
        uint32_t first = add(&rig, &stage_summing.part, "first", &rig.summing[1], (int)sieve, -1);
        uint32_t sum = add(&rig, &stage_summing.part, "summing", &rig.summing[0], (int)first, -1);
        add(&rig, &sink_collecting.part, "out", &rig.collecting[0], (int)sum, -1);
        struct pipeline_snapshot *snapshot = run(&rig, false, 0, 0);
        check_sums(&rig.collections[0], 20000, 37, 5);
        pipeline_snapshot_free(snapshot);
        rig_free(&rig);
    }
}

/* Two sources into one chain, which branches: one sink gets all, one what a sieve leaves. */
static void test_branches(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 12; seed++) {
        struct rig rig;
        rig_init(&rig, 1 + (uint32_t)(seed % 3));
        rig.sieve[0].of = 2;
        rig.sieve[1].of = 3;
        uint32_t a = add(&rig, &source_counting.part, "a", &rig.counting[0], -1, -1);
        uint32_t b = add(&rig, &source_counting.part, "b", &rig.counting[1], -1, -1);
        uint32_t even = add(&rig, &stage_sieve.part, "even", &rig.sieve[0], (int)a, (int)b);
        rig.summing[0].by = "";
        uint32_t sum = add(&rig, &stage_summing.part, "summing", &rig.summing[0], (int)even, -1);
        uint32_t third = add(&rig, &stage_sieve.part, "third", &rig.sieve[1], (int)sum, -1);
        add(&rig, &sink_collecting.part, "all", &rig.collecting[0], (int)sum, -1);
        add(&rig, &sink_collecting.part, "some", &rig.collecting[1], (int)third, -1);
        add(&rig, &sink_nothing.part, "nothing", NULL, (int)third, -1);
        struct pipeline_snapshot *snapshot = run(&rig, seed % 2, seed, 0);
        assert_int_equal(snapshot->records_in, 40000);
        assert_int_equal(snapshot->records_stored, 20000);
        assert_int_equal(snapshot->records_filtered, 20000);
        assert_int_equal(rig.collections[0].count, 20000);
        assert_int_equal(rig.collections[1].count, 2 * 6667);
        assert_int_equal(snapshot->records_out, 20000 + 4 * 6667);
        pipeline_snapshot_free(snapshot);
        rig_free(&rig);
    }
}

/* A record goes two ways and comes together again: both copies arrive, in the order of the source. */
static void test_diamond(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 2);
    rig.summing[0].by = "";
    uint32_t source = add(&rig, &source_counting.part, "counting", &rig.counting[0], -1, -1);
    uint32_t left = add(&rig, &stage_sieve.part, "left", &rig.sieve[0], (int)source, -1);
    uint32_t right = add(&rig, &stage_summing.part, "right", &rig.summing[0], (int)source, -1);
    rig.sieve[1].of = 10;
    uint32_t join = add(&rig, &stage_sieve.part, "join", &rig.sieve[1], (int)left, (int)right);
    add(&rig, &sink_collecting.part, "out", &rig.collecting[0], (int)join, -1);
    struct pipeline_snapshot *snapshot = run(&rig, false, 0, 0);
    assert_int_equal(snapshot->records_stored, 18000);
    assert_int_equal(snapshot->records_filtered, 2000);
    assert_int_equal(rig.collections[0].count, 36000);
    pipeline_snapshot_free(snapshot);
    rig_free(&rig);
}

/* Three ways from one source meet in a keyed stage: each key's records come in the order of the source, whatever the
 * lanes and batches. The sum of a key over its records says so to the last bit, as additions do not commute exactly. */
static void test_ways_that_meet_are_in_order(void **state)
{
    (void)state;
    struct row *first = NULL;
    size_t first_count = 0;
    for (uint32_t lanes = 1; lanes <= 3; lanes++) {
        for (int64_t most = 7; most <= 1000; most *= 11) {
            struct rig rig;
            rig_init(&rig, lanes);
            rig.counting[0].most_rows = most;
            rig.counting[0].records = 5000;
            rig.sieve[0].of = 3;
            rig.sieve[1].of = 5;
            rig.summing[0].by = "";
            uint32_t source = add(&rig, &source_counting.part, "counting", &rig.counting[0], -1, -1);
            uint32_t left = add(&rig, &stage_sieve.part, "left", &rig.sieve[0], (int)source, -1);
            uint32_t right = add(&rig, &stage_sieve.part, "right", &rig.sieve[1], (int)source, -1);
            uint32_t sum = add(&rig, &stage_summing.part, "summing", &rig.summing[0], (int)left, (int)right);
            add(&rig, &sink_collecting.part, "out", &rig.collecting[0], (int)sum, -1);
            pipeline_snapshot_free(run(&rig, false, 0, 0));
            struct collection *rows = &rig.collections[0];
            qsort(rows->rows, rows->count, sizeof *rows->rows, by_sum);
            if (!first) {
                first = rows->rows;
                first_count = rows->count;
                rows->rows = NULL;
            } else {
                assert_int_equal(rows->count, first_count);
                for (size_t i = 0; i < first_count; i++)
                    assert_true(first[i].position == rows->rows[i].position && first[i].sum == rows->rows[i].sum);
            }
            rig_free(&rig);
        }
    }
    memory_free(first);
}

static void test_drop_policies(void **state)
{
    (void)state;
    for (int policy = PLAN_DROP_NEWEST; policy <= PLAN_DROP_OLDEST; policy++) {
        struct rig rig;
        rig_init(&rig, 1);
        rig.counting[0].pause_ns = 1000000;
        rig.counting[0].most_rows = 100;
        rig.collecting[0].pause_ns = 10000000;
        uint32_t source = add(&rig, &source_counting.part, "counting", &rig.counting[0], -1, -1);
        uint32_t sieve = add(&rig, &stage_sieve.part, "sieve", &rig.sieve[0], (int)source, -1);
        uint32_t sink = add(&rig, &sink_collecting.part, "slow", &rig.collecting[0], (int)sieve, -1);
        rig.nodes[sink].when_full = policy;
        rig.nodes[sink].queue_bytes = 64 * 1024;
        struct pipeline_snapshot *snapshot = run(&rig, true, 5, 0);
        assert_true(snapshot->records_dropped > 0);
        assert_int_equal(snapshot->records_in, 20000);
        assert_int_equal(snapshot->records_stored, rig.collections[0].count);
        bool last_kept = rig.collections[0].last_position == 19999;
        assert_true(rig.collections[0].in_order);
        if (policy == PLAN_DROP_OLDEST)
            assert_true(last_kept);
        assert_int_equal(snapshot->edges[1].dropped_records, snapshot->records_dropped);
        pipeline_snapshot_free(snapshot);
        rig_free(&rig);
    }
}

static void test_slow_sink_blocks(void **state)
{
    (void)state;
    struct rig rig;
    chain(&rig, 2, &sink_collecting);
    rig.collecting[0].pause_ns = 50000000;
    struct pipeline_snapshot *snapshot = run(&rig, true, 3, 0);
    assert_int_equal(snapshot->records_dropped, 0);
    assert_int_equal(snapshot->records_stored, 16000);
    pipeline_snapshot_free(snapshot);
    rig_free(&rig);
}

static void test_key_limit(void **state)
{
    (void)state;
    struct rig rig;
    chain(&rig, 1, &sink_collecting);
    rig.summing[0].most_keys = 10;
    struct pipeline_snapshot *snapshot = run(&rig, false, 0, 0);
    assert_true(snapshot->records_refused > 11000);
    assert_int_equal(snapshot->records_stored, rig.collections[0].count);
    assert_int_equal(snapshot->keys, 10);
    pipeline_snapshot_free(snapshot);
    rig_free(&rig);
}

static void test_failures(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed < 20; seed++) {
        struct rig rig;
        chain(&rig, 1 + (uint32_t)(seed % 3), &sink_collecting);
        if (seed % 2)
            rig.sieve[0].fail_at = (int64_t)seed;
        else
            rig.collecting[0].fail_at = (int64_t)seed;
        pipeline_snapshot_free(run(&rig, seed % 4 < 2, seed, -EIO));
        rig_free(&rig);
    }
}

static void test_busy_sink_is_tried_again(void **state)
{
    (void)state;
    struct rig rig;
    chain(&rig, 1, &sink_committing);
    rig.collecting[0].busy_at = 3;
    struct pipeline_snapshot *snapshot = run(&rig, true, 1, 0);
    assert_int_equal(snapshot->records_stored, 16000);
    check_sums(&rig.collections[0], 20000, 37, 5);
    pipeline_snapshot_free(snapshot);
    rig_free(&rig);
}

static void test_limit(void **state)
{
    (void)state;
    struct rig rig;
    chain(&rig, 2, &sink_collecting);
    rig.plan.limit = 1234;
    struct pipeline_snapshot *snapshot = run(&rig, false, 0, 0);
    assert_int_equal(snapshot->records_in, 1234);
    check_sums(&rig.collections[0], 1234, 37, 5);
    pipeline_snapshot_free(snapshot);
    rig_free(&rig);
}

static void stop_somewhere(bool abort_it, uint64_t seed)
{
    struct rig rig;
    chain(&rig, 2, &sink_committing);
    rig.counting[0].pause_ns = 100000;
    rig.collecting[0].pause_ns = 300000;
    struct pipeline_options options = {.simulated = true, .seed = seed};
    struct pipeline *pipeline = NULL;
    struct weir_error error = {0};
    struct pipeline_snapshot *snapshot = NULL;
    assert_int_equal(pipeline_open(&rig.plan, &options, &pipeline, &error), 0);
    assert_int_equal(pipeline_start(pipeline), 0);
    assert_int_equal(pipeline_wait(pipeline, pipeline_now(pipeline) + (int64_t)seed * 123456), 0);
    if (abort_it)
        pipeline_abort(pipeline);
    else
        pipeline_stop(pipeline);
    assert_int_equal(pipeline_wait(pipeline, INT64_MAX), 1);
    assert_int_equal(pipeline_snapshot(pipeline, &snapshot), 0);
    assert_int_equal(snapshot->unaccounted, 0);
    assert_true(snapshot->records_in < 20000);
    assert_int_equal(snapshot->records_in,
                     snapshot->records_stored + snapshot->records_filtered + snapshot->records_dropped);
    assert_int_equal(snapshot->records_stored, rig.collections[0].count);
    if (!abort_it)
        assert_int_equal(snapshot->records_dropped, 0);
    pipeline_snapshot_free(snapshot);
    pipeline_close(pipeline);
    rig_free(&rig);
}

static void test_stop_drains_and_abort_drops(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++)
        stop_somewhere(seed % 2, seed);
}

/* Burst after burst into a stage that is too slow: 1 ms for a record, 100 records every 50 ms. Nothing is lost, and the
 * same seed gives the same run to the nanosecond. */
static void test_simulated_time_is_reproducible(void **state)
{
    (void)state;
    int64_t ends[2];
    for (int i = 0; i < 2; i++) {
        struct rig rig;
        chain(&rig, 1, &sink_collecting);
        rig.counting[0] = (struct counting){
            .records = 1000, .keys = 5, .most_rows = 100, .seed = 4, .pause_ns = 50000000};
        rig.sieve[0].cost_ns = 1000000;
        struct pipeline_snapshot *snapshot = run(&rig, true, 77, 0);
        ends[i] = snapshot->now - snapshot->started;
        assert_int_equal(snapshot->records_stored, 800);
        assert_true(ends[i] >= 1000 * 1000000);
        pipeline_snapshot_free(snapshot);
        rig_free(&rig);
    }
    assert_int_equal(ends[0], ends[1]);
}

/* Two sources; the second says ten records and is silent for an hour. Without an idle timeout event time waits for it,
 * with one it goes on after that. */
static void test_event_time_is_the_least_of_sources(void **state)
{
    (void)state;
    for (int round = 0; round < 4; round++) {
        struct rig rig;
        bool idle = round % 2;
        uint32_t lanes = round < 2 ? 1 : 3;
        int64_t latest[] = {INT64_MIN, INT64_MIN, INT64_MIN}, before_end[] = {INT64_MIN, INT64_MIN, INT64_MIN};
        struct clocking clocking = {latest, before_end};
        rig_init(&rig, lanes);
        rig.counting[0].pause_ns = CLOCK_SECOND;
        rig.counting[1] = (struct counting){
            .records = 20, .keys = 1, .most_rows = 1, .seed = 1, .pause_ns = 3600 * CLOCK_SECOND};
        uint32_t fast = add(&rig, &source_counting.part, "fast", &rig.counting[0], -1, -1);
        uint32_t slow = add(&rig, &source_counting.part, "slow", &rig.counting[1], -1, -1);
        rig.nodes[slow].idle_timeout = idle ? 5 * CLOCK_SECOND : 0;
        uint32_t clock = add(&rig, &stage_clocking.part, "clocking", &clocking, (int)fast, (int)slow);
        add(&rig, &sink_nothing.part, "nothing", NULL, (int)clock, -1);
        struct pipeline_snapshot *snapshot = run(&rig, true, 3, 0);
        assert_int_equal(snapshot->records_stored, 20020);
        for (uint32_t lane = 0; lane < lanes; lane++) { /* also without a key: each instance */
            assert_true(latest[lane] == INT64_MAX);
            assert_int_equal(before_end[lane], idle ? 19999 * 1000 : 19 * 1000);
        }
        pipeline_snapshot_free(snapshot);
        rig_free(&rig);
    }
}

/* Every allocation of opening and closing fails once: words, no leak (ASan looks), no crash. */
static void test_open_without_memory(void **state)
{
    (void)state;
    bool opened = false;
    for (uint64_t nth = 1; !opened; nth++) {
        struct rig rig;
        chain(&rig, 2, &sink_collecting);
        struct pipeline_options options = {.simulated = true, .seed = 1};
        struct pipeline *pipeline = NULL;
        struct weir_error error = {0};
        memory_fail_nth(nth, false);
        int code = pipeline_open(&rig.plan, &options, &pipeline, &error);
        memory_fail_nth(0, false);
        opened = code == 0;
        if (opened)
            pipeline_close(pipeline);
        else
            assert_true(error.text[0] != 0);
        rig_free(&rig);
    }
}

/* Every allocation of a whole run fails, one run for each; then all from the Nth on. Whatever happens, the run ends,
 * with words if it failed, and each record that was read is accounted for. */
static bool run_without_memory(uint64_t nth, bool forever, bool branches)
{
    struct rig rig;
    chain(&rig, 1 + (uint32_t)(nth % 3), nth % 2 ? &sink_collecting : &sink_committing);
    rig.counting[0].records = 1500;
    if (branches)
        add(&rig, &sink_collecting.part, "all", &rig.collecting[1], 1, -1);
    struct pipeline_options options = {.simulated = true, .seed = nth};
    struct pipeline *pipeline = NULL;
    struct weir_error error = {0};
    uint64_t records;
    assert_int_equal(pipeline_open(&rig.plan, &options, &pipeline, &error), 0);
    memory_fail_nth(nth, forever);
    int64_t end = pipeline_now(pipeline) + 3600 * CLOCK_SECOND;
    int code = pipeline_start(pipeline), ended = code < 0 ? 1 : pipeline_wait(pipeline, forever ? 2000000000 : end);
    uint64_t made = memory_fail_nth(0, false);
    if (!ended) /* somebody waits for memory: now there is some */
        ended = pipeline_wait(pipeline, end);
    assert_int_equal(ended, 1);
    code = test_accounts(pipeline, &records);
    assert_true(code < 0 || records == 1500);
    pipeline_close(pipeline);
    rig_free(&rig);
    return made < nth;
}

static void test_run_without_memory(void **state)
{
    (void)state;
    for (int branches = 0; branches < 2; branches++) {
        bool through = false;
        for (uint64_t nth = 1; !through && nth < 1500; nth++)
            through = run_without_memory(nth, false, branches);
        for (uint64_t nth = 1; nth < 400; nth += 3)
            (void)run_without_memory(nth, true, branches);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chain_any_lanes),
        cmocka_unit_test(test_chain_simulated_seeds),
        cmocka_unit_test(test_two_keys),
        cmocka_unit_test(test_branches),
        cmocka_unit_test(test_diamond),
        cmocka_unit_test(test_ways_that_meet_are_in_order),
        cmocka_unit_test(test_drop_policies),
        cmocka_unit_test(test_slow_sink_blocks),
        cmocka_unit_test(test_key_limit),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_busy_sink_is_tried_again),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_stop_drains_and_abort_drops),
        cmocka_unit_test(test_simulated_time_is_reproducible),
        cmocka_unit_test(test_event_time_is_the_least_of_sources),
        cmocka_unit_test(test_open_without_memory),
        cmocka_unit_test(test_run_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
