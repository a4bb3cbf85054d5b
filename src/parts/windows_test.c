/* SPDX-License-Identifier: MIT */
/* Windows whose values find no memory: what is refused leaves nothing behind. */
#include "parts/windows.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

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
        {.gap = 2 * SECOND, .most_open = 4, .fields = 1, .values = true, .most_values = 1000}};
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
        assert_int_equal(windows_close(&world->windows, INT64_MAX, SIZE_MAX), 0);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refused_records_leave_no_mark),
        cmocka_unit_test(a_window_without_room_is_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
