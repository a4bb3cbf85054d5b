/* SPDX-License-Identifier: MIT */
/*
 * Trees of tasks that do whatever a seed says: sleep, open scopes, gather, race, cancel, set deadlines, take things and
 * give them back, fail. Whatever they do, nothing outlives its scope, what was taken is given back in reverse order, no
 * wait ends later than its deadline, and what a join says is what a model of a few lines says. Channels are held
 * against a list. WEIR_TEST_SEEDS says how many seeds; a failure names its seed.
 */
#include "async/fiber.h"
#include "async/loop.h"

#include "async/simulated.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/memory.h"

#include <errno.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#if defined(FIBER_TSAN) /* to which each task is a thread */
enum { SEEDS = 8, FEW = 15 };
#elif defined(FIBER_ASAN)
enum { SEEDS = 500, FEW = 200 };
#else
enum { SEEDS = 2000, FEW = 200 };
#endif
enum { DEPTH_MOST = 4, CHILDREN_MOST = 5, TASKS_MOST = 120, THINGS_MOST = 6 };
#define MS CLOCK_MILLISECOND

struct world {
    struct simulated simulated;
    uint64_t seed, random;
    uint32_t spawned, ended, trees;
    uint32_t things, things_taken; /* that somebody holds; that were ever taken */
    /* channels */
    struct weir_channel *channel;
    uint64_t *model;
    uint32_t model_first, model_end, capacity, sent;
    bool closed;
};

static uint64_t draw(struct world *world, uint64_t below)
{
    return hash_random(&world->random) % below;
}

static uint64_t seeds(void)
{
    const char *text = getenv("WEIR_TEST_SEEDS");
    return text ? strtoull(text, NULL, 10) : SEEDS;
}

/* cmocka's own checks do not know the seed. */
#define CHECK(world, condition)                                                                                        \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            print_error("seed %llu: %s\n", (unsigned long long)(world)->seed, #condition);                             \
            fail();                                                                                                    \
        }                                                                                                              \
    } while (0)

/* ---- Trees ---- */

struct family { /* of one scope, as the model sees it */
    struct family *outer;
    uint32_t live;
    bool cancelled, raced, any_ended;
    int result, winner;
};
struct node {
    struct world *world;
    struct family *family; /* that it is in */
    uint32_t depth;
    uint32_t shield;
    bool cancelled_seen; /* a wait has said -ECANCELED: all that follow do, unless shielded */
    uint32_t held;       /* things */
};
struct thing {
    struct node *node;
    uint32_t number;
};

static void give_back(void *argument)
{
    struct thing *thing = argument;
    CHECK(thing->node->world, thing->node->held == thing->number);
    thing->node->held--;
    thing->node->world->things--;
    memory_free(thing);
}

static void take(struct weir_context *context, struct node *node)
{
    struct thing *thing = memory_allocate(sizeof *thing);
    assert_non_null(thing);
    *thing = (struct thing){node, ++node->held};
    node->world->things++;
    node->world->things_taken++;
    CHECK(node->world, weir_defer(context, give_back, thing) == 0);
}

/* A wait is over: was it right? */
static int judge(struct weir_context *context, struct node *node, int64_t began, int64_t until, int result)
{
    int64_t now = weir_now(context);
    CHECK(node->world, result == 0 || result == -ECANCELED || result == -ETIMEDOUT);
    CHECK(node->world, now <= (until > began ? until : began));
    if (node->cancelled_seen && !node->shield)
        CHECK(node->world, result == -ECANCELED && now == began);
    if (result == -ECANCELED) {
        CHECK(node->world, !node->shield);
        node->cancelled_seen = true;
    }
    return result;
}

static int nap(struct weir_context *context, struct node *node)
{
    int64_t began = weir_now(context), until = began + (int64_t)draw(node->world, 20) * MS;
    int result = judge(context, node, began, until, weir_sleep_until(context, until));
    CHECK(node->world, result != 0 || weir_now(context) == until);
    return result;
}

static int nap_shielded(struct weir_context *context, struct node *node)
{
    weir_shield(context, true);
    node->shield++;
    int result = nap(context, node);
    CHECK(node->world, result == 0);
    node->shield--;
    weir_shield(context, false);
    return 0;
}

