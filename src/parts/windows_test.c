/* SPDX-License-Identifier: MIT */
/* Windows whose values find no memory: what is refused leaves nothing behind. */
#include "parts/windows.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/hash.h"
#include "base/memory.h"
#include "flow/engine.h"

#define SECOND INT64_C(1000000000)
enum { RECORDS = 500 };

struct world {
    struct pipeline pipeline;
    struct weir_engine_node node;
    struct weir_env env;
    struct windows windows;
    struct window_state *state;
};

static struct world *open_world(const struct windows_options *options, uint64_t budget)
{
    struct world *world = memory_zeroed(1, sizeof *world);
    assert_non_null(world);
    world->pipeline.state_budget.limit = budget;
    world->node.pipeline = &world->pipeline;
    world->env.node = &world->node;
    windows_init(&world->windows, options);
    world->state = memory_zeroed(1, world->windows.state_size);
    assert_non_null(world->state);
    return world;
}

static void close_world(struct world *world)
{
    windows_free(&world->windows, &world->env);
    assert_int_equal(world->pipeline.state_budget.used, 0);
    memory_free(world->state);
    memory_free(world);
}

static int add(struct world *world, int64_t second, double value)
{
    const struct windows_record record = {
        .time = second * SECOND, .watermark = INT64_MIN, .position = (uint64_t)second, .values = &value};
    return windows_add(&world->windows, &world->env, world->state, &record);
}

/* The marks of panes that were opened for a record and closed again for want of room would pile up: event time takes
 * them off the heap only when it comes to the end of the window, and no record that is refused brings it there. */
static void refused_records_leave_no_mark(void **unused)
{
    (void)unused;
    static const struct windows_options kinds[] = {
        {.every = SECOND, .window = SECOND, .most_open = 4, .fields = 1, .values = true, .most_values = 1000},
        {.every = SECOND, .window = 3 * SECOND, .most_open = 8, .fields = 1, .values = true, .most_values = 1000},
        {.gap = 2 * SECOND, .most_open = 4, .fields = 1, .values = true, .most_values = 100000}};
    for (size_t kind = 0; kind < sizeof kinds / sizeof kinds[0]; kind++) {
        struct world *world = open_world(&kinds[kind], 0);
        for (int i = 0; i < RECORDS; i++)
            assert_int_equal(add(world, 100, i), WINDOWS_NO_MEMORY);
        assert_int_equal(world->windows.heap_count, 0);
        assert_int_equal(world->state->open, 0);
        world->pipeline.state_budget.limit = 1 << 20; /* others gave some back */
        for (int i = 0; i < RECORDS; i++)
            assert_int_equal(add(world, 100, i), WINDOWS_TAKEN);
        const uint32_t windows = kinds[kind].gap ? 1 : (uint32_t)(kinds[kind].window / SECOND);
        assert_int_equal(world->windows.heap_count, windows);
        assert_int_equal(windows_close(&world->windows, &world->env, INT64_MAX, SIZE_MAX), 0);
        assert_int_equal(windows_sort(&world->windows), 0);
        assert_int_equal(world->windows.out_count, windows);
        for (size_t i = 0; i < windows; i++)
            assert_int_equal(windows_closed(&world->windows, i)->records, RECORDS);
        windows_forget_closed(&world->windows);
        close_world(world);
    }
}

/* A record that there is no room for in one window, of several that it belongs to, is missing there alone. */
static void a_window_without_room_is_left_out(void **unused)
{
    (void)unused;
    static const struct windows_options options = {
        .every = SECOND, .window = 2 * SECOND, .most_open = 8, .fields = 1, .values = true, .most_values = 2};
    struct world *world = open_world(&options, 1 << 20);
    assert_int_equal(add(world, 10, 1), WINDOWS_TAKEN); /* [9, 11) and [10, 12) */
    assert_int_equal(add(world, 10, 2), WINDOWS_TAKEN);
    assert_int_equal(add(world, 11, 3), WINDOWS_TAKEN); /* [10, 12) is full, [11, 13) is new */
    assert_int_equal(world->windows.missing, 1);
    assert_int_equal(world->windows.heap_count, 3);
    assert_int_equal(add(world, 10, 4), WINDOWS_OVER_MOST);
    assert_int_equal(world->windows.heap_count, 3);
    close_world(world);
}

