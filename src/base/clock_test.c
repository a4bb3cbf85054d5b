/* SPDX-License-Identifier: MIT */
/* The wall clock that does not run backwards, while the real one is set to and fro. */
#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define WALL INT64_C(1700000000000000000)
#define HOUR (3600 * CLOCK_SECOND)

/* The real clocks of a machine, and what the steady one told last. */
struct machine {
    struct clock_steady steady;
    int64_t monotonic, wall, told;
};

static int64_t look(struct machine *machine, int64_t later)
{
    machine->monotonic += later;
    machine->wall += later;
    int64_t told = clock_steady_at(&machine->steady, machine->wall, machine->monotonic);
    assert_true(told >= machine->told);
    return machine->told = told;
}

static void expect_real(struct machine *machine, int64_t later)
{
    int64_t told = look(machine, later);
    assert_int_equal(told, machine->wall);
}

static void test_it_is_the_real_clock(void **state)
{
    (void)state;
    struct machine machine = {.monotonic = 5, .wall = WALL};
    for (int i = 0; i < 1000; i++)
        expect_real(&machine, i * CLOCK_MICROSECOND);
}

static void test_set_forward_it_follows(void **state)
{
    (void)state;
    struct machine machine = {.monotonic = CLOCK_SECOND, .wall = WALL};
    look(&machine, 0);
    machine.wall += HOUR;
    assert_int_equal(look(&machine, CLOCK_SECOND), WALL + HOUR + CLOCK_SECOND);
}

static void test_set_back_it_is_caught_up_with(void **state)
{
    (void)state;
    struct machine machine = {.monotonic = CLOCK_SECOND, .wall = WALL};
    int64_t before = look(&machine, 0);
    machine.wall -= HOUR;
    for (int64_t second = 1; second < 10 * 3600; second++) {
        assert_int_equal(look(&machine, CLOCK_SECOND), before + second * (CLOCK_SECOND - CLOCK_SECOND / 10));
        assert_true(machine.told > machine.wall);
    }
    expect_real(&machine, CLOCK_SECOND);
    expect_real(&machine, CLOCK_SECOND);
}

static void test_a_clock_that_is_slowed_is_followed(void **state)
{
    (void)state;
    struct machine machine = {.monotonic = CLOCK_SECOND, .wall = WALL};
    for (int i = 0; i < 1000; i++) {
        machine.wall -= 500; /* as NTP does: 500 ppm */
        expect_real(&machine, CLOCK_MILLISECOND);
    }
}

/* Whatever happens: never back, never behind the real clock, never more ahead than it was set back. */
static void test_anything(void **state)
{
    (void)state;
    const char *given = getenv("WEIR_TEST_SEED");
    unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)clock_monotonic();
    printf("seed %u\n", seed);
    srand(seed);
    struct machine machine = {.monotonic = 1 + rand(), .wall = WALL};
    int64_t ahead = 0;
    for (int i = 0; i < 100000; i++) {
        int64_t later = rand() % 3 ? rand() % 100 : rand(), set = rand() % 50 ? 0 : (int64_t)rand() - RAND_MAX / 2;
        machine.wall += set;
        ahead = ahead - set > 0 ? ahead - set : 0;
        int64_t told = look(&machine, later);
        assert_true(told >= machine.wall && told <= machine.wall + ahead);
        ahead = told - machine.wall;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_is_the_real_clock),
        cmocka_unit_test(test_set_forward_it_follows),
        cmocka_unit_test(test_set_back_it_is_caught_up_with),
        cmocka_unit_test(test_a_clock_that_is_slowed_is_followed),
        cmocka_unit_test(test_anything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
