/* SPDX-License-Identifier: MIT */
/* Windows whose values find no memory: what is refused leaves nothing behind. */
#include "parts/windows.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

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
        windows_forget_closed(&world->windows, &world->env);
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
    windows_forget_closed(&world->windows, &world->env);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refused_records_leave_no_mark),
        cmocka_unit_test(a_window_without_room_is_left_out),
        cmocka_unit_test(windows_wait_for_event_time),
        cmocka_unit_test(no_memory_for_windows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