static int wait_for_nothing(struct weir_context *context, struct node *node)
{
    struct weir_event event = {0};
    int64_t began = weir_now(context), until = began + (int64_t)draw(node->world, 20) * MS;
    int result = judge(context, node, began, until, weir_event_wait(context, &event, until));
    CHECK(node->world, result != 0 && event.first == NULL);
    return result == -ETIMEDOUT ? 0 : result;
}

static void cancel_family(struct family *family)
{
    family->cancelled = true;
}

/* What scope.c promises, in other words. */
static void child_ended(struct family *family, int result)
{
    family->live--;
    bool failed = result < 0 && !(result == -ECANCELED && family->cancelled);
    if (!family->any_ended && !family->cancelled) {
        family->any_ended = true;
        family->winner = result;
    }
    if (failed && !family->result)
        family->result = result;
    if (failed || (family->raced && family->any_ended))
        cancel_family(family);
}

static int live(struct weir_context *context, void *argument);

static int raise_family(struct weir_context *context, struct node *node)
{
    struct world *world = node->world;
    struct family family = {0};
    struct node children[CHILDREN_MOST];
    struct weir_scope scope;
    uint32_t count = (uint32_t)draw(world, CHILDREN_MOST + 1);
    int64_t deadline = draw(world, 4) ? WEIR_NEVER : weir_now(context) + (int64_t)draw(world, 30) * MS;
    weir_scope_open(context, &scope);
    if (deadline != WEIR_NEVER)
        weir_scope_deadline(&scope, deadline);
    for (uint32_t i = 0; i < count && world->spawned < TASKS_MOST; i++) {
        children[i] = (struct node){.world = world, .family = &family, .depth = node->depth + 1};
        family.live++;
        int error = weir_scope_spawn(&scope, "child", live, &children[i]);
        CHECK(world, error == 0 || (error == -ECANCELED && scope.cancelled));
        if (error == 0)
            world->spawned++;
        else
            family.live--;
        if (draw(world, 4) == 0 && nap(context, node) < 0)
            break;
    }
    uint64_t how = draw(world, 8);
    if (how == 0) {
        cancel_family(&family);
        weir_scope_cancel(&scope);
    }
    bool over = false;
    if (how == 1) {
        int below = weir_scope_wait_below(&scope, count / 2, WEIR_NEVER);
        CHECK(world, below < 0 || weir_scope_live(&scope) <= count / 2);
        over = below == -ECANCELED;
    }
    int result;
    if (how == 2) {
        weir_scope_close(&scope);
        result = 0;
    } else if (how == 3 || how == 4) {
        family.raced = true;
        result = weir_scope_race(&scope);
    } else {
        result = weir_scope_join(&scope);
    }
    CHECK(world, family.live == 0); /* whatever it was: nothing outlives its scope */
    node->cancelled_seen = node->cancelled_seen || over || weir_stopping(context);
    if (how == 2 || family.raced || weir_stopping(context) || node->shield)
        return weir_stopping(context) ? -ECANCELED : 0;
    CHECK(world, result == family.result || (result == -ETIMEDOUT && deadline <= weir_now(context)));
    return result;
}

static int do_something(struct weir_context *context, struct node *node)
{
    switch (draw(node->world, 10)) {
    case 0:
    case 1:
        return nap(context, node);
    case 2:
        return nap_shielded(context, node);
    case 3:
        return wait_for_nothing(context, node);
    case 4:
        if (node->held < THINGS_MOST)
            take(context, node);
        return 0;
    case 5:
        return draw(node->world, 8) ? 0 : -EIO;
    case 6: {
        int result = weir_yield(context);
        node->cancelled_seen = node->cancelled_seen || result < 0;
        return result;
    }
    default:
        return node->depth < DEPTH_MOST ? raise_family(context, node) : nap(context, node);
    }
}

static int live(struct weir_context *context, void *argument)
{
    struct node *node = argument;
    int result = 0;
    for (uint64_t left = draw(node->world, 6); left && result == 0; left--)
        result = do_something(context, node);
    if (result < 0 && draw(node->world, 2))
        nap_shielded(context, node); /* cleaning up takes time, too */
    node->world->ended++;
    if (node->family)
        child_ended(node->family, result);
    return result;
}