/* Event time stands still, as while another source is behind, and then goes on: windows that have no room in the key's
 * own panes are all there, as a naive model has them, and their memory is given back. */
enum { MODEL_SECONDS = 4000, MODEL_MOST = 4 * MODEL_SECONDS };
struct model {
    int64_t records[MODEL_SECONDS]; /* at each second */
    int64_t closed[MODEL_MOST];     /* by the second in which a window starts */
    int64_t expected[MODEL_MOST];
};

static void expect(struct model *model, const struct windows_options *options)
{
    memset(model->expected, 0, sizeof model->expected);
    int64_t start = -1, last = -1, count = 0;
    for (int64_t t = 0; t < MODEL_SECONDS; t++) {
        for (int64_t w = t; !options->gap && w > t - options->window / SECOND; w--)
            if (w >= 0 && w % (options->every / SECOND) == 0)
                model->expected[w] += model->records[t];
        if (!options->gap || !model->records[t])
            continue;
        if (start >= 0 && (t - last) * SECOND >= options->gap) {
            model->expected[start] = count;
            start = -1;
        }
        count = start < 0 ? model->records[t] : count + model->records[t];
        start = start < 0 ? t : start;
        last = t;
    }
    if (start >= 0)
        model->expected[start] = count;
}

static void take_closed(struct world *world, struct model *model, int64_t watermark)
{
    assert_int_equal(windows_close(&world->windows, &world->env, watermark, SIZE_MAX), 0);
    assert_int_equal(windows_sort(&world->windows), 0);
    int64_t end = INT64_MIN;
    for (size_t i = 0; i < world->windows.out_count; i++) {
        const struct window_pane *pane = windows_closed(&world->windows, i);
        assert_true(pane->end >= end);
        end = pane->end;
        if (pane->start >= 0) /* those that begin before are not in the model */
            model->closed[pane->start / SECOND] += pane->records;
    }
    windows_forget_closed(&world->windows);
}

static void windows_wait_for_event_time(void **unused)
{
    (void)unused;
    static const struct windows_options kinds[] = {
        {.every = 3 * SECOND, .window = 3 * SECOND, .most_open = 3, .fields = 1},
        {.every = 2 * SECOND, .window = 7 * SECOND, .most_open = 6, .fields = 1, .values = true, .most_values = 100000},
        {.gap = 2 * SECOND, .most_open = 3, .fields = 1, .values = true, .most_values = 100000}};
    struct model *model = memory_allocate(sizeof *model);
    assert_non_null(model);
    uint64_t state = 20241121;
    print_message("seed %llu\n", (unsigned long long)state);
    for (size_t kind = 0; kind < sizeof kinds / sizeof kinds[0]; kind++) {
        struct world *world = open_world(&kinds[kind], 64 << 20);
        memset(model, 0, sizeof *model);
        int64_t event_time = INT64_MIN, next = 0;
        uint32_t most = 0;
        for (int i = 0; i < 3 * MODEL_SECONDS; i++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            /* A source that is ahead, and one that is behind it and with which event time goes on. */
            const bool behind = i % 2;
            int64_t second = behind ? next : 2100 + (int64_t)(state >> 40) % 1900;
            next += behind && next < MODEL_SECONDS / 2 ? (int64_t)(state >> 33) % 4 : 0;
            const double value = (double)(state >> 60);
            const struct windows_record record = {
                .time = second * SECOND, .watermark = event_time, .position = (uint64_t)i, .values = &value};
            assert_int_equal(windows_add(&world->windows, &world->env, world->state, &record), WINDOWS_TAKEN);
            model->records[second]++;
            event_time = second * SECOND < event_time || !behind ? event_time : second * SECOND;
            most = world->state->open > most ? world->state->open : most;
            if (i % 97 == 0)
                take_closed(world, model, event_time);
        }
        assert_true(most > 200);
        assert_true(world->state->capacity > world->state->open);
        assert_true(world->pipeline.kept > 0);
        take_closed(world, model, INT64_MAX);
        assert_int_equal(world->state->open, 0);
        assert_null(world->state->more);
        assert_int_equal(world->pipeline.kept, 0);
        expect(model, &kinds[kind]);
        assert_memory_equal(model->closed, model->expected, sizeof model->expected);
        close_world(world);
    }
    memory_free(model);
}

