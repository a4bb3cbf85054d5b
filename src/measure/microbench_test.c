/* SPDX-License-Identifier: MIT */
/* The statistics against exact models and counting, measuring on a clock that the test turns. */
#include "measure/microbench.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/hash.h"
#include "base/memory.h"

static uint64_t seed;

static double uniform(uint64_t *state)
{
    return ((double)(hash_random(state) >> 11) + 0.5) / 0x1p53;
}

/* ---- Intervals --------------------------------------------------------------------------------------------------- */

/* Of all 2^n ways in which n samples can lie below or above the median, how many leave it in the interval? */
static double covered_by_counting(uint32_t count, uint32_t rank)
{
    uint32_t good = 0;
    for (uint32_t ways = 0; ways < 1u << count; ways++) {
        uint32_t below = (uint32_t)__builtin_popcount(ways);
        good += below >= rank && count - below >= rank;
    }
    return good / (double)(1u << count);
}

static void test_ranks_by_counting(void **state)
{
    (void)state;
    for (uint32_t count = 1; count <= 16; count++) {
        for (double wanted = 0.5; wanted < 1; wanted += 0.05) {
            double told;
            uint32_t rank = microbench_rank(count, wanted, &told), most = (count + 1) / 2;
            assert_in_range(rank, 1, most);
            if (2 * rank <= count) /* else: one sample, which holds nothing for certain */
                assert_true(fabs(told - covered_by_counting(count, rank)) < 1e-12);
            assert_true(told >= wanted || rank == 1);
            if (2 * (rank + 1) <= count)
                assert_true(covered_by_counting(count, rank + 1) < wanted);
        }
    }
}

/* Tables of the sign test: n, k and the confidence of the interval from the k-th to the (n + 1 − k)-th. */
static void test_ranks_of_tables(void **state)
{
    static const struct {
        uint32_t count, rank;
        double confidence;
    } table[] = {{6, 1, 0.9688},  {9, 2, 0.9609},   {10, 2, 0.9785},  {20, 6, 0.9586},
                 {25, 8, 0.9567}, {50, 18, 0.9672}, {100, 40, 0.9648}};
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        double told;
        assert_int_equal(microbench_rank(table[i].count, 0.95, &told), table[i].rank);
        assert_true(fabs(told - table[i].confidence) < 5e-5);
    }
    assert_int_equal(microbench_rank(5, 0.95, NULL), 1);
    double few;
    (void)microbench_rank(5, 0.95, &few);
    assert_true(few < 0.95); /* said as it is */
    (void)microbench_rank(MICROBENCH_SAMPLES_MOST, 0.95, &few);
    assert_true(few >= 0.95 && few < 0.96);
}

static double draw(int distribution, uint64_t *random)
{
    double u = uniform(random);
    switch (distribution) {
    case 0:
        return u; /* uniform: median 0.5 */
    case 1:
        return -log(u) / M_LN2 / 2; /* exponential, of median 0.5 */
    case 2:
        return 0.5 * pow(2 * u, u < 0.5 ? 1 : 9); /* a long tail on one side, as of a busy machine */
    default:
        return u < 0.5 ? 0.5 - tan(M_PI * (0.5 - u)) : 0.5 + tan(M_PI * (u - 0.5)); /* Cauchy: no mean at all */
    }
}

static void test_intervals_hold_the_median(void **state)
{
    enum { TRIALS = 1500, SAMPLES = 25 };
    (void)state;
    uint64_t random = seed;
    for (int distribution = 0; distribution < 4; distribution++) {
        int held = 0;
        for (int trial = 0; trial < TRIALS; trial++) {
            double values[SAMPLES];
            struct microbench_spread spread;
            for (int i = 0; i < SAMPLES; i++)
                values[i] = draw(distribution, &random);
            microbench_spread(values, SAMPLES, &spread);
            held += spread.low <= 0.5 && 0.5 <= spread.high;
        }
        /* 0.9567 is expected; five standard deviations are 0.026. */
        assert_true(fabs(held / (double)TRIALS - 0.9567) < 0.027);
    }
}

/* ---- Spreads ------------------------------------------------------------------------------------------------------
 */

/* The median as what has as many below as above it. */
static double naive_median(const double *values, uint32_t count)
{
    double lower = -INFINITY, upper = INFINITY;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t below = 0, equal = 0;
        for (uint32_t k = 0; k < count; k++) {
            below += values[k] < values[i];
            equal += values[k] == values[i];
        }
        if (below <= (count - 1) / 2 && (count - 1) / 2 < below + equal)
            lower = values[i];
        if (below <= count / 2 && count / 2 < below + equal)
            upper = values[i];
    }
    return (lower + upper) / 2;
}