static int check_loop(struct world *world, weir_task_run *root, void *argument)
{
    struct loop_options options = {.outer = &world->simulated.context};
    struct loop_counters counters;
    struct loop *loop;
    simulated_init(&world->simulated);
    CHECK(world, loop_new(&options, &loop) == 0);
    int result = loop_run(loop, "root", root, argument);
    loop_count(loop, &counters);
    CHECK(world, counters.live == 0);
    CHECK(world, !world->simulated.stuck);
    loop_free(loop);
    return result;
}

static int plant(struct weir_context *context, void *argument)
{
    struct world *world = argument;
    struct node trunk = {.world = world};
    while (world->spawned < TASKS_MOST / 2 && world->trees++ < TASKS_MOST)
        (void)raise_family(context, &trunk);
    return 0;
}

/* With what the allocator keeps at hand. 0 under sanitizers, which look for leaks themselves. */
enum { LEVEL = 30, SLACK = 64 * 1024 };
static size_t allocated(void)
{
    return mallinfo2().uordblks;
}

static void test_whatever_tasks_do_nothing_outlives_its_scope(void **state)
{
    (void)state;
    size_t before = 0;
    uint32_t spawned = 0, taken = 0;
    for (uint64_t seed = 1; seed <= seeds(); seed++) {
        struct world world = {.seed = seed, .random = hash_u64(seed)};
        CHECK(&world, check_loop(&world, plant, &world) == 0);
        CHECK(&world, world.things == 0);
        CHECK(&world, world.spawned == world.ended);
        if (seed == LEVEL)
            before = allocated();
        CHECK(&world, seed < LEVEL || allocated() < before + SLACK);
        spawned += world.spawned;
        taken += world.things_taken;
    }
    assert_true(spawned > 10 * seeds() && taken > seeds()); /* that it is a test at all */
}

/* ---- Channels against a list ---- */

enum { WORKERS_MOST = 12, ITEMS_MOST = 40, MODEL = WORKERS_MOST * ITEMS_MOST };

struct worker {
    struct world *world;
    uint32_t items;
    bool ended;
};

static void check_count(struct world *world)
{
    uint32_t count = world->model_end - world->model_first;
    CHECK(world, weir_channel_count(world->channel) == count && count <= world->capacity);
}

static int64_t some_deadline(struct weir_context *context, struct world *world)
{
    uint64_t kind = draw(world, 4);
    return kind < 2 ? WEIR_NEVER : weir_now(context) + (kind == 2 ? 0 : (int64_t)draw(world, 10) * MS);
}

static int produce(struct weir_context *context, void *argument)
{
    struct worker *worker = argument;
    struct world *world = worker->world;
    int result = 0;
    for (uint32_t i = 0; i < worker->items && result != -ECANCELED && result != -EPIPE; i++) {
        uint64_t item = hash_u64(world->sent++);
        int64_t deadline = some_deadline(context, world);
        result = weir_channel_send(context, world->channel, &item, deadline);
        if (result == 0)
            world->model[world->model_end++] = item;
        CHECK(world, result != 0 || !world->closed);
        CHECK(world, result != -EPIPE || world->closed);
        CHECK(world, result != -ETIMEDOUT || weir_now(context) == deadline);
        CHECK(world, result == 0 || result == -EPIPE || result == -ETIMEDOUT || result == -ECANCELED);
        check_count(world);
        if (result != -ECANCELED && draw(world, 3) == 0)
            result = weir_sleep(context, (int64_t)draw(world, 5) * MS);
    }
    worker->ended = true;
    return 0;
}

static int consume(struct weir_context *context, void *argument)
{
    struct worker *worker = argument;
    struct world *world = worker->world;
    int result = 0;
    while (result != -ECANCELED && result != -EPIPE) {
        uint64_t item = 0;
        int64_t deadline = some_deadline(context, world);
        result = weir_channel_receive(context, world->channel, &item, deadline);
        if (result == 0) {
            CHECK(world, world->model_first < world->model_end);
            CHECK(world, world->model[world->model_first++] == item);
        }
        CHECK(world, result != -EPIPE || (world->closed && world->model_first == world->model_end));
        CHECK(world, result != -ETIMEDOUT || weir_now(context) == deadline);
        check_count(world);
        if (result != -ECANCELED && result != -EPIPE && draw(world, 3) == 0 &&
            weir_sleep(context, (int64_t)draw(world, 5) * MS) < 0)
            result = -ECANCELED;
    }
    worker->ended = true;
    return 0;
}