/* Without memory for more windows a record is refused, and nothing else. */
static void no_memory_for_windows(void **unused)
{
    (void)unused;
    static const struct windows_options options = {.every = SECOND, .window = SECOND, .most_open = 2, .fields = 1};
    struct world *world = open_world(&options, 0);
    assert_int_equal(add(world, 10, 1), WINDOWS_TAKEN);
    assert_int_equal(add(world, 11, 1), WINDOWS_TAKEN);
    assert_int_equal(add(world, 12, 1), WINDOWS_FULL);
    assert_int_equal(add(world, 10, 1), WINDOWS_TAKEN);
    world->pipeline.state_budget.limit = 1 << 20;
    assert_int_equal(add(world, 12, 1), WINDOWS_TAKEN);
    assert_int_equal(world->state->open, 3);
    assert_int_equal(windows_close(&world->windows, &world->env, INT64_MAX, SIZE_MAX), 0);
    assert_int_equal(windows_sort(&world->windows), 0);
    assert_int_equal(world->windows.out_count, 3);
    assert_int_equal(windows_closed(&world->windows, 0)->records, 2);
    close_world(world);
}

/* ---- Values together, against a naive model
 * -------------------------------------------------------------------------------------- */

enum { SHARED_RECORDS = 400, SHARED_WINDOWS = 200, SHARED_VALUES = 400 };

struct shared_window {
    int64_t number;
    uint32_t records, values;
    bool open, closed;
    double kept[SHARED_VALUES];
};

struct shared_model {
    const struct windows_options *options;
    struct shared_window *windows; /* as they were opened */
    uint32_t count, missing;
};