static void test_spread_against_naive(void **state)
{
    (void)state;
    uint64_t random = seed;
    for (int round = 0; round < 200; round++) {
        double values[40], distances[40], sum = 0;
        struct microbench_spread spread;
        uint32_t count = 1 + (uint32_t)(uniform(&random) * 39);
        for (uint32_t i = 0; i < count; i++) {
            values[i] = floor(uniform(&random) * 20); /* many are equal */
            sum += values[i];
        }
        double median = naive_median(values, count);
        for (uint32_t i = 0; i < count; i++)
            distances[i] = fabs(values[i] - median);
        double deviation = naive_median(distances, count);
        microbench_spread(values, count, &spread);
        assert_int_equal(spread.count, count);
        assert_true(spread.median == median && spread.mad == deviation);
        assert_true(fabs(spread.mean - sum / count) < 1e-12 * (1 + sum));
        assert_true(spread.least <= spread.low && spread.low <= median && median <= spread.high &&
                    spread.high <= spread.most);
    }
    struct microbench_spread none;
    microbench_spread(NULL, 0, &none);
    assert_true(none.count == 0 && none.median == 0);
}

static void test_outliers(void **state)
{
    (void)state;
    double values[] = {10, 11, 9, 10, 11, 9, 10, 1000, 11, 9};
    struct microbench_spread spread;
    microbench_spread(values, 10, &spread);
    assert_int_equal(spread.outliers, 1);
    assert_true(spread.median == 10 && spread.mad == 1 && spread.most == 1000);
    assert_true(spread.high < 1000 && spread.mean > 100); /* one bad sample moves the mean, not the median */
}

/* ---- Measuring ----------------------------------------------------------------------------------------------------
 */

enum { LOG = 4096 };
struct world {
    int64_t now, overhead;
    double factor; /* that everything takes longer by from now on */
    int opened, closed, logged;
    char log[LOG]; /* who was called, in turns */
};
struct cost {
    struct world *world;
    int64_t ns;
    int fail_after;
};
struct costing {
    struct cost cost;
    char letter;
    int turns;
};

static int64_t world_clock(void *owner, bool wall)
{
    const struct world *world = owner;
    return world->now + (wall ? 1000000 : 0);
}

static int open_cost(const struct microbench *bench, void **ret)
{
    struct costing *costing = memory_zeroed(1, sizeof *costing);
    if (!costing)
        return -ENOMEM;
    costing->cost = *(const struct cost *)bench->settings;
    costing->letter = bench->name[0];
    costing->cost.world->opened++;
    *ret = costing;
    return 0;
}

static int run_cost(void *state, uint64_t calls)
{
    struct costing *costing = state;
    struct world *world = costing->cost.world;
    if (costing->cost.fail_after && --costing->cost.fail_after == 0)
        return -EIO;
    world->now += (int64_t)((double)(world->overhead + costing->cost.ns * (int64_t)calls) * world->factor);
    if (world->logged < LOG - 1)
        world->log[world->logged++] = costing->letter;
    return 0;
}

static void close_cost(void *state)
{
    ((struct costing *)state)->cost.world->closed++;
    memory_free(state);
}

static struct microbench bench_of(const char *name, const struct cost *cost, uint32_t items, const char *slow)
{
    return (struct microbench){.name = name,
                               .summary = "",
                               .item = "thing",
                               .items = items,
                               .slow = slow,
                               .settings = cost,
                               .open = open_cost,
                               .run = run_cost,
                               .close = close_cost};
}

static struct microbench_options options_of(struct world *world)
{
    return (struct microbench_options){.time = 25000000, .samples = 25, .clock = world_clock, .owner = world};
}

static void test_measures_what_it_costs(void **state)
{
    static const int64_t costs[] = {1, 7, 130, 9999, 400000, 123456789};
    (void)state;
    for (size_t i = 0; i < sizeof costs / sizeof *costs; i++) {
        struct world world = {.factor = 1};
        const struct cost cost = {.world = &world, .ns = costs[i]};
        const struct microbench bench = bench_of("a", &cost, 10, NULL), *benches[] = {&bench};
        const struct microbench_options options = options_of(&world);
        struct microbench_result result;
        uint32_t failed;
        assert_int_equal(microbench_measure(benches, 1, &options, &result, &failed), 0);
        assert_true(fabs(result.time.median - (double)costs[i] / 10) < 1e-9 * (double)costs[i]);
        assert_true(result.time.mad < 1e-9 * (double)costs[i] && fabs(result.drift - 1) < 1e-12);
        assert_int_equal(result.gain.count, 0);
        /* The least of 1, 2, 5, 10 … calls that take a millisecond. */
        uint64_t step = result.calls;
        while (step % 10 == 0)
            step /= 10;
        assert_true(step == 1 || step == 2 || step == 5);
        assert_true((int64_t)result.calls * costs[i] >= 1000000);
        assert_true(result.calls == 1 || (int64_t)(result.calls / 2) * costs[i] < 1000000);
        assert_int_equal(result.time.count, costs[i] == 123456789 ? MICROBENCH_SAMPLES_LEAST : 25);
        assert_int_equal(world.opened, 1);
        assert_int_equal(world.closed, 1);
    }
}