static bool all_ended(const struct worker *workers, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (!workers[i].ended)
            return false;
    return true;
}

static int pass(struct weir_context *context, void *argument)
{
    struct world *world = argument;
    struct worker workers[WORKERS_MOST];
    struct weir_scope makers, takers;
    uint32_t producers = 1 + (uint32_t)draw(world, WORKERS_MOST / 2), consumers = 1 + (uint32_t)draw(world, 6);
    bool early = draw(world, 2), cancel = draw(world, 4) == 0;
    weir_scope_open(context, &makers);
    weir_scope_open(context, &takers);
    for (uint32_t i = 0; i < producers + consumers; i++) {
        workers[i] = (struct worker){.world = world, .items = (uint32_t)draw(world, ITEMS_MOST)};
        CHECK(world, weir_scope_spawn(i < producers ? &makers : &takers, "worker", i < producers ? produce : consume,
                                      &workers[i]) == 0);
    }
    weir_sleep(context, (int64_t)draw(world, 50) * MS);
    if (cancel)
        weir_scope_cancel(draw(world, 2) ? &makers : &takers);
    if (!early && !(cancel && takers.cancelled)) {
        /* Left alone they must come to rest with nothing undone: no wake-up is lost. */
        weir_sleep(context, 3600 * CLOCK_SECOND);
        CHECK(world, all_ended(workers, producers));
        CHECK(world, world->model_first == world->model_end);
    }
    world->closed = true;
    weir_channel_close(world->channel);
    weir_channel_close(world->channel);
    CHECK(world, weir_scope_join(&takers) == 0);
    CHECK(world, weir_scope_join(&makers) == 0);
    CHECK(world, all_ended(workers, producers + consumers));
    return 0;
}

static void test_channels_are_lists(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= seeds(); seed++) {
        uint64_t model[MODEL];
        struct world world = {.seed = seed, .random = hash_u64(~seed), .model = model};
        world.capacity = 1 + (uint32_t)draw(&world, 8);
        world.channel = weir_channel_new(sizeof(uint64_t), world.capacity);
        assert_non_null(world.channel);
        CHECK(&world, check_loop(&world, pass, &world) == 0);
        weir_channel_free(world.channel);
    }
}

/* ---- Allocations that fail ---- */

static void count_back(void *argument)
{
    ((struct world *)argument)->things--;
}

static int grow_few(struct weir_context *context, void *argument)
{
    struct world *world = argument;
    for (int i = 0; i < 3; i++) {
        world->things++;
        (void)weir_defer(context, count_back, world); /* -ENOMEM: given back already */
        struct weir_scope scope;
        weir_scope_open(context, &scope);
        weir_scope_deadline(&scope, weir_now(context) + CLOCK_SECOND);
        int error = 0;
        if (world->spawned++ < FEW)
            error = weir_scope_spawn(&scope, "few", grow_few, world);
        int joined = weir_scope_join(&scope);
        if (error < 0 || joined < 0)
            return error < 0 ? error : joined;
        weir_sleep(context, MS);
    }
    return 0;
}

static void test_memory_that_runs_out(void **state)
{
    (void)state;
    bool all_went_well = false;
    for (uint64_t nth = 1; !all_went_well; nth += 1 + nth / 50) {
        struct world world = {.seed = nth};
        struct loop_options options = {.outer = &world.simulated.context};
        struct loop *loop = NULL;
        simulated_init(&world.simulated);
        memory_fail_nth(nth, nth % 2);
        int error = loop_new(&options, &loop);
        int result = error < 0 ? error : loop_run(loop, "root", grow_few, &world);
        all_went_well = memory_fail_nth(0, false) < nth;
        CHECK(&world, result == 0 || result == -ENOMEM);
        CHECK(&world, !all_went_well || result == 0);
        CHECK(&world, world.things == 0);
        loop_free(loop);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whatever_tasks_do_nothing_outlives_its_scope),
        cmocka_unit_test(test_channels_are_lists),
        cmocka_unit_test(test_memory_that_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
