/* SPDX-License-Identifier: MIT */
/* Timers against an array that is searched, with deadlines in series (which stand in runs), at random (in the heap),
 * and set again earlier and later before they come. */
#include "async/timers.h"

#include "base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

enum { MOST = 200, STEPS = 20000 };

struct model {
    struct timers timers;
    uint32_t numbers[MOST];
    int64_t wanted[MOST]; /* INT64_MAX: not set */
    uint64_t order[MOST]; /* of setting: among equal deadlines the first set comes first */
    bool moved[MOST];     /* set again while an entry stood: then its place among equals is its own affair */
    bool taken[MOST];
    int targets[MOST];
    uint64_t sets, random;
};

static uint64_t draw(struct model *model, uint64_t below)
{
    model->random ^= model->random << 13;
    model->random ^= model->random >> 7;
    model->random ^= model->random << 17;
    return model->random % below;
}

static int64_t earliest(const struct model *model)
{
    int64_t least = INT64_MAX;
    for (int i = 0; i < MOST; i++)
        least = model->taken[i] && model->wanted[i] < least ? model->wanted[i] : least;
    return least;
}

static void set(struct model *model, int i, int64_t now)
{
    static const int64_t periods[] = {10, 100, 250, 1000, 30000};
    int64_t deadline = now + (draw(model, 3) ? periods[draw(model, 5)] : (int64_t)draw(model, 2000));
    model->moved[i] = model->moved[i] || model->wanted[i] != INT64_MAX;
    model->wanted[i] = deadline;
    model->order[i] = model->sets++;
    timers_set(&model->timers, model->numbers[i], deadline);
}

static void change(struct model *model, int i, int64_t now)
{
    if (!model->taken[i]) {
        assert_int_equal(timers_take(&model->timers, &model->targets[i], &model->numbers[i]), 0);
        model->taken[i] = true;
        model->wanted[i] = INT64_MAX;
        model->moved[i] = false;
        return;
    }
    switch (draw(model, 8)) {
    case 0:
        timers_give(&model->timers, model->numbers[i]);
        model->taken[i] = false;
        break;
    case 1:
        timers_clear(&model->timers, model->numbers[i]);
        model->wanted[i] = INT64_MAX;
        model->moved[i] = true;
        break;
    default:
        set(model, i, now);
    }
}

static void expire(struct model *model, int64_t now)
{
    int64_t least;
    const int *target;
    while ((target = timers_expire(&model->timers, now)) != NULL) {
        int i = (int)(target - model->targets);
        least = earliest(model);
        assert_true(model->taken[i]);
        assert_true(model->wanted[i] <= now);
        assert_int_equal(model->wanted[i], least);
        for (int k = 0; k < MOST && !model->moved[i]; k++) {
            if (model->taken[k] && model->wanted[k] == least && !model->moved[k])
                assert_true(model->order[i] <= model->order[k]);
        }
        model->wanted[i] = INT64_MAX;
        model->moved[i] = false;
    }
    assert_true(earliest(model) > now);
}

static void as_an_array_that_is_searched(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct model model = {.random = seed * 0x9e3779b97f4a7c15ULL};
        int64_t now = 0;
        print_message("seed %llu\n", (unsigned long long)seed);
        timers_init(&model.timers);
        for (int step = 0; step < STEPS / 10; step++) {
            for (int changes = (int)draw(&model, 12); changes > 0; changes--)
                change(&model, (int)draw(&model, seed % 2 ? MOST : 20), now);
            assert_int_equal(timers_next(&model.timers), earliest(&model));
            if (timers_any(&model.timers) == false)
                assert_int_equal(earliest(&model), INT64_MAX);
            now += (int64_t)draw(&model, draw(&model, 50) ? 40 : 2000);
            expire(&model, now);
        }
        timers_done(&model.timers);
    }
}

/* Deadlines that come in order search nothing: the heap stays empty, however many they are. */
static void series_need_no_heap(void **state)
{
    enum { COUNT = 10000 };
    static const int64_t periods[] = {100, 10000, 500, 60000, 1};
    struct timers timers;
    int64_t now = 0, last = 0;
    int fired = 0;
    (void)state;
    timers_init(&timers);
    for (int i = 0; i < COUNT; i++) {
        uint32_t timer;
        assert_int_equal(timers_take(&timers, &timers, &timer), 0);
        timers_set(&timers, timer, ++now + periods[i % 5]);
    }
    assert_int_equal(timers.entries, 0);
    for (int64_t next; (next = timers_next(&timers)) != INT64_MAX; fired++) {
        assert_true(next >= last);
        last = next;
        assert_ptr_equal(timers_expire(&timers, next), &timers);
    }
    assert_int_equal(fired, COUNT);
    timers_done(&timers);
}

/* Setting cannot fail: not even the same few timers, ever earlier, which leave dead entries behind. */
static void ever_earlier(void **state)
{
    enum { COUNT = 40 };
    struct timers timers;
    uint32_t numbers[COUNT];
    (void)state;
    timers_init(&timers);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(timers_take(&timers, &timers, &numbers[i]), 0);
    for (int64_t round = 1000; round > 0; round--) {
        for (int i = 0; i < COUNT; i++)
            timers_set(&timers, numbers[i], round * 1000 - i);
    }
    assert_true(timers.entries + timers.in_runs <= 2U * timers.capacity);
    for (int i = COUNT - 1; i >= 0; i--) {
        assert_int_equal(timers_next(&timers), 1000 - i);
        assert_non_null(timers_expire(&timers, 1000 - i));
    }
    assert_int_equal(timers_next(&timers), INT64_MAX);
    timers_done(&timers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_an_array_that_is_searched),
        cmocka_unit_test(series_need_no_heap),
        cmocka_unit_test(ever_earlier),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