static void test_pairs_in_turns(void **state)
{
    (void)state;
    struct world world = {.factor = 1, .overhead = 0};
    const struct cost slow = {.world = &world, .ns = 3000000}, fast = {.world = &world, .ns = 1000000};
    const struct microbench a = bench_of("a", &slow, 1, NULL), b = bench_of("b", &fast, 1, "a"), *benches[] = {&a, &b};
    const struct microbench_options options = options_of(&world);
    struct microbench_result results[2];
    uint32_t failed;
    assert_int_equal(microbench_measure(benches, 2, &options, results, &failed), 0);
    assert_int_equal(results[0].gain.count, 0);
    assert_true(fabs(results[1].gain.median - 3) < 1e-12 && results[1].gain.low == results[1].gain.high);
    assert_string_equal(results[1].slow, "a");
    char turns[64] = "";
    for (uint32_t i = 0; i < results[0].time.count; i++)
        memcpy(turns + 2 * i, "ab", 3);
    assert_string_equal(world.log + world.logged - strlen(turns), turns);
}

static int double_later(void *state, uint64_t calls)
{
    struct costing *costing = state;
    int error = run_cost(state, calls);
    if (++costing->turns == 20) /* in the middle of the samples: some turns went before them */
        costing->cost.world->factor = 2;
    return error;
}

static void test_drift_is_seen(void **state)
{
    (void)state;
    struct world world = {.factor = 1};
    const struct cost cost = {.world = &world, .ns = 1000000};
    struct microbench bench = bench_of("a", &cost, 1, NULL);
    const struct microbench *benches[] = {&bench};
    const struct microbench_options options = options_of(&world);
    struct microbench_result result;
    uint32_t failed;
    bench.run = double_later;
    assert_int_equal(microbench_measure(benches, 1, &options, &result, &failed), 0);
    assert_true(fabs(result.drift - 2) < 1e-9);
}

static void test_failures(void **state)
{
    (void)state;
    for (int after = 1; after < 40; after++) {
        struct world world = {.factor = 1};
        const struct cost good = {.world = &world, .ns = 1000000},
                          bad = {.world = &world, .ns = 1000000, .fail_after = after};
        const struct microbench a = bench_of("a", &good, 1, NULL), b = bench_of("b", &bad, 1, NULL),
                                *benches[] = {&a, &b};
        const struct microbench_options options = options_of(&world);
        struct microbench_result results[2];
        uint32_t failed = 9;
        int error = microbench_measure(benches, 2, &options, results, &failed);
        assert_int_equal(world.opened, world.closed);
        if (error) {
            assert_int_equal(error, -EIO);
            assert_int_equal(failed, 1);
        } else {
            assert_true(after > 25);
        }
    }
    struct world world = {.factor = 1};
    const struct cost cost = {.world = &world, .ns = 1000000};
    const struct microbench bench = bench_of("a", &cost, 1, NULL), *benches[] = {&bench};
    const struct microbench_options options = options_of(&world);
    struct microbench_result result;
    uint32_t failed;
    for (uint64_t nth = 1;; nth++) {
        (void)memory_fail_nth(nth, false);
        int error = microbench_measure(benches, 1, &options, &result, &failed);
        (void)memory_fail_nth(0, false);
        assert_int_equal(world.opened, world.closed);
        if (!error)
            break;
        assert_int_equal(error, -ENOMEM);
        assert_true(nth < 10);
    }
}

/* ---- Comparing and keeping ----------------------------------------------------------------------------------------
 */

static struct microbench_result result_of(const char *name, double low, double median, double high)
{
    struct microbench_result result = {
        .items = 2, .calls = 500, .time = {.count = 25, .median = median, .low = low, .high = high, .mad = 0.5}};
    snprintf(result.name, sizeof result.name, "%s", name);
    snprintf(result.item, sizeof result.item, "record");
    return result;
}