static int64_t divide_down(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

/* Each window keeps what comes to it. */
static int shared_model_add(struct shared_model *model, int64_t time, int64_t watermark, double value)
{
    const struct windows_options *options = model->options;
    uint32_t taken = 0, missing = 0;
    int verdict = WINDOWS_LATE;
    for (uint32_t i = 0; i < model->count; i++)
        model->windows[i].open &= model->windows[i].number * options->every + options->window > watermark;
    for (int64_t n = divide_down(time, options->every); n * options->every + options->window > time; n--) {
        struct shared_window *window = NULL;
        if (n * options->every + options->window <= watermark)
            break;
        for (uint32_t i = 0; i < model->count; i++)
            if (model->windows[i].open && model->windows[i].number == n)
                window = &model->windows[i];
        int here = WINDOWS_TAKEN;
        if (window && !isnan(value) && window->values == options->most_values)
            here = WINDOWS_OVER_MOST;
        if (here == WINDOWS_TAKEN && !window) {
            assert_true(model->count < SHARED_WINDOWS);
            window = &model->windows[model->count++];
            *window = (struct shared_window){.number = n, .open = true};
        }
        if (here == WINDOWS_TAKEN) {
            window->records++;
            if (!isnan(value))
                window->kept[window->values++] = value;
        }
        taken += here == WINDOWS_TAKEN;
        missing += here != WINDOWS_TAKEN;
        verdict = here == WINDOWS_TAKEN || verdict == WINDOWS_LATE ? here : verdict;
    }
    model->missing += taken ? missing : 0;
    return taken ? WINDOWS_TAKEN : verdict;
}

static void check_shared(struct world *world, struct shared_model *model)
{
    assert_int_equal(windows_sort(&world->windows), 0);
    for (size_t i = 0; i < world->windows.out_count; i++) {
        const struct window_pane *pane = windows_closed(&world->windows, i);
        const double *results = windows_results(&world->windows, i, 0);
        struct shared_window *window = NULL;
        for (uint32_t k = 0; k < model->count; k++)
            if (model->windows[k].number * model->options->every == pane->start && !model->windows[k].closed)
                window = &model->windows[k];
        assert_non_null(window);
        window->closed = true;
        window->open = false;
        assert_int_equal(pane->records, window->records);
        quantile_sort(window->kept, window->values);
        for (uint32_t q = 0; q < model->options->quantiles; q++) {
            const double expected = quantile_at(window->kept, window->values, model->options->ranks[q]);
            assert_memory_equal(&results[1 + q], &expected, sizeof expected);
        }
        assert_true(results[0] == quantile_distinct(window->kept, window->values));
    }
    windows_forget_closed(&world->windows);
}

/* Windows that overlap and keep their values together have the quantiles that each would have alone: late records,
 * windows that are full, more of them than a key has room for, lengths that are no multiple of the hop. */
static void shared_values_are_each_windows_own(void **unused)
{
    (void)unused;
    uint64_t random = 7;
    for (int round = 0; round < 60; round++) {
        const int64_t every = 1 + (int64_t)(hash_random(&random) % 5);
        const struct windows_options options = {.every = every,
                                                .window = every + 1 + (int64_t)(hash_random(&random) % 12),
                                                .most_open = 4 + (uint32_t)(hash_random(&random) % 20),
                                                .fields = 1,
                                                .values = true,
                                                .most_values = round % 3 ? SHARED_VALUES : 5,
                                                .quantiles = 2,
                                                .ranks = {0.5, 0.9}};
        struct world *world = open_world(&options, 1 << 20);
        struct shared_model model = {.options = &options,
                                     .windows = memory_zeroed(SHARED_WINDOWS, sizeof *model.windows)};
        int64_t newest = 0, watermark = INT64_MIN / 2;
        assert_true(world->windows.shares);
        for (uint32_t i = 0; i < SHARED_RECORDS && model.count < SHARED_WINDOWS - 20; i++) {
            const int64_t jump = (int64_t)(hash_random(&random) % 100);
            const int64_t time = newest + (jump == 0 ? 30 : jump < 50 ? 0 : jump < 60 ? 1 : -(jump % 12));
            const double value = hash_random(&random) % 10 ? (double)(hash_random(&random) % 64) : NAN;
            newest = time > newest ? time : newest;
            watermark = newest - 6 > watermark ? newest - 6 : watermark;
            const struct windows_record record = {
                .time = time, .watermark = watermark, .position = i, .values = &value};
            const int expected = shared_model_add(&model, time, watermark, value);
            const int got = windows_add(&world->windows, &world->env, world->state, &record);
            if (got != expected)
                fail_msg("round %d, record %u: %d, expected %d", round, i, got, expected);
            if (hash_random(&random) % 20 == 0) {
                while (windows_close(&world->windows, &world->env, watermark, 3) > 0)
                    check_shared(world, &model);
                check_shared(world, &model);
            }
        }
        assert_int_equal(world->windows.missing, model.missing);
        assert_int_equal(windows_close(&world->windows, &world->env, INT64_MAX, SIZE_MAX), 0);
        check_shared(world, &model);
        for (uint32_t i = 0; i < model.count; i++)
            assert_true(model.windows[i].closed);
        memory_free(model.windows);
        close_world(world);
    }
}

/* Memory that is there for the values once is enough for all windows that have them. */
static void values_are_kept_once(void **unused)
{
    (void)unused;
    static const struct windows_options options = {.every = SECOND,
                                                   .window = 100 * SECOND,
                                                   .most_open = 160,
                                                   .fields = 1,
                                                   .values = true,
                                                   .most_values = 1 << 20,
                                                   .quantiles = 1,
                                                   .ranks = {0.5}};
    enum { VALUES = 4000 };
    struct world *world = open_world(&options, 8 * VALUES * sizeof(double));
    for (int i = 0; i < VALUES; i++)
        assert_int_equal(add(world, 100 + i % 50, i), WINDOWS_TAKEN);
    assert_int_equal(windows_close(&world->windows, &world->env, INT64_MAX, SIZE_MAX), 0);
    assert_int_equal(world->pipeline.state_budget.used, 0); /* what has closed keeps no values */
    assert_int_equal(windows_sort(&world->windows), 0);
    assert_int_equal(world->windows.out_count, 149);
    assert_int_equal(windows_closed(&world->windows, 75)->records, VALUES);
    assert_true(windows_results(&world->windows, 75, 0)[0] == VALUES);
    assert_true(windows_results(&world->windows, 75, 0)[1] == (VALUES - 1) / 2.0);
    windows_forget_closed(&world->windows);
    close_world(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refused_records_leave_no_mark),      cmocka_unit_test(a_window_without_room_is_left_out),
        cmocka_unit_test(windows_wait_for_event_time),        cmocka_unit_test(no_memory_for_windows),
        cmocka_unit_test(shared_values_are_each_windows_own), cmocka_unit_test(values_are_kept_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