static void test_beyond_noise(void **state)
{
    (void)state;
    const struct microbench_result before = result_of("a", 95, 100, 105);
    const struct {
        double low, median, high, tolerance;
        enum microbench_change change;
    } cases[] = {
        {95, 100, 105, 0.05, MICROBENCH_SAME},     {106, 110, 120, 0.05, MICROBENCH_SLOWER},
        {104, 200, 300, 0.05, MICROBENCH_SAME}, /* the intervals meet */
        {105.1, 106, 107, 0.07, MICROBENCH_SAME},  {105.1, 106, 107, 0.05, MICROBENCH_SLOWER},
        {80, 90, 94, 0.05, MICROBENCH_FASTER},     {80, 90, 96, 0.05, MICROBENCH_SAME},
        {90, 94, 94.9, 0.07, MICROBENCH_SAME},     {0.1, 0.1, 0.1, 10, MICROBENCH_FASTER},
        {100.5, 100.5, 100.5, 0, MICROBENCH_SAME}, {200, 200, 200, 2, MICROBENCH_SAME},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct microbench_result after = result_of("a", cases[i].low, cases[i].median, cases[i].high);
        assert_int_equal(microbench_compare(&before, &after, cases[i].tolerance), cases[i].change);
    }
    assert_int_equal(microbench_compare(NULL, &before, 0), MICROBENCH_NEW);
}

static void test_kept_and_read(void **state)
{
    (void)state;
    struct microbench_result results[] = {result_of("a.\"b\"", 95, 100, 105), result_of("c", 0.25, 0.25, 0.25)};
    const struct microbench_set set = {
        .machine = {.processor = "One \"X\"", .processors = 2, .pinned = 1, .measured_before = 2500, .load = -1},
        .weir = "0.1.0",
        .count = 2,
        .results = results};
    struct microbench_set read;
    struct weir_error error = {0};
    struct weir_buffer text = {0};
    microbench_json(&set, NULL, &text);
    assert_false(text.failed);
    assert_int_equal(microbench_read(text.data, text.size, &read, &error), 0);
    assert_int_equal(read.count, 2);
    assert_string_equal(read.machine.processor, "One \"X\"");
    assert_true(read.machine.measured_before == 2500);
    for (uint32_t i = 0; i < 2; i++) {
        const struct microbench_result *found = microbench_find(read.results, read.count, results[i].name);
        assert_non_null(found);
        assert_true(found->time.median == results[i].time.median && found->time.low == results[i].time.low &&
                    found->time.high == results[i].time.high && found->time.count == 25);
    }
    microbench_set_free(&read);
    for (size_t size = 0; size < text.size - 2; size++) { /* cut short anywhere: refused with words */
        error = (struct weir_error){0};
        assert_int_equal(microbench_read(text.data, size, &read, &error), -EINVAL);
        assert_true(error.text[0] != '\0');
    }
    buffer_free(&text);
}

static void test_refused(void **state)
{
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"{}", "no measurements"},
        {"[1]", "no measurements"},
        {"{\"format\": \"weir profile\", \"version\": 1}", "no measurements"},
        {"{\"format\": \"weir bench\", \"version\": 7, \"benchmarks\": []}", "version 7"},
        {"{\"format\": \"weir bench\", \"benchmarks\": []}", "version 0"},
        {"{\"format\": \"weir bench\", \"version\": 1}", "no benchmarks"},
        {"{\"format\": \"weir bench\", \"version\": 1, \"benchmarks\": [5]}", "benchmark 1"},
        {"{\"format\": \"weir bench\", \"version\": 1, \"benchmarks\": [{\"name\": \"a\", \"ns_per_item\": "
         "{\"median\": 5, \"low\": 6, \"high\": 7}}]}",
         "benchmark 1"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct microbench_set read;
        struct weir_error error = {0};
        assert_int_equal(microbench_read(cases[i].text, strlen(cases[i].text), &read, &error), -EINVAL);
        assert_non_null(strstr(error.text, cases[i].words));
    }
}

static void test_times_for_people(void **state)
{
    static const struct {
        double ns;
        const char *text;
    } cases[] = {{0.0005, "0.50 ps"}, {0.25, "0.250 ns"}, {0.9999, "1.00 ns"}, {1, "1.00 ns"},
                 {12.34, "12.3 ns"},  {999.4, "999 ns"},  {1000, "1.00 µs"},   {25.1e6, "25.1 ms"},
                 {3e9, "3.00 s"},     {5e12, "5000 s"},   {0, "0.00 ps"},      {NAN, "-"}};
    char text[32];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(microbench_show_time(cases[i].ns, text, sizeof text), cases[i].text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ranks_by_counting),
        cmocka_unit_test(test_ranks_of_tables),
        cmocka_unit_test(test_intervals_hold_the_median),
        cmocka_unit_test(test_spread_against_naive),
        cmocka_unit_test(test_outliers),
        cmocka_unit_test(test_measures_what_it_costs),
        cmocka_unit_test(test_pairs_in_turns),
        cmocka_unit_test(test_drift_is_seen),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_beyond_noise),
        cmocka_unit_test(test_kept_and_read),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_times_for_people),
    };
    const char *given = getenv("SEED");
    seed = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);
    printf("SEED=%llu\n", (unsigned long long)seed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
